"""What the data can and cannot decide: coverage, bounds proved by counters, gauges that may have missed it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from hosts_mcp.diagnosis import page_cache
from hosts_mcp.diagnosis.model import (
    Bound,
    Interval,
    Pressure,
    Quality,
    Scene,
    Symptom,
)
from hosts_mcp.diagnosis.resources import RESOURCES, Resource
from hosts_mcp.diagnosis.stats import Cover
from hosts_mcp.diagnosis.table import Table

COUNTED = ("cpu", "steal", "disk", "network")
"""Resources whose counters bound what can have happened between two scrapes."""
USUALLY = {"cpu": ("busy", "steal"), "disk": ("disk_busy",)}
"""Readings whose usual value belongs to a resource's ceiling."""
LEAST_RATIO = 1.05
"""Of a slow-down, so that its logarithm can be divided by."""


def assess(scene: Scene, symptom: Symptom, pressures: Mapping[str, Pressure], t: Table) -> Quality:
    window = scene.during()
    covered = _covered(scene, window)
    needed = required(symptom.kind, t)
    present = [r for r in needed if _present(r, pressures)]
    value = covered * (len(present) / len(needed) if needed else 1.0)
    bounds = {}
    pieces = _local_pieces(scene)
    if symptom.kind in ("slow", "unknown") and (total := sum(b - a for a, b in pieces)) > 0:
        cover = Cover(pieces)
        overlaps = [cover.within(iv.start, iv.end) for iv in scene.intervals]
        for name in COUNTED:
            if (found := _bound(RESOURCES[name], scene, symptom, total, overlaps, t)) is not None:
                bounds[name] = found
    return Quality(
        value=value,
        covered=covered,
        missing=tuple(r for r in needed if r not in present),
        bounds=bounds,
        undetermined=tuple(name for name, b in bounds.items() if b.undetermined),
        blind=_blind(scene, symptom, pressures, t),
        intervals=len(window),
    )


def required(kind: str, t: Table) -> tuple[str, ...]:
    match kind:
        case "killed" | "err_mem":
            return ("memory",)
        case "slow" | "unknown" | "none" | "running":
            return ("cpu", "memory", "disk")
        case "err_app":
            return ("cpu", "memory")
    return tuple(name for name in RESOURCES if t.compat[kind][name] >= 0.5)


def _present(resource: str, pressures: Mapping[str, Pressure]) -> bool:
    if pressures[resource].value is not None:
        return True
    own_limit = {"memory": "c_mem", "cpu": "c_cpu"}.get(resource)
    return own_limit is not None and pressures[own_limit].value is not None


def _covered(scene: Scene, window: list[Interval]) -> float:
    """Share of the effect window inside measured intervals; a gap's gauges are unknown, so it covers nothing."""
    seconds = max(scene.effect.seconds, 1e-9)
    return min(1.0, sum(iv.overlap(scene.effect.start, scene.effect.end) for iv in window if not iv.gap) / seconds)


def _local_pieces(scene: Scene) -> list[tuple[float, float]]:
    """Pieces of this host's own time on the critical path, seconds."""
    return [
        (scene.seconds(a), scene.seconds(b))
        for loss in scene.losses
        if not (loss.remote or loss.added)
        for a, b in loss.segments
    ]


