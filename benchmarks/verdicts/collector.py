"""What a collector's hostmetrics receiver sends of a box: counters that grow with the truth, read at each scrape.

A scrape is one request. Its protobuf message is built once per box and only its values change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from benchmarks.verdicts.physics import PHYSICS
from benchmarks.verdicts.program import Use
from benchmarks.verdicts.world import DAY, OWN, Box, State

NS = 1_000_000_000
EPOCH_NS = 1_772_409_600 * NS
"""2026-03-02T00:00Z; times are seconds after it, negative on the days before."""
GIB = 2**30
PAGE = 4096
SCRAPERS = ("cpu", "load", "memory", "paging", "disk", "filesystem", "network", "processes", "process")
SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/"
BOOTED = -30 * DAY
COARSE_SECONDS = 240.0
"""Spacing of the scrapes of the day before: what is usual needs no more, and a day of seconds is slow to make."""
COARSE_STEP = 60.0


def stamp(t: float) -> int:
    return EPOCH_NS + round(t * NS)


def attributes(pairs: Sequence[tuple[str, object]]) -> list[KeyValue]:
    out = []
    for key, value in pairs:
        one = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))
        out.append(KeyValue(key=key, value=one))
    return out


@dataclass(frozen=True)
class Process:
    """A program as the process scraper sees it."""

    who: str
    executable: str
    pid: int
    command_line: str
    parent: int = 1
    start: float = BOOTED
    end: float = math.inf
    memory: float = 0.01
    """Share of the box's memory that it holds without any load."""
    carries: bool = True
    """The loads of `who` are this process's."""


@dataclass
class _Counts:
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STATES, 1000.0))
    load: float = 0.3
    io_time: float = 500.0
    weighted: float = 900.0
    requests: float = 1e6
    request_time: float = 4e3
    faults: float = 1e4
    swapped: float = 0.0
    packets: float = 1e7
    lost: float = 100.0
    cache: float = -1.0
    """Share of memory that holds pages of files, less what a cache load holds; below 0: not begun."""
    created: float = 1e4
    process_cpu: dict[int, float] = field(default_factory=dict)
    process_io: dict[int, float] = field(default_factory=dict)


STATES = ("user", "system", "nice", "idle", "wait", "interrupt", "softirq", "steal")


