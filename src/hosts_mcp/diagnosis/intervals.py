"""One record per scrape interval: a host's signals joined, with gaps marked and devices picked."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence

from hosts_mcp.diagnosis.model import Box, Disk, Interval
from hosts_mcp.diagnosis.stats import median
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.timerange import NS

CLOCKS = ("cpu_busy_ratio", "memory_used_ratio", "disk_busy_ratio", "load_1m", "network_receive_packets_per_second")
"""The first of these that was measured sets the intervals; the others are joined to it."""
PLAIN = {
    "busy": "cpu_busy_ratio",
    "steal": "cpu_steal_ratio",
    "iowait": "cpu_iowait_ratio",
    "load": "load_1m",
    "blocked": "tasks_blocked",
    "memory": "memory_used_ratio",
    "reclaimable": "memory_reclaimable_bytes",
    "swap_used": "swap_used_ratio",
    "major_faults": "major_faults_per_second",
    "disk_busy": "disk_busy_ratio",
    "disk_queue": "disk_queue",
    "filesystem": "filesystem_used_ratio",
    "inodes": "inodes_used_ratio",
    "conntrack": "conntrack_used_ratio",
    "psi_cpu": "psi_cpu_some_ratio",
    "psi_memory": "psi_memory_some_ratio",
    "psi_io": "psi_io_some_ratio",
    "oom_kills": "oom_kills",
}
"""Reading -> the derived signal it is (facts on OpenTelemetry's canonical signals)."""
DISK_BYTES = ("disk_read_bytes_per_second", "disk_write_bytes_per_second")
GAUGES = frozenset({"load", "blocked", "memory", "reclaimable", "swap_used", "filesystem", "inodes", "conntrack"})
JOIN = 0.6
"""A reading belongs to an interval when it ends within this share of its length."""


class Track:
    """One signal, read at the ends of another signal's intervals."""

    def __init__(self, series: SignalSeries) -> None:
        self.ends, self.starts, self.values = series.ends_ns, series.starts_ns, series.values

    def at(self, start: int, end: int) -> float | None:
        k = bisect_left(self.ends, end)
        best, value = (end - start) * JOIN, None
        for i in (k, k - 1):
            if 0 <= i < len(self.ends) and abs(self.ends[i] - end) <= best:
                best, value = abs(self.ends[i] - end), self.values[i]
        if value is None and k < len(self.ends) and self.starts[k] < (start + end) // 2:
            value = self.values[k]
        return value


def interval_seconds(box: Box) -> float:
    """Usual spacing of the metrics around the trace, else what the inventory says, else a minute."""
    clock = _clock(box)
    if clock is not None and len(clock.ends_ns) >= 2:
        spacings = [(e - s) / NS for s, e in zip(clock.starts_ns, clock.ends_ns, strict=True) if e > s]
        if spacings:
            return median(spacings)
    return (box.interval_ns or 60 * NS) / NS


def join(box: Box, origin_ns: int, interval: float, cpus: int | None, t: Table) -> tuple[Interval, ...]:
    """The box's intervals in order; empty when it sent nothing around the trace."""
    clock = _clock(box)
    if clock is None:
        return ()
    tracks = {reading: Track(box.signals[name]) for reading, name in PLAIN.items() if name in box.signals}
    running = Track(box.signals["run_queue"]) if "run_queue" in box.signals else None
    counted = Track(box.signals["tasks_running"]) if "tasks_running" in box.signals else None
    swaps = [
        Track(box.signals[n]) for n in ("swap_in_bytes_per_second", "swap_out_bytes_per_second") if n in box.signals
    ]
    moved = [Track(box.signals[n]) for n in DISK_BYTES if n in box.signals]
    awake = Track(box.signals["cpu_accounted_ratio"]) if "cpu_accounted_ratio" in box.signals else None
    disks, links = _by_device(box.devices, "disk_"), _by_device(box.devices, "network_")
    cores = [Track(s) for s in box.devices if s.name == "cpu_busy_ratio"]
    untrusted = "untrusted_load" in getattr(box.signals.get("load_1m"), "quality", frozenset())
    out = []
    for start, end in zip(clock.starts_ns, clock.ends_ns, strict=True):
        if end <= start:
            continue
        read = {reading: track.at(start, end) for reading, track in tracks.items()}
        gap = (end - start) / NS > t.gap_intervals * interval
        devices = tuple(_disk(name, found, start, end) for name, found in sorted(disks.items()))
        if devices:
            read |= _worst(devices)
        elif "disk_read_await_seconds" in box.signals:
            read["disk_await"] = _whole_await(box.signals, start, end)
        if cores:
            read["core_max"] = max((v for v in (core.at(start, end) for core in cores) if v is not None), default=None)
        queue = running.at(start, end) if running and not untrusted else None
        read["run_queue"] = _per_cpu(queue, read, cpus)
        if queue is None and counted is not None and cpus and (now := counted.at(start, end)) is not None:
            read["run_queue"] = max(0.0, now - 1.0) / cpus  # the kernel's own count; one of them is the collector
        if swaps:
            pages = [v for v in (track.at(start, end) for track in swaps) if v is not None]
            read["swap_pages"] = sum(pages) / box.facts.page_bytes if pages else None
        volumes = [v for v in (track.at(start, end) for track in moved) if v is not None]
        read["disk_bytes"] = sum(volumes) if volumes else None
        read |= _network(links or {"": _whole(box.signals, "network_")}, start, end, box.facts.link_bytes_per_second)
        slept = _slept(awake.at(start, end) if awake else None, (end - start) / NS, t)
        if gap and not slept:
            read = {k: None if k in GAUGES or k == "run_queue" else v for k, v in read.items()}
        out.append(
            Interval(
                (start - origin_ns) / NS,
                (end - origin_ns) / NS,
                gap=gap and not slept,
                slept=slept,
                cpus=cpus,
                disks=devices,
                **read,
            )
        )
    return tuple(out)


def _clock(box: Box) -> SignalSeries | None:
    own = box.workload.signals if box.workload is not None else {}
    listed = [box.signals[n] for n in CLOCKS if n in box.signals] + [own[n] for n in sorted(own)]
    return next((series for series in listed if len(series.ends_ns)), None)


def _by_device(devices: Sequence[SignalSeries], prefix: str) -> dict[str, dict[str, Track]]:
    found: dict[str, dict[str, Track]] = defaultdict(dict)
    for series in devices:
        if series.subject is not None and series.name.startswith(prefix):
            found[series.subject][series.name] = Track(series)
    return found


def _whole(signals: Mapping[str, SignalSeries], prefix: str) -> dict[str, Track]:
    return {name: Track(series) for name, series in signals.items() if name.startswith(prefix)}


def _weighted_await(read: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    """(mean seconds per operation, operations per second) over both directions."""
    ops = seconds = 0.0
    seen = False
    for direction in ("read", "write"):
        rate = read.get(f"disk_{direction}_ops_per_second")
        if rate is not None:
            seen = True
            ops += rate
            seconds += rate * (read.get(f"disk_{direction}_await_seconds") or 0.0)
    if not seen:
        return None, None
    return (seconds / ops if ops >= 0.2 else 0.0), ops


def _disk(name: str, tracks: Mapping[str, Track], start: int, end: int) -> Disk:
    read = {n: track.at(start, end) for n, track in tracks.items()}
    wait, ops = _weighted_await(read)
    return Disk(name, read.get("disk_busy_ratio"), read.get("disk_queue"), wait, ops)


def _whole_await(signals: Mapping[str, SignalSeries], start: int, end: int) -> float | None:
    return _weighted_await({n: track.at(start, end) for n, track in _whole(signals, "disk_").items()})[0]


def _worst(disks: Sequence[Disk]) -> dict[str, float | None]:
    """The busiest whole disk speaks for the box; an average over disks would hide it."""
    worst = max(disks, key=lambda d: ((d.busy or 0.0) + min(1.0, (d.queue or 0.0) / 10.0), d.name))
    return {"disk_busy": worst.busy, "disk_queue": worst.queue, "disk_await": worst.await_seconds}


def _per_cpu(queue: float | None, read: Mapping[str, float | None], cpus: int | None) -> float | None:
    """Runnable tasks per CPU. Without a count of blocked tasks the load's share of waiting I/O is taken off."""
    if queue is None or not cpus:
        return None
    if read.get("blocked") is None and (waiting := read.get("disk_queue") or 0.0) > 1.0:
        queue -= min(queue, waiting)
    return max(0.0, queue) / cpus


def _network(
    links: Mapping[str, Mapping[str, Track]], start: int, end: int, speed: float | None
) -> dict[str, float | None]:
    """Worst interface's share of dropped and faulty packets, and the packets it saw in the interval."""
    out: dict[str, float | None] = {"drops": None, "net_errors": None, "packets": None, "bandwidth": None}
    seconds = (end - start) / NS
    for tracks in links.values():
        for direction in ("receive", "transmit"):
            rates = {
                what: tracks[name].at(start, end)
                for what in ("packets", "drops", "errors", "bytes")
                if (name := f"network_{direction}_{what}_per_second") in tracks
            }
            packets = rates.get("packets")
            if packets is None:
                continue
            out["packets"] = max(out["packets"] or 0.0, packets * seconds)
            for reading, what in (("drops", "drops"), ("net_errors", "errors")):
                if (bad := rates.get(what)) is not None:
                    out[reading] = max(out[reading] or 0.0, bad / max(packets + bad, 1e-9) if bad else 0.0)
            if speed and (volume := rates.get("bytes")) is not None:
                out["bandwidth"] = max(out["bandwidth"] or 0.0, volume / speed)
    return out


def _slept(accounted: float | None, seconds: float, t: Table) -> float:
    """Seconds in which no CPU time passed at all: the box was suspended or paused."""
    if accounted is None or accounted >= t.suspend_seen:
        return 0.0
    return seconds * (1.0 - accounted)
