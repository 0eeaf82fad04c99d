"""OTLP over gRPC: the SDK's own exporter, malformed metadata, an unknown method, peers as addresses."""

import asyncio
import subprocess
import sys
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.grpc import OtlpGrpcServer
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.transport import Reply, Request, Signal
from hosts_mcp.settings import Address

PACE = Pace(60.0, 1024)
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def serving(use: Any, host: str = "127.0.0.1", token: str | None = None) -> tuple[Any, list[Request]]:
    requests: list[Request] = []

    async def accept(request: Request) -> Reply:
        requests.append(request)
        return Reply()

    async def run() -> Any:
        guard = Guard(lambda: token, True)
        server = OtlpGrpcServer(
            accept, Admission(1 << 20), Address(host, 0), max_request_bytes=1 << 20, guard=guard, pace=PACE
        )
        port = await server.start()
        try:
            return await use(Address(host, port))
        finally:
            await server.stop()

    return asyncio.run(run()), requests


def code(path: str, metadata: Any = (), host: str = "127.0.0.1", token: str | None = None) -> tuple[Any, list[Request]]:
    async def use(address: Address) -> Any:
        async with grpc.aio.insecure_channel(str(address)) as channel:
            call = channel.unary_unary(path)(b"raw", metadata=metadata, timeout=10)
            return await call.code()

    return serving(use, host, token)


def test_a_malformed_origin_is_refused_and_no_unknown_error() -> None:
    assert code(EXPORT, (("origin", "http://["),)) == (grpc.StatusCode.PERMISSION_DENIED, [])


def test_an_unknown_method_is_unimplemented() -> None:
    assert code("/a.Service/Export")[0] == grpc.StatusCode.UNIMPLEMENTED


def test_the_right_token_opens() -> None:
    assert code(EXPORT, (("authorization", "Bearer t"),), token="t")[0] == grpc.StatusCode.OK


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_peer_is_an_address_without_port(host: str) -> None:
    status, requests = code(EXPORT, host=host)
    assert status == grpc.StatusCode.OK
    assert [(request.peer, request.body) for request in requests] == [(host, b"raw")]


@pytest.mark.parametrize("packing", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_sdk_exporter_delivers_its_spans(packing: grpc.Compression) -> None:
    async def use(address: Address) -> None:
        def send() -> None:
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://{address}", insecure=True, compression=packing)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            provider.get_tracer("t").start_span("a-span").end()
            provider.shutdown()

        await asyncio.to_thread(send)

    requests = serving(use)[1]
    assert [request.signal for request in requests] == [Signal.TRACES]
    assert b"a-span" in requests[0].body


ABANDONED = """
import asyncio, gc
from tests.otlp.test_grpc import PACE, Address, Admission, Guard, OtlpGrpcServer

async def abandon():
    address, guard = Address("127.0.0.1", 0), Guard(lambda: None, True)
    server = OtlpGrpcServer(None, Admission(1), address, max_request_bytes=1, guard=guard, pace=PACE)
    await server.start()
    server.cycle = server

asyncio.run(abandon())
gc.collect()
print("collected")
"""


def test_a_server_whose_loop_ended_before_it_was_stopped_is_collected_without_waiting() -> None:
    done = subprocess.run([sys.executable, "-c", ABANDONED], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "collected\n"), done.stderr
