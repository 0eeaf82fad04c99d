"""Steal: CPU time that the hypervisor gave to somebody else, as a share of what this guest wanted."""

# ruff: noqa: ARG001 (every resource answers the same questions, whether it needs all of the arguments or not)
from __future__ import annotations

from hosts_mcp.diagnosis.model import Interval, Usual
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord

NAME = "steal"
NEEDS = ("steal",)
HINT = "scraper_cpu"
READING = "steal"
CONSUMER = None


def _stolen(share: float, cpus: int | None) -> float:
    """CPUs' worth. A small share of many idle cores can be all that one thread wanted."""
    return min(1.0, share * (cpus or 1))


def _lost(iv: Interval) -> float:
    steal = iv.steal or 0.0
    wanted = steal + (iv.busy or 0.0)
    return steal / wanted if wanted > 0 else 0.0


def pressure(iv: Interval, usual: Usual, t: Table) -> float | None:
    if iv.steal is None:
        return None
    return min(t.steal(_stolen(iv.steal, iv.cpus)), t.steal_lost(_lost(iv)))


def slowdown(iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
    if _stolen(iv.steal or 0.0, iv.cpus) < t.steal_ignored:
        return 1.0
    before = (usual.get("steal") or 0.0, usual.get("busy") or 0.0)
    usual_lost = before[0] / sum(before) if before[0] > 0 else 0.0
    factor = (1.0 - usual_lost) / max(1e-9, 1.0 - _lost(iv))
    return min(t.steal_factor_most, max(1.0, factor))


def ceiling(iv: Interval, usual: Usual, t: Table) -> float | None:
    if iv.steal is None:
        return None
    return _stolen(max(0.0, iv.steal - (usual.get("steal") or 0.0)), iv.cpus)


def next_steps(origin: OriginWord | None) -> tuple[str, ...]:
    return ("Check CPU credits and the instance type; move to a dedicated or larger instance.",)
