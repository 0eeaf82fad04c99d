"""A settled trace folded into one row per operation: the history that later verdicts compare with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hosts_mcp.diagnosis.excess import self_times
from hosts_mcp.store.protocol import Outcome, Run, Span

ERROR = 2


def runs_of(spans: Sequence[Span]) -> list[Run]:
    """All spans of one trace -> its runs, one per (service, span name, host), in a stable order."""
    if not spans:
        return []
    alone = self_times(spans)
    present = {s.span_id for s in spans}
    groups: dict[tuple[str, str, int], list[Span]] = defaultdict(list)
    for span in spans:
        groups[span.service, span.name, span.host_id or 0].append(span)
    return [
        Run(
            trace_id=spans[0].trace_id,
            service=service,
            operation=name,
            host_id=host_id or None,
            root=any(s.parent_id not in present for s in members),
            start_ns=min(s.start_ns for s in members),
            duration_ns=max((s.end_ns or s.start_ns) - s.start_ns for s in members),
            self_ns=sum(alone[s.span_id] for s in members) // len(members),
            spans=len(members),
            outcome=_outcome(members),
        )
        for (service, name, host_id), members in sorted(groups.items())
    ]


def _outcome(spans: Sequence[Span]) -> Outcome:
    if any(s.end_ns is None for s in spans):
        return "unfinished"
    return "error" if any(s.status == ERROR for s in spans) else "ok"
