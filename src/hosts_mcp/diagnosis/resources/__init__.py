"""One module per resource, all of the same shape; `RESOURCES` lists them in the order of ties.

A module says which readings it needs (`NEEDS`), which reading carries its sentence (`READING`), how close to
saturation an interval was (`pressure`), how much slower that makes work than is usual here (`slowdown`), what share
of an interval the counters prove busy at most (`ceiling`), and what to do about it (`next_steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from hosts_mcp.diagnosis.model import Interval, Usual
from hosts_mcp.diagnosis.resources import cpu, disk, filesystem, memory, network, steal
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord


class Resource(Protocol):
    NAME: str
    NEEDS: tuple[str, ...]
    """Readings of `model.Interval`; one of them is enough to judge."""
    HINT: str
    """Hint (`hints.HINTS`) when none of them was measured."""
    READING: str
    CONSUMER: str | None
    """Process signal that shows who used it."""

    def pressure(self, iv: Interval, usual: Usual, t: Table) -> float | None:
        """0..1; None when not measured."""
        ...

    def slowdown(self, iv: Interval, usual: Usual, pressure: float, t: Table) -> float:
        """How many times slower than usual here, >= 1."""
        ...

    def ceiling(self, iv: Interval, usual: Usual, t: Table) -> float | None:
        """Share of the interval's seconds it was busy at most, exact from counters; None when no counter says."""
        ...

    def next_steps(self, origin: OriginWord | None) -> tuple[str, ...]: ...


RESOURCES: Mapping[str, Resource] = MappingProxyType(
    {m.NAME: m for m in (memory, cpu, steal, disk, filesystem, network)}
)
