"""The way in without sockets: gunzip, decode, place, commit; CPU time of one process, a fresh file, group commits.

References in the same run, taking turns: the bare protobuf parse of the same bytes, and the same way in behind the
ordinary walk. Bytes at rest are taken from the demo's story, whose values behave like those of a box.
"""

from __future__ import annotations

import gc
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from benchmarks.fleet import SimulatedHost, batched, scrapes
from benchmarks.measuring import Row
from hosts_mcp.demo.story import Options, Story
from hosts_mcp.ingest.placing import Placer
from hosts_mcp.otlp.batch import MetricsBatch
from hosts_mcp.otlp.compression import decompressed
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.otlp.points import walk
from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.otlp.values import Interned
from hosts_mcp.store.sqlite import SqliteWriter, open_writer

PASSES = 3
GROUP_BYTES = 8 * 1024 * 1024
Sent = tuple[int, bytes]
"""Time and gzipped request."""
Decode = Callable[[bytes], MetricsBatch]


def measure() -> Iterator[Row]:
    fleet = [SimulatedHost(f"host-{i}", cpus=4 + i % 3, disks=1 + i % 4) for i in range(92)]
    yield _figure("way in, HTTP batches of 8,192 points", list(batched(fleet, 16)))
    yield _figure("way in, single hosts", list(scrapes(fleet, 6)))
    yield _figure("way in, host + 100 processes", list(scrapes([SimulatedHost("busy", processes=100)], 40)))
    yield _at_rest()


def _figure(name: str, bodies: Sequence[Sent]) -> Row:
    sent = [(time_ns, gzip.compress(body, 6)) for time_ns, body in bodies]
    interned = Interned()
    fast: Decode = partial(decode_metrics, encoding="protobuf")

    def plain(body: bytes) -> MetricsBatch:
        return walk(ExportMetricsServiceRequest.FromString(body), interned, Room(len(body)))

    points = sum(fast(body).points for _, body in bodies[len(bodies) // 2 :])
    taken = [(_parsed(sent), _stored(fast, sent), _stored(plain, sent)) for _ in range(PASSES)]
    bare, whole, walked = (1e6 * statistics.median(seconds) / points for seconds in zip(*taken, strict=True))
    return name, (
        f"{whole:.2f} µs/point, {1 / whole:.2f} M points/s on one core; behind the walk {walked:.2f}; "
        f"gunzip and bare parse {bare:.2f}"
    )


def _parsed(sent: Sequence[Sent]) -> float:
    begun = time.process_time()
    for _, packed in sent[len(sent) // 2 :]:
        ExportMetricsServiceRequest.FromString(gzip.decompress(packed))
    return time.process_time() - begun


def _stored(decode: Decode, sent: Sequence[Sent]) -> float:
    """CPU seconds of the second half: the first one makes the hosts known."""
    with tempfile.TemporaryDirectory() as folder:
        writer = open_writer(Path(folder) / "bench.db")
        placer = Placer(writer)
        half = len(sent) // 2
        _commit(decode, writer, placer, sent[:half])
        gc.collect()
        begun = time.process_time()
        _commit(decode, writer, placer, sent[half:])
        seconds = time.process_time() - begun
        writer.close()
    return seconds


def _commit(decode: Decode, writer: SqliteWriter, placer: Placer, sent: Sequence[Sent]) -> None:
    held = 0
    writer.begin()
    for time_ns, packed in sent:
        if held >= GROUP_BYTES:
            placer.flush()
            writer.commit()
            writer.begin()
            held = 0
        body = b"".join(decompressed(packed, "gzip"))
        held += len(body)
        writer.savepoint()
        placer.place(Request(Signal.METRICS, body, "protobuf", "127.0.0.1", time_ns), decode(body))
    placer.flush()
    writer.commit()


def _at_rest() -> Row:
    """One made-up box with the process scraper, 20 hours at 30 s."""
    now_ns = time.time_ns()
    sent = [s for s in Story(Options(nights=1), now_ns).until(now_ns) if s.signal == "metrics"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        writer = open_writer(path)
        placer = Placer(writer)
        points = 0
        writer.begin()
        for one in sent:
            batch = decode_metrics(one.body, "protobuf")
            points += batch.points
            placer.place(Request(Signal.METRICS, one.body, "protobuf", "127.0.0.1", one.time_ns), batch)
        placer.flush()
        writer.commit()
        writer.close()
        size = path.stat().st_size
    return "at rest, before compaction", f"{size / points:.1f} B/point"
