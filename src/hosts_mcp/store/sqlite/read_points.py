"""Reading points in full: by metric name, thinned if asked; the names there are; and counting everything."""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import chain
from operator import itemgetter, lt

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.model import TICK_NS, RawSeries
from hosts_mcp.signals.rows import Rank, precedence
from hosts_mcp.store.protocol import EntityKind, MetricName, Stored
from hosts_mcp.store.sqlite import chunks
from hosts_mcp.store.sqlite.blocks import Block
from hosts_mcp.store.sqlite.chunks import TICKS_PER_HOUR
from hosts_mcp.store.sqlite.segments import headers
from hosts_mcp.store.sqlite.values import MAX_NS
from hosts_mcp.store.sqlite.vocabulary import Layout, read_layout

_NAMES_BLOBS = 400
"""Scrapes that `metric_names` looks into: the newest ones say what a host sends."""

_LOOKED_INTO = 2_000
"""Scrapes that are looked into for processes, which are often scraped more rarely than their host: a thinned choice of
all scrapes would miss most of theirs. A tenth of a second."""

_Part = tuple[Sequence[int], Sequence[float], Sequence[int]]
"""(times, values, starts) of one series out of one block."""


class Layouts:
    """Layouts by number, shared by all threads: a number never changes its meaning."""

    def __init__(self) -> None:
        self._known: dict[int, Layout] = {}
        self._lock = threading.Lock()

    def get(self, db: sqlite3.Connection, number: int) -> Layout:
        found = self._known.get(number)
        if found is None:
            found = read_layout(db, number)
            with self._lock:
                self._known[number] = found
        return found


