"""Memory while requests come, over real sockets: parallel bombs, senders that trickle, senders that go away."""

import asyncio
import contextlib
import gzip
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest

from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.grpc import OtlpGrpcServer
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.http import OtlpHttpServer
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.transport import Reply, Request
from hosts_mcp.settings import Address

MIB = 1 << 20
PATIENT = Pace(60, 1)
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
POST = "POST /v1/metrics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
GZIP = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


class Accepting:
    """Keeps what it accepted, and answers once `stored` is set. Asserts the bound at every request."""

    def __init__(self, limit: int, most: int) -> None:
        self.admission = Admission(limit)
        self.stored = asyncio.Event()
        self.requests: list[Request] = []
        self.most = most

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        assert self.admission.in_flight <= self.most
        await self.stored.wait()
        return Reply()


@asynccontextmanager
async def serving(kind: Any, accept: Accepting, *, pace: Pace = PATIENT, most: int = 4 * MIB) -> AsyncIterator[Address]:
    guard = Guard(lambda: None, True)
    address = Address("127.0.0.1", 0)
    server = kind(accept, accept.admission, address, max_request_bytes=most, guard=guard, pace=pace)
    port = await server.start()
    try:
        yield Address("127.0.0.1", port)
    finally:
        accept.stored.set()
        await server.stop()


async def over_http(address: Address, bodies: list[bytes]) -> list[str]:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100), timeout=30) as client:

        async def post(body: bytes) -> str:
            answer = await client.post(f"http://{address}/v1/metrics", content=gzip.compress(body), headers=GZIP)
            return {200: "stored", 503: "busy", 413: "too large"}[answer.status_code]

        return await asyncio.gather(*map(post, bodies))


async def over_grpc(address: Address, bodies: list[bytes]) -> list[str]:
    meaning = {
        grpc.StatusCode.OK: "stored",
        grpc.StatusCode.UNAVAILABLE: "busy",
        grpc.StatusCode.RESOURCE_EXHAUSTED: "too large",
    }
    async with grpc.aio.insecure_channel(str(address), compression=grpc.Compression.Gzip) as channel:

        async def export(body: bytes) -> str:
            return meaning[await channel.unary_unary(EXPORT)(body, timeout=30).code()]

        return await asyncio.gather(*map(export, bodies))


SERVERS = pytest.mark.parametrize(
    ("kind", "send"), [(OtlpHttpServer, over_http), (OtlpGrpcServer, over_grpc)], ids=["http", "grpc"]
)
Send = Callable[[Address, list[bytes]], Awaitable[list[str]]]


@SERVERS
def test_bodies_that_are_small_only_while_compressed_find_no_more_room_than_others(kind: Any, send: Send) -> None:
    async def run() -> None:
        accept = Accepting(limit=8 * MIB, most=8 * MIB + 4 * MIB)
        async with serving(kind, accept) as address:
            sent = [asyncio.create_task(send(address, [b"x" * 3 * MIB])) for _ in range(24)]  # 3 kB on the wire
            while sum(one.done() for one in sent) + len(accept.requests) < 24:
                assert accept.admission.in_flight <= 12 * MIB
                await asyncio.sleep(0.01)
            assert 2 <= len(accept.requests) <= 4
            assert 3 * MIB * len(accept.requests) == accept.admission.in_flight
            accept.stored.set()
            ends = [end for one in await asyncio.gather(*sent) for end in one]
            assert ends.count("stored") == len(accept.requests)
            assert ends.count("busy") == 24 - len(accept.requests)
        assert accept.admission.in_flight == 0

    asyncio.run(run())


@SERVERS
def test_bombs_are_refused_and_what_comes_beside_them_is_stored(kind: Any, send: Send) -> None:
    async def run() -> None:
        accept = Accepting(limit=8 * MIB, most=8 * MIB + 6 * MIB)
        accept.stored.set()
        bodies = [b"\0" * 64 * MIB, b"a good one"] * 6
        async with serving(kind, accept) as address:
            ends = await send(address, bodies)
        assert set(ends[::2]) <= {"too large", "busy"}
        assert "too large" in ends[::2]
        assert ends[1::2] == ["stored"] * 6
        assert {request.body for request in accept.requests} == {b"a good one"}
        assert accept.admission.in_flight == 0

    asyncio.run(run())


