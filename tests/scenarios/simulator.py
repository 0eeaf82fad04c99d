"""A box and its traces, second by second, as the OTLP requests a collector and an SDK would have sent.

The truth is a set of plain functions of time; counters grow from it and are read at the scrape interval, as
hostmetrics does. Nothing here knows the engine. Times are seconds after midnight of the last night (negative: earlier
nights).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

NS = 1_000_000_000
DAY = 86_400.0
MIDNIGHT_NS = 1_772_409_600 * NS
"""2026-03-02T00:00Z, the last night's midnight."""
SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/"
GIB = 2**30
SCRAPERS = ("cpu", "load", "memory", "paging", "disk", "filesystem", "network", "processes")
PAGING_FACTOR = 4096


@dataclass(frozen=True)
class Push:
    """A condition of the truth: `signal` moved by (or set to) `value` between two times, at once or climbing."""

    signal: str
    value: float
    start: float
    end: float
    climb: bool = False
    put: bool = False
    nights: int = 0
    """The same on so many earlier nights."""
    hold: float = 0.0
    """A climb stays at its top for so long after `end`."""

    def at(self, t: float) -> float | None:
        for night in range(self.nights + 1):
            x = t + night * DAY
            if self.start <= x < self.end:
                return self.value * ((x - self.start) / (self.end - self.start) if self.climb else 1.0)
            if self.climb and self.end <= x < self.end + self.hold:
                return self.value
        return None


BASE: dict[str, float] = {
    "cpu": 0.12,  # demand as a share of all CPUs; above 1 it queues
    "steal": 0.0,
    "memory": 0.40,
    "swap_used": 0.0,
    "swap_pages": 0.0,
    "major_faults": 2.0,
    "disk_busy": 0.06,
    "disk_queue": 0.1,
    "disk_await": 0.0025,
    "disk_ops": 40.0,
    "waiting": 0.0,  # tasks in uninterruptible wait beyond what the disk queue makes
    "blocked": 0.0,
    "filesystem": 0.52,
    "inodes": 0.10,
    "drops": 0.0,
    "packets": 1500.0,
    "throttled": 0.0,
    "container_memory": 0.30,
    "asleep": 0.0,
    "conntrack": 0.05,
    "psi_cpu": 0.0,  # share of the time in which some task waited for it
    "psi_memory": 0.0,
    "psi_io": 0.0,
}
PRESSURES = ("psi_cpu", "psi_memory", "psi_io")


@dataclass(frozen=True)
class Program:
    """A process: what it uses on top of nothing, as functions of time."""

    executable: str
    pid: int
    memory: Callable[[float], float]
    cpu: Callable[[float], float] = lambda t: 0.01
    io: Callable[[float], float] = lambda t: 0.0
    command_line: str = ""
    parent: int = 1
    start: float = -20 * DAY
    end: float = math.inf


@dataclass(frozen=True)
class Machine:
    name: str = "box"
    cpus: int = 4
    memory_bytes: float = 8 * GIB
    interval: float = 30.0
    scrapers: tuple[str, ...] = SCRAPERS
    swap_bytes: float = 0.0
    base: dict[str, float] = field(default_factory=dict)
    pushes: tuple[Push, ...] = ()
    programs: tuple[Program, ...] = ()
    silent: tuple[tuple[float, float], ...] = ()
    """When its collector sent nothing."""
    boots: tuple[float, ...] = (-30 * DAY,)
    container: str | None = None
    """Id of a container whose metrics are sent too (docker_stats)."""
    clock: float = 0.0
    """Seconds its clock runs ahead."""
    node: str | None = None
    attributes: tuple[tuple[str, object], ...] = ()
    """More resource attributes of the host."""
    phase: float | None = None
    """Seconds after each full interval at which it is scraped; random when None."""
    read_once: float | None = None
    """Scraped a single time."""

    def truth(self, t: float) -> dict[str, float]:
        now = {**BASE, **self.base}
        for push in self.pushes:
            value = push.at(t)
            if value is not None:
                now[push.signal] = value if push.put else now[push.signal] + value
        return now


