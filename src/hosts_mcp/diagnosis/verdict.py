"""What goes out of the diagnosis: the verdict with everything that is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hosts_mcp.diagnosis.model import Symptom
from hosts_mcp.diagnosis.words import OriginWord, ResourceWord, Scope, Word


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason. With metric, host and window it can be recomputed from the store: `how` over (start, end]."""

    side: Literal["for", "against"]
    text: str
    value: float | None = None
    unit: str | None = None
    usual: float | None = None
    metric: str | None = None
    subject: str | None = None
    host: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    how: Literal["mean", "max", "last"] | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    at_ns: int
    what: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Exonerated:
    resource: ResourceWord
    host: str
    most: float | None
    bound: str


@dataclass(frozen=True, slots=True)
class Recurrence:
    period: Literal["hourly", "daily", "weekly"]
    hits: int
    cycles: int
    signal: str
    clock_change: bool = False


@dataclass(frozen=True, slots=True)
class HostPart:
    host: str
    share: float
    verdict: Word | None
    resource: ResourceWord | None
    removed_seconds: float | None
    has_metrics: bool
    """False where the host was to be judged and sent nothing then, or never sends any."""
    pressures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Hint:
    """Something that is missing: what it would have decided, and the collector lines that add it."""

    name: str
    text: str
    patch: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    trace_id: bytes
    verdict: Word
    confidence: float
    confidence_word: str
    symptom: Symptom
    origin: OriginWord | None
    scope: Scope | None
    resource: ResourceWord
    host: str | None
    span: str | None
    culprit: str | None
    share_of_slowdown: float | None
    calm_duration_seconds: float | None
    headline: str
    timeline: tuple[Moment, ...]
    evidence: tuple[Evidence, ...]
    exonerated: tuple[Exonerated, ...]
    companions: tuple[str, ...]
    recurrence: Recurrence | None
    hosts: tuple[HostPart, ...]
    coverage: float
    interval_seconds: float | None
    hints: tuple[Hint, ...]
    next_steps: tuple[str, ...]
    engine_version: str
    evaluated_at_ns: int
    final: bool
    features: Mapping[str, float] = field(default_factory=dict)
    """The numbers the decision was made from, so that weights can be refitted."""
