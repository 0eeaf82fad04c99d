"""How close each resource was to saturation around the symptom, and which of them can have made it (`link`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hosts_mcp.diagnosis import page_cache
from hosts_mcp.diagnosis.errors import paths_in
from hosts_mcp.diagnosis.model import Interval, Pressure, Scene, Symptom, Window
from hosts_mcp.diagnosis.resources import RESOURCES, Resource, disk, memory
from hosts_mcp.diagnosis.stats import clip, theil_sen
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.timerange import NS


@dataclass(frozen=True, slots=True)
class Reading:
    """All pressures of one host and the cross-resource rules that shaped them."""

    pressures: dict[str, Pressure]
    thrash: bool
    chronic: bool


def read(scene: Scene, symptom: Symptom, t: Table) -> Reading:
    """Mean over the effect window for slow traces, the worst interval for killed and failed ones."""
    failed = symptom.failed
    window = scene.during(reach=max(scene.interval, symptom.due_seconds) if failed else 0.0)  # one just before counts
    if failed:
        window = at_death(window, _death(scene, symptom, t))
    found = {name: _of(resource, window, scene, failed, t) for name, resource in RESOURCES.items()}
    found["disk"] = _with_waiting(found["disk"], window, scene, failed, t)
    found["filesystem"] = _mount(found["filesystem"], scene, symptom, t)
    memory_rules = _Memory(scene, symptom, window, t)
    found["memory"] = memory_rules.applied(found["memory"])
    thrash = memory_rules.thrash(found["memory"])
    if thrash:  # the disk load is the paging, a consequence
        peak = max(found["memory"].value or 0.0, found["disk"].value or 0.0, t.thrash_pressure)
        found["memory"] = replace(found["memory"], value=peak, note="paging")
        found["disk"] = replace(found["disk"], value=t.thrash_disk * (found["disk"].value or 0.0))
    found["restart"] = _restart(scene, symptom, t)
    found["suspend"] = _suspend(scene, window)
    found["c_mem"], found["c_cpu"] = _container(scene, t)
    found |= _kernel_oom(scene, symptom, found)
    found["fd"] = Pressure("fd", 1.0 if symptom.kind == "err_fd" else None, scope="process")
    return Reading(found, thrash, memory_rules.chronic)


def _death(scene: Scene, symptom: Symptom, t: Table) -> float:
    """The last sign of life; or, when memory climbed on from it, the peak it fell from before the next one was due."""
    te = scene.effect.end
    due = scene.due(symptom)
    seen = [(iv.end, iv.memory) for iv in scene.intervals if iv.memory is not None and iv.end > te]
    at, peak = max(((x, y) for x, y in seen if x <= due), key=lambda r: r[1], default=(te, 0.0))
    after = next((y for x, y in seen if x > at), None)
    return at if after is not None and peak - after > t.chronic_memory else te


def at_death(window: Sequence[Interval], te: float) -> list[Interval]:
    """Levels as they were at `te`: a reading from after it is carried back along the straight line to the one before.

    What went on filling after a process was killed did not kill it. A level that fell right after is left out.
    """
    out: list[Interval] = []
    for iv in window:
        if iv.end > te:
            before = out[-1] if out else None
            part = min(1.0, max(0.0, (te - iv.start) / iv.seconds))
            iv = replace(
                iv,
                memory=_carried(before.memory if before else None, iv.memory, part),
                swap_used=_carried(before.swap_used if before else None, iv.swap_used, part),
                filesystem=_carried(before.filesystem if before else None, iv.filesystem, part),
                inodes=_carried(before.inodes if before else None, iv.inodes, part),
            )
        out.append(iv)
    return out


def _carried(before: float | None, after: float | None, part: float) -> float | None:
    if before is None or after is None:
        return after
    return before + max(0.0, after - before) * part


def climb_slope(levels: Sequence[tuple[float, float]], t: Table) -> float:
    """Rise per second of (time, level) pairs; a climb that began within the last interval is at least as steep as it."""
    slope = theil_sen([x for x, _ in levels], [y for _, y in levels]) if len(levels) > 2 else 0.0
    if len(levels) >= 2:
        (x0, y0), (x1, y1) = levels[-2:]
        if y1 - y0 > t.chronic_memory:
            slope = max(slope, (y1 - y0) / max(x1 - x0, 1e-9))
    return slope


def link(pressures: dict[str, Pressure], kind: str, t: Table) -> tuple[float, str | None]:
    """Strongest pressure weighed by whether such a pressure can make such a symptom at all."""
    weights = t.compat.get(kind, t.compat["unknown"])
    scored = [(weights[name] * (p.value or 0.0), name) for name, p in pressures.items()]
    best = max(scored, key=lambda x: x[0], default=(0.0, None))
    return (best[0], best[1]) if best[0] > 0 else (0.0, None)


def weighted(window: Sequence[Interval], span: Window, value: Callable[[Interval], float | None]) -> float | None:
    """Time-weighted mean over the window's part of each interval; None when nothing was measured."""
    total = seconds = 0.0
    for iv in window:
        v = value(iv)
        if v is not None:
            o = max(iv.overlap(span.start, span.end), 1e-9)
            total += v * o
            seconds += o
    return total / seconds if seconds else None


