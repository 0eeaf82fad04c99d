"""What the diagnosis is given (`Case`) and what its steps hand on; what it returns is in `verdict`.

Inputs keep nanoseconds of each host's own clock. Inside, a host's times are seconds since the trace began there, so
that shifting a clock changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, NamedTuple

from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord, Scope, SymptomClass, Word
from hosts_mcp.signals.model import BoxFacts, SignalSeries
from hosts_mcp.store.protocol import Entity, HostKind, Instance, KeptLog, Rollup, Run, Span, SpanDetails
from hosts_mcp.timerange import NS

# ── What comes in ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Process:
    """One process incarnation with its signals: process_cpu_cores, process_memory_bytes, process_io_bytes_per_second."""

    entity_id: int
    pid: int | None
    parent_pid: int | None
    executable: str
    script: str | None
    """Base name of the script, or the title a server gives its worker (`postgres: autovacuum worker`)."""
    cgroup: str | None
    started_ns: int | None
    first_seen_ns: int
    last_seen_ns: int
    signals: Mapping[str, SignalSeries]


@dataclass(frozen=True, slots=True)
class Workload:
    """A container with metrics of its own. Signals: container_memory_ratio, container_cpu_ratio (of its limits),
    container_throttled_ratio (of periods)."""

    key: str
    name: str
    signals: Mapping[str, SignalSeries]
    reported: str | None = None
    """Why it was terminated, as somebody reported it (`OOMKilled`)."""


class Past(NamedTuple):
    """Five-minute bins of a machine that begin in [start, end)."""

    host_id: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Box:
    """One place on the trace's path: a host, or a container on it. Signals and devices cover lead-in, effect and aftermath; the rollup the day before and earlier runs."""

    id: int
    key: str
    name: str
    kind: HostKind
    facts: BoxFacts
    interval_ns: int | None
    signals: Mapping[str, SignalSeries]
    devices: Sequence[SignalSeries] = ()
    rollup: Rollup | None = None
    past: Past | None = None
    """Where more of the rollup is, which matters only where the box is blamed."""
    processes: Sequence[Process] = ()
    workload: Workload | None = None
    """The container the spans ran in, when it sends metrics; the other signals are then its machine's, if known."""
    boots_ns: Sequence[int] = ()
    """Boot times seen around the trace, oldest first."""
    logs: Sequence[KeptLog] = ()
    runs: Sequence[Run] = ()
    """Runs of any operation on this host around the trace and before it."""
    instances: Sequence[Instance] = ()
    silences_ns: Sequence[tuple[int, int]] = ()
    """When no server listened: a gap of the metrics there is not the box's gap."""
    aliases: tuple[str, ...] = ()
    newest_ns: int | None = None
    now_ns: int | None = None
    """This host's now: its newest point plus the time since that arrived."""
    clock_skew_seconds: float | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One trace with everything that may bear on it. `evaluated_at_ns` is the only now there is."""

    trace_id: bytes
    spans: Sequence[Span]
    evaluated_at_ns: int
    details: Mapping[bytes, SpanDetails] = field(default_factory=dict)
    boxes: Mapping[int, Box] = field(default_factory=dict)
    histories: Mapping[tuple[str, str], Sequence[Run]] = field(default_factory=dict)
    """(service, span name) -> earlier runs, oldest first; later ones too where there are fewer than ten."""
    peers: Sequence[Run] = ()
    """Runs of the trace's root operation on any host around the trace."""
    logs: Sequence[KeptLog] = ()
    """Kept logs that carry this trace id."""
    services: Mapping[int, Entity] = field(default_factory=dict)
    """Entity id -> the resource that sent spans."""
    known_hosts: Sequence[str] = ()
    told: Told | None = None
    """What was found before the boxes were read, so that it need not be found twice."""


