"""A scrape of the box as the hostmetrics receiver of a current collector (v0.160) sends it.

One resource per scraper and one per process, each scraper with its own clock, start = boot (processes: their birth),
devices, TCP states and process states in a new order each time, no `cpu` attribute, faults and paging x 4096.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from hosts_mcp.demo.box import CPUS, MEMORY_BYTES, PAGE, Box, pages
from hosts_mcp.demo.programs import Process
from hosts_mcp.demo.wire import Frame, Metric, Order, Point, resource_metrics

VERSION = "0.160.0"
SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/"
SCHEMA = "https://opentelemetry.io/schemas/1.9.0"
PROCESS_SCHEMA = "https://opentelemetry.io/schemas/1.43.0"
_ORDERS = 6
"""Of each scraper that shuffles, so many orders are compiled and one is drawn per scrape."""

TCP_STATES = (
    "ESTABLISHED", "LISTEN", "TIME_WAIT", "CLOSE_WAIT", "SYN_SENT", "SYN_RECV", "FIN_WAIT_1", "FIN_WAIT_2",
    "LAST_ACK", "CLOSE", "CLOSING", "DELETE",
)  # fmt: skip
_WAYS = ("read", "write")
_FLOWS = ("transmit", "receive")

_Attributes = tuple[tuple[str, str], ...]
_Row = tuple[str, Literal["gauge", "counter", "updown"], str, str, Literal["int", "double"], Sequence[_Attributes], int]


def _each(key: str, values: tuple[str, ...], **fixed: str) -> list[_Attributes]:
    return [((key, value), *fixed.items()) for value in values]


def _of_devices(devices: tuple[str, ...], directions: tuple[str, ...] = ()) -> list[_Attributes]:
    if not directions:
        return [(("device", device),) for device in devices]
    return [(("device", device), ("direction", way)) for device in devices for way in directions]


def _of_mounts(states: tuple[str, ...]) -> list[_Attributes]:
    mounts = (("/dev/vda", "/"), ("/dev/vdb", "/var/lib/data"))
    return [
        (("device", device), ("mode", "rw"), ("mountpoint", mount), ("type", "ext4"), ("state", state))
        for device, mount in mounts
        for state in states
    ]


_DISKS = ("vda", "vdb")
_INTERFACES = ("lo", "eth0")
_PAGING = [(("direction", way), ("type", kind)) for kind in ("major", "minor") for way in ("page_in", "page_out")]
_STATES = ("user", "system", "idle", "interrupt", "nice", "softirq", "steal", "wait")
_MEMORY = ("used", "free", "buffered", "cached", "slab_reclaimable", "slab_unreclaimable")

CATALOGUE: dict[str, list[_Row]] = {
    "cpu": [
        ("system.cpu.logical.count", "updown", "{cpu}", "Number of available logical CPUs.", "int", [()], 0),
        ("system.cpu.time", "counter", "s", "Total seconds each logical CPU spent on each mode.", "double",
         _each("state", _STATES), 0),
    ],
    "disk": [
        ("system.disk.io", "counter", "By", "Disk bytes transferred.", "int", _of_devices(_DISKS, _WAYS), 0),
        ("system.disk.io_time", "counter", "s",
         "Time disk spent activated. On Windows, this is calculated as the inverse of disk idle time.", "double",
         _of_devices(_DISKS), 0),
        ("system.disk.merged", "counter", "{operations}",
         "The number of disk reads/writes merged into single physical disk access operations.", "int",
         _of_devices(_DISKS, _WAYS), 0),
        ("system.disk.operation_time", "counter", "s", "Time spent in disk operations.", "double",
         _of_devices(_DISKS, _WAYS), 0),
        ("system.disk.operations", "counter", "{operations}", "Disk operations count.", "int",
         _of_devices(_DISKS, _WAYS), 0),
        ("system.disk.pending_operations", "updown", "{operations}", "The queue size of pending I/O operations.", "int",
         _of_devices(_DISKS), 0),
        ("system.disk.weighted_io_time", "counter", "s", "Time disk spent activated multiplied by the queue length.",
         "double", _of_devices(_DISKS), 0),
    ],
    "filesystem": [
        ("system.filesystem.inodes.usage", "updown", "{inodes}", "FileSystem inodes used.", "int",
         _of_mounts(("used", "free")), 0),
        ("system.filesystem.usage", "updown", "By", "Filesystem bytes used.", "int",
         _of_mounts(("used", "free", "reserved")), 0),
    ],
    "load": [
        ("system.cpu.load_average.15m", "gauge", "{thread}", "Average CPU Load over 15 minutes.", "double", [()], 0),
        ("system.cpu.load_average.1m", "gauge", "{thread}", "Average CPU Load over 1 minute.", "double", [()], 0),
        ("system.cpu.load_average.5m", "gauge", "{thread}", "Average CPU Load over 5 minutes.", "double", [()], 0),
    ],
    "memory": [
        ("system.linux.memory.available", "updown", "By",
         "An estimate of how much memory is available for starting new applications, without swapping. This is a more "
         "accurate alternative than system.memory.usage with state=free. (Linux only)", "int", [()], 0),
        ("system.memory.limit", "updown", "By", "Total bytes of memory available.", "int", [()], 0),
        ("system.memory.usage", "updown", "By", "Bytes of memory in use.", "int", _each("state", _MEMORY), 0),
    ],
    "network": [
        ("system.network.connections", "updown", "{connections}", "The number of connections.", "int",
         [(("protocol", "tcp"), ("state", state)) for state in TCP_STATES], 1),
        ("system.network.dropped", "counter", "{packets}", "The number of packets dropped.", "int",
         _of_devices(_INTERFACES, _FLOWS), 0),
        ("system.network.errors", "counter", "{errors}", "The number of errors encountered.", "int",
         _of_devices(_INTERFACES, _FLOWS), 0),
        ("system.network.io", "counter", "By", "The number of bytes transmitted and received.", "int",
         _of_devices(_INTERFACES, _FLOWS), 0),
        ("system.network.packets", "counter", "{packets}", "The number of packets transferred.", "int",
         _of_devices(_INTERFACES, _FLOWS), 0),
    ],
    "paging": [
        ("system.paging.faults", "counter", "{faults}", "The number of page faults.", "int",
         _each("type", ("major", "minor")), 0),
        ("system.paging.operations", "counter", "{operations}", "The number of paging operations.", "int", _PAGING, 0),
    ],
    "processes": [
        ("system.processes.count", "updown", "{processes}", "Total number of processes in each state.", "int",
         _each("status", ("running", "sleeping", "idle", "blocked")), 0),
        ("system.processes.created", "counter", "{processes}",
         "Total number of created processes. Supported on Linux and OpenBSD.", "int", [()], 0),
    ],
    "system": [
        ("system.uptime", "gauge", "s", "The time the system has been running", "double", [()], 0),
    ],
}  # fmt: skip
"""Per scraper its metrics: name, kind, unit, description, type, attributes of each point, clock."""

PROCESS: list[_Row] = [
    ("process.cpu.time", "counter", "s", "Total CPU seconds broken down by different states.", "double",
     _each("state", ("user", "system", "wait")), 0),
    ("process.disk.io", "counter", "By", "Disk bytes transferred.", "int", _each("direction", _WAYS), 0),
    ("process.memory.usage", "updown", "By", "The amount of physical memory in use.", "int", [()], 0),
    ("process.memory.virtual", "updown", "By", "The amount of committed virtual memory.", "int", [()], 0),
]  # fmt: skip

_SHUFFLED = frozenset({"disk", "network", "processes"})


class Collector:
    """The collector on `box`. Its requests are what it would export at the box's present moment."""

    def __init__(self, box: Box, resource: Mapping[str, str | int], rng: random.Random, order: Order = "reversed"):
        self._box, self._resource, self._rng, self._order = box, dict(resource), rng, order
        self._scrapers = list(CATALOGUE)
        rng.shuffle(self._scrapers)  # a Go map's order: random per start of the collector, then fixed
        self._frames = {name: self._compile(name) for name in self._scrapers}
        self._processes: dict[int, Frame] = {}

    def host_request(self) -> bytes:
        """Every scraper once."""
        rng, now = self._rng, self._box.now_ns
        parts = []
        for scraper in self._scrapers:
            now += rng.randrange(50_000, 1_000_000)
            values = VALUES[scraper](self._box, rng)
            parts.append(rng.choice(self._frames[scraper]).fill(values, (now, now + rng.randrange(60_000, 400_000))))
        return b"".join(parts)

    def process_request(self) -> bytes:
        """Every process once; frames of processes that have gone are dropped."""
        rng, now = self._rng, self._box.now_ns
        living = [process for program in self._box.programs for process in program.processes]
        frames, parts = {}, []
        for process in living:
            now += rng.randrange(30_000, 200_000)
            frame = frames[process.pid] = self._processes.get(process.pid) or self._compile_process(process)
            parts.append(frame.fill(_process_values(process), (now,)))
        self._processes = frames
        return b"".join(parts)

    def _compile(self, scraper: str) -> list[Frame]:
        orders = _ORDERS if scraper in _SHUFFLED else 1
        return [
            resource_metrics(
                self._resource, SCHEMA, f"{SCOPE}{scraper}scraper", VERSION,
                _metrics(CATALOGUE[scraper], self._rng if scraper in _SHUFFLED else None),
                self._box.boot_ns, self._order,
            )
            for _ in range(orders)
        ]  # fmt: skip

    def _compile_process(self, process: Process) -> Frame:
        resource: dict[str, str | int] = {
            "process.pid": process.pid,
            "process.parent_pid": process.parent_pid,
            "process.executable.name": process.executable,
            "process.executable.path": process.path,
            "process.command": process.command_line.split(" ", 1)[0],
            "process.command_line": process.command_line,
            "process.owner": process.owner,
            **self._resource,
        }
        born_ns = process.start_ns // 10_000_000 * 10_000_000
        scope = f"{SCOPE}processscraper"
        return resource_metrics(resource, PROCESS_SCHEMA, scope, VERSION, _metrics(PROCESS), born_ns, self._order)


