"""Hostile bodies against a real server process, on both ports: right status, memory back, neighbours' data intact."""

import gzip
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.store.sqlite import open_reader
from ports import free_ports
from waiting import is_ready, wait_until

MIB = 1 << 20
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PROTO = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
MOST_BYTES = 64 * MIB


def metrics(moment_ns: int) -> bytes:
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add()
    rm.resource.attributes.add(key="host.name").value.string_value = "neighbour"
    metric = rm.scope_metrics.add().metrics.add(name="system.cpu.load_average.1m")
    metric.gauge.data_points.add(time_unix_nano=moment_ns, as_double=float(moment_ns % 1000))
    return request.SerializeToString()


def bomb(size: int, packer: "zlib._Compress") -> bytes:
    """`size` zeros, packed without ever being whole here."""
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


@dataclass
class Served:
    process: psutil.Process
    http: str
    grpc: str
    db: Path
    client: httpx.Client

    def post(self, body: bytes, **headers: str) -> int:
        return self.client.post(f"http://{self.http}/v1/metrics", content=body, headers=headers).status_code

    def export(self, body: bytes, compression: grpc.Compression = grpc.Compression.NoCompression) -> str:
        with grpc.insecure_channel(self.grpc) as channel:
            try:
                channel.unary_unary(EXPORT)(body, timeout=60, compression=compression)
            except grpc.RpcError as error:
                return str(error.code().name)  # type: ignore[attr-defined]
        return "OK"


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    app, over_grpc, over_http = (f"127.0.0.1:{port}" for port in free_ports(3))
    command = [
        sys.executable, "-P", "-m", "hosts_mcp.cli", "serve", "--db", str(folder / "box.db"), "--listen", app,
        "--otlp-grpc", over_grpc, "--otlp-http", over_http,
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_ready(f"http://{app}/healthz"), "the server is up")
        with httpx.Client(timeout=60) as client:
            yield Served(psutil.Process(server.pid), over_http, over_grpc, folder / "box.db", client)
        assert server.poll() is None
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is compared as Linux counts it")
def test_hostile_bodies_get_their_status_and_take_nothing_with_them(tmp_path: Path) -> None:
    good, rng = metrics(time.time_ns() - 3600 * 10**9), random.Random(3)
    packed = gzip.compress(good)
    gz = PROTO | {"content-encoding": "gzip"}
    gzip_bomb, zlib_bomb = bomb(65 * MIB, zlib.compressobj(9, wbits=31)), bomb(65 * MIB, zlib.compressobj(9))
    disguised_bomb = gzip_bomb + gzip.compress(b"")  # its last bytes promise nothing
    large = ExportMetricsServiceRequest.FromString(good)
    large.resource_metrics[0].schema_url = "x" * 50 * MIB  # honest, and much to inflate
    noise = rng.randbytes(60 * MIB)
    empty = b"\x0a\0" * (8 * MIB)  # resources of two bytes, each of them a message
    with serving(tmp_path) as served:
        cases = [
            (400, good[:-1], PROTO), (400, rng.randbytes(1000), PROTO), (400, b"{", JSON), (400, good, JSON),
            (400, good, gz), (400, packed[:-1], gz), (400, packed + b"x", gz), (400, packed[:10], gz),
            (400, gzip.compress(rng.randbytes(1000)), gz), (400, packed, PROTO),
            (400, good, PROTO | {"content-encoding": "deflate"}), (400, good, PROTO | {"content-encoding": "zstd"}),
            (415, good, PROTO | {"content-encoding": "br"}), (415, good, {"content-type": "text/plain"}),
            (413, gzip_bomb, gz), (413, disguised_bomb, gz), (413, zlib_bomb, PROTO | {"content-encoding": "deflate"}),
            (413, bytes(MOST_BYTES + 1), PROTO), (400, empty, PROTO), (400, gzip.compress(empty), gz),
            (200, good, PROTO), (200, packed, gz), (200, b"", PROTO),
        ]  # fmt: skip
        assert [served.post(body, **headers) for _, body, headers in cases] == [status for status, _, _ in cases]
        assert served.export(good[:-1]) == "INVALID_ARGUMENT"
        assert served.export(b"no protobuf", grpc.Compression.Gzip) == "INVALID_ARGUMENT"
        assert served.export(bytes(MOST_BYTES + 1)) == "RESOURCE_EXHAUSTED"
        assert served.export(bytes(MOST_BYTES + 1), grpc.Compression.Gzip) == "RESOURCE_EXHAUSTED"
        assert served.export(good, grpc.Compression.Deflate) == "OK"
        assert served.post(gzip.compress(large.SerializeToString(), 1), **gz) == 200
        before = settled_rss(served.process)

        acknowledged: list[int] = []

        def neighbour(number: int) -> None:
            for at in range(20):
                moment = time.time_ns() // 10**9 * 10**9 - (number * 20 + at) * 10**9
                sent = served.post(metrics(moment), **PROTO) if number % 2 else served.export(metrics(moment))
                assert sent in (200, 503, "OK", "UNAVAILABLE")
                if sent in (200, "OK"):
                    acknowledged.append(moment)

        def throw(number: int) -> object:
            if number % 5 == 0:
                return served.post(noise if number % 2 else empty, **PROTO)
            if number % 2:
                return served.post(disguised_bomb, **gz)
            return served.export(disguised_bomb)  # as it would come off the wire

        with ThreadPoolExecutor(12) as threads:
            neighbours = [threads.submit(neighbour, number) for number in range(4)]
            peaks = [before]
            ends = [threads.submit(throw, number) for number in range(60)]
            while not all(one.done() for one in ends):
                peaks.append(served.process.memory_info().rss)
                time.sleep(0.02)
        assert {one.result() for one in ends} <= {400, 413, 503, "RESOURCE_EXHAUSTED", "UNAVAILABLE"}
        assert {400, 413, "RESOURCE_EXHAUSTED"} <= {one.result() for one in ends}
        for one in neighbours:
            one.result()
        after = settled_rss(served.process)
        print(f"RSS before {before / MIB:.0f}, most {max(peaks) / MIB:.0f}, after {after / MIB:.0f} MiB")
        assert max(peaks) < before + 4 * MOST_BYTES
        assert after < before + 16 * MIB
        assert acknowledged
    store = open_reader(served.db)
    (host,) = store.hosts()
    times = store.sql("SELECT count(*) FROM samples", max_rows=1, max_bytes=1000).rows[0][0]
    assert times == len(set(acknowledged)) + 1  # and the one of the cases, sent several times
    assert store.stored(host.id).points == len(set(acknowledged)) + 1
    store.close()


def settled_rss(process: psutil.Process) -> int:
    """Resident bytes once they have stopped falling."""
    least, seen = process.memory_info().rss, 0
    while seen < 5:
        time.sleep(0.1)
        now = process.memory_info().rss
        seen = seen + 1 if now >= least else 0
        least = min(least, now)
    return int(least)
