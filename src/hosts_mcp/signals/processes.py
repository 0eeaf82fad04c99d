"""What each process incarnation used: CPU, resident memory and I/O volume, from its full-fidelity points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hosts_mcp.signals.meaning import meaning
from hosts_mcp.signals.model import BoxFacts, RawSeries, SignalSeries
from hosts_mcp.signals.rates import Clocks, increases, summed

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
    clocks = Clocks()
    for (entity_id, measure), parts in rated.items():
        name, unit = _RATED[measure]
        clamps = measure == "process.cpu.time"
        rates = summed([increases(series, clamps=clamps, clocks=clocks) for series in parts])
        found[entity_id][name] = SignalSeries(name, unit, *rates, source=parts[0].source)
    return dict(found)