class Collector:
    """Steps a box's counters through time and yields (arrival ns, request bytes)."""

    def __init__(self, box: Box, processes: Sequence[Process], uses: Mapping[int, Use]) -> None:
        self.box, self.processes, self.uses = box, processes, uses
        self.counts = _Counts()
        self.now: State = box.at(0.0)
        self._message = _Message(box, processes)

    def requests(self, start: float, detail: float, end: float) -> Iterator[tuple[int, bytes]]:
        shape = self.box.shape
        t, due = start, start + COARSE_SECONDS
        process_due = -math.inf
        while t < end:
            fine = t >= detail
            step = 1.0 if fine else min(COARSE_STEP, max(1.0, detail - t))
            self._step(t, step)
            t += step
            if t < due:
                continue
            if t >= detail:
                due = math.floor((t - shape.phase) / shape.interval + 1) * shape.interval + shape.phase
            else:
                due = t + COARSE_SECONDS
            if any(a <= t < b for a, b in shape.silent):
                continue
            with_processes = "process" in shape.scrapers and t >= process_due
            if with_processes:
                process_due = t + shape.process_interval - 1e-6
            yield stamp(t), self._message.filled(t, self.now, self.counts, with_processes)

    def _step(self, t: float, dt: float) -> None:
        """One second stands for the whole of a longer step."""
        c, box = self.counts, self.box
        s = self.now = box.at(t)
        seconds = range(math.floor(t), math.floor(t + dt)) if dt > 1 else (math.floor(t),)
        uses = [u for x in seconds if (u := self.uses.get(x)) is not None]
        own_running = sum(u.running for u in uses) / dt
        own_waiting = sum(u.waiting for u in uses) / dt
        own_cpu = sum(u.cpu for u in uses) / dt
        own_requests = sum(u.requests for u in uses) / dt
        runnable = s.threads + own_running
        wanting = min(float(s.cores), s.threads + min(own_running, max(own_cpu / max(1e-6, 1 - s.steal), 0.0)))
        busy, stolen = wanting * (1.0 - s.steal), wanting * s.steal
        waiting = min(s.cores - wanting, min(s.depth, s.blocked) + own_waiting)
        for state, cores in (
            ("user", busy * 0.78), ("system", busy * 0.19), ("softirq", busy * 0.03), ("steal", stolen),
            ("wait", waiting), ("idle", s.cores - wanting - waiting),
        ):  # fmt: skip
            c.cpu[state] += max(0.0, cores) * dt
        k = math.exp(-dt / 60.0)
        c.load = c.load * k + (runnable + s.blocked + own_waiting) * (1.0 - k)
        depth = s.depth + own_waiting
        rate = min(depth, box.disk.parallel) / box.disk.service_seconds
        c.io_time += dt * (1.0 - math.exp(-depth))
        c.weighted += dt * depth
        c.requests += dt * max(rate, own_requests)
        c.request_time += dt * depth
        faults = s.faults + own_cpu * s.fault_rate
        c.faults += dt * faults
        if box.swap and s.fault_rate:
            c.swapped += dt * faults * PHYSICS.swap_share
        c.packets += dt * s.packets
        c.lost += dt * s.packets * s.loss
        read = dt * max(rate, own_requests) * PHYSICS.request_bytes / box.memory_bytes
        usual = PHYSICS.cache_of_rest * (1.0 - box.base_memory)
        c.cache = min(usual if c.cache < 0 else min(usual, c.cache + read), max(0.0, 1.0 - s.level - PHYSICS.kept_free))
        c.created += dt * 2.0
        self._step_processes(t, dt, s, own_cpu, own_requests, busy)

    def _step_processes(self, t: float, dt: float, s: State, own_cpu: float, own_requests: float, busy: float) -> None:
        c, box = self.counts, self.box
        running = [(x, part) for x in box.loads if (part := x.part(t + 0.5)) is not None]
        each = s.share(0.0) if s.threads > box.cores else 1.0 - s.steal
        rate = min(s.depth, box.disk.parallel) / box.disk.service_seconds
        for p in self.processes:
            if not p.start <= t < p.end:
                continue
            cpu = 0.004
            io = 200.0
            if p.who == OWN and p.carries:
                cpu += own_cpu
                io += own_requests * PHYSICS.request_bytes
            if p.carries:
                for x, _ in running:
                    if x.who != p.who:
                        continue
                    cpu += x.threads * min(1.0, each * (x.weight if x.weight < 1 and s.weights > box.cores else 1.0))
                    if x.depth and x.accounted and s.depth:
                        io += rate * x.depth / s.depth * PHYSICS.request_bytes
            c.process_cpu[p.pid] = c.process_cpu.get(p.pid, 0.0) + dt * min(cpu, busy + 0.01)
            c.process_io[p.pid] = c.process_io.get(p.pid, 0.0) + dt * io


@dataclass(frozen=True)
class _Slot:
    point: object
    name: str
    whole: bool


