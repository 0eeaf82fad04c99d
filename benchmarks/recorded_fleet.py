"""Made-up boxes that send what a real collector sent: slots, units and several clocks of a recorded scrape.

Values go on from the recorded ones as the kernel counts them: CPU in hundredths of a second, disk times in
milliseconds, bytes in sectors or pages; series that stood still go on standing still. Deterministic by seed.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from hosts_mcp.otlp.batch import PointGroup, Resource, Slot
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.store.protocol import Host
from hosts_mcp.store.sqlite import SqliteWriter
from hosts_mcp.timerange import NS
from tests.recordings import requests_in

SCRAPE = Path(__file__).parents[1] / "fixtures" / "recorded" / "v0.160-grpc-nobatch.otlp.gz"
T0 = 1_760_000_400 * NS
"""The begin of an hour."""
_QUANTUM = {"s": 0.01, "By": 512.0}
"""Smallest step of a counter by its unit; 1 otherwise."""


_OPTIONAL = frozenset(
    {
        "system.cpu.logical.count", "system.cpu.utilization", "system.filesystem.utilization",
        "system.linux.memory.available", "system.memory.limit", "system.memory.utilization", "system.uptime",
    }
)  # fmt: skip
"""Those of the recorded metrics that the receiver sends only when it is told to."""


class Box:
    """One box; `scrape(time)` is what it sends then."""

    def __init__(self, number: int, load: float = 1.0, *, optional: bool = True) -> None:
        """`load`: of what a busy box does; an idle one has 0.01. `optional`: with the metrics that are off at first."""
        self.name = f"box-{number}"
        self._load = load
        self._rng = random.Random(number)
        self._groups = _recorded() if optional else [g for group in _recorded() if (g := _by_default(group)).slots]
        self._resource = Resource({"host.name": self.name}, self.name.encode())
        self._boot_ns = T0 - (86_400 + self._rng.randrange(100_000)) * NS
        self._values = [list(g.values) for g in self._groups]
        self._rates = [[self._rate(s, v) for s, v in zip(g.slots, g.values, strict=True)] for g in self._groups]
        self._quanta = [[_quantum(slot) for slot in g.slots] for g in self._groups]
        self._last_ns = T0

    def _rate(self, slot: Slot, value: float) -> float:
        """Growth per second of a counter, a hundredth of the size of a gauge."""
        if not value:
            return 0.0
        if slot.kind != "counter":
            return value / 100
        if slot.get("state") == "idle":
            return 1.0
        most = self._load if slot.unit == "s" else self._load * (1e6 if slot.unit == "By" else 100.0)
        return most * self._rng.random() ** 3

    def scrape(self, time_ns: int) -> list[PointGroup]:
        seconds, self._last_ns = (time_ns - self._last_ns) / NS, time_ns
        uniform, clock = self._rng.random, time_ns + self._rng.randrange(2_000_000)
        found = []
        for group, values, rates, quanta in zip(self._groups, self._values, self._rates, self._quanta, strict=True):
            clock += self._rng.randrange(50_000, 1_000_000)
            for i, (slot, rate, quantum) in enumerate(zip(group.slots, rates, quanta, strict=True)):
                if slot.metric == "system.uptime":
                    values[i] = (clock - self._boot_ns) / NS
                elif rate and slot.kind == "counter":
                    pace = 1.0 if slot.get("state") == "idle" else 2 * uniform()
                    values[i] += quantum * round(rate * seconds * pace / quantum)
                    values[i] = round(values[i], 3)
                elif rate and uniform() < 0.5:
                    values[i] = max(0.0, round(values[i] + quantum * round(rate * (uniform() - 0.5) / quantum), 3))
            found.append(
                group._replace(resource=self._resource, time_ns=clock, start_ns=self._boot_ns, values=tuple(values))
            )
        return found


def _quantum(slot: Slot) -> float:
    if slot.metric.startswith("system.disk") and slot.unit == "s":
        return 0.001
    if "load_average" in slot.metric:
        return 0.01
    return 4096.0 if "memory" in slot.metric else _QUANTUM.get(slot.unit, 1.0)


def _by_default(group: PointGroup) -> PointGroup:
    kept = [at for at, slot in enumerate(group.slots) if slot.metric not in _OPTIONAL]
    return group._replace(slots=tuple(group.slots[at] for at in kept), values=tuple(group.values[at] for at in kept))


_SCRAPED_FOR_NS = 20_000_000
"""At most, from the first scraper to the last."""
_SCRAPE: list[PointGroup] = []


def _recorded() -> list[PointGroup]:
    """The groups of one scrape: of those with some of the same metrics the largest (shares begin with the second)."""
    if not _SCRAPE:
        found: dict[str, PointGroup] = {}
        for request, _ in requests_in(SCRAPE, 0):
            for group in decode_metrics(request.body, request.encoding).groups:
                metric = min(slot.metric for slot in group.slots)
                if "process.pid" not in group.resource.attributes and (
                    metric not in found or len(group.slots) > len(found[metric].slots)
                ):
                    found[metric] = group
        _SCRAPE.extend(found.values())
    return _SCRAPE


class Fleet:
    """Boxes that are scraped together into one file, arriving as they are made."""

    def __init__(
        self, writer: SqliteWriter, boxes: int, interval_ns: int, *, load: float = 1.0, optional: bool = True
    ) -> None:
        self._writer, self._interval_ns = writer, interval_ns
        self._boxes = [Box(number, load, optional=optional) for number in range(boxes)]
        self._hosts: list[Host] = []
        self.now_ns = T0
        self.points = 0
        """Sent so far."""

    def scrape(self) -> None:
        """The next scrape of every box, in one transaction."""
        writer, self.now_ns = self._writer, self.now_ns + self._interval_ns
        writer.begin()
        self._hosts = self._hosts or [writer.add_host(self._host(box.name)) for box in self._boxes]
        for host, box in zip(self._hosts, self._boxes, strict=True):
            entity = writer.entity("host", host.id, b"box", {}, None, self.now_ns, self.now_ns)
            groups = box.scrape(self.now_ns - _SCRAPED_FOR_NS)
            writer.add_points(host.id, entity, "hostmetrics", groups, self.now_ns)
            self.points += sum(len(group.values) for group in groups)
            writer.update_host(replace(host, newest_ns=self.now_ns, last_arrived_ns=self.now_ns))
        writer.commit()

    def _host(self, name: str) -> Host:
        return Host(0, name, "host", name, first_arrived_ns=T0, cpu_count=2, memory_bytes=8 * 2**30, os_type="linux",
                    sources=("hostmetrics",), interval_ns=self._interval_ns, usual_lag_ns=0)  # fmt: skip
