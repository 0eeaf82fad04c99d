"""When a service fell silent: its last signs of life around a moment, how long it usually pauses, what came after.

A killed process leaves no span that says so. What it leaves is a silence: nothing more from a service (or from one of
its instances) for longer than it ever paused. Times are those of the spans, on the clock of the box that ran them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hosts_mcp.store.protocol import Instance, Store, TraceFilter, TraceSummary
from hosts_mcp.timerange import NS

REACH_NS = 900 * NS
"""How far from the moment asked about a silence may begin or end: people remember "around two"."""
LOOKED_AT = 200
"""Traces before the moment that tell how long the service usually pauses."""
LEAST_NS = 120 * NS
"""No silence is shorter: an exporter's queue and a quiet minute are not one."""
BEYOND_HABIT = 2.0
"""A silence is unusual when it is so many times the longest pause before."""
HABIT_LEAST = 3
"""So many pauses make a habit; below it the service's habit is not known."""
HABIT_FLOOR_NS = NS


@dataclass(frozen=True, slots=True)
class Silence:
    """A service from its last sign of life until the next one."""

    service: str
    last_ns: int
    until_ns: int
    """The next sign of it, or its box's present when there is none."""
    resumed: bool
    pause_ns: int | None
    """Its longest pause before; None while there are too few to speak of a habit."""
    traces: Sequence[TraceSummary]
    """Its traces up to then, newest first."""
    instance: Instance | None = None
    """Set when one instance fell silent and the service went on."""

    def holds(self, at_ns: int) -> bool:
        return self.last_ns <= at_ns < self.until_ns or (at_ns >= self.until_ns and not self.resumed)

    @property
    def unusual(self) -> bool:
        """Longer than it ever pauses; of an unknown habit: longer than any exporter's delay."""
        habit = (self.pause_ns or 0) * BEYOND_HABIT
        return self.until_ns - self.last_ns > max(LEAST_NS, habit)

    @property
    def unfinished(self) -> TraceSummary | None:
        """The trace that was under way when it fell silent."""
        near = max(60 * NS, self.pause_ns or 0)
        return next((t for t in self.traces if t.outcome == "unfinished" and self.last_ns - end_of(t) <= near), None)


@dataclass(frozen=True, slots=True)
class Talking:
    """A service that was not silent: it sent spans before and after the moment."""

    service: str
    traces: Sequence[TraceSummary]
    """Around the moment, newest first."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """The service is known, but had sent nothing yet."""

    service: str
    first_ns: int


def end_of(trace: TraceSummary) -> int:
    return trace.start_ns + trace.duration_ns


def find(
    store: Store, service: str, at_ns: int, present_ns: int, host_id: int | None = None
) -> Silence | Talking | Unseen:
    """How the service was at that moment: its silence that holds it, else the one that begins or ends nearest.

    `host_id`: only its traces and instances there. `present_ns`: now, on the clock of its box.
    """
    instances = store.instances(service=service, host_id=host_id)
    wanted = TraceFilter(service=service, host_id=host_id, end_ns=at_ns + REACH_NS, limit=LOOKED_AT)
    before = store.traces(wanted)
    if not before:
        return Unseen(service, min((i.first_seen_ns for i in instances), default=at_ns))
    following = _following(store, service, host_id, at_ns + REACH_NS, max(i.last_seen_ns for i in instances))
    silences = _silences(before, following, present_ns)
    touched = [
        Silence(
            service=service,
            last_ns=last_ns,
            until_ns=until_ns,
            resumed=(last_ns, until_ns) != silences[-1] or following is not None,
            pause_ns=_habit([s for s in silences if s != (last_ns, until_ns)]),
            traces=[t for t in before if t.start_ns <= last_ns],
        )
        for last_ns, until_ns in silences
        if last_ns <= at_ns + REACH_NS and until_ns >= at_ns - REACH_NS
    ]
    telling = [s for s in touched if s.unusual or s.unfinished is not None]
    if telling:
        return max(telling, key=lambda s: (s.holds(at_ns), s.until_ns - s.last_ns))
    ended = _ended(instances, at_ns)
    if ended is not None:
        until = max((i.last_seen_ns for i in instances if i is not ended), default=present_ns)
        traces = [t for t in before if t.start_ns <= ended.last_seen_ns]
        return Silence(service, ended.last_seen_ns, until, True, None, traces, ended)
    pausing = next((s for s in touched if s.holds(at_ns) and not s.resumed), None)
    if pausing is not None and pausing.until_ns - pausing.last_ns > LEAST_NS:
        return pausing
    return Talking(service, [t for t in before if end_of(t) >= at_ns - REACH_NS] or before[:1])


def _following(store: Store, service: str, host_id: int | None, since_ns: int, last_seen_ns: int) -> int | None:
    """The next sign after `since_ns`, looked for in windows that grow; None when there is none."""
    span = 3600 * NS
    low = since_ns
    while low <= last_seen_ns:
        wanted = TraceFilter(service=service, host_id=host_id, start_ns=low, end_ns=low + span, limit=LOOKED_AT)
        if found := store.traces(wanted):
            return min(t.start_ns for t in found)
        low, span = low + span, span * 8
    return None


def _silences(before: Sequence[TraceSummary], following: int | None, present_ns: int) -> list[tuple[int, int]]:
    """(last sign, next sign) between traces, oldest first; the last one reaches to the next sign or the present."""
    signs = sorted((t.start_ns, end_of(t)) for t in before)
    merged = [signs[0]]
    for start, end in signs[1:]:
        if start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    gaps = [(a[1], b[0]) for a, b in pairwise(merged)]
    last = merged[-1][1]
    return [*gaps, (last, max(last, following if following is not None else present_ns))]


def _habit(silences: Sequence[tuple[int, int]]) -> int | None:
    pauses = [b - a for a, b in silences if b - a >= HABIT_FLOOR_NS]
    return max(pauses) if len(pauses) >= HABIT_LEAST else None


def _ended(instances: Sequence[Instance], at_ns: int) -> Instance | None:
    """The instance that sent its last span nearest to the moment while others went on."""
    newest = max((i.last_seen_ns for i in instances), default=0)
    ended = [
        i
        for i in instances
        if abs(i.last_seen_ns - at_ns) <= REACH_NS and newest - i.last_seen_ns > LEAST_NS
    ]  # fmt: skip
    return min(ended, key=lambda i: (abs(i.last_seen_ns - at_ns), i.entity_id), default=None)
