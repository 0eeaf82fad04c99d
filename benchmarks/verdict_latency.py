"""How long a verdict takes: CPU time per call with 30 days of one host's history at 30 s and 1,000-span traces.

Method: the demo's box with its process scraper, scraped every 30 s for so many days (`python -m
benchmarks.verdict_latency 7` for fewer), decoded, placed, stored, rolled up and settled as the server does. Then traces
of 1,000 spans and their history are asked about, each once, in one process with `time.process_time`; the share of
gathering (reading and deriving) is measured in the same run. Slow and usual traces alternate, day by day.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.measuring import spent
from hosts_mcp.answers import was_it_the_box
from hosts_mcp.answers.gather_case import gather
from hosts_mcp.demo.story import Options, Story
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.timerange import NS
from tests.in_process import InProcess

DAYS = 30
SPANS = 1_000
ASKED = 20
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
        ids = _large_traces(way, Options().host, now_ns)
        way.derive(now_ns)
        whole = [spent(lambda i=i: was_it_the_box.answer(reader, i.hex(), now_ns=now_ns)) for i in ids]  # type: ignore[misc]
        gathered = [spent(lambda i=i: gather(reader, i, now_ns)) for i in ids]  # type: ignore[misc]
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        way.close()
    return [
        ("history", f"{days} days at 30 s, {size / 2**20:.0f} MiB"),
        ("verdict p50", f"{1e3 * median(whole):.0f} ms CPU"),
        ("verdict p95", f"{1e3 * quantiles(whole, n=20)[-1]:.0f} ms CPU"),
        ("of it gathering, p50", f"{1e3 * median(gathered):.0f} ms CPU"),
    ]


def _large_traces(way: InProcess, host: str, now_ns: int) -> list[bytes]:
    """Forty usual runs and the ones asked about, every other of them three times as slow, over the last day."""
    sent, asked = [], []
    for n in range(40 + ASKED):
        trace_id = (n + 1).to_bytes(16, "big")
        slow = 3.0 if n >= 40 and n % 2 else 1.0 + 0.01 * (n % 5)
        begin = now_ns - DAY_NS // 2 + n * 600 * NS
        sent.append((now_ns, _trace(trace_id, host, begin, slow)))
        if n >= 40:
            asked.append(trace_id)
    way.traces(sent)
    return asked


def _trace(trace_id: bytes, host: str, begin_ns: int, factor: float) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (("service.name", "batch"), ("host.name", host)):
        resource.resource.attributes.add(key=key).value.string_value = value
    step = round(40_000_000 * factor)
    spans = resource.scope_spans.add().spans
    spans.add(
        trace_id=trace_id, span_id=(1).to_bytes(8, "big"), name="batch", kind=2, start_time_unix_nano=begin_ns,
        end_time_unix_nano=begin_ns + SPANS * step,
    )  # fmt: skip
    for n in range(1, SPANS):
        start = begin_ns + n * step
        spans.add(
            trace_id=trace_id, span_id=(n + 1).to_bytes(8, "big"), parent_span_id=(1).to_bytes(8, "big"), kind=1,
            name=f"step {n % 50}", start_time_unix_nano=start, end_time_unix_nano=start + step,
        )  # fmt: skip
    return request.SerializeToString()


def main() -> None:
    for figure, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS):
        print(f"{figure:24} {value}")


if __name__ == "__main__":
    main()
