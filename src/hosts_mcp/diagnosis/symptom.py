"""What went wrong with the trace, before any look at a host: killed, an error and its class, slow, or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hosts_mcp.diagnosis.errors import EXIT_ATTRIBUTES, KILLED_EXIT, classify
from hosts_mcp.diagnosis.excess import CLIENT, CONSUMER, PRODUCER, SERVER, is_remote, losses, tree
from hosts_mcp.diagnosis.model import Box, Case, Symptom
from hosts_mcp.diagnosis.stats import median, robust_z, spread_below
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import SymptomClass
from hosts_mcp.store.protocol import Run, Span
from hosts_mcp.timerange import NS

ERROR = 2
INNER = (0, 1, CLIENT, PRODUCER)
"""Kinds whose parent is always of the same service and exporter (unspecified and INTERNAL, CLIENT, PRODUCER)."""
PROCESS_SEEN_INTERVALS = 2.5
GAPS_LEAST = 5
"""Ended spans from which on a trace shows its own rhythm."""

OF_SPANS_ALONE = frozenset({"slow", "none", "unknown"})
"""Kinds that nothing measured on a box can change: neither death nor failure, so its logs and processes are not read."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a trace was that neither failed nor died."""

    kind: SymptomClass
    usual_seconds: float | None
    text: str


def find(case: Case, t: Table) -> Symptom:
    """Class, moment and span of the symptom. `case.spans` must not be empty."""
    tops, children = tree(case.spans)
    root = _root(tops)
    survived = _is_edge(root) and root.end_ns is not None and root.status != ERROR  # a lost inner span is no death
    unfinished = None if survived else _unfinished(case, tops)
    history = _finished(case.histories.get((root.service, root.name), ()))
    if unfinished is not None and (found := _killed(case, root, unfinished, history, t)):
        return found
    end = root.end_ns or max(s.end_ns or s.start_ns for s in case.spans)
    seconds = (end - root.start_ns) / NS
    usual = median(history) if history else None
    failing = _failing(root, children)
    if failing is not None:
        return _error(case, root, failing, children, seconds, usual, len(history))
    pace = _pace(case, root, end, history, t)
    ratio = seconds / pace.usual_seconds if pace.usual_seconds else 1.0
    handled = sum(s.status == ERROR for s in case.spans)
    return Symptom(
        pace.kind,
        end,
        root,
        root,
        root.start_ns,
        seconds,
        pace.usual_seconds,
        ratio,
        len(history),
        handled_errors=handled,
        text=pace.text,
    )


def _root(tops: Sequence[Span]) -> Span:
    """The real root, else the edge of this system, else the first of what arrived; the longest of equals."""

    def rank(s: Span) -> tuple[int, int, int]:
        edge = 0 if not s.parent_id.strip(b"\0") else 1 if _is_edge(s) else 2
        return edge, -((s.end_ns or s.start_ns) - s.start_ns), s.start_ns

    return min(tops, key=rank)


def _is_edge(span: Span) -> bool:
    """Begins a trace, or enters this system from outside."""
    return not span.parent_id.strip(b"\0") or span.kind in (SERVER, CONSUMER)


def _finished(history: Sequence[Run]) -> list[float]:
    return [max(r.duration_ns, 1) / NS for r in history if r.outcome == "ok"]


def _unfinished(case: Case, tops: Sequence[Span]) -> Span | None:
    """The last span known to have begun and not to have ended: pending, or the parent that an inner span names."""
    pending = [s for s in case.spans if s.end_ns is None]
    if pending:
        return max(pending, key=lambda s: (s.start_ns, s.span_id))
    orphans = [s for s in tops if s.parent_id.strip(b"\0") and s.kind in INNER]
    return max(orphans, key=lambda s: (s.end_ns or s.start_ns, s.span_id)) if orphans else None


