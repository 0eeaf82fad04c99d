"""What background work writes: runs of settled traces, five-minute signals, findings, the heartbeat."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from hosts_mcp.signals.model import BIN_NS
from hosts_mcp.store.protocol import FindingRow, Rollup, Run
from hosts_mcp.store.sqlite import rollups
from hosts_mcp.store.sqlite.values import ns, text

BACKLOG_NS = 1_000_000_000
ENDED_NS = 15_000_000_000
"""A finished root: its children come within a few exports of it."""
BIN_QUIET_NS = 60_000_000_000
"""A five-minute bin without a later one is derived once nothing has come for so long."""
_FINDING = "host_id, code, severity, subject, since_ns, until_ns, value, sentence, fix"


def start_run(db: sqlite3.Connection, now_ns: int) -> int:
    cursor = db.execute("INSERT INTO server_run (started_ns, alive_ns) VALUES (?, ?)", (now_ns, now_ns))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def heartbeat(db: sqlite3.Connection, run_id: int, now_ns: int) -> None:
    db.execute("UPDATE server_run SET alive_ns = max(alive_ns, ?) WHERE id = ?", (now_ns, run_id))


def quiet_traces(db: sqlite3.Connection, now_ns: int, quiet_ns: int, limit: int) -> list[bytes]:
    """Traces with spans that are in no run yet and for which nothing more is due, longest quiet first.

    Nothing more is due after `quiet_ns` without a new span; sooner when the root's end is there, and at once when the
    trace ended longer ago than `quiet_ns`: then it is a backlog (an import, a replay, a collector's retries), whose
    other spans come with it or not at all. Spans that come later unsettle it.
    """
    rows = db.execute(
        "SELECT trace_id FROM trace WHERE settled = 0 AND last_arrived_ns < ?1 AND (last_arrived_ns < ?3 OR end_ns < ?3"
        " OR (last_arrived_ns < ?2 AND pending = 0 AND root_end_ns IS NOT NULL)) ORDER BY last_arrived_ns LIMIT ?4",
        (now_ns - min(quiet_ns, BACKLOG_NS), now_ns - min(quiet_ns, ENDED_NS), now_ns - quiet_ns, limit),
    )
    return [row[0] for row in rows]


def settle(db: sqlite3.Connection, trace_id: bytes, runs: Sequence[Run], now_ns: int) -> None:
    """Replace the runs of a trace. It stays unsettled when spans have come that are not in them."""
    trace = db.execute("SELECT id, first_run, last_run, spans FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
    if trace is None:
        return
    number, first, last, spans = trace
    if first is not None:
        db.execute("DELETE FROM operation_run WHERE id BETWEEN ? AND ?", (first, last))
    ids = [_write_run(db, run, now_ns) for run in runs]
    settled = spans <= sum(run.spans for run in runs)
    db.execute(
        "UPDATE trace SET settled = ?, first_run = ?, last_run = ? WHERE id = ?",
        (settled, ids[0] if ids else None, ids[-1] if ids else None, number),
    )


def _write_run(db: sqlite3.Connection, run: Run, now_ns: int) -> int:
    operation = db.execute(
        "INSERT INTO operation (service, name) VALUES (?, ?) "
        "ON CONFLICT (name, service) DO UPDATE SET name = name RETURNING id",
        (text(run.service), text(run.operation)),
    ).fetchone()[0]
    cursor = db.execute(
        "INSERT INTO operation_run (operation_id, trace_id, host_id, root, start_ns, duration_ns, self_ns, spans, "
        "outcome, settled_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (operation, run.trace_id, run.host_id, run.root, ns(run.start_ns), ns(run.duration_ns), ns(run.self_ns),
         run.spans, run.outcome, now_ns),
    )  # fmt: skip
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def dirty_bins(db: sqlite3.Connection, limit: int, now_ns: int | None = None) -> list[tuple[int, int, int]]:
    """(host id, start, end) of five-minute bins whose points changed since they were derived, and that are over:
    the host has points in a later bin, or nothing has come for a minute. `write_rollup` takes them off the list."""
    quiet = (time.time_ns() if now_ns is None else now_ns) - BIN_QUIET_NS
    rows = db.execute(
        "SELECT host_id, bin FROM touched AS t WHERE arrived_ns < ? OR EXISTS (SELECT 1 FROM touched AS later "
        "WHERE later.host_id = t.host_id AND later.bin > t.bin) LIMIT ?",
        (quiet, limit),
    ).fetchall()
    db.executemany("UPDATE touched SET taken = 1 WHERE host_id = ? AND bin = ?", rows)
    return [(host_id, bin_ * BIN_NS, (bin_ + 1) * BIN_NS) for host_id, bin_ in rows]


def write_rollup(db: sqlite3.Connection, host_id: int, rollup: Rollup, now_ns: int) -> None:
    rollups.write_rollup(db, host_id, rollup, now_ns)
    db.execute("DELETE FROM touched WHERE host_id = ? AND taken = 1", (host_id,))


def findings(db: sqlite3.Connection, where: str = "", arguments: Sequence[object] = ()) -> list[FindingRow]:
    rows = db.execute(f"SELECT {_FINDING} FROM finding {where} ORDER BY since_ns, id", arguments)
    return [
        FindingRow(host, code, severity, subject or None, since_ns, until_ns, value, sentence, fix)
        for host, code, severity, subject, since_ns, until_ns, value, sentence, fix in rows
    ]


def write_findings(db: sqlite3.Connection, host_id: int, rows: Sequence[FindingRow]) -> None:
    """Insert or update by (code, subject, since); what is not among `rows` stays as it is."""
    db.executemany(
        f"INSERT INTO finding ({_FINDING}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (host_id, code, subject, since_ns) DO UPDATE SET severity = excluded.severity, "
        "until_ns = excluded.until_ns, value = excluded.value, sentence = excluded.sentence, fix = excluded.fix",
        [
            (host_id, row.code, row.severity, text(row.subject or ""), row.since_ns, row.until_ns, row.value,
             text(row.sentence), row.fix)
            for row in rows
        ],
    )  # fmt: skip
