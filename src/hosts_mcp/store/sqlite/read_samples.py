"""Reading the wide rows: of every group of columns the series of the best source."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hosts_mcp.signals.model import TICK_NS, GroupSeries, Samples
from hosts_mcp.store.sqlite.wide import SampleColumns

_BEST_FIRST = ("hostmetrics", "node_exporter", "telegraf", "vector", "kubelet", "app")
_BEFORE_NS = 1800 * 1_000_000_000
"""How far before a window (or behind the newest row) a group's previous row is looked for."""


def _quality(source: str) -> tuple[int, str]:
    return (_BEST_FIRST.index(source) if source in _BEST_FIRST else len(_BEST_FIRST), source)


def _feeds(db: sqlite3.Connection, host_id: int) -> list[tuple[str, frozenset[str]]]:
    """(source, groups it ever sent), best source first."""
    rows = db.execute("SELECT source, groups FROM feed WHERE host_id = ?", (host_id,))
    return sorted(((source, frozenset(groups.split())) for source, groups in rows), key=lambda f: _quality(f[0]))


def samples(
    db: sqlite3.Connection,
    known: SampleColumns,
    host_id: int,
    start_ns: int,
    end_ns: int,
    groups: Iterable[str] | None,
) -> Samples:
    """Rows in [start, end) and the last one before it, per group."""
    wanted = list(known.groups) if groups is None else [g for g in known.groups if g in set(groups)]
    found: dict[str, GroupSeries] = {}
    for source, sent in _feeds(db, host_id):
        here = [group for group in wanted if group in sent and group not in found]
        if not here:
            continue
        rows = db.execute(
            f"{known.select(here)} WHERE host_id = ? AND source = ? AND tick >= ? AND tick <= ? ORDER BY tick",
            (host_id, source, start_ns // TICK_NS, end_ns // TICK_NS),
        ).fetchall()
        series = known.series(here, source, rows)
        for group, one in series.items():
            inside = _between(one, start_ns, end_ns)
            if inside is not None:
                before = _previous(db, known, host_id, source, group, start_ns)
                found[group] = inside if before is None else _joined(before, inside)
    return found


def last_scrape(db: sqlite3.Connection, host_id: int, start_ns: int, end_ns: int) -> int:
    """Read off the index alone."""
    ticks = (max(start_ns, 0) // TICK_NS, end_ns // TICK_NS)
    found = db.execute("SELECT max(id) FROM scrape WHERE host_id = ? AND tick BETWEEN ? AND ?", (host_id, *ticks))
    return found.fetchone()[0] or 0


def newest(
    db: sqlite3.Connection, known: SampleColumns, host_id: int, rows: int, groups: Iterable[str] | None = None
) -> Samples:
    """The newest `rows` rows of every group."""
    wanted = list(known.groups) if groups is None else list(groups)
    found: dict[str, GroupSeries] = {}
    for source, sent in _feeds(db, host_id):
        here = [group for group in wanted if group in sent and group not in found]
        if not here:
            continue
        # A scrape may lie across two ticks: twice as many rows hold every group of the most frequent interval.
        latest = db.execute(
            f"{known.select(here)} WHERE host_id = ? AND source = ? ORDER BY tick DESC LIMIT ?",
            (host_id, source, 2 * rows),
        ).fetchall()
        if not latest:
            continue
        latest.reverse()
        series = known.series(here, source, latest[-rows:])
        if any(group not in series or len(series[group].times_ns) < rows for group in here):
            series = known.series(here, source, latest)
        for group in here:
            one = series.get(group)
            if one is None or (len(one.times_ns) < rows and len(latest) == 2 * rows):
                one = _behind(db, known, host_id, source, group, rows, latest[-1][0])
            if one is not None:
                found[group] = _last(one, rows)
    return found


def _behind(
    db: sqlite3.Connection, known: SampleColumns, host_id: int, source: str, group: str, rows: int, tick: int
) -> GroupSeries | None:
    """A group that is sent less often than others: its newest rows within half an hour of the newest of all."""
    found = db.execute(
        f"{known.select([group])} WHERE host_id = ? AND source = ? AND tick BETWEEN ? AND ? "
        f"AND {group}_offset_ns IS NOT NULL ORDER BY tick DESC LIMIT ?",
        (host_id, source, tick - _BEFORE_NS // TICK_NS, tick, rows),
    ).fetchall()
    found.reverse()
    return known.series([group], source, found).get(group)


def _previous(
    db: sqlite3.Connection, known: SampleColumns, host_id: int, source: str, group: str, start_ns: int
) -> GroupSeries | None:
    rows = db.execute(
        f"{known.select([group])} WHERE host_id = ? AND source = ? AND tick BETWEEN ? AND ? "
        f"AND {group}_offset_ns IS NOT NULL AND tick * {TICK_NS} + {group}_offset_ns < ? ORDER BY tick DESC LIMIT 1",
        (host_id, source, (start_ns - _BEFORE_NS) // TICK_NS, start_ns // TICK_NS, start_ns),
    ).fetchall()
    return known.series([group], source, rows).get(group)


def _between(series: GroupSeries, start_ns: int, end_ns: int) -> GroupSeries | None:
    """Without the rows of the edge ticks that lie outside; None when nothing is left."""
    times = series.times_ns
    first, last = 0, len(times)
    while first < last and times[first] < start_ns:
        first += 1
    while last > first and times[last - 1] >= end_ns:
        last -= 1
    if first == last:
        return None
    return series if (first, last) == (0, len(times)) else _cut(series, slice(first, last))


def _last(series: GroupSeries, rows: int) -> GroupSeries:
    return series if len(series.times_ns) <= rows else _cut(series, slice(-rows, None))


def _cut(series: GroupSeries, part: slice) -> GroupSeries:
    return replace(
        series,
        times_ns=series.times_ns[part],
        columns={name: values[part] for name, values in series.columns.items()},
        starts_ns=series.starts_ns[part],
        sets=series.sets[part],
    )


def _joined(before: GroupSeries, series: GroupSeries) -> GroupSeries:
    columns: Mapping[str, Any] = {
        name: [
            *before.columns.get(name, [None] * len(before.times_ns)),
            *series.columns.get(name, [None] * len(series.times_ns)),
        ]
        for name in dict.fromkeys((*series.columns, *before.columns))
    }
    return GroupSeries(
        series.group,
        series.source,
        [*before.times_ns, *series.times_ns],
        columns,
        [*before.starts_ns, *series.starts_ns],
        [*before.sets, *series.sets],
    )
