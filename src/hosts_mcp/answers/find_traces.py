"""Which traces are there: by host, service, operation, outcome, duration and time, with the ids to go on with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, plural, shortened, when
from hosts_mcp.answers.lookup import find_host
from hosts_mcp.answers.table import table
from hosts_mcp.answers.vitals import host_now
from hosts_mcp.errors import BadArgument, BadRange
from hosts_mcp.store.protocol import Host, Outcome, Store, TraceFilter, TraceSummary
from hosts_mcp.text import clean, human_seconds, quote
from hosts_mcp.timerange import NS, iso, parse_duration, parse_range

Order = Literal["newest", "slowest", "errors_first"]
SHOWN_NAMES = 4


class TraceRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    trace_id: str
    root: str | None = Field(default=None, description="name of the root span; absent while it has not arrived")
    service: str | None = None
    outcome: Literal["ok", "error", "unfinished"]
    start: str = Field(description="UTC")
    duration_seconds: float | None = None
    spans: int
    errors: int = 0
    hosts: list[str] | None = Field(default=None, description="keys of the hosts its spans ran on; absent: not known")


class FoundTraces(Answer):
    """Answer of find_traces."""

    start: str | None = Field(default=None, description="range searched, UTC; absent: all retention")
    end: str | None = None
    order: str
    traces: list[TraceRow]
    more: bool = Field(default=False, description="further traces fit; narrow the filter or raise limit")
    next: str | None = None

    def to_text(self) -> str:
        lines = [self.summary]
        header = ("trace id", "start", "took", "spans", "errors", "outcome", "root", "service", "hosts")
        lines += table(header, [_text_row(row) for row in self.traces])
        lines += self.note_lines()
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


def answer(
    store: Store,
    *,
    host: str = "",
    service: str = "",
    operation: str = "",
    status: str = "any",
    min_duration: str = "",
    range: str = "24h",  # noqa: A002
    order: str = "newest",
    limit: int = 20,
    now_ns: int,
    budget: Budget = MCP_BUDGET,
) -> FoundTraces:
    """Traces that fit every filter given, in the asked order. `range="all"`: all retention.

    Raises NoSuchHost, AmbiguousName, BadRange, BadArgument.
    """
    box = find_host(store, host) if host.strip() else None
    wanted = TraceFilter(
        host_id=box.id if box else None,
        service=service.strip() or None,
        operation=operation.strip() or None,
        outcome=_outcome(status),
        min_duration_ns=_duration(min_duration),
        order=_order(order),
        limit=max(1, min(limit, budget.rows)) + 1,
    )
    if range.strip().lower() not in ("", "all"):
        time = parse_range(range, host_now(box, now_ns) if box else now_ns)
        wanted = replace(wanted, start_ns=time.start_ns, end_ns=time.end_ns)
    found = store.traces(wanted)
    hosts = {h.id: h for h in store.hosts()}
    asked = {"host": box.key if box else "", "service": service, "operation": operation, "min_duration": min_duration}
    asked["status"] = wanted.outcome or ""
    empty, following = elsewhere(store, wanted, asked) if not found else (None, None)

    def build(count: int) -> FoundTraces:
        more = len(found) > count
        cut = f'… more than these {count}: narrow the filter, or order="slowest" or "errors_first" for the worst.'
        notes = [empty] if empty else [cut] if more else []
        return FoundTraces(
            summary=_summary(found[:count], more, box, wanted),
            start=when(wanted.start_ns),
            end=when(wanted.end_ns),
            order=wanted.order,
            traces=[_row(t, hosts) for t in found[:count]],
            more=more,
            notes=notes or None,
            next=call("was_it_the_box", trace_id=_suspect(found[:count]).trace_id.hex()) if count else following,
        )

    return fit(build, min(len(found), wanted.limit - 1), budget)


def _outcome(status: str) -> Outcome | None:
    word = status.strip().lower() or "any"
    if word == "any":
        return None
    for outcome in get_args(Outcome):
        if word == outcome:
            return outcome  # type: ignore[no-any-return]
    raise BadArgument(f"status {quote(status, 40)} is unknown: use any, ok, error or unfinished.",
                      candidates=("any", *get_args(Outcome)))  # fmt: skip


def _order(text: str) -> Order:
    word = text.strip().lower() or "newest"
    for order in get_args(Order):
        if word == order:
            return order  # type: ignore[no-any-return]
    raise BadArgument(f"order {quote(text, 40)} is unknown: use {', '.join(get_args(Order))}.",
                      candidates=get_args(Order))  # fmt: skip


def _duration(text: str) -> int:
    if not text.strip():
        return 0
    try:
        return parse_duration(text)
    except BadRange as error:
        raise BadArgument(f"min_duration: {error.message}") from None


def _suspect(traces: Sequence[TraceSummary]) -> TraceSummary:
    """The one to look at first: the first that did not end well, else the first."""
    return next((t for t in traces if t.outcome != "ok"), traces[0])


def _row(trace: TraceSummary, hosts: Mapping[int, Host]) -> TraceRow:
    names = [clean(hosts[i].key, 64) for i in trace.host_ids if i in hosts]
    shown = names[:SHOWN_NAMES] + ([f"and {len(names) - SHOWN_NAMES} more"] if len(names) > SHOWN_NAMES else [])
    ended = trace.outcome != "unfinished" or trace.duration_ns > 0
    service = trace.root_service or next(iter(trace.services), None)
    return TraceRow(
        trace_id=trace.trace_id.hex(),
        root=clean(trace.root_name, 80) if trace.root_name else None,
        service=clean(service, 64) if service else None,
        outcome=trace.outcome,
        start=iso(trace.start_ns),
        duration_seconds=shortened(trace.duration_ns / NS) if ended else None,
        spans=trace.spans,
        errors=trace.errors,
        hosts=shown or None,
    )


def _text_row(row: TraceRow) -> list[str | None]:
    return [
        row.trace_id,
        row.start,
        human_seconds(row.duration_seconds) if row.duration_seconds is not None else None,
        str(row.spans),
        str(row.errors) if row.errors else None,
        row.outcome,
        quote(row.root, 80) if row.root else "(root not arrived)",
        quote(row.service, 64) if row.service else None,
        ", ".join(row.hosts) if row.hosts else "unknown",
    ]


_BAD: tuple[tuple[Outcome, str], ...] = (("error", "failed"), ("unfinished", "unfinished"))


def _summary(traces: Sequence[TraceSummary], more: bool, box: Host | None, wanted: TraceFilter) -> str:
    where = f" on {quote(box.key, 64)}" if box else ""
    searched = f"{when(wanted.start_ns)}..{when(wanted.end_ns)}" if wanted.start_ns is not None else "all retention"
    if not traces:
        return f"No trace{where} fits in {searched}."
    outcomes = Counter(t.outcome for t in traces)
    bad = [f"{outcomes[o]} {word}" for o, word in _BAD if outcomes[o]]
    slowest = human_seconds(max(t.duration_ns for t in traces) / NS)
    first = f"{'The first ' if more else ''}{plural(len(traces), 'trace')}"
    return f"{first}{where} in {searched}, {wanted.order}: {', '.join([*bad, f'slowest {slowest}'])}."


def elsewhere(store: Store, wanted: TraceFilter, asked: Mapping[str, str]) -> tuple[str, str | None]:
    """Why nothing fits: the nearest trace outside the range, or what there is instead; and the call that shows it."""
    anywhen = replace(wanted, start_ns=None, end_ns=None, order="newest", limit=1)
    if wanted.start_ns is not None and (newest := store.traces(anywhen)):
        return (
            f"The newest that fits began {iso(newest[0].start_ns)}, outside the range.",
            call("find_traces", **asked, range="all"),
        )
    about = store.about()
    if not about.traces:
        return (
            "No trace has arrived at all. Send spans to the OTLP ports, or through a collector's traces pipeline.",
            call("list_hosts"),
        )
    services = sorted({str(name) for e in store.services() if (name := e.attributes.get("service.name"))})
    names = ", ".join(quote(s, 48) for s in services[:10])
    return (
        f"{plural(about.traces, 'trace')} kept, none of which fits the filter. Services seen: {names or 'none named'}.",
        call("find_traces", range="all"),
    )