@dataclass(frozen=True)
class Point:
    scraper: str
    metric: str
    unit: str
    counter: bool | None
    """True: cumulative monotonic; False: cumulative not monotonic; None: gauge."""
    value: float
    attributes: tuple[tuple[str, str], ...] = ()


STATES = ("user", "system", "nice", "idle", "wait", "interrupt", "softirq", "steal")


class Counters:
    """What the kernel would have counted, moved second by second."""

    def __init__(self, machine: Machine, rng: random.Random) -> None:
        self.m, self.rng = machine, rng
        self.cpu = dict.fromkeys(STATES, 0.0)
        self.cpu["idle"] = 1_000_000.0
        self.load = 0.5
        self.totals = dict.fromkeys(
            (*PRESSURES, "io_time", "weighted", "ops", "op_time", "bytes", "faults", "swaps", "packets", "drops", "created", "periods", "throttled"),
            0.0,
        )  # fmt: skip
        self.program_cpu: dict[int, float] = {p.pid: 1.0 for p in machine.programs}
        self.program_io: dict[int, float] = {p.pid: 0.0 for p in machine.programs}
        self.now = machine.truth(0.0)
        self.cache = self.usual_cache = 0.5 * (1.0 - self.now["memory"])
        """Page cache, share of memory: thrown out before memory is full, read back by what the disk moves."""

    def step(self, t: float, dt: float) -> None:
        now = self.now = self.m.truth(t)
        awake = 0.0 if now["asleep"] else dt
        n, noise = self.m.cpus, self.rng.gauss(0.0, 0.03)
        blip = 0.15 if 2220.0 <= t % 3600.0 < 2280.0 else 0.0
        demand = max(0.02, now["cpu"] + noise + blip)
        room = 1.0 - now["steal"]
        busy = min(demand, room)
        stolen = min(now["steal"], max(0.0, demand)) if now["steal"] else 0.0
        wait = min(max(0.0, 1.0 - busy - stolen), 0.15 * min(1.0, now["disk_queue"] / 4.0))
        for state, share in (
            ("user", busy * 0.8),
            ("system", busy * 0.2),
            ("steal", stolen),
            ("wait", wait),
            ("idle", 1.0 - busy - stolen - wait),
        ):
            self.cpu[state] += max(0.0, share) * n * awake
        tasks = demand * n + self.blocked(now) + now["waiting"]
        k = math.exp(-dt / 60.0)
        if awake:
            self.load = self.load * k + tasks * (1.0 - k)
        ops = now["disk_ops"]
        moved = {
            "io_time": min(1.0, now["disk_busy"]), "weighted": now["disk_queue"], "ops": ops, "op_time": ops * now["disk_await"],
            "bytes": ops * 65_536.0, "faults": now["major_faults"], "swaps": now["swap_pages"], "packets": now["packets"],
            **{name: now[name] for name in PRESSURES},
            "drops": now["packets"] * now["drops"], "created": 2.0, "periods": 10.0, "throttled": 10.0 * now["throttled"],
        }  # fmt: skip
        for name, rate in moved.items():
            self.totals[name] += rate * awake
        read = moved["bytes"] * awake / self.m.memory_bytes
        self.cache = max(0.0, min(self.cache + read, self.usual_cache, 0.98 - now["memory"]))
        for p in self.m.programs:
            if p.start <= t < p.end:
                self.program_cpu[p.pid] += p.cpu(t) * awake
                self.program_io[p.pid] += p.io(t) * awake

    @staticmethod
    def blocked(now: dict[str, float]) -> float:
        return now["blocked"] + (now["disk_queue"] * 0.7 if now["disk_queue"] > 1 else 0.0)

    def points(self, t: float) -> list[Point]:
        m, now, total = self.m, self.now, self.totals
        memory = m.memory_bytes
        used = now["memory"] * memory
        cached = self.cache * memory
        disk = (("device", "sda"),)
        link = (("device", "eth0"),)
        out = [Point("cpu", "system.cpu.time", "s", True, v, (("state", s),)) for s, v in self.cpu.items()]
        out.append(Point("cpu", "system.cpu.logical.count", "{cpu}", False, m.cpus))
        out.append(Point("load", "system.cpu.load_average.1m", "{thread}", None, round(self.load, 2)))
        for state, value in (
            ("used", used),
            ("free", memory - used - cached),
            ("cached", cached * 0.9),
            ("buffered", cached * 0.1),
        ):
            out.append(Point("memory", "system.memory.usage", "By", False, round(value), (("state", state),)))
        out.append(
            Point(
                "paging",
                "system.paging.faults",
                "{faults}",
                True,
                round(total["faults"]) * PAGING_FACTOR,
                (("type", "major"),),
            )
        )
        for direction in ("page_in", "page_out"):
            out.append(
                Point("paging", "system.paging.operations", "{operations}", True, round(total["swaps"] / 2) * PAGING_FACTOR,
                      (("direction", direction), ("type", "major")))
            )  # fmt: skip
        if m.swap_bytes:
            for state, share in (("used", now["swap_used"]), ("free", 1.0 - now["swap_used"])):
                out.append(
                    Point(
                        "paging",
                        "system.paging.usage",
                        "By",
                        False,
                        share * m.swap_bytes,
                        (("device", "/swap"), ("state", state)),
                    )
                )
        out.append(Point("disk", "system.disk.io_time", "s", True, total["io_time"], disk))
        out.append(Point("disk", "system.disk.weighted_io_time", "s", True, total["weighted"], disk))
        for direction, share in (("read", 0.6), ("write", 0.4)):
            where = (*disk, ("direction", direction))
            out.append(
                Point("disk", "system.disk.operations", "{operations}", True, round(total["ops"] * share), where)
            )
            out.append(Point("disk", "system.disk.operation_time", "s", True, total["op_time"] * share, where))
            out.append(Point("disk", "system.disk.io", "By", True, round(total["bytes"] * share), where))
        mount = (("device", "/dev/sda1"), ("mode", "rw"), ("mountpoint", "/"), ("type", "ext4"))
        for state, share in (("used", now["filesystem"]), ("free", 1.0 - now["filesystem"])):
            out.append(
                Point(
                    "filesystem", "system.filesystem.usage", "By", False, share * 100 * GIB, (*mount, ("state", state))
                )
            )
        for state, share in (("used", now["inodes"]), ("free", 1.0 - now["inodes"])):
            out.append(
                Point(
                    "filesystem",
                    "system.filesystem.inodes.usage",
                    "{inodes}",
                    False,
                    share * 6_000_000,
                    (*mount, ("state", state)),
                )
            )
        for direction in ("receive", "transmit"):
            where = (*link, ("direction", direction))
            dropped = total["drops"] if direction == "receive" else 0.0
            out.append(Point("network", "system.network.packets", "{packets}", True, round(total["packets"]), where))
            out.append(Point("network", "system.network.dropped", "{packets}", True, round(dropped), where))
            out.append(Point("network", "system.network.errors", "{errors}", True, 0, where))
            out.append(Point("network", "system.network.io", "By", True, round(total["packets"] * 600), where))
        running = max(1.0, now["cpu"] * m.cpus)
        for status, value in (("running", running), ("blocked", self.blocked(now)), ("sleeping", 180)):
            out.append(
                Point("processes", "system.processes.count", "{processes}", False, round(value), (("status", status),))
            )
        for name, metric in zip(PRESSURES, ("cpu", "memory", "io"), strict=True):
            out.append(Point("psi", f"node_pressure_{metric}_waiting_seconds_total", "s", True, total[name]))
        out.append(
            Point("conntrack", "system.network.conntrack.count", "{entries}", False, round(now["conntrack"] * 65_536))
        )
        out.append(Point("conntrack", "system.network.conntrack.max", "{entries}", False, 65_536))
        out.append(Point("processes", "system.processes.created", "{processes}", True, round(total["created"])))
        return [p for p in out if p.scraper in m.scrapers]

    def beside(self, t: float) -> tuple[list[tuple[Program, list[Point]]], list[Point]]:
        """Points of the programs that run and of the container."""
        programs = [
            (
                p,
                [
                    Point("process", "process.cpu.time", "s", True, self.program_cpu[p.pid], (("state", "user"),)),
                    Point("process", "process.memory.usage", "By", False, round(p.memory(t))),
                    Point(
                        "process",
                        "process.disk.io",
                        "By",
                        True,
                        round(self.program_io[p.pid]),
                        (("direction", "write"),),
                    ),
                ],
            )
            for p in self.m.programs
            if p.start <= t < p.end
        ]
        if not self.m.container:
            return programs, []
        limit, periods = 2 * GIB, "container.cpu.throttling_data."
        return programs, [
            Point("docker", "container.memory.usage.total", "By", False, round(self.now["container_memory"] * limit)),
            Point("docker", "container.memory.usage.limit", "By", False, limit),
            Point("docker", periods + "periods", "{periods}", True, round(self.totals["periods"])),
            Point("docker", periods + "throttled_periods", "{periods}", True, round(self.totals["throttled"])),
        ]


