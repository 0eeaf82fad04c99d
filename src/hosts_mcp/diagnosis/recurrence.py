"""Does the pressure come back by the clock? Hot five-minute bins are folded over hours, days and weeks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal

from hosts_mcp.diagnosis.model import Scene
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.stats import binomial_tail
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.usual import BIN_SECONDS, bins
from hosts_mcp.diagnosis.verdict import Recurrence
from hosts_mcp.timerange import NS

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
PERIODS: tuple[tuple[Literal["hourly", "daily", "weekly"], float, float, int, int], ...] = (
    ("hourly", HOUR, 600.0, 3, 48),
    ("daily", DAY, 1200.0, 3, 60),
    ("daily", DAY, 4800.0, 3, 60),
    ("weekly", WEEK, 4800.0, 2, 12),
)
"""Word, seconds, tolerance, cycles needed, cycles looked at. The second daily row allows for a clock change."""
SKIPPED_SECONDS = 7200.0
BACKGROUND_WINDOWS = 400
BACKGROUND_FLOOR = 0.02
GATES = {
    "cpu": (("cpu_busy_ratio", 0.80),), "memory": (("memory_used_ratio", 0.80),), "steal": (("cpu_steal_ratio", 0.03),),
    "disk": (("disk_busy_ratio", 0.75), ("disk_read_await_seconds", 0.02), ("disk_write_await_seconds", 0.02)),
    "filesystem": (("filesystem_used_ratio", 0.90), ("inodes_used_ratio", 0.90)),
    "network": (("network_receive_drops_per_second", 0.01), ("network_transmit_drops_per_second", 0.01)),
}  # fmt: skip
"""Bins below all of these cannot be hot: the others alone are read and judged, so that thirty days stay cheap."""
HOT_AT_LEAST = {name: least for gates in GATES.values() for name, least in gates}


def find(scene: Scene, resources: Sequence[str], at: float, t: Table) -> Recurrence | None:
    """The first of the resources, then the first period, that passes. `at` is the moment that would recur."""
    for resource in resources:
        if resource in RESOURCES and (found := fold(hot_bins(scene, resource, t), _first(scene), at, t)) is not None:
            word, hits, cycles, shifted = found
            return Recurrence(word, hits, cycles, resource, shifted)
    return None


def _first(scene: Scene) -> float:
    rollup = scene.box.rollup
    return (rollup.starts_ns[0] - scene.origin_ns) / NS if rollup is not None and rollup.starts_ns else 0.0


def hot_bins(scene: Scene, resource: str, t: Table) -> list[float]:
    """Starts of the bins in which this resource was under pressure, seconds, oldest first."""
    rollup = scene.box.rollup
    if rollup is None:
        return []
    rows: set[int] = set()
    for name, least in GATES[resource]:
        column = rollup.mean.get(name)
        if column is not None:
            rows.update(k for k, v in enumerate(column) if v is not None and v >= least)
    judge = RESOURCES[resource].pressure
    made = bins(scene.box, scene.origin_ns, scene.cpus, sorted(rows))
    return [iv.start for iv in made if (judge(iv, scene.usual, t) or 0.0) >= t.hot]


def fold(
    hot: Sequence[float], first: float, at: float, t: Table
) -> tuple[Literal["hourly", "daily", "weekly"], int, int, bool] | None:
    """(period, hits, cycles, clock change) of the first period whose hits chance does not explain.

    Hits are compared with how often a window of the same size anywhere in the past holds a hot bin: a box that is
    busy every other hour is not hourly.
    """
    past = [x for x in hot if x < at - SKIPPED_SECONDS]
    for k, (word, period, tolerance, least, most) in enumerate(PERIODS):
        centres = [at - n * period for n in range(1, most + 1) if at - n * period - tolerance >= first]
        centres = [c for c in centres if c <= at - SKIPPED_SECONDS]
        if len(centres) < least:
            continue
        hits = sum(_any(past, c - tolerance, c + tolerance) for c in centres)
        background = max(BACKGROUND_FLOOR, _background(past, first, at - SKIPPED_SECONDS, tolerance))
        if (
            hits >= t.recurrence_hits * len(centres)
            and background <= t.recurrence_background
            and binomial_tail(hits, len(centres), background) < t.recurrence_p
        ):
            return word, hits, len(centres), k == 2
    return None


def _any(hot: Sequence[float], low: float, high: float) -> bool:
    return bisect_right(hot, high) > bisect_left(hot, low - BIN_SECONDS)


def _background(hot: Sequence[float], first: float, last: float, tolerance: float) -> float:
    span = last - first - 2 * tolerance
    if span <= 0:
        return 1.0
    step = span / BACKGROUND_WINDOWS
    return (
        sum(_any(hot, first + n * step, first + n * step + 2 * tolerance) for n in range(BACKGROUND_WINDOWS))
        / BACKGROUND_WINDOWS
    )
