"""Memory: what is not available any more, and paging once little is left. Page cache is not pressure."""

# ruff: noqa: ARG001 (every resource answers the same questions, whether it needs all of the arguments or not)
from __future__ import annotations

from collections.abc import Iterable

from hosts_mcp.diagnosis.model import Interval, Usual
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord

NAME = "memory"
NEEDS = ("memory",)
HINT = "scraper_memory"
READING = "memory"
CONSUMER = "process_memory_bytes"
BUSY_LEAST = 0.001
"""Of the CPUs: below this nobody works whom faults could slow."""


def pressure(iv: Interval, usual: Usual, t: Table) -> float | None:
    if iv.memory is None:
        return None if iv.psi_memory is None else t.psi_memory(iv.psi_memory)
    value = t.memory(iv.memory)
    if iv.memory > t.paging_needs_memory:
        value = max(
            value,
            t.major_faults_weight * t.major_faults(iv.major_faults or 0.0),
            t.swap_pages_weight * t.swap_pages(iv.swap_pages or 0.0),
        )
    return max(value, t.psi_memory(iv.psi_memory or 0.0))


def paging(iv: Interval, t: Table) -> bool:
    return (iv.swap_pages or 0.0) > t.thrash_swap_pages or (iv.major_faults or 0.0) > t.thrash_faults


def is_paging_seen(intervals: Iterable[Interval]) -> bool:
    """Whether anything says how much was paged."""
    return any(iv.swap_pages is not None or iv.major_faults is not None for iv in intervals)


def slowdown(iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
    """Paging makes slow, not a level: without traffic a full memory slows nothing.

    Faults per CPU second times the wait of each is what a second of work takes longer; without the disk's latency
    the rate alone is taken.
    """
    if pressure < t.thrash_memory:
        return 1.0
    if iv.major_faults is not None and iv.busy and iv.cpus and iv.disk_await is not None:
        each = iv.major_faults / (max(iv.busy, BUSY_LEAST) * iv.cpus)
        return 1.0 + each * iv.disk_await
    rates = [v for v in (iv.swap_pages, iv.major_faults) if v is not None]
    if not rates:
        return 1.0
    before = max(usual.get("swap_pages") or 0.0, usual.get("major_faults") or 0.0)
    return (1.0 + max(rates) / t.thrash_rate) / (1.0 + min(before, max(rates)) / t.thrash_rate)


def ceiling(iv: Interval, usual: Usual, t: Table) -> float | None:
    return None


def next_steps(origin: OriginWord | None) -> tuple[str, ...]:
    if origin == "own_workload":
        return ("Profile the service's memory; smaller batches, or a limit that fails early (MemoryMax=).",)
    return (
        "Cap the other job's memory (MemoryMax=, maintenance_work_mem) or move it to another hour or box.",
        "Protect the service with a lower OOMScoreAdjust.",
    )
