"""Every number of the diagnosis: thresholds, floors, mechanisms, weights, borders. One table, one version.

Pressure is a ramp between two values of a signal, so that 94.9 % and 95.1 % are nearly the same evidence. A value
changes only together with a named case that fails without the change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ENGINE_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Ramp:
    """0 at or below `lo`, 1 at or above `hi`, straight between."""

    lo: float
    hi: float

    def __call__(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.lo) / (self.hi - self.lo)))


RESOURCES = ("memory", "cpu", "steal", "disk", "filesystem", "network", "restart", "c_mem", "c_cpu", "fd", "suspend")
"""Internal keys, in the order of ties. `c_mem` and `c_cpu` are a container's limits."""


def _compat() -> Mapping[str, Mapping[str, float]]:
    rows = {
        "killed": (1, 0.1, 0.05, 0.15, 0.25, 0, 1, 1, 0.05, 0.1, 0),
        "err_mem": (1, 0, 0, 0, 0, 0, 0.3, 1, 0, 0, 0),
        "err_space": (0, 0, 0, 0.1, 1, 0, 0, 0, 0, 0, 0),
        "err_fd": (0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0),
        "err_timeout": (0.8, 0.8, 0.8, 0.8, 0.2, 0.9, 0.9, 0.4, 0.8, 0.2, 0.9),
        "err_conn": (0.6, 0.3, 0.2, 0.3, 0.2, 0.8, 0.9, 0.5, 0.2, 0.5, 0.6),
        "err_app": (0.05, 0.03, 0.03, 0.05, 0.1, 0.05, 0.1, 0.05, 0.03, 0.05, 0.03),
        "slow": (0.8, 0.95, 0.95, 0.9, 0.05, 0.6, 0.3, 0.3, 0.95, 0.1, 0.95),
        "unknown": (0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.5, 0.5, 0.5, 0.2, 0.5),
    }
    return MappingProxyType(
        {s: MappingProxyType(dict(zip(RESOURCES, map(float, row), strict=True))) for s, row in rows.items()}
    )


def _fixed(**values: float) -> Mapping[str, float]:
    return MappingProxyType(values)


