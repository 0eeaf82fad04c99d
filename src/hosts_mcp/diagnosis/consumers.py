"""Who used a resource: processes grouped into workloads, the service's own apart, each measured by its growth.

Growth and not size, because the biggest process is the victim and not the culprit. Executable names of interpreters
name no workload: every agent, worker and cron job is `python`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hosts_mcp.diagnosis.model import Case, Process, Scene, Window
from hosts_mcp.diagnosis.stats import median
from hosts_mcp.timerange import NS

INTERPRETERS = re.compile(
    r"^(python|pypy|node|nodejs|deno|bun|java|ruby|perl|php|bash|sh|dash|zsh|dotnet|beam\.smp)[\d.]*$"
)
OWN = "own"
GAUGE = "process_memory_bytes"
INHERITED = "process_io_bytes_per_second"
"""Linux adds what a child read and wrote in all its life to its parent when it has ended."""
COLLECTOR = re.compile(r"otel|collector", re.IGNORECASE)
BORN_SLACK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Group:
    """One workload's growth of one signal in the window, and how many of its processes began with the pressure."""

    name: str
    growth: float
    level: float
    born: int


def own_processes(case: Case, scene: Scene) -> set[int]:
    """Entity ids of the service's processes here: the spans' pids with all descendants, else container, else script."""
    processes = scene.box.processes
    pids = {x.span.pid for x in scene.losses if x.span.pid is not None}
    entities = {x.span.entity_id for x in scene.losses}
    attributes = [case.services[e].attributes for e in entities if e in case.services]
    containers = {str(a["container.id"]) for a in attributes if a.get("container.id")}
    if containers:
        found = {p.entity_id for p in processes if p.cgroup and any(c in p.cgroup for c in containers)}
        if found:
            return found
    else:
        begin = min((x.span.start_ns for x in scene.losses), default=scene.origin_ns)
        roots = {p.entity_id for p in processes if p.pid in pids and (p.started_ns or 0) <= begin + NS}
        if roots:
            return _descendants(processes, roots)
    names = {(str(a.get("process.executable.name") or ""), script_of(a)) for a in attributes}
    return {
        p.entity_id
        for p in processes
        if any(n and p.executable == n and (p.script == s if s else not INTERPRETERS.match(n)) for n, s in names)
    }


def _descendants(processes: Sequence[Process], roots: set[int]) -> set[int]:
    """Children are found by parent pid; a pid is only a parent of what started after it."""
    own = set(roots)
    by_id = {p.entity_id: p for p in processes}
    grew = True
    while grew:
        parents = {by_id[e].pid: by_id[e].started_ns or 0 for e in own if by_id[e].pid is not None}
        more = {
            p.entity_id
            for p in processes
            if p.entity_id not in own and p.parent_pid in parents and (p.started_ns or 0) >= parents[p.parent_pid]
        }
        grew = bool(more)
        own |= more
    return own


def script_of(attributes: Mapping[str, object]) -> str | None:
    """Script of an interpreter (`worker.py`) or title a server gives itself (`postgres: autovacuum worker`)."""
    if kept := attributes.get("process.script"):
        return str(kept)
    line = str(attributes.get("process.command_line") or attributes.get("process.command") or "").strip()
    name = str(attributes.get("process.executable.name") or "")
    if line.startswith(f"{name}: "):
        return " ".join(line.split()[:3])
    if not INTERPRETERS.match(name):
        return None
    words = line.split()[1:]
    for k, word in enumerate(words):
        if word == "-m" and k + 1 < len(words):
            return words[k + 1]
        if not word.startswith("-"):
            return word.rsplit("/", 1)[-1]
    return None


def workload(p: Process) -> str:
    """What a person calls it: the script where the executable is an interpreter, else the executable."""
    if INTERPRETERS.match(p.executable) and p.script:
        return f"{p.executable} {p.script}"
    return p.executable or "?"


