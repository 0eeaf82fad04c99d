"""The writer: one connection, one thread. Everything between `begin` and `commit` is one transaction."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from hosts_mcp.otlp.batch import PointGroup, SpanRecord, Value
from hosts_mcp.store.protocol import Arrived, Entity, EntityKind, FindingRow, Host, KeptLog, Rollup, Run, StoreBusy
from hosts_mcp.store.sqlite import compaction, jobs, retries
from hosts_mcp.store.sqlite.entities import Directory, entities, hosts
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.points import PointWriter
from hosts_mcp.store.sqlite.retention import Retention
from hosts_mcp.store.sqlite.schema import open_for_writing
from hosts_mcp.store.sqlite.spans import SpanWriter
from hosts_mcp.store.sqlite.values import canonical_json, ns, text

P = ParamSpec("P")
T = TypeVar("T")


def _or_busy(
    method: Callable[Concatenate[SqliteWriter, P], T],
) -> Callable[Concatenate[SqliteWriter, P], T]:
    """SQLite's refusals (disk full, locked, input/output error, read-only) become StoreBusy."""

    @functools.wraps(method)
    def guarded(self: SqliteWriter, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except (sqlite3.OperationalError, sqlite3.InternalError) as error:
            raise StoreBusy(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise  # a constraint, a wrong value: ours to repair, not a refusal
            raise StoreBusy(f"{self.path}: {error}") from error

    return guarded


class SqliteWriter:
    """Implements `StoreWriter` and what the background jobs write. Open with `open_writer`."""

    def __init__(self, path: Path, synchronous: str = "full") -> None:
        self.path = path
        self._db = open_for_writing(path, synchronous)
        self._ledger = Ledger()
        self._directory = Directory(self._db, self._ledger)
        self._points = PointWriter(self._db, self._ledger)
        self._spans = SpanWriter(self._db, self._ledger)
        self._retention = Retention(self._db)
        self._counted: dict[str, int] = {}
        self._counted_before: dict[str, int] = {}
        self._last_arrived = 0
        self._inside_request = False
        self.generation = 0

    # ---- the transaction

    @_or_busy
    def begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._inside_request = False
        self._mark()

    @_or_busy
    def commit(self) -> None:
        self._add("points", self._points.flush())
        self._directory.flush()
        self._db.executemany(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            list(self._counted.items()),
        )
        if self._last_arrived:
            self._db.execute(
                "INSERT INTO counter VALUES ('last_written_ns', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                (self._last_arrived,),
            )
        self._db.execute("COMMIT")
        self._ledger.keep()
        self._counted.clear()
        self._last_arrived = 0

    def rollback(self) -> None:
        """Back to before `begin`: nothing of the transaction is stored, its ids are void."""
        self._points.void()
        self._directory.void()
        self._ledger.void()
        self._counted.clear()
        self._last_arrived = 0
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    @_or_busy
    def savepoint(self) -> None:
        if self._inside_request:
            self._db.execute("RELEASE request")
        self._db.execute("SAVEPOINT request")
        self._inside_request = True
        self._mark()

    @_or_busy
    def undo(self) -> None:
        self._points.undo()
        self._directory.undo()
        self._ledger.undo()
        self._counted = dict(self._counted_before)
        self._db.execute("ROLLBACK TO request")

    def _mark(self) -> None:
        self._points.mark()
        self._directory.mark()
        self._ledger.mark()
        self._counted_before = dict(self._counted)

    def _add(self, name: str, count: int) -> None:
        if count:
            self._counted[name] = self._counted.get(name, 0) + count

    def close(self) -> None:
        """Roll back what is open, fold the write-ahead log into the file and close it."""
        self.rollback()
        try:
            self._db.execute("PRAGMA optimize")
            self.checkpoint(truncate=True)
        except (sqlite3.Error, StoreBusy):
            pass  # a full disk must not keep a server from stopping; the log is replayed at the next start
        self._db.close()

    # ---- what arrives

    @_or_busy
    def first_time(self, request_hash: bytes, arrived_ns: int) -> bool:
        self._last_arrived = max(self._last_arrived, arrived_ns)
        return retries.first_time(self._db, request_hash, arrived_ns)

    @_or_busy
    def hosts(self) -> list[Host]:
        return hosts(self._db)

    @_or_busy
    def add_host(self, host: Host) -> Host:
        return replace(host, id=self._directory.add_host(host))

    @_or_busy
    def update_host(self, host: Host) -> None:
        self._directory.update_host(host)

    @_or_busy
    def note_hosts(self, hosts: Sequence[Host]) -> None:
        self._directory.note_hosts(hosts)

    @_or_busy
    def entity(
        self,
        kind: EntityKind,
        host_id: int | None,
        identity: bytes,
        attributes: Mapping[str, Value],
        started_ns: int | None,
        seen_ns: int,
        arrived_ns: int,
    ) -> int:
        return self._directory.entity(kind, host_id, identity, attributes, started_ns, seen_ns, arrived_ns)

    def seen(self, entity_id: int, first_ns: int, last_ns: int, arrived_ns: int) -> None:
        self._directory.seen(entity_id, first_ns, last_ns, arrived_ns)

    @_or_busy
    def service_entities(self) -> list[Entity]:
        return entities(self._db, "WHERE kind = 'service' ORDER BY id", ())

    @_or_busy
    def join_service(self, entity_id: int, host_id: int | None, rule: str | None, confidence: str | None) -> None:
        self._directory.join_service(entity_id, host_id, rule, confidence)

    @_or_busy
    def add_points(
        self, host_id: int, entity_id: int, source: str, groups: Sequence[PointGroup], arrived_ns: int
    ) -> None:
        self._last_arrived = max(self._last_arrived, arrived_ns)
        self._points.add(host_id, entity_id, self._directory.is_host(entity_id), source, groups, arrived_ns)

    @_or_busy
    def add_spans(self, spans: Sequence[tuple[int, SpanRecord]], arrived_ns: int) -> None:
        self._last_arrived = max(self._last_arrived, arrived_ns)
        new_spans, new_traces = self._spans.add(spans, arrived_ns)
        self._add("spans", new_spans)
        self._add("traces", new_traces)

    @_or_busy
    def add_log(self, log: KeptLog, arrived_ns: int) -> None:
        row = (log.what, ns(log.time_ns), log.host_id, log.entity_id, log.service, log.trace_id or None,
               log.span_id or None, text(log.text))  # fmt: skip
        identity = canonical_json([*row[:2], row[3:5], log.trace_id.hex(), log.span_id.hex(), log.text]).encode()
        self._db.execute(
            "INSERT OR IGNORE INTO kept_log (what, time_ns, host_id, entity_id, service, trace_id, span_id, text, "
            "identity, arrived_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, blake2b(identity, digest_size=16).digest(), arrived_ns),
        )

    @_or_busy
    def count(self, arrived: Arrived) -> None:
        self._db.execute(
            "INSERT INTO arrival (signal, what, service, kept, count, last_arrived_ns, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (signal, what, service, kept) DO UPDATE SET "
            "count = count + excluded.count, last_arrived_ns = max(last_arrived_ns, excluded.last_arrived_ns), "
            "note = coalesce(excluded.note, note)",
            (arrived.signal, text(arrived.what), text(arrived.service or ""), arrived.kept, arrived.count,
             arrived.last_arrived_ns, arrived.note),
        )  # fmt: skip

    # ---- what background work writes, inside a transaction that the caller began

    @_or_busy
    def start_run(self, now_ns: int) -> int:
        """A server begins to listen; its id for `heartbeat`."""
        return jobs.start_run(self._db, now_ns)

    @_or_busy
    def heartbeat(self, run_id: int, now_ns: int) -> None:
        jobs.heartbeat(self._db, run_id, now_ns)

    @_or_busy
    def quiet_traces(self, now_ns: int, quiet_ns: int, limit: int) -> list[bytes]:
        return jobs.quiet_traces(self._db, now_ns, quiet_ns, limit)

    @_or_busy
    def settle(self, trace_id: bytes, runs: Sequence[Run]) -> None:
        """Replace the trace's runs; it stays on the list when spans came that are not in them."""
        jobs.settle(self._db, trace_id, runs, time.time_ns())

    @_or_busy
    def dirty_bins(self, limit: int, now_ns: int | None = None) -> list[tuple[int, int, int]]:
        """(host id, start, end) of finished five-minute bins that changed since they were derived."""
        return jobs.dirty_bins(self._db, limit, now_ns)

    @_or_busy
    def write_rollup(self, host_id: int, rollup: Rollup) -> None:
        """Put these bins; the host's bins handed out by `dirty_bins` count as done."""
        jobs.write_rollup(self._db, host_id, rollup, time.time_ns())

    @_or_busy
    def write_findings(self, host_id: int, rows: Sequence[FindingRow]) -> None:
        jobs.write_findings(self._db, host_id, rows)

    @_or_busy
    def compact(self, piece: compaction.Piece) -> bool:
        """Put a piece (of `SqliteReader.piece`) in place; False when what it was made of has changed meanwhile."""
        self._points.held.clear()
        return compaction.put(self._db, piece)

    @_or_busy
    def retain(
        self, now_ns: int, retention_ns: int, retention_long_ns: int, max_size_bytes: int, step_rows: int = 500
    ) -> bool:
        """One small step of deleting what is too old or too much; True while more waits."""
        more = self._retention.step(now_ns, retention_ns, retention_long_ns, max_size_bytes, step_rows)
        self._drop_caches()
        return more

    @_or_busy
    def forget(self, host_id: int) -> None:
        """Let a host go: no question finds it or what came from it any more; services joined to it are unjoined, their
        spans stay. `forget_rest` (or `retain`, by and by) deletes what is left of it."""
        self._retention.forget(host_id)
        self._points.forget(host_id)
        self._directory.clear()
        self.generation += 1

    @_or_busy
    def forget_rest(self, step_rows: int = 500) -> bool:
        """Delete some rows of forgotten hosts; True while more wait."""
        more = self._retention.forget_rest(step_rows)
        self._drop_caches()
        return more

    def _drop_caches(self) -> None:
        """What retention deleted and memory holds must not be written again."""
        self._points.held.clear()
        if self._retention.traces_went:
            self._retention.traces_went = False
            self._spans.forget_traces()
        if self._retention.numbers_went:
            self._retention.numbers_went = False
            self._points.vocabulary.clear()
            self._directory.clear()
            self.generation += 1

    def checkpoint(self, truncate: bool = False) -> None:
        """Copy the write-ahead log into the file as far as readers allow. Ends the open transaction first, since
        SQLite refuses a checkpoint inside one, and begins the next."""
        inside = self._db.in_transaction
        if inside:
            self.commit()
        try:
            self._db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})").fetchall()
        except sqlite3.OperationalError as error:
            raise StoreBusy(f"{self.path}: {error}") from error
        finally:
            if inside:
                self.begin()
