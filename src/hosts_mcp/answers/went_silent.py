"""The verdict without a trace: a service (or the services of a host) at a moment, judged by what it left behind.

Where the last thing it left is a trace that never ended, that trace is judged. Where it left nothing unfinished, its
process is judged as the span that never ended: from its last minutes to its last sign of life, on its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hosts_mcp.answers.base import plural
from hosts_mcp.answers.gather_case import diagnose, gather, gather_spans
from hosts_mcp.answers.lookup import find_host, find_service
from hosts_mcp.answers.silence import LEAST_NS, REACH_NS, Silence, Talking, Unseen, end_of, find
from hosts_mcp.answers.vitals import host_now
from hosts_mcp.diagnosis.model import Case
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.diagnosis.verdict import Diagnosis, Evidence, Moment
from hosts_mcp.diagnosis.words import BLAMED, Word
from hosts_mcp.errors import BadArgument
from hosts_mcp.store.protocol import Host, Span, Store, TraceSummary
from hosts_mcp.text import human_seconds, quote
from hosts_mcp.timerange import DAY_NS, NS, iso, parse_instant

LAST_HOUR_NS = 3600 * NS
"""Of a process that sent spans for longer, only the last hour is looked at."""
NAMED = 48
SERVICES_OF_A_HOST = 12
UNPROVEN = 0.7
"""Most confidence while nothing but the silence says that the process died."""
SILENCE_ID = b"\0" * 16
"""Stands for the trace that a silence is not."""
INTERNAL = 1


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of a moment without a trace id."""

    diagnosis: Diagnosis
    service: str | None
    last_sign_ns: int | None
    trace_id: bytes | None
    notes: tuple[str, ...] = ()


def of_service(store: Store, service: str, at: str, now_ns: int) -> Judged:
    """Raises NoSuchService, AmbiguousName, BadRange, BadArgument."""
    name = find_service(store, service)
    hosts = {h.id: h for h in store.hosts()}
    newest = max(store.instances(service=name), key=lambda i: i.last_seen_ns, default=None)
    present = _present(hosts.get(newest.host_id or 0) if newest else None, now_ns)
    at_ns = parse_instant(at, present)
    return _judge(store, find(store, name, at_ns, present), at_ns, present, now_ns)


def of_host(store: Store, host: str, at: str, now_ns: int) -> Judged:
    """The service on that host that fell silent nearest to the moment; the others are named.

    Raises NoSuchHost, AmbiguousName, BadRange, BadArgument (no service has sent spans from there).
    """
    box = find_host(store, host)
    present = _present(box, now_ns)
    at_ns = parse_instant(at, present)
    seen: dict[str, int] = {}
    for i in store.instances(host_id=box.id):
        if i.first_seen_ns <= at_ns + REACH_NS and i.service:
            distance = abs(i.last_seen_ns - at_ns)
            seen[i.service] = min(distance, seen.get(i.service, distance))
    if not seen:
        raise BadArgument(
            f"No service has sent spans from {quote(box.key, 64)} by {iso(at_ns)}, so there is nothing to judge there. "
            f'Call host_status(host="{box.key}", at="{iso(at_ns)}") for what the box was doing.'
        )
    nearest = sorted(seen, key=lambda s: (seen[s], s))[:SERVICES_OF_A_HOST]
    found = [find(store, name, at_ns, present, box.id) for name in nearest]
    silent = sorted((f for f in found if isinstance(f, Silence) and f.unusual), key=lambda s: _rank(s, at_ns))
    talking = [f for f in found if isinstance(f, Talking)]
    chosen = silent[0] if silent else talking[0] if talking else found[0]
    judged = _judge(store, chosen, at_ns, present, now_ns)
    notes = [_others("also fell silent", [s.service for s in silent[1:]])] if len(silent) > 1 else []
    notes += [_others("went on", [t.service for t in talking])] if silent and talking else []
    if len(seen) > len(nearest):
        notes.append(f"{plural(len(seen) - len(nearest), 'more service')} here not looked at; ask by service.")
    return replace(judged, notes=(*judged.notes, *notes))


def _present(box: Host | None, now_ns: int) -> int:
    return host_now(box, now_ns) if box is not None else now_ns


def _rank(s: Silence, at_ns: int) -> tuple[bool, int, str]:
    """Who left something unfinished comes first, then who fell silent nearest to the moment."""
    return s.unfinished is None, abs(s.last_ns - at_ns), s.service


def _others(what: str, services: Sequence[str]) -> str:
    shown = ", ".join(quote(s, NAMED) for s in services[:4])
    return f"On this box {what}: {shown}{f' and {len(services) - 4} more' if len(services) > 4 else ''}."


