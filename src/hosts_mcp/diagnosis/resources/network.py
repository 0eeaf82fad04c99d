"""Network: dropped and faulty packets beyond what is usual here. Delay moves no host metric."""

# ruff: noqa: ARG001 (every resource answers the same questions, whether it needs all of the arguments or not)
from __future__ import annotations

from hosts_mcp.diagnosis.model import Interval, Usual
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord

NAME = "network"
NEEDS = ("drops", "net_errors")
HINT = "scraper_network"
READING = "drops"
CONSUMER = None


def pressure(iv: Interval, usual: Usual, t: Table) -> float | None:
    measured = [v for v in (iv.drops, iv.net_errors) if v is not None]
    if not measured:
        return None
    value = 0.0
    if (iv.packets or 0.0) >= t.packets_least:
        drops = iv.drops or 0.0
        if drops > t.drops_usual * (usual.get("drops") or 0.0) + t.drops_margin:
            value = t.drops(drops)
        value = max(value, t.net_errors(iv.net_errors or 0.0))
    if iv.conntrack is not None:
        value = max(value, t.conntrack(iv.conntrack))
    if iv.bandwidth is not None:
        value = max(value, t.bandwidth(iv.bandwidth))
    return value


def slowdown(iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
    """Not of local time: the counterfactual takes a part of remote waits away instead."""
    return 1.0


def ceiling(iv: Interval, usual: Usual, t: Table) -> float | None:
    if iv.drops == 0 and not iv.net_errors:
        return 0.0
    return None


def next_steps(origin: OriginWord | None) -> tuple[str, ...]:
    return (
        "Look at ethtool -S and nstat (retransmits) on the interface that drops; check its ring size and the link.",
    )
