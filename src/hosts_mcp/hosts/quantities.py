"""What the findings judge, computed reading by reading from derived signals and aligned to one of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.store.protocol import Host
from hosts_mcp.timerange import NS

Column = list[float | None]

PAGE_BYTES = 4096
FILLING_NS, FILLING_LEAST_NS = 50 * 60 * NS, 20 * 60 * NS
"""How far back the rate of filling looks, and what it needs at least."""
NEVER_HOURS = float("inf")
SLOW_SECONDS = 0.008
"""Below this a disk is not slow, whatever its usual."""
ENOUGH_GAPS = 5
_TOLERANCE = 1.5
"""A reading of another signal counts for this one if it ended no longer than so many intervals earlier."""


class Aligned:
    """Signals of one subject on the readings of its anchor."""

    def __init__(self, series: Mapping[str, SignalSeries], anchor: SignalSeries, host: Host) -> None:
        self._series = series
        self._computed: dict[str, Column] = {}
        self.ends_ns: Sequence[int] = anchor.ends_ns
        self.host = host
        self.interval_ns = _interval_ns(anchor.ends_ns, host.interval_ns)

    def signal(self, name: str) -> Column:
        """Its newest value at each reading of the anchor; None where it has none near enough."""
        series = self._series.get(name)
        if series is None:
            return [None] * len(self.ends_ns)
        if series.ends_ns is self.ends_ns:
            return list(series.values)
        half, oldest = self.interval_ns // 2, round(_TOLERANCE * self.interval_ns)
        column: Column = []
        for end in self.ends_ns:
            position = bisect_right(series.ends_ns, end + half) - 1
            near = position >= 0 and end - series.ends_ns[position] <= oldest
            column.append(series.values[position] if near else None)
        return column

    def quantity(self, name: str) -> Column:
        """A row of `QUANTITIES`, or the signal of that name. Computed once; do not change it."""
        if name not in self._computed:
            compute = QUANTITIES.get(name)
            self._computed[name] = compute(self) if compute is not None else self.signal(name)
        return self._computed[name]


def _interval_ns(ends_ns: Sequence[int], known_ns: int | None) -> int:
    """The host's interval, or the longer one of these readings, once there are enough to tell it."""
    gaps = [b - a for a, b in pairwise(ends_ns)]
    if known_ns is not None and len(gaps) < ENOUGH_GAPS:
        return known_ns
    return max(known_ns or 0, round(median(gaps)) if gaps else 0) or 60 * NS


def _combined(columns: Sequence[Column], combine: Callable[[list[float]], float]) -> Column:
    """Over the known values of each reading; None where none is known."""
    rows = ([v for v in row if v is not None] for row in zip(*columns, strict=True))
    return [combine(row) if row else None for row in rows]


def _ratio(above: Column, below: Column) -> Column:
    return [None if a is None or b is None or b <= 0 else a / b for a, b in zip(above, below, strict=True)]


def _both_ways(aligned: Aligned, what: str) -> Column:
    return _combined([aligned.signal(f"network_{way}_{what}_per_second") for way in ("receive", "transmit")], sum)


def _over_usual(column: Column) -> Column:
    """Times its own median over the window; a median of zero makes anything above it infinite."""
    known = [v for v in column if v is not None]
    usual = median(known) if known else 0.0
    return [None if v is None else v / usual if usual > 0 else (NEVER_HOURS if v > 0 else 0.0) for v in column]


def _per_cpu(name: str) -> Callable[[Aligned], Column]:
    def compute(aligned: Aligned) -> Column:
        if aligned.host.cpu_count:
            return [None if v is None else v / aligned.host.cpu_count for v in aligned.signal(name)]
        return _ratio(aligned.signal(name), aligned.signal("cpu_count"))

    return compute


def _await(aligned: Aligned) -> Column:
    return _combined([aligned.signal(f"disk_{way}_await_seconds") for way in ("read", "write")], max)


def _await_over_usual(aligned: Aligned) -> Column:
    waits = _await(aligned)
    return [
        None if wait is None else over if wait > SLOW_SECONDS else 0.0
        for wait, over in zip(waits, _over_usual(waits), strict=True)
    ]


def _hours_to_full(aligned: Aligned) -> Column:
    """At the rate of the last 50 minutes; infinite while it does not fill, None before 20 minutes are known."""
    used, ends = aligned.signal("filesystem_used_ratio"), aligned.ends_ns
    column: Column = []
    first = 0
    for position, end in enumerate(ends):
        while end - ends[first] > FILLING_NS or (used[first] is None and first < position):
            first += 1
        now, then, passed = used[position], used[first], end - ends[first]
        if now is None or then is None or passed < FILLING_LEAST_NS:
            column.append(None)
        elif now <= then:
            column.append(NEVER_HOURS)
        else:
            column.append((1 - now) / (now - then) * passed / (3600 * NS))
    return column


def _drop_ratio(aligned: Aligned) -> Column:
    return _ratio(_both_ways(aligned, "drops"), _both_ways(aligned, "packets"))


def _times(factor: float, compute: Callable[[Aligned], Column]) -> Callable[[Aligned], Column]:
    return lambda aligned: [None if v is None else v * factor for v in compute(aligned)]


QUANTITIES: Mapping[str, Callable[[Aligned], Column]] = {
    "run_queue_per_cpu": _per_cpu("run_queue"),
    "load_per_cpu": _per_cpu("load_1m"),
    "await_seconds": _await,
    "await_over_usual": _await_over_usual,
    "hours_to_full": _hours_to_full,
    "swap_pages_per_second": lambda a: [
        None if v is None else v / PAGE_BYTES
        for v in _combined([a.signal(f"swap_{way}_bytes_per_second") for way in ("in", "out")], sum)
    ],
    "drop_ratio": _drop_ratio,
    "drops_over_usual": lambda a: _over_usual(_drop_ratio(a)),
    "packets_in_span": _times(300, lambda a: _both_ways(a, "packets")),
    "error_ratio": lambda a: _ratio(_both_ways(a, "errors"), _both_ways(a, "packets")),
    "errors_in_span": _times(600, lambda a: _both_ways(a, "errors")),
}
"""Quantities that are no derived signal themselves; every other name is looked up as a signal."""

ANCHORS: Mapping[str, tuple[str, ...]] = {
    "swap_pages_per_second": ("swap_in_bytes_per_second", "swap_out_bytes_per_second"),
    "drop_ratio": ("network_receive_drops_per_second", "network_transmit_drops_per_second"),
    "error_ratio": ("network_receive_errors_per_second", "network_transmit_errors_per_second"),
}
"""Anchor that is no signal -> the signals of which the first present one gives the readings."""
