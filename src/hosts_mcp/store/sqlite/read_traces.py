"""Reading spans, traces and the history of operations."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from hosts_mcp.store.protocol import Instance, Run, Span, SpanDetails, TraceFilter, TraceSummary
from hosts_mcp.store.sqlite.details import stored
from hosts_mcp.store.sqlite.values import MAX_NS, from_json
from hosts_mcp.store.sqlite.views import DURATION_NS, OUTCOME

LONG_RUN_NS = 600_000_000_000
"""As in the index `long_run`: runs that long are looked for far before a window."""
_SPAN = (
    "SELECT span_id, coalesce(parent_id, x''), span.name, coalesce(e.name, ''), entity_id, e.host_id, span.kind, "
    "start_ns, end_ns, status, coalesce(status_message, ''), pending, exception_type, exception_message, "
    "server_address, db_system, coalesce(span.pid, e.pid), arrived_ns "
    "FROM span JOIN entity AS e ON e.id = entity_id WHERE trace = ? ORDER BY start_ns, span_id"
)
_OF_RUN = (
    "trace_id, CASE WHEN host_id NOT IN (SELECT host_id FROM forgotten) THEN host_id END, root, start_ns, "
    "duration_ns, self_ns, spans, outcome FROM operation_run"
)
_ORDERS: Mapping[str, str] = {
    "newest": "start_ns DESC, id DESC",
    "slowest": f"{DURATION_NS} DESC, start_ns DESC, id DESC",
    "errors_first": f"CASE {OUTCOME} WHEN 'error' THEN 0 WHEN 'unfinished' THEN 1 ELSE 2 END, start_ns DESC, id DESC",
}


def _number(db: sqlite3.Connection, trace_id: bytes) -> int | None:
    row = db.execute("SELECT id FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
    return None if row is None else int(row[0])


def trace(db: sqlite3.Connection, trace_id: bytes) -> list[Span]:
    number = _number(db, trace_id)
    rows = db.execute(_SPAN, (number,))
    return [Span._make((trace_id, *row[:11], row[11] == 1, *row[12:])) for row in rows]


def trace_ids(db: sqlite3.Connection, prefix: str, limit: int) -> list[bytes]:
    """By a lower-case hex prefix, newest first."""
    digits = prefix.strip().lower()
    if len(digits) > 32 or any(d not in "0123456789abcdef" for d in digits):
        return []
    low = bytes.fromhex(digits.ljust(32, "0"))
    high = bytes.fromhex(digits.ljust(32, "f"))
    rows = db.execute(
        "SELECT trace_id FROM trace WHERE trace_id BETWEEN ? AND ? ORDER BY start_ns DESC, id DESC LIMIT ?",
        (low, high, limit),
    )
    return [row[0] for row in rows]


def span_details(db: sqlite3.Connection, trace_id: bytes) -> dict[bytes, SpanDetails]:
    """Of every span of the trace that has any."""
    return stored(db, db.execute("SELECT span_id, detail, place FROM span WHERE trace = ?", (_number(db, trace_id),)))


def traces(db: sqlite3.Connection, wanted: TraceFilter) -> list[TraceSummary]:
    """From the summaries kept beside the spans, right also for traces that still arrive."""
    where, arguments = _where(wanted)
    rows = db.execute(
        f"SELECT id, trace_id, root_span, start_ns, {DURATION_NS}, spans, errors, {OUTCOME} FROM trace {where} "
        f"ORDER BY {_ORDERS[wanted.order]} LIMIT ?",
        (*arguments, wanted.limit),
    ).fetchall()
    return [_summary(db, row) for row in rows]


def _where(wanted: TraceFilter) -> tuple[str, list[Any]]:
    clauses: list[str] = []
    arguments: list[Any] = []

    def narrow(clause: str, *values: Any) -> None:
        clauses.append(clause)
        arguments.extend(values)

    if wanted.start_ns is not None:
        narrow("start_ns >= ?", wanted.start_ns)
    if wanted.end_ns is not None:
        narrow("start_ns < ?", min(wanted.end_ns, MAX_NS))
    if wanted.min_duration_ns:
        narrow(f"{DURATION_NS} >= ?", wanted.min_duration_ns)
    if wanted.outcome:
        narrow(f"{OUTCOME} = ?", wanted.outcome)
    for column, value in (("host_id", wanted.host_id), ("name", wanted.service)):
        if value:
            narrow(
                "EXISTS (SELECT 1 FROM trace_entity AS t WHERE t.trace = trace.id AND t.entity_id IN "
                f"(SELECT e.id FROM entity AS e WHERE e.kind = 'service' AND e.{column} = ?))",
                value,
            )
    if wanted.operation:
        narrow("EXISTS (SELECT 1 FROM span WHERE span.trace = trace.id AND span.name = ?)", wanted.operation)
    return ("WHERE " + " AND ".join(clauses) if clauses else ""), arguments


def _summary(db: sqlite3.Connection, row: Sequence[Any]) -> TraceSummary:
    number, trace_id, root_span, start_ns, duration_ns, spans, errors, outcome = row
    members = db.execute(
        "SELECT e.name, e.host_id FROM trace_entity AS t JOIN entity AS e ON e.id = t.entity_id WHERE t.trace = ?",
        (number,),
    ).fetchall()
    root = db.execute(
        "SELECT span.name, e.name FROM span JOIN entity AS e ON e.id = entity_id WHERE trace = ? AND span_id = ?",
        (number, root_span),
    ).fetchone()
    return TraceSummary(
        trace_id,
        root[0] if root else None,
        root[1] if root else None,
        tuple(sorted({name for name, _ in members if name})),
        tuple(sorted({host_id for _, host_id in members if host_id is not None})),
        start_ns,
        duration_ns,
        spans,
        errors,
        outcome,
    )


def runs(
    db: sqlite3.Connection,
    service: str,
    operation: str,
    before_ns: int | None,
    after_ns: int | None,
    host_id: int | None,
    limit: int,
) -> list[Run]:
    number = db.execute("SELECT id FROM operation WHERE name = ? AND service = ?", (operation, service)).fetchone()
    if number is None:
        return []
    newest = db.execute(
        f"SELECT {_OF_RUN} WHERE operation_id = ? AND start_ns < ? AND start_ns >= ? AND (?4 IS NULL OR host_id = ?4) "
        "ORDER BY start_ns DESC, id DESC LIMIT ?5",
        (number[0], MAX_NS if before_ns is None else before_ns, after_ns or 0, host_id, limit),
    ).fetchall()
    return [
        Run(trace_id, service, operation, host, root == 1, start_ns, duration_ns, self_ns, spans, outcome)
        for trace_id, host, root, start_ns, duration_ns, self_ns, spans, outcome in reversed(newest)
    ]


def runs_between(
    db: sqlite3.Connection, start_ns: int, end_ns: int, host_id: int | None, roots_only: bool, limit: int
) -> list[Run]:
    """Runs that overlap the window, the newest `limit` of them, oldest first."""
    overlapping = (
        f"SELECT service, operation.name, {_OF_RUN} JOIN operation ON operation.id = operation_id "
        "WHERE operation_run.id IN ("
        "SELECT id FROM operation_run WHERE start_ns >= ?1 - ?2 AND start_ns < ?3 UNION "
        f"SELECT id FROM operation_run WHERE start_ns < ?1 - ?2 AND duration_ns > {LONG_RUN_NS}) "
        "AND start_ns + duration_ns >= ?1 AND (?4 IS NULL OR host_id = ?4) AND (?5 = 0 OR root = 1) "
        "ORDER BY start_ns DESC, operation_run.id DESC LIMIT ?6"
    )
    arguments = (start_ns, LONG_RUN_NS, min(end_ns, MAX_NS), host_id, int(roots_only), limit)
    newest = db.execute(overlapping, arguments).fetchall()
    return [
        Run(trace_id, service, operation, host, root == 1, *rest)
        for service, operation, trace_id, host, root, *rest in reversed(newest)
    ]


def instances(db: sqlite3.Connection, service: str | None, host_id: int | None, since_ns: int) -> list[Instance]:
    """Service entities that sent spans, by service and first seen."""
    rows = db.execute(
        "SELECT name, attributes, id, host_id, pid, first_seen_ns, last_seen_ns, spans FROM entity "
        "JOIN entity_attributes ON entity_id = id WHERE kind = 'service' AND spans > 0 AND last_seen_ns >= ?1 "
        "AND (?2 IS NULL OR name = ?2) AND (?3 IS NULL OR host_id = ?3) ORDER BY name, first_seen_ns, id",
        (since_ns, service, host_id),
    )
    return [
        Instance(name or "", _instance(from_json(attributes), pid), number, host, pid, first_ns, last_ns, spans)
        for name, attributes, number, host, pid, first_ns, last_ns, spans in rows
    ]


def _instance(attributes: Mapping[str, Any], pid: int | None) -> str:
    """service.instance.id, else where it runs and as which process."""
    own = attributes.get("service.instance.id")
    if own not in (None, ""):
        return str(own)
    place = next((str(attributes[n]) for n in ("k8s.pod.name", "container.id", "host.name") if attributes.get(n)), "?")
    return place if pid is None else f"{place}/{pid}"
