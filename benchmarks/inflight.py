"""64 batches of 8,192 points in flight: how long an acknowledgement takes, how much memory, whether anything is lost.

64 senders in this process keep one gzip batch each in flight to a real server. A batch that is refused for want of
room is sent again after the time that the server asks for; `ack` is wall time from the first sending to the
acknowledgement, on a machine that runs the senders too, beside the CPU that the server spent on one batch. Memory is
the server's resident size. Nothing is lost when the file holds every point that was sent.
"""

from __future__ import annotations

import asyncio
import gzip
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psutil

from benchmarks.fleet import SimulatedHost, batched
from benchmarks.load import milliseconds, serving
from benchmarks.measuring import Row
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.store.sqlite import open_reader

SENDERS = 64
HOSTS, ROUNDS = 460, 40
_MIB = 1024 * 1024


def measure() -> Iterator[Row]:
    if not Path("/proc/self/stat").exists():
        yield "in flight", "needs /proc"
        return
    hosts = [SimulatedHost(f"host-{i}", cpus=4 + i % 3, disks=1 + i % 4) for i in range(HOSTS)]
    # Up to now, as gateways send: what the past is turned into is another figure.
    bodies = [body for _, body in batched(hosts, ROUNDS, begin_ns=time.time_ns() - ROUNDS * 10**10)]
    points = sum(decode_metrics(body, "protobuf").points for body in bodies)
    yield from asyncio.run(_in_flight(bodies, points))


async def _in_flight(bodies: Sequence[bytes], points: int) -> list[Row]:
    packed = iter([gzip.compress(body, 6) for body in bodies])
    acks: list[float] = []
    refused = 0
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}

    async def sender(client: httpx.AsyncClient, url: str) -> None:
        nonlocal refused
        for body in packed:
            begun = time.perf_counter()
            while (answer := await client.post(url, content=body, headers=headers)).status_code == 503:
                refused += 1
                await asyncio.sleep(float(answer.headers["retry-after"]))
            answer.raise_for_status()
            acks.append(time.perf_counter() - begun)

    limits = httpx.Limits(max_connections=SENDERS)
    async with serving() as server, httpx.AsyncClient(timeout=60, limits=limits) as client:
        process = psutil.Process(server.pid)
        before, begun, sizes = server.cpu_seconds(), time.perf_counter(), [process.memory_info().rss]
        senders = [asyncio.create_task(sender(client, f"http://{server.http}/v1/metrics")) for _ in range(SENDERS)]
        while not all(one.done() for one in senders):
            await asyncio.sleep(0.05)
            sizes.append(process.memory_info().rss)
        await asyncio.gather(*senders)
        spent, took = server.cpu_seconds() - before, time.perf_counter() - begun
        store = open_reader(server.db)
        stored = sum(store.stored(host.id).points for host in store.hosts())
        store.close()
    size = statistics.mean(map(len, bodies))
    return [
        (
            f"{SENDERS} batches of 8,192 in flight",
            f"ack p50 {milliseconds(acks, 50)}, p99 {milliseconds(acks, 99)}; {refused} of {len(acks) + refused} "
            f"refused and sent again; {1000 * spent / len(acks):.0f} ms CPU and {1000 * took / len(acks):.0f} ms wall "
            f"a batch of {size / _MIB:.1f} MiB",
        ),
        ("  memory", f"{sizes[0] / _MIB:.0f} MiB before, at most {max(sizes) / _MIB:.0f} MiB"),
        ("  lost", f"{points - stored:,} of {points:,} points"),
    ]
