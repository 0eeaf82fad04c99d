"""How long a verdict takes: CPU time per call with 30 days of one host's history at 30 s and 1,000-span traces, by
what is wrong with the trace: nothing (usual), slow, or killed.

Method: the demo's box with its process scraper, scraped every 30 s for so many days (`python -m
benchmarks.verdict_latency 7` for fewer), decoded, placed, stored, rolled up and settled as the server does. Then traces
of 1,000 spans and their history are asked about, each once, in one process with `time.process_time`; the share of
gathering (reading and deriving) is measured in the same run. Usual, slow and killed traces take turns over the last
half day; a killed one stops after 800 spans, its root never comes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.measuring import spent
from hosts_mcp.answers import was_it_the_box
from hosts_mcp.answers.gather_case import gather
from hosts_mcp.demo.story import Options, Story
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.store.protocol import Store
from hosts_mcp.timerange import NS
from tests.in_process import InProcess

DAYS = 30
SPANS = 1_000
ASKED = 20
"""Of each kind."""
KINDS = ("usual", "slow", "killed")
SLOW = 3.0
LIVED = 800
"""Spans of a killed trace."""
DAY_NS = 86_400 * NS


def measure(days: int = DAYS) -> list[tuple[str, str]]:
    """(figure, value) rows."""
    now_ns = 1_795_600_000 * NS
    story = Story(Options(nights=days), now_ns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        way = InProcess(path, synchronous="normal")
        reader = way.reader
        told = story.until(now_ns)
        way.requests(Request(Signal(s.signal), s.body, "protobuf", "127.0.0.1", s.time_ns) for s in told)
        asked = _large_traces(way, Options().host, now_ns)
        way.derive(now_ns)
        rows = [row for kind in KINDS for row in _figures(reader, kind, asked[kind], now_ns)]
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        way.close()
    return [("history", f"{days} days at 30 s, {size / 2**20:.0f} MiB"), *rows]


def _figures(store: Store, kind: str, ids: list[bytes], now_ns: int) -> list[tuple[str, str]]:
    whole = [spent(lambda i=i: was_it_the_box.answer(store, i.hex(), now_ns=now_ns)) for i in ids]  # type: ignore[misc]
    gathered = [spent(lambda i=i: gather(store, i, now_ns)) for i in ids]  # type: ignore[misc]
    return [
        (f"{kind}: verdict p50", f"{1e3 * median(whole):.0f} ms CPU"),
        (f"{kind}: verdict p95", f"{1e3 * quantiles(whole, n=20)[-1]:.0f} ms CPU"),
        (f"{kind}: of it gathering, p50", f"{1e3 * median(gathered):.0f} ms CPU"),
    ]


def _large_traces(way: InProcess, host: str, now_ns: int) -> dict[str, list[bytes]]:
    """Forty usual runs, then those asked about, by kind, over the last half day."""
    sent, asked = [], defaultdict[str, list[bytes]](list)
    past, step = 40, DAY_NS // 2 // (40 + len(KINDS) * ASKED)
    for n in range(past + len(KINDS) * ASKED):
        trace_id = (n + 1).to_bytes(16, "big")
        kind = "usual" if n < past else KINDS[n % len(KINDS)]
        factor = SLOW if kind == "slow" else 1.0 + 0.01 * (n % 5)
        begin = now_ns - DAY_NS // 2 + n * step
        sent.append((now_ns, _trace(trace_id, host, begin, factor, killed=kind == "killed")))
        if n >= past:
            asked[kind].append(trace_id)
    way.traces(sent)
    return asked


def _trace(trace_id: bytes, host: str, begin_ns: int, factor: float, *, killed: bool) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (("service.name", "batch"), ("host.name", host)):
        resource.resource.attributes.add(key=key).value.string_value = value
    step = round(40_000_000 * factor)
    spans = resource.scope_spans.add().spans
    if not killed:
        spans.add(
            trace_id=trace_id, span_id=(1).to_bytes(8, "big"), name="batch", kind=2, start_time_unix_nano=begin_ns,
            end_time_unix_nano=begin_ns + SPANS * step,
        )  # fmt: skip
    for n in range(1, LIVED if killed else SPANS):
        start = begin_ns + n * step
        spans.add(
            trace_id=trace_id, span_id=(n + 1).to_bytes(8, "big"), parent_span_id=(1).to_bytes(8, "big"), kind=1,
            name=f"step {n % 50}", start_time_unix_nano=start, end_time_unix_nano=start + step,
        )  # fmt: skip
    return request.SerializeToString()


def main() -> None:
    for figure, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS):
        print(f"{figure:32} {value}")


if __name__ == "__main__":
    main()
