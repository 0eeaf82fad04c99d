"""Was it the box? The verdict on one trace, with its evidence, as model and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, measured, shortened
from hosts_mcp.answers.gather_case import diagnose, gather
from hosts_mcp.answers.lookup import find_trace
from hosts_mcp.answers.went_silent import Judged, of_host, of_service
from hosts_mcp.diagnosis.verdict import Evidence as Reason
from hosts_mcp.diagnosis.verdict import Hint
from hosts_mcp.diagnosis.words import BLAMED
from hosts_mcp.errors import BadArgument
from hosts_mcp.store.protocol import Store
from hosts_mcp.text import clean, human_ratio, quote
from hosts_mcp.timerange import iso

CONCISE = Budget(text_bytes=3_000, structured_bytes=6_000, rows=MCP_BUDGET.rows, points=MCP_BUDGET.points)
"""Of a default answer, whatever the trace; `detail="full"` gets the face's whole budget."""
NAME = 64


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SymptomRow(_Row):
    """What went wrong with the trace itself."""

    kind: str = Field(alias="class", description="killed, err_…, slow, unknown, none or running")
    at: str | None = None
    detail: str | None = None

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class MomentRow(_Row):
    at: str
    what: str
    value: str | None = None


class EvidenceRow(_Row):
    """One reason. `metric` over [start, end] on `host`, aggregated as `how`, gives `value` again."""

    side: Literal["for", "against"]
    text: str
    value: float | None = None
    unit: str | None = None
    usual: float | None = None
    metric: str | None = None
    subject: str | None = None
    host: str | None = None
    start: str | None = None
    end: str | None = None
    how: str | None = None


class ExoneratedRow(_Row):
    resource: str
    host: str | None = None
    max: float | None = None
    bound: str


class RecurrenceRow(_Row):
    period: str
    hits: int
    cycles: int
    signal: str | None = None


class HostRow(_Row):
    host: str
    share: float = Field(description="of the trace's lost time on known hosts")
    resource: str | None = None
    removed_seconds: float | None = Field(None, description="seconds a calm box would have saved there")
    has_metrics: bool = True


class MissingRow(_Row):
    name: str
    text: str


class CoverageRow(_Row):
    share: float
    interval_seconds: float | None = None
    missing: list[MissingRow] = []


class Verdict(Answer):
    """Answer of was_it_the_box."""

    trace_id: str | None = Field(None, description="absent when a silence was judged that left no trace")
    service: str | None = None
    last_sign: str | None = Field(None, description="of the service that was asked about")
    verdict: Literal["yes", "partly", "no", "cannot_tell"]
    confidence: float
    confidence_word: str
    origin: Literal["neighbour", "own_workload", "hypervisor", "unknown"] | None = None
    scope: Literal["host", "container", "process", "storage", "hypervisor"] | None = None
    resource: str = "none"
    host: str | None = None
    span: str | None = None
    culprit: str | None = None
    share_of_slowdown: float | None = None
    duration_seconds: float | None = None
    calm_duration_seconds: float | None = None
    usual_duration_seconds: float | None = None
    symptom: SymptomRow
    timeline: list[MomentRow] = []
    evidence: list[EvidenceRow] = []
    exonerated: list[ExoneratedRow] = []
    companions: list[str] = []
    recurrence: RecurrenceRow | None = None
    hosts: list[HostRow] = []
    coverage: CoverageRow
    config_to_add: str | None = None
    next_steps: list[str] = []
    next: str | None = None
    engine_version: str
    evaluated_at: str
    final: bool

    def to_text(self) -> str:
        lines = [self.summary]
        facts = [self.verdict, f"confidence {human_ratio(self.confidence)}"]
        facts += [
            f"{name} {value}"
            for name, value in (("resource", self.resource), ("origin", self.origin), ("scope", self.scope))
            if value not in (None, "none")
        ]
        if self.culprit:
            facts.append(f"culprit {quote(self.culprit, NAME)}")
        if self.host:
            facts.append(f"host {quote(self.host, NAME)}")
        lines.append(f"Verdict: {', '.join(facts)}.")
        if self.timeline:
            lines.append("Timeline (UTC):")
            lines += [f"  {_clock(m.at)} {m.what}{f': {m.value}' if m.value else ''}" for m in self.timeline]
        for side, title in (("for", "For the box:"), ("against", "Against:")):
            found = [e for e in self.evidence if e.side == side]
            if found:
                lines.append(title)
                lines += [f"  - {e.text}" for e in found]
        if self.exonerated:
            lines.append("Cleared: " + "; ".join(_cleared(e) for e in self.exonerated) + ".")
        if len(self.hosts) > 1:
            lines.append("Hosts: " + "; ".join(_host_line(h) for h in self.hosts) + ".")
        if self.coverage.missing:
            lines.append("Missing:")
            lines += [f"  - {m.text}" for m in self.coverage.missing]
        if self.config_to_add:
            lines += ["Add to the collector:", *(f"  {line}" for line in self.config_to_add.splitlines())]
        if self.next_steps:
            lines.append("Next: " + " ".join(self.next_steps))
        if self.next:
            lines.append(f"Call: {self.next}")
        if not self.final:
            lines.append("Not final: the trace or its host's metrics may still grow.")
        return "\n".join([*lines, *self.note_lines()])


