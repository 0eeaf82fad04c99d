"""One trace with all that its verdict needs, as anonymous OTLP/JSON lines that give the same verdict when imported.

What is written: the trace; every trace whose runs the verdict compares with (the operations' histories, other
traces on the box, the same operation elsewhere); first and last signs of the service instances on the box; the box's
metrics as far back as its five-minute signals reach; its processes around the trace; kept logs. What no verdict reads
(other attributes, other metrics, command lines, messages) is left out, everything else gets a neutral name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hosts_mcp.answers.gather_case import PROCESS_METRICS, ROLLUP_DAYS, diagnose, gather
from hosts_mcp.answers.neutral import Names, error_type, neutral_text
from hosts_mcp.diagnosis import engine
from hosts_mcp.diagnosis.engine import Wanted
from hosts_mcp.diagnosis.errors import EXIT_ATTRIBUTES
from hosts_mcp.diagnosis.model import Box, Case
from hosts_mcp.diagnosis.origin import SPOT
from hosts_mcp.diagnosis.verdict import Diagnosis
from hosts_mcp.hosts.identity import Inventory
from hosts_mcp.otlp import encode
from hosts_mcp.otlp.batch import Event, LogRecord, PointGroup, Resource, Slot, SpanRecord, Value
from hosts_mcp.otlp.details import with_details
from hosts_mcp.otlp.encode import Line
from hosts_mcp.signals.meaning import NAMES
from hosts_mcp.signals.model import RawSeries
from hosts_mcp.store.protocol import Entity, Host, KeptLog, Span, SpanDetails, Store, TraceFilter
from hosts_mcp.text import clean
from hosts_mcp.timerange import DAY_NS, NS

EVENT = "hosts_mcp.case"
"""Event name of the log record that states what must come out; an import counts it and keeps nothing of it."""
SPANS_PER_LINE = 500
EARLIER_NS = 3600 * NS
"""A trace that holds an instance's first span began at most so long before it."""
SCOPES = {
    "hostmetrics": "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver",
    "kubelet": "otelcol/kubeletstatsreceiver",
    "docker": "otelcol/dockerstatsreceiver",
}
"""Source -> a scope by which it is recognised again; the others are recognised by their metrics' names."""
SAME = frozenset({"os.type", "host.arch", "telemetry.sdk.language", "process.pid", "process.parent_pid"})
IDS = frozenset({"host.id", "container.id", "k8s.pod.uid"})
BOXES = frozenset({"host.name", "k8s.node.name"})
WORKLOADS = frozenset({"k8s.pod.name", "k8s.container.name", "container.name", "k8s.cluster.name"})
LOG_TEXTS = {
    "oom_kill": "Out of memory: Killed process",
    "container_oom": "OOMKilled",
    "killed": "was sent SIGKILL",
    "exception": "",
}
"""Kept log -> words by which it is kept again, without whose process it was."""


@dataclass(slots=True)
class Exported:
    """What was written. `expected` is what the file says must come out, in neutral names."""

    trace_id: str
    expected: Mapping[str, Value]
    traces: int = 0
    spans: int = 0
    points: int = 0
    lines: int = 0
    notes: list[str] = field(default_factory=list)


def export(store: Store, trace_id: bytes, now_ns: int, write: Callable[[Line], None]) -> Exported:
    """Write the case of a stored trace, line by line."""
    return _Exporter(store, gather(store, trace_id, now_ns), write).run()


def expectation(d: Diagnosis, names: Names | None = None) -> dict[str, Value]:
    """What must come out of the case again, in the neutral names; what came out, without them."""
    return {
        "trace_id": names.trace_id(d.trace_id).hex() if names else d.trace_id.hex(),
        "symptom": d.symptom.kind,
        "verdict": d.verdict,
        "confidence": d.confidence,
        "origin": d.origin,
        "scope": d.scope,
        "resource": d.resource,
        "host": names.host(d.host) if names and d.host else d.host,
        "span": names.operation(d.span) if names and d.span else d.span,
        "culprit": neutral_culprit(d.culprit, names) if names else d.culprit,
        "share_of_slowdown": d.share_of_slowdown,
        "calm_duration_seconds": d.calm_duration_seconds,
        "duration_seconds": d.symptom.duration_seconds,
        "usual_duration_seconds": d.symptom.usual_seconds,
        "coverage": d.coverage,
        "companions": list(d.companions),
        "recurrence": d.recurrence and [d.recurrence.period, d.recurrence.hits, d.recurrence.cycles],
        "features": dict(sorted(d.features.items())),
        "engine_version": d.engine_version,
    }


