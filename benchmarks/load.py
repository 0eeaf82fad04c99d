"""Load over real sockets: a server process, senders in this one; acknowledged points per second of the server's CPU.

CPU is that of the whole server process (utime + stime of /proc/PID/stat), so decode, commit, checkpoints, jobs and
transport are in it; the senders' is not. Every acknowledgement is a committed request. `ack` is wall time as a sender
sees it, on a machine that runs the senders too; so is what a question takes over REST while the same process ingests.

The reference is sent the same requests in the same run: the same gRPC and HTTP (`fronts`) with the ordinary walk behind
them that stores nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.fleet import SimulatedHost, batched, scrapes
from benchmarks.measuring import Row
from benchmarks.spans import batch

ROUNDS_SENT = 48
"""Scrapes of each host in a flood: enough for a five-minute bin of each, which is derived meanwhile."""
ROUNDS = 3
"""Scrapes of each host while questions are asked."""
_PROTOBUF = {"Content-Type": "application/x-protobuf"}
_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_TICKS = os.sysconf("SC_CLK_TCK")

Send = Callable[[bytes], Awaitable[None]]
"""One gzip-able request, inflated; returns once it is acknowledged."""


@dataclass(frozen=True, slots=True)
class Served:
    pid: int
    db: Path
    url: str
    grpc: str
    http: str

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def measure() -> Iterator[Row]:
    if not Path("/proc/self/stat").exists():
        yield "load", "needs /proc"
        return
    fleet = [SimulatedHost(f"host-{i}", cpus=4 + i % 3, disks=1 + i % 4) for i in range(92)]
    # Up to now, as senders send: five minutes of the past would be derived at once, which is not what is asked.
    begin_ns = time.time_ns() - ROUNDS_SENT * 10**10
    batches = [body for _, body in batched(fleet, ROUNDS_SENT, begin_ns=begin_ns)]
    singles = [
        body for _, body in scrapes([SimulatedHost(f"single-{i}") for i in range(100)], ROUNDS_SENT, begin_ns=begin_ns)
    ]
    yield asyncio.run(_flood("acked, HTTP batches of 8,192", batches, 2, over_http, 4))
    yield asyncio.run(_flood("acked, gRPC batches of 8,192", batches, 2, over_grpc, 4))
    yield asyncio.run(_flood("acked, single hosts over gRPC", singles, 100, over_grpc, 32))
    yield from asyncio.run(_questions())


async def _flood(
    name: str, bodies: Sequence[bytes], known: int, connect: Callable[[Served], AsyncIterator[Send]], senders: int
) -> Row:
    """Every sender sends its next request as soon as the last one is acknowledged; each request is new, and its hosts
    are known: the first `known` requests are not measured."""

    async def sender(send: Send, queue: Iterator[bytes], acks: list[float]) -> None:
        for body in queue:
            await timed(send, body, acks)

    async def sent(started: contextlib.AbstractAsyncContextManager[Served]) -> tuple[float, list[float]]:
        async with started as server, contextlib.AsyncExitStack() as stack:
            sends = [await connected(stack, connect, server) for _ in range(senders)]
            for part in (bodies[:known], bodies[known:]):
                acks: list[float] = []
                queue, before = iter(part), server.cpu_seconds()
                await asyncio.gather(*(sender(send, queue, acks) for send in sends))
            return server.cpu_seconds() - before, acks

    (spent, acks), (walked, _) = await sent(serving()), await sent(front("walk"))
    points = sum(_points(body) for body in bodies[known:])
    return name, (
        f"{points / spent / 1e6:.2f} M points/s of CPU, {spent / walked:.2f} of a walk that stores nothing; "
        f"ack p50 {milliseconds(acks, 50)}, p99 {milliseconds(acks, 99)}"
    )


async def _questions() -> list[Row]:
    """Questions over REST, one after the other, while 100 hosts that scrape every 10 s are taken in: wall time."""
    now_ns = time.time_ns()
    hosts = [SimulatedHost(f"host-{i}", cpus=4 + i % 3, disks=1 + i % 4) for i in range(100)]
    past = [hosts[0].scrape(now_ns - n * 10**10) for n in range(360, 1, -1)]
    past += [host.scrape(now_ns - 10**10) for host in hosts]
    rounds = [[host.scrape(now_ns + n * 10**10) for host in hosts] for n in range(ROUNDS)]
    spans = batch(random.Random(7), 0, 1)
    trace_id = ExportTraceServiceRequest.FromString(spans).resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    paths = {"list_hosts": "hosts", "host_metrics of 1 h": "hosts/host-0/metrics?range=1h",
             "a trace of 12 spans": f"traces/{trace_id}"}  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in paths}
    async with serving() as server, contextlib.AsyncExitStack() as stack:
        send = await connected(stack, over_grpc, server)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        await client.post(f"http://{server.http}/v1/traces", content=spans, headers=_PROTOBUF)
        for body in past:
            await send(body)
        begun, tasks, sent = time.perf_counter(), [], asyncio.Event()

        async def ask() -> None:
            while not sent.is_set():
                for name, path in paths.items():
                    asked = time.perf_counter()
                    (await client.get(f"{server.url}/api/v1/{path}")).raise_for_status()
                    taken[name].append(time.perf_counter() - asked)
                    await asyncio.sleep(0.03)

        asking = asyncio.create_task(ask())
        for number, body in enumerate(body for bodies in rounds for body in bodies):
            await asyncio.sleep(max(0.0, begun + number / 10 - time.perf_counter()))
            tasks.append(asyncio.create_task(send(body)))
        sent.set()
        await asyncio.gather(*tasks, asking)
    return [
        (f"{name} while 100 hosts send @10 s", f"p50 {milliseconds(times, 50)}, p99 {milliseconds(times, 99)}")
        for name, times in taken.items()
    ]


async def timed(send: Send, body: bytes, acks: list[float]) -> None:
    begun = time.perf_counter()
    await send(body)
    acks.append(time.perf_counter() - begun)


@contextlib.asynccontextmanager
async def serving(filled: Callable[[Path], None] = lambda _: None) -> AsyncIterator[Served]:
    """A real server on a fresh file, or on what `filled` made of it."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        filled(db)
        process = subprocess.Popen(
            [sys.executable, "-m", "hosts_mcp.cli", "serve", "--db", str(db), "--listen", "127.0.0.1:0",
             "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield await _announced(process, db)
        finally:
            process.terminate()
            process.wait(30)


@contextlib.asynccontextmanager
async def front(how: str) -> AsyncIterator[Served]:
    """A reference of `fronts`; it has no database and answers no questions."""
    command = [sys.executable, "-m", "benchmarks.fronts", how]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        grpc_address, http_address = process.stdout.readline().split()
        yield Served(process.pid, Path(), "", grpc_address, http_address)
    finally:
        process.terminate()
        process.communicate(timeout=30)


async def connected(
    stack: contextlib.AsyncExitStack, connect: Callable[[Served], AsyncIterator[Send]], server: Served
) -> Send:
    return await stack.enter_async_context(contextlib.asynccontextmanager(connect)(server))


async def _announced(process: subprocess.Popen[bytes], db: Path) -> Served:
    file = db.with_name(f"{db.name}.server.json")
    for _ in range(600):
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError, KeyError):
            url = json.loads(file.read_text())["url"]
            otlp = httpx.get(f"{url}/healthz").json()["otlp"]
            return Served(process.pid, db, url, otlp["grpc"], otlp["http"])
        await asyncio.sleep(0.05)
    raise RuntimeError("the server did not start")


async def over_http(server: Served) -> AsyncIterator[Send]:
    headers = {**_PROTOBUF, "Content-Encoding": "gzip"}
    async with httpx.AsyncClient(timeout=60) as client:

        async def send(body: bytes) -> None:
            packed = gzip.compress(body, 1)
            (await client.post(f"http://{server.http}/v1/metrics", content=packed, headers=headers)).raise_for_status()

        yield send


async def over_grpc(server: Served) -> AsyncIterator[Send]:
    # A channel of its own each time: channels with equal options share one connection otherwise.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server.grpc, options=options, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary(_EXPORT)

        async def send(body: bytes) -> None:
            await call(body, timeout=60)

        yield send


def _points(body: bytes) -> int:
    from hosts_mcp.otlp.decode import decode_metrics

    return decode_metrics(body, "protobuf").points


def milliseconds(seconds: Sequence[float], percent: int) -> str:
    return f"{1000 * statistics.quantiles(seconds, n=100)[percent - 1]:.0f} ms"