def _killed(case: Case, root: Span, last: Span, history: Sequence[float], t: Table) -> Symptom | None:
    te = max(s.end_ns or s.start_ns for s in case.spans)
    begin = min(s.start_ns for s in case.spans)
    box = case.boxes.get(last.host_id) if last.host_id is not None else None
    now = box.now_ns if box and box.now_ns is not None else case.evaluated_at_ns
    interval = (box.interval_ns or 0) / NS if box else 0.0
    needed = max(t.silence_seconds, t.silence_intervals * interval, _unusual_pause(case, history, t))
    marker = _marker(case, box, te)
    seconds = (te - begin) / NS
    usual = median(history) if history and _is_edge(root) else None  # an orphan's own past is not the trace's
    alive = box is not None and _alive(box, last, te)
    if alive or ((now - te) / NS <= needed and marker is None):
        text = "its process is still running" if alive else f"only {(now - te) / NS:.0f} s of silence so far"
        return Symptom("running", te, last, root, begin, seconds, usual, 1.0, len(history), text=text)
    what = last.name if last.end_ns is None else f"the span around {last.name}"
    return Symptom(
        "killed", te, last, root, begin, seconds, usual, 1.0, len(history), marker,
        due_seconds=max(_gaps(case), default=0.0), incomplete=box is not None and _sends_on(box, last, te),
        text=f"{what} never ended",
    )  # fmt: skip


def _unusual_pause(case: Case, history: Sequence[float], t: Table) -> float:
    """Seconds of silence that such a trace does not make: by its own rhythm, where it gave enough signs of life, and
    what a usual run still had before it; else by usual runs."""
    usual = median(history) if history else 0.0
    gaps = _gaps(case)
    if len(gaps) < GAPS_LEAST - 1:
        return t.silence_gaps * usual
    so_far = max(s.end_ns for s in case.spans if s.end_ns is not None) - min(s.start_ns for s in case.spans)
    return t.silence_rhythm * max(*gaps, usual - so_far / NS)


def _gaps(case: Case) -> list[float]:
    """Seconds between one ended span and the next."""
    ends = sorted(s.end_ns for s in case.spans if s.end_ns is not None)
    return [(b - a) / NS for a, b in pairwise(ends)]


def _alive(box: Box, last: Span, te: int) -> bool:
    """The span's process (pid, started before it) is in the newest process scrape, and that is after its last sign."""
    newest = max((p.last_seen_ns for p in box.processes), default=0)
    slack = PROCESS_SEEN_INTERVALS * (box.interval_ns or 0)
    return last.pid is not None and any(
        p.pid == last.pid
        and (p.started_ns is None or p.started_ns <= last.start_ns + NS)
        and p.last_seen_ns >= newest - slack
        and p.last_seen_ns > te
        for p in box.processes
    )


def _sends_on(box: Box, last: Span, te: int) -> bool:
    return any(
        i.entity_id == last.entity_id and i.pid == last.pid and i.pid is not None and i.last_seen_ns > te + NS
        for i in box.instances
    )


def _marker(case: Case, box: Box | None, te: int) -> str | None:
    """What a supervisor, the kernel or Kubernetes wrote about the death; case-wide logs first, then this host's."""
    for log in (*case.logs, *(box.logs if box else ())):
        own = log.trace_id == case.trace_id
        if log.what in ("oom_kill", "container_oom", "killed") and (own or -5 * NS <= log.time_ns - te <= 60 * NS):
            return log.text
    for details in case.details.values():
        for name, value in details.attributes.items():
            if name in EXIT_ATTRIBUTES and str(value) == KILLED_EXIT:
                return f"{name}={value}"
            if isinstance(value, str) and "oomkilled" in value.lower():
                return f"{name}={value}"
    return None


def _failing(root: Span, children: Mapping[bytes, Sequence[Span]]) -> Span | None:
    """The deepest failed span below a failed root. A failure that the request survived is none of its own."""
    if root.status != ERROR:
        return None
    span = root
    while True:
        failed = [c for c in children.get(span.span_id, ()) if c.status == ERROR]
        if not failed:
            return span
        span = max(failed, key=lambda s: (s.end_ns or s.start_ns, s.span_id))


