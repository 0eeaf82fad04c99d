"""What everybody has: alert thresholds on the box's metrics, and a robust z-score of them against the hour before.

Both see the metrics as stored and the time of the trace, and call a box guilty when something is unusual on it while a
trace went wrong. They know no cannot_tell and no origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

Reading = list[tuple[float, float]]
"""(end of the interval, value), seconds."""

THRESHOLDS = {
    "cpu_busy_ratio": 0.85,
    "memory_used_ratio": 0.90,
    "disk_busy_ratio": 0.80,
    "cpu_steal_ratio": 0.10,
    "filesystem_used_ratio": 0.95,
}
"""The warning levels of common rule collections (Netdata, node-mixin, awesome-prometheus-alerts)."""
READ = (*THRESHOLDS, "load_1m", "major_faults_per_second", "disk_queue", "tasks_blocked")
Z = 3.0
FLOOR = 1e-3
"""Least spread assumed, so that a flat past does not make noise infinite."""


def alerts(boxes: Sequence[Mapping[str, Reading]], start: float, end: float) -> str:
    found = any(
        _inside(box.get(name, []), start, end, lambda v, m=most: v >= m)
        for box in boxes
        for name, most in THRESHOLDS.items()
    )
    return "yes" if found else "no"


def z_scores(boxes: Sequence[Mapping[str, Reading]], start: float, end: float) -> str:
    for box in boxes:
        for name in READ:
            before = [v for t, v in box.get(name, []) if start - 3600.0 <= t <= start]
            if len(before) < 5:
                continue
            middle = median(before)
            spread = max(median([abs(v - middle) for v in before]), FLOOR, 0.01 * abs(middle))
            if _inside(box[name], start, end, lambda v, m=middle, s=spread: 0.6745 * (v - m) / s > Z):
                return "yes"
    return "no"


def _inside(reading: Reading, start: float, end: float, hot: Callable[[float], bool]) -> bool:
    """Any reading in the window, the first one after it included."""
    after = next((t for t, _ in reading if t >= end), end)
    return any(hot(v) for t, v in reading if start < t <= after)


BASELINES = {"alert thresholds": alerts, "robust z > 3": z_scores}