def neutral_culprit(culprit: str | None, names: Names) -> str | None:
    """A culprit is an executable, an interpreter with its script, or a service that arrived."""
    if culprit is None or culprit == "link or interface":
        return culprit
    if culprit in names.known("service"):
        return names.service(culprit)
    executable, _, script = culprit.partition(" ")
    if script and script in names.known("script"):
        return f"{names.program(executable)} {names.script(script)}"
    return names.program(culprit)


class _Exporter:
    def __init__(self, store: Store, case: Case, write: Callable[[Line], None]) -> None:
        self._store = store
        self._case = case
        self._write = write
        self._hosts = {h.id: h for h in store.hosts()}
        self._inventory = Inventory(self._hosts.values())
        self._looks = engine.first_look(case)[0]
        self._traces = self._wanted_traces()
        self._entities = store.entities({s.entity_id for spans in self._traces.values() for s in spans})
        self._names = self._all_names()
        found = diagnose(store, case)
        self._done = Exported(self._names.trace_id(case.trace_id).hex(), expectation(found, self._names))
        if not found.final:
            self._done.notes.append("The verdict is not final yet: a replay sees the trace as ended.")

    def run(self) -> Exported:
        """Metrics first, so that spans find their hosts as they come."""
        for place, look in self._looks.items():
            host = self._hosts[place]
            machine = self._inventory.box_of(host)
            for one in {host.id: host, **({machine.id: machine} if machine is not None else {})}.values():
                self._metrics(one, look)
            if machine is not None:
                self._processes(machine, look)
                self._logs(self._store.logs(host_id=machine.id, start_ns=look.start_ns, end_ns=look.end_ns))
        self._logs(self._case.logs)
        self._spans()
        self._line(encode.logs([self._statement()]))
        return self._done

    def _line(self, line: Line) -> None:
        self._write(line)
        self._done.lines += 1

    # ---- what is needed

    def _wanted_traces(self) -> dict[bytes, list[Span]]:
        case = self._case
        wanted = {case.trace_id: None}
        wanted |= {r.trace_id: None for runs in case.histories.values() for r in runs}
        wanted |= {r.trace_id: None for r in case.peers}
        for box in case.boxes.values():
            wanted |= {r.trace_id: None for r in box.runs}
            wanted |= dict.fromkeys(self._signs(box))
        found = {trace_id: self._store.trace(trace_id) for trace_id in wanted}
        self._gone = sum(not spans for spans in found.values())
        return {trace_id: spans for trace_id, spans in found.items() if spans}

    def _signs(self, box: Box) -> Iterator[bytes]:
        """Traces with the first and the last span of each service instance on the box."""
        for i in box.instances:
            for at in (i.first_seen_ns, i.last_seen_ns):
                near = TraceFilter(service=i.service, start_ns=at - EARLIER_NS, end_ns=at + 1, limit=5)
                yield from (t.trace_id for t in self._store.traces(near))

    def _all_names(self) -> Names:
        spans = [s for found in self._traces.values() for s in found]
        machines = sorted((h for h in self._hosts.values() if h.kind != "container"), key=lambda h: h.key)
        processes = [p for box in self._case.boxes.values() for p in box.processes]
        services = [e.attributes for e in self._entities.values()]
        programs = {p.executable for p in processes} | {str(a.get("process.executable.name") or "") for a in services}
        scripts = {p.script for p in processes if p.script} | {str(a.get("process.script") or "") for a in services}
        names = Names(
            hosts={name: n for n, h in enumerate(machines, 1) for name in (*h.aliases, h.key, h.name)},
            services={s.service for s in spans},
            operations={s.name for s in spans},
            programs=programs,
            scripts=scripts,
            peers={s.server_address for s in spans if s.server_address},
            traces=self._traces,
            spans={i for s in spans for i in (s.span_id, s.parent_id)},
        )
        for container in (h for h in self._hosts.values() if h.kind == "container"):
            names.call(container.key, names.of("workload", container.name))
        return names

    # ---- metrics

    def _metrics(self, host: Host, look: Wanted) -> None:
        """A day at a time, so that memory holds one day."""
        resource = _resource(self._of_host(host))
        names = sorted({m.metric for m in self._store.metric_names(host.id) if m.metric in NAMES})
        begin = look.end_ns - ROLLUP_DAYS * DAY_NS
        for low in range(begin - begin % DAY_NS, look.end_ns, DAY_NS):
            series = self._store.points(host.id, names, low, min(low + DAY_NS, look.end_ns))
            for groups in self._scrapes(series, resource):
                self._line(encode.metrics(groups))

    def _processes(self, machine: Host, look: Wanted) -> None:
        entities = self._store.processes(machine.id, look.start_ns, look.end_ns)
        series = self._store.points(
            machine.id, PROCESS_METRICS, look.start_ns, look.end_ns, entity_kind="process",
        )  # fmt: skip
        resources = {e.id: _resource(self._of_host(machine) | self._of_process(e)) for e in entities}
        by_time: dict[int, list[PointGroup]] = defaultdict(list)
        for entity_id, resource in resources.items():
            own = [s for s in series if s.entity_id == entity_id]
            for groups in self._scrapes(own, resource):
                for group in groups:
                    by_time[group.time_ns].append(group)
        for _, groups in sorted(by_time.items()):
            self._line(encode.metrics(groups))

    def _scrapes(self, series: Sequence[RawSeries], resource: Resource) -> Iterator[list[PointGroup]]:
        """Points of one resource as they were read: together what has the same time."""
        found: dict[int, dict[tuple[str, int], list[tuple[Slot, float]]]] = defaultdict(lambda: defaultdict(list))
        for one in series:
            slot = self._names.slot(one.slot)
            for time_ns, value, start_ns in zip(one.times_ns, one.values, one.starts_ns, strict=True):
                found[time_ns][one.source, start_ns].append((slot, value))
        for time_ns, parts in sorted(found.items()):
            groups = []
            for (source, start_ns), points in parts.items():
                self._done.points += len(points)
                slots, values = tuple(s for s, _ in points), tuple(v for _, v in points)
                groups.append(PointGroup(resource, SCOPES.get(source, ""), "", time_ns, start_ns, slots, values))
            yield groups

    def _of_host(self, host: Host) -> dict[str, Value]:
        if host.kind == "container":
            return self._attributes(host.attributes)
        about: dict[str, Value] = {"host.name": self._names.host(host.name)}
        about |= {"host.id": self._names.identifier(host.host_id)} if host.host_id else {}
        about |= {"k8s.node.name": self._names.host(host.node)} if host.node else {}
        about |= {"os.type": host.os_type} if host.os_type else {}
        spot = next((w for v in host.attributes.values() for w in SPOT if w in clean(v).lower()), None)
        return about | ({"cloud.lifecycle": spot} if spot else {})

    def _of_process(self, process: Entity) -> dict[str, Value]:
        about = self._attributes(process.attributes)
        cgroup = process.attributes.get("process.linux.cgroup") or process.attributes.get("process.cgroup")
        if cgroup:
            inside = [str(i) for e in self._entities.values() if (i := e.attributes.get("container.id"))]
            held = next((i for i in sorted(inside) if i in str(cgroup)), None)
            about["process.cgroup"] = (
                f"/{self._names.identifier(held) if held else self._names.of('cgroup', str(cgroup))}"
            )
        return about

    # ---- spans and logs

    def _spans(self) -> None:
        records: list[SpanRecord] = []
        for trace_id, spans in sorted(self._traces.items(), key=lambda x: (x[1][0].start_ns, x[0])):
            details = self._store.span_details(trace_id)
            records += [self._span(s, details.get(s.span_id)) for s in spans]
            self._done.traces += 1
            self._done.spans += len(spans)
            if len(records) >= SPANS_PER_LINE:
                self._line(encode.traces(records))
                records = []
        if records:
            self._line(encode.traces(records))
        if self._gone:
            self._done.notes.append(f"{self._gone} earlier runs have no spans any more (retention) and are not in it.")

    def _span(self, span: Span, details: SpanDetails | None) -> SpanRecord:
        names = self._names
        span_id, parent_id = names.span_id(span.span_id), names.span_id(span.parent_id)
        attributes: dict[str, Value] = {}
        if span.server_address:
            attributes["server.address"] = names.peer(span.server_address)
        if span.db_system:
            attributes["db.system"] = span.db_system
        entity = self._entities[span.entity_id]
        if span.pid is not None and str(entity.attributes.get("process.pid")) != str(span.pid):
            attributes["process.pid"] = span.pid
        attributes |= _telling(details)
        if span.end_ns is None:  # a pending span says so by pointing at the span that it stands for
            attributes |= {
                "logfire.span_type": "pending_span",
                "logfire.pending_parent_id": (parent_id or b"\0" * 8).hex(),
            }
            span_id, parent_id = names.span_id(b"pending " + span.span_id), span_id
        events = []
        if span.exception_type or span.exception_message:
            about = {
                "exception.type": error_type(span.exception_type or ""),
                "exception.message": neutral_text(span.exception_message or ""),
            }
            events.append(Event(span.end_ns or span.start_ns, "exception", about))
        record = SpanRecord(
            resource=_resource(self._of_service(entity)), scope="", trace_id=names.trace_id(span.trace_id),
            span_id=span_id, parent_id=parent_id, name=names.operation(span.name), kind=span.kind,
            start_ns=span.start_ns,
            end_ns=span.end_ns or span.start_ns, status=span.status, status_message=neutral_text(span.status_message),
        )  # fmt: skip
        return with_details(record, SpanDetails(attributes, events))

    def _of_service(self, entity: Entity) -> dict[str, Value]:
        about: dict[str, Value] = {
            "service.name": self._names.service(str(entity.attributes.get("service.name") or ""))
        }
        about["service.instance.id"] = self._names.of("instance", str(entity.id))
        about |= self._attributes(entity.attributes)
        if entity.join_rule == "peer" and entity.host_id in self._hosts:
            about["host.name"] = self._names.host(self._hosts[entity.host_id].name)
        return about

    def _attributes(self, attributes: Mapping[str, Value]) -> dict[str, Value]:
        """What of a resource says where it runs and as what, in neutral names; nothing else of it."""
        names, out = self._names, {}
        pod = str(attributes.get("k8s.pod.name") or "")
        for key, value in attributes.items():
            text = str(value)
            if key in SAME:
                out[key] = value
            elif key in IDS:
                out[key] = names.identifier(text)
            elif key in BOXES:
                out[key] = names.of("workload", text) if text == pod else names.host(text)
            elif key in WORKLOADS:
                out[key] = names.of("workload", text)
        if executable := str(attributes.get("process.executable.name") or ""):
            out["process.executable.name"] = names.program(executable)
            if title := str(attributes.get("process.title") or ""):
                out["process.command_line"] = names.script(title)
            elif script := str(attributes.get("process.script") or ""):
                out["process.command_line"] = f"{names.program(executable)} {names.script(script)}"
        return out

    def _logs(self, found: Iterable[KeptLog]) -> None:
        entities = self._store.entities({log.entity_id for log in found})
        records = []
        for log in found:
            about = self._of_service(entities[log.entity_id]) if log.entity_id in entities else {}
            if log.host_id in self._hosts:
                about |= {"host.name": self._names.host(self._hosts[log.host_id].name)}
            attributes = {"exception.type": "Error"} if log.what == "exception" else {}
            trace_id = self._names.trace_id(log.trace_id) if log.trace_id else b""
            records.append(
                LogRecord(
                    _resource(about), "", log.time_ns, 0, "", LOG_TEXTS[log.what], attributes, trace_id,
                    self._names.span_id(log.span_id) if log.span_id else b"",
                )
            )  # fmt: skip
        if records:
            self._line(encode.logs(records))

    def _statement(self) -> LogRecord:
        body = json.dumps(self._done.expected, separators=(",", ":"))
        at = self._case.spans[0].start_ns
        return LogRecord(_resource({"service.name": "hosts-mcp"}), "", at, 0, EVENT, body, {}, b"", b"")


def _telling(details: SpanDetails | None) -> dict[str, Value]:
    """Attributes that say how something ended: exit statuses, and the words of an error's kind."""
    out: dict[str, Value] = {}
    for n, (key, value) in enumerate((details.attributes if details is not None else {}).items()):
        if key in EXIT_ATTRIBUTES:
            out[key] = value
        elif isinstance(value, str) and (words := neutral_text(value)):
            out[f"said.{n}"] = words
    return out


def _resource(attributes: Mapping[str, Value]) -> Resource:
    return Resource(attributes, json.dumps(attributes, sort_keys=True).encode())
