"""The programs on the box: what each asks for at a moment, and the processes it consists of.

A program's consumption is shared out to its processes by fixed shares, so the process scraper's numbers and the host's
can never contradict each other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hosts_mcp.timerange import NS

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
MIB = 1 << 20


class Demand(NamedTuple):
    """Asked of the box at one moment; rates per second, CPU in cores."""

    user: float = 0.0
    system: float = 0.0
    read_ops: float = 0.0
    write_ops: float = 0.0
    waiting_requests: float = 0.0
    """Large disk requests that are always in flight (closed loop)."""
    blocked_tasks: float = 0.0
    anonymous_bytes: float = 0.0
    received_bytes: float = 0.0
    sent_bytes: float = 0.0
    local_bytes: float = 0.0
    read_volume: float = 0.0
    write_volume: float = 0.0
    """Bytes through read() and write(), as the kernel counts them for the process (rchar, wchar)."""


class Usage(NamedTuple):
    """Cumulative seconds of CPU and bytes of volume."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent_pid: int
    path: str
    command_line: str
    owner: str
    start_ns: int
    share: float
    """Of its program's CPU, volume and anonymous memory."""
    mapped_bytes: int
    """Resident besides that: program text, libraries, shared buffers."""
    program: Program
    born_with: Usage

    @property
    def executable(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def resident_bytes(self) -> float:
        return self.mapped_bytes + self.share * self.program.anonymous_bytes

    def usage(self) -> Usage:
        pairs = zip(self.program.usage, self.born_with, strict=True)
        return Usage(*(self.share * (now - then) for now, then in pairs))


class Program:
    """Base of all: `demand` says what it wants, `ran` what it got."""

    def __init__(self, rng: random.Random, pids: Iterator[int]) -> None:
        self.rng = rng
        self.usage = Usage()
        self.anonymous_bytes = 0.0
        self.processes: list[Process] = []
        self._pids = pids

    def demand(self, now_ns: int) -> Demand:
        raise NotImplementedError

    def ran(self, demand: Demand, granted: float, seconds: float) -> None:
        """Account for `seconds` in which the demand was met, its CPU as far as `granted` (0 to 1)."""
        was = self.usage
        self.usage = Usage(
            was.user_seconds + demand.user * granted * seconds,
            was.system_seconds + demand.system * granted * seconds,
            was.read_bytes + demand.read_volume * seconds,
            was.write_bytes + demand.write_volume * seconds,
        )
        self.anonymous_bytes = demand.anonymous_bytes

    def start(
        self, path: str, command_line: str, owner: str, now_ns: int, *, parent: int = 1, share: float, mapped: int
    ) -> Process:
        """A process of this program begins; `mapped` in MiB."""
        pid = next(self._pids)
        process = Process(pid, parent, path, command_line, owner, now_ns, share, mapped * MIB, self, self.usage)
        self.processes.append(process)
        return process


def pid_numbers(rng: random.Random) -> Iterator[int]:
    """Pids grow, with gaps for what came and went unseen."""
    pid = 400
    while True:
        pid += rng.randint(1, 60)
        yield pid


DAEMONS: tuple[tuple[str, str, str, float, int], ...] = (
    ("/usr/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald", "root", 0.10, 14),
    ("/usr/sbin/cron", "/usr/sbin/cron -f -P", "root", 0.01, 3),
    ("/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", "root", 0.01, 8),
    ("/usr/bin/dockerd", "/usr/bin/dockerd -H fd://", "root", 0.14, 62),
    ("/usr/bin/containerd", "/usr/bin/containerd", "root", 0.12, 41),
    ("/usr/sbin/nginx", "nginx: worker process", "www-data", 0.12, 11),
    ("/usr/bin/redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis", 0.20, 22),
    (
        "/usr/bin/otelcol-contrib",
        "/usr/bin/otelcol-contrib --config=/etc/otelcol-contrib/host.yaml",
        "otelcol",
        0.30,
        118,
    ),
)
"""Path, command line, owner, share of the daemons' consumption, resident MiB besides."""


class Daemons(Program):
    """What runs on every server, with an hourly job that burns CPU for a minute."""

    def __init__(self, rng: random.Random, pids: Iterator[int], now_ns: int) -> None:
        super().__init__(rng, pids)
        self._drift = 0.0
        self._blip = (-1, 0, 0.0)
        for path, command_line, owner, share, mapped in DAEMONS:
            self.start(path, command_line, owner, now_ns, share=share, mapped=mapped)

    def demand(self, now_ns: int) -> Demand:
        rng = self.rng
        self._drift = 0.98 * self._drift + rng.gauss(0, 0.02)
        user = max(0.05, rng.gauss(0.24, 0.05) + self._burst(now_ns))
        return Demand(
            user=user,
            system=0.07 + 0.1 * user,
            read_ops=max(0.0, rng.gauss(9, 3)),
            write_ops=max(0.0, rng.gauss(22, 5)),
            anonymous_bytes=(1_150 + 160 * self._drift) * MIB,
            received_bytes=18e3,
            sent_bytes=11e3,
            local_bytes=40e3,
            read_volume=150e3,
            write_volume=90e3,
        )

    def _burst(self, now_ns: int) -> float:
        hour, second = divmod(now_ns // NS, 3600)
        if hour != self._blip[0]:
            self._blip = (hour, self.rng.randrange(3400), self.rng.uniform(0.2, 1.2))
        return self._blip[2] if 0 <= second - self._blip[1] < 60 else 0.0


class WebService(Program):
    """`orders-api`, busy by day and quiet by night."""

    def __init__(self, rng: random.Random, pids: Iterator[int], now_ns: int) -> None:
        super().__init__(rng, pids)
        line = "/srv/orders/.venv/bin/python /srv/orders/.venv/bin/gunicorn orders.app:app --workers 2"
        main = self.start("/srv/orders/.venv/bin/python3.12", line, "orders", now_ns, share=0.05, mapped=38)
        for _ in range(2):
            path = "/srv/orders/.venv/bin/python3.12"
            self.start(path, line, "orders", now_ns, parent=main.pid, share=0.475, mapped=44)

    @staticmethod
    def traffic(now_ns: int) -> float:
        """0.15 at four in the morning, 1 in the afternoon."""
        return 0.575 - 0.425 * math.cos(2 * math.pi * (now_ns % DAY_NS - 4 * HOUR_NS) / DAY_NS)

    def demand(self, now_ns: int) -> Demand:
        traffic = self.traffic(now_ns) * self.rng.uniform(0.8, 1.2)
        return Demand(
            user=0.22 * traffic,
            system=0.04 * traffic,
            read_ops=2 * traffic,
            write_ops=6 * traffic,
            anonymous_bytes=(250 + 30 * traffic) * MIB,
            received_bytes=90e3 * traffic,
            sent_bytes=160e3 * traffic,
            local_bytes=120e3 * traffic,
            read_volume=400e3 * traffic,
            write_volume=220e3 * traffic,
        )


class Maintained(Program):
    """The store that is maintained at night: a daemon all day, a job whenever `job_at` has one."""

    def __init__(
        self, rng: random.Random, pids: Iterator[int], now_ns: int, name: str, job_at: Callable[[int], Job | None]
    ) -> None:
        super().__init__(rng, pids)
        self.name = name
        self._job_at = job_at
        self._job: Job | None = None
        self._workers: list[Process] = []
        path, line, owner = _daemon(name)
        self.start(path, line, owner, now_ns, share=0.0, mapped=64)
        for title in ("checkpointer", "background writer", "walwriter") if name == "postgres" else ():
            self.start(path, f"postgres: {title}", owner, now_ns, parent=self.processes[0].pid, share=0.0, mapped=120)

    def demand(self, now_ns: int) -> Demand:
        job = self._job_at(now_ns)
        if job is not self._job:
            self._change(job, now_ns)
        if job is None:
            return Demand(user=0.02, system=0.01, read_ops=1, write_ops=4, anonymous_bytes=140 * MIB, write_volume=30e3)
        rng = self.rng
        reads, writes = rng.gauss(9.6e6, 4e5), rng.gauss(2.4e6, 2e5)
        return Demand(
            user=max(0.3, rng.gauss(0.82, 0.08)),
            system=max(0.1, rng.gauss(0.32, 0.04)),
            read_ops=1,
            write_ops=4,
            waiting_requests=max(6.0, rng.gauss(13.7, 1.0)),
            blocked_tasks=max(4.0, rng.gauss(9.3, 0.7)),
            anonymous_bytes=140 * MIB + job.taken_bytes(now_ns),
            read_volume=reads,
            write_volume=writes,
        )

    def _change(self, job: Job | None, now_ns: int) -> None:
        for worker in self._workers:
            self.processes.remove(worker)
        self._workers, self._job = [], job
        if job is None:
            return
        path, _, owner = _daemon(self.name)
        parent = self.processes[0].pid
        lines = (
            ("postgres: maintenance orders [local] VACUUM", "postgres: parallel worker for PID {0}")
            if self.name == "postgres"
            else (f"{self.name}: nightly run", f"{self.name}: worker of {{0}}")
        )
        leader = self.start(path, lines[0], owner, now_ns, parent=parent, share=0.7, mapped=210)
        helper = self.start(path, lines[1].format(leader.pid), owner, now_ns, parent=parent, share=0.3, mapped=180)
        self._workers = [leader, helper]


def _daemon(name: str) -> tuple[str, str, str]:
    if name == "postgres":
        path = "/usr/lib/postgresql/16/bin/postgres"
        return (
            path,
            f"{path} -D /var/lib/postgresql/16/main -c config_file=/etc/postgresql/16/main/postgresql.conf",
            name,
        )
    return f"/usr/bin/{name}", f"/usr/bin/{name} --config /etc/{name}/{name}.conf", "root"


@dataclass(frozen=True, slots=True)
class Job:
    """One night's maintenance: it takes memory steadily until just before its end and gives it back at the end."""

    start_ns: int
    end_ns: int
    peak_bytes: float

    def taken_bytes(self, now_ns: int) -> float:
        done = (now_ns - self.start_ns) / (self.end_ns - self.start_ns)
        return self.peak_bytes * min(1.0, done / 0.975)
