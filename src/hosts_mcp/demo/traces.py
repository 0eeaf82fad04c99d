"""Spans of the two traced programs, as OpenTelemetry Python sends them: only ended spans, in batches.

How long a step takes follows from the box at that moment (disk latency, CPUs wanted), so slow nights are slow for the
reason that the metrics show.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosts_mcp.demo.box import CPUS, Box
from hosts_mcp.demo.programs import MIB, Demand, Process, Program, WebService
from hosts_mcp.timerange import NS

AGENT_SERVICE = "doc-classifier"
AGENT_SCRIPT = "/srv/classifier/classify.py"
WEB_SERVICE = "orders-api"
BATCH_DELAY_NS = 5 * NS
"""BatchSpanProcessor's schedule delay: what ended since the last export dies with the process."""

Attributes = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Ended:
    """A span and the moment from which it can be exported."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start_ns: int
    end_ns: int
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class Tracer:
    """One process's SDK: what ended waits here until it is exported."""

    resource: Attributes
    scope: str
    rng: random.Random
    waiting: list[Ended] = field(default_factory=list)

    def span_id(self) -> bytes:
        return self.rng.getrandbits(64).to_bytes(8, "big")

    def export(self, until_ns: int) -> bytes | None:
        """A request with what ended before `until_ns`, None when there is nothing."""
        ready = [span for span in self.waiting if span.end_ns <= until_ns]
        if not ready:
            return None
        self.waiting = [span for span in self.waiting if span.end_ns > until_ns]
        request = ExportTraceServiceRequest()
        of_process = request.resource_spans.add()
        of_process.resource.attributes.extend(_attributes(self.resource))
        in_scope = of_process.scope_spans.add()
        in_scope.scope.name = self.scope
        for span in sorted(ready, key=lambda s: s.end_ns):
            in_scope.spans.append(_span(span))
        return request.SerializeToString()


def _span(span: Ended) -> Span:
    made = Span(
        trace_id=span.trace_id, span_id=span.span_id, parent_span_id=span.parent_id, name=span.name, kind=span.kind,
        start_time_unix_nano=span.start_ns, end_time_unix_nano=span.end_ns, attributes=_attributes(span.attributes),
        flags=256,
    )  # fmt: skip
    made.status.SetInParent()
    return made


def _attributes(attributes: Attributes) -> list[KeyValue]:
    made = []
    for key, value in attributes.items():
        pair = KeyValue(key=key)
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value
        made.append(pair)
    return made


