"""Decoding: µs of CPU per point and ratio to the bare protobuf parse of the same bytes in the same run.

Each scrape is new to the decoder in the orders of its devices; hosts are the simulated ones of `benchmarks.fleet`, and
recordings of real collectors. The ordinary walk is the second reference. Equality is held by tests/otlp/test_shapes.py.
"""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from benchmarks.fleet import SimulatedHost, batched, scrapes
from benchmarks.measuring import Row, cpu_seconds
from hosts_mcp.otlp.points import walk
from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.shapes import Shapes
from hosts_mcp.otlp.values import Interned

_RECORDED = Path(__file__).parents[1] / "fixtures" / "recorded"
_HEAD = struct.Struct("<qcI")


def measure() -> Iterator[Row]:
    for order in ("reversed", "ascending"):
        host = SimulatedHost("one", order=order)  # type: ignore[arg-type]
        yield _ratios(f"decode, host of {host.points} points, {order}", _bodies([host], 60))
    yield _ratios("decode, host + 100 processes", _bodies([SimulatedHost("busy", processes=100)], 12))
    fleet = [SimulatedHost(f"host-{i}", cpus=4 + i % 3, disks=1 + i % 4) for i in range(46)]
    yield _ratios("decode, batch of 8,192 points", [body for _, body in batched(fleet, 6)])
    for name in ("v0.160-grpc-nobatch", "v0.128-http-default"):
        yield _ratios(f"decode, recorded {name}", list(_recorded(_RECORDED / f"{name}.otlp.gz")))
    yield _memory()


def _bodies(hosts: Sequence[SimulatedHost], rounds: int) -> list[bytes]:
    return [body for _, body in scrapes(hosts, rounds)]


def _ratios(name: str, bodies: Sequence[bytes]) -> Row:
    shapes, interned = Shapes(), Interned()
    points = walked = 0
    for body in bodies:
        batch = shapes.decode(body)
        points += batch.points
        walked += batch.walked.total()
    bare, plain, fast = cpu_seconds(
        bodies,
        ExportMetricsServiceRequest.FromString,
        lambda body: walk(ExportMetricsServiceRequest.FromString(body), interned, Room(len(body))),
        shapes.decode,
    )
    return name, (
        f"{1e6 * fast / points:.2f} µs/point, {fast / bare:.1f} x the bare parse ({1e6 * bare / points:.2f}); "
        f"the walk {plain / bare:.1f} x; {walked / points:.1%} walked"
    )


def _memory() -> Row:
    """What a decoder holds that has met 300 different hosts with 20 processes each."""
    bodies = _bodies(
        [SimulatedHost(f"host-{i}", cpus=2 + i % 16, disks=1 + i % 6, processes=20) for i in range(300)], 2
    )
    tracemalloc.start()
    shapes = Shapes()
    for body in bodies:
        shapes.decode(body)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return "decoder's memory, 300 hosts + 6,000 processes", f"{held / 1e6:.1f} MB"


def _recorded(path: Path) -> Iterator[bytes]:
    data, at = gzip.decompress(path.read_bytes()), 0
    while at < len(data):
        _, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        yield data[at - length : at]
