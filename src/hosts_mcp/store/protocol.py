"""What a backend answers (`Store`) and what the way in needs of it (`StoreWriter`), with the plain data between.

A backend filters and buckets; rates, resets, percentages and verdicts are made above it, in one place, so that
every backend gives equal answers. All calls are synchronous. Times are integer nanoseconds UTC, of the host's own
clock unless the name says `arrived`. Results are ordered by time, oldest first, unless the docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from hosts_mcp.otlp.batch import PointGroup, Resource, SpanDetails, SpanRecord, Value
from hosts_mcp.signals.model import BIN_NS, BoxFacts, RawSeries, Rollup, Samples


class StoreBusy(Exception):
    """The file refuses writes for now (disk full, locked by another process, input/output error): nothing of the
    transaction is stored and the same data may be offered again."""


HostKind = Literal["host", "app", "container", "unidentified"]
"""host: a box whose collector reports; app: a box known only from an application's SDK; container: a workload whose
own metrics arrived, never listed as a box; unidentified: metrics without any identity, one per machine."""


@dataclass(frozen=True, slots=True)
class Host:
    """One box (or workload with metrics). `key` is public, short, readable, unique and survives renames."""

    id: int
    key: str
    kind: HostKind
    name: str
    host_id: str | None = None
    aliases: tuple[str, ...] = ()
    """Other names it is or was known by: FQDN, short name, former names, Kubernetes node name."""
    shared_id: bool = False
    """Its host.id is used by several machines (clones): never join on the id alone."""
    node: str | None = None
    cluster: str | None = None
    os_type: str | None = None
    os_description: str | None = None
    arch: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    """Who reports: hostmetrics, node_exporter, telegraf, vector, kubelet, app …"""
    sdk_language: str | None = None
    boot_ns: int | None = None
    cpu_count: int | None = None
    memory_bytes: int | None = None
    interval_ns: int | None = None
    """Median spacing of its newest samples (most frequent group)."""
    newest_ns: int | None = None
    """Newest point time, on the host's own clock."""
    first_arrived_ns: int = 0
    last_arrived_ns: int = 0
    """When the newest *fresh* point arrived here (a backlog does not revive a host)."""
    usual_lag_ns: int | None = None
    """Smallest arrival minus point time of the last hour."""

    @property
    def facts(self) -> BoxFacts:
        """What is known of it beside its samples."""
        return BoxFacts(cpu_count=self.cpu_count, memory_bytes=self.memory_bytes, os_type=self.os_type)

    def present_ns(self, now_ns: int) -> int | None:
        """Its present on its own clock: the newest point plus the time since that arrived; None before any point.

        A replay of old data therefore has a present too, and gives the same answers as when it was live. Of a host
        whose data all came late it is the clock here.
        """
        if self.newest_ns is None:
            return None
        if self.last_arrived_ns <= 0:
            return max(self.newest_ns, now_ns)
        return self.newest_ns + max(0, now_ns - self.last_arrived_ns)


EntityKind = Literal["host", "process", "container", "service"]


@dataclass(frozen=True, slots=True)
class Entity:
    """A resource: the host itself, one process incarnation (pid, start), a container, or a service that sends spans."""

    id: int
    kind: EntityKind
    host_id: int | None
    """The box it lives on; of a service as joined by the span rules, None when nothing matched."""
    attributes: Mapping[str, Value]
    started_ns: int | None
    first_seen_ns: int
    last_seen_ns: int
    join_rule: str | None = None
    """Of a service: which rule of `hosts.identity` joined it (`k8s_node`, `id_and_name`, `id`, `name`, `short_name`,
    `peer`), None when unjoined."""
    join_confidence: Literal["high", "medium", "low"] | None = None


@dataclass(frozen=True, slots=True)
class MetricName:
    metric: str
    unit: str
    kind: str
    entity_kind: EntityKind
    series: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Counted from the file. A series is one (entity, metric, kind, attributes); a process one (pid, start)."""

    points: int
    series: int
    processes: int


class Span(NamedTuple):
    """A span as kept: the narrow row. Details (attributes, events, links) are read separately.

    A tuple, as `Run` is: a verdict reads thousands of them, and a frozen dataclass takes five times as long to make.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    service: str
    entity_id: int
    host_id: int | None
    kind: int
    start_ns: int
    end_ns: int | None
    """None for a pending span whose end never arrived."""
    status: int
    status_message: str
    pending: bool = False
    exception_type: str | None = None
    exception_message: str | None = None
    server_address: str | None = None
    db_system: str | None = None
    pid: int | None = None
    arrived_ns: int = 0


