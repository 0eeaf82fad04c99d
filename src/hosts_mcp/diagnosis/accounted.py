"""How much of the time that passed the CPUs saw pass: below one half, the box slept or was paused in between."""

from __future__ import annotations

from hosts_mcp.signals.model import BoxFacts, Samples, SignalSeries
from hosts_mcp.timerange import NS

STATES = ("user", "system", "nice", "idle", "iowait", "irq", "steal")


def accounted(samples: Samples, facts: BoxFacts) -> SignalSeries | None:
    """Change of the CPU seconds of all states over CPUs times elapsed seconds; None without those counters."""
    series = samples.get("cpu")
    if series is None or not facts.cpu_count or "cpu_idle_seconds" not in series.columns:
        return None
    columns = [series.columns[f"cpu_{s}_seconds"] for s in STATES if f"cpu_{s}_seconds" in series.columns]
    totals = [sum(c[k] or 0.0 for c in columns) for k in range(len(series.times_ns))]
    values: list[float | None] = []
    for k in range(1, len(totals)):
        elapsed = (series.times_ns[k] - series.times_ns[k - 1]) / NS
        moved = totals[k] - totals[k - 1]
        same = series.sets[k] == series.sets[k - 1] and moved >= 0 and elapsed > 0
        values.append(moved / (facts.cpu_count * elapsed) if same else None)
    return SignalSeries("cpu_accounted_ratio", "1", series.times_ns[:-1], series.times_ns[1:], values)
