"""A span against the rest of its trace on the same host: the control that every trace brings along.

A box slows down whatever needs the same resource; the program's own doing hits one span.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hosts_mcp.diagnosis.model import Loss, Scene
from hosts_mcp.diagnosis.table import Table


@dataclass(frozen=True, slots=True)
class Rest:
    """Sums over the local spans of one host, from which a span takes itself off."""

    local_seconds: float
    known_seconds: float
    """Own time of those with a past, and what they usually take."""
    usual_seconds: float
    waited: tuple[tuple[float, bytes], ...]
    """(excess, span id) of the two largest that slowed down by no more than the disk did."""
    slowed: tuple[tuple[float, bytes], ...]
    """(times its usual, span id) of the two that slowed down most of those that lost much."""


def rest_of(scene: Scene, factors: Mapping[bytes, Mapping[str, float]], t: Table) -> Rest:
    """`factors`: how much each resource slowed each span down at most."""
    local = [x for x in scene.losses if not x.remote]
    known = [x for x in local if x.usual_seconds]
    waited = sorted(((x.excess_seconds, x.span.span_id) for x in known if _waited(x, factors, t)), reverse=True)
    matters = t.beside * max((x.excess_seconds for x in known), default=0.0)
    slowed = [(x.self_seconds / (x.usual_seconds or 1.0), x.span.span_id) for x in known if x.excess_seconds >= matters]
    return Rest(
        local_seconds=sum(x.self_seconds for x in local),
        known_seconds=sum(x.self_seconds for x in known),
        usual_seconds=sum(x.usual_seconds or 0.0 for x in known),
        waited=tuple(waited[:2]),
        slowed=tuple(sorted(slowed, reverse=True)[:2]),
    )


def _waited(loss: Loss, factors: Mapping[bytes, Mapping[str, float]], t: Table) -> bool:
    most = factors.get(loss.span.span_id, {}).get("disk", 1.0)
    return t.slow_ratio <= loss.self_seconds / (loss.usual_seconds or 1.0) <= t.slow_ratio * most


def others_waited(loss: Loss, rest: Rest, t: Table) -> bool:
    """Another span that matters waited for the disk as well: a slow disk hits every span that waits for it."""
    return any(
        excess >= t.corroborated * loss.excess_seconds for excess, span in rest.waited if span != loss.span.span_id
    )


def paged(loss: Loss, rest: Rest) -> float:
    """How much slower than usual another span of the trace was: faults fall on some more than the box's mean says."""
    return next((slowed for slowed, span in rest.slowed if span != loss.span.span_id), 1.0)


def slowed_with(loss: Loss, rest: Rest, t: Table) -> float | None:
    """How much slower than usual the rest of the trace was; None where too little of it has a past to compare with."""
    usual = loss.usual_seconds or 0.0
    others = rest.usual_seconds - usual
    if not usual or others < t.control_share * usual:
        return None
    return (rest.known_seconds - loss.self_seconds) / others


def outlies(loss: Loss, rest: Rest, combined: Mapping[str, float], disk: float, t: Table) -> bool:
    """This span slowed down by more than its host can have done, and the rest of the trace did not.

    `combined`, `disk`: factors. Faults are not shared evenly among programs, so that paging is given more room.
    """
    alone = slowed_with(loss, rest, t)
    if alone is None or not loss.usual_seconds:
        return False
    slowed = loss.self_seconds / loss.usual_seconds
    most = max(disk, *combined.values())
    room = t.slow_ratio**3 if combined["memory"] == most else t.slow_ratio
    return alone <= t.slow_ratio * most and slowed > max(t.slow_ratio * alone, room * most)


def at_most(loss: Loss, rest: Rest, factor: float, t: Table) -> float:
    """`factor`, as far as the rest of the trace felt it, where the rest is at least as much work as this span."""
    alone = slowed_with(loss, rest, t)
    if alone is None or rest.usual_seconds < 2 * (loss.usual_seconds or 0.0):
        return factor
    return max(1.0, min(factor, t.slow_ratio * alone))


def computed(loss: Loss, rest: Rest, on_cpu: float | None) -> float:
    """CPU seconds that must have been this span's: those of the service beyond all of the other spans' time."""
    if on_cpu is None:
        return 0.0
    others = rest.local_seconds - loss.self_seconds
    return max(0.0, on_cpu * rest.local_seconds - others)