def answer(
    store: Store,
    trace_id: str = "",
    *,
    service: str = "",
    host: str = "",
    at: str = "now",
    detail: str = "concise",
    now_ns: int,
    budget: Budget = MCP_BUDGET,
) -> Verdict:
    """The verdict on one trace (id or unique prefix, over all retention), or on the silence of a service around `at`:
    of that service, or of the one on that host which fell silent nearest to it.

    Raises NoSuchTrace, NoSuchService, NoSuchHost, AmbiguousName, BadRange, BadArgument.
    """
    if detail not in ("", "concise", "full"):
        raise BadArgument(f"detail is concise or full, not {quote(detail, 40)}.")
    judged = _judged(store, trace_id.strip(), service.strip(), host.strip(), at, now_ns)
    room = budget.times(2) if detail == "full" else _tighter(budget)
    return fitted(judged, room, full=detail == "full")


def _judged(store: Store, trace_id: str, service: str, host: str, at: str, now_ns: int) -> Judged:
    if sum(map(bool, (trace_id, service, host))) != 1:
        raise BadArgument(
            "Give exactly one of trace_id, service and host: the trace in question, or, where none was left, the "
            "service or the host with the moment (at). find_traces and list_hosts have ids and names."
        )
    if service:
        return of_service(store, service, at, now_ns)
    if host:
        return of_host(store, host, at, now_ns)
    if at.strip().lower() not in ("", "now"):
        raise BadArgument("A trace has its own time: at belongs to service or host.")
    found = diagnose(store, gather(store, find_trace(store, trace_id), now_ns))
    return Judged(found, None, None, found.trace_id)


def _tighter(budget: Budget) -> Budget:
    if budget.text_bytes > MCP_BUDGET.text_bytes:
        return budget
    return Budget(
        min(budget.text_bytes, CONCISE.text_bytes),
        min(budget.structured_bytes, CONCISE.structured_bytes),
        budget.rows,
        budget.points,
    )


def fitted(judged: Judged, room: Budget, *, full: bool = False) -> Verdict:
    """The richest form of the answer that fits: rows are dropped from the least telling end."""
    for level in range(0 if full else 1, len(_LIMITS)):
        out = _verdict(judged, _LIMITS[level])
        if room.holds(out):
            return out
    return out


class _Limits(BaseModel):
    evidence: int
    exonerated: int
    hosts: int
    missing: int
    moments: int
    traceable: bool
    patch: bool


_LIMITS = (
    _Limits(evidence=40, exonerated=40, hosts=50, missing=8, moments=12, traceable=True, patch=True),
    _Limits(evidence=10, exonerated=6, hosts=5, missing=3, moments=6, traceable=True, patch=True),
    _Limits(evidence=8, exonerated=4, hosts=3, missing=2, moments=5, traceable=True, patch=True),
    _Limits(evidence=6, exonerated=3, hosts=3, missing=2, moments=5, traceable=True, patch=False),
    _Limits(evidence=4, exonerated=2, hosts=2, missing=1, moments=4, traceable=False, patch=False),
    _Limits(evidence=2, exonerated=1, hosts=1, missing=1, moments=2, traceable=False, patch=False),
)
"""Steps of shortening; the first that fits the budget is sent."""


