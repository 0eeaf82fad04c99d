"""Hosts that scrape at their interval, as they do all day: which share of a core the server takes.

A process with the hosts of the made-up fleet sends over 50 real gRPC connections, evenly spread, as collectors come to
be; CPU is that of the whole server process, all jobs in it (`load`). Measured once the hosts are known and were judged
for the first time. The file holds the demo's eight nights beside them: then one verdict a second, on the trace of the
last night, over REST. The reference is the same gRPC alone in the same run, which does not even read what it is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import httpx

from benchmarks.fleet import SimulatedHost
from benchmarks.load import Send, Served, connected, front, milliseconds, over_grpc, serving, timed
from benchmarks.measuring import Row
from hosts_mcp.demo.story import Options, Story
from hosts_mcp.otlp.transport import Request, Signal
from tests.in_process import InProcess

WARM_SECONDS, SECONDS = 90, 20
CONNECTIONS = 50


def measure() -> Iterator[Row]:
    if not Path("/proc/self/stat").exists():
        yield "steady", "needs /proc"
        return
    yield from asyncio.run(_figures(1000, 10))
    yield from asyncio.run(_figures(100, 1))


async def _figures(count: int, every_seconds: int, warm_seconds: int = WARM_SECONDS) -> list[Row]:
    hosts = [SimulatedHost(f"host-{i}", cpus=4 + i % 3, disks=1 + i % 4) for i in range(count)]
    per_second = count / every_seconds
    now_ns = time.time_ns()
    story = Story(Options(), now_ns)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(partial(_fill, story, now_ns)))
        sends = [await connected(stack, over_grpc, server) for _ in range(CONNECTIONS)]
        await _sent(server, sends, hosts, per_second, warm_seconds)
        share, acks = await _sent(server, sends, hosts, per_second, SECONDS)
        asking = asyncio.create_task(_verdicts(server, story.trace_id))
        asked_share, asked_acks = await _sent(server, sends, hosts, per_second, SECONDS)
        taken = await asking
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(front("nothing"))
        sends = [await connected(stack, over_grpc, server) for _ in range(CONNECTIONS)]
        alone, _ = await _sent(server, sends, hosts, per_second, SECONDS / 2)
    name = f"{count:,} hosts @{every_seconds} s over gRPC"
    return [
        (name, f"{share:.1%} of a core, gRPC alone {alone:.1%}; ack {_both(acks)}"),
        (
            "  with a verdict each second",
            f"{asked_share:.1%} of a core; ack {_both(asked_acks)}; verdict {_both(taken)}",
        ),
    ]


def _fill(story: Story, now_ns: int, db: Path) -> None:
    """Everything of the story up to now into a fresh file."""
    box = InProcess(db)
    box.requests(Request(Signal(o.signal), o.body, "protobuf", "127.0.0.1", o.time_ns) for o in story.past(now_ns))
    box.derive(now_ns)
    box.close()


async def _sent(
    server: Served, sends: Sequence[Send], hosts: Sequence[SimulatedHost], per_second: float, seconds: float
) -> tuple[float, list[float]]:
    """Share of a core, and how long the acknowledgements took."""
    acks: list[float] = []
    tasks = []
    before, begun = server.cpu_seconds(), time.perf_counter()
    for number in range(round(seconds * per_second)):
        await asyncio.sleep(max(0.0, begun + number / per_second - time.perf_counter()))
        body = hosts[number % len(hosts)].scrape(time.time_ns())
        tasks.append(asyncio.create_task(timed(sends[number % len(sends)], body, acks)))
    await asyncio.gather(*tasks)
    return (server.cpu_seconds() - before) / (time.perf_counter() - begun), acks


async def _verdicts(server: Served, trace_id: str) -> list[float]:
    """One each second; how long each took."""
    taken: list[float] = []
    async with httpx.AsyncClient(timeout=60) as client:
        for _ in range(SECONDS):
            begun = time.perf_counter()
            answer = await client.get(f"{server.url}/api/v1/traces/{trace_id}/was-it-the-box")
            taken.append(time.perf_counter() - begun)
            assert answer.raise_for_status().json()["verdict"] == "yes"
            await asyncio.sleep(max(0.0, 1 - taken[-1]))
    return taken


def _both(seconds: Sequence[float]) -> str:
    return f"p50 {milliseconds(seconds, 50)}, p99 {milliseconds(seconds, 99)}"
