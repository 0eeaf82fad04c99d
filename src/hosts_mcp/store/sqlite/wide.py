"""The two wide tables, whose columns follow the catalogue: `sample` (raw columns) and `signals_5m` (derived signals).

In `sample` each group of columns keeps its own clock: `<group>_offset_ns` (its time minus the tick's begin, NULL when
the group is not in the row), `<group>_set` (fingerprint of what was summed) and `<group>_start_ns`, NULL where it
equals the row's `start_ns`, as it does for nearly every row.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from hosts_mcp.signals.catalogue import COLUMNS, GROUPS, SIGNALS
from hosts_mcp.signals.model import BIN_NS, TICK_NS, GroupSeries, SampleRow
from hosts_mcp.store.protocol import Rollup, Sparse
from hosts_mcp.store.sqlite.values import ns, to_json

COLUMNS_OF: Mapping[str, tuple[str, ...]] = {
    group: tuple(column.name for column in COLUMNS if column.group == group) for group in GROUPS
}
_SET_BITS = 0x7FFFFFFF
"""Of a fingerprint as many bits are kept as tell two sets apart in four bytes; there are a dozen in every row."""
SIGNAL_NAMES: tuple[str, ...] = tuple(signal.name for signal in SIGNALS)
_SAMPLE = (
    *(("host_id", "source", "tick", "start_ns")),
    *(f"{group}_{part}" for group in GROUPS for part in ("offset_ns", "start_ns", "set")),
    *(column.name for column in COLUMNS),
)
_VALUE_NAMES = tuple(column.name for column in COLUMNS)
_ROLLUP = tuple(f"{name}_{part}" for name in SIGNAL_NAMES for part in ("mean", "max"))
_INSERT_ROLLUP = (
    f"INSERT OR REPLACE INTO signals_5m (host_id, start_ns, derived_ns, worst_disk, {', '.join(_ROLLUP)}) "
    f"VALUES ({', '.join('?' * (4 + len(_ROLLUP)))})"
)


def add_columns(db: sqlite3.Connection) -> None:
    """Columns that this version knows and the file does not have yet."""
    wanted = {
        "sample": {name: _sample_type(name) for name in _SAMPLE},
        "signals_5m": dict.fromkeys(_ROLLUP, "REAL"),
    }
    for table, columns in wanted.items():
        present = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for name, kind in columns.items():
            if name not in present:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def _sample_type(name: str) -> str:
    return "REAL" if name in _VALUE_NAMES else "INTEGER"


def write_samples(db: sqlite3.Connection, rows: Iterable[tuple[int, SampleRow]]) -> None:
    """Put (host id, row) pairs, replacing what stood there."""
    records: dict[str, list[Sequence[Any]]] = defaultdict(list)
    for host_id, row in rows:
        insert, record = _record(host_id, row)
        records[insert].append(record)
    for insert, alike in records.items():
        db.executemany(insert, alike)


def _record(host_id: int, row: SampleRow) -> tuple[str, Sequence[Any]]:
    """The statement that puts this row, and its arguments."""
    begin, times, starts, sets = row.tick * TICK_NS, row.times, row.starts, row.sets
    common = _commonest(starts)
    own = [starts.get(group, 0) for group in times]
    is_common = own.count(common) == len(own)
    insert, arrange = _insert(tuple(times), tuple(row.values), with_starts=not is_common)
    record: list[Any] = [host_id, row.source, row.tick, common]
    record += [time - begin for time in times.values()]
    record += [sets.get(group, 0) & _SET_BITS for group in times]
    record += row.values.values()
    if not is_common:
        record += [None if start == common else ns(start) for start in own]
    return insert, arrange(record)


@lru_cache(maxsize=1024)
def _insert(
    groups: Sequence[str], columns: Sequence[str], *, with_starts: bool
) -> tuple[str, Callable[[Sequence[Any]], Sequence[Any]]]:
    """How a row of these groups and columns is put: the statement, the same for every order they come in, and what
    brings arguments into its order. A third of the columns is in use: to bind NULL to the others takes longer."""
    parts = ("offset_ns", "set"), ("start_ns",) if with_starts else ()
    first, last = ([f"{group}_{part}" for part in some for group in groups] for some in parts)
    names = ["host_id", "source", "tick", "start_ns", *first, *columns, *last]
    order = sorted(range(len(names)), key=names.__getitem__)
    listed = ", ".join(names[i] for i in order)
    return f"INSERT OR REPLACE INTO sample ({listed}) VALUES ({', '.join('?' * len(names))})", itemgetter(*order)


def _commonest(starts: Mapping[str, int]) -> int:
    """The most frequent start; of equally frequent ones the largest, so that the row is a function of its groups."""
    distinct = set(starts.values())
    if len(distinct) < 2:
        return ns(distinct.pop()) if distinct else 0
    counted = Counter(starts.values())
    return ns(max(counted, key=lambda start: (counted[start], start)))


class SampleColumns:
    """Which columns of `sample` this file really has, and queries for one group."""

    def __init__(self, db: sqlite3.Connection) -> None:
        present = {row[1] for row in db.execute("PRAGMA table_info(sample)")}
        self.groups = {
            group: tuple(name for name in names if name in present)
            for group, names in COLUMNS_OF.items()
            if f"{group}_offset_ns" in present
        }

    def select(self, groups: Sequence[str]) -> str:
        """`SELECT` of the tick, the row's start, then per group offset, start, set and its columns."""
        parts = ["tick", "start_ns"]
        for group in groups:
            fingerprint = f"{group}_set & {_SET_BITS}"
            parts += (f"{group}_offset_ns", f"{group}_start_ns", fingerprint, *self.groups[group])
        return f"SELECT {', '.join(parts)} FROM sample"

    def series(self, groups: Sequence[str], source: str, rows: Sequence[Sequence[Any]]) -> dict[str, GroupSeries]:
        """Rows of `select(groups)`, oldest first -> one series per group that occurs in them."""
        found: dict[str, GroupSeries] = {}
        if not rows:
            return found
        columns = list(zip(*rows, strict=True))
        at = 2
        for group in groups:
            names = self.groups[group]
            part = columns[at : at + 3 + len(names)]
            at += 3 + len(names)
            series = _group_series(group, source, names, columns[0], columns[1], part)
            if series is not None:
                found[group] = series
        return found


