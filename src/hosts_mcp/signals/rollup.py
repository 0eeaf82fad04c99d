"""Five-minute means and maxima of the derived signals: the usual, recurrence, and long charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

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
    bins = sorted({b for s in signals.values() for b in _bins(s.ends_ns, start_ns, end_ns)})
    place = {start: i for i, start in enumerate(bins)}
    worst = [worst_disk(devices, start, start + BIN_NS) for start in bins]
    mean: dict[str, Sequence[float | None]] = {}
    maximum: dict[str, Sequence[float | None]] = {}
    for name, series in signals.items():
        mean[name], maximum[name] = _folded(series, place)
    if len({s.subject for s in devices if s.name == "disk_busy_ratio"}) > 1:
        for name in _OF_THE_WORST:
            by_disk = {s.subject: _folded(s, place) for s in devices if s.name == name}
            mean[name] = [_at(by_disk, disk, 0, i) for i, disk in enumerate(worst)]
            maximum[name] = [_at(by_disk, disk, 1, i) for i, disk in enumerate(worst)]
    return Rollup(bins, mean, maximum, worst)


def _bins(ends_ns: Iterable[int], start_ns: int, end_ns: int) -> set[int]:
    first = start_ns // BIN_NS * BIN_NS
    return {b for end in ends_ns if first <= (b := end // BIN_NS * BIN_NS) < end_ns}


def _folded(series: SignalSeries, place: Mapping[int, int]) -> tuple[list[float | None], list[float | None]]:
    """Mean weighted by the time each value holds, and maximum, per bin."""
    weight: dict[int, float] = defaultdict(float)
    total: dict[int, float] = defaultdict(float)
    most: dict[int, float] = {}
    for start, end, value in zip(series.starts_ns, series.ends_ns, series.values, strict=True):
        i = place.get(end // BIN_NS * BIN_NS)
        if i is None or value is None:
            continue
        seconds = max(end - start, 1) / NS
        weight[i] += seconds
        total[i] += seconds * value
        most[i] = max(value, most.get(i, value))
    bins = range(len(place))
    return [total[i] / weight[i] if i in most else None for i in bins], [most.get(i) for i in bins]


def _at(
    by_disk: Mapping[str | None, tuple[list[float | None], list[float | None]]], disk: str | None, which: int, i: int
) -> float | None:
    found = by_disk.get(disk)
    return None if found is None else found[which][i]
