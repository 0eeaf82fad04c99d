"""Slots, groups and raw series written by hand, and wide rows made from them as the store makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hosts_mcp.otlp.batch import Kind, Slot
from hosts_mcp.signals.catalogue import COLUMNS
from hosts_mcp.signals.model import TICK_NS, GroupSeries, RawSeries, SampleRow, Samples
from hosts_mcp.signals.rows import row

NS = 1_000_000_000
T0 = 1_800_000_000 * NS
BOOT = T0 - 86_400 * NS
MIB = 2**20

Reading = tuple[Slot, int, int, float]
"""Slot, time, start, value: what `rows.row` takes."""


def slot(metric: str, kind: Kind = "counter", **attributes: Any) -> Slot:
    """Dots of an attribute's key are written as two underscores."""
    return Slot(metric, kind, tuple(sorted((key.replace("__", "."), value) for key, value in attributes.items())))


def readings(time_ns: int, values: Mapping[Slot, float], start_ns: int = BOOT) -> list[Reading]:
    return [(s, time_ns, start_ns, v) for s, v in values.items()]


def one_row(values: Mapping[Slot, float], source: str = "hostmetrics") -> SampleRow:
    return row(readings(T0, values), source, T0 // TICK_NS)


def samples(points: Iterable[Reading], source: str = "hostmetrics") -> Samples:
    """Points of any ticks -> the groups of their wide rows, as a reader gets them."""
    ticks: dict[int, list[Reading]] = {}
    for point in points:
        ticks.setdefault(point[1] // TICK_NS, []).append(point)
    rows = [row(ticks[tick], source, tick) for tick in sorted(ticks)]
    return {group: _series(group, source, [r for r in rows if group in r.times]) for r in rows for group in r.times}


def _series(group: str, source: str, rows: Sequence[SampleRow]) -> GroupSeries:
    names = [c.name for c in COLUMNS if c.group == group and any(c.name in r.values for r in rows)]
    columns = {name: [r.values.get(name) for r in rows] for name in names}
    times, starts = [r.times[group] for r in rows], [r.starts[group] for r in rows]
    return GroupSeries(group, source, times, columns, starts, [r.sets[group] for r in rows])


def group(name: str, seconds: Sequence[float], starts: Sequence[int] | int = BOOT, source: str = "hostmetrics",
          sets: Sequence[int] | None = None, **columns: Sequence[float | None]) -> Samples:  # fmt: skip
    """One group by hand; times are seconds after T0."""
    times = [T0 + round(s * NS) for s in seconds]
    begun = [starts] * len(times) if isinstance(starts, int) else list(starts)
    return {name: GroupSeries(name, source, times, columns, begun, sets or [1] * len(times))}


def raw(of: Slot, seconds: Sequence[float], values: Sequence[float], starts: Sequence[int] | int = BOOT,
        source: str = "hostmetrics", entity_id: int = 1) -> RawSeries:  # fmt: skip
    times = [T0 + round(s * NS) for s in seconds]
    begun = [starts] * len(times) if isinstance(starts, int) else list(starts)
    return RawSeries(entity_id, of, times, values, begun, source)


def known(values: Sequence[float | None]) -> list[float | None]:
    return [None if v is None else round(v, 6) for v in values]
