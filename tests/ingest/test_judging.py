"""Judging only what could have changed finds what judging everything finds, pass for pass."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hosts_mcp.ingest.judging import Judge
from hosts_mcp.otlp.batch import PointGroup, Resource, Slot
from hosts_mcp.store.protocol import Host
from hosts_mcp.store.sqlite import open_reader, open_writer
from hosts_mcp.timerange import NS

T0 = 1_780_000_000 * NS
GIB = 2.0**30
Values = list[tuple[Slot, float]]

LEVELS = {
    "cpu": (0.1, 0.3, 0.5, 0.8, 0.87, 0.99), "steal": (0.0, 0.0, 0.02, 0.12), "wait": (0.0, 0.02, 0.19, 0.3),
    "memory": (0.3, 0.5, 0.84, 0.86, 0.895, 0.92, 0.97), "load": (0.5, 1.0, 5.7, 6.5, 14.0), "swap": (0.0, 0.3, 0.82),
    "paged": (0.0, 0.0, 50.0, 90.0, 300.0), "busy": (0.05, 0.3, 0.88, 0.95, 1.0), "queue": (0.1, 1.0, 6.0, 12.0),
    "drops": (0.0, 0.0, 0.5, 2.0, 8.0), "errors": (0.0, 0.0, 0.0, 0.05, 1.0), "inodes": (0.1, 0.5, 0.89, 0.91, 0.99),
}  # fmt: skip
"""Of each quantity the values that a regime may have, quiet ones first."""


@dataclass
class Box:
    """Whose quantities change now and then, that reboots, loses scrapers and sends late."""

    seed: int
    interval: int
    rng: random.Random = field(init=False)
    now: dict[str, float] = field(default_factory=lambda: {name: values[0] for name, values in LEVELS.items()})
    counters: dict[str, float] = field(default_factory=dict)
    full: float = 0.45
    filling: float = 0.0
    boot_ns: int = T0 - 5 * 86_400 * NS
    silent: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def scrape(self, time_ns: int) -> Iterator[tuple[str, Values]]:
        rng = self.rng
        if self._happens(2400):
            name = rng.choice(list(LEVELS))
            self.now[name] = rng.choice(LEVELS[name])
        if self._happens(900):
            self.now = {name: rng.choice(values[:2]) for name, values in LEVELS.items()}
            self.filling = 0.0
        if self._happens(7200):
            self.filling = rng.choice((0.01, 0.06, -0.3))
        self.full = min(1.0, max(0.4, self.full + self.filling * self.interval / 600))
        if self._happens(40_000):
            self.boot_ns, self.counters = time_ns - 20 * NS, {}
        if self._happens(9000):
            self.silent ^= {rng.choice(("processes", "filesystem", "network", "paging", "load"))}
        for scraper, values in self._values(time_ns).items():
            if scraper not in self.silent:
                yield scraper, values

    def _happens(self, every_seconds: float) -> bool:
        return self.rng.random() < self.interval / every_seconds

    def _count(self, name: str, per_second: float) -> float:
        wobble = self.rng.uniform(0.97, 1.03)
        self.counters[name] = self.counters.get(name, 1000.0) + per_second * wobble * self.interval
        return self.counters[name]

    def _values(self, time_ns: int) -> dict[str, Values]:
        now, rng = self.now, self.rng
        memory = min(1.0, now["memory"] * rng.uniform(0.995, 1.005)) * 8 * GIB
        idle = max(0.0, 1 - now["cpu"] - now["steal"] - now["wait"])
        states = {"user": now["cpu"], "idle": idle, "steal": now["steal"], "wait": now["wait"]}
        disks = {"sda": now["busy"], "sdb": 0.02}
        found: dict[str, Values] = {
            "cpu": [_slot("system.cpu.time", "counter", 4 * self._count(state, share), cpu="cpu0", state=state)
                    for state, share in states.items()],
            "load": [_slot("system.cpu.load_average.1m", "gauge", now["load"])],
            "memory": [_slot("system.memory.usage", "updown", memory, state="used"),
                       _slot("system.memory.usage", "updown", 7 * GIB - memory * 0.8, state="free"),
                       _slot("system.memory.usage", "updown", GIB, state="cached"),
                       _slot("system.memory.usage", "updown", GIB / 8, state="buffered")],
            "paging": [_slot("system.paging.usage", "updown", now["swap"] * GIB, device="/s", state="used"),
                       _slot("system.paging.usage", "updown", (1 - now["swap"]) * GIB, device="/s", state="free"),
                       _slot("system.paging.operations", "counter", 4096 * round(self._count("pages", now["paged"])),
                             direction="page_out", type="major")],
            "processes": [_slot("system.processes.count", "updown", 2.0, status="running"),
                          _slot("system.processes.count", "updown", 90.0, status="sleeping")],
            "system": [_slot("system.uptime", "gauge", (time_ns - self.boot_ns) / NS)],
            "disk": [], "network": [], "filesystem": [],
        }  # fmt: skip
        for disk, busy in disks.items():
            queue = now["queue"] if disk == "sda" else 0.02
            for metric, rate in (("io_time", busy), ("weighted_io_time", queue)):
                found["disk"].append(_slot(f"system.disk.{metric}", "counter", self._count(metric + disk, rate),
                                           device=disk))  # fmt: skip
            for metric, rate in (("operations", 50.0), ("operation_time", 50 * 0.004 * queue), ("io", 1e5)):
                value = self._count(metric + disk, rate)
                found["disk"].append(_slot(f"system.disk.{metric}", "counter", value, device=disk, direction="write"))
        for metric, rate in (("packets", 100.0), ("dropped", now["drops"]), ("errors", now["errors"]), ("io", 1e5)):
            value = self._count(metric, rate)
            found["network"].append(_slot(f"system.network.{metric}", "counter", value, device="eth0",
                                          direction="receive"))  # fmt: skip
        for mount, full in (("/", self.full), ("/var", 0.3)):
            of = {"device": f"/dev{mount}", "mountpoint": mount, "type": "ext4", "mode": "rw"}
            for state, share in (("used", full), ("free", 1 - full)):
                found["filesystem"].append(_slot("system.filesystem.usage", "updown", share * 1e11, state=state, **of))
            for state, share in (("used", now["inodes"]), ("free", 1 - now["inodes"])):
                slot = _slot("system.filesystem.inodes.usage", "updown", share * 1e6, state=state, **of)
                found["filesystem"].append(slot)
        return found


def _slot(metric: str, kind: str, value: float, **attributes: str) -> tuple[Slot, float]:
    return Slot(metric, kind, tuple(sorted(attributes.items())), ""), value  # type: ignore[arg-type]


def _compared(folder: Path, seed: int, interval: int, hours: float) -> tuple[int, int, set[str]]:
    """(passes, of them without a whole judgement, codes that were found)."""
    box, late = Box(seed, interval), random.Random(-seed)
    writer, codes, calm, passes = open_writer(folder / "box.db"), set[str](), 0, 0
    reader = open_reader(folder / "box.db")
    resource = Resource({"host.name": "box"}, b"box")
    writer.begin()
    host = writer.add_host(Host(0, "box", "host", "box", os_type="linux", sources=("hostmetrics",), cpu_count=4,
                                interval_ns=interval * NS, first_arrived_ns=T0 - NS, usual_lag_ns=0))  # fmt: skip
    writer.commit()
    judge, held = Judge(reader, look_ns=0), list[tuple[int, PointGroup]]()
    for number in range(round(hours * 3600 / interval)):
        time_ns = T0 + number * interval * NS
        sent = [
            PointGroup(resource, scraper, "", time_ns, box.boot_ns, tuple(s for s, _ in v), tuple(x for _, x in v))
            for scraper, v in box.scrape(time_ns)
        ]
        writer.begin()
        entity = writer.entity("host", host.id, b"box", {}, None, time_ns, time_ns)
        if late.random() < interval / 20_000:
            held += [(number + late.randrange(1, 15), group) for group in sent]
        elif late.random() > 0.01:
            due = [group for when, group in held if when <= number]
            held = [(when, group) for when, group in held if when > number]
            for group in (*due, *sent):
                writer.add_points(host.id, entity, "hostmetrics", [group], time_ns + NS)
            host = replace(host, newest_ns=time_ns, last_arrived_ns=time_ns + NS)
            writer.update_host(host)
        writer.commit()
        for wait in (2, 12) if interval > 10 else (2,):
            now_ns = time_ns + wait * NS
            ((_, expected),) = Judge(reader).findings(now_ns)
            ((_, found),) = judge.findings(now_ns)
            assert sorted(found, key=repr) == sorted(expected, key=repr), (number, wait)
            calm, passes = calm + bool(judge._known), passes + 1
            codes.update(row.code for row in found)
            writer.begin()
            writer.write_findings(host.id, found)
            writer.commit()
    reader.close()
    writer.close()
    return passes, calm, codes


@pytest.mark.parametrize(("seed", "interval", "hours"), [(11, 30, 4), (2, 60, 6), (13, 10, 1.2), (15, 5, 0.7)])
def test_judging_what_could_have_changed_finds_the_same(tmp_path: Path, seed: int, interval: int, hours: float) -> None:
    passes, calm, codes = _compared(tmp_path, seed, interval, hours)
    assert calm > passes / 20, "hardly anything was left out: this proves nothing"
    assert codes


class Quiet(Box):
    """Where nothing changes but by the test's hand."""

    def _happens(self, every_seconds: float) -> bool:
        return False