@dataclass(frozen=True)
class Table:
    """Thresholds as ratios of one, times in seconds, rates per second unless the name says otherwise."""

    # Symptom: what counts as slow, and how long silence must last before a trace is dead.
    slow_ratio: float = 1.5
    slow_z: float = 3.5
    slow_part_z: float = 2.0
    """Of a part of a trace whose operation is too mixed to compare: rarer than one in twenty, and half as long again."""
    history_floor: float = 0.05
    """Least spread assumed of ln(duration)."""
    history_mixed: float = 0.25
    """Spread of ln(duration) above which an operation's runs are of several kinds: its parts are compared instead."""
    history_least: int = 5
    history_few: int = 1
    silence_seconds: float = 120.0
    silence_intervals: float = 2.0
    silence_gaps: float = 3.0
    silence_rhythm: float = 2.0

    # Lost time.
    root_own_share: float = 0.10
    """Of a root without self history: this share of the trace is taken for its usual own time."""
    excess_share: float = 0.10
    """A span matters that lost more than this share of the trace."""
    host_share: float = 0.15
    """Hosts with less of the lost time are listed, not judged."""

    # Windows.
    killed_seconds: float = 300.0
    killed_intervals: float = 3.0
    error_seconds: float = 60.0
    error_intervals: float = 2.0
    lead_seconds: float = 3600.0
    lead_durations: float = 3.0
    lead_intervals: float = 10.0
    aftermath_intervals: float = 4.0
    baseline_seconds: float = 86_400.0
    baseline_least: int = 30
    calm_least: int = 10
    """Scrapes before the trace that make a thin usual when no day of history exists."""
    gap_intervals: float = 2.5

    # Pressure, 0..1 (ramps lo..hi).
    cpu_busy: Ramp = Ramp(0.85, 0.97)
    run_queue: Ramp = Ramp(1.0, 2.0)
    cpu_without_queue: float = 0.5
    steal: Ramp = Ramp(0.05, 0.20)
    steal_lost: Ramp = Ramp(0.08, 0.30)
    memory: Ramp = Ramp(0.88, 0.96)
    memory_with_swap: float = 0.6
    swap_roomy: float = 0.5
    swap_used: Ramp = Ramp(0.80, 0.95)
    paging_needs_memory: float = 0.8
    major_faults: Ramp = Ramp(100.0, 1000.0)
    major_faults_weight: float = 0.9
    swap_pages: Ramp = Ramp(100.0, 2000.0)
    swap_pages_weight: float = 0.95
    disk_busy: Ramp = Ramp(0.80, 0.98)
    disk_queue: Ramp = Ramp(2.0, 10.0)
    disk_await: Ramp = Ramp(0.020, 0.100)
    disk_await_relative: Ramp = Ramp(2.0, 6.0)
    disk_await_least: float = 0.004
    disk_await_floor: float = 0.0001
    disk_await_alone: float = 0.8
    disk_await_usual: float = 0.4
    """Weight of a latency that is high but usual here."""
    disk_least_ops: float = 5.0
    storage_disk_busy: float = 0.30
    """Tasks wait while the local disk is less busy than this: the storage behind it."""
    blocked: Ramp = Ramp(3.0, 12.0)
    blocked_weight: float = 0.8
    blocked_unseen: float = 2.0
    """Tasks more than usual that wait for a disk of which nothing else is known: it cannot be cleared."""
    waiting_load: float = 2.0
    """Load above CPU use by so many tasks per CPU, with the CPU below `waiting_busy`: tasks wait in the kernel."""
    waiting_busy: float = 0.70
    waiting_pressure: float = 0.5
    filesystem: Ramp = Ramp(0.95, 0.995)
    drops: Ramp = Ramp(0.005, 0.02)
    drops_usual: float = 3.0
    drops_margin: float = 0.002
    net_errors: Ramp = Ramp(0.001, 0.01)
    packets_least: float = 500.0
    conntrack: Ramp = Ramp(0.80, 0.95)
    bandwidth: Ramp = Ramp(0.80, 0.95)
    container_memory: Ramp = Ramp(0.90, 0.98)
    container_cpu: Ramp = Ramp(0.70, 0.88)
    """Of its limit. The limit is enforced per tenth of a second: a minute's mean this high was throttled in most busy
    ones. Unhurt pods of a public data set stay below 0.70, hurt ones begin at 0.83."""
    throttled: Ramp = Ramp(0.10, 0.50)
    psi_cpu: Ramp = Ramp(0.10, 0.50)
    psi_memory: Ramp = Ramp(0.05, 0.30)
    psi_io: Ramp = Ramp(0.10, 0.50)
    psi_keeps_disk: float = 0.5
    onset_share: float = 1 / 6
    """A trace this close (as a share of the interval) before the next reading may already feel what that one shows."""
    suspend_seen: float = 0.5
    """CPU seconds of all states per CPU second that passed: below this the box slept or was paused."""
    thrash_memory: float = 0.4
    thrash_swap_pages: float = 200.0
    thrash_faults: float = 300.0
    thrash_share: float = 0.3
    thrash_pressure: float = 0.7
    thrash_disk: float = 0.5
    chronic_memory: float = 0.03
    chronic_weight: float = 0.35
    projection_samples: int = 5
    projection_weight: float = 0.9
    restart_seconds: float = 120.0
    hot: float = 0.4
    """Pressure from here on counts as pressure in experiments, recurrence and sentences."""
    calm: float = 0.2

    compat: Mapping[str, Mapping[str, float]] = field(default_factory=_compat)

    # Quality, bounds, blindness.
    quality_least: float = 0.45
    quality_good: float = 0.6
    link_settles: float = 0.5
    link_unknown: float = 0.15
    """Without a history a link this strong is said, as partly."""
    link_none: float = 0.15
    fill_slow_bytes: float = 0.5 * 2**30
    fill_fast_bytes: float = 4.0 * 2**30
    blind_pressure: float = 0.3
    """Of memory: from here on its level speaks for itself."""
    blind_confidence: float = 0.75
    cache_lost: float = 0.05
    """Of memory: page cache thrown out between two readings, beyond what files come and go."""
    cache_sure: float = 0.5
    """Of what counts as cached where shared memory (a database's buffers, tmpfs) is in it: pages of files at least."""
    free_kept: float = 0.02
    """Of memory: what the kernel keeps free (its watermarks) when it throws out pages."""

    # Counterfactual.
    pressure_ignored: float = 0.05
    steal_ignored: float = 0.03
    steal_factor_most: float = 10.0
    cpu_without_load: float = 0.6
    await_factor_most: float = 50.0
    blocked_factor: float = 6.0
    thrash_rate: float = 300.0
    throttle_least: float = 0.15
    throttle_weight: float = 0.8
    network_least: float = 0.2
    network_weight: float = 0.7
    io_shares: tuple[float, ...] = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
    io_shares_database: tuple[float, ...] = (0.35, 0.5, 0.65, 0.8, 0.95)
    memory_named: float = 0.5
    """Memory is named when its removal is at least this share of the largest."""
    calm_least_share: float = 0.02
    oncpu_intervals: float = 2.0
    more_work_ratio: float = 1.4
    more_work_share: float = 0.5
    control_share: float = 0.2
    """The rest of a trace is a control of one span when it usually takes at least this share of that span."""
    corroborated: float = 0.3
    """Another span that waited for the disk speaks for this one when it lost at least this share of what this one lost."""
    beside: float = 0.05
    """A span tells how hard paging hit another when it lost at least this share of what any span lost."""
    usual_work: float = 0.8
    """Of a trace's usual time: with so much of it present, spans never seen before were added and replaced none."""
    share_yes: float = 0.60
    share_partly: float = 0.17

    # Natural experiments.
    dose_runs: int = 40
    peers_least: int = 3
    peers_bad: float = 0.6
    peers_fine: float = 0.1
    peers_window: float = 0.2
    peers_seconds: float = 30.0

    # Log-odds of killed and failed traces.
    priors: Mapping[str, float] = field(
        default_factory=lambda: _fixed(
            killed=-0.3, err_mem=1.0, err_space=1.5, err_fd=0.5, err_timeout=-1.0, err_conn=-1.2, err_app=-3.2,
            unknown=-1.5,
        )
    )  # fmt: skip
    prior_incomplete: float = -1.5
    link_weight: float = 4.2
    weights: Mapping[str, float] = field(
        default_factory=lambda: _fixed(
            no_pressure=-2.2, marker=1.2, space_full=2.0, space_fine=-0.5, fd=1.0, memory_fine=-3.0, released=0.8,
            silent_metrics=0.6, blind=0.4, remote=-3.5, remote_network=1.0, dose_bad=1.5, dose_fine=-2.6,
            calm_bad=-1.5, dose_trend=0.8, peers_bad=1.6, peers_fine=-0.8, elsewhere_bad=-2.4, elsewhere_fine=0.8,
        )
    )  # fmt: skip
    p_yes: float = 0.72
    p_partly: float = 0.38
    p_hint: float = 0.15
    link_killed: float = 0.35

    # Origin.
    own_little: float = 0.30
    own_much: float = 0.60
    climb_seconds: float = 1800.0
    before_seconds: float = 900.0

    # Companions, onset, recurrence.
    companion_z: float = 6.0
    onset_pressure: float = 0.2
    recurrence_hits: float = 0.6
    recurrence_p: float = 0.01
    recurrence_background: float = 0.70

    floors: Mapping[str, float] = field(
        default_factory=lambda: _fixed(
            busy=0.03, steal=0.01, iowait=0.02, run_queue=0.15, memory=0.015, major_faults=20.0, swap_pages=20.0,
            disk_busy=0.05, disk_queue=0.3, disk_await=0.003, drops=0.001, load=0.1, blocked=0.5, filesystem=0.01,
        )
    )  # fmt: skip
    """Least MAD assumed of each reading, so that a perfectly flat past does not make noise significant."""

    confidence_words: tuple[tuple[float, str], ...] = (
        (0.85, "almost certainly"),
        (0.70, "probably"),
        (0.55, "possibly"),
        (0.0, "unclear"),
    )

    def word(self, confidence: float) -> str:
        return next(word for least, word in self.confidence_words if confidence >= least)

    @property
    def version(self) -> str:
        """ENGINE_VERSION and a fingerprint of every value, so that an overridden table is visible in the answer."""
        text = repr(sorted((name, _plain(getattr(self, name))) for name in self.__dataclass_fields__))
        return f"{ENGINE_VERSION}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _plain(value: object) -> object:
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


TABLE = Table()
