"""What each process incarnation used: CPU, resident memory and I/O volume, from its full-fidelity points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hosts_mcp.signals.meaning import meaning
from hosts_mcp.signals.model import BoxFacts, RawSeries, SignalSeries
from hosts_mcp.signals.rates import increases

_RATED = {
    "process.cpu.time": ("process_cpu_cores", "{cpu}"),
    "process.disk.io": ("process_io_bytes_per_second", "By/s"),
}
"""Measure -> signal: summed over states or directions. `process.disk.io` on Linux is rchar and wchar: volume, which
counts the page cache and sockets and misses direct, asynchronous and mapped I/O."""
_WAITING = frozenset({"wait", "iowait"})


def derive_processes(raw: Sequence[RawSeries], facts: BoxFacts) -> dict[int, dict[str, SignalSeries]]:  # noqa: ARG001
    """Entity id -> its signals. A restart is another entity, so no rate ever crosses one."""
    rated: dict[tuple[int, str], list[RawSeries]] = defaultdict(list)
    found: dict[int, dict[str, SignalSeries]] = defaultdict(dict)
    for series in raw:
        what = meaning(series.slot)
        if what is None:
            continue
        if what.measure == "process.memory":
            starts = [*series.times_ns[:1], *series.times_ns[:-1]]
            found[series.entity_id]["process_memory_bytes"] = SignalSeries(
                "process_memory_bytes", "By", starts, series.times_ns, series.values, source=series.source
            )
        elif what.measure in _RATED and what.label not in _WAITING:
            rated[series.entity_id, what.measure].append(series)
    for (entity_id, measure), parts in rated.items():
        name, unit = _RATED[measure]
        found[entity_id][name] = _summed(name, unit, parts)
    return dict(found)


def _summed(name: str, unit: str, parts: Sequence[RawSeries]) -> SignalSeries:
    total: dict[int, float] = defaultdict(float)
    begins: dict[int, int] = {}
    unknown: set[int] = set()
    for series in parts:
        for start, end, rate in zip(*increases(series, clamps=measure_is_cpu(name)), strict=True):
            begins[end] = start
            if rate is None:
                unknown.add(end)
            else:
                total[end] += rate
    ends = sorted(begins)
    values = [None if end in unknown else total[end] for end in ends]
    return SignalSeries(name, unit, [begins[e] for e in ends], ends, values, source=parts[0].source)


def measure_is_cpu(name: str) -> bool:
    return name == "process_cpu_cores"
