"""The plain shapes between stored counters and answers: groups of the wide row, raw series, derived signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hosts_mcp.otlp.batch import Slot

BIN_NS = 300_000_000_000
"""Length of a bin of the five-minute rollup."""

TICK_NS = 500_000_000
"""Points of one host and source that fall into the same half second of their own clock form one wide row."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One wide row: the canonical columns of one host, source and tick, counters still cumulative.

    A pure function of the *set* of points in that tick (newest point of each slot wins), never of their order.
    Absent is absent from `values`, never 0. `values` is keyed by column name of `signals.catalogue.COLUMNS`;
    `times`, `starts` and `sets` by group name.
    """

    source: str
    tick: int
    """point time // TICK_NS"""
    values: Mapping[str, float]
    times: Mapping[str, int]
    """Group -> its newest point's time, ns."""
    starts: Mapping[str, int]
    """Group -> start time of its counters (boot time for hostmetrics), 0 when the sender gave none."""
    sets: Mapping[str, int]
    """Group -> fingerprint (63 bit) of the slots that were summed: no rate across a change."""


class Frame(NamedTuple):
    """What a wide row is of, beside its numbers: hardly ever another one from scrape to scrape."""

    groups: tuple[str, ...]
    """Ascending."""
    sets: tuple[int, ...]
    """Of each group, as in `SampleRow`."""
    columns: tuple[str, ...]


class FramedRow(NamedTuple):
    """A `SampleRow` as numbers in the order of its frame."""

    source: str
    tick: int
    frame: Frame
    times: Sequence[int]
    starts: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class GroupSeries:
    """One group of columns of one host over time, from one source. All sequences have the same length."""

    group: str
    source: str
    times_ns: Sequence[int]
    columns: Mapping[str, Sequence[float | None]]
    starts_ns: Sequence[int]
    sets: Sequence[int]


Samples = Mapping[str, GroupSeries]
"""Group name -> its series from the best source; a group that nobody sent is absent."""


@dataclass(frozen=True, slots=True)
class RawSeries:
    """Full-fidelity points of one slot of one entity (the host, a process incarnation, a container), by time."""

    entity_id: int
    slot: Slot
    times_ns: Sequence[int]
    values: Sequence[float]
    starts_ns: Sequence[int]
    source: str = "hostmetrics"


@dataclass(frozen=True, slots=True)
class BoxFacts:
    """What turns counters into ratios and is not in every row. None means unknown, never a default."""

    cpu_count: int | None = None
    memory_bytes: int | None = None
    os_type: str | None = None
    """linux, windows, darwin, …; None is treated as linux where a formula differs"""
    page_bytes: int = 4096
    link_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class SignalSeries:
    """A derived signal over time. Value i holds over (starts_ns[i], ends_ns[i]]; gauges: since the last reading.

    None is unknown (reset, changed device set, no denominator). A gap is a jump between ends_ns[i-1] and
    starts_ns[i], or an interval much longer than the others.
    """

    name: str
    unit: str
    starts_ns: Sequence[int]
    ends_ns: Sequence[int]
    values: Sequence[float | None]
    subject: str | None = None
    """Device, mount point, interface, CPU, or process for a series that is not of the whole box."""
    source: str = "hostmetrics"
    quality: frozenset[str] = field(default_factory=frozenset)
    """Marks such as 'estimated_total', 'several_writers', 'averaged_load', 'old_memory_formula'."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """`signals_5m` of one host: five-minute means and maxima of derived signals. All columns have equal length."""

    starts_ns: Sequence[int]
    mean: Mapping[str, Sequence[float | None]]
    maximum: Mapping[str, Sequence[float | None]]
    worst_disk: Sequence[str | None]
