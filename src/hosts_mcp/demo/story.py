"""The overnight story in time order: nightly maintenance, a nightly batch beside it, and one night that ends badly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hosts_mcp.demo.box import MEMORY_BYTES, Box
from hosts_mcp.demo.hostmetrics import Collector
from hosts_mcp.demo.programs import DAY_NS, HOUR_NS, Daemons, Job, Maintained, WebService, pid_numbers
from hosts_mcp.demo.traces import Agent, Attributes, Batch, Visitors
from hosts_mcp.demo.wire import Order
from hosts_mcp.timerange import NS

MINUTE_NS = 60 * NS
EVENING_NS = 4 * HOUR_NS
"""The data begins that long before the first midnight."""


@dataclass(frozen=True, slots=True)
class Options:
    host: str = "web-1"
    culprit: str = "postgres"
    own_leak: bool = False
    """The agent itself takes the memory on the last night, and nothing else runs then."""
    process: bool = True
    """Whether the process scraper is on."""
    seed: int = 1
    nights: int = 8
    order: Order = "reversed"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One export request at the moment when its sender sends it."""

    signal: Literal["metrics", "traces"]
    body: bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class Night:
    """What happens between midnight and two, UTC."""

    job: Job | None
    batch: Batch


class Story:
    """The box and its senders. `until` may be called again and again: after the story it goes on as a live box.

    Everything follows from the options and from `now_ns`, which places the last night: its 02:00 is the latest before.
    """

    def __init__(self, options: Options, now_ns: int) -> None:
        self.options = options
        last_two_ns = (now_ns - 2 * HOUR_NS) // DAY_NS * DAY_NS + 2 * HOUR_NS
        self.last_midnight_ns = last_two_ns - 2 * HOUR_NS
        self.start_ns = self.last_midnight_ns - (options.nights - 1) * DAY_NS - EVENING_NS
        self._nights: dict[int, Night] = {}
        rng = self._random("box")
        boot_ns = self.start_ns // NS * NS - rng.randrange(3 * DAY_NS, 9 * DAY_NS) // NS * NS
        host: Attributes = {
            "host.name": options.host, "os.type": "linux", "host.id": f"{rng.getrandbits(128):032x}",
            "host.arch": "amd64",
        }  # fmt: skip
        pids = pid_numbers(rng)
        born_ns = boot_ns + 20 * NS
        self._daemons = Daemons(self._random("daemons"), pids, born_ns)
        web = WebService(self._random("web"), pids, born_ns)
        store = Maintained(self._random("store"), pids, born_ns, options.culprit, self._job_at)
        self._agent = Agent(self._random("agent"), pids, host)
        self.box = Box([self._daemons, web, store, self._agent], boot_ns, self.start_ns, self._random("kernel"))
        resource = {key: str(value) for key, value in host.items()}
        self._collector = Collector(self.box, resource, self._random("collector"), options.order)
        self._visitors = Visitors(web, host, self._random("visitors"), self.start_ns)
        self._phase_ns = rng.randrange(30 * NS)
        self._scrapes = 0
        self._next_scrape_ns = self.start_ns + self._phase_ns
        self._last_words: list[bytes] = []

    @cached_property
    def trace_id(self) -> str:
        """Of the batch that was killed on the last night."""
        return self.trace_of(0)

    def trace_of(self, nights_before: int) -> str:
        """Of the batch so many nights before the last."""
        return self._night(self.last_midnight_ns - nights_before * DAY_NS).batch.trace_id.hex()

    def past(self, now_ns: int) -> Iterator[Outgoing]:
        """Everything up to now: earlier nights at half the pace, so that a week is there in seconds."""
        yield from self.until(self.last_midnight_ns - 6 * HOUR_NS, 60 * NS)
        yield from self.until(now_ns)

    def until(self, end_ns: int, interval_ns: int = 30 * NS) -> Iterator[Outgoing]:
        """What is sent up to `end_ns`, oldest first; the box is scraped every `interval_ns`."""
        while self._next_scrape_ns <= end_ns:
            self._pass_to(self._next_scrape_ns)
            yield from self._sent()
            self._next_scrape_ns += interval_ns

    def _pass_to(self, moment_ns: int) -> None:
        """Let the box run, stopping where the agent begins or is killed, so that both happen on time."""
        batch = self._night(moment_ns // DAY_NS * DAY_NS).batch
        if self.box.now_ns < batch.start_ns <= moment_ns:
            self.box.advance(batch.start_ns)
            self._agent.begin(batch, cron=self._daemons.processes[1])
        if batch.killed_ns and self.box.now_ns < batch.killed_ns <= moment_ns:
            self.box.advance(batch.killed_ns)
            self._last_words = self._agent.work(self.box)
        self.box.advance(moment_ns)

    def _sent(self) -> Iterator[Outgoing]:
        now_ns = self.box.now_ns
        yield Outgoing("metrics", self._collector.host_request(), now_ns)
        self._scrapes += 1
        # Processes at half the pace of the box, as their scraper is usually set up.
        if self.options.process and self._scrapes % 2:
            yield Outgoing("metrics", self._collector.process_request(), now_ns)
        bodies = [*self._last_words, *self._agent.work(self.box), *self._visitors.visit(self.box)]
        self._last_words = []
        for body in bodies:
            yield Outgoing("traces", body, now_ns)

    def _job_at(self, now_ns: int) -> Job | None:
        job = self._night(now_ns // DAY_NS * DAY_NS).job
        return job if job and job.start_ns <= now_ns < job.end_ns else None

    def _night(self, midnight_ns: int) -> Night:
        if midnight_ns not in self._nights:
            self._nights[midnight_ns] = self._plan(midnight_ns)
        return self._nights[midnight_ns]

    def _plan(self, midnight_ns: int) -> Night:
        options, last = self.options, midnight_ns == self.last_midnight_ns
        rng = self._random(f"night {(midnight_ns - self.last_midnight_ns) // DAY_NS}")
        start_ns = midnight_ns + HOUR_NS + rng.randrange(1, 25) * NS
        killed_ns = midnight_ns + 2 * HOUR_NS - 2 * MINUTE_NS + rng.randrange(45 * NS) if last else None
        documents = round(rng.gauss(150, 4)) + (90 if last else 0)
        trace_id = rng.getrandbits(128).to_bytes(16, "big")
        points = rng.uniform(0.495, 0.51) if last else rng.uniform(0.26, 0.29)
        leak = last and options.own_leak
        batch = Batch(trace_id, start_ns, documents, killed_ns, points * MEMORY_BYTES if leak else 0.0)
        if leak:
            return Night(None, batch)
        job_start_ns = midnight_ns + rng.randrange(2, 50) * NS
        job_end_ns = midnight_ns + 2 * HOUR_NS + rng.randrange(5, 90) * NS
        return Night(Job(job_start_ns, job_end_ns, points * MEMORY_BYTES), batch)

    def _random(self, part: str) -> random.Random:
        return random.Random(f"{self.options.seed}/{part}")
