"""Which traces of a range are worth judging: failed, unfinished, or slower than usual by the engine's own measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.store.protocol import Run, Store, TraceSummary
from hosts_mcp.timerange import NS, TimeRange

HISTORY = 100
"""Earlier runs of an operation that say what is usual."""


@dataclass(frozen=True, slots=True)
class Suspect:
    trace: TraceSummary
    excess: float
    """Seconds beyond usual; of a failed or unfinished trace its whole time."""


Operation = tuple[str, str]


def usual_seconds(store: Store, traces: Sequence[TraceSummary], span: TimeRange) -> Mapping[Operation, float]:
    """Median seconds of each root operation before the range; in it, where it has no past."""
    names = sorted({operation_of(t) for t in traces})
    before = store.histories(names, span.start_ns, HISTORY)
    young = [n for n in names if _typical(before.get(n, ())) is None]
    inside = store.histories(young, span.end_ns, HISTORY) if young else {}
    found = {n: _typical(before.get(n, ())) or _typical(inside.get(n, ())) for n in names}
    return {n: seconds for n, seconds in found.items() if seconds is not None}


def _typical(runs: Iterable[Run]) -> float | None:
    seconds = [r.duration_ns / NS for r in runs if r.outcome == "ok"]
    return median(seconds) if len(seconds) >= TABLE.history_least else None


def operation_of(trace: TraceSummary) -> Operation:
    return trace.root_service or "", trace.root_name or ""


def suspects_of(traces: Sequence[TraceSummary], usual: Mapping[Operation, float]) -> list[Suspect]:
    """Oldest first."""
    out = []
    for t in sorted(traces, key=lambda t: (t.start_ns, t.trace_id)):
        seconds, typical = t.duration_ns / NS, usual.get(operation_of(t))
        if t.outcome != "ok":
            out.append(Suspect(t, seconds))
        elif typical is not None and seconds >= TABLE.slow_ratio * typical:
            out.append(Suspect(t, seconds - typical))
    return out


def sample(suspects: Sequence[Suspect], most: int) -> list[Suspect]:
    """All of them, else the half of `most` with the largest excess and an even spread in time over the others."""
    if len(suspects) <= most:
        return list(suspects)
    ranked = sorted(suspects, key=lambda s: (-s.excess, s.trace.trace_id))
    worst = ranked[: (most + 1) // 2]
    kept = {s.trace.trace_id for s in worst}
    others = [s for s in suspects if s.trace.trace_id not in kept]
    count = most - len(worst)
    return worst + [others[(2 * n + 1) * len(others) // (2 * count)] for n in range(count)]