def _of(resource: Resource, window: Sequence[Interval], scene: Scene, failed: bool, t: Table) -> Pressure:
    def judge(iv: Interval) -> float | None:
        return resource.pressure(iv, scene.usual, t)

    measured = [(v, iv) for iv in window if (v := judge(iv)) is not None]
    if not measured:
        return Pressure(resource.NAME, None)
    if failed:
        value = max(v for v, _ in measured)
        peak = max((x for iv in window if (x := getattr(iv, resource.READING)) is not None), default=None)
    else:
        value = weighted(window, scene.effect, judge) or 0.0
        peak = weighted(window, scene.effect, lambda iv: getattr(iv, resource.READING))
    how: Literal["mean", "max"] = "max" if failed else "mean"
    return Pressure(resource.NAME, value, resource.READING, peak, how, scene.usual.get(resource.READING))


def _with_waiting(p: Pressure, window: Sequence[Interval], scene: Scene, failed: bool, t: Table) -> Pressure:
    """Tasks that wait in the kernel while the local disk is calm: the storage behind it, not this disk."""

    def judge(iv: Interval) -> float | None:
        return disk.waiting(iv, scene.cpus, t)

    values = [v for iv in window if (v := judge(iv)) is not None]
    if not values:
        return p
    value = max(values) if failed else weighted(window, scene.effect, judge) or 0.0
    busy = weighted(window, scene.effect, lambda iv: iv.disk_busy)
    calm = (busy or 0.0) < t.storage_disk_busy
    if value > (p.value or 0.0):
        counted = weighted(window, scene.effect, lambda iv: iv.blocked)
        if calm:
            return Pressure("disk", value, "blocked", counted, "mean", scene.usual.get("blocked"), scope="storage")
        return replace(p, value=value)
    return replace(p, scope="storage") if p.value and p.value >= t.calm and calm else p


def _mount(p: Pressure, scene: Scene, symptom: Symptom, t: Table) -> Pressure:
    """The mount that the error text names, else the fullest."""
    if p.value is None:
        return p
    mounts = {s.subject: s for s in scene.box.devices if s.name == "filesystem_used_ratio" and s.subject}
    named = _named_mount(paths_in(symptom.text), list(mounts))
    series = {s.subject: s for s in scene.box.devices if s.name == "inodes_used_ratio" and s.subject}
    levels = {m: _peak(s, scene) for m, s in mounts.items()}
    inodes = {m: _peak(s, scene) for m, s in series.items()}
    worst = max([*levels.items(), *inodes.items()], key=lambda x: x[1] or 0.0, default=(None, None))[0]
    mount = named or worst
    if mount is None:
        return p
    space, nodes = levels.get(mount) or 0.0, inodes.get(mount) or 0.0
    value = t.filesystem(max(space, nodes)) if named else p.value
    reading = "inodes" if nodes > space else "filesystem"
    return replace(p, value=value, reading=reading, peak=max(space, nodes), subject=mount)