def _attributes(pairs: Sequence[tuple[str, object]]) -> list[KeyValue]:
    out = []
    for key, value in pairs:
        any_value = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=str(value))
        out.append(KeyValue(key=key, value=any_value))
    return out


def host_attributes(machine: Machine) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [("host.name", machine.name), ("os.type", "linux")]
    found += machine.attributes
    if machine.node:
        found.append(("k8s.node.name", machine.node))
    return found


@dataclass(frozen=True)
class Scrape:
    """One reading of everything the collector reads."""

    machine: Machine
    t: float
    boot: float
    host: list[Point]
    programs: list[tuple[Program, list[Point]]]
    container: list[Point]


def scrapes(machine: Machine, start: float, detail: float, end: float, seed: int) -> Iterator[Scrape]:
    """Every four minutes of the history (ten of a longer one), every interval from `detail` on."""
    spacing = 240.0 if detail - start <= 2 * DAY else 600.0
    rng = random.Random(seed)
    counters = Counters(machine, rng)
    phase = rng.uniform(0.0, machine.interval) if machine.phase is None else machine.phase
    t, booted = start, max(b for b in machine.boots if b <= start)
    next_scrape = start + spacing
    while t < end:
        dt = 1.0 if t >= detail - 1.0 else min(30.0, max(1.0, detail - 1.0 - t))
        boot = max(b for b in machine.boots if b <= t)
        if boot != booted:
            booted, counters = boot, Counters(machine, rng)
            counters.cpu["idle"] = 0.0
        counters.step(t, dt)
        t += dt
        if t < next_scrape:
            continue
        next_scrape = t + (spacing if t < detail else machine.interval)
        if t < detail <= next_scrape:
            next_scrape = math.ceil(detail / machine.interval) * machine.interval + phase
        once = machine.read_once is None or abs(t - machine.read_once) <= machine.interval / 2
        if once and not counters.now["asleep"] and not any(a <= t < b for a, b in machine.silent):
            yield Scrape(machine, t, boot, counters.points(t), *counters.beside(t))