async def trickled(address: Address, seconds: float, first: bytes = b"") -> bytes:
    """One byte every so often until there is an answer, at most 200 of them."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write((POST + "Content-Length: 1000000\r\n\r\n").encode() + first)
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    for _ in range(200):
        writer.write(b"x")
        done, _ = await asyncio.wait([answer], timeout=seconds)
        if done:
            break
    writer.close()
    return answer.result() if answer.done() else b""


@pytest.mark.parametrize(
    ("pace", "first"),
    [
        (Pace(0.2, 1), b""),  # the whole deadline
        (Pace(60, 10_000_000, grace_seconds=0.2), b""),  # the rate
        (Pace(60, 1_000_000, grace_seconds=0.1), b"x" * 200_000),  # what came fast buys a little time
    ],
)
def test_a_sender_that_trickles_is_cut_off_and_its_room_is_free(pace: Pace, first: bytes) -> None:
    async def run() -> None:
        accept = Accepting(limit=MIB, most=MIB)
        async with serving(OtlpHttpServer, accept, pace=pace) as address:
            answer = await trickled(address, 0.02, first)
            assert b" 408 " in answer.splitlines()[0]
            assert b"connection: close" in answer.lower()
            assert accept.admission.in_flight == 0
        assert not accept.requests

    asyncio.run(run())


def test_time_that_is_spent_waiting_for_room_is_not_the_senders() -> None:
    async def run() -> None:
        accept = Accepting(limit=MIB, most=2 * MIB)
        async with serving(OtlpHttpServer, accept, pace=Pace(0.3, 10_000_000)) as address:
            first = asyncio.create_task(over_http(address, [b"x" * MIB]))
            while not accept.requests:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(over_http(address, [b"y" * MIB]))
            await asyncio.sleep(0.6)
            accept.stored.set()
            assert await first == await second == ["stored"]

    asyncio.run(run())


def test_a_grpc_message_that_never_comes_is_given_up_and_can_be_retried() -> None:
    async def run() -> None:
        accept = Accepting(limit=MIB, most=MIB)
        async with serving(OtlpGrpcServer, accept, pace=Pace(0.2, 1)) as address:
            async with grpc.aio.insecure_channel(str(address)) as channel:
                call = channel.stream_unary(EXPORT)(timeout=20)
                assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                assert "0.2 s" in (await call.details() or "")
                empty = channel.stream_unary(EXPORT)(timeout=20)
                await empty.done_writing()
                assert await empty.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert accept.admission.in_flight == 0

    asyncio.run(run())


def test_senders_of_half_a_message_keep_nobody_out() -> None:
    async def run() -> None:
        accept = Accepting(limit=2 * MIB, most=6 * MIB)
        accept.stored.set()
        async with (
            serving(OtlpGrpcServer, accept) as grpc_address,
            serving(OtlpHttpServer, accept) as http_address,
            grpc.aio.insecure_channel(str(grpc_address)) as channel,
        ):
            stalled = [channel.stream_unary(EXPORT)(timeout=60) for _ in range(2)]
            while accept.admission.in_flight < 2 * MIB:
                await asyncio.sleep(0.01)
            assert await over_http(http_address, [b"x" * MIB] * 3) == ["stored"] * 3
            assert await over_grpc(grpc_address, [b"x" * MIB] * 3) == ["stored"] * 3
            for call in stalled:
                call.cancel()
            while accept.admission.in_flight:
                await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
def test_many_clients_that_leave_while_they_wait_leave_no_trace(seed: int) -> None:
    rng = random.Random(seed)
    raised: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        accept = Accepting(limit=2 * MIB, most=6 * MIB)

        async def http_leaves(address: Address) -> None:
            _, writer = await asyncio.open_connection(address.host, address.port)
            body = gzip.compress(rng.randbytes(100) * rng.choice([10, 10_000]))
            cut = rng.choice([len(body), len(body) // 2])
            writer.write((POST + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n").encode())
            writer.write(body[:cut])
            await asyncio.sleep(rng.random() * 0.3)
            writer.transport.abort()

        async def grpc_leaves(channel: Any) -> None:
            call = channel.unary_unary(EXPORT)(b"x" * rng.choice([10, MIB]), compression=grpc.Compression.Gzip)
            await asyncio.sleep(rng.random() * 0.3)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await call

        async with (
            serving(OtlpHttpServer, accept) as http_address,
            serving(OtlpGrpcServer, accept) as grpc_address,
            grpc.aio.insecure_channel(str(grpc_address)) as channel,
        ):
            leaving = [http_leaves(http_address) for _ in range(80)] + [grpc_leaves(channel) for _ in range(80)]
            rng.shuffle(leaving)
            commits = asyncio.create_task(some_commits(accept))
            await asyncio.gather(*leaving)
            await commits
            accept.stored.set()
            while accept.admission.in_flight:
                await asyncio.sleep(0.01)
            assert await over_http(http_address, [b"x" * MIB]) == ["stored"]
            assert await over_grpc(grpc_address, [b"x" * MIB]) == ["stored"]
        assert accept.admission.in_flight == 0

    async def some_commits(accept: Accepting) -> None:
        """Room comes back while others wait for it, give up or are cancelled."""
        for _ in range(10):
            await asyncio.sleep(0.03)
            accept.stored.set()
            await asyncio.sleep(0)
            accept.stored.clear()

    asyncio.run(run())
    # grpc has one poller for all loops of a process: it may come after a loop of an earlier test.
    assert not [context for context in raised if "PollerCompletionQueue" not in context["message"]]