def _bound(
    resource: Resource, scene: Scene, symptom: Symptom, total: float, overlaps: Sequence[float], t: Table
) -> Bound | None:
    """At most `sum(min(o_i, m_i dt_i))` of the local seconds were busy, at least `sum(max(0, m_i dt_i - (dt_i - o_i)))`.

    A mean alone exonerates nothing: 28 % of thirty seconds can be eight seconds of full saturation. What is usual here
    is taken off, because the usual run had that too: only what is beyond it can explain what is beyond usual.
    `total`: the local seconds; `overlaps`: how many of them lie in each interval.
    """
    most = least = seen = hidden = 0.0
    usual = sum(scene.usual.get(reading) or 0.0 for reading in USUALLY.get(resource.NAME, ()))
    for k, (iv, o) in enumerate(zip(scene.intervals, overlaps, strict=True)):
        m = resource.ceiling(iv, scene.usual, t) if o > 0 else None
        if m is None:
            continue
        m = max(0.0, m - max(usual, _steady(resource, scene, k, t)) - _of_the_trace(resource, iv, o, scene, t))
        dt = iv.seconds
        seen += o
        most += min(o, m * dt)
        least += max(0.0, m * dt - (dt - o))
        if o < dt / 2:  # the mean is mostly of other seconds
            hidden += min(o, m * dt)
    if seen <= 0:
        return None
    most += max(0.0, total - seen)
    lost = sum(x.excess_seconds for x in scene.losses if not (x.remote or x.added))
    most, hidden = min(most, lost), min(hidden, lost)  # nothing explains more of a span than its own excess
    explains = _explains(most, symptom, t)
    exonerated = explains < t.share_partly
    return Bound(
        most_seconds=most,
        least_seconds=least,
        of_seconds=total,
        exonerated=exonerated,
        undetermined=not exonerated and _explains(hidden, symptom, t) >= t.share_partly,
    )


def _steady(resource: Resource, scene: Scene, k: int, t: Table) -> float:
    """What was there in both neighbouring intervals as well, without pressure: no burst of this one."""
    if not 0 < k < len(scene.intervals) - 1:
        return 0.0
    beside = scene.intervals[k - 1], scene.intervals[k + 1]
    if any((resource.pressure(iv, scene.usual, t) or 0.0) > t.pressure_ignored for iv in beside):
        return 0.0
    return min(resource.ceiling(iv, scene.usual, t) or 0.0 for iv in beside)


def _of_the_trace(resource: Resource, iv: Interval, o: float, scene: Scene, t: Table) -> float:
    """Share of the interval's CPU time that the trace's own work may have been: it does not wait for itself."""
    if resource.NAME != "cpu" or not scene.cpus or (resource.pressure(iv, scene.usual, t) or 0.0) > t.pressure_ignored:
        return 0.0
    return o / (scene.cpus * iv.seconds)


def _explains(most: float, symptom: Symptom, t: Table) -> float:
    d = symptom.duration_seconds
    if most >= d:
        return 1.0
    ratio = max(symptom.ratio, t.slow_ratio) if symptom.kind == "unknown" else symptom.ratio
    return math.log(d / (d - most)) / math.log(max(ratio, LEAST_RATIO))


def _blind(
    scene: Scene, symptom: Symptom, pressures: Mapping[str, Pressure], t: Table
) -> Literal["slow", "middling"] | None:
    """Could memory have filled between the last sample and death? Slowly enough to be an ordinary program: blind."""
    if symptom.kind != "killed" or (pressures["restart"].value or 0.0) > 0:
        return None
    if (pressures["memory"].value or 0.0) >= t.blind_pressure or not scene.box.facts.memory_bytes:
        return None
    seen = [iv for iv in scene.intervals if iv.memory is not None and iv.end <= scene.effect.end]
    if not seen or seen[-1].memory is None:
        return None
    told = page_cache.between(scene, symptom, t)
    if told is not None and t.memory(told.most) < t.blind_pressure:
        return None
    headroom = (1.0 - seen[-1].memory) * scene.box.facts.memory_bytes
    rate = headroom / max(scene.effect.end - seen[-1].end, 1e-3)
    if rate < t.fill_slow_bytes or (rate < t.fill_fast_bytes and _peaked(scene, symptom, t)):
        return "slow"
    return "middling" if rate < t.fill_fast_bytes else None


def _peaked(scene: Scene, symptom: Symptom, t: Table) -> bool:
    """Memory rose up to a reading near the death and had fallen by the next: how high it went in between is unknown."""
    last = page_cache.around_death(scene, symptom)
    levels = [iv.memory for iv in scene.intervals[max(0, last.start - 1) : last.stop]]
    return any(
        a is not None and b is not None and c is not None and b - a > t.chronic_memory and c < b - 0.5 * (b - a)
        for a, b, c in zip(levels, levels[1:], levels[2:], strict=False)
    )
