"""The server contract over real sockets: HTTP and gRPC, with real clients, against an `accept` that may refuse."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub

from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.grpc import OtlpGrpcServer
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.http import OtlpHttpServer
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.transport import Busy, Reply, Request, Undecodable
from hosts_mcp.settings import Address

LIMIT = 1 << 20
PACE = Pace(60.0, 1024)
BODY = ExportMetricsServiceRequest().SerializeToString() + b"\x0a\x00"
PROTO = {"content-type": "application/x-protobuf"}
GZIP = PROTO | {"content-encoding": "gzip"}


class Accepting:
    """Remembers what came and answers as told."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Reply | Exception = Reply()

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def http_server(accept: Accepting, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    guard = Guard(lambda: token, True)
    server = OtlpHttpServer(
        accept, Admission(LIMIT), Address("127.0.0.1", 0), max_request_bytes=LIMIT, guard=guard, pace=PACE
    )
    port = await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        await server.stop()


def over_http(
    ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]], accept: Accepting, token: str | None = None
) -> httpx.Response:
    async def run() -> httpx.Response:
        async with http_server(accept, token) as client:
            return await ask(client)

    return asyncio.run(run())


@pytest.fixture
def accept() -> Accepting:
    return Accepting()


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/metrics/", "/v1//metrics"])
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (None, bytes),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip", lambda b: gzip.compress(b[:1]) + gzip.compress(b[1:])),
    ],
)  # fmt: skip
def test_a_good_request_is_taken_in_every_encoding(
    accept: Accepting, path: str, encoding: str | None, pack: Callable[[bytes], bytes]
) -> None:
    headers = PROTO | ({"content-encoding": encoding} if encoding else {})
    answer = over_http(lambda c: c.post(path, content=pack(BODY), headers=headers), accept)
    assert (answer.status_code, answer.content) == (200, b"")
    assert [(r.body, r.encoding, r.peer) for r in accept.requests] == [(BODY, "protobuf", "127.0.0.1")]


def test_a_chunked_body_is_as_good_as_one_with_a_length(accept: Accepting) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in BODY:
            yield bytes([byte])

    assert over_http(lambda c: c.post("/v1/metrics", content=pieces(), headers=PROTO), accept).status_code == 200
    assert accept.requests[0].body == BODY


