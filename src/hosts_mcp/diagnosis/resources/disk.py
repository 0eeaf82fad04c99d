"""Disk: busy *and* queued or slow against its own usual. A fast disk at 100 % busy is not saturated."""

# ruff: noqa: ARG001 (every resource answers the same questions, whether it needs all of the arguments or not)
from __future__ import annotations

from hosts_mcp.diagnosis.model import Disk, Interval, Usual
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord

NAME = "disk"
NEEDS = ("disk_busy", "disk_queue", "disk_await")
HINT = "scraper_disk"
READING = "disk_busy"
CONSUMER = "process_io_bytes_per_second"


def pressure(iv: Interval, usual: Usual, t: Table) -> float | None:
    disks = iv.disks or (Disk("", iv.disk_busy, iv.disk_queue, iv.disk_await, None),)
    found = [p for d in disks if (p := device_pressure(d, usual, t)) is not None]
    value = max(found) if found else None
    if iv.psi_io is not None and (value or iv.blocked):
        value = max(t.psi_keeps_disk * (value or 0.0), t.psi_io(iv.psi_io))
    return value


def device_pressure(d: Disk, usual: Usual, t: Table) -> float | None:
    if d.busy is None and d.queue is None and d.await_seconds is None:
        return None
    relative = latency(d, usual, t)
    known = d.await_seconds is not None and usual.get("disk_await") is not None
    queue = 0.0 if known else t.disk_queue(d.queue or 0.0)  # a disk that serves many at once queues and hurts nobody
    gate = 1.0 if d.busy is None else t.disk_busy(d.busy)
    value = gate * max(queue, relative)
    if (d.ops or 0.0) > t.disk_least_ops and d.await_seconds is not None:
        weight = 1.0 if relative > 0.3 or usual.get("disk_await") is None else t.disk_await_usual
        value = max(value, t.disk_await_alone * weight * t.disk_await(d.await_seconds))
    return value


def latency(d: Disk, usual: Usual, t: Table) -> float:
    """0..1: how far the latency is above its own usual, else above what any disk should need.

    Below `disk_await_least` only where a queue says why: every disk's latency moves with the size of its requests.
    """
    if d.await_seconds is None:
        return 0.0
    before = usual.get("disk_await")
    if before is None:
        return t.disk_await(d.await_seconds)
    if not _waits(d.await_seconds, d.queue, t):
        return 0.0
    return t.disk_await_relative(d.await_seconds / max(t.disk_await_floor, before))


def _waits(await_seconds: float, queue: float | None, t: Table) -> bool:
    return await_seconds > t.disk_await_least or (queue or 0.0) > t.disk_queue.lo


def waiting(iv: Interval, cpus: int | None, t: Table) -> float | None:
    """Tasks that wait in the kernel while the local disk is calm: NFS, FUSE, a throttled volume, kernel locks."""
    found = []
    if iv.blocked is not None:
        found.append(t.blocked_weight * t.blocked(iv.blocked))
    if iv.load is not None and iv.busy is not None and cpus:
        waits = iv.load - iv.busy * cpus > t.waiting_load * cpus and iv.busy < t.waiting_busy
        found.append(t.waiting_pressure if waits else 0.0)
    return max(found) if found else None


def slowdown(iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
    if pressure <= t.pressure_ignored:
        return 1.0
    if iv.disk_await is not None and _waits(iv.disk_await, iv.disk_queue, t):
        before = usual.get("disk_await")
        base = 0.005 if before is None else max(t.disk_await_floor, before)
        return min(t.await_factor_most, max(1.0, iv.disk_await / base))
    return 1.0 + t.blocked_factor * pressure if (iv.blocked or 0.0) > t.blocked.lo else 1.0


def ceiling(iv: Interval, usual: Usual, t: Table) -> float | None:
    """Busy, and no more than its requests waited: where a part of them took `slow_ratio` times as long or longer, the
    mean of all shows it."""
    busy = [d.busy for d in iv.disks if d.busy is not None]
    most = max(busy) if busy else iv.disk_busy
    before = usual.get("disk_await")
    if most is None or before is None or iv.disk_await is None or len(iv.disks) > 1:
        return most
    longer = iv.disk_await / max(t.disk_await_floor, before) - 1.0
    return min(most, max(0.0, longer) / (t.slow_ratio - 1.0) + (usual.get("disk_busy") or 0.0))


def next_steps(origin: OriginWord | None) -> tuple[str, ...]:
    if origin == "own_workload":
        return ("Batch or slow down the service's own reads and writes; give its data a volume of its own.",)
    return ("Throttle the job (ionice, IOWeight=, vacuum_cost_delay) or give one of the two a volume of its own.",)
