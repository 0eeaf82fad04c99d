"""What decoding yields: columns of points, spans and log records in plain Python, no protobuf.

A decoder (`otlp.decode`) interns `Resource` and `Slot`, so that later floors may cache by object identity *and*
compare by value. Times are integer nanoseconds UTC. Attribute values are str, bool, int, float, bytes, None,
list or dict (OTLP AnyValue); slot attributes are hashable (lists and dicts become their compact JSON text).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Value = Any
"""str | bool | int | float | bytes | None | list[Value] | dict[str, Value]"""

NOTHING: Mapping[str, Value] = MappingProxyType({})

Kind = Literal["gauge", "counter", "updown", "delta", "updown_delta"]
"""gauge; cumulative monotonic sum; cumulative non-monotonic sum; the two with delta temporality."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One OTLP resource. `key` is canonical (sorted, independent of wire order): equal key means equal resource."""

    attributes: Mapping[str, Value]
    key: bytes

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and other.key == self.key

    def text(self, name: str) -> str | None:
        """The attribute as text, None when absent or empty after trimming."""
        value = self.attributes.get(name)
        if value is None:
            return None
        return str(value).strip() or None


@dataclass(frozen=True, slots=True)
class Slot:
    """What is measured, the same for every host: metric, kind and point attributes sorted by key."""

    metric: str
    kind: Kind
    attributes: tuple[tuple[str, str | bool | int | float], ...] = ()
    unit: str = field(default="", compare=False)

    def get(self, *names: str) -> str | None:
        """First of these attributes that is present, as text."""
        for name in names:
            for key, value in self.attributes:
                if key == name:
                    return str(value)
        return None


class PointGroup(NamedTuple):
    """Number points of one resource and scope that share time and start time.

    `slots` and `values` have the same length and no slot occurs twice. Integers become floats (exact to 2**53).
    """

    resource: Resource
    scope: str
    scope_version: str
    time_ns: int
    start_ns: int
    """0 when the sender gave none."""
    slots: tuple[Slot, ...]
    values: tuple[float, ...]


@dataclass(slots=True)
class MetricsBatch:
    groups: list[PointGroup] = field(default_factory=list)
    other_points: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(metric, kind) -> points of histogram, exponential_histogram and summary: accepted, counted, not kept."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason in words -> number of points refused; the good ones beside them are in `groups`."""
    ended: int = 0
    """Points flagged 'no recorded value': the end of a series. Neither kept nor rejected."""
    walked: Counter[str] = field(default_factory=Counter, compare=False)
    """Why the fast decoder handed something to the ordinary walk -> points kept of it. All of them are in `groups`."""

    @property
    def points(self) -> int:
        return sum(len(g.values) for g in self.groups)


@dataclass(frozen=True, slots=True)
class Event:
    time_ns: int
    name: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Link:
    trace_id: bytes
    span_id: bytes
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class SpanDetails:
    """What a span carries beside its own fields."""

    attributes: Mapping[str, Value]
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()


class SpanRecord(NamedTuple):
    """One span as sent. `kind` and `status` are OTLP numbers (kind 2 SERVER, 3 CLIENT, …; status 2 ERROR)."""

    resource: Resource
    scope: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    """b"" at a root."""
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    status_message: str
    telling: Mapping[str, Value] = NOTHING
    """Those of its attributes that are read of every span as it comes (`otlp.details.TELLING`)."""
    details: bytes = b""
    """Its SpanDetails as `otlp.details` writes and reads them; empty when it has none."""


@dataclass(slots=True)
class TracesBatch:
    spans: list[SpanRecord] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class LogRecord:
    resource: Resource
    scope: str
    time_ns: int
    """`time_unix_nano`, else `observed_time_unix_nano`; 0 when neither was sent."""
    severity: int
    event_name: str
    body: Value
    attributes: Mapping[str, Value]
    trace_id: bytes
    span_id: bytes


@dataclass(slots=True)
class LogsBatch:
    records: list[LogRecord] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