def sdk_resource(service: str, process: Process, host: Attributes, rng: random.Random) -> Attributes:
    """As the Python SDK with its process detector says it, and the box's collector completes it."""
    instance = rng.getrandbits(128)
    return {
        "telemetry.sdk.language": "python", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": "1.45.2",
        "service.instance.id": f"{instance:032x}", "service.name": service, "service.version": "1.8.2",
        "process.pid": process.pid, "process.executable.name": process.executable,
        "process.runtime.name": "cpython", **host,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """One night's work of the agent."""

    trace_id: bytes
    start_ns: int
    documents: int
    killed_ns: int | None
    """SIGKILL at that moment."""
    grows_bytes: float = 0.0
    """Memory that the agent itself takes between its start and the kill."""


class Agent(Program):
    """`doc-classifier`: night by night it reads documents, asks a remote model about each and stores the label."""

    def __init__(self, rng: random.Random, pids: Iterator[int], host: Attributes) -> None:
        super().__init__(rng, pids)
        self._host = host
        self._batch: Batch | None = None
        self._tracer: Tracer | None = None
        self._next_ns = 0
        self._done = 0
        self._root = b""

    def demand(self, now_ns: int) -> Demand:
        batch = self._batch
        if batch is None or now_ns < batch.start_ns:
            return Demand()
        grown = 0.0
        if batch.killed_ns and batch.grows_bytes:
            grown = batch.grows_bytes * min(1.0, (now_ns - batch.start_ns) / (batch.killed_ns - batch.start_ns))
        warm = min(1.0, (now_ns - batch.start_ns) / (90 * NS))
        rng = self.rng
        return Demand(
            user=max(0.02, rng.gauss(0.17, 0.03)), system=0.02, read_ops=2.0, write_ops=1.0,
            anonymous_bytes=(90 + 260 * warm) * MIB + grown, received_bytes=9e3, sent_bytes=21e3,
            read_volume=180e3, write_volume=14e3,
        )  # fmt: skip

    def begin(self, batch: Batch, cron: Process) -> None:
        line = f"/srv/classifier/.venv/bin/python {AGENT_SCRIPT} --batch nightly"
        path = "/srv/classifier/.venv/bin/python3.12"
        process = self.start(path, line, "classifier", batch.start_ns, parent=cron.pid, share=1.0, mapped=52)
        rng = random.Random(int.from_bytes(batch.trace_id, "big"))
        self._tracer = Tracer(sdk_resource(AGENT_SERVICE, process, self._host, rng), "classifier", rng)
        self._batch, self._done, self._root = batch, 0, self._tracer.span_id()
        self._next_ns = batch.start_ns + 2 * NS

    def work(self, box: Box) -> list[bytes]:
        """Documents up to the box's now; the requests that were exported meanwhile."""
        batch, tracer, now = self._batch, self._tracer, box.now_ns
        if batch is None or tracer is None:
            return []
        end = min(now, batch.killed_ns or now)
        while self._next_ns < end and self._done < batch.documents:
            self._next_ns = self._document(batch, tracer, box)
            self._done += 1
        if self._done == batch.documents and self._next_ns <= end:
            return self._finish(batch, tracer)
        if batch.killed_ns and batch.killed_ns <= now:
            exported = batch.killed_ns - (batch.killed_ns - batch.start_ns) % BATCH_DELAY_NS
            return self._end(tracer, exported)
        return [body] if (body := tracer.export(end)) else []

    def _document(self, batch: Batch, tracer: Tracer, box: Box) -> int:
        rng, at, parent = tracer.rng, self._next_ns, tracer.span_id()
        slow_disk, slow_cpu = box.data_disk.await_seconds, max(1.0, box.running / CPUS)
        faulting = 0.3 * box.memory.refaults_per_second() * box.root_disk.await_seconds
        steps: tuple[tuple[str, float, Span.SpanKind.ValueType, Attributes], ...] = (
            ("read document", 0.2 + 40 * slow_disk * rng.lognormvariate(0, 0.15), Span.SPAN_KIND_INTERNAL,
             {"document.bytes": int(rng.lognormvariate(12, 0.6))}),
            ("tokenize", rng.lognormvariate(0.88, 0.12) * slow_cpu * (1 + faulting), Span.SPAN_KIND_INTERNAL,
             {"document.tokens": int(rng.lognormvariate(8, 0.4))}),
            ("POST /v1/classify", rng.lognormvariate(2.6, 0.18), Span.SPAN_KIND_CLIENT,
             {"server.address": "api.example", "server.port": 443, "http.request.method": "POST",
              "http.response.status_code": 200}),
            ("store label", 0.02 + 8 * slow_disk * rng.lognormvariate(0, 0.2), Span.SPAN_KIND_INTERNAL, {}),
        )  # fmt: skip
        start = at
        for name, seconds, kind, attributes in steps:
            end = at + int(seconds * NS)
            span_id = tracer.span_id()
            tracer.waiting.append(Ended(batch.trace_id, span_id, parent, name, at, end, kind, attributes))
            at = end + rng.randrange(80_000, 900_000)
        number: Attributes = {"document.number": self._done + 1}
        tracer.waiting.append(
            Ended(batch.trace_id, parent, self._root, "classify document", start, at, Span.SPAN_KIND_INTERNAL, number)
        )
        return at + rng.randrange(1_000_000, 9_000_000)

    def _finish(self, batch: Batch, tracer: Tracer) -> list[bytes]:
        end = self._next_ns
        documents: Attributes = {"batch.documents": batch.documents}
        root = Ended(batch.trace_id, self._root, b"", "classify batch", batch.start_ns + NS, end, attributes=documents)
        tracer.waiting.append(root)
        return self._end(tracer, end)

    def _end(self, tracer: Tracer, exported_until_ns: int) -> list[bytes]:
        self._batch = self._tracer = None
        self.processes.clear()
        self.anonymous_bytes = 0.0
        return [body] if (body := tracer.export(exported_until_ns)) else []


class Visitors:
    """Requests to `orders-api`: more by day than by night, each a server span with a query and a rendering."""

    def __init__(self, web: WebService, host: Attributes, rng: random.Random, start_ns: int) -> None:
        self._rng = rng
        self._web = web
        self._tracer = Tracer(sdk_resource(WEB_SERVICE, web.processes[1], host, rng), "orders", rng)
        self._next_ns = start_ns

    def visit(self, box: Box) -> list[bytes]:
        while self._next_ns < box.now_ns:
            self._request(box)
            self._next_ns += int(self._rng.expovariate(self._web.traffic(self._next_ns) / 150) * NS)
        return [body] if (body := self._tracer.export(box.now_ns)) else []

    def _request(self, box: Box) -> None:
        rng, tracer, start = self._rng, self._tracer, self._next_ns
        trace_id, root = rng.getrandbits(128).to_bytes(16, "big"), tracer.span_id()
        route = rng.choice(("/orders", "/orders/{id}", "/customers/{id}/orders"))
        misses = sum(rng.random() < 0.25 for _ in range(4))
        query = 0.004 * rng.lognormvariate(0, 0.3) + misses * box.data_disk.await_seconds
        render = 0.018 * rng.lognormvariate(0, 0.2) * max(1.0, box.running / CPUS)
        queried = start + 900_000 + int(query * NS)
        end = queried + int(render * NS)
        of_server: Attributes = {"http.request.method": "GET", "http.route": route, "http.response.status_code": 200}
        of_query: Attributes = {
            "db.system.name": "postgresql",
            "server.address": "127.0.0.1",
            "db.operation.name": "SELECT",
        }
        tracer.waiting += [
            Ended(
                trace_id,
                tracer.span_id(),
                root,
                "SELECT orders",
                start + 900_000,
                queried,
                Span.SPAN_KIND_CLIENT,
                of_query,
            ),
            Ended(trace_id, tracer.span_id(), root, "render", queried, end - 100_000),
            Ended(trace_id, root, b"", f"GET {route}", start, end, Span.SPAN_KIND_SERVER, of_server),
        ]
