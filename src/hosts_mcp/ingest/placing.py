"""Gives every decoded item its place: which host, which entity; and brings the inventory up to date as it goes.

Lives in the writer thread. What it remembers is a cache over the file and may be dropped at any time (`reset`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from hosts_mcp.hosts.identity import Inventory, hosts_on_points, identify, process_identity
from hosts_mcp.hosts.status import fresh
from hosts_mcp.otlp.batch import LogsBatch, MetricsBatch, PointGroup, Resource, Slot, SpanRecord, TracesBatch, Value
from hosts_mcp.otlp.transport import Reply, Request
from hosts_mcp.signals import logs
from hosts_mcp.signals.catalogue import is_container_metric, is_host_metric, is_process_metric, source_of
from hosts_mcp.store.protocol import Arrived, Host, KeptLog, StoreWriter
from hosts_mcp.text import clean
from hosts_mcp.timerange import NS

Kind = Literal["host", "process", "container", "other"]

REMEMBERED = 100_000
REMEMBERED_SORTS = 5_000
LAG_WINDOW_NS = 3600 * NS
_NAMED_ON_POINTS = frozenset({"telegraf", "vector"})
_SECRET = ("process.command", "process.command_line", "process.command_args")
"""Never kept of the resource that sends spans: a command line may hold secrets."""
_LONGEST_VALUE = 512
_SENDER = attrgetter("resource", "scope")
UNIDENTIFIED = (
    "These metrics name no host. Add a resourcedetection processor (detectors: [env, system]) to the collector's "
    "metrics pipeline; `hosts-mcp config collector` prints it."
)


_Tally = tuple[str, str, str | None, bool]
"""Signal, what, service and whether it is kept: under this it is counted what arrives."""


class _Route(NamedTuple):
    """Where points go, as it was found out when the first of their kind came; without an entity they only count."""

    tally: _Tally
    source: str = ""
    is_process: bool = False
    host_id: int = 0
    entity: int | None = None


class _Way(NamedTuple):
    """The one route of whole groups of these series and this resource, whose identities it is known by."""

    route: _Route
    slots: tuple[Slot, ...]
    resource: Resource


class _Run(NamedTuple):
    """Groups of one route that follow each other: what they have to say beside their points is said once."""

    route: _Route
    groups: list[PointGroup]


@dataclass(slots=True)
class _News:
    """What the transaction under way learned of a host."""

    newest_ns: int
    arrived_ns: int
    lag_ns: int

    def add(self, other: _News) -> None:
        self.newest_ns = max(self.newest_ns, other.newest_ns)
        self.arrived_ns = max(self.arrived_ns, other.arrived_ns)
        self.lag_ns = min(self.lag_ns, other.lag_ns)


@dataclass(slots=True)
class _Learned:
    """What requests had to say beside their points and spans; written before the commit."""

    news: dict[int, _News] = field(default_factory=dict)
    arrived: Counter[_Tally] = field(default_factory=Counter)
    rejoin: bool = False

    def add(self, other: _Learned) -> None:
        for host_id, news in other.news.items():
            if (known := self.news.setdefault(host_id, news)) is not news:
                known.add(news)
        self.arrived.update(other.arrived)
        self.rejoin |= other.rejoin


class Placer:
    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self.reset()

    def reset(self) -> None:
        """Forget everything and read the inventory anew (after a rollback, or when hosts were removed)."""
        self._inventory = Inventory(self._writer.hosts())
        self._generation = self._writer.generation
        self._ways: dict[tuple[int, int, str, int, str], _Way] = {}
        self._routes: dict[tuple[Any, ...], _Route] = {}
        self._sorted: dict[tuple[int, str, bool], tuple[tuple[str, _Kinds], tuple[Slot, ...]]] = {}
        """With the series whose identity is in the key."""
        self._lags: dict[int, tuple[int, int, int]] = {}
        self._arrived_ns = 0
        self._joined: set[bytes] = set()
        self._group, self._learned = _Learned(), _Learned()
        """Of the whole requests of the transaction, and of the request under way."""

    def undo(self) -> None:
        """The request under way failed and is undone. What the others of its group taught stays to be written."""
        group, lags, arrived_ns = self._group, self._lags, self._arrived_ns
        self.reset()
        self._group, self._lags, self._arrived_ns = group, lags, arrived_ns

    def place(self, request: Request, batch: MetricsBatch | TracesBatch | LogsBatch) -> Reply:
        """Hand everything in the batch to the writer; what is refused or worth a warning stands in the reply."""
        self._arrived_ns = max(self._arrived_ns, request.arrived_ns)
        self._learned = _Learned()
        if self._generation != self._writer.generation:
            self._generation = self._writer.generation
            self._ways.clear()
            self._routes.clear()
            self._joined.clear()
            self._learned.rejoin = True  # what retention let go may come back, without its host
        if isinstance(batch, MetricsBatch):
            reply = self._metrics(request, batch)
        elif isinstance(batch, TracesBatch):
            reply = self._traces(request, batch)
        else:
            reply = self._logs(request, batch)
        self._group.add(self._learned)
        return reply

    def flush(self) -> None:
        """Write what the hosts' rows and the arrival counters have to say; before every commit."""
        updated = [host for host_id, news in self._group.news.items() if (host := self._updated(host_id, news))]
        self._writer.note_hosts(updated)
        if self._group.rejoin:
            self._join_again()
        for (signal, what, service, kept), count in self._group.arrived.items():
            self._writer.count(Arrived(signal, what, service, kept, count, self._arrived_ns))  # type: ignore[arg-type]
        self._group = _Learned()

    def amend(self, changes: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Set facts of hosts (interval, cores, memory) that were computed from their samples."""
        for host_id, facts in changes:
            if (host := self._inventory.hosts.get(host_id)) is not None:
                changed = replace(host, **facts)
                self._writer.update_host(changed)
                self._inventory.put(changed)

    # ---- metrics ----------------------------------------------------------------------------------------------

    def _metrics(self, request: Request, batch: MetricsBatch) -> Reply:
        ways, peer, arrived_ns = self._ways, request.peer, request.arrived_ns
        hosts: set[int] = set()
        run = None
        for group in batch.groups:
            way = ways.get((id(group.slots), id(group.resource), group.scope, group.start_ns, peer))
            if way is None and run is not None:
                # Before somebody is placed, who is told from others by when they were seen.
                self._keep(run, arrived_ns, hosts)
                run = None
            for route, part in ((way.route, group),) if way is not None else self._found(request, group):
                if run is None or route is not run.route:
                    if run is not None:
                        self._keep(run, arrived_ns, hosts)
                    run = _Run(route, [])
                run.groups.append(part)
        if run is not None:
            self._keep(run, arrived_ns, hosts)
        for (metric, data), count in batch.other_points.items():
            self._learned.arrived["metrics", f"{_family(metric)} ({data})", None, False] += count
        unidentified = any(self._inventory.hosts[host_id].kind == "unidentified" for host_id in hosts)
        return _reply(batch.rejected, UNIDENTIFIED if unidentified else "")

    def _keep(self, run: _Run, arrived_ns: int, hosts: set[int]) -> None:
        """Hand the points on, and note what arrived, of which host, and when whoever sent it was seen."""
        route, groups = run
        self._learned.arrived[route.tally] += sum([len(group.values) for group in groups])
        if route.entity is None:
            return
        hosts.add(route.host_id)
        self._writer.add_points(route.host_id, route.entity, route.source, groups, arrived_ns)
        times = [group.time_ns for group in groups]
        if route.is_process:
            self._writer.seen(route.entity, min(times), max(times), arrived_ns)
        else:
            self._note(route.host_id, max(times), arrived_ns)

    def _found(self, request: Request, group: PointGroup) -> Sequence[tuple[_Route, PointGroup]]:
        """The routes of a group, in parts where its points belong to several; remembered where it is one for all."""
        is_shared = self._is_sorted(group)
        source, kinds = self._sort(group)
        found = [
            routed
            for kind, at in kinds
            for routed in self._routed(request, kind, group if at is None else _pick(group, at), source)
        ]
        # What the ordinary walk made is made anew each time: it would only fill the memory.
        if is_shared and len(found) == 1 and found[0][0].entity is not None:
            if len(self._ways) > REMEMBERED:
                self._ways.clear()
            key = (id(group.slots), id(group.resource), group.scope, group.start_ns, request.peer)
            self._ways[key] = _Way(found[0][0], group.slots, group.resource)
        return found

    def _sort(self, group: PointGroup) -> tuple[str, _Kinds]:
        """Source and kinds of a group. The decoder gives the same series as the same tuple, again and again."""
        key = self._sorted_by(group)
        found = self._sorted.get(key)
        if found is None:
            if len(self._sorted) > REMEMBERED_SORTS:
                self._sorted.clear()
            source = source_of(group.scope, group.slots)
            kinds = _by_kind(group.slots, source, is_process=key[2])
            found = self._sorted[key] = (source, kinds), group.slots
        return found[0]

    def _is_sorted(self, group: PointGroup) -> bool:
        """Whether the very same tuple of series came before."""
        return self._sorted_by(group) in self._sorted

    @staticmethod
    def _sorted_by(group: PointGroup) -> tuple[int, str, bool]:
        resource = group.resource
        is_process = "process.pid" in resource.attributes and resource.text("process.pid") is not None
        return id(group.slots), group.scope, is_process

    def _routed(
        self, request: Request, kind: Kind, group: PointGroup, source: str
    ) -> Sequence[tuple[_Route, PointGroup]]:
        """The route of a group of one kind; in parts where its points name several hosts."""
        named = None
        if source in _NAMED_ON_POINTS:
            hosts = hosts_on_points(group.slots)
            if len(hosts) > 1:
                parts = [_pick(group, positions) for positions in hosts.values()]
                return [found for part in parts for found in self._routed(request, kind, part, source)]
            named = next(iter(hosts), None)
        key = (group.resource.key, source, kind, request.peer, group.start_ns, named)
        route = self._routes.get(key)
        if route is None:
            route = self._route(request, kind, group, source)
            if route.entity is not None:  # else it is not remembered: its host may still come
                if len(self._routes) > REMEMBERED:
                    self._routes.clear()
                self._routes[key] = route
        return ((route, group),)

    def _route(self, request: Request, kind: Kind, group: PointGroup, source: str) -> _Route:
        service = group.resource.text("service.name")
        is_only_counted = kind == "other" and (source == "app" or service is not None)
        host = None if is_only_counted else self._host(request, kind, group, source)
        entity = None if host is None else self._entity(host, kind, group, request.arrived_ns)
        if host is None or entity is None:
            return _Route(("metrics", _family(group.slots[0].metric), service, False))
        return _Route(("metrics", source, service, True), source, kind == "process", host.id, entity)

    def _host(self, request: Request, kind: Kind, group: PointGroup, source: str) -> Host | None:
        boot_ns = 0 if kind == "process" else group.start_ns
        identity = identify(group.resource, source=source, peer=request.peer, start_ns=boot_ns, slots=group.slots)
        placement = self._inventory.place(identity, request.arrived_ns)
        for changed in placement.updated:
            self._writer.update_host(changed)
            self._inventory.put(changed)
        host = placement.host
        if placement.is_new and host is not None:
            host = self._writer.add_host(replace(host, first_arrived_ns=request.arrived_ns))
            self._inventory.put(host)
        self._learned.rejoin |= placement.is_new or bool(placement.updated)
        return host

    def _entity(self, host: Host, kind: Kind, group: PointGroup, arrived_ns: int) -> int | None:
        """A process, None where the resource names none; else the host itself. A workload's own row is its host row."""
        seen = group.time_ns, arrived_ns
        if kind != "process":
            return self._writer.entity("host", host.id, b"", host.attributes, None, *seen)
        process = _process(group.resource, group.start_ns)
        if process is None:
            return None
        return self._writer.entity("process", host.id, process.key, process.attributes, process.started_ns, *seen)

    def _note(self, host_id: int, time_ns: int, arrived_ns: int) -> None:
        """The host itself was seen at that time."""
        news = self._learned.news.get(host_id)
        if news is None:
            self._learned.news[host_id] = _News(time_ns, arrived_ns, arrived_ns - time_ns)
        elif time_ns > news.newest_ns:
            news.newest_ns, news.lag_ns = time_ns, arrived_ns - time_ns
        else:
            return
        self._inventory.seen(host_id, arrived_ns, time_ns)

    def _updated(self, host_id: int, news: _News) -> Host | None:
        """The host with its news; None where it is gone or there are none."""
        host = self._inventory.hosts.get(host_id)
        if host is None:
            return None
        alive = fresh(news.lag_ns, usual_lag_ns=host.usual_lag_ns, interval_ns=host.interval_ns)
        newest = max(host.newest_ns or 0, news.newest_ns)
        arrived = max(host.last_arrived_ns, news.arrived_ns if alive else 0)
        usual = self._usual_lag(host_id, news.lag_ns, news.arrived_ns)
        if (newest, arrived, usual) == (host.newest_ns, host.last_arrived_ns, host.usual_lag_ns):
            return None
        changed = replace(host, newest_ns=newest, last_arrived_ns=arrived, usual_lag_ns=usual)
        self._inventory.put(changed)
        return changed

    def _usual_lag(self, host_id: int, lag_ns: int, arrived_ns: int) -> int:
        """Smallest lag of this hour and the one before, by arrival."""
        hour = arrived_ns // LAG_WINDOW_NS
        known, current, previous = self._lags.get(host_id, (hour, lag_ns, lag_ns))
        if hour != known:
            current, previous = lag_ns, current if hour == known + 1 else lag_ns
        current = min(current, lag_ns)
        self._lags[host_id] = (hour, current, previous)
        return min(current, previous)

    # ---- spans and logs ---------------------------------------------------------------------------------------

    def _traces(self, request: Request, batch: TracesBatch) -> Reply:
        by_resource: dict[Resource, list[SpanRecord]] = defaultdict(list)
        for (resource, scope), run in groupby(batch.spans, key=_SENDER):
            before = len(by_resource[resource])
            by_resource[resource] += run
            count = len(by_resource[resource]) - before
            self._learned.arrived["traces", scope or "spans", resource.text("service.name"), True] += count
        spans: list[tuple[int, SpanRecord]] = []
        for resource, sent in by_resource.items():
            begins = [span.start_ns for span in sent]
            for seen_ns in {min(begins), max(begins)}:
                entity = self._service(resource, request.peer, seen_ns, request.arrived_ns)
            spans += [(entity, span) for span in sent]
        if spans:
            self._writer.add_spans(spans, request.arrived_ns)
        return _reply(batch.rejected)

    def _service(self, resource: Resource, peer: str, seen_ns: int, arrived_ns: int) -> int:
        """The entity of a resource that sends spans or logs, joined to its host when it is seen for the first time."""
        attributes = _service_attributes(resource)
        entity = self._writer.entity("service", None, resource.key, attributes, None, seen_ns, arrived_ns)
        if resource.key not in self._joined:
            if len(self._joined) > REMEMBERED:
                self._joined.clear()
            self._joined.add(resource.key)
            join = self._inventory.join(resource, peer)
            self._writer.join_service(entity, join.host_id, join.rule, join.confidence)
        return entity

    def _join_again(self) -> None:
        """Spans may come before the metrics of their host: a changed inventory joins every service anew."""
        for entity in self._writer.service_entities():
            join = self._inventory.join(Resource(entity.attributes, b""))
            if entity.join_rule == "peer" and join.host_id is None:
                continue  # the sender's address is not kept
            if (join.host_id, join.rule, join.confidence) != (entity.host_id, entity.join_rule, entity.join_confidence):
                self._writer.join_service(entity.id, join.host_id, join.rule, join.confidence)

    def _logs(self, request: Request, batch: LogsBatch) -> Reply:
        for record in batch.records:
            found = logs.kept(record)
            service = record.resource.text("service.name")
            self._learned.arrived["logs", found[0] if found else "log records", service, found is not None] += 1
            if found is None:
                continue
            time_ns = record.time_ns or request.arrived_ns
            entity = self._service(record.resource, request.peer, time_ns, request.arrived_ns)
            host_id = self._inventory.join(record.resource, request.peer).host_id
            kept = KeptLog(found[0], time_ns, host_id, entity, service, record.trace_id, record.span_id, found[1])
            self._writer.add_log(kept, request.arrived_ns)
        return _reply(batch.rejected)


_process = lru_cache(maxsize=16_384)(process_identity)
"""Every scrape describes the same processes again."""


@lru_cache(maxsize=16_384)
def _kind_of(metric: str) -> Kind:
    if is_process_metric(metric):
        return "process"
    if is_container_metric(metric):
        return "container"
    return "host" if is_host_metric(metric) else "other"


_Kinds = tuple[tuple[Kind, tuple[int, ...] | None], ...]
"""Each kind and the positions of its series; None: all of them."""


def _by_kind(slots: Sequence[Slot], source: str, *, is_process: bool) -> _Kinds:
    """A group is cut where its metrics belong to different things; nearly always it is in one piece."""
    kinds = [_kind_of(slot.metric) for slot in slots]
    if source == "app" or not is_process:
        # Without a pid, or from an SDK, `process.*` describes the sender itself: an application metric.
        kinds = ["other" if kind == "process" else kind for kind in kinds]
    elif source == "hostmetrics":
        kinds = ["process"] * len(kinds)
    distinct = tuple(dict.fromkeys(kinds))
    if len(distinct) == 1:
        return ((distinct[0], None),)
    return tuple((kind, tuple(i for i, other in enumerate(kinds) if other == kind)) for kind in distinct)


def _pick(group: PointGroup, positions: Sequence[int]) -> PointGroup:
    return group._replace(
        slots=tuple(group.slots[i] for i in positions), values=tuple(group.values[i] for i in positions)
    )


def _family(metric: str) -> str:
    """`http.server.request.duration` -> `http.server`: what arrives, in few words."""
    return clean(".".join(metric.split(".")[:2]), 64)


def _service_attributes(resource: Resource) -> dict[str, Value]:
    kept = {
        key: value if not isinstance(value, str) or len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE]
        for key, value in resource.attributes.items()
        if key not in _SECRET
    }
    process = process_identity(resource, 0)
    return kept | process.attributes if process is not None else kept


def _reply(rejected: Counter[str], warning: str = "") -> Reply:
    if not rejected:
        return Reply(0, warning)
    reasons = "; ".join(f"{count} x {reason}" for reason, count in rejected.most_common(5))
    return Reply(rejected.total(), f"Refused: {reasons}. {warning}".strip())
