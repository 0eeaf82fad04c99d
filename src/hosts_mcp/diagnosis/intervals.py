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
SWAP_BYTES = ("swap_in_bytes_per_second", "swap_out_bytes_per_second")
DISK_BYTES = ("disk_read_bytes_per_second", "disk_write_bytes_per_second")
GAUGES = frozenset({"load", "blocked", "memory", "reclaimable", "swap_used", "filesystem", "inodes", "conntrack"})
JOIN = 0.6
"""A reading belongs to an interval when it ends within this share of its length."""


Column = Sequence[float | None]
"""A signal read at the end of every interval."""


class _Reader:
    """Reads signals at the ends of another signal's intervals."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self._spans = spans
        self._places: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[list[int], list[int]]] = {}
        """By starts and ends of a series, which many have in common."""

    def column(self, series: SignalSeries) -> Column:
        key = (tuple(series.starts_ns), tuple(series.ends_ns))
        if key not in self._places:
            self._places[key] = self._found(*key)
        near, around = self._places[key]
        values = [*series.values, None]  # place -1 is nowhere
        column = [values[i] for i in near]
        if None in column:
            column = [values[i] if v is None else v for v, i in zip(column, around, strict=True)]
        return column

    def _found(self, starts_ns: Sequence[int], ends_ns: Sequence[int]) -> tuple[list[int], list[int]]:
        """For every interval: the place of the reading that ends nearest to its end, and of the one that was going on,
        for where the nearest is unknown."""
        near, around = [], []
        for start, end in self._spans:
            k = bisect_left(ends_ns, end)
            best, place = (end - start) * JOIN, -1
            for i in (k, k - 1):
                if 0 <= i < len(ends_ns) and abs(ends_ns[i] - end) <= best:
                    best, place = abs(ends_ns[i] - end), i
            near.append(place)
            around.append(k if k < len(ends_ns) and starts_ns[k] < (start + end) // 2 else -1)
        return near, around


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
    spans = [(start, end) for start, end in zip(clock.starts_ns, clock.ends_ns, strict=True) if end > start]
    read_at = _Reader(spans).column
    plain = {reading: read_at(box.signals[name]) for reading, name in PLAIN.items() if name in box.signals}
    running, counted, awake = (
        read_at(box.signals[name]) if name in box.signals else None
        for name in ("run_queue", "tasks_running", "cpu_accounted_ratio")
    )
    swaps = [read_at(box.signals[n]) for n in SWAP_BYTES if n in box.signals]
    moved = [read_at(box.signals[n]) for n in DISK_BYTES if n in box.signals]
    disks, links = (
        {device: {s.name: read_at(s) for s in found} for device, found in _by_device(box.devices, prefix).items()}
        for prefix in ("disk_", "network_")
    )
    whole = {n: read_at(s) for n, s in box.signals.items() if n.startswith("disk_")} if not disks else {}
    links = links or {"": {n: read_at(s) for n, s in box.signals.items() if n.startswith("network_")}}
    cores = [read_at(s) for s in box.devices if s.name == "cpu_busy_ratio"]
    untrusted = "untrusted_load" in getattr(box.signals.get("load_1m"), "quality", frozenset())
    out = []
    for k, (start, end) in enumerate(spans):
        read = {reading: column[k] for reading, column in plain.items()}
        gap = (end - start) / NS > t.gap_intervals * interval
        devices = tuple(_disk(name, found, k) for name, found in sorted(disks.items()))
        if devices:
            read |= _worst(devices)
        elif "disk_read_await_seconds" in whole:
            read["disk_await"] = _weighted_await(whole, k)[0]
        if cores:
            read["core_max"] = max((v for core in cores if (v := core[k]) is not None), default=None)
        queue = running[k] if running is not None and not untrusted else None
        read["run_queue"] = _per_cpu(queue, read, cpus)
        if queue is None and counted is not None and cpus and (now := counted[k]) is not None:
            read["run_queue"] = max(0.0, now - 1.0) / cpus  # the kernel's own count; one of them is the collector
        if swaps:
            pages = [v for column in swaps if (v := column[k]) is not None]
            read["swap_pages"] = sum(pages) / box.facts.page_bytes if pages else None
        volumes = [v for column in moved if (v := column[k]) is not None]
        read["disk_bytes"] = sum(volumes) if volumes else None
        read |= _network(links, k, (end - start) / NS, box.facts.link_bytes_per_second)
        slept = _slept(awake[k] if awake is not None else None, (end - start) / NS, t)
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


def _by_device(devices: Sequence[SignalSeries], prefix: str) -> dict[str, list[SignalSeries]]:
    found: dict[str, list[SignalSeries]] = defaultdict(list)
    for series in devices:
        if series.subject is not None and series.name.startswith(prefix):
            found[series.subject].append(series)
    return found


def _weighted_await(columns: Mapping[str, Column], k: int) -> tuple[float | None, float | None]:
    """(mean seconds per operation, operations per second) over both directions."""
    ops = seconds = 0.0
    seen = False
    for direction in ("read", "write"):
        rate = _at(columns, f"disk_{direction}_ops_per_second", k)
        if rate is not None:
            seen = True
            ops += rate
            seconds += rate * (_at(columns, f"disk_{direction}_await_seconds", k) or 0.0)
    if not seen:
        return None, None
    return (seconds / ops if ops >= 0.2 else 0.0), ops


def _at(columns: Mapping[str, Column], name: str, k: int) -> float | None:
    column = columns.get(name)
    return None if column is None else column[k]


def _disk(name: str, columns: Mapping[str, Column], k: int) -> Disk:
    wait, ops = _weighted_await(columns, k)
    return Disk(name, _at(columns, "disk_busy_ratio", k), _at(columns, "disk_queue", k), wait, ops)


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
    links: Mapping[str, Mapping[str, Column]], k: int, seconds: float, speed: float | None
) -> dict[str, float | None]:
    """Worst interface's share of dropped and faulty packets, and the packets it saw in the interval."""
    out: dict[str, float | None] = {"drops": None, "net_errors": None, "packets": None, "bandwidth": None}
    for columns in links.values():
        for direction in ("receive", "transmit"):
            packets = _at(columns, f"network_{direction}_packets_per_second", k)
            if packets is None:
                continue
            out["packets"] = max(out["packets"] or 0.0, packets * seconds)
            for reading, what in (("drops", "drops"), ("net_errors", "errors")):
                if (bad := _at(columns, f"network_{direction}_{what}_per_second", k)) is not None:
                    out[reading] = max(out[reading] or 0.0, bad / max(packets + bad, 1e-9) if bad else 0.0)
            if speed and (volume := _at(columns, f"network_{direction}_bytes_per_second", k)) is not None:
                out["bandwidth"] = max(out["bandwidth"] or 0.0, volume / speed)
    return out


def _slept(accounted: float | None, seconds: float, t: Table) -> float:
    """Seconds in which no CPU time passed at all: the box was suspended or paused."""
    if accounted is None or accounted >= t.suspend_seen:
        return 0.0
    return seconds * (1.0 - accounted)
