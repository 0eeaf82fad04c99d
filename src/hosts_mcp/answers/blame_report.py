"""Of the slow and failed traces of a range: how many the box, how many the code; which hosts hurt, and by what.

Hosts are ranked by the pain they caused, in seconds: what a calm box would have saved each slow trace, and the whole
time of each trace that was killed or failed because of the box. A busy host that hurt nobody does not appear.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, plural, shortened, when
from hosts_mcp.answers.find_traces import elsewhere
from hosts_mcp.answers.gather_case import diagnose, gather
from hosts_mcp.answers.lookup import find_host, find_service
from hosts_mcp.answers.suspects import Suspect, operation_of, sample, suspects_of, usual_seconds
from hosts_mcp.answers.table import table
from hosts_mcp.answers.vitals import host_now
from hosts_mcp.diagnosis.verdict import Diagnosis
from hosts_mcp.store.protocol import Store, TraceFilter
from hosts_mcp.text import clean, human_ratio, human_seconds, quote
from hosts_mcp.timerange import TimeRange, parse_range

LOOKED_AT = 5_000
"""Newest traces of the range among which the slow and failed ones are looked for."""
COUNTED = (("yes", "the box"), ("partly", "partly the box"), ("no", "not the box"), ("cannot_tell", "unknown"))
SECONDS = 8.0
"""No further trace is judged after so long: a partial answer that says so is better than none."""
NAME = 64


class HostBlame(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str
    pain_seconds: float = Field(description="seconds this host cost the judged traces, all together")
    traces: int = Field(description="judged traces it hurt")


class Cause(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str
    resource: str
    origin: str | None = None
    culprit: str | None = None
    pain_seconds: float
    traces: int
    example: str = Field(description="trace id of the worst")


class Elsewhere(BaseModel):
    model_config = ConfigDict(extra="forbid")

    operation: str
    service: str | None = None
    excess_seconds: float = Field(description="beyond usual, or the whole time of failed ones")
    traces: int
    example: str


class BlameReport(Answer):
    """Answer of blame_report."""

    start: str = Field(description="range, UTC")
    end: str
    traces: int = Field(description="traces in the range that fit")
    suspects: int = Field(description="of these, slow (1.5 x usual) or failed or unfinished")
    judged: int = Field(description="suspects that got a verdict")
    box: int = Field(description="verdict yes")
    partly: int
    code: int = Field(description="verdict no")
    unknown: int = Field(description="verdict cannot_tell")
    usual: int = Field(default=0, description="judged, and found to be within their usual spread")
    hosts: list[HostBlame] = Field(description="most pain first")
    causes: list[Cause]
    elsewhere: list[Elsewhere] = Field(description="what was slow or failed and was not the box")
    missing: str | None = Field(default=None, description="what would have decided most of the unknown")
    next: str | None = None

    def to_text(self) -> str:
        lines = [self.summary]
        if self.hosts:
            rows = [[quote(h.host, NAME), human_seconds(h.pain_seconds), str(h.traces)] for h in self.hosts]
            lines += ["Hosts by pain caused:", *table(("host", "pain", "traces"), rows)]
        if self.causes:
            causes = ("host", "resource", "origin", "culprit", "pain", "traces", "worst trace")
            lines += ["Causes:", *table(causes, [_cause_text(c) for c in self.causes])]
        if self.elsewhere:
            beside = ("operation", "service", "beyond usual", "traces", "worst trace")
            lines += ["Not the box:", *table(beside, [_elsewhere_text(e) for e in self.elsewhere])]
        if self.missing:
            lines.append(f"Missing: {self.missing}")
        lines += self.note_lines()
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


def answer(
    store: Store,
    *,
    service: str = "",
    operation: str = "",
    host: str = "",
    range: str = "24h",  # noqa: A002
    limit: int = 40,
    now_ns: int,
    budget: Budget = MCP_BUDGET,
) -> BlameReport:
    """Judge at most `limit` slow or failed traces that fit every filter given; of more, the worst half and an even
    spread over the rest.

    Raises NoSuchHost, NoSuchService, AmbiguousName, BadRange, BadArgument.
    """
    box = find_host(store, host) if host.strip() else None
    name = find_service(store, service) if service.strip() else None
    span = parse_range(range, host_now(box, now_ns) if box else now_ns)
    wanted = TraceFilter(
        host_id=box.id if box else None, service=name, operation=operation.strip() or None,
        start_ns=span.start_ns, end_ns=span.end_ns, limit=LOOKED_AT + 1,
    )  # fmt: skip
    found = store.traces(wanted)
    if not found:
        asked = {"host": box.key if box else "", "service": name or "", "operation": operation.strip()}
        empty, following = elsewhere(store, wanted, asked)
        return _empty(span, f"No trace fits in {_range(span)}.", empty, following)
    looked, more = found[:LOOKED_AT], len(found) > LOOKED_AT
    suspects = suspects_of(looked, usual_seconds(store, looked, span))
    chosen = sample(suspects, max(1, limit))
    tally = _judged(store, chosen, now_ns)
    notes = _notes(tally, suspects, chosen, more)
    worst = max(tally.causes.values(), key=lambda g: g.pain, default=None)

    def build(rows: int) -> BlameReport:
        hosts, causes, beside = _ranked(tally.hosts), _ranked(tally.causes), _ranked(tally.elsewhere)
        shown = [part[:rows] for part in (hosts, causes, beside)]
        cut = sum(map(len, (hosts, causes, beside))) - sum(map(len, shown))
        remarks = [*notes, *([f"… {plural(cut, 'more row')}: narrow by host or service."] if cut else [])]
        return BlameReport(
            summary=_summary(tally, len(looked), len(suspects), span),
            notes=remarks or None,
            start=when(span.start_ns) or "",
            end=when(span.end_ns) or "",
            traces=len(looked),
            suspects=len(suspects),
            judged=tally.judged,
            box=tally.words["yes"],
            partly=tally.words["partly"],
            code=tally.words["no"],
            unknown=tally.words["cannot_tell"],
            usual=tally.usual,
            hosts=[HostBlame(host=_name(k[0]), pain_seconds=_seconds(g.pain), traces=g.traces) for k, g in shown[0]],
            causes=[_cause(k, g) for k, g in shown[1]],
            elsewhere=[_elsewhere_row(k, g) for k, g in shown[2]],
            missing=next((text for text, _ in tally.hints.most_common(1)), None),
            next=call("was_it_the_box", trace_id=worst.example) if worst is not None else None,
        )

    return fit(build, max(len(tally.hosts), len(tally.causes), len(tally.elsewhere)), budget)


# ── What they say ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Group:
    pain: float = 0.0
    traces: int = 0
    example: str = ""
    worst: float = -1.0

    def add(self, seconds: float, trace_id: str) -> None:
        self.pain += seconds
        self.traces += 1
        if seconds > self.worst:
            self.worst, self.example = seconds, trace_id


Key = tuple[str, ...]
Groups = defaultdict[Key, Group]


@dataclass(slots=True)
class Tally:
    words: Counter[str] = field(default_factory=Counter)
    judged: int = 0
    usual: int = 0
    hosts: Groups = field(default_factory=lambda: defaultdict(Group))
    causes: Groups = field(default_factory=lambda: defaultdict(Group))
    elsewhere: Groups = field(default_factory=lambda: defaultdict(Group))
    hints: Counter[str] = field(default_factory=Counter)


def _judged(store: Store, chosen: Sequence[Suspect], now_ns: int, clock: Callable[[], float] = time.monotonic) -> Tally:
    tally, until = Tally(), clock() + SECONDS
    for suspect in chosen:
        if clock() > until and tally.judged:
            break
        _count(tally, suspect, diagnose(store, gather(store, suspect.trace.trace_id, now_ns)))
    return tally


def _count(tally: Tally, suspect: Suspect, d: Diagnosis) -> None:
    tally.judged += 1
    if d.symptom.kind == "none":
        tally.usual += 1
        return
    tally.words[d.verdict] += 1
    trace_id = suspect.trace.trace_id.hex()
    if d.verdict == "cannot_tell":
        tally.hints.update([clean(h.text, 200) for h in d.hints[:1]])
    elif d.verdict == "no":
        service, operation = operation_of(suspect.trace)
        operation = operation or d.symptom.span.name
        tally.elsewhere[operation, service or d.symptom.span.service].add(suspect.excess, trace_id)
    else:
        for host, resource, seconds in pains(d, suspect.excess):
            tally.hosts[host,].add(seconds, trace_id)
            whose = (d.origin or "", d.culprit or "") if host == d.host else ("", "")
            tally.causes[host, resource, *whose].add(seconds, trace_id)


def pains(d: Diagnosis, excess: float) -> list[tuple[str, str, float]]:
    """(host, resource, seconds) of a trace that the box hurt: what each host's calm would have saved; the whole
    time of what was killed or failed."""
    saved = [(p.host, str(p.resource or d.resource), p.removed_seconds or 0.0) for p in d.hosts if p.removed_seconds]
    if d.symptom.kind == "slow" and saved:
        return saved
    return [(d.host or "unknown", d.resource, excess)]


# ── Rows and words ───────────────────────────────────────────────────────────────────────────────────────────────────


def _ranked(groups: Groups) -> list[tuple[Key, Group]]:
    return sorted(groups.items(), key=lambda x: (-x[1].pain, x[0]))


def _cause(key: Key, group: Group) -> Cause:
    host, resource, origin, culprit = key
    return Cause(
        host=_name(host), resource=resource, origin=origin or None, culprit=_name(culprit) or None,
        pain_seconds=_seconds(group.pain), traces=group.traces, example=group.example,
    )  # fmt: skip


def _elsewhere_row(key: Key, group: Group) -> Elsewhere:
    operation, service = key
    return Elsewhere(
        operation=_name(operation), service=_name(service) or None, excess_seconds=_seconds(group.pain),
        traces=group.traces, example=group.example,
    )  # fmt: skip


def _cause_text(c: Cause) -> list[str | None]:
    culprit = quote(c.culprit, NAME) if c.culprit else None
    return [quote(c.host, NAME), c.resource, c.origin, culprit, human_seconds(c.pain_seconds), str(c.traces), c.example]


def _elsewhere_text(e: Elsewhere) -> list[str | None]:
    service = quote(e.service, NAME) if e.service else None
    return [quote(e.operation, NAME), service, human_seconds(e.excess_seconds), str(e.traces), e.example]


def _name(text: str) -> str:
    return clean(text, NAME)


def _seconds(value: float) -> float:
    return shortened(value) or 0.0


def _range(span: TimeRange) -> str:
    return f"{when(span.start_ns)}..{when(span.end_ns)}"


def _empty(span: TimeRange, summary: str, note: str, following: str | None) -> BlameReport:
    return BlameReport(
        summary=summary, notes=[note], start=when(span.start_ns) or "", end=when(span.end_ns) or "", traces=0,
        suspects=0, judged=0, box=0, partly=0, code=0, unknown=0, hosts=[], causes=[], elsewhere=[], next=following,
    )  # fmt: skip


def _summary(tally: Tally, traces: int, suspects: int, span: TimeRange) -> str:
    looked = f"{plural(traces, 'trace')} in {_range(span)}"
    if not suspects:
        return f"None of {looked} was slow or failed."
    said = tally.words
    counts = [f"{said[word]} {words}" for word, words in COUNTED]
    out = f"{suspects} of {looked} slow or failed; of {tally.judged} judged: {', '.join(counts)}"
    if tally.usual:
        out += f", {tally.usual} within their usual spread after all"
    ranked = _ranked(tally.hosts)
    if ranked:
        (host,), group = ranked[0]
        whole = sum(g.pain for _, g in ranked)
        part = f", {human_ratio(group.pain / whole)} of all" if len(ranked) > 1 and whole > 0 else ""
        top = next(key for key, _ in _ranked(tally.causes) if key[0] == host)
        out += f". Most pain from {quote(host, NAME)}: {human_seconds(group.pain)}{part}, mostly {top[1]}"
        out += f" ({quote(top[3], NAME)})" if top[3] else ""
    return f"{out}."


def _notes(tally: Tally, suspects: Sequence[Suspect], chosen: Sequence[Suspect], more: bool) -> list[str]:
    notes = []
    if more:
        notes.append(f"Only the newest {LOOKED_AT:,} traces of the range were looked at: narrow it for the others.")
    if len(chosen) < len(suspects):
        notes.append(
            f"A sample: {len(chosen)} of {len(suspects)} slow or failed traces, the worst half and an even spread over "
            "the others. Counts and seconds are of the sample; raise limit for more."
        )
    if tally.judged < len(chosen):
        notes.append(
            f"Stopped after {SECONDS:.0f} s with {tally.judged} of {len(chosen)} judged: lower limit or narrow."
        )
    return notes