class _Message:
    """The request of one box and the places in it that change."""

    def __init__(self, box: Box, processes: Sequence[Process]) -> None:
        self.box, self.processes = box, processes
        self.scrapers = box.shape.scrapers
        self.cpu_states = STATES
        self.request = ExportMetricsServiceRequest()
        self.slots: list[_Slot] = []
        about = [("host.name", box.name), ("os.type", "linux")]
        resource = self.request.resource_metrics.add(resource=Resource(attributes=attributes(about)))
        self._host(_Writer(resource, self.slots))
        self.programs: dict[int, tuple[object, list[_Slot]]] = {}
        for p in processes:
            named: list[tuple[str, object]] = [
                *about, ("process.pid", p.pid), ("process.parent_pid", p.parent),
                ("process.executable.name", p.executable), ("process.command_line", p.command_line),
            ]  # fmt: skip
            one = ExportMetricsServiceRequest().resource_metrics.add(resource=Resource(attributes=attributes(named)))
            slots: list[_Slot] = []
            write = _Writer(one, slots)
            write.add("process", "process.cpu.time", "s", True, "cpu", whole=False, state="user", start=stamp(p.start))
            write.add("process", "process.memory.usage", "By", False, "memory", start=stamp(p.start))
            write.add("process", "process.disk.io", "By", True, "io", direction="read", start=stamp(p.start))
            self.programs[p.pid] = (one, slots)

    def _host(self, w: _Writer) -> None:
        box, on = self.box, self.scrapers
        if "cpu" in on:
            if box.shape.per_core:
                for core in range(box.cores):
                    for state in STATES:
                        w.add(
                            "cpu",
                            "system.cpu.time",
                            "s",
                            True,
                            f"core.{state}",
                            whole=False,
                            cpu=f"cpu{core}",
                            state=state,
                        )
            else:
                for state in STATES:
                    w.add("cpu", "system.cpu.time", "s", True, f"cpu.{state}", whole=False, state=state)
                w.add("cpu", "system.cpu.logical.count", "{cpu}", False, "cores")
        if "load" in on:
            w.add("load", "system.cpu.load_average.1m", "{thread}", None, "load", whole=False)
        if "memory" in on:
            for state in ("used", "free", "buffered", "cached", "slab_reclaimable", "slab_unreclaimable"):
                w.add("memory", "system.memory.usage", "By", False, f"memory.{state}", state=state)
            if box.shape.available:
                w.add("memory", "system.linux.memory.available", "By", False, "memory.available")
                w.add("memory", "system.memory.limit", "By", False, "memory.limit")
        if "paging" in on:
            for kind in ("major", "minor"):
                w.add("paging", "system.paging.faults", "{faults}", True, f"faults.{kind}", type=kind)
                for direction in ("page_in", "page_out"):
                    name = f"paging.{kind}.{direction}"
                    w.add(
                        "paging", "system.paging.operations", "{operations}", True, name, type=kind, direction=direction
                    )
            if box.swap:
                for state in ("used", "free"):
                    w.add(
                        "paging", "system.paging.usage", "By", False, f"swap.{state}", device="/swapfile", state=state
                    )
        if "disk" in on:
            w.add("disk", "system.disk.io_time", "s", True, "disk.io_time", whole=False, device="vda")
            w.add("disk", "system.disk.weighted_io_time", "s", True, "disk.weighted", whole=False, device="vda")
            for direction in ("read", "write"):
                at = {"device": "vda", "direction": direction}
                w.add("disk", "system.disk.operations", "{operations}", True, f"disk.operations.{direction}", **at)
                w.add("disk", "system.disk.operation_time", "s", True, f"disk.time.{direction}", whole=False, **at)
                w.add("disk", "system.disk.io", "By", True, f"disk.io.{direction}", **at)
        if "filesystem" in on:
            mount = {"device": "/dev/vda1", "mode": "rw", "mountpoint": "/", "type": "ext4"}
            for state in ("used", "free", "reserved"):
                w.add("filesystem", "system.filesystem.usage", "By", False, f"fs.{state}", state=state, **mount)
        if "network" in on:
            for direction in ("receive", "transmit"):
                at = {"device": "eth0", "direction": direction}
                w.add("network", "system.network.packets", "{packets}", True, "net.packets", **at)
                w.add("network", "system.network.dropped", "{packets}", True, f"net.dropped.{direction}", **at)
                w.add("network", "system.network.errors", "{errors}", True, "net.errors", **at)
                w.add("network", "system.network.io", "By", True, "net.io", **at)
        if "processes" in on:
            for status in ("running", "blocked", "sleeping"):
                w.add("processes", "system.processes.count", "{processes}", False, f"tasks.{status}", status=status)
            w.add("processes", "system.processes.created", "{processes}", True, "tasks.created")

    def filled(self, t: float, s: State, c: _Counts, with_processes: bool) -> bytes:
        values = _values(self.box, s, c)
        now = stamp(t)
        for slot in self.slots:
            _set(slot, now, values[slot.name])
        sent = self.request
        if with_processes:
            sent = ExportMetricsServiceRequest()
            sent.CopyFrom(self.request)
            for p in self.processes:
                if p.start <= t < p.end:
                    resource, slots = self.programs[p.pid]
                    memory = _memory_of(p, self.box, t)
                    for slot, value in zip(
                        slots, (c.process_cpu.get(p.pid, 0.0), memory, c.process_io.get(p.pid, 0.0)), strict=True
                    ):
                        _set(slot, now, value)
                    sent.resource_metrics.append(resource)
        return sent.SerializeToString()


