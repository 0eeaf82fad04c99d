"""One trace as a compact tree: where each span ran, what it took itself, what failed or never ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, plural, shortened
from hosts_mcp.answers.lookup import find_trace
from hosts_mcp.answers.span_tree import Node, Shown, by_importance, shown, tree
from hosts_mcp.errors import BadArgument
from hosts_mcp.store.protocol import Host, Span, SpanDetails, Store
from hosts_mcp.text import clean, human_seconds, quote
from hosts_mcp.timerange import NS, iso

MOST_ATTRIBUTES = 8
MOST_INDENT = 12


class SpanRow(BaseModel):
    """One span. Rows stand in tree order; `depth` counts from the root."""

    model_config = ConfigDict(extra="forbid")

    span_id: str
    depth: int
    name: str
    service: str | None = None
    host: str | None = Field(default=None, description="key of the host it ran on; absent: not known")
    offset_seconds: float = Field(description="start after the trace's start")
    duration_seconds: float | None = Field(default=None, description="absent: it never ended")
    self_seconds: float | None = Field(default=None, description="its own time, without its children")
    marks: list[str] | None = Field(default=None, description="error, unfinished, orphan (its parent never arrived)")
    error: str | None = None
    hidden: int | None = Field(default=None, description="spans below it that are not shown")
    attributes: dict[str, str] | None = Field(default=None, description="only with detail=full")


class TraceTree(Answer):
    """Answer of show_trace."""

    trace_id: str
    start: str = Field(description="UTC")
    duration_seconds: float | None = None
    spans: int = Field(description="all spans kept of this trace")
    errors: int = 0
    unfinished: int = 0
    orphans: int = 0
    hosts: list[str] | None = None
    services: list[str] | None = None
    tree: list[SpanRow]
    next: str | None = None

    def to_text(self) -> str:
        lines = [self.summary, f"Trace {self.trace_id} began {self.start}"]
        indents: list[int] = []
        for row in self.tree:
            while indents and indents[-1] >= row.depth:
                indents.pop()
            lines += _text_lines(row, min(len(indents), MOST_INDENT))
            indents.append(row.depth)
        lines += self.note_lines()
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


def answer(
    store: Store,
    trace_id: str,
    *,
    detail: str = "concise",
    now_ns: int,  # noqa: ARG001
    budget: Budget = MCP_BUDGET,
) -> TraceTree:
    """The trace with that id or unique prefix, over all retention; `detail="full"` adds attributes and more spans.

    Root and worst span are always there. Raises NoSuchTrace, AmbiguousName, BadArgument.
    """
    word = detail.strip().lower() or "concise"
    if word not in ("concise", "full"):
        raise BadArgument(
            f"detail {quote(detail, 40)} is unknown: use concise or full.", candidates=("concise", "full")
        )
    full = word == "full"
    found = find_trace(store, trace_id)
    nodes = tree(store.trace(found))
    order = by_importance(nodes)
    hosts = {h.id: h for h in store.hosts()}
    details = store.span_details(found) if full else {}
    start_ns = min(n.span.start_ns for n in nodes)
    end_ns = max((n.span.end_ns for n in nodes if n.span.end_ns is not None), default=None)

    def build(count: int) -> TraceTree:
        rows = shown(nodes, order[:count])
        cut = len(nodes) - len(rows)
        return TraceTree(
            summary=_summary(nodes, hosts, start_ns, end_ns),
            trace_id=found.hex(),
            start=iso(start_ns),
            duration_seconds=shortened((end_ns - start_ns) / NS) if end_ns is not None else None,
            spans=len(nodes),
            errors=sum(n.failed for n in nodes),
            unfinished=sum(n.unfinished for n in nodes),
            orphans=sum(n.orphan for n in nodes),
            hosts=_names(n.span.host_id is not None and _host(n.span, hosts) for n in nodes),
            services=_names(clean(n.span.service, 64) for n in nodes),
            tree=[_row(s, start_ns, hosts, details) for s in rows],
            notes=_notes(nodes, cut, full) or None,
            next=call("was_it_the_box", trace_id=found.hex()),
        )

    return fit(build, len(nodes), budget.times(2) if full else budget)


def _row(item: Shown, start_ns: int, hosts: Mapping[int, Host], details: Mapping[bytes, SpanDetails]) -> SpanRow:
    node, span = item.node, item.node.span
    marks = [
        word for word, on in (("error", node.failed), ("unfinished", node.unfinished), ("orphan", node.orphan)) if on
    ]
    known = details.get(span.span_id)
    return SpanRow(
        span_id=span.span_id.hex(),
        depth=node.depth,
        name=clean(span.name, 80),
        service=clean(span.service, 64) or None,
        host=_host(span, hosts),
        offset_seconds=shortened((span.start_ns - start_ns) / NS) or 0,
        duration_seconds=shortened((span.end_ns - span.start_ns) / NS) if span.end_ns is not None else None,
        self_seconds=shortened(node.self_ns / NS) if node.self_ns is not None else None,
        marks=marks or None,
        error=_error(span),
        hidden=item.hidden or None,
        attributes=_attributes(known) if known else None,
    )


def _attributes(details: SpanDetails) -> dict[str, str] | None:
    kept = list(details.attributes.items())[:MOST_ATTRIBUTES]
    return {clean(key, 48): clean(value, 80) for key, value in kept} or None


def _error(span: Span) -> str | None:
    said = ": ".join(filter(None, (span.exception_type, span.exception_message or span.status_message)))
    return clean(said, 120) or None


def _host(span: Span, hosts: Mapping[int, Host]) -> str | None:
    host = hosts.get(span.host_id) if span.host_id is not None else None
    return clean(host.key, 64) if host is not None else None


def _names(names: object) -> list[str] | None:
    counted = Counter(n for n in names if n)  # type: ignore[attr-defined]
    listed = [name for name, _ in counted.most_common(8)]
    return [*listed, f"and {len(counted) - 8} more"] if len(counted) > 8 else listed or None


def _summary(nodes: Sequence[Node], hosts: Mapping[int, Host], start_ns: int, end_ns: int | None) -> str:
    root = nodes[0].span
    took = human_seconds((end_ns - start_ns) / NS) if end_ns is not None else "no end arrived"
    on = {n.span.host_id for n in nodes if n.span.host_id is not None}
    parts = [took, plural(len(nodes), "span"), f"on {plural(len(on), 'host')}" if on else "on no known host"]
    for word, count in (("failed", sum(n.failed for n in nodes)), ("unfinished", sum(n.unfinished for n in nodes))):
        if count:
            parts.append(f"{count} {word}")
    worst = max(nodes, key=lambda n: n.self_ns or 0)
    most = ""
    if worst.self_ns:
        where = f" on {quote(name, 64)}" if (name := _host(worst.span, hosts)) else ""
        most = f"; most time of its own: {quote(worst.span.name, 80)}{where}, {human_seconds(worst.self_ns / NS)}"
    missing = " (the root has not arrived)" if nodes[0].orphan else ""
    return f"{quote(root.name, 80)} of {quote(root.service, 64)}{missing}: {', '.join(parts)}{most}."


def _notes(nodes: Sequence[Node], cut: int, full: bool) -> list[str]:
    notes = []
    if cut:
        more = "" if full else ' detail="full" shows more;'
        notes.append(f"… {plural(cut, 'more span')} of {len(nodes)} not shown, counted where they belong;{more} root, "
                     "failures and the spans with most time of their own come first.")  # fmt: skip
    if orphans := sum(n.orphan for n in nodes):
        notes.append(f"{plural(orphans, 'span')} without parent here: it never arrived, or not yet.")
    if homeless := sum(n.span.host_id is None for n in nodes):
        notes.append(f"{plural(homeless, 'span')} of no known host: was_it_the_box says what would join them.")
    return notes


def _text_lines(row: SpanRow, indent: int) -> list[str]:
    took = human_seconds(row.duration_seconds) if row.duration_seconds is not None else "no end"
    own = f" (self {human_seconds(row.self_seconds)})" if row.self_seconds is not None else ""
    parts = [
        f"{'  ' * indent}{quote(row.name, 80)} {took}{own} +{human_seconds(row.offset_seconds)}",
        quote(row.service, 64) if row.service else None,
        f"on {quote(row.host, 64)}" if row.host else "host unknown",
        *((mark.upper() for mark in row.marks) if row.marks else ()),
        quote(row.error, 120) if row.error else None,
        row.span_id,
    ]
    lines = ["  ".join(p for p in parts if p)]
    if row.attributes:
        lines.append(
            "  " * indent + "    " + " ".join(f"{quote(k, 48)}={quote(v, 80)}" for k, v in row.attributes.items())
        )
    if row.hidden:
        lines.append(f"{'  ' * (indent + 1)}… {row.hidden} more")
    return lines
