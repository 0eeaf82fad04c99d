"""A signal over a range made short: figures, buckets, a sparkline, gaps. Pure functions.

A value holds over its interval (start, end], so every mean is weighted by time. An interval much longer than the
others is a gap: its value is left out, never stretched over the time nobody measured.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from operator import eq, mul, sub
from statistics import median
from typing import NamedTuple

from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.timerange import NS, TimeRange

GAP_INTERVALS = 3.0
"""An interval longer than this many median intervals is a gap (facts of counters: averaged over, no reading)."""

BARS = "▁▂▃▄▅▆▇█"
GAP_MARK = "·"


class Segment(NamedTuple):
    """One reading: `value` is its mean, `peak` its maximum (the same, unless it comes from a rollup)."""

    start_ns: int
    end_ns: int
    value: float
    peak: float


@dataclass(frozen=True)
class Curve:
    """Readings of one signal inside one range, oldest first: columns of equal length, because a week of every signal
    has hundreds of thousands of them. Starts and ends ascend."""

    name: str
    starts_ns: Sequence[int]
    ends_ns: Sequence[int]
    values: Sequence[float]
    peaks: Sequence[float]
    unit: str = ""
    subject: str | None = None
    source: str = ""
    quality: frozenset[str] = field(default_factory=frozenset)

    @property
    def segments(self) -> list[Segment]:
        return list(map(Segment, self.starts_ns, self.ends_ns, self.values, self.peaks))

    @property
    def last(self) -> float | None:
        return self.values[-1] if self.values else None

    @property
    def minimum(self) -> float | None:
        return min(self.values, default=None)

    @property
    def maximum(self) -> float | None:
        return max(self.peaks, default=None)

    @property
    def average(self) -> float | None:
        return sum(self._weighted) / sum(self._widths) if self.values else None

    @property
    def p95(self) -> float | None:
        """The value that the readings kept below for 95 % of the measured time."""
        total = sum(self._widths)
        below = 0
        for value, width in sorted(zip(self.values, self._widths, strict=True)):
            below += width
            if below >= 0.95 * total:
                return value
        return None

    def buckets(self, time: TimeRange, count: int) -> list[tuple[float | None, float | None]]:
        """(mean, peak) of `count` equal parts of the range; (None, None) where nothing was measured."""
        length = time.end_ns - time.start_ns
        edges = [time.start_ns + length * i // count for i in range(count + 1)]
        return [self._between(start, end) for start, end in pairwise(edges)]

    def _between(self, start_ns: int, end_ns: int) -> tuple[float | None, float | None]:
        first, last = bisect_right(self.ends_ns, start_ns), bisect_left(self.starts_ns, end_ns)
        if first >= last:
            return None, None
        # Readings that reach over an edge count for their part; those between are the many.
        inner, behind = first, last
        while inner < last and self.starts_ns[inner] < start_ns:
            inner += 1
        while behind > inner and self.ends_ns[behind - 1] > end_ns:
            behind -= 1
        total, weight = sum(self._weighted[inner:behind]), sum(self._widths[inner:behind])
        for i in (*range(first, inner), *range(behind, last)):
            part = min(self.ends_ns[i], end_ns) - max(self.starts_ns[i], start_ns)
            total += part * self.values[i]
            weight += part
        return total / weight, max(self.peaks[first:last])

    @cached_property
    def _widths(self) -> list[int]:
        return list(map(sub, self.ends_ns, self.starts_ns))

    @cached_property
    def _weighted(self) -> list[float]:
        return list(map(mul, self.values, self._widths))


def curve(series: SignalSeries, time: TimeRange, peaks: Sequence[float | None] | None = None) -> Curve:
    """The part of a series inside the range, without its gaps. `peaks`: maxima of its intervals (rollup)."""
    usual = _usual_interval(series)
    starts: Sequence[int] = series.starts_ns
    if any(map(eq, starts, series.ends_ns)):
        # The first reading of a gauge holds for one interval.
        before = round(usual) or NS
        starts = [s - before if s == e else s for s, e in zip(starts, series.ends_ns, strict=True)]
    longest = GAP_INTERVALS * usual if usual else float("inf")
    first_ns, last_ns = time.start_ns, time.end_ns
    kept = [
        i
        for i, (start, end, value) in enumerate(zip(starts, series.ends_ns, series.values, strict=True))
        if value is not None and start < last_ns and end > first_ns and start < end and end - start <= longest
    ]
    values: list[float] = [series.values[i] for i in kept]  # type: ignore[misc]
    tops = values if peaks is None else [max(v, peaks[i] or v) for i, v in zip(kept, values, strict=True)]
    return Curve(
        series.name,
        [start if (start := starts[i]) > first_ns else first_ns for i in kept],
        [end if (end := series.ends_ns[i]) < last_ns else last_ns for i in kept],
        values, tops, series.unit, series.subject, series.source, series.quality,
    )  # fmt: skip


def joined(older: Curve, newer: Curve) -> Curve:
    """Two curves of one signal as one: the older up to where the newer begins."""
    if not newer.values:
        return older
    border = newer.starts_ns[0]
    part = slice(bisect_left(older.starts_ns, border))
    return Curve(
        newer.name,
        [*older.starts_ns[part], *newer.starts_ns],
        [*(min(end, border) for end in older.ends_ns[part]), *newer.ends_ns],
        [*older.values[part], *newer.values],
        [*older.peaks[part], *newer.peaks],
        newer.unit, newer.subject, newer.source, newer.quality,
    )  # fmt: skip


def gaps(curves: Iterable[Curve], time: TimeRange) -> list[tuple[int, int]]:
    """Parts of the range in which none of the curves has a reading, longer than three usual intervals."""
    # Signals of one group of readings share their times.
    clocks = {(tuple(one.starts_ns), tuple(one.ends_ns)) for one in curves if one.values}
    if not clocks:
        return [(time.start_ns, time.end_ns)]
    usual = median(end - start for starts, ends in clocks for start, end in zip(starts, ends, strict=True))
    for starts, ends in clocks:
        if max(map(sub, (*starts, time.end_ns), (time.start_ns, *ends))) <= GAP_INTERVALS * usual:
            return []
    readings = {reading for starts, ends in clocks for reading in zip(starts, ends, strict=True)}
    found, reached = [], time.start_ns
    for start, end in sorted(readings):
        if start - reached > GAP_INTERVALS * usual:
            found.append((reached, start))
        reached = max(reached, end)
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
    spans = [span for span in map(sub, series.ends_ns, series.starts_ns) if span > 0]
    return median(spans) if len(spans) > 2 else 0.0
