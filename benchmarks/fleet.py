"""Made-up hosts that write what real collectors write: a resource per scraper and per process, scopes, units and
descriptions on the wire, several clocks, disks and states in a new order every scrape, either field order.

Values are random walks and say nothing about storage; figures of storage are taken from the demo's story.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from hosts_mcp.demo.hostmetrics import SCHEMA, SCOPE, TCP_STATES, VERSION
from hosts_mcp.demo.wire import Metric, Order, Point, resource_metrics

BOOT_NS = 1_790_000_000_000_000_000
_CPU = ("user", "system", "idle", "interrupt", "nice", "softirq", "steal", "wait")
_MEMORY = ("used", "free", "buffered", "cached", "slab_reclaimable", "slab_unreclaimable")
_TASKS = ("running", "sleeping", "idle", "blocked", "zombies", "unknown")

_Attributes = tuple[tuple[str, str], ...]
_Row = tuple[str, str, str, bool, Sequence[_Attributes], int]


def _product(*axes: tuple[str, Sequence[str]]) -> list[_Attributes]:
    rows: list[_Attributes] = [()]
    for key, values in axes:
        rows = [(*row, (key, value)) for row in rows for value in values]
    return rows


class SimulatedHost:
    """One host with the hostmetrics receiver. Defaults: 8 cores, 3 disks, 4 mounts, 3 interfaces, 178 points."""

    def __init__(self, name: str, *, order: Order = "reversed", cpus: int = 8, disks: int = 3, processes: int = 0):
        self._rng = random.Random(name)
        self._order = order
        self._resource: dict[str, str | int] = {
            "host.name": name, "host.id": f"{self._rng.getrandbits(128):032x}", "os.type": "linux",
            "host.arch": "amd64", "cloud.provider": "aws", "cloud.region": "eu-central-1",
            "deployment.environment": "production",
        }  # fmt: skip
        self._scrapers = _scrapers(cpus, [f"nvme{i}n1" if i else "sda" for i in range(disks)])
        self._pids = [2_000 + 7 * i for i in range(processes)]
        self._counts = self._rng.randrange(10**6)
        self.points = sum(len(row[4]) for rows in self._scrapers.values() for row in rows) + 7 * processes

    def scrape(self, time_ns: int) -> bytes:
        """One ExportMetricsServiceRequest."""
        names = list(self._scrapers)
        random.Random(self._resource["host.id"]).shuffle(names)  # random per start of the collector, then fixed
        parts = [self._part(self._resource, name, self._scrapers[name], time_ns) for name in names]
        for pid in self._pids:
            program = f"worker-{pid % 9}"
            process = {
                "process.pid": pid, "process.parent_pid": 1, "process.executable.name": program,
                "process.executable.path": f"/usr/local/bin/{program}", "process.command": program,
                "process.command_line": f"/usr/local/bin/{program} --config /etc/{program}.toml --shard {pid}",
                "process.owner": "app", **self._resource,
            }  # fmt: skip
            parts.append(self._part(process, "process", _PROCESS, time_ns))
        return b"".join(parts)

    def _part(self, resource: dict[str, str | int], scraper: str, rows: Sequence[_Row], time_ns: int) -> bytes:
        metrics, values = [], list[float]()
        for name, kind, unit, integer, attributes, clock in rows:
            order = self._shuffled(attributes) if name.startswith(_SHUFFLED) else attributes
            points = [Point(a, len(values) + i, clock) for i, a in enumerate(order)]
            self._counts += self._rng.randrange(1, 4096)
            places = {a: place for place, a in enumerate(attributes)}  # of the series, wherever it stands: none falls
            for point in points:
                is_still = name in _STILL and not _FREE.intersection(point.attributes)
                value = places[point.attributes] + (0 if is_still else self._counts)
                values.append(value if integer else value / 100)
            metrics.append(Metric(name, kind, unit, f"What {name} says about the host.", integer, points))  # type: ignore[arg-type]
        frame = resource_metrics(resource, SCHEMA, f"{SCOPE}{scraper}scraper", VERSION, metrics, BOOT_NS, self._order)
        begun = time_ns + self._rng.randrange(50_000, 1_000_000)
        return frame.fill(values, (begun, begun + 137_000))

    def _shuffled(self, attributes: Sequence[_Attributes]) -> list[_Attributes]:
        """As Go walks a map: of devices, each with its ways in their order, or of states."""
        blocks: dict[object, list[_Attributes]] = {}
        for one in attributes:
            blocks.setdefault(dict(one).get("device", one), []).append(one)
        order = list(blocks)
        self._rng.shuffle(order)
        return [one for key in order for one in blocks[key]]


_STILL = frozenset({
    "system.cpu.time", "system.disk.io_time", "system.disk.weighted_io_time", "system.network.dropped",
    "system.network.errors", "system.memory.usage", "system.paging.operations",
    *(f"system.cpu.load_average.{m}m" for m in (1, 5, 15)),
})  # fmt: skip
_FREE = frozenset({("state", "idle"), ("state", "free")})
"""What moves on a busy box: most boxes are idle, and what the server makes of an alarm would be measured instead."""
_SHUFFLED = ("system.disk.", "system.network.connections", "system.processes.count")
"""What the receiver keeps in a map; interfaces stand in a list (`fixtures/recorded`)."""
_PROCESS: list[_Row] = [
    ("process.cpu.time", "counter", "s", False, _product(("state", ("user", "system", "wait"))), 0),
    ("process.disk.io", "counter", "By", True, _product(("direction", ("read", "write"))), 0),
    ("process.memory.usage", "updown", "By", True, [()], 0),
    ("process.memory.virtual", "updown", "By", True, [()], 0),
]


def _scrapers(cpus: int, disks: Sequence[str]) -> dict[str, list[_Row]]:
    ways, flows = ("direction", ("read", "write")), ("direction", ("transmit", "receive"))
    device, interface = ("device", disks), ("device", ("lo", "eth0", "docker0"))
    mounts = [
        (("device", f"/dev/{disk}"), ("mode", "rw"), ("mountpoint", mount), ("type", "ext4"))
        for disk, mount in (("sda1", "/"), ("sda2", "/boot"), ("nvme1n1", "/var"), ("nvme2n1", "/srv/data"))
    ]
    return {
        "cpu": [("system.cpu.time", "counter", "s", False,
                 _product(("cpu", [f"cpu{i}" for i in range(cpus)]), ("state", _CPU)), 0)],
        "disk": [
            ("system.disk.io", "counter", "By", True, _product(device, ways), 0),
            ("system.disk.io_time", "counter", "s", False, _product(device), 0),
            ("system.disk.merged", "counter", "{operations}", True, _product(device, ways), 0),
            ("system.disk.operation_time", "counter", "s", False, _product(device, ways), 0),
            ("system.disk.operations", "counter", "{operations}", True, _product(device, ways), 0),
            ("system.disk.pending_operations", "updown", "{operations}", True, _product(device), 0),
            ("system.disk.weighted_io_time", "counter", "s", False, _product(device), 0),
        ],
        "filesystem": [
            ("system.filesystem.inodes.usage", "updown", "{inodes}", True,
             [(*mount, ("state", state)) for mount in mounts for state in ("used", "free")], 0),
            ("system.filesystem.usage", "updown", "By", True,
             [(*mount, ("state", state)) for mount in mounts for state in ("used", "free", "reserved")], 0),
        ],
        "load": [(f"system.cpu.load_average.{m}m", "gauge", "{thread}", False, [()], 0) for m in (15, 1, 5)],
        "memory": [("system.memory.usage", "updown", "By", True, _product(("state", _MEMORY)), 0)],
        "network": [
            ("system.network.connections", "updown", "{connections}", True,
             _product(("protocol", ("tcp",)), ("state", TCP_STATES)), 1),
            ("system.network.dropped", "counter", "{packets}", True, _product(interface, flows), 0),
            ("system.network.errors", "counter", "{errors}", True, _product(interface, flows), 0),
            ("system.network.io", "counter", "By", True, _product(interface, flows), 0),
            ("system.network.packets", "counter", "{packets}", True, _product(interface, flows), 0),
        ],
        "paging": [
            ("system.paging.faults", "counter", "{faults}", True, _product(("type", ("major", "minor"))), 0),
            ("system.paging.operations", "counter", "{operations}", True,
             _product(("type", ("major", "minor")), ("direction", ("page_in", "page_out"))), 0),
        ],
        "processes": [
            ("system.processes.count", "updown", "{processes}", True, _product(("status", _TASKS)), 0),
            ("system.processes.created", "counter", "{processes}", True, [()], 0),
        ],
    }  # fmt: skip


def scrapes(
    hosts: Sequence[SimulatedHost], rounds: int, *, every_ns: int = 10**10, begin_ns: int = BOOT_NS + 3600 * 10**9
) -> Iterator[tuple[int, bytes]]:
    """(time, request) of every host in turn, `rounds` times."""
    for number in range(rounds):
        for host in hosts:
            time_ns = begin_ns + number * every_ns
            yield time_ns, host.scrape(time_ns)


def batched(
    hosts: Sequence[SimulatedHost], rounds: int, points: int = 8_192, *, begin_ns: int = BOOT_NS + 3600 * 10**9
) -> Iterator[tuple[int, bytes]]:
    """(time of the first, request) as a gateway's batch processor sends them: whole scrapes up to so many points."""
    waiting: list[bytes] = []
    begun_ns = room = 0
    for number, (time_ns, body) in enumerate(scrapes(hosts, rounds, begin_ns=begin_ns)):
        own = hosts[number % len(hosts)].points
        if own > room and waiting:
            yield begun_ns, b"".join(waiting)
            waiting.clear()
        if not waiting:
            begun_ns, room = time_ns, points
        waiting.append(body)
        room -= own