@pytest.mark.parametrize(
    ("change", "code", "delay_seconds"),
    [
        ({"cpu": 0.99, "load": 14.0}, "cpu_saturated", 0),
        ({"swap": 0.82}, "swap_full", 0),
        ({"inodes": 0.99}, "inodes_full", 60),
    ],
)
def test_a_calm_host_is_looked_at_once_a_minute_and_what_must_last_is_found_no_later(
    tmp_path: Path, change: dict[str, float], code: str, delay_seconds: int
) -> None:
    box, writer = Quiet(1, 10), open_writer(tmp_path / "box.db")
    reader = open_reader(tmp_path / "box.db")
    writer.begin()
    host = writer.add_host(Host(0, "box", "host", "box", os_type="linux", sources=("hostmetrics",), cpu_count=4,
                                interval_ns=10 * NS, first_arrived_ns=T0 - NS, usual_lag_ns=0))  # fmt: skip
    entity = writer.entity("host", host.id, b"box", {}, None, T0, T0)
    writer.commit()
    whole, judge, found = Judge(reader, look_ns=0), Judge(reader), dict[str, list[int]]()
    changed_at = 61
    for number in range(90):
        time_ns = T0 + number * 10 * NS
        if number == changed_at:
            box.now |= change
        writer.begin()
        for scraper, values in box.scrape(time_ns):
            slots, read = zip(*values, strict=True)
            group = PointGroup(Resource({}, b"box"), scraper, "", time_ns, box.boot_ns, slots, read)
            writer.add_points(host.id, entity, "hostmetrics", [group], time_ns + NS)
        writer.update_host(replace(host, newest_ns=time_ns, last_arrived_ns=time_ns + NS))
        writer.commit()
        for name, one in (("whole", whole), ("looked", judge)):
            ((_, rows),) = one.findings(time_ns + 2 * NS)
            if any(row.code == code for row in rows):
                found.setdefault(name, []).append(number)
        if number < changed_at:
            assert not found
            assert number < 10 or judge._known
    reader.close()
    writer.close()
    delay = found["looked"][0] - found["whole"][0]
    assert 0 <= delay * 10 <= delay_seconds


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(100, 124))
def test_judging_what_could_have_changed_finds_the_same_with_many_boxes(tmp_path: Path, seed: int) -> None:
    assert _compared(tmp_path, seed, (10, 30, 60, 300)[seed % 4], (3, 8, 12, 48)[seed % 4])[0]