def stamp(machine: Machine, t: float) -> int:
    return MIDNIGHT_NS + round((t + machine.clock) * NS)


def encode(scrape: Scrape) -> bytes:
    """As hostmetrics and docker_stats send it through one exporter."""
    machine, t = scrape.machine, stamp(scrape.machine, scrape.t)
    request = ExportMetricsServiceRequest()
    about = host_attributes(machine)
    resource = request.resource_metrics.add(resource=Resource(attributes=_attributes(about)))
    _fill(resource, scrape.host, t, stamp(machine, scrape.boot))
    for p, points in scrape.programs:
        named = [
            ("process.pid", p.pid), ("process.parent_pid", p.parent), ("process.executable.name", p.executable),
            ("process.command_line", p.command_line or p.executable),
        ]  # fmt: skip
        one = request.resource_metrics.add(resource=Resource(attributes=_attributes([*about, *named])))
        _fill(one, points, t, stamp(machine, p.start))
    if scrape.container:
        named = [("container.id", machine.container), ("container.name", "agent")]
        one = request.resource_metrics.add(resource=Resource(attributes=_attributes([*about, *named])))
        _fill(one, scrape.container, t, stamp(machine, scrape.boot), "otelcol/dockerstatsreceiver")
    return request.SerializeToString()


def _fill(resource, points: Sequence[Point], time_ns: int, start_ns: int, scope: str | None = None) -> None:
    scopes: dict[str, object] = {}
    named: dict[str, object] = {}
    for p in points:
        scope_name = scope or f"{SCOPE}{p.scraper}scraper"
        if scope_name not in scopes:
            scopes[scope_name] = resource.scope_metrics.add()
            scopes[scope_name].scope.name = scope_name
        if p.metric not in named:
            metric = scopes[scope_name].metrics.add(name=p.metric, unit=p.unit)
            if p.counter is None:
                named[p.metric] = metric.gauge
            else:
                metric.sum.aggregation_temporality = 2
                metric.sum.is_monotonic = p.counter
                named[p.metric] = metric.sum
        point = named[p.metric].data_points.add(
            time_unix_nano=time_ns, attributes=_attributes(p.attributes), as_double=p.value
        )
        if p.counter is not None:
            point.start_time_unix_nano = start_ns