def _group_series(
    group: str,
    source: str,
    names: Sequence[str],
    ticks: Sequence[int],
    row_starts: Sequence[int],
    part: Sequence[Sequence[Any]],
) -> GroupSeries | None:
    offsets = part[0]
    if None in offsets:
        keep = [i for i, offset in enumerate(offsets) if offset is not None]
        if not keep:
            return None
        ticks, row_starts = [ticks[i] for i in keep], [row_starts[i] for i in keep]
        part = [[column[i] for i in keep] for column in part]
        offsets = part[0]
    times = [tick * TICK_NS + offset for tick, offset in zip(ticks, offsets, strict=True)]
    starts = [common if own is None else own for own, common in zip(part[1], row_starts, strict=True)]
    columns = {name: values for name, values in zip(names, part[3:], strict=True) if values.count(None) < len(values)}
    return GroupSeries(group, source, times, columns, starts, part[2])


def write_rollup(db: sqlite3.Connection, host_id: int, rollup: Rollup, derived_ns: int) -> None:
    rows = []
    for i, start_ns in enumerate(rollup.starts_ns):
        row: list[Any] = [host_id, start_ns, derived_ns, rollup.worst_disk[i]]
        for name in SIGNAL_NAMES:
            row += [values[name][i] if name in values else None for values in (rollup.mean, rollup.maximum)]
        rows.append(row)
    db.executemany(_INSERT_ROLLUP, rows)


def read_rollup(
    db: sqlite3.Connection,
    host_id: int,
    start_ns: int,
    end_ns: int,
    wanted: Iterable[str] | None = None,
    bin_ns: int = BIN_NS,
    *,
    maxima: bool = True,
    sparse: Sparse | None = None,
) -> Rollup:
    """Bins that begin in [start, end), of all signals or of those wanted; `bin_ns`: so many put together."""
    present = {row[1] for row in db.execute("PRAGMA table_info(signals_5m)")}
    some = set(SIGNAL_NAMES if wanted is None else wanted)
    names = [name for name in SIGNAL_NAMES if name in some and f"{name}_mean" in present]
    if bin_ns == BIN_NS:
        head, (mean, most), grouping = ["start_ns", "worst_disk"], ("{}_mean", "{}_max"), ""
    else:
        head = [f"start_ns / {bin_ns} * {bin_ns} AS bin", "NULL"]
        (mean, most), grouping = ("avg({}_mean)", "max({}_max)"), "GROUP BY bin"
    columns = head + [part.format(name) for part in ((mean, most) if maxima else (mean,)) for name in names]
    which, named = _which(sparse, host_id, start_ns, present) if sparse is not None else ("", [])
    rows = db.execute(
        f"SELECT {', '.join(columns)} FROM signals_5m WHERE host_id = ? AND start_ns >= ? AND start_ns < ? "
        f"{which} {grouping} ORDER BY start_ns",
        (host_id, start_ns, end_ns, *named),
    ).fetchall()
    if not rows:
        return Rollup((), {}, {}, ())
    starts, worst, *values = zip(*rows, strict=True)
    kept = [i for i in range(len(names)) if values[i].count(None) < len(starts)]
    highest = {names[i]: values[len(names) + i] for i in kept} if maxima else {}
    return Rollup(starts, {names[i]: values[i] for i in kept}, highest, worst)


def _which(sparse: Sparse, host_id: int, start_ns: int, present: Collection[str]) -> tuple[str, list[Any]]:
    """SQL that leaves out the bins that `sparse` does not name, and its values."""
    some = ["start_ns >= ?", "start_ns = (SELECT min(start_ns) FROM signals_5m WHERE host_id = ? AND start_ns >= ?)"]
    values: list[Any] = [sparse.since_ns, host_id, start_ns]
    for name, least in sparse.least.items():
        if f"{name}_mean" in present:
            some.append(f"{name}_mean >= ?")
            values.append(least)
    # One term whatever their number: SQLite bounds the depth of an expression.
    touched = {at for begin, end in sparse.spans for at in range(begin // BIN_NS * BIN_NS, end + 1, BIN_NS)}
    some.append("start_ns IN (SELECT value FROM json_each(?))")
    values.append(to_json(sorted(touched)))
    return f"AND ({' OR '.join(some)})", values
