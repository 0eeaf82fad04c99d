"""Writing points: every one in full, appended; and the wide rows of the ticks they touch.

Points wait in memory until the transaction ends and are then written host by host and tick by tick. The row of a tick
is a function of the set of its points: a tick that has points in the file already is built anew from all of them.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hosts_mcp.otlp.batch import PointGroup, Slot
from hosts_mcp.signals.model import BIN_NS, TICK_NS, FramedRow
from hosts_mcp.signals.rows import JointPlan, Rank, framed, joint_plan, precedence, row
from hosts_mcp.store.sqlite.held import Held
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.samples import SampleWriter
from hosts_mcp.store.sqlite.segments import Segment
from hosts_mcp.store.sqlite.values import ns
from hosts_mcp.store.sqlite.vocabulary import Layout, Vocabulary

_new = tuple.__new__
"""What the constructor of a named tuple calls; without the call of its own, which is felt at every group of points."""
_TICKS_PER_BIN = BIN_NS // TICK_NS
_PLANS = 2_000
"""Remembered: each way in which layouts come together, of whatever host."""


_Scrape = tuple[int, int, int, int, bytes]
"""A row of `scrape`: host, tick, arrival, points, segments."""


_Waiting = tuple[int, int, int, bool, Layout, Segment]
"""A segment that is not written yet: host, tick, arrival, whether it is the host's own, layout, segment. Plain, as all
that is made for every segment."""
_Reading = tuple[Layout, Segment]
"""A segment as the wide row sees it."""


class PointWriter:
    def __init__(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = db
        self.vocabulary = Vocabulary(db, ledger)
        self.held = Held(db)
        self._samples = SampleWriter(db, ledger)
        self._waiting: list[_Waiting] = []
        self._mark = 0
        self._newest_tick: dict[int, int] = {}
        self._plans: dict[tuple[int, ...], tuple[list[Layout], JointPlan | None]] = {}

    def add(
        self,
        host_id: int,
        entity_id: int,
        of_host: bool,
        source: str,
        groups: Sequence[PointGroup],
        arrived_ns: int,
    ) -> None:
        arrange, wait = self.vocabulary.arrange, self._waiting.append
        for group in groups:
            values = group.values
            if not values:
                continue
            time_ns = ns(group.time_ns)
            layout, reorder, _ = arrange(source, group.slots, arrived_ns)
            if reorder is not None:
                values = reorder(values)
            segment = _new(Segment, (layout.id, entity_id, time_ns, ns(group.start_ns), values))
            wait((host_id, time_ns // TICK_NS, arrived_ns, of_host, layout, segment))

    def mark(self) -> None:
        self._mark = len(self._waiting)

    def undo(self) -> None:
        del self._waiting[self._mark :]

    def void(self) -> None:
        self._waiting.clear()
        self._mark = 0
        self._newest_tick.clear()
        self._samples.clear()
        self.held.clear()

    def forget(self, host_id: int) -> None:
        """Nothing of this host waits or is remembered any more."""
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != host_id]
        self._newest_tick.clear()
        self._samples.clear()

    def flush(self) -> int:
        """Write what waits; the number of points."""
        if not self._waiting:
            return 0
        self.vocabulary.use({waiting[4].id for waiting in self._waiting}, max(waiting[2] for waiting in self._waiting))
        by_tick: dict[tuple[int, int], list[_Waiting]] = defaultdict(list)
        for waiting in self._waiting:
            by_tick[waiting[:2]].append(waiting)
        scrapes: list[_Scrape] = []
        samples: list[tuple[int, FramedRow]] = []
        bins: dict[tuple[int, int], int] = {}
        for (host_id, tick), group in sorted(by_tick.items()):
            fresh = tick > self._newest(host_id)
            rows = self._rows(host_id, tick, group, fresh)
            samples += [(host_id, one) for one in rows]
            if rows:
                bin_ = tick // _TICKS_PER_BIN
                for touched in (bin_,) if fresh else (bin_, bin_ + 1):
                    bins[host_id, touched] = max(group[-1][2], bins.get((host_id, touched), 0))
            if fresh:
                self._newest_tick[host_id] = tick
            scrapes.append(_scrape(host_id, tick, group))
        self._db.executemany(
            "INSERT INTO scrape (host_id, tick, arrived_ns, points, v) VALUES (?, ?, ?, ?, ?)", scrapes
        )
        self._samples.write(samples)
        self._touch(bins)
        self._waiting.clear()
        self._mark = 0
        return sum(scrape[3] for scrape in scrapes)

    def _newest(self, host_id: int) -> int:
        """Newest tick that the host has in the file, -1 when it has none."""
        newest = self._newest_tick.get(host_id)
        if newest is None:
            found = self._db.execute("SELECT max(tick) FROM scrape WHERE host_id = ?", (host_id,)).fetchone()[0]
            hour = self._db.execute("SELECT max(hour) FROM chunk WHERE host_id = ?", (host_id,)).fetchone()[0]
            newest = max(-1 if found is None else found, -1 if hour is None else (hour + 1) * 7200 - 1)
            self._newest_tick[host_id] = newest
        return newest

    def _rows(self, host_id: int, tick: int, group: Sequence[_Waiting], fresh: bool) -> list[FramedRow]:
        """The rows, by source, of one tick after `group` has been added to it."""
        by_source: dict[str, list[_Reading]] = defaultdict(list)
        for _, _, _, of_host, layout, segment in group:
            if of_host:
                by_source[layout.source].append((layout, segment))
        if by_source and not fresh:
            for layout, segment in self._stored(host_id, tick):
                if layout.source in by_source:
                    by_source[layout.source].append((layout, segment))
        rows = (self._row(source, tick, readings) for source, readings in by_source.items())
        return [one for one in rows if one.frame.groups]

    def _stored(self, host_id: int, tick: int) -> Iterable[_Reading]:
        """What the file holds of the host itself in this tick."""
        for segment in self.held.in_tick(host_id, tick):
            yield self.vocabulary.layout(segment.layout), segment

    def _row(self, source: str, tick: int, readings: Sequence[_Reading]) -> FramedRow:
        """Segments that share no group of columns are reduced by their plans, all others point by point."""
        plan = self._plan([layout for layout, _ in readings])
        if plan is None:
            return framed(row(newest_points(readings), source, tick))
        return plan.row(source, tick, [segment[2:] for _, segment in readings])

    def _plan(self, layouts: list[Layout]) -> JointPlan | None:
        """Of these layouts together, which come together in every scrape."""
        key = tuple(map(id, layouts))
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            # With the layouts, which keeps their identities from being others'.
            found = self._plans[key] = layouts, joint_plan([layout.plan for layout in layouts])
        return found[1]

    def _touch(self, bins: Mapping[tuple[int, int], int]) -> None:
        self._db.executemany(
            "INSERT INTO touched (host_id, bin, arrived_ns, taken) VALUES (?, ?, ?, 0) "
            "ON CONFLICT (host_id, bin) DO UPDATE SET arrived_ns = excluded.arrived_ns, taken = 0",
            [(host_id, bin_, arrived_ns) for (host_id, bin_), arrived_ns in bins.items()],
        )


def newest_points(readings: Iterable[_Reading]) -> list[tuple[Slot, int, int, float]]:
    """(slot, time, start, value) of the newest reading of every slot, in an order that is that of the slots."""
    newest: dict[Slot, tuple[tuple[int, Rank], int, float]] = {}
    for layout, segment in readings:
        for slot, value in zip(layout.slots, segment.values, strict=True):
            rank = (segment.time_ns, precedence(value, segment.start_ns))
            if slot not in newest or rank > newest[slot][0]:
                newest[slot] = (rank, segment.start_ns, value)
    return [(slot, rank[0], start, value) for slot, (rank, start, value) in newest.items()]


def _scrape(host_id: int, tick: int, group: Sequence[_Waiting]) -> _Scrape:
    segments = [waiting[-1] for waiting in group]
    points = sum([len(segment.values) for segment in segments])
    return host_id, tick, group[-1][2], points, b"".join([segment.pack() for segment in segments])