def groups(case: Case, scene: Scene, signal: str, onset: float, scrapes: float = 1.0) -> dict[str, Group]:
    """Workload name (`OWN` for the service itself) -> its growth between the time before `onset` and the effect."""
    own = own_processes(case, scene)
    members: dict[str, list[Process]] = defaultdict(list)
    for p in scene.box.processes:
        members[OWN if p.entity_id in own else workload(p)].append(p)
    reach = _reach(scene, signal)
    ends = _ends_of_children(scene.box.processes) if signal == INHERITED else {}
    out = {}
    for name, found in members.items():
        grown = _grown(scene, found, signal, onset, reach, scrapes, ends)
        if grown is None:
            continue
        born = sum(
            p.started_ns is not None and onset - BORN_SLACK_SECONDS <= scene.seconds(p.started_ns) <= scene.effect.end
            for p in found
        )
        out[name] = Group(name, grown[0], grown[1], born)
    return out


def _ends_of_children(processes: Sequence[Process]) -> Mapping[int, Sequence[int]]:
    """Entity id -> when a child of it was seen for the last time, ns."""
    by_pid: dict[int | None, list[Process]] = defaultdict(list)
    for p in processes:
        by_pid[p.pid].append(p)
    ends: dict[int, list[int]] = defaultdict(list)
    for child in processes:
        for p in by_pid.get(child.parent_pid, ()) if child.parent_pid else ():
            if (p.started_ns or 0) <= (child.started_ns or 0):
                ends[p.entity_id].append(child.last_seen_ns)
    return ends


def _grown(
    scene: Scene,
    members: Sequence[Process],
    signal: str,
    onset: float,
    reach: float,
    scrapes: float,
    ends: Mapping[int, Sequence[int]],
) -> tuple[float, float] | None:
    """(growth, level now) of a group: its sum per scrape, highest (gauge) or median (rate) now less median before."""
    gauge = signal == GAUGE
    before: list[tuple[int, float]] = []
    during: list[tuple[int, float]] = []
    for p in members:
        series = p.signals.get(signal)
        if series is None:
            continue
        for start, end, value in zip(series.starts_ns, series.ends_ns, series.values, strict=True):
            at, begin = scene.seconds(end), scene.seconds(start)
            if value is None or any(abs(seen - start) < (end - start) / 2 for seen in ends.get(p.entity_id, ())):
                continue
            if at > scene.effect.start - reach * scrapes and begin < scene.effect.end + (0 if gauge else reach):
                during.append((end, value))
            elif at < onset:
                before.append((end, value))
    if not before and not during:
        return None
    now, past = _per_scrape(during, reach), _per_scrape(before, reach)
    level = (max if gauge else median)(now) if now else 0.0
    return max(0.0, level - (median(past) if past else 0.0)), level


def _per_scrape(readings: Sequence[tuple[int, float]], reach: float) -> list[float]:
    """Sums over the readings of one scrape: its processes are read one after the other, each with its own time."""
    sums: list[float] = []
    last: int | None = None
    for end, value in sorted(readings):
        if last is None or end - last > reach * NS / 2:
            sums.append(0.0)
        sums[-1] += value
        last = end
    return sums


def _reach(scene: Scene, signal: str) -> float:
    """Half a process scrape, so that a short trace still meets one."""
    return process_interval(scene, signal, 2 * scene.interval) / 2


def process_interval(scene: Scene, signal: str = "process_cpu_cores", otherwise: float = 0.0) -> float:
    """Usual seconds between two scrapes of the processes."""
    longest = max((p.signals[signal].ends_ns for p in scene.box.processes if signal in p.signals), key=len, default=())
    return median([(b - a) / NS for a, b in pairwise(longest)]) if len(longest) >= 3 else otherwise


def cpu_seconds(case: Case, scene: Scene, window: Window) -> float | None:
    """CPU seconds the service's own processes used inside a window; None without process data for it."""
    own = own_processes(case, scene)
    total = 0.0
    seen = False
    for p in scene.box.processes:
        series = p.signals.get("process_cpu_cores")
        if p.entity_id not in own or series is None:
            continue
        for start, end, value in zip(series.starts_ns, series.ends_ns, series.values, strict=True):
            o = min(scene.seconds(end), window.end) - max(scene.seconds(start), window.start)
            if o > 0 and value is not None:
                total += value * o
                seen = True
    return total if seen else None