def _judge(store: Store, found: Silence | Talking | Unseen, at_ns: int, present: int, now_ns: int) -> Judged:
    match found:
        case Unseen(service, first_ns):
            raise BadArgument(
                f"{quote(service, 64)} had sent nothing by {iso(at_ns)}; its first span is of {iso(first_ns)}."
            )
        case Talking():
            return _talking(store, found, at_ns, now_ns)
        case Silence() as silence if silence.unfinished is not None:
            return _by_trace(store, silence, silence.unfinished, now_ns)
    return _by_process(store, found, present, now_ns)


# ── It went on ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _talking(store: Store, found: Talking, at_ns: int, now_ns: int) -> Judged:
    """Not silent: then its worst trace of that time is judged."""
    bad = [t for t in found.traces if t.outcome != "ok"]
    worst = max(
        found.traces, key=lambda t: (t.outcome == "unfinished", t.outcome == "error", t.duration_ns, t.trace_id)
    )
    d = diagnose(store, gather(store, worst.trace_id, now_ns))
    told = (
        f" {quote(found.service, NAMED)} was not silent around {_clock(at_ns)} UTC: "
        f"{plural(len(found.traces), 'trace')}, {len(bad)} failed or unfinished; this is the "
        f"{'worst' if bad else 'longest'} of them."
    )
    last = max(end_of(t) for t in found.traces)
    return Judged(replace(d, headline=d.headline + told), found.service, last, worst.trace_id)


# ── It left a trace that never ended ─────────────────────────────────────────────────────────────────────────────────


def _by_trace(store: Store, silence: Silence, trace: TraceSummary, now_ns: int) -> Judged:
    d = diagnose(store, gather(store, trace.trace_id, now_ns))
    told = f" {_fell_silent(silence)}; this trace was under way."
    d = replace(d, headline=d.headline + told, timeline=_timeline(d.timeline, silence))
    return Judged(d, silence.service, silence.last_ns, trace.trace_id)


# ── It left nothing unfinished ───────────────────────────────────────────────────────────────────────────────────────


def _by_process(store: Store, silence: Silence, present: int, now_ns: int) -> Judged:
    last = _last_span(store, silence)
    case = gather_spans(store, _as_trace(silence, last), now_ns)
    d = diagnose(store, case)
    proof = _proof(case, silence, last, d)
    word, confidence, why = _weighed(d, silence, proof, _unheard(store, silence, present))
    evidence = [*d.evidence, *(Evidence("for", text) for text in proof)]
    evidence.append(Evidence("against", "everything it had begun had ended when it fell silent"))
    if word != d.verdict:
        d = replace(d, origin=None, scope=None, resource="none", culprit=None, recurrence=None, companions=())
    d = replace(
        d,
        verdict=word,
        confidence=round(confidence, 4),
        confidence_word=TABLE.word(confidence),
        evidence=tuple(evidence),
        timeline=_timeline(d.timeline, silence),
    )
    return Judged(replace(d, headline=_headline(d, silence, why)), silence.service, silence.last_ns, None)


def _weighed(d: Diagnosis, silence: Silence, proof: Sequence[str], unheard: bool) -> tuple[Word, float, str]:
    """The engine's verdict on the process as one that was killed, for what is known of whether it was: verdict,
    confidence and the reason for the difference."""
    if unheard:
        return "cannot_tell", UNPROVEN, "this server was not listening when it fell silent"
    blamed = d.verdict in BLAMED
    if not silence.unusual and not proof:
        pause = human_seconds(round((silence.pause_ns or 0) / NS))
        why = f"its last trace ended well, and it usually pauses for up to {pause}"
        if blamed:
            return "cannot_tell", UNPROVEN, f"{why}; but if it was killed, its box was under pressure then"
        return d.verdict, d.confidence, why
    if proof:
        return d.verdict, d.confidence, "; ".join(proof)
    if d.symptom.kind == "running":
        return d.verdict, d.confidence, f"not killed, as far as can be seen: {d.symptom.text}"
    if d.verdict == "cannot_tell" and d.hints:
        return d.verdict, d.confidence, d.hints[0].text
    why = "nothing but the silence says that it died; everything it had begun had ended"
    return d.verdict, min(d.confidence, UNPROVEN) if blamed else d.confidence, why


def _last_span(store: Store, silence: Silence) -> Span:
    """The last thing that the service (that instance of it) is known to have done."""
    own = silence.instance.entity_id if silence.instance is not None else None
    spans = [
        s
        for t in silence.traces[:SERVICES_OF_A_HOST]
        for s in store.trace(t.trace_id)
        if s.service == silence.service and s.entity_id == (own or s.entity_id)
    ]
    within = [s for s in spans if (s.end_ns or s.start_ns) <= silence.last_ns] or spans
    if not within:
        raise BadArgument(f"The last spans of {quote(silence.service, 64)} are no longer kept; only that it was there.")
    return max(within, key=lambda s: (s.end_ns or s.start_ns, s.span_id))