def _named_mount(paths: Sequence[str], mounts: Sequence[str]) -> str | None:
    for path in paths:
        fits = [m for m in mounts if m != "/" and (path == m or path.startswith(m.rstrip("/") + "/"))]
        if fits:
            return max(fits, key=len)
    return None


def _peak(series: SignalSeries, scene: Scene) -> float | None:
    values = [
        v
        for s, e, v in zip(series.starts_ns, series.ends_ns, series.values, strict=True)
        if v is not None and scene.seconds(e) > scene.effect.start and scene.seconds(s) < scene.effect.end
    ]
    return max(values) if values else None


class _Memory:
    """The rules that need more than one reading: roomy swap, chronic fullness, projection, thrash."""

    def __init__(self, scene: Scene, symptom: Symptom, window: Sequence[Interval], t: Table) -> None:
        self.scene, self.symptom, self.window, self.t = scene, symptom, window, t
        self.paging = [iv for iv in window if memory.paging(iv, t)]
        self.chronic = self._chronic()

    def applied(self, p: Pressure) -> Pressure:
        if p.value is None:
            return p
        value, t = p.value, self.t
        swap = [iv.swap_used for iv in self.window if iv.swap_used is not None]
        if self.symptom.failed and swap and max(swap) < t.swap_roomy and not self.paging:
            value *= t.memory_with_swap
        if self.symptom.kind in ("killed", "err_mem"):
            told = page_cache.between(self.scene, self.symptom, t)
            if (level := self.projected()) is not None:
                value = max(value, t.projection_weight * t.memory(level if told is None else min(level, told.most)))
            if told is not None and told.least is not None:
                filled = t.projection_weight * t.memory(told.least)
                if filled > value:
                    return Pressure("memory", filled, "reclaimable", told.after_bytes, "last", told.before_bytes)
        if self.chronic:
            value *= t.chronic_weight
        return replace(p, value=value)

    def _chronic(self) -> bool:
        """As full as always, and nothing is swapped: a database or a cache that lives there."""
        levels = [iv.memory for iv in self.window if iv.memory is not None]
        before = self.scene.usual.get("memory")
        if not levels or before is None or any((iv.swap_pages or 0.0) > self.t.swap_pages.lo for iv in self.window):
            return False
        return max(levels) - before <= self.t.chronic_memory

    def projected(self) -> float | None:
        """Level at death: the last sample carried on by the slope of the last five, unless a later one tells."""
        seen = [
            (iv.end, iv.memory)
            for iv in self.scene.intervals
            if iv.memory is not None and iv.end <= self.scene.effect.end
        ]
        if len(seen) < 4:
            return None
        recent = seen[-self.t.projection_samples :]
        slope = climb_slope(recent, self.t)
        level = min(1.0, seen[-1][1] + max(0.0, slope) * max(0.0, self.scene.effect.end - seen[-1][0]))
        later = next((iv.memory for iv in self.scene.intervals if iv.end > self.scene.effect.end), None)
        return None if later is not None and later >= seen[-1][1] else level  # it went on climbing: `at_death` knows

    def thrash(self, p: Pressure) -> bool:
        if self.symptom.kind not in ("slow", "unknown", "err_timeout") or (p.value or 0.0) < self.t.thrash_memory:
            return False
        return len(self.paging) >= max(1.0, self.t.thrash_share * len(self.window))


def _restart(scene: Scene, symptom: Symptom, t: Table) -> Pressure:
    low = scene.ns(-scene.interval)
    high = scene.ns(scene.effect.end + 3 * scene.interval + t.restart_seconds)
    booted = [b for b in scene.box.boots_ns if low <= b <= high]
    if not scene.box.boots_ns:
        return Pressure("restart", None)
    return Pressure("restart", 1.0 if booted else 0.0, peak=float(booted[-1]) if booted else None)


