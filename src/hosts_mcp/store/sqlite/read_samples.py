"""Reading the wide rows: of every group of columns the series of the best source."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hosts_mcp.signals.model import TICK_NS, GroupSeries, Samples
from hosts_mcp.store.sqlite.samples import SampleColumns

_BEST_FIRST = ("hostmetrics", "node_exporter", "telegraf", "vector", "kubelet", "app")
_BEFORE_NS = 1800 * 1_000_000_000
"""How far before a window (or behind the newest row) a group's previous row is looked for."""
_WITH_GROUP = "frame_id IN (SELECT id FROM frame WHERE json_extract(sets, ?) IS NOT NULL)"


def _quality(source: str) -> tuple[int, str]:
    return (_BEST_FIRST.index(source) if source in _BEST_FIRST else len(_BEST_FIRST), source)


class _Feed(NamedTuple):
    id: int
    source: str
    groups: frozenset[str]
    """All that it ever sent."""


def _feeds(db: sqlite3.Connection, host_id: int) -> list[_Feed]:
    """Best source first."""
    rows = db.execute("SELECT id, source, groups FROM feed WHERE host_id = ?", (host_id,))
    feeds = [_Feed(number, source, frozenset(groups.split())) for number, source, groups in rows]
    return sorted(feeds, key=lambda feed: _quality(feed.source))


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
    for feed in _feeds(db, host_id):
        here = [group for group in wanted if group in feed.groups and group not in found]
        if not here:
            continue
        # With the two rows before: mostly the reading before of every group stands in one of them.
        near = ((start_ns - _BEFORE_NS) // TICK_NS, start_ns // TICK_NS)
        before = "SELECT tick FROM sample WHERE feed_id = ?1 AND tick BETWEEN ?2 AND ?3 ORDER BY tick DESC LIMIT 2"
        rows = db.execute(
            f"{known.select(here)} WHERE feed_id = ?1 AND tick <= ?4 "
            f"AND tick >= (SELECT coalesce(min(tick), ?3) FROM ({before})) ORDER BY tick",
            (feed.id, *near, end_ns // TICK_NS),
        ).fetchall()
        for group, one in known.series(db, here, feed.source, rows).items():
            first, last = _within(one.times_ns, start_ns, end_ns)
            if first == last:
                continue
            found[group] = _part(one, max(0, first - 1), last)
            if first == 0 and (previous := _previous(db, known, feed, group, near, start_ns)) is not None:
                found[group] = _joined(previous, found[group])
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
    for feed in _feeds(db, host_id):
        here = [group for group in wanted if group in feed.groups and group not in found]
        if not here:
            continue
        # A scrape may lie across two ticks: twice as many rows hold every group of the most frequent interval.
        latest = db.execute(
            f"{known.select(here)} WHERE feed_id = ? ORDER BY tick DESC LIMIT ?", (feed.id, 2 * rows)
        ).fetchall()
        if not latest:
            continue
        latest.reverse()
        series = known.series(db, here, feed.source, latest[-rows:])
        if any(group not in series or len(series[group].times_ns) < rows for group in here):
            series = known.series(db, here, feed.source, latest)
        for group in here:
            one = series.get(group)
            if one is None or (len(one.times_ns) < rows and len(latest) == 2 * rows):
                one = _behind(db, known, feed, group, rows, latest[-1][0])
            if one is not None:
                found[group] = _last(one, rows)
    return found


def _behind(
    db: sqlite3.Connection, known: SampleColumns, feed: _Feed, group: str, rows: int, tick: int
) -> GroupSeries | None:
    """A group that is sent less often than others: its newest rows within half an hour of the newest of all."""
    found = db.execute(
        f"{known.select([group])} WHERE feed_id = ? AND tick BETWEEN ? AND ? AND {_WITH_GROUP} "
        "ORDER BY tick DESC LIMIT ?",
        (feed.id, tick - _BEFORE_NS // TICK_NS, tick, f'$."{group}"', rows),
    ).fetchall()
    return known.series(db, [group], feed.source, found[::-1]).get(group)


def _previous(
    db: sqlite3.Connection, known: SampleColumns, feed: _Feed, group: str, near: tuple[int, int], start_ns: int
) -> GroupSeries | None:
    """The last reading of a group before the start, within the ticks `near` it."""
    rows = db.execute(
        f"{known.select([group])} WHERE feed_id = ? AND tick BETWEEN ? AND ? AND {_WITH_GROUP} "
        "ORDER BY tick DESC LIMIT 2",
        (feed.id, *near, f'$."{group}"'),
    ).fetchall()
    series = known.series(db, [group], feed.source, rows[::-1]).get(group)
    if series is None:
        return None
    _, last = _within(series.times_ns, 0, start_ns)
    return _part(series, last - 1, last) if last else None


def _within(times_ns: Sequence[int], start_ns: int, end_ns: int) -> tuple[int, int]:
    """Places of the first reading in [start, end) and behind the last one."""
    first, last = 0, len(times_ns)
    while first < last and times_ns[first] < start_ns:
        first += 1
    while last > first and times_ns[last - 1] >= end_ns:
        last -= 1
    return first, last


def _part(series: GroupSeries, first: int, last: int) -> GroupSeries:
    return series if (first, last) == (0, len(series.times_ns)) else _cut(series, slice(first, last))


def _last(series: GroupSeries, rows: int) -> GroupSeries:
    return series if len(series.times_ns) <= rows else _cut(series, slice(-rows, None))


def _cut(series: GroupSeries, part: slice) -> GroupSeries:
    columns = {name: values[part] for name, values in series.columns.items()}
    # Not by `dataclasses.replace`, which takes longer than all the rest where a window is a few readings.
    return GroupSeries(
        series.group, series.source, series.times_ns[part], columns, series.starts_ns[part], series.sets[part]
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
