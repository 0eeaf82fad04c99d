"""OTLP over HTTP where senders misbehave, byte by byte over a real socket, and the SDK's own exporter."""

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from hosts_mcp.otlp import compression, http
from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.compression import TooLarge, inflate
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.http import OtlpHttpServer
from hosts_mcp.otlp.transport import Reply, Request, Signal, Undecodable
from hosts_mcp.settings import Address

LIMIT = 1 << 20
POST = "POST /v1/metrics HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n"


async def serving(use: Any) -> tuple[Any, list[Request], Admission]:
    """What `use(port, admission)` gives, what was accepted, and the budget after the end."""
    requests: list[Request] = []

    async def accept(request: Request) -> Reply:
        requests.append(request)
        return Reply()

    admission = Admission(LIMIT)
    guard = Guard(lambda: None, True)
    server = OtlpHttpServer(accept, admission, Address("127.0.0.1", 0), max_request_bytes=LIMIT, guard=guard)
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


def test_a_stalled_sender_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STALL_SECONDS", 0.05)
    line = first_line(POST + f"Host: localhost\r\nContent-Length: {LIMIT}\r\n\r\nx")
    assert " 503 " in line


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


def test_a_chunked_body_is_counted_while_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "UNKNOWN_LENGTH", 1)

    async def use(port: int, admission: Admission) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((POST + "Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        while admission.in_flight < 4096:
            await asyncio.sleep(0.005)
        writer.close()

    asyncio.run(serving(use))


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


def test_members_of_every_size_and_padding_come_out_whole() -> None:
    parts = [b"", b"a" * 300_000, bytes(range(256)) * 4_000, b"z"]
    body = b"".join(gzip.compress(part, 0) for part in parts)
    assert inflate(body, "gzip", 1 << 24) == b"".join(parts)
    assert inflate(body + b"\0" * 512, "gzip", 1 << 24) == b"".join(parts)
    bare = zlib.compressobj(wbits=-15)
    assert inflate(bare.compress(parts[1]) + bare.flush(), "deflate", 1 << 24) == parts[1]


@pytest.mark.parametrize("cut", [1, 8, 9, 100_000, 299_999])
def test_a_cut_body_is_never_taken_for_a_whole_one(cut: int) -> None:
    with pytest.raises(Undecodable):
        inflate(gzip.compress(b"a" * 300_000, 0)[:-cut], "gzip", 1 << 24)


def test_the_limit_is_exact_and_empty_members_have_one_of_their_own() -> None:
    packed = gzip.compress(b"x" * 1000)
    assert len(inflate(packed, "gzip", 1000)) == 1000
    with pytest.raises(TooLarge):
        inflate(packed, "gzip", 999)
    with pytest.raises(Undecodable, match="members"):
        inflate(gzip.compress(b"") * (compression.MOST_MEMBERS + 1), "gzip", 1000)
