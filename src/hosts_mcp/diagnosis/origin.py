"""Whose pressure it was: a neighbour's, the service's own, the hypervisor's, or not visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hosts_mcp.diagnosis import consumers
from hosts_mcp.diagnosis.consumers import OWN, Group
from hosts_mcp.diagnosis.model import (
    Case,
    Interval,
    Origin,
    Scene,
    Symptom,
    Window,
)
from hosts_mcp.diagnosis.onset import climb_start
from hosts_mcp.diagnosis.pressure import Reading, climb_slope, weighted
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.stats import clip, spearman
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import OriginWord
from hosts_mcp.text import clean, human_bytes, human_ratio, significant

Show = Callable[[float], str]
WIDER = 3.0
BUSY_CPUS = 0.02
CALM_BEFORE, GONE_AFTER = 0.2, 0.25
FOLLOWS, RATE_BINS = 0.5, 8
SPOT = ("spot", "preempt", "live-migration", "maintenance")


def find(
    case: Case, scene: Scene, symptom: Symptom, reading: Reading, resource: str | None, onset: float | None, t: Table
) -> Origin:
    match resource:
        case None:
            return Origin("unknown", "nothing these metrics show was saturated")
        case "steal":
            return Origin("hypervisor", "the hypervisor gave the CPU to other guests")
        case "restart":
            spot = any(word in clean(v).lower() for v in scene.box.attributes.values() for word in SPOT)
            return Origin("hypervisor" if spot else "unknown", "the box itself restarted")
        case "suspend":
            return Origin("unknown", "the box was suspended or paused")
        case "c_mem" | "c_cpu":
            return Origin("own_workload", "the limit was the container's own; the host had room")
        case "fd":
            return Origin("own_workload", "the limit was the process's own; the host had room")
        case "network":
            return Origin("unknown", "packets were dropped at the link or interface", "link or interface")
        case "filesystem":
            return _filesystem(case, scene)
        case "disk" if reading.pressures["disk"].scope == "storage":
            return Origin("unknown", "the tasks wait for storage that is not this box's own disk")
    found = _by_process(case, scene, resource, onset, t)
    if resource != "memory":
        return found or _by_time(scene, resource, t)
    if found is None and reading.pressures["memory"].momentary:
        return Origin("unknown", "memory filled and was freed between two readings: who took it was not seen")
    return found or _memory(scene, symptom, t)


# ── With process data: growth by workload ────────────────────────────────────────────────────────────────────────────


def _by_process(case: Case, scene: Scene, resource: str, onset: float | None, t: Table) -> Origin | None:
    consumer = RESOURCES[resource].CONSUMER
    if consumer is None or not scene.box.processes:
        return None
    begin = min(0.0, scene.effect.start) if onset is None else min(onset, scene.effect.start)
    found = consumers.groups(case, scene, consumer, begin)
    if not found:
        return None
    if not consumers.own_processes(case, scene):
        return _nobody_is_own(found)
    match resource:
        case "memory":
            return _memory_by_process(scene, found, t)
        case "disk":
            return _disk_by_process(case, scene, found, begin, t)
    if sum(g.growth for g in found.values()) < t.own_little * _extra_cpus(scene, begin):
        found = consumers.groups(case, scene, consumer, begin, scrapes=WIDER)  # who used it has ended since
    if sum(g.growth for g in found.values()) < t.own_little * _extra_cpus(scene, begin):
        return None
    return _shared_out(found, "CPU", lambda v: f"{significant(v)} CPUs", t)


def _nobody_is_own(found: Mapping[str, Group]) -> Origin | None:
    """The spans do not say which process is theirs: who grew is named, whose that was is not known."""
    top = _largest(found)
    if top is None or top.growth <= 0:
        return None
    name = clean(top.name, 60)
    return Origin(
        "unknown", f"{name} grew most; the spans carry no process.pid to tell it from the service itself", name
    )


def _extra_cpus(scene: Scene, begin: float) -> float:
    """CPUs in use beyond what was in use before."""
    during = weighted(scene.during(), scene.effect, lambda iv: iv.busy) or 0.0
    early = Window(scene.lead.start, begin)
    before = scene.usual.get("busy") or weighted(scene.during(early), early, lambda iv: iv.busy) or 0.0
    return max(0.0, during - before) * (scene.cpus or 1)


def _largest(found: Mapping[str, Group]) -> Group | None:
    others = [g for name, g in found.items() if name != OWN and not consumers.COLLECTOR.search(name)]
    return max(others, key=lambda g: (g.growth, g.name), default=None)


def _shared_out(found: Mapping[str, Group], what: str, show: Show, t: Table, cap: float | None = None) -> Origin | None:
    def grown(g: Group) -> float:
        return g.growth if cap is None else min(g.growth, cap)

    own = grown(found[OWN]) if OWN in found else 0.0
    others = sum(grown(g) for name, g in found.items() if name != OWN)
    if cap is not None:
        others = min(others, cap)
    if own + others <= 0:
        return None
    part = own / (own + others)
    return _word(part, _largest(found), what, show, own, t)


def _word(part: float, top: Group | None, what: str, show: Show, own: float, t: Table) -> Origin:
    name = clean(top.name, 60) if top is not None and top.growth > 0 else None
    grew = f"; {name} grew by {show(top.growth)}" if top is not None and name else ""
    if part < t.own_little:
        why = f"the service's own processes grew by {show(own)} of {what}{grew}"
        return Origin("neighbour", why, name, own_share=part)
    if part > t.own_much:
        return Origin(
            "own_workload",
            f"the service's own processes grew by {show(own)} of {what}, {human_ratio(part)} of all growth",
            own_share=part,
        )
    return Origin(
        "unknown", f"own share of the {what} growth is {human_ratio(part)}{grew}", name, own_share=part, mixed=True
    )


def _memory_by_process(scene: Scene, found: Mapping[str, Group], t: Table) -> Origin | None:
    """RSS growth, capped at the host's own rise: shared pages count once per process."""
    total = scene.box.facts.memory_bytes
    rise = _memory_rise(scene)
    cap = rise * total if total and rise else None
    return _shared_out(found, "memory", human_bytes, t, cap)