# ── Traces ───────────────────────────────────────────────────────────────────────────────────────────────────────────

INTERNAL, SERVER, CLIENT = 1, 2, 3


@dataclass(frozen=True)
class Piece:
    """A span of a trace: `start` and `seconds` relative to the trace."""

    name: str
    start: float
    seconds: float
    kind: int = INTERNAL
    service: str = "agent"
    host: str = "box"
    parent: str | None = None
    error: str | None = None
    """Exception as `Type: message`."""
    lost: bool = False
    """Never exported: the process died before."""
    attributes: tuple[tuple[str, object], ...] = ()
    pending: bool = False
    """Never ended, but the SDK announced its start (Logfire's pending spans)."""
    outside_parent: bool = False
    """Its parent belongs to a gateway that exports elsewhere."""


def trace_request(
    pieces: Sequence[Piece], start: float, trace_id: bytes, machines: dict[str, Machine], resource: dict[str, object]
) -> bytes:
    """One trace as one export request; lost spans keep their ids, so that their children are orphans."""
    request = ExportTraceServiceRequest()
    ids = {p.name: trace_id[:4] + n.to_bytes(4, "big") for n, p in enumerate(pieces, 1)}
    groups: dict[tuple[str, str], object] = {}
    for p in pieces:
        if p.lost and not p.pending:
            continue
        key = (p.service, p.host)
        if key not in groups:
            about: list[tuple[str, object]] = [("service.name", p.service), ("service.instance.id", f"{p.service}-1")]
            if p.host:
                about.append(("host.name", p.host))
            about += [(k, v) for k, v in resource.items() if p.service == "agent"]
            groups[key] = request.resource_spans.add(resource=Resource(attributes=_attributes(about))).scope_spans.add()
        machine = machines.get(p.host)
        clock = machine.clock if machine else 0.0
        begin = MIDNIGHT_NS + round((start + p.start + clock) * NS)
        span = groups[key].spans.add(
            trace_id=trace_id, span_id=ids[p.name], name=p.name, kind=p.kind, start_time_unix_nano=begin,
            end_time_unix_nano=begin + round(p.seconds * NS), attributes=_attributes(p.attributes),
        )  # fmt: skip
        if p.pending:
            announced = [
                ("logfire.span_type", "pending_span"),
                ("logfire.pending_parent_id", ids[p.parent].hex() if p.parent else "0" * 16),
            ]
            span.attributes.extend(_attributes(announced))
            span.parent_span_id, span.span_id, span.end_time_unix_nano = ids[p.name], b"p" + ids[p.name][1:], begin
        elif p.parent:
            span.parent_span_id = ids[p.parent]
        elif p.outside_parent:
            span.parent_span_id = b"gateway!"
        if p.error:
            span.status.code = 2
            kind, _, message = p.error.partition(": ")
            span.status.message = message
            event = span.events.add(name="exception", time_unix_nano=begin + round(p.seconds * NS))
            event.attributes.extend(_attributes([("exception.type", kind), ("exception.message", message)]))
    return request.SerializeToString()
