"""Which curves a caller means: friendly words, signal names, and any stored metric by its own name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hosts_mcp.errors import BadArgument
from hosts_mcp.text import clean, quote

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu_",),
    "memory": ("memory_",),
    "load": ("load_", "run_queue"),
    "disk": ("disk_",),
    "network": ("network_",),
    "filesystem": ("filesystem_", "inodes_"),
    "paging": ("swap_", "major_faults_"),
    "connections": ("tcp_", "conntrack_"),
    "processes": ("tasks_", "forks_"),
    "pressure": ("psi_", "oom_kills"),
    "container": ("container_",),
    "uptime": ("uptime_",),
}
"""Word -> how the names of its signals begin."""

WORDS = {
    "mem": "memory", "ram": "memory", "io": "disk", "disks": "disk", "net": "network", "fs": "filesystem",
    "filesystems": "filesystem", "swap": "paging", "tcp": "connections", "procs": "processes", "tasks": "processes",
    "psi": "pressure",
}  # fmt: skip

USUAL = (
    "cpu_busy_ratio", "cpu_iowait_ratio", "cpu_steal_ratio", "memory_used_ratio", "memory_available_bytes", "load_1m",
    "load_per_cpu", "disk_read_bytes_per_second", "disk_write_bytes_per_second", "disk_busy_ratio",
    "network_receive_bytes_per_second", "network_transmit_bytes_per_second", "filesystem_used_ratio", "swap_used_ratio",
    "swap_out_bytes_per_second", "tcp_connections", "tcp_established", "tasks_total", "tasks_blocked",
    "cpu_user_ratio", "cpu_system_ratio",
)  # fmt: skip
"""What is shown when nothing particular is asked for, most telling first."""

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "device": ("disk_",),
    "mount": ("filesystem_", "inodes_"),
    "interface": ("network_",),
    "cpu": ("cpu_",),
    "process": ("process_",),
}
"""`by` -> how the names of the signals begin that exist per such subject."""


@dataclass(frozen=True, slots=True)
class Selection:
    families: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    """Metric names as sent."""

    @property
    def usual(self) -> bool:
        return not (self.families or self.signals or self.raw)

    def takes(self, signal: str) -> bool:
        if self.usual:
            return signal in USUAL
        prefixes = tuple(p for family in self.families for p in FAMILIES[family])
        return signal in self.signals or (bool(prefixes) and signal.startswith(prefixes))

    def order(self, signal: str) -> tuple[int, int, str]:
        """As asked for; within a family the usual ones first."""
        asked = next((i for i, f in enumerate(self.families) if signal.startswith(FAMILIES[f])), len(self.families))
        return (asked, USUAL.index(signal) if signal in USUAL else len(USUAL), signal)


def select(text: str, signals: Collection[str], stored: Collection[str]) -> Selection:
    """Read a list of words, separated by commas or blanks. `signals`: derived names known; `stored`: raw metric names.

    Raises BadArgument with the nearest names for a word that is none of them.
    """
    families: list[str] = []
    chosen: list[str] = []
    raw: list[str] = []
    for word in filter(None, re.split(r"[,\s]+", text)):
        lowered = word.lower()
        if lowered in ("all", "*"):
            families.extend(FAMILIES)
        elif (family := WORDS.get(lowered, lowered)) in FAMILIES:
            families.append(family)
        elif lowered in signals:
            chosen.append(lowered)
        elif word in stored:
            raw.append(word)
        else:
            known = [*FAMILIES, *sorted(signals), *sorted(stored)]
            near = tuple(difflib.get_close_matches(lowered, known, 5, 0.5))
            nearest = f" Nearest: {', '.join(clean(n, 64) for n in near)}." if near else ""
            raise BadArgument(
                f"{quote(word, 64)} is no metric of this host.{nearest} Words: {', '.join(FAMILIES)}; or the name of "
                "a signal or of a metric as sent.",
                candidates=near,
            )
    return Selection(tuple(dict.fromkeys(families)), tuple(dict.fromkeys(chosen)), tuple(dict.fromkeys(raw)))


def unit_of(signal: str, sent: str = "") -> str:
    """The unit that a signal's name says (`_ratio`, `_bytes_per_second` …), else the one sent with it."""
    for suffix, unit in _SUFFIXES:
        if signal.endswith(suffix):
            return unit
    if sent.startswith("{") and sent.endswith("}"):
        return "cores" if sent == "{cpu}" else ""  # a count: the name says of what
    return {"1": "", "By": "bytes", "s": "seconds"}.get(sent, clean(sent, 24))


_SUFFIXES = (
    ("_bytes_per_second", "bytes_per_second"),
    ("_per_second", "per_second"),
    ("_ratio", "ratio"),
    ("_bytes", "bytes"),
    ("_seconds", "seconds"),
)
