"""What the jobs compute from stored samples: a host's facts and its five-minute signals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median
from typing import Any

from hosts_mcp.signals.catalogue import GROUPS
from hosts_mcp.signals.devices import derive_devices
from hosts_mcp.signals.model import BoxFacts, RawSeries, Rollup, Samples
from hosts_mcp.signals.rollup import BIN_NS, DEVICE_METRICS, five_minutes
from hosts_mcp.signals.samples import facts_from
from hosts_mcp.store.protocol import Host, Store
from hosts_mcp.timerange import NS

FACT_ROWS = 9
"""Newest rows per group that a host's interval and core count are taken from."""
FACTS_AFTER_NS = 60 * NS
"""Facts hardly change: a host that has them is looked at again when so much newer points have come."""
LEAD_NS = 600 * NS
"""Read before a rollup window, so that its first rate and the damped load have a past."""
LEAD_ROWS = 20
"""Enough of that past: a load that never moves is told from so many. The reading before them comes with them."""
ENOUGH_SPACINGS = 2
JITTER_NS = NS // 10


def interval_ns(samples: Samples) -> int | None:
    """Median spacing of the most frequent group, ns, without its jitter; None before three rows of it."""
    spacings = [
        median(b - a for a, b in zip(series.times_ns, series.times_ns[1:], strict=False))
        for series in samples.values()
        if len(series.times_ns) > ENOUGH_SPACINGS
    ]
    if not spacings:
        return None
    least = round(min(spacings))
    # Scrapes come some milliseconds early or late: without this the fact would be another one each time it is asked.
    return least if least < JITTER_NS else (least + JITTER_NS // 2) // JITTER_NS * JITTER_NS


class Derived:
    """Remembers per host up to which point facts were computed, and nothing else."""

    def __init__(self, reader: Store) -> None:
        self._reader = reader
        self._done: dict[int, int] = {}

    def facts(self) -> list[tuple[int, dict[str, Any]]]:
        """(host id, changed facts) of every host that has none yet, or much newer points than when it was looked at."""
        hosts = {h.id: h for h in self._reader.hosts() if self._is_due(h)}
        changed = []
        for host_id, samples in self._reader.newest(hosts, FACT_ROWS).items():
            host = hosts[host_id]
            self._done[host_id] = host.newest_ns or 0
            found = facts_from(samples, BoxFacts(os_type=host.os_type))
            facts = {
                "interval_ns": interval_ns(samples) or host.interval_ns,
                "cpu_count": found.cpu_count or host.cpu_count,
                "memory_bytes": found.memory_bytes or host.memory_bytes,
            }
            if any(getattr(host, name) != value for name, value in facts.items()):
                changed.append((host_id, facts))
        return changed

    def _is_due(self, host: Host) -> bool:
        if host.newest_ns is None:
            return False
        newer_ns = host.newest_ns - self._done.get(host.id, 0)
        return newer_ns >= FACTS_AFTER_NS or (newer_ns != 0 and host.interval_ns is None)

    def rollups(self, bins: Iterable[tuple[int, int, int]]) -> list[tuple[int, list[Rollup]]]:
        """Five-minute signals of (host id, start, end) bins, by host; neighbouring bins are derived together."""
        bins = sorted(bins)
        hosts = {h.id: h for h in self._reader.hosts()} if bins else {}
        found = []
        for host_id, own in groupby(bins, key=lambda b: b[0]):
            windows = _windows([start for _, start, _ in own])
            host = hosts.get(host_id)
            if host is not None:
                found.append((host_id, [self._rollup(host, start, end) for start, end in windows]))
        return found

    def _rollup(self, host: Host, start_ns: int, end_ns: int) -> Rollup:
        facts = host.facts
        near_ns = _near_ns(host, LEAD_ROWS)
        samples = self._reader.samples(host.id, start_ns - near_ns, end_ns, _NEAR)
        samples = {**samples, **self._reader.samples(host.id, start_ns - LEAD_NS, end_ns, _FAR)}
        raw = self._disks(host, start_ns, end_ns) if "disk" in samples else []
        return five_minutes(samples, derive_devices(raw, facts), facts, start_ns, end_ns)

    def _disks(self, host: Host, start_ns: int, end_ns: int) -> list[RawSeries]:
        """With a reading before the window of each series, for its first rate."""
        near_ns = _near_ns(host, 3)
        raw = self._reader.points(host.id, _DISK_METRICS, start_ns - near_ns, end_ns)
        if near_ns < LEAD_NS and any(series.times_ns[0] >= start_ns for series in raw):
            return self._reader.points(host.id, _DISK_METRICS, start_ns - LEAD_NS, end_ns)
        return raw


def _near_ns(host: Host, readings: int) -> int:
    """So far back there are so many readings of a host that sends as usual."""
    return min(LEAD_NS, max(60 * NS, readings * host.interval_ns)) if host.interval_ns else LEAD_NS


_FAR = frozenset({"memory"})
"""The longer they are looked at, the better their total is estimated where it is not sent."""
_NEAR = frozenset(GROUPS) - _FAR
_DISK_METRICS = tuple(name for name in DEVICE_METRICS if "disk" in name)


def _windows(starts_ns: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted bin starts -> [start, end) of runs of neighbouring bins."""
    windows: list[tuple[int, int]] = []
    for start in starts_ns:
        if windows and windows[-1][1] == start:
            windows[-1] = (windows[-1][0], start + BIN_NS)
        else:
            windows.append((start, start + BIN_NS))
    return windows
