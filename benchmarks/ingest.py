"""Decode, place and commit without sockets: CPU time per point, its parts, and bytes per point at rest.

Method: the requests of one made-up box with the process scraper (24 h at 30 s, as `hosts_mcp.demo` writes them),
one process, `time.process_time`, groups of 32 requests per commit, a fresh file. References in the same run: parsing
the same bytes with protobuf and looking at nothing, and the decoder alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.demo.story import Options, Story
from hosts_mcp.ingest.placing import Placer
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.store.sqlite import open_writer

GROUP = 32


def measure() -> list[tuple[str, str]]:
    """(figure, value) rows."""
    now_ns = time.time_ns()
    story = Story(Options(nights=2), now_ns)
    sent = [s for s in story.until(now_ns) if s.signal == "metrics"]
    begun = time.process_time()
    for one in sent:
        ExportMetricsServiceRequest.FromString(one.body)
    bare = time.process_time() - begun
    begun = time.process_time()
    points = sum(decode_metrics(one.body, "protobuf").points for one in sent)
    decoded = time.process_time() - begun
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        begun = time.process_time()
        writer = open_writer(path)
        placer = Placer(writer)
        for at in range(0, len(sent), GROUP):
            writer.begin()
            for one in sent[at : at + GROUP]:
                request = Request(Signal.METRICS, one.body, "protobuf", "127.0.0.1", one.time_ns)
                writer.savepoint()
                placer.place(request, decode_metrics(one.body, "protobuf"))
            placer.flush()
            writer.commit()
        writer.close()
        whole = time.process_time() - begun
        size = path.stat().st_size
    return [
        ("points", f"{points:,}"),
        ("bare protobuf parse", f"{1e6 * bare / points:.2f} µs/point"),
        ("decode (plain walk)", f"{1e6 * decoded / points:.2f} µs/point, {decoded / bare:.1f} x the bare parse"),
        (
            "decode, place, commit",
            f"{1e6 * whole / points:.2f} µs/point, {points / whole / 1e3:.0f} k points/s on one core",
        ),
        ("at rest", f"{size / points:.1f} B/point"),
    ]
