"""What the jobs compute from stored samples: a host's facts, its five-minute signals and its findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from hosts_mcp.hosts import findings
from hosts_mcp.signals.devices import derive_devices
from hosts_mcp.signals.model import BoxFacts, Samples, SignalSeries
from hosts_mcp.signals.rollup import DEVICE_METRICS, five_minutes
from hosts_mcp.signals.samples import derive, facts_from
from hosts_mcp.store.protocol import FindingRow, Host, Rollup, Store
from hosts_mcp.timerange import NS

FACT_ROWS = 64
"""Newest rows per group that a host's interval and core count are taken from."""
FINDING_WINDOW_NS = 1800 * NS
LEAD_NS = 600 * NS
"""Read before a rollup window, so that its first rate and the damped load have a past."""


def facts_of(host: Host) -> BoxFacts:
    """What is known of a host beside its samples."""
    return BoxFacts(cpu_count=host.cpu_count, memory_bytes=host.memory_bytes, os_type=host.os_type)


def interval_ns(samples: Samples) -> int | None:
    """Median spacing of the most frequent group, ns; None before two rows."""
    spacings = [
        median(b - a for a, b in zip(series.times_ns, series.times_ns[1:], strict=False))
        for series in samples.values()
        if len(series.times_ns) > 1
    ]
    return round(min(spacings)) if spacings else None


class Derived:
    """Remembers per host up to where facts and findings were computed, and nothing else."""

    def __init__(self, reader: Store) -> None:
        self._reader = reader
        self._seen: dict[str, dict[int, int]] = {"facts": {}, "findings": {}}

    def _changed(self, what: str) -> list[Host]:
        """Hosts with newer points than when this was last asked for `what`."""
        seen, hosts = self._seen[what], self._reader.hosts()
        changed = [h for h in hosts if h.newest_ns is not None and seen.get(h.id) != h.newest_ns]
        for host in changed:
            seen[host.id] = host.newest_ns or 0
        return changed

    def facts(self) -> dict[int, BoxFacts | int]:
        raise NotImplementedError