def _memory_rise(scene: Scene) -> float | None:
    levels = [iv.memory for iv in scene.during() if iv.memory is not None]
    if not levels:
        return None
    before = [iv.memory for iv in scene.intervals if iv.memory is not None and iv.end < scene.effect.start]
    low = min(before) if before else min(levels)
    return max(levels) - min(low, scene.usual.get("memory") or low)


def _disk_by_process(case: Case, scene: Scene, found: Mapping[str, Group], begin: float, t: Table) -> Origin | None:
    """Own share at most own I/O volume over what the disk itself moved; process.disk.io misses direct, asynchronous,
    mapped and write-back I/O, so what no process accounts for is somebody else's."""
    moved = _disk_rate(scene, scene.effect)
    if not moved:
        return _shared_out(found, "I/O", lambda v: f"{human_bytes(v)}/s", t)
    before = _disk_rate(scene, Window(scene.lead.start, begin)) or 0.0
    extra = max(moved - before, 1.0)
    own = found[OWN].growth if OWN in found else 0.0
    part = clip(own / extra)
    top = _largest(found)
    if part <= t.own_much and top is not None and top.growth < t.own_little * extra:
        inferred = _born_or_busy(case, scene, begin)
        word: OriginWord = "neighbour" if part < t.own_little else "unknown"
        why = f"the disk moved {human_bytes(moved)}/s more than its processes account for; own I/O {human_bytes(own)}/s"
        if inferred:
            why += f"; {inferred} began or became busy with it, which is an inference"
        return Origin(word, why, inferred, own_share=part, mixed=word == "unknown")
    return _word(part, top, "I/O", lambda v: f"{human_bytes(v)}/s", own, t)


def _disk_rate(scene: Scene, w: Window) -> float | None:
    total = None
    for name in ("disk_read_bytes_per_second", "disk_write_bytes_per_second"):
        series = scene.box.signals.get(name)
        if series is None:
            continue
        volume = seconds = 0.0
        for s, e, v in zip(series.starts_ns, series.ends_ns, series.values, strict=True):
            o = min(scene.seconds(e), w.end) - max(scene.seconds(s), w.start)
            if v is not None and o > 0:
                volume += v * o
                seconds += o
        if seconds:
            total = (total or 0.0) + volume / seconds
    return total


