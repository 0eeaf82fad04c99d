"""How a box did over a range: figures and a short sparkline per signal, series on request, per device or process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, measured, plural, shortened, when
from hosts_mcp.answers.curve import Curve, gaps, sparkline
from hosts_mcp.answers.curves_of import curves_by, curves_of, raw_curves
from hosts_mcp.answers.lookup import find_host
from hosts_mcp.answers.selection import FAMILIES, SUBJECTS, Selection, select, unit_of
from hosts_mcp.answers.table import table
from hosts_mcp.answers.vitals import host_now
from hosts_mcp.errors import BadArgument
from hosts_mcp.signals.catalogue import SIGNALS
from hosts_mcp.store.protocol import EntityKind, Host, Store
from hosts_mcp.text import clean, human_seconds, quote
from hosts_mcp.timerange import NS, TimeRange, parse_range

MOST_POINTS = 500
SHOWN_GAPS = 5
SPARKS = 12
CONCISE = 2 / 3
"""Share of the budget for figures without series: a whole day of every signal in 4,000 bytes."""


class MetricRow(BaseModel):
    """One signal over the range. Figures are weighted by time; absent is not measured."""

    model_config = ConfigDict(extra="forbid")

    signal: str
    subject: str | None = Field(
        default=None, description="device, mount, interface, cpu, process, or attributes as sent"
    )
    unit: str | None = Field(default=None, description="ratio is 0 to 1")
    last: float | None = None
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    p95: float | None = None
    sparkline: str | None = Field(default=None, description="equal parts of the range, from zero up; · not measured")
    values: list[float | None] | None = Field(
        default=None, description="mean of each equal part of the range; null is a gap"
    )
    peaks: list[float | None] | None = Field(
        default=None, description="maximum of each part, where it differs from the mean"
    )


class HostMetrics(Answer):
    """Answer of host_metrics."""

    host: str
    start: str = Field(description="UTC, on the host's clock")
    end: str
    interval_seconds: float | None = Field(default=None, description="usual spacing of the host's readings")
    point_seconds: float | None = Field(default=None, description="length of one part of values")
    metrics: list[MetricRow]
    total: int = Field(description="signals that fit, shown or not")
    gaps: list[str] | None = Field(default=None, description="parts of the range without any reading")
    missing: list[str] | None = Field(default=None, description="asked for, but nothing was sent")
    next: str | None = None

    def to_text(self) -> str:
        lines = [self.summary, f"Range {self.start}..{self.end}"]
        lines += table(("signal", "last", "min", "avg", "p95", "max", "curve"), [_text_row(m) for m in self.metrics])
        for row in self.metrics:
            if row.values is not None:
                name = row.signal + (f" {quote(row.subject, 64)}" if row.subject else "")
                points = " ".join("-" if v is None else f"{v:g}" for v in row.values)
                lines.append(f"{name} every {human_seconds(self.point_seconds or 0)}: {points}")
        lines += [f"Gap: {gap}" for gap in self.gaps or ()]
        lines += [f"Missing: {line}" for line in self.missing or ()]
        lines += self.note_lines()
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


def answer(
    store: Store,
    host: str,
    *,
    metrics: str = "",
    range: str = "1h",  # noqa: A002
    points: int = 12,
    detail: str = "concise",
    by: str = "",
    now_ns: int,
    budget: Budget = MCP_BUDGET,
) -> HostMetrics:
    """Curves of one host. `metrics`: words, signals or metric names, comma separated; "" the usual ones.

    `by`: device, mount, interface, cpu or process, one row each, greatest first. `detail="full"`: series of `points`
    parts. Raises NoSuchHost, AmbiguousName, BadRange, BadArgument.
    """
    full = _read_detail(detail)
    by = by.strip().lower()
    if by and by not in SUBJECTS:
        raise BadArgument(f"by {quote(by, 40)} is unknown: use {', '.join(SUBJECTS)}, or leave it out.",
                          candidates=tuple(SUBJECTS))  # fmt: skip
    box = find_host(store, host)
    time = parse_range(range, host_now(box, now_ns))
    known = [signal.name for signal in SIGNALS]
    stored: dict[str, EntityKind] = {}
    try:
        chosen = select(metrics, known, stored)
    except BadArgument:
        # A metric by the name it was sent with: those are read off scrapes.
        stored = {m.metric: m.entity_kind for m in store.metric_names(box.id)}
        chosen = select(metrics, known, stored)
    wanted = [name for name in known if chosen.takes(name)]
    count = min(max(2, points or budget.points), MOST_POINTS)
    shown = count if full else SPARKS
    found = curves_by(store, box, time, by) if by else curves_of(store, box, time, wanted, shown)
    curves = sorted(_chosen(found.curves, chosen, by), key=lambda c: _order(c, chosen))
    if chosen.raw:
        curves += raw_curves(store, box, time, {metric: stored[metric] for metric in chosen.raw})
    by_worth = _greatest_first(curves)
    limits = budget.times(2) if full else budget.times(CONCISE) if chosen.usual and not by else budget
    whole = HostMetrics(
        summary=_summary(box, time, curves),
        host=clean(box.key, 64),
        start=when(time.start_ns) or "",
        end=when(time.end_ns) or "",
        interval_seconds=shortened(box.interval_ns / NS) if box.interval_ns else None,
        point_seconds=shortened(time.seconds / count) if full and curves else None,
        metrics=[],
        total=len(curves),
        gaps=_gap_lines([g for g in gaps(curves, time) if curves]) or None,
        missing=_missing(chosen, curves, by) or None,
        next=_next(box, time, curves, by, full),
    )

    row = lru_cache(None)(lambda at: _row(curves[at], time, count, full))

    def build(rows: int) -> HostMetrics:
        rest = len(curves) - rows
        kept = sorted(by_worth[:rows])
        notes = [*found.notes, *_quality_notes([curves[at] for at in kept])]
        if rest:
            wider = 'metrics="…" for some of them' if full else "name fewer metrics"
            notes.append(f"… {plural(rest, 'more signal')} of {len(curves)} left out for length: {wider}.")
        return whole.model_copy(update={"metrics": [row(at) for at in kept], "notes": notes or None})

    return fit(build, len(curves), limits)


def _read_detail(detail: str) -> bool:
    word = detail.strip().lower() or "concise"
    if word not in ("concise", "full"):
        raise BadArgument(
            f"detail {quote(detail, 40)} is unknown: use concise or full.", candidates=("concise", "full")
        )
    return word == "full"


def _chosen(curves: Sequence[Curve], chosen: Selection, by: str) -> list[Curve]:
    """A split by subject without further choice means everything that is known per subject."""
    with_data = [c for c in curves if c.values]
    if by and (chosen.usual or by == "process"):
        return with_data
    return [c for c in with_data if chosen.takes(c.name)]


def _order(curve: Curve, chosen: Selection) -> tuple[object, ...]:
    """Signals as asked for; of one signal the greatest subject first."""
    return (*chosen.order(curve.name), -(curve.average or 0), curve.subject or "")


def _greatest_first(curves: Sequence[Curve]) -> list[int]:
    """Places of the curves: where not all fit, the greatest of every signal rather than all of the first."""
    rank: Counter[str] = Counter()
    ranked = []
    for place, curve in enumerate(curves):
        ranked.append((rank[curve.name], place))
        rank[curve.name] += 1
    return [place for _, place in sorted(ranked)]


def _row(curve: Curve, time: TimeRange, count: int, full: bool) -> MetricRow:
    unit = unit_of(curve.name, curve.unit)
    values = [shortened(mean, 3) for mean in curve.means(time, count)] if full else None
    peaks = [shortened(peak, 3) for peak in curve.highest(time, count)] if full else None
    return MetricRow(
        signal=clean(curve.name, 64),
        subject=clean(curve.subject, 64) if curve.subject else None,
        unit=unit or None,
        last=shortened(curve.last),
        min=shortened(curve.minimum),
        max=shortened(curve.maximum),
        avg=shortened(curve.average),
        p95=shortened(curve.p95),
        sparkline=sparkline(curve.means(time, SPARKS), 1.0 if unit == "ratio" else None),
        values=values,
        peaks=peaks if peaks != values else None,
    )


def _text_row(row: MetricRow) -> list[str | None]:
    unit = row.unit or ""
    name = row.signal + (f" {quote(row.subject, 64)}" if row.subject else "")
    figures = (row.last, row.min, row.avg, row.p95, row.max)
    return [name, *(measured(v, unit) if v is not None else None for v in figures), row.sparkline]


_HEADLINES = (
    ("cpu_busy_ratio", "CPU"), ("memory_used_ratio", "memory"), ("load_1m", "load"), ("disk_busy_ratio", "disk busy"),
    ("filesystem_used_ratio", "fullest filesystem"),
)  # fmt: skip


def _summary(host: Host, time: TimeRange, curves: Sequence[Curve]) -> str:
    who = f"{quote(host.key, 64)} over {human_seconds(time.seconds)} until {when(time.end_ns)}"
    if not curves:
        return f"{who}: nothing was measured."
    whole = {c.name: c for c in curves if c.subject is None}
    parts = [
        f"{title} {measured(whole[name].average, unit_of(name))} on average, at most "
        f"{measured(whole[name].maximum, unit_of(name))}"
        for name, title in _HEADLINES
        if name in whole
    ]
    if not parts:
        top = curves[0]
        of = f" of {quote(top.subject, 64)}" if top.subject else ""
        unit = unit_of(top.name, top.unit)
        parts = [f"{plural(len(curves), 'curve')}, first {clean(top.name, 64)}{of}: "
                 f"{measured(top.average, unit)} on average, at most {measured(top.maximum, unit)}"]  # fmt: skip
    return f"{who}: {'; '.join(parts)}."


_QUALITY = {
    "untrusted_load": "it never moves; some systems report a load that means nothing",
    "sum_over_disks": 'of several disks together, see by="device"',
    "old_memory_formula": "buffers and cache taken as available, shared memory counted wrongly",
    "estimated_total": "total estimated from the states, a little too large",
    "upper_bound": "not all of the cache can be given back",
    "several_writers": "several senders under one name",
}
"""Marks of a series in words."""


def _quality_notes(curves: Sequence[Curve]) -> list[str]:
    marked: dict[str, list[str]] = {}
    for curve in curves:
        for mark in sorted(curve.quality):
            marked.setdefault(_QUALITY.get(mark, mark.replace("_", " ")), []).append(curve.name)
    return [f"{', '.join(dict.fromkeys(names))}: {words}." for words, names in marked.items()]


def _gap_lines(holes: Sequence[tuple[int, int]]) -> list[str]:
    longest = sorted(sorted(holes, key=lambda g: g[0] - g[1])[:SHOWN_GAPS])
    lines = [f"{when(a)}..{when(b)} ({human_seconds(round((b - a) / NS))})" for a, b in longest]
    return lines + ([f"and {len(holes) - len(longest)} shorter ones"] if len(holes) > len(longest) else [])


def _missing(chosen: Selection, curves: Sequence[Curve], by: str) -> list[str]:
    names = {c.name for c in curves}
    if by and not curves:
        return [f"nothing per {by} in this range"]
    if by:
        return []
    absent = [f for f in chosen.families if not any(n.startswith(FAMILIES[f]) for n in names)]
    absent += [s for s in (*chosen.signals, *chosen.raw) if s not in names]
    return [f"{name}: not measured here in this range" for name in absent]


def _next(host: Host, time: TimeRange, curves: Sequence[Curve], by: str, full: bool) -> str | None:
    span = f"{when(time.start_ns)}..{when(time.end_ns)}"
    if not curves:
        if host.newest_ns is not None and not time.start_ns <= host.newest_ns < time.end_ns:
            last = f"{when(host.newest_ns - 3600 * NS)}..{when(host.newest_ns + NS)}"
            return call("host_metrics", host=host.key, range=last)
        return call("host_status", host=host.key)
    if by == "process" or full:
        return call("find_traces", host=host.key, range=span, order="slowest")
    return call("host_metrics", host=host.key, range=span, by="process")
