"""Writing spans: one narrow row each, clustered by trace, details compressed beside them, a summary per trace.
Whatever number of traces a request has spans of, each table is written by one statement.

Of one (trace, span id) one row is kept. A pending span (Logfire's `logfire.span_type` = `pending_span`, sent when a
span starts, with an id of its own and the real span as its parent) is stored as the real span without an end; the real
span replaces it. Of two different spans with one id the one that ends last wins, then the greater content: the
result never depends on the order of arrival.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple

from hosts_mcp.otlp.batch import SpanDetails, SpanRecord, Value
from hosts_mcp.otlp.details import (
    DB_SYSTEM,
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_TYPE,
    PENDING_PARENT,
    PID,
    SERVER_ADDRESS,
    SPAN_TYPE,
    read,
)
from hosts_mcp.store.sqlite.details import Opened, canonical, pack, stored
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.values import canonical_json, ns, small_int, text, text_of
from hosts_mcp.store.sqlite.vocabulary import REMEMBERED

ERROR = 2
_ENTRY_KINDS = (2, 5)
"""SERVER and CONSUMER: may be the first span of a trace that an uninstrumented sender began."""
_AT_ONCE = 500
_MESSAGE_LIMIT = 500
_PIECE_BYTES = 256 * 1024
"""Details that are compressed together: many, since the last page of a blob is half empty; not all, since a question
about one trace inflates them all."""


class _Row(NamedTuple):
    """A narrow row on its way in, and the details of the span, empty when there are none."""

    span_id: bytes
    parent_id: bytes | None
    entity_id: int
    name: str
    kind: int
    start_ns: int
    end_ns: int | None
    status: int
    status_message: str | None
    pending: int
    exception_type: str | None
    exception_message: str | None
    server_address: str | None
    db_system: str | None
    pid: int | None
    details: bytes = b""


_NARROW = _Row._fields[:-1]
COLUMNS = (*_NARROW, "arrived_ns", "detail", "place")
_SELECT = f"SELECT {', '.join((*_NARROW, 'detail', 'place'))} FROM span WHERE trace = ?"
_INSERT = f"INSERT OR REPLACE INTO span (trace, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"

_ROOT = ("root_span", "root_start_ns", "root_end_ns", "root_status")
_EARLIER_ROOT = "root_span IS NULL OR (root_start_ns, root_span) > (excluded.root_start_ns, excluded.root_span)"
_SUMMARISE = (
    "INSERT INTO trace (id, trace_id, last_arrived_ns, start_ns, end_ns, spans, errors, pending, entries, "
    f"{', '.join(_ROOT)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET settled = 0, "
    "last_arrived_ns = max(last_arrived_ns, excluded.last_arrived_ns), start_ns = min(start_ns, excluded.start_ns), "
    "end_ns = max(end_ns, excluded.end_ns), spans = spans + excluded.spans, errors = errors + excluded.errors, "
    "pending = pending + excluded.pending, entries = entries + excluded.entries, "
    + ", ".join(f"{column} = iif({_EARLIER_ROOT}, excluded.{column}, {column})" for column in _ROOT)
)
_SUMMARISE_AGAIN = (
    "UPDATE trace SET (start_ns, end_ns, spans, errors, pending, entries) = (SELECT min(start_ns), "
    "max(coalesce(end_ns, start_ns)), count(*), sum(status = 2), sum(pending), sum(kind IN (2, 5)) "
    f"FROM span WHERE trace = ?1), ({', '.join(_ROOT)}) = (SELECT span_id, start_ns, end_ns, status "
    "FROM span WHERE trace = ?1 AND parent_id IS NULL ORDER BY start_ns, span_id LIMIT 1) WHERE id = ?1"
)
"""From all spans of the trace: where a row that was counted has changed."""


class SpanWriter:
    def __init__(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = db
        self._ledger = ledger
        self._traces: dict[bytes, int] = {}

    def forget_traces(self) -> None:
        self._traces.clear()

    def add(self, spans: Sequence[tuple[int, SpanRecord]], arrived_ns: int) -> tuple[int, int]:
        """Numbers of new spans and of new traces."""
        by_trace: dict[bytes, dict[bytes, _Row]] = defaultdict(dict)
        seen: dict[int, _Seen] = {}
        for entity_id, record in spans:
            row = _row(entity_id, record)
            _note(seen, row)
            group = by_trace[record.trace_id]
            other = group.setdefault(row.span_id, row)
            if other is not row and _is_greater(row, other):
                group[row.span_id] = row
        numbers, new_traces = self._numbers(by_trace)
        rows: list[tuple[int, _Row]] = []
        summaries: list[tuple[Any, ...]] = []
        changed: list[tuple[int]] = []
        new_spans = 0
        opened: dict[int, Opened] = {}
        for trace_id, group in by_trace.items():
            trace = numbers[trace_id]
            replaced = set() if trace_id in new_traces else self._settle_duplicates(trace, group, opened)
            if not group:
                continue
            rows += [(trace, row) for row in group.values()]
            summaries.append((trace, trace_id, arrived_ns, *_summary(group.values())))
            if replaced:
                changed.append((trace,))
            new_spans += len(group) - len(replaced)
            for row in group.values():
                seen[row.entity_id].spans += row.span_id not in replaced
        write = self._db.executemany
        write(_SUMMARISE, summaries)
        write(_INSERT, self._columns(rows, arrived_ns))
        write("INSERT OR IGNORE INTO trace_entity VALUES (?, ?)", {(trace, row.entity_id) for trace, row in rows})
        write(_SUMMARISE_AGAIN, changed)
        write(
            "UPDATE entity SET spans = spans + ?, first_seen_ns = min(first_seen_ns, ?), "
            "last_seen_ns = max(last_seen_ns, ?), last_arrived_ns = max(last_arrived_ns, ?) WHERE id = ?",
            [(s.spans, s.first_ns, s.last_ns, arrived_ns, entity_id) for entity_id, s in seen.items()],
        )
        return new_spans, len(new_traces)

    def _numbers(self, trace_ids: Iterable[bytes]) -> tuple[dict[bytes, int], set[bytes]]:
        """The traces' numbers, and which of them are new: those get the next free ones."""
        (last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'trace'").fetchone()
        numbers: dict[bytes, int] = {}
        new: set[bytes] = set()
        for trace_id in trace_ids:
            known = self._traces.get(trace_id)
            if known is None:
                row = self._db.execute("SELECT id FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
                if row is None:
                    new.add(trace_id)
                known = last + len(new) if row is None else int(row[0])
                if len(self._traces) > REMEMBERED:
                    self._traces.clear()
                self._ledger.remember(self._traces, trace_id, known)
            numbers[trace_id] = known
        return numbers, new

    def _settle_duplicates(self, trace: int, group: dict[bytes, _Row], opened: dict[int, Opened]) -> set[bytes]:
        """Take out of `group` what the file has already; the ids of spans that replace a stored row."""
        replaced: set[bytes] = set()
        alike: list[tuple[_Row, int | None, int]] = []
        ids = list(group)
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            found = self._db.execute(f"{_SELECT} AND span_id IN ({', '.join('?' * len(some))})", (trace, *some))
            for *narrow, detail, place in found.fetchall():
                other = _Row(*narrow)
                if _rank(group[other.span_id]) == _rank(other):
                    alike.append((other, detail, place))
                elif _rank(group[other.span_id]) > _rank(other):
                    replaced.add(other.span_id)
                else:
                    del group[other.span_id]
        details = stored(self._db, ((other.span_id, detail, place) for other, detail, place in alike), opened)
        for other, _, _ in alike:
            if _content(group[other.span_id]) > _content(other, details.get(other.span_id)):
                replaced.add(other.span_id)
            else:
                del group[other.span_id]
        return replaced

    def _columns(self, rows: Iterable[tuple[int, _Row]], at_ns: int) -> list[tuple[Any, ...]]:
        """What `_INSERT` takes; the details are put into blobs."""
        found: list[tuple[Any, ...]] = []
        for piece in _pieces(rows):
            details = [row.details for _, row in piece if row.details]
            detail = None
            if details:
                insert = "INSERT INTO span_detail (arrived_ns, v) VALUES (?, ?)"
                detail = self._db.execute(insert, (at_ns, pack(details))).lastrowid
            place = count()
            found += [
                (trace, *row[:-1], at_ns, *((detail, next(place)) if row.details else (None, None)))
                for trace, row in piece
            ]
        return found


def _pieces(rows: Iterable[tuple[int, _Row]]) -> Iterator[list[tuple[int, _Row]]]:
    piece: list[tuple[int, _Row]] = []
    size = 0
    for trace, row in rows:
        piece.append((trace, row))
        size += len(row.details)
        if size >= _PIECE_BYTES:
            yield piece
            piece, size = [], 0
    yield piece


def _summary(rows: Collection[_Row]) -> tuple[Any, ...]:
    """start_ns, end_ns, spans, errors, pending, entries and the columns of `_ROOT` of a trace that has these spans."""
    roots = [(row.start_ns, row.span_id, row.end_ns, row.status) for row in rows if not row.parent_id]
    start_ns, root, end_ns, status = min(roots, key=itemgetter(0, 1), default=(None,) * 4)
    return (
        min(row.start_ns for row in rows),
        max(row.end_ns or row.start_ns for row in rows),
        len(rows),
        sum(row.status == ERROR for row in rows),
        sum(row.pending for row in rows),
        sum(row.kind in _ENTRY_KINDS for row in rows),
        root,
        start_ns,
        end_ns,
        status,
    )


@dataclass(slots=True)
class _Seen:
    """What came of an entity: new spans, first begin, last end. A repeated span widens nothing and is not counted."""

    first_ns: int
    last_ns: int
    spans: int = 0


def _note(seen: dict[int, _Seen], row: _Row) -> None:
    first_ns, last_ns = row.start_ns, row.end_ns or row.start_ns
    known = seen.get(row.entity_id)
    if known is None:
        seen[row.entity_id] = _Seen(first_ns, last_ns)
    else:
        known.first_ns = min(known.first_ns, first_ns)
        known.last_ns = max(known.last_ns, last_ns)


def _is_greater(row: _Row, other: _Row) -> bool:
    """The greatest of several spans with one id is kept."""
    if _rank(row) == _rank(other):
        return _content(row) > _content(other)
    return _rank(row) > _rank(other)


def _rank(row: _Row) -> tuple[bool, int]:
    return (not row.pending, row.end_ns or 0)


def _content(row: _Row, kept: SpanDetails | None = None) -> tuple[str, str]:
    """Decides between spans of one rank; the entity's number is of no account. `kept`: details of a stored row."""
    narrow = [value.hex() if isinstance(value, bytes) else value for value in row[:2] + row[3:-1]]
    return canonical_json(narrow), canonical(read(row.details) if row.details else kept)


def _row(entity_id: int, record: SpanRecord) -> _Row:
    tells = record.telling
    span_id, parent_id = record.span_id, record.parent_id
    pending = tells.get(SPAN_TYPE) == "pending_span"
    if pending and parent_id:
        span_id, parent_id = parent_id, _span_id(tells.get(PENDING_PARENT))
    pid = tells.get(PID)
    return _Row(
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
        text_of(tells, (EXCEPTION_TYPE, ERROR_TYPE)) if tells else None,
        text_of(tells, (EXCEPTION_MESSAGE,), _MESSAGE_LIMIT) if tells else None,
        text_of(tells, SERVER_ADDRESS) if tells else None,
        text_of(tells, DB_SYSTEM) if tells else None,
        small_int(record.resource.attributes.get(PID) if pid is None else pid),
        record.details,
    )


def _span_id(value: Value) -> bytes:
    """A span id written in hex; zeros and nonsense are no id."""
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
    return found if any(found) else b""