def _memory_of(p: Process, box: Box, t: float) -> float:
    share = p.memory
    if p.carries:
        for x in box.loads:
            if x.who == p.who and x.memory and (part := x.part(t)) is not None:
                share += x.memory * (part if x.climbs else 1.0)
    return min(share, 0.97) * box.memory_bytes


def _set(slot: _Slot, now: int, value: float) -> None:
    slot.point.time_unix_nano = now
    if slot.whole:
        slot.point.as_int = round(value)
    else:
        slot.point.as_double = value


def _values(box: Box, s: State, c: _Counts) -> dict[str, float]:
    out = {f"cpu.{state}": v for state, v in c.cpu.items()}
    if box.shape.per_core:
        out |= {f"core.{state}": v / box.cores for state, v in c.cpu.items()}
    total = box.memory_bytes
    rest = max(0.0, 1.0 - s.level)
    cached = min(rest * 0.9, c.cache + s.cache)
    free, buffered, slab = rest - cached, cached * 0.05, 0.01
    available = rest
    cached += PHYSICS.shared  # counts as cached, and as used from v0.142 on
    used = s.level if not box.shape.old_used else max(0.0, 1.0 - free - cached)
    out |= {
        "cores": box.cores, "load": round(c.load, 2),
        "memory.used": used * total, "memory.free": free * total, "memory.buffered": buffered * total,
        "memory.cached": (cached - buffered) * total, "memory.slab_reclaimable": slab * total,
        "memory.slab_unreclaimable": slab * total, "memory.available": available * total, "memory.limit": total,
        "faults.major": round(c.faults) * PAGE, "faults.minor": round(c.faults * 9) * PAGE,
        "paging.major.page_in": round(c.swapped) * PAGE, "paging.major.page_out": round(c.swapped) * PAGE,
        "paging.minor.page_in": round(c.requests) * PAGE, "paging.minor.page_out": round(c.requests) * PAGE,
        "disk.io_time": c.io_time, "disk.weighted": c.weighted,
        "fs.used": s.filesystem * 0.95 * 100 * GIB, "fs.free": (1 - s.filesystem) * 0.95 * 100 * GIB,
        "fs.reserved": 0.05 * 100 * GIB,
        "net.packets": c.packets, "net.dropped.receive": c.lost, "net.dropped.transmit": 0.0, "net.errors": 0.0,
        "net.io": c.packets * PHYSICS.bytes_per_packet,
        "tasks.running": min(s.threads, 1e6) + 1, "tasks.blocked": s.blocked, "tasks.sleeping": 180,
        "tasks.created": c.created,
    }  # fmt: skip
    swap_used = min(0.95, 0.05 + max(0.0, s.wanted - PHYSICS.faults_begin) * 2.0)
    out |= {"swap.used": swap_used * 4 * GIB, "swap.free": (1 - swap_used) * 4 * GIB}
    for direction, share in (("read", 0.6), ("write", 0.4)):
        out[f"disk.operations.{direction}"] = c.requests * share
        out[f"disk.time.{direction}"] = c.request_time * share
        out[f"disk.io.{direction}"] = c.requests * share * PHYSICS.request_bytes
    return out


class _Writer:
    def __init__(self, resource: object, slots: list[_Slot]) -> None:
        self.resource, self.slots = resource, slots
        self.scopes: dict[str, object] = {}
        self.metrics: dict[str, object] = {}

    def add(
        self, scraper: str, metric: str, unit: str, counter: bool | None, name: str, *, whole: bool = True,
        start: int | None = None, **where: str,
    ) -> None:  # fmt: skip
        """`counter`: True cumulative and monotonic, False cumulative, None a gauge."""
        if scraper not in self.scopes:
            scope = self.resource.scope_metrics.add()
            scope.scope.name = f"{SCOPE}{scraper}scraper"
            self.scopes[scraper] = scope
        if metric not in self.metrics:
            made = self.scopes[scraper].metrics.add(name=metric, unit=unit)
            if counter is None:
                self.metrics[metric] = made.gauge
            else:
                made.sum.aggregation_temporality = 2
                made.sum.is_monotonic = counter
                self.metrics[metric] = made.sum
        point = self.metrics[metric].data_points.add(attributes=attributes(list(where.items())))
        if counter is not None:
            point.start_time_unix_nano = stamp(BOOTED) if start is None else start
        self.slots.append(_Slot(point, name, whole))
