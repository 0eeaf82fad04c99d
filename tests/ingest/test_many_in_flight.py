"""64 senders at once against little room: refused and sent again, all stored, never more in flight than may be."""

import asyncio
import gzip
import random
import time
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.ingest.server import Ingest
from hosts_mcp.otlp import admission
from hosts_mcp.settings import load
from hosts_mcp.store.sqlite import open_reader

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
SENDERS, BATCHES, POINTS = 64, 3, 50
LARGEST = 300_000


def batch(sender: int, number: int, newest_ns: int) -> bytes:
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add(schema_url="x" * random.Random(sender * 9 + number).randrange(LARGEST - 20_000))
    rm.resource.attributes.add(key="host.name").value.string_value = f"host-{sender}"
    points = rm.scope_metrics.add().metrics.add(name="system.cpu.load_average.1m").gauge.data_points
    for at in range(POINTS):
        points.add(time_unix_nano=newest_ns - (number * POINTS + at) * 10**9, as_double=1.0)
    return request.SerializeToString()


def test_what_many_senders_have_in_flight_is_bounded_and_none_of_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "PATIENCE_SECONDS", 0.02)
    given = {"db": tmp_path / "x.db", "in_flight": "1MB", "otlp_grpc": ":0", "otlp_http": ":0", "synchronous": "normal"}
    refused = 0

    async def over_http(client: httpx.AsyncClient, address: str, body: bytes) -> bool:
        packed = gzip.compress(body)
        return (await client.post(f"http://{address}/v1/metrics", content=packed, headers=HEADERS)).status_code == 200

    async def over_grpc(channel: grpc.aio.Channel, body: bytes) -> bool:
        call = channel.unary_unary(EXPORT)(body, compression=grpc.Compression.Gzip)
        code = await call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
        return bool(code == grpc.StatusCode.OK)

    async def run() -> int:
        now, most = time.time_ns(), 0
        async with (
            Ingest(load(given, {})) as ingest,
            httpx.AsyncClient(timeout=60) as client,
            grpc.aio.insecure_channel(ingest.endpoints["grpc"]) as channel,
        ):

            async def sender(number: int) -> None:
                nonlocal refused
                for at in range(BATCHES):
                    body = batch(number, at, now)
                    while not await (
                        over_http(client, ingest.endpoints["http"], body) if number % 2 else over_grpc(channel, body)
                    ):
                        refused += 1
                        await asyncio.sleep(0.05)

            senders = [asyncio.create_task(sender(number)) for number in range(SENDERS)]
            while not all(one.done() for one in senders):
                most = max(most, int(ingest.counters()["bytes_in_flight"] or 0))
                await asyncio.sleep(0.001)
            await asyncio.gather(*senders)
            assert ingest.counters()["bytes_in_flight"] == 0
        return most

    most = asyncio.run(run())
    assert refused > 0
    # A gRPC message or a step of inflation holds 1 MiB until its size is known.
    assert LARGEST < most <= 1_000_000 + 2 * 1024 * 1024
    store = open_reader(tmp_path / "x.db")
    stored = {host.name: store.stored(host.id).points for host in store.hosts()}
    store.close()
    assert stored == {f"host-{sender}": BATCHES * POINTS for sender in range(SENDERS)}
