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
from operator import mul, sub
from statistics import median
from typing import Any, NamedTuple

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


class Clock:
    """The intervals (start, end] of readings inside one range, ascending, as columns: a week has thousands of them.

    Signals that are read together share a clock, and with it what follows from the times alone.
    """

    def __init__(self, starts_ns: Sequence[int], ends_ns: Sequence[int]) -> None:
        self.starts_ns, self.ends_ns = starts_ns, ends_ns
        self._parts: dict[tuple[TimeRange, int], list[_Part | None]] = {}

    @cached_property
    def widths(self) -> list[int]:
        return list(map(sub, self.ends_ns, self.starts_ns))

    @cached_property
    def measured_ns(self) -> int:
        return sum(self.widths)

    def parts(self, time: TimeRange, count: int) -> list[_Part | None]:
        """Of `count` equal parts of the range, which readings lie in them; None where nothing was measured."""
        found = self._parts.get((time, count))
        if found is None:
            length = time.end_ns - time.start_ns
            edges = [time.start_ns + length * i // count for i in range(count + 1)]
            found = self._parts[time, count] = [self._between(start, end) for start, end in pairwise(edges)]
        return found

    def _between(self, start_ns: int, end_ns: int) -> _Part | None:
        first, last = bisect_right(self.ends_ns, start_ns), bisect_left(self.starts_ns, end_ns)
        if first >= last:
            return None
        # Readings that reach over an edge count for their part; those between are the many.
        inner, behind = first, last
        while inner < last and self.starts_ns[inner] < start_ns:
            inner += 1
        while behind > inner and self.ends_ns[behind - 1] > end_ns:
            behind -= 1
        edges = [
            (i, min(self.ends_ns[i], end_ns) - max(self.starts_ns[i], start_ns))
            for i in (*range(first, inner), *range(behind, last))
        ]
        weight = sum(self.widths[inner:behind]) + sum(part for _, part in edges)
        return _Part(slice(first, last), slice(inner, behind), edges, weight)


class _Part(NamedTuple):
    readings: slice
    """All that lie in the part, be it partly."""
    whole: slice
    edges: Sequence[tuple[int, int]]
    """Those that reach over an edge, and for how long they lie inside, ns."""
    weight: int


@dataclass(frozen=True)
class Curve:
    """Readings of one signal inside one range, oldest first; `values` and `peaks` by the intervals of the clock."""

    name: str
    clock: Clock
    values: Sequence[float]
    peaks: Sequence[float]
    unit: str = ""
    subject: str | None = None
    source: str = ""
    quality: frozenset[str] = field(default_factory=frozenset)

    @property
    def starts_ns(self) -> Sequence[int]:
        return self.clock.starts_ns

    @property
    def ends_ns(self) -> Sequence[int]:
        return self.clock.ends_ns

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
        return sum(self._weighted) / self.clock.measured_ns if self.values else None

    @property
    def p95(self) -> float | None:
        """The value that the readings kept below for 95 % of the measured time."""
        ascending = sorted(range(len(self.values)), key=self.values.__getitem__)
        total, widths = self.clock.measured_ns, self.clock.widths
        below, found = total, None
        # From above: few readings are left out.
        for at in reversed(ascending):
            if below < 0.95 * total:
                break
            found = self.values[at]
            below -= widths[at]
        return found

    def means(self, time: TimeRange, count: int) -> list[float | None]:
        """Of `count` equal parts of the range; None where nothing was measured."""
        values, weighted = self.values, self._weighted
        found: list[float | None] = []
        for part in self.clock.parts(time, count):
            if part is None:
                found.append(None)
                continue
            total = sum(weighted[part.whole])
            for at, length in part.edges:
                total += length * values[at]
            found.append(total / part.weight)
        return found

    def highest(self, time: TimeRange, count: int) -> list[float | None]:
        """The peak of each of `count` equal parts of the range."""
        parts = self.clock.parts(time, count)
        return [None if part is None else max(self.peaks[part.readings]) for part in parts]

    @cached_property
    def _weighted(self) -> list[float]:
        return list(map(mul, self.values, self.clock.widths))


class _Kept(NamedTuple):
    """Which readings of a clock lie inside the range and are no gap, and their intervals there."""

    places: Sequence[int]
    clock: Clock
    starts_ns: Sequence[int]
    """As the series has them. Kept alive with `ends_ns`, by whose identities a clock is known."""
    ends_ns: Sequence[int]


class Clocks:
    """The clocks of series that are cut to one range, each worked out once."""

    def __init__(self, time: TimeRange) -> None:
        self._time = time
        self._known: dict[int, _Kept] = {}

    def of(self, series: SignalSeries) -> _Kept:
        known = self._known.get(id(series.ends_ns))
        if known is None or known.starts_ns != series.starts_ns:
            known = self._known[id(series.ends_ns)] = self._kept(series)
        return known

    def _kept(self, series: SignalSeries) -> _Kept:
        starts, ends = series.starts_ns, series.ends_ns
        spans = list(map(sub, ends, starts))
        usual = _usual(spans)
        if 0 in spans:
            # The first reading of a gauge holds for one interval.
            before = round(usual) or NS
            starts = [s - before if s == e else s for s, e in zip(starts, ends, strict=True)]
            spans = list(map(sub, ends, starts))
        longest = GAP_INTERVALS * usual if usual else float("inf")
        first_ns, last_ns = self._time.start_ns, self._time.end_ns
        first, last = bisect_right(ends, first_ns), bisect_left(starts, last_ns)
        places: Sequence[int] = range(first, max(first, last))
        if spans and not (min(spans) > 0 and max(spans) <= longest):
            places = [at for at in places if 0 < spans[at] <= longest]
        inside_starts, inside_ends = _picked(starts, places), _picked(ends, places)
        if places:  # only the first and the last reach over an edge
            inside_starts[0], inside_ends[-1] = max(inside_starts[0], first_ns), min(inside_ends[-1], last_ns)
        return _Kept(places, Clock(inside_starts, inside_ends), series.starts_ns, series.ends_ns)


def _picked(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
    if isinstance(places, range):
        return list(values[places.start : places.stop])
    return [values[at] for at in places]


def curve(
    series: SignalSeries, time: TimeRange, peaks: Sequence[float | None] | None = None, clocks: Clocks | None = None
) -> Curve:
    """The part of a series inside the range, without its gaps. `peaks`: maxima of its intervals (rollup)."""
    places, clock, *_ = (clocks or Clocks(time)).of(series)
    if None in series.values:
        known = [(at, place) for at, place in enumerate(places) if series.values[place] is not None]
        if len(known) < len(places):
            places = [place for _, place in known]
            clock = Clock([clock.starts_ns[at] for at, _ in known], [clock.ends_ns[at] for at, _ in known])
    values: list[float] = _picked(series.values, places)
    tops = values
    if peaks is not None:
        tops = [max(value, peak or value) for value, peak in zip(values, _picked(peaks, places), strict=True)]
    return Curve(series.name, clock, values, tops, series.unit, series.subject, series.source, series.quality)


def joined(older: Curve, newer: Curve) -> Curve:
    """Two curves of one signal as one: the older up to where the newer begins."""
    if not newer.values:
        return older
    border = newer.starts_ns[0]
    part = slice(bisect_left(older.starts_ns, border))
    clock = Clock(
        [*older.starts_ns[part], *newer.starts_ns],
        [*(min(end, border) for end in older.ends_ns[part]), *newer.ends_ns],
    )
    values, peaks = [*older.values[part], *newer.values], [*older.peaks[part], *newer.peaks]
    return Curve(newer.name, clock, values, peaks, newer.unit, newer.subject, newer.source, newer.quality)


def gaps(curves: Iterable[Curve], time: TimeRange) -> list[tuple[int, int]]:
    """Parts of the range in which none of the curves has a reading, longer than three usual intervals."""
    clocks = list({id(one.clock): one.clock for one in curves if one.values}.values())
    if not clocks:
        return [(time.start_ns, time.end_ns)]
    usual = median(width for clock in clocks for width in clock.widths)
    for clock in clocks:
        if max(map(sub, (*clock.starts_ns, time.end_ns), (time.start_ns, *clock.ends_ns))) <= GAP_INTERVALS * usual:
            return []
    readings = {reading for clock in clocks for reading in zip(clock.starts_ns, clock.ends_ns, strict=True)}
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


def _usual(spans: Sequence[int]) -> float:
    positive = [span for span in spans if span > 0]
    return median(positive) if len(positive) > 2 else 0.0
