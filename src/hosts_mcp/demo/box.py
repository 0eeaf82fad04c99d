"""The box as it is: programs that ask for CPU, disk and memory, and the counters a kernel would keep of that.

Nothing here knows metrics or verdicts. The laws: CPU states add up to cpus x time; a disk is busy at most all the
time; queue = throughput x latency (Little's law); load is the damped count of running and blocked tasks that the kernel
takes every five seconds; memory that programs take is memory that the page cache loses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hosts_mcp.demo.programs import Demand, Program
from hosts_mcp.timerange import NS

TICK_NS = 5 * NS
"""The kernel counts tasks for the load every five seconds (LOAD_FREQ); demands hold for one tick."""
PAGE = 4096
MIB = 1 << 20
CPUS = 4
MEMORY_BYTES = 8_127_406_080
"""What Linux calls MemTotal on an 8 GiB machine: a little is gone for firmware and the kernel itself."""

_SHARED_BYTES = 1_060 * MIB
_KERNEL_BYTES = 330 * MIB
_SLAB_RECLAIMABLE_BYTES = 210 * MIB
_SLAB_UNRECLAIMABLE_BYTES = 96 * MIB
_BUFFERS_BYTES = 58 * MIB
_LOW_WATERMARK_BYTES = 66 * MIB
_HOT_FILES_BYTES = 900 * MIB
"""Programs, libraries and warm data: a page cache below that size reads again what it has just dropped."""
_DAMPING = tuple(math.exp(-5 / window) for window in (60, 300, 900))

_SERVICE_SECONDS = 0.0015
"""One small request on an idle disk."""
_SATURATED_OPS = 150.0
"""Large requests that the data disk completes per second when it never rests."""


@dataclass(slots=True)
class Disk:
    """Cumulative counters as in /proc/diskstats; times in seconds."""

    name: str
    read_ops: float = 0.0
    write_ops: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    read_seconds: float = 0.0
    write_seconds: float = 0.0
    busy_seconds: float = 0.0
    weighted_seconds: float = 0.0
    queue: float = 0.0
    """Requests in flight now."""
    await_seconds: float = _SERVICE_SECONDS

    def serve(self, demand: Demand, share: float, waiting: float, seconds: float, rng: random.Random) -> None:
        """Take `share` of the demanded small requests, and keep `waiting` large ones in the queue throughout."""
        reads, writes = demand.read_ops * share, demand.write_ops * share
        if waiting > 0:
            busy = min(0.999, rng.gauss(0.98, 0.006))
            self.queue = max(1.5, waiting + rng.gauss(0.3, 0.4))
            ops = _SATURATED_OPS * busy
            reads, writes, read_size, write_size = ops * 0.66, ops * 0.34, 98_304, 49_152
        else:
            ops = reads + writes
            busy = min(0.95, ops * _SERVICE_SECONDS)
            self.queue = busy / (1 - busy)
            read_size, write_size = 20_480, 12_288
        self.await_seconds = self.queue / ops if ops > 0.01 else _SERVICE_SECONDS
        self.read_ops += reads * seconds
        self.write_ops += writes * seconds
        self.read_bytes += reads * read_size * seconds
        self.write_bytes += writes * write_size * seconds
        self.read_seconds += reads * self.await_seconds * seconds
        self.write_seconds += writes * self.await_seconds * seconds
        self.busy_seconds += busy * seconds
        self.weighted_seconds += self.queue * seconds


@dataclass(slots=True)
class Network:
    name: str
    received_bytes: float = 0.0
    sent_bytes: float = 0.0
    received_packets: float = 0.0
    sent_packets: float = 0.0
    dropped: float = 0.0

    def carry(self, received: float, sent: float, seconds: float) -> None:
        self.received_bytes += received * seconds
        self.sent_bytes += sent * seconds
        self.received_packets += (received / 700 + 2) * seconds
        self.sent_packets += (sent / 600 + 2) * seconds


@dataclass(slots=True)
class Memory:
    """Bytes as /proc/meminfo shows them."""

    cached: float = 2_600.0 * MIB
    """The page cache with shared memory in it."""
    anonymous: float = 0.0

    def settle(self, anonymous: float, read_bytes: float) -> None:
        """Programs have taken `anonymous`; the page cache keeps what was read, as far as there is room."""
        self.anonymous = anonymous
        taken = anonymous + _KERNEL_BYTES + _SLAB_RECLAIMABLE_BYTES + _BUFFERS_BYTES
        room = MEMORY_BYTES - taken - 1.6 * _LOW_WATERMARK_BYTES
        self.cached = max(_SHARED_BYTES + 60 * MIB, min(self.cached + read_bytes, room))

    @property
    def free(self) -> float:
        taken = self.anonymous + _KERNEL_BYTES + _SLAB_RECLAIMABLE_BYTES + _BUFFERS_BYTES
        return max(MEMORY_BYTES - taken - self.cached, 24.0 * MIB)

    @property
    def files(self) -> float:
        return self.cached - _SHARED_BYTES

    @property
    def available(self) -> float:
        """MemAvailable: free above the watermark, and what the page cache and the slab can give back."""
        reclaimable = self.files + _BUFFERS_BYTES + _SLAB_RECLAIMABLE_BYTES
        return max(0.0, self.free - _LOW_WATERMARK_BYTES + reclaimable - 2 * _LOW_WATERMARK_BYTES)

    def states(self) -> dict[str, int]:
        """As a current collector sends them: used is total - available, so the states exceed the total."""
        return {
            "used": MEMORY_BYTES - pages(self.available),
            "free": pages(self.free),
            "buffered": _BUFFERS_BYTES,
            "cached": pages(self.cached + _SLAB_RECLAIMABLE_BYTES),
            "slab_reclaimable": _SLAB_RECLAIMABLE_BYTES,
            "slab_unreclaimable": _SLAB_UNRECLAIMABLE_BYTES,
        }

    def refaults_per_second(self) -> float:
        return 600.0 * max(0.0, 1 - self.files / _HOT_FILES_BYTES)


@dataclass(slots=True)
class Box:
    """One machine. `advance` is the only way that time passes."""

    programs: Sequence[Program]
    boot_ns: int
    now_ns: int
    rng: random.Random
    cpu_seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("user", "system", "idle", "interrupt", "nice", "softirq", "steal", "wait"), 0.0
        )
    )
    load: list[float] = field(default_factory=lambda: [0.4, 0.4, 0.4])
    root_disk: Disk = field(default_factory=lambda: Disk("vda"))
    data_disk: Disk = field(default_factory=lambda: Disk("vdb"))
    ethernet: Network = field(default_factory=lambda: Network("eth0"))
    loopback: Network = field(default_factory=lambda: Network("lo"))
    memory: Memory = field(default_factory=Memory)
    minor_faults: float = 0.0
    major_faults: float = 0.0
    forks: float = 0.0
    running: int = 0
    blocked: int = 0
    data_bytes: float = 61e9
    """Used on the data disk's file system."""
    _demands: list[Demand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ask()
        self._pass((self.now_ns - self.boot_ns) / NS)

    def advance(self, until_ns: int) -> None:
        """Let time pass; demands are asked anew, and tasks counted for the load, at each full tick."""
        while self.now_ns < until_ns:
            tick_end = (self.now_ns // TICK_NS + 1) * TICK_NS
            target = min(tick_end, until_ns)
            self._pass((target - self.now_ns) / NS)
            self.now_ns = target
            if target == tick_end:
                self._ask()
                self._count_tasks()

    def _ask(self) -> None:
        self._demands = [program.demand(self.now_ns) for program in self.programs]

    def _pass(self, seconds: float) -> None:
        rng = self.rng
        total = total_of(self._demands)
        self._compute(total, seconds)
        reads_before = self.data_disk.read_bytes + self.root_disk.read_bytes
        refaults = self.memory.refaults_per_second()
        paging_in = total._replace(read_ops=total.read_ops + 1.3 * refaults)
        self.root_disk.serve(paging_in, 0.55, 0.0, seconds, rng)
        self.data_disk.serve(total, 0.45, total.waiting_requests, seconds, rng)
        read = self.data_disk.read_bytes + self.root_disk.read_bytes - reads_before
        self.memory.settle(total.anonymous_bytes, read)
        self.ethernet.carry(total.received_bytes, total.sent_bytes, seconds)
        self.loopback.carry(total.local_bytes, total.local_bytes, seconds)
        self.major_faults += (refaults + 0.05) * seconds
        self.minor_faults += (900 + 1500 * (total.user + total.system)) * seconds
        self.forks += (1.2 + 0.8 * total.user) * seconds

    def _compute(self, total: Demand, seconds: float) -> None:
        wanted = total.user + total.system
        granted = min(1.0, (CPUS * 0.997) / wanted) if wanted > 0 else 1.0
        for program, demand in zip(self.programs, self._demands, strict=True):
            program.ran(demand, granted, seconds)
        cpu, capacity = self.cpu_seconds, CPUS * seconds
        busy_user, busy_system = total.user * granted * seconds, total.system * granted * seconds
        steal = capacity * 0.0015
        left = max(0.0, capacity - busy_user - busy_system - steal)
        waiting = left * (1 - (1 - 1 / CPUS) ** total.blocked_tasks)
        cpu["user"] += busy_user * 0.995
        cpu["nice"] += busy_user * 0.005
        cpu["system"] += busy_system * 0.93
        cpu["softirq"] += busy_system * 0.06
        cpu["interrupt"] += busy_system * 0.01
        cpu["steal"] += capacity - busy_user - busy_system - left
        cpu["wait"] += waiting
        cpu["idle"] += left - waiting

    def _count_tasks(self) -> None:
        rng = self.rng
        self.running = sum(whole(d.user + d.system, rng) for d in self._demands)
        blocked = sum(d.blocked_tasks for d in self._demands)
        self.blocked = max(0, round(rng.gauss(blocked, 0.4 * math.sqrt(blocked)))) if blocked else 0
        tasks = self.running + self.blocked
        for i, damping in enumerate(_DAMPING):
            self.load[i] = self.load[i] * damping + tasks * (1 - damping)


def total_of(demands: Sequence[Demand]) -> Demand:
    """What all programs together ask for."""
    return Demand(*map(sum, zip(*demands, strict=True)))


def whole(mean: float, rng: random.Random) -> int:
    """A whole number of tasks whose expectation is `mean`."""
    return int(mean) + (rng.random() < mean % 1)


def pages(value: float) -> int:
    return int(value) // PAGE * PAGE
