"""Reading points in full: by metric name, thinned if asked; the names there are; and counting everything."""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.model import TICK_NS, RawSeries
from hosts_mcp.store.protocol import EntityKind, MetricName, Stored
from hosts_mcp.store.sqlite.chunks import TICKS_PER_HOUR, blobs
from hosts_mcp.store.sqlite.segments import headers, precedence
from hosts_mcp.store.sqlite.values import MAX_NS
from hosts_mcp.store.sqlite.vocabulary import Layout, read_layout

_NAMES_BLOBS = 400
"""Blobs that `metric_names` looks into: the newest ones say what a host sends."""

Reading = tuple[tuple[bool, float, int], float, int]
"""(precedence, value, start) of one (entity, slot, time)."""


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
    wanted = frozenset(metrics)
    entities = _entities(db, host_id, entity_kind, start_ns, end_ns, entity_ids)
    positions: dict[int, list[tuple[int, Slot]]] = {}
    found: dict[tuple[int, str, Slot], dict[int, Reading]] = defaultdict(dict)
    for first, last in _windows(db, host_id, start_ns, end_ns, limit_scrapes):
        for blob in blobs(db, host_id, first, last):
            for number, _, entity, time_ns, start, at in headers(blob):
                if entity not in entities or not start_ns <= time_ns < end_ns:
                    continue
                if not first <= time_ns // TICK_NS <= last:
                    continue
                if number not in positions:
                    slots = layouts.get(db, number).slots
                    positions[number] = [(i, slot) for i, slot in enumerate(slots) if slot.metric in wanted]
                for i, slot in positions[number]:
                    (value,) = struct.unpack_from("<d", blob, at + 8 * i)
                    series = found[entity, layouts.get(db, number).source, slot]
                    rank = precedence(value, start)
                    if time_ns not in series or rank > series[time_ns][0]:
                        series[time_ns] = (rank, value, start)
    return [_series(*key, readings) for key, readings in sorted(found.items(), key=lambda f: _order(*f[0]))]


def _order(entity: int, source: str, slot: Slot) -> tuple[int, str, str, str]:
    return entity, source, slot.metric, repr(slot.attributes)


def _series(entity: int, source: str, slot: Slot, readings: dict[int, Reading]) -> RawSeries:
    times = sorted(readings)
    return RawSeries(entity, slot, times, [readings[t][1] for t in times], [readings[t][2] for t in times], source)


def _entities(
    db: sqlite3.Connection, host_id: int, kind: EntityKind, start_ns: int, end_ns: int, ids: Iterable[int] | None
) -> frozenset[int]:
    rows = db.execute(
        "SELECT id FROM entity WHERE host_id = ? AND kind = ? AND last_seen_ns >= ? AND first_seen_ns < ?",
        (host_id, kind, start_ns, min(end_ns, MAX_NS)),
    )
    found = frozenset(row[0] for row in rows)
    return found if ids is None else found.intersection(ids)


def _windows(
    db: sqlite3.Connection, host_id: int, start_ns: int, end_ns: int, limit: int | None
) -> Sequence[tuple[int, int]]:
    """Runs of ticks to read: the whole window, or `limit` scrapes spread evenly, the first and the last among them."""
    first, last = max(start_ns, 0) // TICK_NS, min(end_ns, MAX_NS) // TICK_NS
    if limit is None:
        return [(first, last)]
    ticks = [
        row[0]
        for row in db.execute(
            "SELECT DISTINCT tick FROM scrape WHERE host_id = ? AND tick BETWEEN ? AND ? ORDER BY tick",
            (host_id, first, last),
        )
    ]
    hours = db.execute(
        "SELECT DISTINCT hour FROM chunk WHERE host_id = ? AND hour BETWEEN ? AND ? ORDER BY hour",
        (host_id, first // TICKS_PER_HOUR, last // TICKS_PER_HOUR),
    )
    whole = [(hour * TICKS_PER_HOUR, (hour + 1) * TICKS_PER_HOUR - 1) for (hour,) in hours]
    scrapes = _scrapes(ticks)
    if len(scrapes) > limit:
        step = (len(scrapes) - 1) / max(limit - 1, 1)
        scrapes = [scrapes[round(i * step)] for i in range(max(limit, 2))]
    return [*((max(a, first), min(b, last)) for a, b in whole), *scrapes]


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
    """What the newest scrapes of the host hold."""
    newest = db.execute(
        "SELECT v FROM scrape WHERE host_id = ? ORDER BY tick DESC LIMIT ?", (host_id, _NAMES_BLOBS)
    ).fetchall()
    if not newest:
        last = db.execute("SELECT max(hour) FROM chunk WHERE host_id = ?", (host_id,)).fetchone()[0]
        if last is not None:
            newest = [(blob,) for blob in blobs(db, host_id, last * TICKS_PER_HOUR, (last + 1) * TICKS_PER_HOUR - 1)]
    pairs = {(number, entity) for (blob,) in newest for number, _, entity, *_ in headers(blob)}
    kinds: dict[int, EntityKind] = dict(db.execute("SELECT id, kind FROM entity WHERE host_id = ?", (host_id,)))
    series: dict[tuple[str, str, str, EntityKind], set[tuple[int, Slot]]] = defaultdict(set)
    for number, entity in pairs:
        if entity in kinds:
            for slot in layouts.get(db, number).slots:
                series[slot.metric, slot.unit, slot.kind, kinds[entity]].add((entity, slot))
    return [MetricName(*key, len(members)) for key, members in sorted(series.items())]


def stored(db: sqlite3.Connection, layouts: Layouts, host_id: int) -> Stored:
    """Every reading once, tick by tick, so that memory holds one tick (or one compacted hour) at a time."""
    total = 0
    series: set[tuple[int, Slot]] = set()
    seen_with: set[tuple[int, int]] = set()
    here: set[tuple[int, int, Slot]] = set()
    for blob in _by_hour(db, host_id):
        if blob is None:
            total += len(here)
            here.clear()
            continue
        for number, _, entity, time_ns, _, _ in headers(blob):
            slots = layouts.get(db, number).slots
            here.update((entity, time_ns, slot) for slot in slots)
            if (number, entity) not in seen_with:
                seen_with.add((number, entity))
                series.update((entity, slot) for slot in slots)
    kinds = {entity for entity, _ in series}
    rows = db.execute("SELECT id, pid, started_ns FROM entity WHERE host_id = ? AND kind = 'process'", (host_id,))
    processes = {(pid, started) for entity, pid, started in rows if entity in kinds}
    return Stored(total + len(here), len(series), len(processes))


def _by_hour(db: sqlite3.Connection, host_id: int) -> Iterable[bytes | None]:
    """All blobs of the host; None after each stretch that shares no reading with the rest."""
    hours = {row[0] for row in db.execute("SELECT DISTINCT hour FROM chunk WHERE host_id = ?", (host_id,))}
    for hour in sorted(hours):
        yield from blobs(db, host_id, hour * TICKS_PER_HOUR, (hour + 1) * TICKS_PER_HOUR - 1)
        yield None
    before = None
    for tick, blob in db.execute("SELECT tick, v FROM scrape WHERE host_id = ? ORDER BY tick, id", (host_id,)):
        if tick // TICKS_PER_HOUR in hours:
            continue
        if tick != before:
            yield None
            before = tick
        yield blob