def points(
    db: sqlite3.Connection,
    layouts: Layouts,
    host_id: int,
    metrics: Iterable[str],
    start_ns: int,
    end_ns: int,
    entity_kind: EntityKind,
    entity_ids: Iterable[int] | None,
    limit_scrapes: int | None,
) -> list[RawSeries]:
    """One series per (entity, slot), by entity and slot; each reading once."""
    names = frozenset(metrics)
    entities = _entities(db, host_id, entity_kind, start_ns, end_ns, entity_ids)
    first, last = max(start_ns, 0) // TICK_NS, min(end_ns, MAX_NS) // TICK_NS
    looked = limit_scrapes if limit_scrapes is None or entity_kind == "host" else max(limit_scrapes, _LOOKED_INTO)
    chosen = None if looked is None else _thinned(chunks.ticks(db, host_id, first, last), looked)
    positions: dict[int, list[tuple[int, Slot]]] = {}

    def wanted(number: int) -> bool:
        if number not in positions:
            slots = layouts.get(db, number).slots
            positions[number] = [(i, slot) for i, slot in enumerate(slots) if slot.metric in names]
        return bool(positions[number])

    blocks: Iterable[Block] = chunks.read(db, host_id, first, last, wanted, chosen)
    if limit_scrapes != looked and limit_scrapes is not None:
        blocks = [block for block in blocks if not entities.isdisjoint(block.entities)]
        ticks = sorted({time_ns // TICK_NS for block in blocks for time_ns in block.times_ns})
        thinner = _thinned(ticks, limit_scrapes)
        chosen = chosen if thinner is None else thinner
    found: dict[tuple[int, str, Slot], list[_Part]] = defaultdict(list)
    for block in blocks:
        source = layouts.get(db, block.layout).source
        rows = _rows(block, entities, start_ns, end_ns, chosen)
        for i, slot in positions[block.layout] if rows else ():
            values = block.column(i)
            for entity, (pick, times, starts) in rows.items():
                found[entity, source, slot].append((times, pick(values), starts))
    clocks: dict[tuple[int, ...], _Clock] = {}
    return [_series(*key, parts, clocks) for key, parts in sorted(found.items(), key=lambda f: _order(*f[0]))]


_Picked = tuple[Callable[[Sequence[float]], Sequence[float]], Sequence[int], Sequence[int]]


def _rows(
    block: Block, entities: Container[int], start_ns: int, end_ns: int, chosen: Container[int] | None
) -> dict[int, _Picked]:
    """By entity: how to pick its rows out of a column, their times and their starts."""
    own: dict[int, list[int]] = defaultdict(list)
    for row, (entity, time_ns) in enumerate(zip(block.entities, block.times_ns, strict=True)):
        inside = start_ns <= time_ns < end_ns and (chosen is None or time_ns // TICK_NS in chosen)
        if inside and entity in entities:
            own[entity].append(row)
    return {entity: _pick(block, rows) for entity, rows in own.items()}


def _pick(block: Block, rows: Sequence[int]) -> _Picked:
    if len(rows) == rows[-1] - rows[0] + 1:
        part = slice(rows[0], rows[-1] + 1)
        return itemgetter(part), block.times_ns[part], block.starts_ns[part]
    pick = itemgetter(*rows)
    return pick, pick(block.times_ns), pick(block.starts_ns)


def _order(entity: int, source: str, slot: Slot) -> tuple[int, str, str, str]:
    return entity, source, slot.metric, repr(slot.attributes)


_Clock = tuple[list[int], list[int], bool]
"""(times, starts, whether each reading is later than the one before)."""


def _series(
    entity: int, source: str, slot: Slot, parts: Sequence[_Part], clocks: dict[tuple[int, ...], _Clock]
) -> RawSeries:
    """Series that were read off the same rows get the very same times and starts (`signals.rates.Clocks`)."""
    rows = tuple(id(times) for times, _, _ in parts)
    if rows not in clocks:
        clocks[rows] = _clock(parts)
    times, starts, ordered = clocks[rows]
    values = list(chain.from_iterable(values for _, values, _ in parts))
    if not ordered:
        times, values, starts = _merged(times, values, starts)
    return RawSeries(entity, slot, times, values, starts, source)


def _clock(parts: Sequence[_Part]) -> _Clock:
    times = list(chain.from_iterable(times for times, _, _ in parts))
    starts = list(chain.from_iterable(starts for _, _, starts in parts))
    return times, starts, all(map(lt, times, times[1:]))


def _merged(
    times: Sequence[int], values: Sequence[float], starts: Sequence[int]
) -> tuple[list[int], list[float], list[int]]:
    """In order of time, of several readings at one time the one that counts."""
    readings: dict[int, tuple[Rank, float, int]] = {}
    for time_ns, value, start_ns in zip(times, values, starts, strict=True):
        rank = precedence(value, start_ns)
        if time_ns not in readings or rank > readings[time_ns][0]:
            readings[time_ns] = (rank, value, start_ns)
    ordered = sorted(readings)
    return ordered, [readings[t][1] for t in ordered], [readings[t][2] for t in ordered]


def _entities(
    db: sqlite3.Connection, host_id: int, kind: EntityKind, start_ns: int, end_ns: int, ids: Iterable[int] | None
) -> frozenset[int]:
    # When a host itself was seen stands in its own row: its entity is written once.
    rows = db.execute(
        "SELECT id FROM entity WHERE host_id = ?1 AND kind = ?2 "
        "AND (?2 = 'host' OR (last_seen_ns >= ?3 AND first_seen_ns < ?4))",
        (host_id, kind, start_ns, min(end_ns, MAX_NS)),
    )
    found = frozenset(row[0] for row in rows)
    return found if ids is None else found.intersection(ids)


def _thinned(ticks: Sequence[int], limit: int) -> frozenset[int] | None:
    """Ticks of `limit` scrapes spread evenly, the first and the last among them; None when there are no more."""
    scrapes = _scrapes(ticks)
    if len(scrapes) <= limit:
        return None
    step = (len(scrapes) - 1) / max(limit - 1, 1)
    picked = (scrapes[round(i * step)] for i in range(max(limit, 2)))
    return frozenset(tick for scrape in picked for tick in scrape)


def _scrapes(ticks: Sequence[int]) -> list[tuple[int, int]]:
    """A scrape lies in one tick or across two that touch."""
    found: list[tuple[int, int]] = []
    for tick in ticks:
        if found and found[-1][0] == found[-1][1] == tick - 1:
            found[-1] = (tick - 1, tick)
        else:
            found.append((tick, tick))
    return found


def metric_names(db: sqlite3.Connection, layouts: Layouts, host_id: int) -> list[MetricName]:
    """What the newest scrapes of the host hold, or its newest compacted hour when there are none."""
    newest = db.execute(
        "SELECT v FROM scrape WHERE host_id = ? ORDER BY tick DESC LIMIT ?", (host_id, _NAMES_BLOBS)
    ).fetchall()
    pairs = {(number, entity) for (blob,) in newest for number, _, entity, *_ in headers(blob)}
    hour = db.execute("SELECT max(hour) FROM chunk WHERE host_id = ?", (host_id,)).fetchone()[0]
    if not pairs and hour is not None:
        first = hour * TICKS_PER_HOUR
        for block in chunks.read(db, host_id, first, first + TICKS_PER_HOUR - 1):
            pairs.update((block.layout, entity) for entity in block.entities)
    kinds: dict[int, EntityKind] = dict(db.execute("SELECT id, kind FROM entity WHERE host_id = ?", (host_id,)))
    series: dict[tuple[str, str, str, EntityKind], set[tuple[int, Slot]]] = defaultdict(set)
    for number, entity in pairs:
        if entity in kinds:
            for slot in layouts.get(db, number).slots:
                series[slot.metric, slot.unit, slot.kind, kinds[entity]].add((entity, slot))
    return [MetricName(*key, len(members)) for key, members in sorted(series.items())]


def stored(db: sqlite3.Connection, layouts: Layouts, host_id: int) -> Stored:
    """Every reading once, hour by hour, so that memory holds one hour at a time."""
    total = 0
    series: set[tuple[int, Slot]] = set()
    for hour in _hours(db, host_id):
        here: dict[tuple[int, Slot], set[int]] = defaultdict(set)
        first = hour * TICKS_PER_HOUR
        for block in chunks.read(db, host_id, first, first + TICKS_PER_HOUR - 1):
            slots = layouts.get(db, block.layout).slots
            times: dict[int, list[int]] = defaultdict(list)
            for entity, time_ns in zip(block.entities, block.times_ns, strict=True):
                times[entity].append(time_ns)
            for entity, own in times.items():
                for slot in slots:
                    here[entity, slot].update(own)
        total += sum(map(len, here.values()))
        series.update(here)
    kinds = {entity for entity, _ in series}
    rows = db.execute("SELECT id, pid, started_ns FROM entity WHERE host_id = ? AND kind = 'process'", (host_id,))
    processes = {(pid, started) for entity, pid, started in rows if entity in kinds}
    return Stored(total, len(series), len(processes))


def _hours(db: sqlite3.Connection, host_id: int) -> list[int]:
    rows = db.execute(
        "SELECT hour FROM chunk WHERE host_id = ?1 UNION "
        f"SELECT tick / {TICKS_PER_HOUR} FROM scrape WHERE host_id = ?1",
        (host_id,),
    )
    return sorted(row[0] for row in rows)