def _suspend(scene: Scene, window: Sequence[Interval]) -> Pressure:
    """Share of the effect window in which the box itself did not see time pass."""
    slept = sum(iv.slept for iv in window)
    if not any(iv.busy is not None for iv in window):
        return Pressure("suspend", None)
    return Pressure("suspend", clip(2 * slept / max(scene.effect.seconds, 1e-9)), peak=slept or None)


def _container(scene: Scene, t: Table) -> tuple[Pressure, Pressure]:
    """How near the span's container was to its own limits; None without container metrics."""
    if scene.box.workload is None:
        return Pressure("c_mem", None), Pressure("c_cpu", None)
    signals, te = scene.box.workload.signals, scene.effect.end
    wide = Window(te - max(t.killed_seconds, t.killed_intervals * scene.interval), te + scene.interval)
    level = _extreme(signals.get("container_memory_ratio"), scene, wide)
    c_mem = Pressure(
        "c_mem", None if level is None else t.container_memory(level), "container_memory_ratio", level, "max"
    )
    if scene.box.workload.reported and "oomkilled" in scene.box.workload.reported.lower():
        c_mem = replace(c_mem, value=1.0, note=scene.box.workload.reported)
    throttled = _average(signals.get("container_throttled_ratio"), scene)
    if throttled is not None:
        return c_mem, Pressure("c_cpu", t.throttled(throttled), "container_throttled_ratio", throttled)
    used = _average(signals.get("container_cpu_ratio"), scene)
    following = _following(signals.get("container_cpu_ratio"), scene, t)
    if used is not None and following is not None:
        used = max(used, following)
    return c_mem, Pressure("c_cpu", None if used is None else t.container_cpu(used), "container_cpu_ratio", used)


def _inside(series: SignalSeries | None, scene: Scene, w: Window) -> list[tuple[float, float]]:
    if series is None:
        return []
    out = []
    for s, e, v in zip(series.starts_ns, series.ends_ns, series.values, strict=True):
        o = min(scene.seconds(e), w.end) - max(scene.seconds(s), w.start)
        if v is not None and o > 0:
            out.append((v, o))
    return out


def _extreme(series: SignalSeries | None, scene: Scene, w: Window) -> float | None:
    return max((v for v, _ in _inside(series, scene, w)), default=None)


def _following(series: SignalSeries | None, scene: Scene, t: Table) -> float | None:
    """The next reading, when it begins right after: a mean over a minute cannot show what began in its last seconds."""
    if series is None:
        return None
    for start, end, value in zip(series.starts_ns, series.ends_ns, series.values, strict=True):
        begin = scene.seconds(start)
        if begin >= scene.effect.end:
            return value if begin - scene.effect.end <= t.onset_share * (end - start) / NS else None
    return None


def _average(series: SignalSeries | None, scene: Scene) -> float | None:
    found = _inside(series, scene, scene.effect)
    seconds = sum(o for _, o in found)
    return sum(v * o for v, o in found) / seconds if seconds else None


OOM_SECONDS = 60.0
GROUP_LIMIT = ("memory cgroup", "constraint_memcg", "oom-kill:constraint=constraint_memcg")


def _kernel_oom(scene: Scene, symptom: Symptom, found: dict[str, Pressure]) -> dict[str, Pressure]:
    """A kernel log line settles it: global or inside a memory cgroup. A counter alone settles it only beside a level."""
    out: dict[str, Pressure] = {}
    if not symptom.failed:
        return out
    for log in scene.box.logs:
        if abs(scene.seconds(log.time_ns) - scene.effect.end) > OOM_SECONDS:
            continue
        limited = log.what == "container_oom" or any(words in log.text.lower() for words in GROUP_LIMIT)
        if log.what in ("oom_kill", "container_oom"):
            key = "c_mem" if limited else "memory"
            out[key] = replace(found[key], value=1.0, note=log.text)
    counted = [iv for iv in scene.during(reach=scene.interval) if iv.oom_kills]
    if counted and not out:
        key = "memory" if max(iv.memory or 0.0 for iv in counted) > 0.8 else "c_mem"
        out[key] = replace(found[key], value=max(found[key].value or 0.0, 0.9), note="the kernel counted an OOM kill")
    return out
