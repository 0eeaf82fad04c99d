"""A signal over a range made short: figures, buckets, a sparkline, gaps. Pure functions.

A value holds over its interval (start, end], so every mean is weighted by time. An interval much longer than the
others is a gap: its value is left out, never stretched over the time nobody measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.timerange import NS, TimeRange

GAP_INTERVALS = 3.0
"""An interval longer than this many median intervals is a gap (facts of counters: averaged over, no reading)."""

BARS = "▁▂▃▄▅▆▇█"
GAP_MARK = "·"


class Segment(NamedTuple):
    """One reading: `value` is its mean, `peak` its maximum (the same, unless it comes from a rollup).

    A tuple, because a day of every signal makes hundreds of thousands of them.
    """

    start_ns: int
    end_ns: int
    value: float
    peak: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Readings of one signal inside one range, oldest first."""

    name: str
    segments: tuple[Segment, ...]
    unit: str = ""
    subject: str | None = None
    source: str = ""
    quality: frozenset[str] = field(default_factory=frozenset)

    @property
    def last(self) -> float | None:
        return self.segments[-1].value if self.segments else None

    @property
    def minimum(self) -> float | None:
        return min((s.value for s in self.segments), default=None)

    @property
    def maximum(self) -> float | None:
        return max((s.peak for s in self.segments), default=None)

    @property
    def average(self) -> float | None:
        return _mean([(s.value, s.end_ns - s.start_ns) for s in self.segments])

    @property
    def p95(self) -> float | None:
        """The value that the readings kept below for 95 % of the measured time."""
        total = sum(s.end_ns - s.start_ns for s in self.segments)
        below = 0
        for segment in sorted(self.segments, key=lambda s: s.value):
            below += segment.end_ns - segment.start_ns
            if below >= 0.95 * total:
                return segment.value
        return None

    def buckets(self, time: TimeRange, count: int) -> list[tuple[float | None, float | None]]:
        """(mean, peak) of `count` equal parts of the range; (None, None) where nothing was measured."""
        width = (time.end_ns - time.start_ns) / count
        weighted: list[list[tuple[float, float]]] = [[] for _ in range(count)]
        peaks: list[float | None] = [None] * count
        for segment in self.segments:
            first = max(0, int((segment.start_ns - time.start_ns) // width))
            final = min(count - 1, int((segment.end_ns - 1 - time.start_ns) // width))
            for i in range(first, final + 1):
                edge = time.start_ns + i * width
                overlap = min(segment.end_ns, edge + width) - max(segment.start_ns, edge)
                if overlap > 0:
                    weighted[i].append((segment.value, overlap))
                    peak = peaks[i]
                    peaks[i] = segment.peak if peak is None else max(peak, segment.peak)
        return [(_mean(parts), peak) for parts, peak in zip(weighted, peaks, strict=True)]


def curve(series: SignalSeries, time: TimeRange, peaks: Sequence[float | None] | None = None) -> Curve:
    """The part of a series inside the range, without its gaps. `peaks`: maxima of its intervals (rollup)."""
    usual = _usual_interval(series)
    segments = []
    for i, (start, end, value) in enumerate(zip(series.starts_ns, series.ends_ns, series.values, strict=True)):
        if start == end:
            start -= round(usual) or NS  # the first reading of a gauge holds for one interval
        if value is None or end <= time.start_ns or start >= time.end_ns:
            continue
        if usual and end - start > GAP_INTERVALS * usual:
            continue
        peak = peaks[i] if peaks is not None and peaks[i] is not None else value
        segments.append(Segment(max(start, time.start_ns), min(end, time.end_ns), value, max(value, peak or value)))
    return Curve(
        series.name, tuple(s for s in segments if s.end_ns > s.start_ns), series.unit, series.subject, series.source,
        series.quality,
    )  # fmt: skip


def joined(older: Curve, newer: Curve) -> Curve:
    """Two curves of one signal as one: the older up to where the newer begins."""
    if not newer.segments:
        return older
    border = newer.segments[0].start_ns
    kept = tuple(
        Segment(s.start_ns, min(s.end_ns, border), s.value, s.peak) for s in older.segments if s.start_ns < border
    )
    return Curve(newer.name, kept + newer.segments, newer.unit, newer.subject, newer.source, newer.quality)


def gaps(curves: Iterable[Curve], time: TimeRange) -> list[tuple[int, int]]:
    """Parts of the range in which none of the curves has a reading, longer than three usual intervals."""
    segments = sorted((s for c in curves for s in c.segments), key=lambda s: s.start_ns)
    if not segments:
        return [(time.start_ns, time.end_ns)]
    usual = median(s.end_ns - s.start_ns for s in segments)
    found, reached = [], time.start_ns
    for segment in segments:
        if segment.start_ns - reached > GAP_INTERVALS * usual:
            found.append((reached, segment.start_ns))
        reached = max(reached, segment.end_ns)
    if time.end_ns - reached > GAP_INTERVALS * usual:
        found.append((reached, time.end_ns))
    return found


def sparkline(values: Sequence[float | None], top: float | None = None) -> str:
    """One bar per value, from zero (or the least, when negative) to `top` or the greatest; `·` is not measured."""
    known = [v for v in values if v is not None]
    if not known:
        return GAP_MARK * len(values)
    floor = min(0.0, *known)
    span = max(top or 0.0, *known) - floor
    return "".join(
        GAP_MARK if v is None else BARS[min(len(BARS) - 1, int((v - floor) / span * len(BARS)))] if span else BARS[0]
        for v in values
    )


def _usual_interval(series: SignalSeries) -> float:
    spans = [e - s for s, e in zip(series.starts_ns, series.ends_ns, strict=True) if e > s]
    return median(spans) if len(spans) > 2 else 0.0


def _mean(weighted: Sequence[tuple[float, float]]) -> float | None:
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else None
