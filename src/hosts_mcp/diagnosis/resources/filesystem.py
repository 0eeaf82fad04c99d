"""File systems: space and inodes left for unprivileged writers, as `df` counts them."""

# ruff: noqa: ARG001 (every resource answers the same questions, whether it needs all of the arguments or not)
from __future__ import annotations

from hosts_mcp.diagnosis.model import Interval, Usual
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord

NAME = "filesystem"
NEEDS = ("filesystem", "inodes")
HINT = "scraper_filesystem"
READING = "filesystem"
CONSUMER = "process_io_bytes_per_second"


def pressure(iv: Interval, usual: Usual, t: Table) -> float | None:
    levels = [v for v in (iv.filesystem, iv.inodes) if v is not None]
    return t.filesystem(max(levels)) if levels else None


def slowdown(iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
    return 1.0


def ceiling(iv: Interval, usual: Usual, t: Table) -> float | None:
    return None


def next_steps(origin: OriginWord | None) -> tuple[str, ...]:
    if origin == "own_workload":
        return ("Bound the service's temporary files; write them where there is room.",)
    return ("Find the largest directories (du -x), rotate logs, and check inodes (df -i).",)
