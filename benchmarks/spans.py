"""Spans: CPU time of decode, place and commit per span, the parts of it, and bytes per span at rest.

Traces of 12 spans over two services, 20 attributes a span as an agent's SDK sends them, in batches of 512 and each in
a request of its own. References in the same run: the bare protobuf parse, and the decoder alone.
"""

from __future__ import annotations

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.fleet import BOOT_NS
from benchmarks.measuring import PASSES, Row, cpu_seconds
from hosts_mcp.ingest.placing import Placer
from hosts_mcp.otlp.decode import decode_traces
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.store.sqlite import open_writer

_WORDS = ("box", "disk", "queue", "backup", "memory", "pages", "slow", "read", "everything", "because", "while", "grew")
_PER_TRACE, _PER_BATCH = 12, 512 // 12
"""Spans; traces."""
_BATCHES, _ALONE = 48, 1000
"""Requests: so many that what an empty file takes is of little account."""


def measure() -> Iterator[Row]:
    rng = random.Random(7)
    bodies = [batch(rng, number, _PER_BATCH) for number in range(_BATCHES)]
    spans = _PER_BATCH * _PER_TRACE * _BATCHES
    sizes: list[int] = []
    parsed, read = cpu_seconds(
        bodies, ExportTraceServiceRequest.FromString, partial(decode_traces, encoding="protobuf")
    )
    stored = statistics.median(_stored(sizes, bodies) for _ in range(PASSES))
    bare, decoded, whole = (1e6 * seconds / spans for seconds in (parsed, read, stored))
    yield (
        "spans: decode, place, commit",
        (
            f"{whole:.1f} µs/span, {1e3 / whole:.0f} k spans/s on one core; decode {decoded:.1f}, "
            f"{decoded / bare:.1f} x the bare parse; {sizes[-1] / spans:.0f} B/span at rest"
        ),
    )
    bodies = [batch(rng, number, 1) for number in range(_ALONE)]
    spans = _PER_TRACE * _ALONE
    whole = 1e6 * statistics.median(_stored(sizes, bodies) for _ in range(PASSES)) / spans
    yield "spans: a trace per request", f"{whole:.1f} µs/span; {sizes[-1] / spans:.0f} B/span at rest"


def _stored(sizes: list[int], bodies: Sequence[bytes]) -> float:
    """CPU seconds into a fresh file that is open."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        writer = open_writer(path)
        placer = Placer(writer)
        gc.collect()
        begun = time.process_time()
        writer.begin()
        for body in bodies:
            writer.savepoint()
            request = Request(Signal.TRACES, body, "protobuf", "127.0.0.1", BOOT_NS)
            placer.place(request, decode_traces(body, "protobuf"))
        placer.flush()
        writer.commit()
        seconds = time.process_time() - begun
        writer.close()
        sizes.append(path.stat().st_size)
    return seconds


def batch(rng: random.Random, number: int, traces: int, spans: int = _PER_TRACE) -> bytes:
    """A request of so many traces of so many spans."""
    request = ExportTraceServiceRequest()
    scopes = []
    for service in ("agent", "tools"):
        resource = request.resource_spans.add()
        for key, value in (("service.name", service), ("host.name", f"{service}-1"), ("process.pid", "77")):
            resource.resource.attributes.add(key=key).value.string_value = value
        scopes.append(resource.scope_spans.add())
        scopes[-1].scope.name = "pydantic-ai"
    for _ in range(traces):
        trace_id, begun = rng.randbytes(16), BOOT_NS + number * 10**10 + rng.randrange(10**9)
        parent = b""
        for depth in range(spans):
            span = scopes[depth % 2].spans.add(
                trace_id=trace_id, span_id=rng.randbytes(8), parent_span_id=parent, kind=1 + depth % 3,
                name=f"chat gpt-{depth % 4}", start_time_unix_nano=begun + depth * 10**6,
                end_time_unix_nano=begun + 5 * 10**8 - depth * 10**6,
            )  # fmt: skip
            span.status.code = 2 if rng.random() < 0.03 else 0  # type: ignore[assignment]
            parent = parent or span.span_id
            for i in range(12):
                span.attributes.add(key=f"gen_ai.request.option.{i}").value.int_value = rng.randrange(4096)
            for i in range(8):
                text = " ".join(rng.choices(_WORDS, k=8))
                span.attributes.add(key=f"gen_ai.message.{i}").value.string_value = text
    return request.SerializeToString()
