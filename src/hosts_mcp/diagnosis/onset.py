"""When the pressure began: rates are walked back from the event, levels get a flat line that turns into a climb."""

from __future__ import annotations

from collections.abc import Sequence

from hosts_mcp.diagnosis.model import Scene
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.stats import hinge
from hosts_mcp.diagnosis.table import Table

LEVELS = ("memory", "filesystem")
CALM_IN_A_ROW = 2
JUMPED, NOT_YET = 0.5, 0.1
"""Shares of a level's whole rise."""


def find(scene: Scene, resource: str | None, t: Table) -> float | None:
    """Seconds since the trace began here (negative: before it); None when it cannot be told."""
    if resource is None or resource not in RESOURCES:
        return None
    if resource in LEVELS and (climb := climb_start(scene, resource)) is not None:
        return climb
    return walk_back(scene, resource, t)


def climb_start(scene: Scene, resource: str) -> float | None:
    seen = [
        (iv.end, v) for iv in scene.intervals if iv.end <= scene.effect.end and (v := getattr(iv, resource)) is not None
    ]
    step = max(1, len(seen) // 240)
    found = hinge([x for x, _ in seen[::step]], [y for _, y in seen[::step]])
    return found if found is None else _before_the_jump(seen, found, scene.usual.get(resource))


def _before_the_jump(seen: Sequence[tuple[float, float]], found: float, usual: float | None) -> float:
    """A level that jumps and stays has no bend: where most of the way was done by then, the last reading before it."""
    low, high = min(usual if usual is not None else 1.0, min(y for _, y in seen)), max(y for _, y in seen)
    until = [(x, y) for x, y in seen if x <= found]
    if not until or until[-1][1] <= low + JUMPED * (high - low):
        return found
    return next((x for x, y in reversed(until) if y <= low + NOT_YET * (high - low)), found)


def walk_back(scene: Scene, resource: str, t: Table) -> float | None:
    """Start of the unbroken stretch of pressure that reaches into the effect window."""
    began: float | None = None
    calm = 0
    for iv in reversed(scene.intervals):
        if iv.start >= scene.effect.end:
            continue
        p = RESOURCES[resource].pressure(iv, scene.usual, t)
        if p is not None and p >= t.onset_pressure:
            began, calm = iv.start, 0
        elif iv.end <= scene.effect.start or began is not None:
            calm += 1
            if began is None or calm >= CALM_IN_A_ROW:
                return began
    return began