Outcome = Literal["ok", "error", "unfinished"]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    trace_id: bytes
    root_name: str | None
    """None while the root span has not arrived."""
    root_service: str | None
    services: tuple[str, ...]
    host_ids: tuple[int, ...]
    start_ns: int
    duration_ns: int
    spans: int
    errors: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Every field narrows; None and "" do not. `operation` matches a span name of the trace."""

    host_id: int | None = None
    service: str | None = None
    operation: str | None = None
    outcome: Outcome | None = None
    min_duration_ns: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    order: Literal["newest", "slowest", "errors_first"] = "newest"
    limit: int = 20


class Run(NamedTuple):
    """All spans of one operation (service, span name) in one settled trace, folded into one row."""

    trace_id: bytes
    service: str
    operation: str
    host_id: int | None
    root: bool
    start_ns: int
    duration_ns: int
    """Longest of them."""
    self_ns: int
    """Mean self time (duration minus the union of its children)."""
    spans: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Instance:
    """One service instance (service.instance.id, else host and pid) as seen through its spans."""

    service: str
    instance: str
    entity_id: int
    host_id: int | None
    pid: int | None
    first_seen_ns: int
    last_seen_ns: int
    spans: int


@dataclass(frozen=True, slots=True)
class KeptLog:
    """A log record that a diagnosis needs. `what`: oom_kill, exception, container_oom, killed."""

    what: str
    time_ns: int
    host_id: int | None
    entity_id: int
    service: str | None
    trace_id: bytes
    span_id: bytes
    text: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as kept by the background job: open while `until_ns` is None."""

    host_id: int
    code: str
    severity: Literal["critical", "warning", "info"]
    subject: str | None
    since_ns: int
    until_ns: int | None
    value: float | None
    sentence: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has arrived, whether kept or only counted: the raw material of empty states and `doctor`."""

    signal: Literal["metrics", "traces", "logs"]
    what: str
    """Scope or metric prefix, service name, …"""
    service: str | None
    kept: bool
    count: int
    last_arrived_ns: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    engine: str
    path: str
    schema_version: int
    size_bytes: int
    oldest_ns: int | None
    newest_ns: int | None
    points: int
    spans: int
    traces: int
    hosts: int
    retention: Mapping[str, str]
    last_written_ns: int | None
    """When anything was last committed (arrival clock)."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    reason: str | None = None
    """Why it was cut: rows, bytes or time."""


@dataclass(frozen=True, slots=True)
class Sparse:
    """Which bins of a long past are read: the first one, every one from `since_ns` on, those in which the mean of a
    signal was at least its value in `least`, and those that touch one of `spans` (begin, end; ns)."""

    since_ns: int
    least: Mapping[str, float]
    spans: Sequence[tuple[int, int]] = ()


