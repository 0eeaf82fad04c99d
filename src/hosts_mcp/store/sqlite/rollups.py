"""`signals_5m`: the five-minute rollup, whose columns follow the catalogue of derived signals."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from hosts_mcp.signals.catalogue import SIGNALS
from hosts_mcp.signals.model import BIN_NS
from hosts_mcp.store.protocol import Rollup, Sparse
from hosts_mcp.store.sqlite.values import to_json

_NAMES: tuple[str, ...] = tuple(signal.name for signal in SIGNALS)
COLUMNS = tuple(f"{name}_{part}" for name in _NAMES for part in ("mean", "max"))
"""Those of the table that hold values; a version that knows more adds them."""
_INSERT = (
    f"INSERT OR REPLACE INTO signals_5m (host_id, start_ns, derived_ns, worst_disk, {', '.join(COLUMNS)}) "
    f"VALUES ({', '.join('?' * (4 + len(COLUMNS)))})"
)


def write_rollup(db: sqlite3.Connection, host_id: int, rollup: Rollup, derived_ns: int) -> None:
    rows = []
    for i, start_ns in enumerate(rollup.starts_ns):
        row: list[Any] = [host_id, start_ns, derived_ns, rollup.worst_disk[i]]
        for name in _NAMES:
            row += [values[name][i] if name in values else None for values in (rollup.mean, rollup.maximum)]
        rows.append(row)
    db.executemany(_INSERT, rows)


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
    some = set(_NAMES if wanted is None else wanted)
    names = [name for name in _NAMES if name in some and f"{name}_mean" in present]
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
