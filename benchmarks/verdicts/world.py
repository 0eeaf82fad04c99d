"""The truth of a box, second by second: who runs, how the disk queues, what is paged, what is lost on the wire.

Everything follows from a few laws: cores are shared fairly by weight, a disk serves so many requests at once, a task
whose pages were thrown out waits for the disk at every fault. What a trace feels and what the collector counts are read
from the same state.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from benchmarks.verdicts.physics import PHYSICS, Disk, ramp

DAY = 86_400.0
OWN = "own"
"""Name of the service whose trace is asked about."""


@dataclass(frozen=True)
class Load:
    """What one program puts on a box between two times, on top of an ordinary day."""

    who: str
    start: float
    end: float
    threads: float = 0.0
    """Threads that always want a CPU."""
    weight: float = 1.0
    """Scheduler weight of each, 1 for an ordinary one."""
    depth: float = 0.0
    """Disk requests it keeps outstanding."""
    accounted: bool = True
    """Its disk traffic shows in the kernel's per-process counts (direct asynchronous I/O does not)."""
    memory: float = 0.0
    """Share of the box's memory it takes; `climbs`: in a straight line up to `end`, else at once."""
    climbs: bool = False
    cache: float = 0.0
    """Share of memory it fills with page cache, which hurts nobody."""
    steal: float = 0.0
    """Not a program: the hypervisor's share of a wanting virtual CPU's time."""
    loss: float = 0.0
    packets: float = 0.0
    filesystem: float = 0.0
    """Share of the file system it writes, in a straight line."""
    nights: int = 0
    """The same on so many earlier nights."""
    incident: bool = True
    """Not part of the box's usual life: a calm box is this box without it."""

    def part(self, t: float) -> float | None:
        """How far through its time it is, 0..1; None when it does not run."""
        for night in range(self.nights + 1):
            x = t + night * DAY
            if self.start <= x < self.end:
                return (x - self.start) / (self.end - self.start)
        return None


@dataclass(frozen=True)
class State:
    """One second of a box."""

    cores: int
    threads: float
    """That want a CPU, the trace's own not counted."""
    weights: float
    steal: float
    depth: float
    """Outstanding disk requests, those of page faults included."""
    wait: float
    """Seconds one disk request takes."""
    level: float
    """Memory not available, as it reads."""
    wanted: float
    """As it would be if there were enough."""
    cache: float
    fault_rate: float
    """Major faults per second of CPU work."""
    faults: float
    """Major faults per second on the box, the trace's own not counted."""
    blocked: float
    loss: float
    packets: float
    filesystem: float

    def share(self, own: float = 1.0) -> float:
        """CPU seconds per second that each of `own` more threads of ordinary weight gets."""
        if self.threads + own <= self.cores:
            return 1.0 - self.steal
        return min(1.0, self.cores / (self.weights + own)) * (1.0 - self.steal)

    def cpu_stretch(self) -> float:
        """Seconds that one second of CPU work takes: waiting for a core, then for thrown out pages."""
        return 1.0 / max(1e-3, self.share()) + self.fault_rate * self.wait


@dataclass(frozen=True)
class Shape:
    """What the collector of a box sends."""

    interval: float = 30.0
    phase: float = 0.0
    scrapers: frozenset[str] = frozenset()
    per_core: bool = False
    """Old collectors: one series per core."""
    old_used: bool = False
    """Old collectors: `used` is what is neither free nor buffers nor cache."""
    available: bool = False
    """`system.linux.memory.available` and `system.memory.limit` switched on."""
    silent: tuple[tuple[float, float], ...] = ()
    process_interval: float = 30.0


@dataclass(frozen=True)
class Box:
    name: str
    cores: int
    memory_bytes: float
    disk: Disk
    swap: bool
    base_cpu: float
    base_memory: float
    base_depth: float
    base_packets: float
    base_filesystem: float
    seed: int
    shape: Shape = Shape()
    loads: tuple[Load, ...] = ()
    own_memory: float = 0.02
    """Share of memory that the service holds without leaking."""
    _seen: dict[int, State] = field(default_factory=dict, compare=False, repr=False)

    def calm(self) -> Box:
        """The same box without what is not usual on it."""
        return replace(self, loads=tuple(x for x in self.loads if not x.incident), _seen={})

    def at(self, t: float) -> State:
        second = math.floor(t)
        state = self._seen.get(second)
        if state is None:
            state = self._seen[second] = self._state(second + 0.5)
        return state

    def _state(self, t: float) -> State:
        rng = random.Random(self.seed * 1_000_003 + math.floor(t))
        p = PHYSICS
        running = [(x, part) for x in self.loads if (part := x.part(t)) is not None]

        def total(amount: Callable[[Load, float], float]) -> float:
            return sum(amount(x, part) for x, part in running)

        day = 1.0 + 0.2 * math.sin(2 * math.pi * t / DAY)
        base = max(0.0, self.base_cpu * self.cores * day * (1.0 + rng.gauss(0.0, p.base_noise)))
        base = min(base, 0.95 * self.cores)
        threads = base + total(lambda x, _: x.threads)
        weights = base + total(lambda x, _: x.threads * x.weight)
        wanted = self.base_memory + total(lambda x, part: x.memory * (part if x.climbs else 1.0))
        wanted += 0.002 * rng.gauss(0.0, 1.0)
        asked = self.base_depth * max(0.1, 1.0 + rng.gauss(0.0, 0.5)) + total(lambda x, _: x.depth)
        steal = min(0.95, total(lambda x, _: x.steal)) * (1.0 + rng.gauss(0.0, 0.1))
        fault_rate = p.faults_most * ramp(wanted, p.faults_begin, p.faults_full) ** 1.5
        active = min(threads, float(self.cores))
        wait, depth = self.disk.service_seconds, asked
        for _ in range(6):  # faults lengthen the queue, the queue slows the faults
            stuck = active * fault_rate * wait / (1.0 + fault_rate * wait)
            depth = 0.5 * depth + 0.5 * (asked + stuck)
            wait = self.disk.service_seconds * max(1.0, depth / self.disk.parallel)
        stuck = depth - asked if fault_rate else 0.0
        return State(
            cores=self.cores,
            threads=max(0.0, threads - max(0.0, stuck)),
            weights=max(0.0, weights - max(0.0, stuck)),
            steal=min(0.95, max(0.0, steal)),
            depth=depth,
            wait=wait,
            level=min(p.level_most, wanted),
            wanted=wanted,
            cache=min(0.9, total(lambda x, part: x.cache * (part if x.climbs else 1.0))),
            fault_rate=fault_rate,
            faults=max(0.0, stuck) / wait if fault_rate else 0.5,
            blocked=max(0.0, stuck) + min(depth, total(lambda x, _: min(x.depth, 4.0))),
            loss=min(0.5, total(lambda x, _: x.loss)),
            packets=self.base_packets * day + total(lambda x, _: x.packets),
            filesystem=min(1.0, self.base_filesystem + total(lambda x, part: x.filesystem * part) + self._filled(t)),
        )

    def _filled(self, t: float) -> float:
        return sum(x.filesystem for x in self.loads if x.filesystem and x.end <= t)