def _error(
    case: Case,
    root: Span,
    span: Span,
    children: Mapping[bytes, Sequence[Span]],
    seconds: float,
    usual: float | None,
    runs: int,
) -> Symptom:
    details = case.details.get(span.span_id)
    texts = [span.exception_type or "", span.exception_message or "", span.status_message]
    texts += [str(v) for v in details.attributes.values() if isinstance(v, str)] if details else []
    kind, words = classify(texts)
    box = case.boxes.get(span.host_id) if span.host_id is not None else None
    marker = words if kind == "killed" else _marker(case, box, span.end_ns or span.start_ns)
    if kind == "err_app" and marker is not None and _exit_killed(case, span):
        kind = "killed"
    remote = span.server_address or span.name if is_remote(case, span, children.get(span.span_id, ())) else None
    if remote is None and kind in ("err_timeout", "err_conn"):
        remote = _remote_below(case, span, children)
    text = ": ".join(x for x in (span.exception_type, span.exception_message or span.status_message) if x)
    ratio = seconds / usual if usual else 1.0
    return Symptom(
        kind, span.end_ns or span.start_ns, span, root, root.start_ns, seconds, usual, ratio, runs, marker,
        remote=remote, text=text or "the span failed without a message",
    )  # fmt: skip


def _exit_killed(case: Case, span: Span) -> bool:
    details = case.details.get(span.span_id)
    return details is not None and any(str(details.attributes.get(n)) == KILLED_EXIT for n in EXIT_ATTRIBUTES)


def _remote_below(case: Case, span: Span, children: Mapping[bytes, Sequence[Span]]) -> str | None:
    for child in children.get(span.span_id, ()):
        if is_remote(case, child, children.get(child.span_id, ())) and child.end_ns == span.end_ns:
            return child.server_address or child.name
    return None


def _pace(case: Case, root: Span, end: int, history: Sequence[float], t: Table) -> Pace:
    """Slow against the operation's own past; where that past is too mixed to compare with, against its parts' past."""
    seconds = (end - root.start_ns) / NS
    if len(history) < t.history_least:
        usual = median(history) if history else None
        # What is slow cannot be told from a few runs. That it is not slower than any of them can.
        if len(history) >= t.history_few and seconds <= max(history) * (1 + t.history_floor):
            earlier = "only earlier run" if len(history) == 1 else f"{len(history)} earlier runs"
            return Pace("none", usual, f"no slower than its {earlier}")
        few = {0: "no earlier run", 1: "only 1 earlier run"}.get(len(history), f"only {len(history)} earlier runs")
        return Pace("unknown", usual, f"{few} to compare with")
    logs = [math.log(x) for x in history]
    spread = spread_below(logs)
    z = robust_z(math.log(max(seconds, 1e-9)), median(logs), spread, t.history_floor)
    usual = median(history)
    if seconds >= t.slow_ratio * usual and z >= t.slow_z:
        return Pace("slow", usual, f"{seconds / usual:.1f} times its usual {usual:.3g} s")
    if spread > t.history_mixed and (lost := _anomalous(case, root, end, t)) > 0:
        parts = max(seconds - lost, 1e-9)
        if seconds >= t.slow_ratio * parts:
            return Pace("slow", parts, f"its parts usually take {parts:.3g} s together")
    return Pace("none", usual, f"{seconds / usual:.1f} times its usual {usual:.3g} s, inside its usual spread")


def _anomalous(case: Case, root: Span, end: int, t: Table) -> float:
    """Seconds beyond usual of those spans whose own time is unusual for their name."""
    total = 0.0
    for loss in losses(case, root, end, t):
        history = case.histories.get((loss.span.service, loss.span.name), ())
        logs = [math.log(max(r.self_ns, 1000) / NS) for r in history if r.outcome == "ok"]
        if len(logs) < t.history_least or not loss.usual_seconds:
            continue
        z = robust_z(math.log(max(loss.self_seconds, 1e-6)), median(logs), spread_below(logs), t.history_floor)
        if z >= t.slow_part_z and loss.self_seconds >= t.slow_ratio * loss.usual_seconds:
            total += loss.excess_seconds
    return total
