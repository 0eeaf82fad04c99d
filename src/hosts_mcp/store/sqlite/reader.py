"""The reader: the whole `Store`, over a pool of read-only connections, one per call at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.signals.model import BIN_NS, TICK_NS, RawSeries, Samples
from hosts_mcp.store.protocol import (
    About,
    Arrived,
    Entity,
    EntityKind,
    FindingRow,
    Host,
    Instance,
    KeptLog,
    MetricName,
    Rollup,
    Run,
    Span,
    SpanDetails,
    Sparse,
    SqlResult,
    Stored,
    TraceFilter,
    TraceSummary,
)
from hosts_mcp.store.sqlite import (
    compaction,
    entities,
    jobs,
    query,
    read_points,
    read_samples,
    read_traces,
    rollups,
    schema,
    views,
)
from hosts_mcp.store.sqlite.samples import SampleColumns
from hosts_mcp.store.sqlite.values import MAX_NS
from hosts_mcp.text import human_bytes, human_seconds
from hosts_mcp.timerange import NS

LISTENING_SLACK_NS = 60_000_000_000
"""A heartbeat that is younger says that the server listens still; shorter gaps are a restart nobody notices."""
_AT_ONCE = 500
_LIMITS: Sequence[tuple[str, str, Callable[[int], str]]] = (
    ("retention_ns", "points and spans", lambda ns: human_seconds(ns / NS)),
    ("retention_long_ns", "five-minute signals, runs and findings", lambda ns: human_seconds(ns / NS)),
    ("max_bytes", "file", human_bytes),
)


class SqliteReader:
    """Implements `Store`. Open with `open_reader`; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self._layouts = read_points.Layouts()
        first = schema.open_for_reading(path)
        self._columns = SampleColumns(first)
        self._idle.append(first)

    def close(self) -> None:
        """Close idle connections; those in use close when their call ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction of its own."""
        with self._lock:
            if self._closed:
                raise StoreUnusable(f"The reader of {self.path} is closed.")
            db = self._idle.pop() if self._idle else None
        db = db or schema.open_for_reading(self.path)
        try:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            db.close()
            raise StoreUnusable(f"{self.path} cannot be read: {error}.") from error
        except BaseException:
            self._return(db)
            raise
        self._return(db)

    def _return(self, db: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(db)
                return
        db.close()

    # ---- the file

    def about(self) -> About:
        with self._reading() as db:
            counters = dict(db.execute("SELECT name, value FROM counter").fetchall())
            oldest = _edge(db, "min")
            newest = _edge(db, "max")
            hosts = db.execute("SELECT count(*) FROM host WHERE kind <> 'container'").fetchone()[0]
            pages, page_bytes = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return About(
            engine=f"SQLite {sqlite3.sqlite_version}",
            path=str(self.path),
            schema_version=schema.version(),
            size_bytes=pages * page_bytes,
            oldest_ns=oldest,
            newest_ns=newest,
            points=counters.get("points", 0),
            spans=counters.get("spans", 0),
            traces=counters.get("traces", 0),
            hosts=hosts,
            retention={label: shown(counters[name]) for name, label, shown in _LIMITS if name in counters},
            last_written_ns=counters.get("last_written_ns"),
        )

    def not_listening(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        with self._reading() as db:
            runs = db.execute(
                "SELECT started_ns, alive_ns FROM server_run WHERE started_ns < ? ORDER BY started_ns", (end_ns,)
            ).fetchall()
        gaps: list[tuple[int, int]] = []
        silent_from = start_ns
        for began, alive in runs:
            if began - silent_from > LISTENING_SLACK_NS:
                gaps.append((silent_from, began))
            silent_from = max(silent_from, alive)
        if end_ns - silent_from > LISTENING_SLACK_NS:
            gaps.append((silent_from, end_ns))
        return gaps

    def arrived(self, since_ns: int = 0) -> list[Arrived]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT signal, what, nullif(service, ''), kept, count, last_arrived_ns, note FROM arrival "
                "WHERE last_arrived_ns >= ? ORDER BY signal, what, service, kept",
                (since_ns,),
            )
            return [
                Arrived(signal, what, service, bool(kept), count, last_ns, note)
                for signal, what, service, kept, count, last_ns, note in rows
            ]

    # ---- hosts and what runs on them

    def hosts(self) -> list[Host]:
        with self._reading() as db:
            return entities.hosts(db)

    def host(self, key: str) -> Host | None:
        with self._reading() as db:
            return entities.host_of_key(db, key)

    def entities(self, ids: Iterable[int]) -> Mapping[int, Entity]:
        wanted = sorted(set(ids))
        found: dict[int, Entity] = {}
        with self._reading() as db:
            for at in range(0, len(wanted), _AT_ONCE):
                some = wanted[at : at + _AT_ONCE]
                rows = entities.entities(db, f"WHERE id IN ({', '.join('?' * len(some))})", some)
                found.update((entity.id, entity) for entity in rows)
        return found

    def processes(self, host_id: int, start_ns: int, end_ns: int) -> list[Entity]:
        with self._reading() as db:
            return entities.entities(
                db,
                "WHERE host_id = ? AND kind = 'process' AND last_seen_ns >= ? AND first_seen_ns < ? ORDER BY id",
                (host_id, start_ns, min(end_ns, MAX_NS)),
            )

    def services(self, host_id: int | None = None, since_ns: int = 0) -> list[Entity]:
        with self._reading() as db:
            return entities.entities(
                db,
                "WHERE kind = 'service' AND last_seen_ns >= ?1 AND (?2 IS NULL OR host_id = ?2) "
                "ORDER BY last_seen_ns DESC, id",
                (since_ns, host_id),
            )

    def instances(self, *, service: str | None = None, host_id: int | None = None, since_ns: int = 0) -> list[Instance]:
        with self._reading() as db:
            return read_traces.instances(db, service, host_id, since_ns)

    # ---- metrics

    def samples(self, host_id: int, start_ns: int, end_ns: int, groups: Iterable[str] | None = None) -> Samples:
        with self._reading() as db:
            return read_samples.samples(db, self._columns, host_id, start_ns, min(end_ns, MAX_NS), groups)

    def newest(
        self, host_ids: Iterable[int] | None = None, rows: int = 4, groups: Iterable[str] | None = None
    ) -> Mapping[int, Samples]:
        some = None if groups is None else [group for group in self._columns.groups if group in set(groups)]
        with self._reading() as db:
            wanted = [row[0] for row in db.execute("SELECT id FROM host")] if host_ids is None else host_ids
            return {host_id: read_samples.newest(db, self._columns, host_id, rows, some) for host_id in wanted}

    def rollup(
        self,
        host_id: int,
        start_ns: int,
        end_ns: int,
        names: Iterable[str] | None = None,
        bin_ns: int = BIN_NS,
        *,
        maxima: bool = True,
        sparse: Sparse | None = None,
    ) -> Rollup:
        with self._reading() as db:
            end_ns = min(end_ns, MAX_NS)
            return rollups.read_rollup(db, host_id, start_ns, end_ns, names, bin_ns, maxima=maxima, sparse=sparse)

    def last_scrape(self, host_id: int, start_ns: int, end_ns: int) -> int:
        with self._reading() as db:
            return read_samples.last_scrape(db, host_id, start_ns, min(end_ns, MAX_NS))

    def points(
        self,
        host_id: int,
        metrics: Iterable[str],
        start_ns: int,
        end_ns: int,
        *,
        entity_kind: EntityKind = "host",
        entity_ids: Iterable[int] | None = None,
        limit_scrapes: int | None = None,
    ) -> list[RawSeries]:
        with self._reading() as db:
            return read_points.points(
                db, self._layouts, host_id, metrics, start_ns, end_ns, entity_kind, entity_ids, limit_scrapes
            )

    def metric_names(self, host_id: int) -> list[MetricName]:
        with self._reading() as db:
            return read_points.metric_names(db, self._layouts, host_id)

    def stored(self, host_id: int) -> Stored:
        with self._reading() as db:
            return read_points.stored(db, self._layouts, host_id)

    # ---- what the jobs compute beside the writer

    def compactable(self, now_ns: int) -> list[tuple[int, int]]:
        """(host id, hour) of every hour that waits to be compacted."""
        with self._reading() as db:
            return list(compaction.due(db, now_ns))

    def piece(self, host_id: int, hour: int) -> compaction.Piece | None:
        """The next piece of such an hour, for `SqliteWriter.compact`; None when nothing is left of it."""
        with self._reading() as db:
            return compaction.piece(db, host_id, hour)

    # ---- traces

    def trace(self, trace_id: bytes) -> list[Span]:
        with self._reading() as db:
            return read_traces.trace(db, trace_id)

    def trace_ids(self, prefix: str, limit: int = 10) -> list[bytes]:
        with self._reading() as db:
            return read_traces.trace_ids(db, prefix, limit)

    def span_details(self, trace_id: bytes) -> Mapping[bytes, SpanDetails]:
        with self._reading() as db:
            return read_traces.span_details(db, trace_id)

    def traces(self, wanted: TraceFilter) -> list[TraceSummary]:
        with self._reading() as db:
            return read_traces.traces(db, wanted)

    def runs(
        self,
        service: str,
        operation: str,
        *,
        before_ns: int | None = None,
        after_ns: int | None = None,
        host_id: int | None = None,
        limit: int = 60,
    ) -> list[Run]:
        with self._reading() as db:
            return read_traces.runs(db, service, operation, before_ns, after_ns, host_id, limit)

    def histories(
        self, operations: Iterable[tuple[str, str]], before_ns: int, limit: int = 40
    ) -> Mapping[tuple[str, str], list[Run]]:
        with self._reading() as db:
            return {
                (service, operation): read_traces.runs(db, service, operation, before_ns, None, None, limit)
                for service, operation in dict.fromkeys(operations)
            }

    def runs_between(
        self,
        start_ns: int,
        end_ns: int,
        *,
        host_id: int | None = None,
        roots_only: bool = False,
        limit: int = 500,
    ) -> list[Run]:
        with self._reading() as db:
            return read_traces.runs_between(db, start_ns, end_ns, host_id, roots_only, limit)

    # ---- logs and findings

    def logs(
        self,
        *,
        host_id: int | None = None,
        trace_id: bytes | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 100,
    ) -> list[KeptLog]:
        """The newest `limit` that fit, oldest first."""
        clauses: list[tuple[str, Sequence[object]]] = [("time_ns >= ? AND time_ns < ?", (start_ns or 0, MAX_NS))]
        if end_ns is not None:
            clauses.append(("time_ns < ?", (min(end_ns, MAX_NS),)))
        if host_id is not None:
            clauses.append(("host_id = ?", (host_id,)))
        if trace_id is not None:
            clauses.append(("trace_id = ?", (trace_id,)))
        with self._reading() as db:
            rows = db.execute(
                "SELECT what, time_ns, host_id, entity_id, service, coalesce(trace_id, x''), coalesce(span_id, x''), "
                f"text FROM kept_log WHERE {' AND '.join(c for c, _ in clauses)} ORDER BY time_ns DESC LIMIT ?",
                (*(value for _, values in clauses for value in values), limit),
            ).fetchall()
        return [KeptLog(*row) for row in reversed(rows)]

    def findings(
        self,
        host_id: int | None = None,
        *,
        open_only: bool = True,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> list[FindingRow]:
        with self._reading() as db:
            return jobs.findings(
                db,
                "WHERE (?1 IS NULL OR host_id = ?1) AND (?2 = 0 OR until_ns IS NULL) "
                "AND (until_ns IS NULL OR until_ns >= ?3) AND since_ns < ?4",
                (host_id, int(open_only), start_ns or 0, MAX_NS if end_ns is None else end_ns),
            )

    # ---- SQL

    def sql(self, sql: str, *, max_rows: int = 500, max_bytes: int = 24_000, seconds: float = 5.0) -> SqlResult:
        return query.run(self.path, sql, max_rows, max_bytes, seconds)

    def sql_schema(self) -> str:
        with self._reading() as db:
            return views.describe(db)


def _edge(db: sqlite3.Connection, function: str) -> int | None:
    """Oldest (min) or newest (max) time that any host's wide rows have: one seek per host and source."""
    feeds = db.execute("SELECT id FROM feed WHERE groups <> ''").fetchall()
    ticks = [db.execute(f"SELECT {function}(tick) FROM sample WHERE feed_id = ?", feed).fetchone()[0] for feed in feeds]
    known = [tick for tick in ticks if tick is not None]
    return (min(known) if function == "min" else max(known)) * TICK_NS if known else None
