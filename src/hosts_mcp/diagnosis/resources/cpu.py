"""CPU: busy *and* a queue of runnable tasks. A busy CPU without a queue makes nobody wait."""

# ruff: noqa: ARG001 (every resource answers the same questions, whether it needs all of the arguments or not)
from __future__ import annotations

from hosts_mcp.diagnosis.model import Interval, Usual
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord

NAME = "cpu"
NEEDS = ("busy",)
HINT = "scraper_cpu"
READING = "run_queue"
CONSUMER = "process_cpu_cores"


def pressure(iv: Interval, usual: Usual, t: Table) -> float | None:
    if iv.busy is None:
        return None
    busy = t.cpu_busy(iv.busy + (iv.steal or 0.0))
    if iv.psi_cpu is not None:
        return min(busy, t.psi_cpu(iv.psi_cpu))
    if iv.run_queue is None:
        return t.cpu_without_queue * busy
    return min(busy, t.run_queue(iv.run_queue))


def slowdown(iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
    if pressure <= t.pressure_ignored:
        return 1.0
    if iv.run_queue is None:
        return 1.0 + t.cpu_without_load * pressure
    return max(1.0, iv.run_queue / max(1.0, usual.get("run_queue") or 0.0))


def ceiling(iv: Interval, usual: Usual, t: Table) -> float | None:
    return None if iv.busy is None else min(1.0, iv.busy + (iv.steal or 0.0))


def next_steps(origin: OriginWord | None) -> tuple[str, ...]:
    if origin == "own_workload":
        return ("Profile the service's own CPU use; limit its concurrency or give it more cores.",)
    return ("Lower the other workload's priority (nice, CPUWeight=) or move it; else give the box more cores.",)
