"""Every threshold of the findings in one table: when one fires, when it clears, for how long, and what it says.

Levels follow published defaults where there are any (Netdata's health.d, node-mixin, Logfire's findings); verdicts use
a table of their own, because a trace is short and alert durations do not transfer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning", "info"]
Subject = Literal["box", "disk", "mount", "interface"]


@dataclass(frozen=True, slots=True)
class Test:
    """One quantity (see `hosts.quantities`) against one limit."""

    quantity: str
    above: bool
    limit: float

    def __call__(self, value: float | None) -> bool | None:
        if value is None:
            return None
        return value >= self.limit if self.above else value < self.limit


def at_least(quantity: str, limit: float) -> Test:
    return Test(quantity, True, limit)


def below(quantity: str, limit: float) -> Test:
    return Test(quantity, False, limit)


Condition = tuple[tuple[Test, ...], ...]
"""All of the rows must hold; of the tests in one row any."""


@dataclass(frozen=True, slots=True)
class Level:
    severity: Severity
    fire: Condition
    clear: Condition


@dataclass(frozen=True, slots=True)
class Rule:
    """`anchor` is the derived signal whose readings are judged; `seconds` how long all of them must fire (0: one
    reading is enough). `value` is the quantity that the row carries, `sentence` and `fix` what it says."""

    code: str
    anchor: str
    levels: tuple[Level, ...]
    seconds: float
    value: str
    sentence: str
    fix: str | None = None
    subject: Subject = "box"


MIN_READINGS = 3
"""Consecutive readings that fire or clear, except where one is enough."""
CLEAR_SECONDS = 120.0
"""At least so long must a finding stay beyond its clearing limit."""
GAP_INTERVALS = 2.5
"""A longer gap ends what was pending."""
FILLING_RATIO = 0.50
"""Below this a filesystem that fills is no finding, however fast: a download or a build."""
FLAPPING_TRANSITIONS, FLAPPING_SECONDS = 3, 1800.0


def _cpu_level(severity: Severity, queue: float, clear: float) -> Level:
    return Level(
        severity,
        ((at_least("cpu_busy_ratio", 0.85),), (at_least("run_queue_per_cpu", queue),)),
        ((below("cpu_busy_ratio", 0.75), below("run_queue_per_cpu", clear)),),
    )


def _disk_level(severity: Severity, queue: float, wait_seconds: float, *slower: Test) -> Level:
    return Level(
        severity,
        ((at_least("disk_busy_ratio", 0.90),),
         (at_least("disk_queue", queue), at_least("await_seconds", wait_seconds), *slower)),
        ((below("disk_busy_ratio", 0.70), below("disk_queue", 2.0)),),
    )  # fmt: skip


def _swap_level(severity: Severity, fire: float, clear: float) -> Level:
    return Level(
        severity,
        ((at_least("swap_pages_per_second", fire),), (at_least("memory_used_ratio", 0.80),)),
        ((below("swap_pages_per_second", clear),),),
    )


def _drop_level(severity: Severity, fire: float, clear: float) -> Level:
    return Level(
        severity,
        ((at_least("drop_ratio", fire),), (at_least("packets_in_span", 500),), (at_least("drops_over_usual", 3.0),)),
        ((below("drop_ratio", clear),),),
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "high_memory", "memory_used_ratio", seconds=120, value="memory_used_ratio",
        levels=(
            Level("warning", ((at_least("memory_used_ratio", 0.90),),), ((below("memory_used_ratio", 0.85),),)),
            Level("critical", ((at_least("memory_used_ratio", 0.95),),), ((below("memory_used_ratio", 0.90),),)),
        ),
        sentence="Memory is {value} used.",
        fix="See which process grows: host_status lists the largest.",
    ),
    Rule(
        "filesystem_full", "filesystem_used_ratio", seconds=0, value="filesystem_used_ratio", subject="mount",
        levels=(
            Level("warning",
                  ((at_least("filesystem_used_ratio", FILLING_RATIO),),
                   (at_least("filesystem_used_ratio", 0.90), below("hours_to_full", 8))),
                  ((below("filesystem_used_ratio", 0.88),), (at_least("hours_to_full", 48),))),
            Level("critical",
                  ((at_least("filesystem_used_ratio", FILLING_RATIO),),
                   (at_least("filesystem_used_ratio", 0.98), below("hours_to_full", 2))),
                  ((below("filesystem_used_ratio", 0.96),), (at_least("hours_to_full", 24),))),
        ),
        sentence="Filesystem {subject} is {value} full{eta}.",
    ),
    Rule(
        "inodes_full", "inodes_used_ratio", seconds=0, value="inodes_used_ratio", subject="mount",
        levels=(
            Level("warning", ((at_least("inodes_used_ratio", 0.90),),), ((below("inodes_used_ratio", 0.88),),)),
            Level("critical", ((at_least("inodes_used_ratio", 0.98),),), ((below("inodes_used_ratio", 0.96),),)),
        ),
        sentence="Filesystem {subject} has used {value} of its inodes: no new file although bytes may be free.",
    ),
    Rule(
        "cpu_saturated", "cpu_busy_ratio", seconds=120, value="cpu_busy_ratio",
        levels=(_cpu_level("warning", 1.5, 1.0), _cpu_level("critical", 3.0, 2.0)),
        sentence="CPU is {value} busy and tasks queue for it.",
    ),
    Rule(
        "cpu_busy", "cpu_busy_ratio", seconds=600, value="cpu_busy_ratio",
        levels=(
            Level("info", ((at_least("cpu_busy_ratio", 0.85),), (below("run_queue_per_cpu", 1.5),)),
                  ((below("cpu_busy_ratio", 0.75), at_least("run_queue_per_cpu", 1.5)),)),
        ),
        sentence="CPU is {value} busy without a queue: harmless alone.",
    ),
    Rule(
        "tasks_waiting", "load_1m", seconds=120, value="load_1m",
        levels=(
            Level("warning", ((at_least("load_per_cpu", 1.5),), (below("cpu_busy_ratio", 0.70),)),
                  ((below("load_per_cpu", 1.0), at_least("cpu_busy_ratio", 0.80)),)),
        ),
        sentence="Load is {value} while CPU is not busy: tasks wait for something else{blocked}.",
        fix="Look at disk and network file systems in the same minutes.",
    ),
    Rule(
        "cpu_steal", "cpu_steal_ratio", seconds=300, value="cpu_steal_ratio",
        levels=(
            Level("warning", ((at_least("cpu_steal_ratio", 0.10),), (at_least("cpu_steal_lost_ratio", 0.15),)),
                  ((below("cpu_steal_ratio", 0.05),),)),
        ),
        sentence="The hypervisor withholds {value} of CPU time (steal).",
        fix="Ask the provider for another machine or plan, or look at CPU credits.",
    ),
    Rule(
        "io_wait", "cpu_iowait_ratio", seconds=300, value="cpu_iowait_ratio",
        levels=(
            Level("warning",
                  ((at_least("cpu_iowait_ratio", 0.20),),
                   (at_least("disk_busy_ratio", 0.80), at_least("await_seconds", 0.020), at_least("tasks_blocked", 3))),
                  ((below("cpu_iowait_ratio", 0.10),),)),
        ),
        sentence="CPU waits for I/O {value} of the time, and a disk is busy or slow.",
    ),
    Rule(
        "disk_saturated", "disk_busy_ratio", seconds=120, value="disk_busy_ratio", subject="disk",
        levels=(_disk_level("warning", 4.0, 0.050, at_least("await_over_usual", 3.0)),
                _disk_level("critical", 10.0, 0.200)),
        sentence="Disk {subject} is {value} busy and requests queue or wait.",
    ),
    Rule(
        "swapping", "swap_pages_per_second", seconds=120, value="swap_pages_per_second",
        levels=(_swap_level("warning", 100, 20), _swap_level("critical", 2000, 500)),
        sentence="The box swaps {value} pages per second.",
    ),
    Rule(
        "swap_full", "swap_used_ratio", seconds=120, value="swap_used_ratio",
        levels=(
            Level("warning", ((at_least("swap_used_ratio", 0.80),),), ((below("swap_used_ratio", 0.70),),)),
            Level("critical", ((at_least("swap_used_ratio", 0.95),),), ((below("swap_used_ratio", 0.90),),)),
        ),
        sentence="Swap is {value} used.",
    ),
    Rule(
        "packet_drops", "drop_ratio", seconds=300, value="drop_ratio", subject="interface",
        levels=(_drop_level("warning", 0.01, 0.003), _drop_level("critical", 0.05, 0.02)),
        sentence="Interface {subject} drops {value} of its packets.",
    ),
    Rule(
        "net_errors", "error_ratio", seconds=600, value="error_ratio", subject="interface",
        levels=(
            Level("warning", ((at_least("error_ratio", 0.001),), (at_least("errors_in_span", 5),)),
                  ((below("error_ratio", 1e-9),),)),
        ),
        sentence="Interface {subject} reports errors on {value} of its packets.",
    ),
)  # fmt: skip

OOM_FULL_RATIO = 0.93
OOM_DROP_RATIO = 0.3
OOM_READINGS = 2
"""Memory so full that gives back so much within so many readings, while a task or the last swap went."""
OOM_SWAP_FULL_RATIO = 0.95
OOM_SHOWN_SECONDS = 1800.0
REBOOT_MOVED_SECONDS, REBOOT_SHOWN_SECONDS = 60.0, 7200.0
SKEW_SECONDS, SKEW_CRITICAL_SECONDS, SKEW_CLEAR_SECONDS = 5.0, 300.0, 3.0
LATE_SECONDS, LATE_CLEAR_SECONDS = 30.0, 20.0
COARSE_SECONDS = 30.0
USUAL_MEMORY_RATIO = 0.03
"""High memory this close to the host's usual, without swapping, is only information."""

EXPECTED_GROUPS: dict[str, tuple[str, ...]] = {
    "cpu": ("cpu_busy_ratio",),
    "load": ("load_1m",),
    "memory": ("memory_used_ratio",),
    "disk": ("disk_busy_ratio", "disk_read_ops_per_second", "disk_read_bytes_per_second"),
    "filesystem": ("filesystem_used_ratio",),
    "network": ("network_receive_bytes_per_second",),
    "processes": ("tasks_running", "tasks_blocked", "forks_per_second"),
}
"""Scraper -> signals of which at least one shows that it runs."""
NOT_ON: dict[str, frozenset[str]] = {"windows": frozenset({"processes"}), "darwin": frozenset({"disk"})}
"""os.type -> scrapers that are not expected there."""