def _metrics(rows: list[_Row], rng: random.Random | None = None) -> list[Metric]:
    metrics, index = [], 0
    for name, kind, unit, description, number, attributes, clock in rows:
        points = [Point(a, index + i, clock) for i, a in enumerate(attributes)]
        index += len(points)
        if rng is not None:
            points = _device_wise_shuffled(points, rng)
        metrics.append(Metric(name, kind, unit, description, number == "int", points))
    return metrics


def _device_wise_shuffled(points: list[Point], rng: random.Random) -> list[Point]:
    """Devices come in any order, the two directions of a device together."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(dict(point.attributes).get("device", str(point.index)), []).append(point)
    shuffled = list(groups.values())
    rng.shuffle(shuffled)
    return [point for group in shuffled for point in group]


def _cpu(box: Box, _rng: random.Random) -> list[float]:
    return [CPUS, *(int(100 * box.cpu_seconds[state]) / 100 for state in _STATES)]


def _disk(box: Box, _rng: random.Random) -> list[float]:
    disks = (box.root_disk, box.data_disk)
    return [
        *(int(v) // 512 * 512 for d in disks for v in (d.read_bytes, d.write_bytes)),
        *(_milliseconds(d.busy_seconds) for d in disks),
        *(int(v) for d in disks for v in (d.read_ops * 0.03, d.write_ops * 0.4)),
        *(_milliseconds(v) for d in disks for v in (d.read_seconds, d.write_seconds)),
        *(int(v) for d in disks for v in (d.read_ops, d.write_ops)),
        *(round(d.queue) for d in disks),
        *(_milliseconds(d.weighted_seconds) for d in disks),
    ]


def _filesystem(box: Box, _rng: random.Random) -> list[float]:
    root_used, root_size, data_size = 17_400_000_000, 41_000_000_000, 118_000_000_000
    used = pages(box.data_bytes)
    return [
        412_000, 2_147_000, 96_000, 7_744_000,
        root_used, pages(root_size - root_used), 2_100_000_000 // PAGE * PAGE,
        used, data_size - used, 6_000_000_000 // PAGE * PAGE,
    ]  # fmt: skip


def _load(box: Box, _rng: random.Random) -> list[float]:
    one, five, fifteen = (round(value, 2) for value in box.load)
    return [fifteen, one, five]


def _memory(box: Box, _rng: random.Random) -> list[float]:
    states = box.memory.states()
    return [pages(box.memory.available), MEMORY_BYTES, *(states[name] for name in _MEMORY)]


def _network(box: Box, rng: random.Random) -> list[float]:
    cards = (box.loopback, box.ethernet)
    connections = dict.fromkeys(TCP_STATES, 0) | {
        "ESTABLISHED": rng.randint(17, 26), "LISTEN": 11, "TIME_WAIT": rng.randint(2, 14),
        "CLOSE_WAIT": rng.randint(0, 1),
    }  # fmt: skip
    return [
        *connections.values(),
        *(int(v) for c in cards for v in (0, c.dropped)),
        *(0 for _ in range(4)),
        *(int(v) for c in cards for v in (c.sent_bytes, c.received_bytes)),
        *(int(v) for c in cards for v in (c.sent_packets, c.received_packets)),
    ]


def _paging(box: Box, _rng: random.Random) -> list[float]:
    disks = (box.root_disk, box.data_disk)
    read, written = sum(d.read_bytes for d in disks), sum(d.write_bytes for d in disks)
    return [int(box.major_faults) * PAGE, int(box.minor_faults) * PAGE,
            0, 0, int(read) // 1024 * PAGE, int(written) // 1024 * PAGE]  # fmt: skip


def _processes(box: Box, rng: random.Random) -> list[float]:
    alive = sum(len(program.processes) for program in box.programs)
    return [1 + box.running, 84 + alive + rng.randint(-2, 2), 61 + rng.randint(-1, 1), box.blocked, int(box.forks)]


def _uptime(box: Box, _rng: random.Random) -> list[float]:
    return [float((box.now_ns - box.boot_ns) // 1_000_000_000)]


def _process_values(process: Process) -> list[float]:
    usage = process.usage()
    return [
        int(100 * usage.user_seconds) / 100, int(100 * usage.system_seconds) / 100, 0.0,
        int(usage.read_bytes), int(usage.write_bytes),
        pages(process.resident_bytes), pages(2.4 * process.resident_bytes + 90_000_000),
    ]  # fmt: skip


def _milliseconds(seconds: float) -> float:
    return int(1000 * seconds) / 1000


VALUES: dict[str, Callable[[Box, random.Random], list[float]]] = {
    "cpu": _cpu, "disk": _disk, "filesystem": _filesystem, "load": _load, "memory": _memory, "network": _network,
    "paging": _paging, "processes": _processes, "system": _uptime,
}  # fmt: skip