# ── What the steps hand on ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Symptom:
    kind: SymptomClass
    at_ns: int
    """End of the trace, of the failing span, or the last sign of life."""
    span: Span
    """The root, the failing span, or the last unfinished one."""
    root: Span
    start_ns: int
    duration_seconds: float
    usual_seconds: float | None = None
    ratio: float = 1.0
    runs: int = 0
    marker: str | None = None
    """Text of a supervisor, kernel or exit status that says the process was killed."""
    due_seconds: float = 0.0
    """Killed: after its last sign of life the next one was due at the latest."""
    incomplete: bool = False
    """The service instance went on sending: the end was lost, perhaps not the process."""
    remote: str | None = None
    """The failing span waits for this remote side."""
    handled_errors: int = 0
    text: str = ""

    @property
    def failed(self) -> bool:
        return self.kind == "killed" or self.kind.startswith("err_")


class Loss(NamedTuple):
    """One span's part in the lost time, on the critical path. A tuple, as spans are: a trace may have thousands."""

    span: Span
    segments: tuple[tuple[int, int], ...]
    """When it was the one being waited for, ns."""
    self_seconds: float
    usual_seconds: float | None
    excess_seconds: float
    remote: bool
    database: bool
    place: int | None = None
    """Where it was lost: the span's host; of a call whose other side sent a span, the callee's."""
    handed_over: bool = False
    """A call's own time: the callee took long to begin or the answer to be read. Either host may explain it."""
    added: bool = False
    """Never seen before in a trace whose usual work is all there: the program's own doing."""


@dataclass(frozen=True, slots=True)
class Told:
    """What spans and their histories say by themselves, whatever is measured on the boxes."""

    spans: Sequence[Span]
    histories: Mapping[tuple[str, str], Sequence[Run]]
    table: Table
    symptom: Symptom
    losses: Sequence[Loss]

    def of(self, case: Case, t: Table) -> bool:
        """Said of these very spans and histories, by this table."""
        return self.spans is case.spans and self.histories is case.histories and self.table is t


@dataclass(frozen=True, slots=True)
class Disk:
    name: str
    busy: float | None
    queue: float | None
    await_seconds: float | None
    ops: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """One scrape interval of a host: joint readings. None is not measured, never 0."""

    start: float
    end: float
    gap: bool = False
    cpus: int | None = None
    busy: float | None = None
    steal: float | None = None
    iowait: float | None = None
    core_max: float | None = None
    load: float | None = None
    blocked: float | None = None
    run_queue: float | None = None
    """Runnable tasks per CPU."""
    memory: float | None = None
    reclaimable: float | None = None
    """Bytes of page cache that the kernel would give back."""
    swap_used: float | None = None
    major_faults: float | None = None
    swap_pages: float | None = None
    disks: tuple[Disk, ...] = ()
    disk_busy: float | None = None
    disk_queue: float | None = None
    disk_await: float | None = None
    disk_bytes: float | None = None
    """Read and written per second, all disks."""
    filesystem: float | None = None
    inodes: float | None = None
    drops: float | None = None
    net_errors: float | None = None
    packets: float | None = None
    bandwidth: float | None = None
    conntrack: float | None = None
    psi_cpu: float | None = None
    psi_memory: float | None = None
    psi_io: float | None = None
    oom_kills: float | None = None
    slept: float = 0.0
    """Seconds of this interval that the box itself did not see pass."""

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def overlap(self, start: float, end: float) -> float:
        return max(0.0, min(self.end, end) - max(self.start, start))


_START, _END = attrgetter("start"), attrgetter("end")


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds since the trace began on this host."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Usual:
    """Median and spread of each reading in the past; `source` tells how much past there was."""

    median: Mapping[str, float]
    spread: Mapping[str, float]
    source: Literal["day", "hours", "lead_in", "none"]
    samples: int = 0

    def get(self, reading: str) -> float | None:
        return self.median.get(reading)