def _as_trace(silence: Silence, last: Span) -> list[Span]:
    """The process as a span without an end, and the last span it sent inside it."""
    end = last.end_ns or last.start_ns
    first = min(t.start_ns for t in silence.traces)
    if silence.instance is not None:
        first = silence.instance.first_seen_ns
    begin = min(max(first, end - LAST_HOUR_NS), last.start_ns)
    whole = last._replace(
        trace_id=SILENCE_ID, span_id=b"\1" * 8, parent_id=b"", name=silence.service, kind=INTERNAL,
        start_ns=begin, end_ns=None, status=0, status_message="", pending=True, exception_type=None,
        exception_message=None, server_address=None, db_system=None,
    )  # fmt: skip
    inside = last._replace(trace_id=SILENCE_ID, span_id=b"\2" * 8, parent_id=whole.span_id, end_ns=end, kind=INTERNAL)
    return [whole, inside]


def _proof(case: Case, silence: Silence, last: Span, d: Diagnosis) -> list[str]:
    """What says, beside the silence, that the process ended then."""
    box = case.boxes.get(last.host_id) if last.host_id is not None else None
    found = []
    if d.symptom.marker:
        found.append(f"somebody reported the death: {quote(d.symptom.marker, 80)}")
    if box is not None and last.pid is not None:
        slack = 3 * (box.interval_ns or 60 * NS)
        mine = [p for p in box.processes if p.pid == last.pid and (p.started_ns or 0) <= last.start_ns + NS]
        newest = max((p.last_seen_ns for p in box.processes), default=0)
        gone = max((p.last_seen_ns for p in mine), default=0)
        if mine and gone <= silence.last_ns + slack and newest > gone + slack:
            found.append(f"its process {last.pid} is in no scrape after {_clock(gone)}")
    boots = [b for b in (box.boots_ns if box is not None else ()) if b > silence.last_ns]
    if boots:
        found.append(f"its box restarted at {_clock(min(boots))}")
    return found


def _unheard(store: Store, silence: Silence, present: int) -> bool:
    """Whether this server itself stopped listening as the service fell silent, until it spoke again (or now)."""
    gaps = store.not_listening(silence.last_ns - DAY_NS, min(silence.until_ns, present))
    return any(abs(a - silence.last_ns) <= LEAST_NS and b >= silence.until_ns - LEAST_NS for a, b in gaps)


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SAID = {
    "yes": "Yes, {} the box: ",
    "partly": "Partly, {} the box: ",
    "no": "Not the box ({}): ",
    "cannot_tell": "Cannot tell ({}): ",
}


def _headline(d: Diagnosis, silence: Silence, why: str) -> str:
    told = SAID[d.verdict].format(d.confidence_word) + _fell_silent(silence)
    reasons = [e.text for e in d.evidence if e.side == "for" and e.host is not None][:2]
    if d.verdict in BLAMED:
        where = f"; on {quote(d.host, NAMED)} " if d.host else "; "
        told += where + ", ".join(reasons)
        if d.culprit and d.culprit not in told:
            told += f", from {quote(d.culprit, NAMED)}"
    elif d.verdict == "no" and d.exonerated:
        told += "; " + ", ".join(e.bound for e in d.exonerated[:3])
    return f"{told}. {why[:1].upper()}{why[1:].removesuffix('.')}."


def _fell_silent(s: Silence) -> str:
    who = quote(s.service, NAMED)
    if s.instance is not None:
        who = f"instance {quote(s.instance.instance, NAMED)} of {who}"
    quiet = human_seconds(round((s.until_ns - s.last_ns) / NS))
    after = f"for {quiet}" if s.resumed else f"and has been for {quiet}"
    habit = f", its longest pause before {human_seconds(round(s.pause_ns / NS))}" if s.pause_ns else ""
    return f"{who} fell silent at {_clock(s.last_ns)} UTC {after}{habit}"


def _timeline(moments: Sequence[Moment], s: Silence) -> tuple[Moment, ...]:
    """The moments of the box, without what is measured from the begin of a trace that there is not."""
    kept = [
        replace(m, what=m.what.partition(", ")[0])
        for m in moments
        if m.what not in ("trace begins", "last sign of life")
    ]
    kept.append(Moment(s.last_ns, "last sign of life"))
    if s.resumed:
        kept.append(Moment(s.until_ns, "next sign of it" if s.instance is None else "others of it go on"))
    return tuple(sorted(kept, key=lambda m: (m.at_ns, m.what)))


def _clock(ns: int) -> str:
    return iso(ns - ns % NS).replace("T", " ").removesuffix("Z")
