"""Five-minute means and maxima of the derived signals: the usual, recurrence, and long charts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from operator import mul, sub
from typing import NamedTuple

from hosts_mcp.signals.devices import DEVICE_METRICS, worst_disk
from hosts_mcp.signals.model import BIN_NS, BoxFacts, Rollup, Samples, SignalSeries
from hosts_mcp.signals.samples import derive
from hosts_mcp.timerange import NS

__all__ = ["BIN_NS", "DEVICE_METRICS", "five_minutes"]

_OF_THE_WORST = ("disk_busy_ratio", "disk_queue", "disk_read_await_seconds", "disk_write_await_seconds")
"""With several disks these are the worst disk's: the sum over disks says nothing about any of them."""


def five_minutes(
    samples: Samples, devices: Sequence[SignalSeries], facts: BoxFacts, start_ns: int, end_ns: int
) -> Rollup:
    """Bins that begin in [start, end), each from the values that end in it; a bin without any is absent.

    The same function for any window: what is derived for one bin does not depend on which others are asked for, as
    long as the samples reach back far enough for the first rate and the load's damping (about five minutes).
    """
    signals = derive(samples, facts)
    clocks = _Clocks(start_ns, end_ns)
    bins = sorted({b for series in signals.values() for b in clocks.of(series)})
    worst = [worst_disk(devices, start, start + BIN_NS) for start in bins]
    mean: dict[str, Sequence[float | None]] = {}
    maximum: dict[str, Sequence[float | None]] = {}
    for name, series in signals.items():
        mean[name], maximum[name] = _folded(series, clocks.of(series), bins)
    if len({s.subject for s in devices if s.name == "disk_busy_ratio"}) > 1:
        for name in _OF_THE_WORST:
            by_disk = {s.subject: _folded(s, clocks.of(s), bins) for s in devices if s.name == name}
            mean[name] = [_at(by_disk, disk, 0, i) for i, disk in enumerate(worst)]
            maximum[name] = [_at(by_disk, disk, 1, i) for i, disk in enumerate(worst)]
    return Rollup(bins, mean, maximum, worst)


class _Bin(NamedTuple):
    """Which values of a series end in a bin, and for how many seconds each of them holds."""

    values: slice
    seconds: Sequence[float]


class _Clocks:
    """The bins that begin in [start, end), of each clock; the signals of one group of columns share theirs."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self._first = start_ns // BIN_NS * BIN_NS
        self._end = -(-end_ns // BIN_NS) * BIN_NS
        self._known: dict[int, tuple[SignalSeries, Mapping[int, _Bin]]] = {}

    def of(self, series: SignalSeries) -> Mapping[int, _Bin]:
        """By the bins' begins; without those in which no value ends."""
        known, found = self._known.get(id(series.ends_ns), (None, {}))
        if known is None or known.starts_ns != series.starts_ns:
            found = self._bins(series.starts_ns, series.ends_ns)
            # Together with the series, which keeps that identity from being another's.
            self._known[id(series.ends_ns)] = series, found
        return found

    def _bins(self, starts_ns: Sequence[int], ends_ns: Sequence[int]) -> dict[int, _Bin]:
        found = {}
        at, stop = bisect_left(ends_ns, self._first), bisect_left(ends_ns, self._end)
        while at < stop:
            begin = ends_ns[at] // BIN_NS * BIN_NS
            behind = bisect_left(ends_ns, begin + BIN_NS, at)
            held = map(sub, ends_ns[at:behind], starts_ns[at:behind])
            found[begin] = _Bin(slice(at, behind), [max(ns, 1) / NS for ns in held])
            at = behind
        return found


def _folded(
    series: SignalSeries, own: Mapping[int, _Bin], bins: Sequence[int]
) -> tuple[list[float | None], list[float | None]]:
    """Mean weighted by the time each value holds, and maximum, of each of `bins`."""
    means: list[float | None] = []
    most: list[float | None] = []
    for bin_ in bins:
        mean, greatest = _told(series.values[own[bin_].values], own[bin_].seconds) if bin_ in own else (None, None)
        means.append(mean)
        most.append(greatest)
    return means, most


def _told(values: Sequence[float | None], seconds: Sequence[float]) -> tuple[float | None, float | None]:
    if None in values:
        pairs = [(value, held) for value, held in zip(values, seconds, strict=True) if value is not None]
        if not pairs:
            return None, None
        values, seconds = zip(*pairs, strict=True)
    known: Sequence[float] = values  # type: ignore[assignment]
    return sum(map(mul, known, seconds)) / sum(seconds), max(known)


def _at(
    by_disk: Mapping[str | None, tuple[list[float | None], list[float | None]]], disk: str | None, which: int, i: int
) -> float | None:
    found = by_disk.get(disk)
    return None if found is None else found[which][i]
