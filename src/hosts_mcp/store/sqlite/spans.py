"""Writing spans: one narrow row each, clustered by trace, details compressed beside them, a summary per trace.

Of one (trace, span id) one row is kept. A pending span (Logfire's `logfire.span_type` = `pending_span`, sent when a
span starts, with an id of its own and the real span as its parent) is stored as the real span without an end; the real
span replaces it. Of two different spans with one id the one that ends last wins, then the greater content: the
result never depends on the order of arrival.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hosts_mcp.otlp.batch import SpanRecord, Value
from hosts_mcp.store.sqlite.details import canonical, has_details, pack, plain, unpack
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.values import ns, small_int, text, text_of
from hosts_mcp.store.sqlite.vocabulary import REMEMBERED

ERROR = 2
_ENTRY_KINDS = (2, 5)
"""SERVER and CONSUMER: may be the first span of a trace that an uninstrumented sender began."""
_AT_ONCE = 500
_SERVER_ADDRESS = ("server.address", "net.peer.name", "peer.hostname")
_DB_SYSTEM = ("db.system.name", "db.system")
_MESSAGE_LIMIT = 500

COLUMNS = (
    "span_id", "parent_id", "entity_id", "name", "kind", "start_ns", "end_ns", "status", "status_message", "pending",
    "exception_type", "exception_message", "server_address", "db_system", "pid", "arrived_ns", "detail",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM span WHERE trace = ?"
_INSERT = f"INSERT OR REPLACE INTO span (trace, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"


@dataclass(slots=True)
class _Candidate:
    """A narrow row on its way in: `row` has the fields of COLUMNS up to `pid`; `details` None when there are none."""

    row: tuple[Any, ...]
    details: list[object] | None

    @property
    def span_id(self) -> bytes:
        return bytes(self.row[0])

    def rank(self) -> tuple[bool, int, str]:
        """The greatest of several spans with one id is kept; the entity's number is of no account."""
        pending, end_ns = bool(self.row[9]), self.row[6] or 0
        return (not pending, end_ns, canonical([_plain(self.row[:2] + self.row[3:]), self.details]))


