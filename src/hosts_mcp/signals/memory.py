"""Memory: what is the total, and what is available, under both definitions of `used` on Linux.

Collectors before v0.142 send used = total - free - buffers - cached, later ones used = total - available, so that the
states no longer add up (contrib#42223, contrib#45413). Slab is never added: it is inside `cached` or `used`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hosts_mcp.signals.model import BoxFacts, GroupSeries

_ADDITIVE = ("memory_used_bytes", "memory_free_bytes", "memory_buffers_bytes", "memory_cached_bytes")
_SAME = 0.001
"""Sums of the states that differ by less of themselves are one total (page counts move a little while being read)."""

Column = list[float | None]


@dataclass(frozen=True, slots=True)
class Memory:
    total: Column
    available: Column
    quality: frozenset[str]


def memory(series: GroupSeries, facts: BoxFacts) -> Memory:
    """Total and available bytes at each reading; marks `estimated_total`, `old_memory_formula`."""
    nothing = (None,) * len(series.times_ns)

    def column(name: str) -> Sequence[float | None]:
        return series.columns.get(name, nothing)

    marks: set[str] = set()
    sums = [_sum(parts) for parts in zip(*(column(name) for name in _ADDITIVE), strict=True)]
    total = _total(series, facts, sums, marks)
    sent, used, share = (column(f"memory_{n}") for n in ("available_bytes", "used_bytes", "available_utilization"))
    available: Column = []
    for whole, left, taken, free_share, states in zip(total, sent, used, share, sums, strict=True):
        if left is not None or whole is None:
            available.append(left)
        elif taken is not None:
            available.append(max(0.0, whole - taken))
            if "memory_cached_bytes" in series.columns and _is_sum(states, whole):
                # What is cached can mostly be reclaimed, shared memory cannot: this is the most there can be.
                marks.add("old_memory_formula")
        else:
            available.append(None if free_share is None else free_share * whole)
    return Memory(total, available, frozenset(marks))


def used_shares(series: GroupSeries, found: Memory) -> Column:
    """1 - available/total, else what the sender itself calls used; values outside 0..1.1 are no values."""
    shares: Column = []
    for i in range(len(series.times_ns)):
        whole, free = found.total[i], found.available[i]
        share = 1 - free / whole if whole and free is not None else _sent_share(series, i)
        shares.append(None if share is None or not -0.001 <= share <= 1.1 else min(1.0, max(0.0, share)))
    return shares


def reclaimable(series: GroupSeries, found: Memory) -> Column:
    """Available and not free, bytes: page cache. With `old_memory_formula` shared memory is counted too."""
    free = series.columns.get("memory_free_bytes")
    if free is None:
        return [None] * len(series.times_ns)
    return [None if a is None or f is None else max(0.0, a - f) for a, f in zip(found.available, free, strict=True)]


def _sent_share(series: GroupSeries, i: int) -> float | None:
    def at(name: str) -> float | None:
        values = series.columns.get(name)
        return None if values is None else values[i]

    if (available := at("memory_available_utilization")) is not None:
        return 1 - available
    if (used := at("memory_used_utilization")) is not None:
        return used
    free = at("memory_free_utilization")
    return None if free is None else 1 - free


def _total(series: GroupSeries, facts: BoxFacts, sums: Sequence[float | None], marks: set[str]) -> Column:
    count = len(series.times_ns)
    sent = series.columns.get("memory_total_bytes")
    if sent is not None and any(v is not None for v in sent):
        return _filled(sent)
    if facts.memory_bytes:
        return [float(facts.memory_bytes)] * count
    used, share = series.columns.get("memory_used_bytes"), series.columns.get("memory_used_utilization")
    if used is not None and share is not None:
        derived = [u / s if u is not None and s else None for u, s in zip(used, share, strict=True)]
        if any(v is not None for v in derived):
            return _filled(derived)
    working, available = series.columns.get("memory_working_set_bytes"), series.columns.get("memory_available_bytes")
    if working is not None and available is not None:
        # Kubelet: available is the capacity less the working set.
        return [None if w is None or a is None else w + a for w, a in zip(working, available, strict=True)]
    if "memory_cached_bytes" not in series.columns:
        names = [n for n in ("memory_used_bytes", "memory_free_bytes", "memory_inactive_bytes") if n in series.columns]
        if len(names) > 1:
            return [_sum([series.columns[n][i] for n in names]) for i in range(count)]
        return [None] * count
    known = [v for v in sums if v is not None]
    if known and max(known) - min(known) > _SAME * max(known):
        # The states overlap by the shared memory: the smallest sum seen is nearest to the truth.
        marks.add("estimated_total")
        return [min(known)] * count
    return list(sums)


def _is_sum(sum_: float | None, total: float) -> bool:
    return sum_ is not None and abs(sum_ - total) <= _SAME * total


def _sum(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def _filled(values: Sequence[float | None]) -> Column:
    """A total does not change between readings: where one is missing, the nearest before it, else the first."""
    first = next(v for v in values if v is not None)
    filled: Column = []
    for value in values:
        filled.append(value if value is not None else (filled[-1] if filled else first))
    return filled