class Store(Protocol):
    """Reading. Safe to use from several threads; every call opens and ends its own short read transaction."""

    def about(self) -> About: ...

    def hosts(self) -> list[Host]:
        """Every box and workload ever seen and not yet forgotten, by name."""
        ...

    def host(self, key: str) -> Host | None:
        """The one of this very key: one seek, however many there are."""
        ...

    def samples(self, host_id: int, start_ns: int, end_ns: int, groups: Iterable[str] | None = None) -> Samples:
        """Wide rows of a host in [start, end), plus one row before `start` per group so that a first rate exists."""
        ...

    def newest(
        self, host_ids: Iterable[int] | None = None, rows: int = 4, groups: Iterable[str] | None = None
    ) -> Mapping[int, Samples]:
        """The newest `rows` rows of every group (or of those named) of each host: one seek per host, no scan."""
        ...

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
        """Five-minute bins that begin in [start, end), of all signals or of those named, without maxima if so wished,
        and with gaps where `sparse` says so. A longer `bin_ns` (a multiple) puts them together: means of means, maxima
        of maxima, no worst disk."""
        ...

    def last_scrape(self, host_id: int, start_ns: int, end_ns: int) -> int:
        """The number of the scrape that came last of those with points in [start, end], 0 for none: it grows when
        points come late."""
        ...

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
        """Full-fidelity points by metric name. `limit_scrapes` thins evenly, always keeping first and last."""
        ...

    def metric_names(self, host_id: int) -> list[MetricName]: ...

    def processes(self, host_id: int, start_ns: int, end_ns: int) -> list[Entity]:
        """Process incarnations seen on the host in that window."""
        ...

    def entities(self, ids: Iterable[int]) -> Mapping[int, Entity]: ...

    def services(self, host_id: int | None = None, since_ns: int = 0) -> list[Entity]:
        """Entities that sent spans (all, or those of the host), newest first; unjoined ones have host_id None."""
        ...

    def stored(self, host_id: int) -> Stored:
        """Counted from the file by reading it; slow by design."""
        ...

    def trace(self, trace_id: bytes) -> list[Span]:
        """All spans of a trace over all retention, duplicates folded, pending spans folded into their final span."""
        ...

    def trace_ids(self, prefix: str, limit: int = 10) -> list[bytes]:
        """Trace ids that begin with this lower-case hex prefix, newest first."""
        ...

    def span_details(self, trace_id: bytes) -> Mapping[bytes, SpanDetails]: ...

    def traces(self, wanted: TraceFilter) -> list[TraceSummary]: ...

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
        """The newest `limit` settled runs in that window, oldest first."""
        ...

    def histories(
        self, operations: Iterable[tuple[str, str]], before_ns: int, limit: int = 40
    ) -> Mapping[tuple[str, str], list[Run]]:
        """`runs` for many (service, operation) pairs in one call."""
        ...

    def runs_between(
        self,
        start_ns: int,
        end_ns: int,
        *,
        host_id: int | None = None,
        roots_only: bool = False,
        limit: int = 500,
    ) -> list[Run]:
        """Runs that overlap the window, of any operation."""
        ...

    def instances(
        self, *, service: str | None = None, host_id: int | None = None, since_ns: int = 0
    ) -> list[Instance]: ...

    def logs(
        self,
        *,
        host_id: int | None = None,
        trace_id: bytes | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 100,
    ) -> list[KeptLog]: ...

    def findings(
        self,
        host_id: int | None = None,
        *,
        open_only: bool = True,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> list[FindingRow]: ...

    def not_listening(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Spans of (arrival) time in which no server held this file, so that silence here proves nothing."""
        ...

    def arrived(self, since_ns: int = 0) -> list[Arrived]: ...

    def sql(self, sql: str, *, max_rows: int = 500, max_bytes: int = 24_000, seconds: float = 5.0) -> SqlResult:
        """One read-only statement; the engine refuses anything else. Raises BadQuery."""
        ...

    def sql_schema(self) -> str:
        """The views and their columns, as text for somebody about to write SQL."""
        ...

    def close(self) -> None: ...


class StoreWriter(Protocol):
    """Writing. Used by exactly one thread of one process; everything between `begin` and `commit` is one transaction.

    Ids handed out inside a transaction that is rolled back are void: the writer forgets them itself.
    """

    generation: int
    """Another one when ids that were handed out earlier may have been deleted since: forget them."""

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def savepoint(self) -> None:
        """Begin one request inside the transaction; `undo` returns to here, ids handed out since are void."""
        ...

    def undo(self) -> None: ...

    def first_time(self, request_hash: bytes, arrived_ns: int) -> bool:
        """False when these very bytes were stored within the last hour: a retry, to be acknowledged and not counted."""
        ...

    def hosts(self) -> list[Host]: ...
    def add_host(self, host: Host) -> Host:
        """Insert (id 0) and return it with its id."""
        ...

    def update_host(self, host: Host) -> None: ...
    def note_hosts(self, hosts: Sequence[Host]) -> None:
        """As `update_host`, where nothing but their newest point, last arrival and usual lag have changed."""
        ...

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
        """Find or insert by (kind, host_id, identity); extends first/last seen. `host_id` of a service may be None."""
        ...

    def seen(self, entity_id: int, first_ns: int, last_ns: int, arrived_ns: int) -> None:
        """Extends first/last seen of an entity."""
        ...

    def service_entities(self) -> list[Entity]: ...
    def join_service(self, entity_id: int, host_id: int | None, rule: str | None, confidence: str | None) -> None: ...

    def add_points(
        self, host_id: int, entity_id: int, source: str, groups: Sequence[PointGroup], arrived_ns: int
    ) -> None:
        """Keep every point in full and, for a host entity, bring the wide rows of the touched ticks up to date."""
        ...

    def add_spans(self, spans: Sequence[tuple[int, SpanRecord]], arrived_ns: int) -> None:
        """(service entity id, span) pairs; the same (trace_id, span_id) again changes nothing."""
        ...

    def add_log(self, log: KeptLog, arrived_ns: int) -> None: ...
    def count(self, arrived: Arrived) -> None:
        """Add to the counters behind `Store.arrived`."""
        ...


__all__ = [
    "About", "Arrived", "Entity", "EntityKind", "FindingRow", "Host", "HostKind", "Instance", "KeptLog", "MetricName",
    "Outcome", "Resource", "Rollup", "Run", "Samples", "Span", "SpanDetails", "SqlResult", "Store", "StoreWriter",
    "Stored", "TraceFilter", "TraceSummary",
]  # fmt: skip
