"""What the page cache tells of memory between two readings of it.

The kernel throws pages of files out before memory runs out, and what was thrown out comes back only as fast as the
disks read and write. So what is still there after a moment was there in it, but for what the disks moved since; and
where nearly all of it has gone while memory is free, memory had filled for a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hosts_mcp.diagnosis.model import Interval, Scene, Symptom
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.text import human_bytes, human_ratio


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of the share of memory used at any moment between two readings, the ones around a death."""

    most: float
    """1 where the disks of that time are unknown, or may have read everything back."""
    least: float | None
    """Known only where the page cache was thrown out."""
    before_bytes: float
    after_bytes: float


def between(scene: Scene, symptom: Symptom, t: Table) -> Between | None:
    """The pair of readings in which the most can have happened; None: page cache was not measured on both sides."""
    total = scene.box.facts.memory_bytes
    measured = scene.box.signals.get("memory_reclaimable_bytes")
    mixed = measured is not None and "old_memory_formula" in measured.quality
    sure, found = t.cache_sure if mixed else 1.0, []
    for before, after in pairwise(scene.intervals[n] for n in around_death(scene, symptom)):
        if not total or after.gap or before.reclaimable is None or after.reclaimable is None:
            return None
        moved = total if after.disk_bytes is None else after.disk_bytes * after.seconds
        found.append(
            Between(
                most=1.0 - max(0.0, sure * after.reclaimable - moved) / total,
                least=_least(before, after, total, t),
                before_bytes=before.reclaimable,
                after_bytes=after.reclaimable,
            )
        )
    return max(found, key=lambda b: (b.least or 0.0, b.most), default=None)


def around_death(scene: Scene, symptom: Symptom) -> range:
    """Indices of the readings around it. The last sign of life is not the death: that came until the next was due."""
    last, due = scene.seconds(symptom.at_ns), scene.due(symptom)
    inside = [n for n, iv in enumerate(scene.intervals) if iv.start < due and iv.end > last]
    return range(max(0, inside[0] - 1), inside[-1] + 1) if inside else range(0)


def stayed(told: Between, read: float | None) -> str:
    """What is to be added to a reading that clears memory; nothing where the bound says no more than the reading."""
    if told.most >= 0.995 or told.most <= (read or 0.0):
        return ""
    return (
        f", at most {human_ratio(told.most)} between the readings: {human_bytes(told.after_bytes)} of page cache stayed"
    )


def _least(before: Interval, after: Interval, total: float, t: Table) -> float | None:
    lost = (before.reclaimable or 0.0) - (after.reclaimable or 0.0)
    taken = (after.memory or 0.0) - (before.memory or 0.0)
    if lost < t.cache_lost * total or taken > 0.5 * lost / total:  # it made room for what is still there
        return None
    return max(0.0, 1.0 - t.free_kept - (after.reclaimable or 0.0) / total)