def _verdict(judged: Judged, limits: _Limits) -> Verdict:
    d = judged.diagnosis
    s = d.symptom
    evidence = _balanced(d.evidence, limits.evidence)
    cut = len(d.evidence) - len(evidence) + max(0, len(d.exonerated) - limits.exonerated)
    notes = [*judged.notes, *([f"{cut} more rows of evidence and exonerations: call with detail=full."] if cut else [])]
    return Verdict(
        summary=d.headline,
        notes=notes or None,
        trace_id=judged.trace_id.hex() if judged.trace_id is not None else None,
        service=_name(judged.service),
        last_sign=_iso(judged.last_sign_ns),
        verdict=d.verdict,
        confidence=round(d.confidence, 2),
        confidence_word=d.confidence_word,
        origin=d.origin,
        scope=d.scope,
        resource=d.resource,
        host=_name(d.host),
        span=_name(d.span),
        culprit=_name(d.culprit),
        share_of_slowdown=shortened(d.share_of_slowdown, 3),
        duration_seconds=shortened(s.duration_seconds),
        calm_duration_seconds=shortened(d.calm_duration_seconds, 3),
        usual_duration_seconds=shortened(s.usual_seconds),
        symptom=SymptomRow.model_validate({"class": s.kind, "at": _iso(s.at_ns), "detail": clean(s.text, 120) or None}),
        timeline=[MomentRow(at=_iso(m.at_ns) or "", what=clean(m.what, 100), value=m.value) for m in d.timeline[: limits.moments]],
        evidence=[_evidence(e, limits.traceable) for e in evidence],
        exonerated=[
            ExoneratedRow(resource=e.resource, host=_name(e.host) if len(d.hosts) > 1 else None, max=shortened(e.most), bound=clean(e.bound, 120))
            for e in d.exonerated[: limits.exonerated]
        ],
        companions=list(d.companions),
        recurrence=None if d.recurrence is None else RecurrenceRow(
            period=d.recurrence.period, hits=d.recurrence.hits, cycles=d.recurrence.cycles, signal=d.recurrence.signal
        ),
        hosts=[
            HostRow(host=_name(h.host) or "?", share=round(h.share, 3), resource=h.resource, removed_seconds=shortened(h.removed_seconds, 3), has_metrics=h.has_metrics)
            for h in d.hosts[: limits.hosts]
        ],
        coverage=CoverageRow(
            share=round(d.coverage, 3),
            interval_seconds=shortened(d.interval_seconds, 3),
            missing=[MissingRow(name=h.name, text=clean(h.text, 200)) for h in d.hints[: limits.missing]],
        ),
        config_to_add=_patch(d.hints, limits),
        next_steps=[clean(step, 160) for step in d.next_steps],
        next=_next(judged),
        engine_version=d.engine_version,
        evaluated_at=_iso(d.evaluated_at_ns) or "",
        final=d.final,
    )  # fmt: skip


def _balanced(evidence: Sequence[Reason], most: int) -> list[Reason]:
    """The first of each side, never one side alone: the best counter-argument stays."""
    against = [e for e in evidence if e.side == "against"]
    spared = min(len(against), max(1, most // 3))
    supporting = [e for e in evidence if e.side == "for"][: most - spared]
    kept = {id(e) for e in (*supporting, *against[: most - len(supporting)])}
    return [e for e in evidence if id(e) in kept]


def _evidence(e: Reason, traceable: bool) -> EvidenceRow:
    row = EvidenceRow(
        side=e.side, text=clean(e.text, 240), value=shortened(e.value), unit=e.unit, usual=shortened(e.usual)
    )
    if not traceable or e.metric is None:
        return row
    return row.model_copy(
        update={
            "metric": e.metric,
            "subject": _name(e.subject),
            "host": _name(e.host),
            "start": _iso(e.start_ns),
            "end": _iso(e.end_ns),
            "how": e.how,
        }
    )


def _patch(hints: Sequence[Hint], limits: _Limits) -> str | None:
    return next((h.patch for h in hints if h.patch), None) if limits.patch else None


def _next(judged: Judged) -> str | None:
    d = judged.diagnosis
    if d.host is not None and (judged.trace_id is None or d.verdict in BLAMED):
        return call("host_status", host=d.host, at=_iso(d.symptom.at_ns))
    if judged.trace_id is None:
        return call("find_traces", service=judged.service, range="all")
    return call("show_trace", trace_id=judged.trace_id.hex())


def _name(value: str | None) -> str | None:
    return None if value is None else clean(value, NAME)


def _iso(ns: int | None) -> str | None:
    return None if ns is None else iso(ns)


def _clock(at: str) -> str:
    """The time of day of an ISO instant, with its date in front."""
    return at.replace("T", " ").removesuffix("Z")


def _cleared(e: ExoneratedRow) -> str:
    """The reading already names its resource where it can."""
    named = e.bound if e.bound.lower().startswith((e.resource, "`", "0 %")) else f"{e.resource}: {e.bound}"
    return f"{named} ({quote(e.host, 40)})" if e.host else named


def _host_line(h: HostRow) -> str:
    parts = [f"{quote(h.host, 40)} {human_ratio(h.share)} of the lost time"]
    if h.removed_seconds:
        parts.append(f"{measured(h.removed_seconds, 'seconds')} by {h.resource}")
    if not h.has_metrics:
        parts.append("no metrics")
    return ", ".join(parts)
