"""Where a trace lost its time: self times, the critical path, remote waits, and the excess over usual per span."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter

from hosts_mcp.diagnosis.model import Case, Loss
from hosts_mcp.diagnosis.stats import median
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.store.protocol import Run, Span
from hosts_mcp.timerange import NS

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
BY_START = attrgetter("start_ns", "span_id")


def tree(spans: Sequence[Span]) -> tuple[list[Span], dict[bytes, list[Span]]]:
    """(spans without a parent in the trace, span id -> its children), both by start."""
    present = {s.span_id for s in spans}
    tops: list[Span] = []
    children: dict[bytes, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=BY_START):
        if span.parent_id in present and span.parent_id != span.span_id:
            children[span.parent_id].append(span)
        else:
            tops.append(span)
    return tops, children


def self_times(spans: Sequence[Span]) -> dict[bytes, int]:
    """Span id -> its duration less the union of its children, ns. An unfinished span has none yet: 0."""
    _, children = tree(spans)
    return {s.span_id: _self_time(s, children.get(s.span_id, ())) for s in spans}


def _self_time(span: Span, children: Sequence[Span]) -> int:
    end = span.end_ns or span.start_ns
    covered, reached = 0, span.start_ns
    for child in children:
        start, stop = max(child.start_ns, reached), min(child.end_ns or child.start_ns, end)
        if stop > start:
            covered += stop - start
            reached = stop
    return max(0, end - span.start_ns - covered)


def critical_path(
    root: Span, children: Mapping[bytes, Sequence[Span]], end_ns: int
) -> dict[bytes, list[tuple[int, int]]]:
    """Span id -> the pieces of time (ns) in which that span itself was what the trace waited for.

    Walks back from the root's end, always into the child that ended last; the pieces of all spans add up to the
    trace, so parallel children are never counted twice.
    """
    pieces: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    stack = [(root, end_ns)]
    while stack:
        span, until = stack.pop()
        inner = children.get(span.span_id)
        for child in sorted(inner, key=lambda c: -(c.end_ns or until)) if inner else ():
            stop = min(child.end_ns or until, until)
            if stop <= child.start_ns or child.start_ns < span.start_ns or stop <= span.start_ns:
                continue
            if stop < until:
                pieces[span.span_id].append((stop, until))
            stack.append((child, stop))
            until = child.start_ns
        if until > span.start_ns:
            pieces[span.span_id].append((span.start_ns, until))
    return pieces


def losses(case: Case, root: Span, end_ns: int, t: Table) -> list[Loss]:
    """Every span on the critical path with its own seconds, its usual ones and the excess, in order of start."""
    tops, children = tree(case.spans)
    pieces = critical_path(root, children, end_ns)
    for top in tops:  # orphans of a killed trace have no root to be reached from
        if top.span_id != root.span_id and top.kind not in (SERVER, CONSUMER):
            for key, found in critical_path(top, children, top.end_ns or end_ns).items():
                pieces[key].extend(found)
    total = max((end_ns - root.start_ns) / NS, 1e-9)
    usually = {operation: usual_self_seconds(history, t) for operation, history in case.histories.items()}
    out = []
    for span in sorted(case.spans, key=BY_START):
        segments = tuple(sorted(pieces.get(span.span_id, ())))
        if not segments:
            continue
        own = sum(b - a for a, b in segments) / NS
        callee = _callee(span, children.get(span.span_id, ()))
        usual = usually.get((span.service, span.name))
        if usual is not None:
            excess = own - usual
        elif span.span_id == root.span_id:
            excess = own - t.root_own_share * total
        else:
            excess = own
        out.append(
            Loss(
                span=span,
                segments=segments,
                self_seconds=own,
                usual_seconds=usual,
                excess_seconds=max(0.0, excess),
                remote=is_remote(case, span, children.get(span.span_id, ())),
                database=bool(span.db_system),
                place=callee.host_id if callee is not None and callee.host_id is not None else span.host_id,
                handed_over=callee is not None,
            )
        )
    return out


def with_added(found: Sequence[Loss], usual_seconds: float | None, t: Table) -> list[Loss]:
    """Marks spans never seen before in a trace whose usual work is all there: a back-off, a new step of the program.

    No box adds a span. Where new spans took the place of the usual ones they are judged like those.
    """
    usual = [x for x in found if x.usual_seconds is not None]
    there = sum(min(x.usual_seconds or 0.0, x.self_seconds) for x in usual)
    if usual_seconds is None or there < t.usual_work * usual_seconds:
        return list(found)
    return [x._replace(added=True) if x.usual_seconds is None and not x.remote else x for x in found]


def _callee(span: Span, children: Sequence[Span]) -> Span | None:
    """The other side of a call, when it sent a span."""
    if span.kind not in (CLIENT, PRODUCER):
        return None
    return next((c for c in children if c.kind in (SERVER, CONSUMER)), None)


def usual_self_seconds(history: Sequence[Run], t: Table) -> float | None:
    good = [r.self_ns / NS for r in history if r.outcome == "ok"]
    return median(good) if len(good) >= t.history_least else None


def is_remote(case: Case, span: Span, children: Sequence[Span]) -> bool:
    """A CLIENT or PRODUCER span whose other side sent no span: somebody else's time, unless it talks to this host."""
    if span.kind not in (CLIENT, PRODUCER) or any(c.kind in (SERVER, CONSUMER) for c in children):
        return False
    return not (span.server_address and is_here(case, span, span.server_address))


def is_here(case: Case, span: Span, address: str) -> bool:
    text = address.strip().lower().strip("[]")
    if text in ("localhost", "localhost.localdomain") or text.startswith(("/", "unix:")):
        return True
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        pass
    box = case.boxes.get(span.host_id) if span.host_id is not None else None
    return box is not None and text in {n.lower() for n in (box.name, box.key, *box.aliases)}


def shares(found: Sequence[Loss]) -> dict[int | None, float]:
    """Host id -> its part of the local excess (remote waits belong to nobody here); all local time if no excess."""
    for weight in ("excess_seconds", "self_seconds"):
        total: dict[int | None, float] = defaultdict(float)
        for loss in found:
            if not loss.remote:
                total[loss.place] += getattr(loss, weight)
        whole = sum(total.values())
        if whole > 0:
            return {host: part / whole for host, part in total.items()}
    return {}