def _born_or_busy(case: Case, scene: Scene, begin: float) -> str | None:
    """The workload whose CPU grew most with the pressure; being born with it counts double."""
    grown = consumers.groups(case, scene, "process_cpu_cores", begin)
    others = [g for name, g in grown.items() if name != OWN and not consumers.COLLECTOR.search(name)]
    best = max(others, key=lambda g: (g.growth * (2 if g.born else 1), g.name), default=None)
    return clean(best.name, 60) if best is not None and best.growth > BUSY_CPUS else None


# ── Without process data: what time tells ────────────────────────────────────────────────────────────────────────────


def _memory(scene: Scene, symptom: Symptom, t: Table) -> Origin:
    """Carry on the slope memory had before the service was here: how much of the rise would have come anyway?"""
    begin = _arrival(scene, t)
    seen = [(iv.end, iv.memory) for iv in scene.intervals if iv.memory is not None and iv.end <= scene.effect.end]
    before = [(x, y) for x, y in seen if x <= begin]
    if len(before) < 3:
        return Origin("unknown", "the service was here before the climb can be seen to begin")
    climb = climb_start(scene, "memory")
    if climb is not None and begin < climb - 2 * scene.interval:
        arrived = _newcomer(scene, climb)
        if arrived:
            return Origin("neighbour", f"the climb began when {arrived} arrived", arrived)
        if climb <= 2 * scene.interval:
            return Origin("unknown", "the service was already running when memory began to climb")
    usual = scene.usual.get("memory")
    reach = max(t.climb_seconds, symptom.duration_seconds)
    recent = [(x, y) for x, y in before if x >= begin - reach]
    slope = climb_slope(recent, t)
    early = [(x, y) for x, y in before if climb is not None and x >= climb - scene.interval]
    if len(early) > 2:  # a climb of a few readings, which the calm before it would flatten
        (x0, y0), (x1, y1) = early[0], early[-1]
        slope = max(slope, (y1 - y0) / max(x1 - x0, 1e-9))
    start, peak = before[-1][1], max(y for _, y in seen)
    floor = min(y for _, y in before) if usual is None else min(usual, start)
    rise = peak - floor
    if rise <= 0.03:
        return Origin("unknown", "memory did not rise")
    without = (start - floor) + max(0.0, slope) * (scene.effect.end - begin)
    ext = clip(without / rise)
    gained = peak - start
    why = (
        f"memory was at {human_ratio(start)} and rising {human_ratio(max(0.0, slope) * 3600)} per hour before this "
        f"service began; that alone explains {human_ratio(ext)} of the rise to {human_ratio(peak)}"
    )
    if ext >= t.own_much:
        return Origin("neighbour", why, own_share=1 - ext)
    if ext <= t.own_little:
        return Origin(
            "own_workload", f"memory rose by {human_ratio(gained)} only after this service began", own_share=1 - ext
        )
    return Origin("unknown", why, own_share=1 - ext, mixed=True)


def _arrival(scene: Scene, t: Table) -> float:
    """When this service came to the box: its process's start, else its first span after a long silence."""
    pids = {x.span.pid for x in scene.losses if x.span.pid is not None}
    born = [scene.seconds(p.started_ns) for p in scene.box.processes if p.pid in pids and p.started_ns is not None]
    if born:
        return min([*born, 0.0])
    if not _was_here(scene, Window(-t.climb_seconds, -1e-3)):
        return 0.0
    entities = {x.span.entity_id for x in scene.losses}
    seen = [i for i in scene.box.instances if i.entity_id in entities]
    mine = [i for i in seen if i.pid in pids] or seen
    return min([*(scene.seconds(i.first_seen_ns) for i in mine), 0.0])


def _newcomer(scene: Scene, climb: float) -> str | None:
    mine = {x.span.service for x in scene.losses}
    near = [
        i.service
        for i in scene.box.instances
        if i.service not in mine and abs(scene.seconds(i.first_seen_ns) - climb) <= 4 * scene.interval
    ]
    return clean(min(near), 60) if near else None


