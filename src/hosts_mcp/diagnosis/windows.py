"""Which stretch of a host's time is looked at: effect, lead-in, aftermath. Seconds since the trace began there."""

from __future__ import annotations

from collections.abc import Sequence

from hosts_mcp.diagnosis.model import Loss, Symptom, Window
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.timerange import NS


def origin_of(losses: Sequence[Loss], symptom: Symptom) -> int:
    """First span of the trace on this host, on its own clock."""
    return min((x.span.start_ns for x in losses), default=symptom.start_ns)


def effect(losses: Sequence[Loss], symptom: Symptom, origin_ns: int, interval: float, t: Table) -> Window:
    """Slow: the spans that lost time. Killed and failed: the last minutes before it happened."""
    local = [x for x in losses if not x.remote] or list(losses)
    last = max((x.segments[-1][1] for x in local), default=symptom.at_ns)
    first = min((x.segments[0][0] for x in local), default=symptom.start_ns)
    here = any(x.span.span_id == symptom.span.span_id for x in losses)
    te = ((symptom.at_ns if here else last) - origin_ns) / NS
    if symptom.kind == "killed":
        te = max(te, (last - origin_ns) / NS)
        return Window(max(0.0, te - max(t.killed_seconds, t.killed_intervals * interval)), te + 0.5)
    if symptom.failed:
        return Window(te - max(t.error_seconds, t.error_intervals * interval), te + 0.5)
    total = max(symptom.duration_seconds, 1e-9)
    lost = [x for x in local if x.excess_seconds > t.excess_share * total]
    if lost:
        first, last = min(x.segments[0][0] for x in lost), max(x.segments[-1][1] for x in lost)
    return Window((first - origin_ns) / NS, (last - origin_ns) / NS)


def lead(duration: float, interval: float, t: Table) -> Window:
    """What was going on before the trace began."""
    return Window(-max(t.lead_seconds, t.lead_durations * duration, t.lead_intervals * interval), 0.0)


def after(event: float, interval: float, t: Table) -> Window:
    return Window(event, event + t.aftermath_intervals * interval)