class SpanWriter:
    def __init__(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = db
        self._ledger = ledger
        self._traces: dict[bytes, int] = {}

    def forget_traces(self) -> None:
        self._traces.clear()

    def add(self, spans: Sequence[tuple[int, SpanRecord]], arrived_ns: int) -> tuple[int, int]:
        """Numbers of new spans and of new traces."""
        by_trace: dict[bytes, dict[bytes, _Candidate]] = defaultdict(dict)
        seen: dict[int, list[int]] = {}
        for entity_id, record in spans:
            candidate = _candidate(entity_id, record)
            _note(seen, entity_id, candidate.row[5], candidate.row[6] or candidate.row[5])
            group = by_trace[record.trace_id]
            other = group.get(candidate.span_id)
            if other is None or candidate.rank() > other.rank():
                group[candidate.span_id] = candidate
        new_spans = new_traces = 0
        for trace_id, group in by_trace.items():
            trace, fresh = self._trace(trace_id, group.values(), arrived_ns)
            replaced = frozenset() if fresh else self._settle_duplicates(trace, group)
            new_traces += fresh
            new_spans += len(group) - len(replaced)
            if group:
                self._write(trace, group, replaced, arrived_ns)
            for candidate in group.values():
                seen[candidate.row[2]][0] += candidate.span_id not in replaced
        self._db.executemany(
            "UPDATE entity SET spans = spans + ?, first_seen_ns = min(first_seen_ns, ?), "
            "last_seen_ns = max(last_seen_ns, ?), last_arrived_ns = max(last_arrived_ns, ?) WHERE id = ?",
            [(n, first, last, arrived_ns, entity_id) for entity_id, (n, first, last) in seen.items()],
        )
        return new_spans, new_traces

    def _trace(self, trace_id: bytes, group: Iterable[_Candidate], arrived_ns: int) -> tuple[int, bool]:
        """The trace's number, and whether it is new."""
        known = self._traces.get(trace_id)
        if known is not None:
            return known, False
        row = self._db.execute("SELECT id FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
        if row is None:
            first = min(candidate.row[5] for candidate in group)
            row = self._db.execute(
                "INSERT INTO trace (trace_id, start_ns, end_ns, spans, errors, pending, entries, last_arrived_ns) "
                "VALUES (?, ?, ?, 0, 0, 0, 0, ?) RETURNING id",
                (trace_id, first, first, arrived_ns),
            ).fetchone()
            fresh = True
        else:
            fresh = False
        if len(self._traces) > REMEMBERED:
            self._traces.clear()
        self._ledger.remember(self._traces, trace_id, int(row[0]))
        return int(row[0]), fresh

    def _settle_duplicates(self, trace: int, group: dict[bytes, _Candidate]) -> frozenset[bytes]:
        """Take out of `group` what the file has already; the ids of spans that replace a stored row."""
        replaced = set()
        ids = list(group)
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            stored = self._db.execute(f"{_SELECT} AND span_id IN ({', '.join('?' * len(some))})", (trace, *some))
            for row in stored.fetchall():
                candidate = group[row[0]]
                if candidate.rank() > self._stored(row).rank():
                    replaced.add(row[0])
                else:
                    del group[row[0]]
        return frozenset(replaced)

    def _stored(self, row: tuple[Any, ...]) -> _Candidate:
        blob = self._db.execute("SELECT v FROM span_detail WHERE id = ?", (row[-1],)).fetchone()
        return _Candidate(row[:-2], unpack(blob[0]).get(row[0]) if blob else None)

    def _write(self, trace: int, group: Mapping[bytes, _Candidate], replaced: frozenset[bytes], at_ns: int) -> None:
        details = {span_id: c.details for span_id, c in group.items() if c.details is not None}
        detail = None
        if details:
            blob = pack(details)
            detail = self._db.execute("INSERT INTO span_detail (arrived_ns, v) VALUES (?, ?)", (at_ns, blob)).lastrowid
        self._db.executemany(
            _INSERT,
            [(trace, *c.row, at_ns, None if c.details is None else detail) for c in group.values()],
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO trace_entity VALUES (?, ?)", {(trace, c.row[2]) for c in group.values()}
        )
        if replaced:
            self._summarise_again(trace, at_ns)
        else:
            self._extend_summary(trace, group.values(), at_ns)

    def _extend_summary(self, trace: int, added: Iterable[_Candidate], arrived_ns: int) -> None:
        rows = [candidate.row for candidate in added]
        self._db.execute(
            "UPDATE trace SET start_ns = min(start_ns, ?), end_ns = max(end_ns, ?), spans = spans + ?, "
            "errors = errors + ?, pending = pending + ?, entries = entries + ?, settled = 0, "
            "last_arrived_ns = max(last_arrived_ns, ?) WHERE id = ?",
            (
                min(row[5] for row in rows),
                max(row[6] or row[5] for row in rows),
                len(rows),
                sum(row[7] == ERROR for row in rows),
                sum(row[9] for row in rows),
                sum(row[4] in _ENTRY_KINDS for row in rows),
                arrived_ns,
                trace,
            ),
        )
        roots = [(row[5], row[0], row[6], row[7]) for row in rows if not row[1]]
        if roots:
            start_ns, span_id, end_ns, status = min(roots, key=lambda root: root[:2])
            self._db.execute(
                "UPDATE trace SET root_span = ?, root_start_ns = ?, root_end_ns = ?, root_status = ? "
                "WHERE id = ? AND (root_span IS NULL OR (root_start_ns, root_span) > (?, ?))",
                (span_id, start_ns, end_ns, status, trace, start_ns, span_id),
            )

    def _summarise_again(self, trace: int, arrived_ns: int) -> None:
        """From all spans of the trace: a row that was counted has changed."""
        self._db.execute(
            "UPDATE trace SET (start_ns, end_ns, spans, errors, pending, entries) = (SELECT min(start_ns), "
            "max(coalesce(end_ns, start_ns)), count(*), sum(status = 2), sum(pending), sum(kind IN (2, 5)) "
            "FROM span WHERE trace = ?1), settled = 0, last_arrived_ns = max(last_arrived_ns, ?2), "
            "(root_span, root_start_ns, root_end_ns, root_status) = (SELECT span_id, start_ns, end_ns, status "
            "FROM span WHERE trace = ?1 AND parent_id IS NULL ORDER BY start_ns, span_id LIMIT 1) WHERE id = ?1",
            (trace, arrived_ns),
        )


def _note(seen: dict[int, list[int]], entity_id: int, first_ns: int, last_ns: int) -> None:
    """[new spans, first begin, last end] per entity; a repeated span widens nothing and is not counted."""
    known = seen.setdefault(entity_id, [0, first_ns, last_ns])
    known[1] = min(known[1], first_ns)
    known[2] = max(known[2], last_ns)


def _candidate(entity_id: int, record: SpanRecord) -> _Candidate:
    attributes = record.attributes
    pending = attributes.get("logfire.span_type") == "pending_span"
    span_id, parent_id = record.span_id, record.parent_id
    if pending and parent_id:
        span_id, parent_id = parent_id, _span_id(attributes.get("logfire.pending_parent_id"))
    exception = _exception(record)
    row = (
        span_id,
        parent_id or None,
        entity_id,
        text(record.name[:_MESSAGE_LIMIT]),
        record.kind,
        ns(record.start_ns),
        None if pending else ns(record.end_ns),
        record.status,
        text(record.status_message[:_MESSAGE_LIMIT]) or None,
        int(pending),
        text_of(exception, ("exception.type",)) or (text_of(attributes, ("error.type",)) if attributes else None),
        text_of(exception, ("exception.message",), _MESSAGE_LIMIT),
        text_of(attributes, _SERVER_ADDRESS) if attributes else None,
        text_of(attributes, _DB_SYSTEM) if attributes else None,
        _pid(record),
    )
    return _Candidate(row, plain(record) if has_details(record) else None)


def _exception(record: SpanRecord) -> Mapping[str, Value]:
    """Attributes of the last exception event, else the span's own."""
    for event in reversed(record.events):
        if event.name == "exception":
            return event.attributes
    return record.attributes


def _pid(record: SpanRecord) -> int | None:
    pid = record.attributes.get("process.pid")
    return small_int(record.resource.attributes.get("process.pid") if pid is None else pid)


def _span_id(value: Value) -> bytes:
    """A span id written in hex; zeros and nonsense are no id."""
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
    return found if any(found) else b""


def _plain(row: tuple[Any, ...]) -> list[Any]:
    return [value.hex() if isinstance(value, bytes) else value for value in row]