def _filesystem(case: Case, scene: Scene) -> Origin:
    """Fill slope in the hour before against during."""

    def level(iv: Interval) -> float | None:
        return max((v for v in (iv.filesystem, iv.inodes) if v is not None), default=None)

    seen = [(iv.end, v) for iv in scene.intervals if (v := level(iv)) is not None and iv.end <= scene.effect.end]
    before = [(x, y) for x, y in seen if -3600 <= x <= 0]
    inside = [(x, y) for x, y in seen if x > 0]
    if len(before) < 3:
        return Origin("unknown", "the file system's past is not known")
    rise_before = max(0.0, before[-1][1] - before[0][1])
    rise_inside = max(0.0, inside[-1][1] - before[-1][1]) if inside else 0.0
    if rise_inside > 0.02 and rise_inside > 3 * rise_before:
        found = consumers.groups(case, scene, "process_io_bytes_per_second", 0.0) if scene.box.processes else {}
        own, top = found.get(OWN), _largest(found)
        if found and not consumers.own_processes(case, scene):
            return _nobody_is_own(found) or Origin("unknown", "the spans carry no process.pid to tell who wrote")
        if top is not None and (own is None or top.growth > own.growth) and top.growth > 0:
            return Origin("neighbour", f"{clean(top.name, 60)} wrote most while it filled", clean(top.name, 60))
        return Origin("own_workload", "it filled only while this trace ran")
    return Origin("neighbour", "it was full, or filling at the same rate, before this trace began")


def _by_time(scene: Scene, resource: str, t: Table) -> Origin:
    """CPU and disk: was it there before us, does it follow our requests, did it come and go with the trace?"""

    def p(iv: Interval) -> float | None:
        return RESOURCES[resource].pressure(iv, scene.usual, t)

    during = weighted(scene.during(), scene.effect, p) or 0.0
    early = Window(scene.effect.start - t.before_seconds, scene.effect.start)
    before = weighted(scene.during(early), early, p)
    late = Window(scene.effect.end + scene.interval, scene.effect.end + 4 * scene.interval)
    after = weighted(scene.during(late), late, p)
    here_before = _was_here(scene, early)
    just = Window(scene.effect.start - min(t.before_seconds, 10 * scene.interval), scene.effect.start - scene.interval)
    near = weighted(scene.during(just), just, p)
    last = next(
        (v for iv in reversed(scene.intervals) if iv.end <= scene.effect.start and (v := p(iv)) is not None), None
    )
    if before is not None and max(before, near or 0.0) >= 0.5 * during:
        if not here_before:
            return Origin("neighbour", "the pressure was there before this service was")
        rho = _follows(scene, p)
        if rho is not None and rho > FOLLOWS:
            return Origin("own_workload", "the pressure follows this service's own request rate: its other requests")
        return Origin("unknown", "the service was here before the pressure, and the pressure does not say whose it is")
    if (
        before is not None
        and before < CALM_BEFORE
        and (last is None or last < CALM_BEFORE)
        and after is not None
        and after <= GONE_AFTER * during
        and not here_before
    ):
        return Origin("own_workload", "the pressure came and went with this trace")
    return Origin("unknown", "no process data, and the time course does not say whose it was")


def _was_here(scene: Scene, w: Window) -> bool:
    """Other traces of this service on this host overlap the window."""
    services = {x.span.service for x in scene.losses}
    own = {x.span.trace_id for x in scene.losses}
    low, high = scene.ns(w.start), scene.ns(w.end)
    return any(
        r.service in services and r.trace_id not in own and r.start_ns < high and r.start_ns + r.duration_ns > low
        for r in scene.box.runs
    )


def _follows(scene: Scene, p: Callable[[Interval], float | None]) -> float | None:
    """Rank correlation of the pressure with the service's own work in progress, over the lead-in: what is slow is in
    progress for longer, so that the slow trace itself would follow any pressure."""
    services = {x.span.service for x in scene.losses}
    runs = [
        (scene.seconds(r.start_ns), scene.seconds(r.start_ns + r.duration_ns))
        for r in scene.box.runs
        if r.service in services and r.root
    ]
    window = [iv for iv in scene.intervals if iv.end <= scene.effect.start][-60:]
    pairs = [(v, sum(iv.overlap(a, b) for a, b in runs) / iv.seconds) for iv in window if (v := p(iv)) is not None]
    if len(pairs) < RATE_BINS:
        return None
    return spearman([a for a, _ in pairs], [b for _, b in pairs])
