"""Signals of single devices from full-fidelity points: disks, mounts, interfaces and CPUs, by `subject`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hosts_mcp.signals import counting
from hosts_mcp.signals.disk_time import believable
from hosts_mcp.signals.meaning import NAMES, meaning
from hosts_mcp.signals.model import BoxFacts, RawSeries, SignalSeries
from hosts_mcp.signals.rates import Clocks, Rates, at_ends, increases, summed

_RATES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("disk.io", "read"): ("disk_read_bytes_per_second", "By/s"),
    ("disk.io", "write"): ("disk_write_bytes_per_second", "By/s"),
    ("disk.operations", "read"): ("disk_read_ops_per_second", "1/s"),
    ("disk.operations", "write"): ("disk_write_ops_per_second", "1/s"),
    ("disk.io_time", ""): ("disk_busy_ratio", "1"),
    ("disk.weighted_io_time", ""): ("disk_queue", "{operation}"),
    ("network.io", "receive"): ("network_receive_bytes_per_second", "By/s"),
    ("network.io", "transmit"): ("network_transmit_bytes_per_second", "By/s"),
    ("network.packets", "receive"): ("network_receive_packets_per_second", "1/s"),
    ("network.packets", "transmit"): ("network_transmit_packets_per_second", "1/s"),
    ("network.errors", "receive"): ("network_receive_errors_per_second", "1/s"),
    ("network.errors", "transmit"): ("network_transmit_errors_per_second", "1/s"),
    ("network.dropped", "receive"): ("network_receive_drops_per_second", "1/s"),
    ("network.dropped", "transmit"): ("network_transmit_drops_per_second", "1/s"),
}
"""(measure, label) -> the per-second signal and its unit."""
_USED = ((("filesystem.usage"), "filesystem_used_ratio"), (("filesystem.inodes"), "inodes_used_ratio"))
_WAYS = ("read", "write")
_NOT_BUSY = frozenset({"idle", "iowait", "steal"})

DEVICE_MEASURES = frozenset(
    {"disk.io", "disk.operations", "disk.operation_time", "disk.io_time", "disk.weighted_io_time", "network.io",
     "network.packets", "network.errors", "network.dropped", "filesystem.usage", "filesystem.inodes", "cpu.time"}
)  # fmt: skip
DEVICE_METRICS: tuple[str, ...] = tuple(sorted(n for n, found in NAMES.items() if found.measure in DEVICE_MEASURES))
"""Metric names, of any producer, that say something about a single device."""

_Parts = dict[tuple[str, str], RawSeries]


def derive_devices(raw: Sequence[RawSeries], facts: BoxFacts) -> list[SignalSeries]:  # noqa: ARG001 - one shape for all
    """One series per signal and device that counts; a device is told apart by its name, a mount by its mount point."""
    parts: dict[str, dict[str, _Parts]] = defaultdict(lambda: defaultdict(dict))
    scales: dict[tuple[str, str], float] = {}
    for series in raw:
        found = meaning(series.slot)
        if found is None or found.subject is None or found.total or found.measure not in DEVICE_MEASURES:
            continue
        family = found.measure.partition(".")[0]
        if family == "filesystem" and not counting.mount_counts(series.slot):
            continue
        key = (found.measure, found.label)
        scales[key] = found.scale
        of_device = parts[family][found.subject]
        of_device[key] = _joined(of_device[key], series) if key in of_device else series
    disks, links = counting.disks(parts["disk"].keys()), counting.interfaces(parts["network"].keys())
    made: list[SignalSeries] = []
    clocks = Clocks()
    for name in sorted(disks):
        made += _disk(name, parts["disk"][name], scales, clocks)
    for name in sorted(links):
        made += _rated(name, parts["network"][name], scales, clocks).values()
    for name in _mounts(parts["filesystem"]):
        made += _used(name, parts["filesystem"][name])
    for name, cpu in sorted(parts["cpu"].items(), key=lambda item: (len(item[0]), item[0])):
        made += _busy(name, cpu, clocks)
    return made


def _joined(one: RawSeries, other: RawSeries) -> RawSeries:
    """Two spellings of the same series, as after a collector's upgrade; of two sources the collector's own."""
    if one.source != other.source or one.slot.kind != other.slot.kind:
        return other if other.source == "hostmetrics" else one
    points = {
        t: (v, s)
        for series in (other, one)
        for t, v, s in zip(series.times_ns, series.values, series.starts_ns, strict=True)
    }
    times = sorted(points)
    return replace(one, times_ns=times, values=[points[t][0] for t in times], starts_ns=[points[t][1] for t in times])


def _mounts(parts: Mapping[str, _Parts]) -> list[str]:
    """One mount point, the shortest, per device and size: bind mounts and subvolumes repeat the same numbers."""
    kept: dict[tuple[str, float], str] = {}
    for name in sorted(parts, key=lambda name: (len(name), name)):
        space = [s for (measure, _), s in parts[name].items() if measure == "filesystem.usage" and s.values]
        device = space[0].slot.get("system.device", "device") if space else None
        kept.setdefault((device or name, sum(s.values[-1] for s in space)), name)
    return sorted(kept.values())


def worst_disk(devices: Sequence[SignalSeries], start_ns: int, end_ns: int) -> str | None:
    """The disk that was busiest, then longest queued, over the window; None where no disk was measured."""
    score: dict[str, float] = defaultdict(float)
    for series in devices:
        if series.subject is None or series.name not in ("disk_busy_ratio", "disk_queue"):
            continue
        values = [
            v
            for v, end in zip(series.values, series.ends_ns, strict=True)
            if v is not None and start_ns < end <= end_ns
        ]
        if values:
            mean = sum(values) / len(values)
            score[series.subject] += mean if series.name == "disk_busy_ratio" else min(1.0, mean / 10)
    return max(sorted(score), key=lambda name: score[name], default=None)


_Scales = Mapping[tuple[str, str], float]


def _rated(subject: str, parts: _Parts, scales: _Scales, clocks: Clocks) -> dict[str, SignalSeries]:
    made = {}
    for key, (name, unit) in _RATES.items():
        if (series := parts.get(key)) is not None:
            starts, ends, values = increases(series, clocks=clocks)
            scaled = [None if v is None else v * scales[key] for v in values] if scales[key] != 1.0 else values
            made[name] = SignalSeries(name, unit, starts, ends, scaled, subject, series.source)
    return made


def _disk(subject: str, parts: _Parts, scales: _Scales, clocks: Clocks) -> list[SignalSeries]:
    made = _rated(subject, parts, scales, clocks)
    times = {
        way: increases(parts[key], clocks=clocks) for way in _WAYS if (key := ("disk.operation_time", way)) in parts
    }
    if (busy := made.get("disk_busy_ratio")) is not None:
        queue, spent = made.get("disk_queue"), _spent(times, scales)
        shares, queues = believable(
            busy.values,
            [None] * len(busy.values) if queue is None else _at(queue, busy.ends_ns),
            [spent.get(end) for end in busy.ends_ns],
        )
        made["disk_busy_ratio"] = replace(busy, values=shares)
        if queue is not None:
            made["disk_queue"] = replace(queue, starts_ns=busy.starts_ns, ends_ns=busy.ends_ns, values=queues)
    return [*made.values(), *_waits(subject, parts, times, scales, clocks)]


def _at(series: SignalSeries, ends_ns: Sequence[int]) -> Sequence[float | None]:
    return at_ends((series.starts_ns, series.ends_ns, series.values), ends_ns)


def _spent(times: Mapping[str, Rates], scales: _Scales) -> dict[int, float]:
    """End of interval -> seconds spent on operations per second."""
    spent: dict[int, float] = defaultdict(float)
    for way, (_, ends, rates) in times.items():
        for end, rate in zip(ends, rates, strict=True):
            spent[end] += (rate or 0.0) * scales["disk.operation_time", way]
    return spent


def _waits(
    subject: str, parts: _Parts, times: Mapping[str, Rates], scales: _Scales, clocks: Clocks
) -> list[SignalSeries]:
    """Seconds per operation: unknown where there was none."""
    made = []
    for way, (starts, ends, seconds) in times.items():
        if (count := parts.get(("disk.operations", way))) is None:
            continue
        operations = at_ends(increases(count, clocks=clocks), ends)
        scale = scales["disk.operation_time", way]
        values = [scale * s / n if s is not None and n else None for s, n in zip(seconds, operations, strict=True)]
        source = parts["disk.operation_time", way].source
        made.append(SignalSeries(f"disk_{way}_await_seconds", "s", starts, ends, values, subject, source))
    return made


def _used(mount: str, parts: _Parts) -> list[SignalSeries]:
    """The share in use, as `df` counts, and for space the bytes themselves."""
    made = []
    for measure, name in _USED:
        sent = [parts.get((measure, label)) for label in ("used", "free", "avail", "size")]
        anchor = sent[0] or sent[3]
        if anchor is None or sum(s is not None for s in sent) < 2:
            continue
        at = [{} if s is None else dict(zip(s.times_ns, s.values, strict=True)) for s in sent]
        shares = [counting.used_share(*(values.get(time_ns) for values in at)) for time_ns in anchor.times_ns]
        made.append(_gauge(name, "1", anchor, shares, mount))
        if measure == "filesystem.usage":
            bytes_of = (("used", sent[0]), ("free", sent[2] or sent[1]))
            made += [_gauge(f"filesystem_{label}_bytes", "By", s, s.values, mount) for label, s in bytes_of if s]
    return made


def _gauge(name: str, unit: str, of: RawSeries, values: Sequence[float | None], subject: str) -> SignalSeries:
    return SignalSeries(name, unit, [*of.times_ns[:1], *of.times_ns[:-1]], of.times_ns, values, subject, of.source)


def _busy(cpu: str, parts: _Parts, clocks: Clocks) -> list[SignalSeries]:
    """How busy one CPU was: 1 - (idle + iowait + steal) of all its states."""
    rates = {state: increases(series, clamps=True, clocks=clocks) for (_, state), series in parts.items()}
    starts, ends, total = summed(list(rates.values()))
    busy = at_ends(summed([found for state, found in rates.items() if state not in _NOT_BUSY]), ends)
    values = [min(1.0, (b or 0.0) / t) if t else None for b, t in zip(busy, total, strict=True)]
    source = next(series.source for series in reversed(parts.values()))
    return [SignalSeries("cpu_busy_ratio", "1", starts, ends, values, cpu, source)] if ends else []
