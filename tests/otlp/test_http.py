"""OTLP over HTTP where senders misbehave, byte by byte over a real socket, and the SDK's own exporter."""

import asyncio
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.http import OtlpHttpServer
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.transport import Reply, Request, Signal
from hosts_mcp.settings import Address

LIMIT = 1 << 20
PACE = Pace(60.0, 1024)
POST = "POST /v1/metrics HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n"


async def serving(use: Any) -> tuple[Any, list[Request], Admission]:
    """What `use(port, admission)` gives, what was accepted, and the budget after the end."""
    requests: list[Request] = []

    async def accept(request: Request) -> Reply:
        requests.append(request)
        return Reply()

    admission = Admission(LIMIT)
    guard = Guard(lambda: None, True)
    server = OtlpHttpServer(accept, admission, Address("127.0.0.1", 0), max_request_bytes=LIMIT, guard=guard, pace=PACE)
    port = await server.start()
    try:
        return await use(port, admission), requests, admission
    finally:
        await server.stop()


def first_line(sent: str) -> str:
    async def use(port: int, _: Admission) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent.encode())
        line = await reader.readline()
        writer.close()
        return line.decode()

    return str(asyncio.run(serving(use))[0])


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (403, POST + "Host: localhost\r\nContent-Length: 0\r\nOrigin: http://[\r\n\r\n"),
        (421, POST + "Host: [\r\nContent-Length: 0\r\n\r\n"),
        (
            405,
            "GET /v1/metrics HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ),
    ],
)
def test_nothing_a_client_sends_is_answered_with_500(status: int, sent: str) -> None:
    assert f" {status} " in first_line(sent)


def test_ndjson_is_told_what_to_set_instead() -> None:
    async def use(port: int, _: Admission) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST.replace("x-protobuf", "x-ndjson").encode())
        writer.write(b"Host: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    answer = asyncio.run(serving(use))[0]
    assert b" 415 " in answer
    assert b"encoding.codec" in answer


def test_a_client_that_hangs_up_leaves_nothing_behind() -> None:
    async def use(port: int, admission: Admission) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((POST + "Host: localhost\r\nContent-Length: 99\r\n\r\nx").encode())
        while not admission.in_flight:
            await asyncio.sleep(0.005)
        writer.close()
        while admission.in_flight:
            await asyncio.sleep(0.005)

    _, requests, admission = asyncio.run(serving(use))
    assert not requests
    assert admission.in_flight == 0


@pytest.mark.parametrize("packing", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_sdk_exporter_delivers_its_spans(packing: Compression) -> None:
    async def use(port: int, _: Admission) -> None:
        def send() -> None:
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces", compression=packing)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            provider.get_tracer("t").start_span("a-span").end()
            provider.shutdown()

        await asyncio.to_thread(send)

    requests = asyncio.run(serving(use))[1]
    assert [request.signal for request in requests] == [Signal.TRACES]
    assert b"a-span" in requests[0].body