@dataclass(frozen=True, slots=True)
class Scene:
    """One host as the steps see it: windows cut, intervals joined, usual known."""

    box: Box
    origin_ns: int
    losses: tuple[Loss, ...]
    share: float
    """Of the trace's lost time."""
    effect: Window
    lead: Window
    after: Window
    intervals: tuple[Interval, ...]
    """One after the other."""
    usual: Usual
    interval: float
    """Usual spacing of its metrics, seconds."""
    cpus: int | None

    def during(self, window: Window | None = None, reach: float = 0.0) -> list[Interval]:
        """Intervals that overlap the window, widened by `reach` on either side."""
        w = window or self.effect
        start, end = w.start - reach, w.end + reach
        first = bisect_right(self.intervals, start, key=_END)
        last = bisect_left(self.intervals, end, first, key=_START)
        return [i for i in self.intervals[first:last] if i.overlap(start, end) > 0]

    def ns(self, seconds: float) -> int:
        return self.origin_ns + round(seconds * NS)

    def seconds(self, ns: int) -> float:
        return (ns - self.origin_ns) / NS

    def due(self, symptom: Symptom) -> float:
        """Until when the sign of life after the last one was due: a death came before."""
        return max(self.effect.end, self.seconds(symptom.at_ns) + symptom.due_seconds)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How close a resource was to saturation: 0..1, with the reading that says so."""

    resource: str
    value: float | None
    reading: str | None = None
    """Signal that carries it."""
    peak: float | None = None
    how: Literal["mean", "max", "last"] = "mean"
    usual: float | None = None
    subject: str | None = None
    scope: Scope | None = None
    note: str | None = None

    @property
    def momentary(self) -> bool:
        """It came and went between two readings; only what it left behind was read."""
        return self.reading == "reclaimable"


@dataclass(frozen=True, slots=True)
class Bound:
    """What the counters prove about a resource in the trace's own time."""

    most_seconds: float
    """At most so many of the local seconds can have been lost to it."""
    least_seconds: float
    of_seconds: float
    exonerated: bool
    undetermined: bool


@dataclass(frozen=True, slots=True)
class Quality:
    value: float
    covered: float
    missing: tuple[str, ...]
    """Resource words without the metrics the question needs."""
    bounds: Mapping[str, Bound]
    undetermined: tuple[str, ...]
    blind: Literal["slow", "middling"] | None = None
    """Memory could have filled unseen between the last sample and death; how fast that would have to be."""
    intervals: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """Result of the counterfactual on one host."""

    removed_seconds: float
    by_resource: Mapping[str, float]
    by_span: Mapping[bytes, float] = field(default_factory=dict)
    more_work: float | None = None
    """CPU seconds now over usual, where known."""


@dataclass(frozen=True, slots=True)
class Origin:
    word: OriginWord
    why: str
    culprit: str | None = None
    own_share: float | None = None
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """A natural experiment: what else was fine or bad under the same or without the pressure."""

    name: str
    outcome: Literal["bad", "fine", "same_fine", "calm_bad", "trend", "mixed"]
    text: str
    counts: tuple[int, ...] = ()
    resource: str | None = None
    """Whose pressure was compared."""

    @property
    def speaks_for(self) -> bool:
        return (self.name, self.outcome) in {
            ("dose", "bad"), ("dose", "trend"), ("peers_here", "bad"), ("elsewhere", "fine"),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything known of one judged host before the decision."""

    scene: Scene
    pressures: Mapping[str, Pressure]
    link: float
    strongest: str | None
    quality: Quality
    experiments: tuple[Experiment, ...]
    effect: Effect | None = None
    odds: float | None = None
    weights: tuple[tuple[str, float], ...] = ()
    chronic: bool = False
    thrash: bool = False
    released: bool = False
    silent_metrics: bool = False
    last_memory: float | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    verdict: Word
    confidence: float
    resource: str | None
    share: float | None = None
    calm_seconds: float | None = None
    why: str = ""