def test_json_is_answered_in_json(accept: Accepting) -> None:
    accept.answer = Reply(3, "why")
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = over_http(lambda c: c.post("/v1/metrics", content=b"{}", headers=headers), accept)
    assert answer.json() == {"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "why"}}
    assert accept.requests[0].encoding == "json"


@pytest.mark.parametrize(
    ("status", "ask"),
    [
        (404, lambda c: c.post("/metrics", content=BODY, headers=PROTO)),
        (405, lambda c: c.get("/v1/metrics")),
        (415, lambda c: c.post("/v1/metrics", content=BODY, headers={"content-type": "text/plain"})),
        (415, lambda c: c.post("/v1/metrics", content=BODY, headers=PROTO | {"content-encoding": "br"})),
        (400, lambda c: c.post("/v1/metrics", content=b"no gzip", headers=GZIP)),
        (400, lambda c: c.post("/v1/metrics", content=gzip.compress(BODY * 99)[:-9], headers=GZIP)),
        (413, lambda c: c.post("/v1/metrics", content=b"x" * (LIMIT + 1), headers=PROTO)),
        (413, lambda c: c.post("/v1/metrics", content=gzip.compress(b"\0" * 64 * LIMIT), headers=GZIP)),
        (421, lambda c: c.post("/v1/metrics", content=BODY, headers=PROTO | {"host": "evil.example"})),
        (403, lambda c: c.post("/v1/metrics", content=BODY, headers=PROTO | {"origin": "http://evil.example"})),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_gets_its_status_and_a_reason(accept: Accepting, status: int, ask: Any) -> None:
    answer = over_http(ask, accept)
    assert answer.status_code == status
    assert status_pb2.Status.FromString(answer.content).message
    assert not accept.requests


@pytest.mark.parametrize(
    ("raised", "status"),
    [(Undecodable("bad"), 400), (Busy("later", 7), 503), (RuntimeError("a defect"), 503)],
)
def test_a_refusal_tells_the_client_whether_to_come_again(accept: Accepting, raised: Exception, status: int) -> None:
    accept.answer = raised
    answer = over_http(lambda c: c.post("/v1/metrics", content=BODY, headers=PROTO), accept)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)


def test_the_token_covers_http(accept: Accepting) -> None:
    assert over_http(lambda c: c.post("/v1/metrics", content=BODY, headers=PROTO), accept, "t").status_code == 401
    good = PROTO | {"authorization": "Bearer t"}
    assert over_http(lambda c: c.post("/v1/metrics", content=BODY, headers=good), accept, "t").status_code == 200


def test_an_error_for_json_is_a_status_in_json(accept: Accepting) -> None:
    accept.answer = Undecodable("bad")
    answer = over_http(
        lambda c: c.post("/v1/logs", content=b"{}", headers={"content-type": "application/json"}), accept
    )
    assert json.loads(answer.content) == {"code": 3, "message": "bad"}


def test_a_taken_port_is_an_error_that_names_the_address(accept: Accepting) -> None:
    async def run(kind: Any) -> None:
        guard = Guard(lambda: None, True)
        first = kind(accept, Admission(LIMIT), Address("127.0.0.1", 0), max_request_bytes=LIMIT, guard=guard, pace=PACE)
        port = await first.start()
        second = kind(
            accept, Admission(LIMIT), Address("127.0.0.1", port), max_request_bytes=LIMIT, guard=guard, pace=PACE
        )
        try:
            with pytest.raises(OSError, match=str(port)):
                await second.start()
        finally:
            await first.stop()

    asyncio.run(run(OtlpHttpServer))
    asyncio.run(run(OtlpGrpcServer))


@pytest.fixture
def over_grpc(accept: Accepting) -> Callable[..., Any]:
    def call(
        message: ExportMetricsServiceRequest, *, token: str | None = None, metadata: Any = (), compression: Any = None
    ) -> Any:
        async def run() -> Any:
            guard = Guard(lambda: token, True)
            address = Address("127.0.0.1", 0)
            server = OtlpGrpcServer(accept, Admission(LIMIT), address, max_request_bytes=LIMIT, guard=guard, pace=PACE)
            port = await server.start()
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", compression=compression) as channel:
                    return await MetricsServiceStub(channel).Export(message, metadata=metadata, timeout=10)
            except grpc.aio.AioRpcError as error:
                return error
            finally:
                await server.stop()

        return asyncio.run(run())

    return call


def message(size: int = 1) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add(schema_url="x" * size)
    return request


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_grpc_hands_over_raw_bytes_and_leaves_success_empty(
    accept: Accepting, over_grpc: Any, compression: Any
) -> None:
    answer = over_grpc(message(), compression=compression)
    assert isinstance(answer, ExportMetricsServiceResponse)
    assert not answer.HasField("partial_success")
    assert (accept.requests[0].body, accept.requests[0].peer) == (message().SerializeToString(), "127.0.0.1")


def test_grpc_says_how_many_were_refused(accept: Accepting, over_grpc: Any) -> None:
    accept.answer = Reply(2, "why")
    assert over_grpc(message()).partial_success.rejected_data_points == 2


@pytest.mark.parametrize("raised", [Busy("later", 3), RuntimeError("a defect")])
def test_grpc_busy_is_unavailable_with_retry_info(accept: Accepting, over_grpc: Any, raised: Exception) -> None:
    accept.answer = raised
    error = over_grpc(message())
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    detail = dict(error.trailing_metadata())["grpc-status-details-bin"]
    info = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(detail).details[0].Unpack(info)
    assert info.retry_delay.seconds >= 1


def test_grpc_tells_garbage_size_and_strangers_apart(accept: Accepting, over_grpc: Any) -> None:
    assert over_grpc(message(LIMIT * 2)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    big = over_grpc(message(LIMIT * 2), compression=grpc.Compression.Gzip)
    assert big.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert over_grpc(message(), token="t").code() == grpc.StatusCode.UNAUTHENTICATED
    evil = over_grpc(message(), metadata=(("origin", "http://evil.example"),))
    assert evil.code() == grpc.StatusCode.PERMISSION_DENIED
    assert not accept.requests
    accept.answer = Undecodable("bad")
    assert over_grpc(message()).code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_sender_cannot_claim_another_address(accept: Accepting) -> None:
    headers = PROTO | {"x-forwarded-for": "10.9.9.9"}
    assert over_http(lambda c: c.post("/v1/metrics", content=BODY, headers=headers), accept).status_code == 200
    assert accept.requests[0].peer == "127.0.0.1"
