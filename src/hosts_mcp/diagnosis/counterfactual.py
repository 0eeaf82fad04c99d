"""How long a slow trace would have taken on a calm box: every local span gives back what its host took from it.

A factor f takes `w - w / min(f, r)` off a span's own seconds w on the critical path, where r is how much slower than
usual that span was: nothing ever explains more than the span's own excess.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from hosts_mcp.diagnosis import within
from hosts_mcp.diagnosis.consumers import cpu_seconds, process_interval
from hosts_mcp.diagnosis.model import (
    Case,
    Effect,
    Interval,
    Loss,
    Pressure,
    Scene,
    Symptom,
    Window,
)
from hosts_mcp.diagnosis.pressure import Reading
from hosts_mcp.diagnosis.resources import RESOURCES, disk, memory
from hosts_mcp.diagnosis.stats import median
from hosts_mcp.diagnosis.table import Table

SHARED_EVENLY = ("cpu", "steal", "memory")
"""What a box's mean factor says of each span: cores are shared by weight, faults fall on who works."""


def remove(case: Case, scene: Scene, symptom: Symptom, reading: Reading, t: Table) -> Effect:
    """Seconds that this host's pressures took from the trace, in all and by resource."""
    on_cpu = _OnCpu(case, scene, t)
    slowed = _Slowed(scene, t)
    factors = {x.span.span_id: slowed.factors(x) for x in scene.losses if not (x.remote or x.added)}
    rest = within.rest_of(scene, factors, t)
    by_span: dict[bytes, float] = {}
    by_resource: dict[str, float] = defaultdict(float)
    for loss in scene.losses:
        if loss.added:
            continue
        if loss.remote:
            own = _remote(loss, reading.pressures, t)
        else:
            own = _local(loss, scene, symptom, reading, factors[loss.span.span_id], rest, on_cpu, t)
        by_span[loss.span.span_id] = max(own.values(), default=0.0)
        for resource, seconds in own.items():
            by_resource[resource] += seconds
    removed = sum(by_span.values())
    slept = reading.pressures["suspend"].peak or 0.0
    if slept:
        by_resource["suspend"] += min(slept, symptom.duration_seconds)
        removed = max(removed, by_resource["suspend"])
    more = more_work(case, scene, symptom, t)
    return Effect(removed, dict(by_resource), by_span, more)


def together(effects: Sequence[Effect]) -> float:
    """Seconds that several hosts explain: a call's own time counts once, by the host that explains more of it."""
    most: dict[bytes, float] = {}
    for e in effects:
        for span, seconds in e.by_span.items():
            most[span] = max(most.get(span, 0.0), seconds)
    return max([sum(most.values()), *(e.removed_seconds for e in effects)], default=0.0)


def share(removed: float, symptom: Symptom, t: Table) -> tuple[float, float]:
    """(share of the slow-down, seconds on a calm box): ln(d / d_calm) / ln(d / d_usual)."""
    d = symptom.duration_seconds
    calm = max(d - removed, t.calm_least_share * d)
    if symptom.ratio <= 1.0:
        return 0.0, calm
    return min(1.0, max(0.0, math.log(d / calm) / math.log(symptom.ratio))), calm


def named(by_resource: Mapping[str, float], t: Table) -> str | None:
    """The largest removal; memory when its own is at least half of it, because paging shows as disk."""
    if not by_resource or max(by_resource.values()) <= 0:
        return None
    largest = max(sorted(by_resource), key=by_resource.__getitem__)
    if by_resource.get("memory", 0.0) >= t.memory_named * by_resource[largest]:
        return "memory"
    return largest


def _remote(loss: Loss, pressures: Mapping[str, Pressure], t: Table) -> dict[str, float]:
    p = pressures["network"].value or 0.0
    if p <= t.network_least:
        return {}
    return {"network": min(loss.excess_seconds, t.network_weight * p * loss.self_seconds)}


def _local(
    loss: Loss,
    scene: Scene,
    symptom: Symptom,
    reading: Reading,
    factors: Mapping[str, float],
    rest: within.Rest,
    on_cpu: _OnCpu,
    t: Table,
) -> dict[str, float]:
    """Resource -> seconds it took from this span."""
    w = loss.self_seconds
    if w <= 0:
        return {}
    r = w / loss.usual_seconds if loss.usual_seconds else symptom.ratio
    if r <= 1.0:
        return {}
    fc = max(factors["cpu"], factors["steal"])
    by_disk = 1.0
    if factors["disk"] > 1:
        by_disk = math.exp(_disk_log(factors["disk"], r, loss.database, on_cpu.share, t))
        if r <= t.slow_ratio * factors["disk"] and within.others_waited(loss, rest, t):
            by_disk = max(by_disk, min(r, factors["disk"]))
    by_memory = factors["memory"] if reading.thrash or factors["memory"] > 1 else 1.0
    if by_memory > 1:
        by_memory = max(by_memory, within.paged(loss, rest))
    level = reading.pressures["memory"].value or 0.0
    if level >= 0.6 and factors["disk"] > 1.5 and not memory.is_paging_seen(scene.during()):
        by_memory = factors["disk"]
    throttle = 1.0
    if c_cpu := reading.pressures["c_cpu"].value:
        throttle = 1.0 / max(t.throttle_least, 1.0 - t.throttle_weight * c_cpu)
    combined = {
        "cpu": factors["cpu"],
        "steal": factors["steal"],
        "disk": by_disk * fc if by_disk > 1 else 1.0,
        "memory": by_memory * fc if by_memory > 1 else 1.0,
        "c_cpu": throttle,
    }
    if by_disk > 1 and fc > by_disk:  # mostly CPU: the disk gets the credit of its own part only
        combined["cpu" if factors["cpu"] >= factors["steal"] else "steal"] = combined["disk"]
        combined["disk"] = by_disk
    removed = {k: w - w / min(f, r) for k, f in combined.items() if f > 1}
    computed = on_cpu.seconds(loss)
    if computed is not None and loss.usual_seconds and not loss.database:
        # A box stretches what a program usually does: the disk what it does not compute.
        waits = max(0.0, loss.usual_seconds - computed)
        if "disk" in removed:
            removed["disk"] = min(removed["disk"], waits * (t.slow_ratio * combined["disk"] - 1.0))
    if within.outlies(loss, rest, combined, factors["disk"], t):
        # Beyond the usual work it waited for something of its own, or did more; more only as far as it computed.
        # Not so for the disk, whose mean request says little of a flush, nor for a container whose throttling is guessed.
        usual, more = loss.usual_seconds or 0.0, within.computed(loss, rest, on_cpu.share)
        for k in SHARED_EVENLY:
            if k in removed:
                f = combined[k] if more > usual else within.at_most(loss, rest, combined[k], t)
                removed[k] = min(w - w / f, max(usual, more) * (f - 1.0))
    return removed


class _Slowed:
    """How much each resource slowed work down, by interval: reckoned once, however many spans lie in it."""

    def __init__(self, scene: Scene, t: Table) -> None:
        self._scene, self._t = scene, t
        self._logs: dict[float, tuple[tuple[str, float], ...]] = {}

    def factors(self, loss: Loss) -> dict[str, float]:
        """Geometric mean of each resource's slow-down over the span's own time."""
        scene, seconds = self._scene, 0.0
        logs: dict[str, float] = dict.fromkeys(RESOURCES, 0.0)
        pieces = [(scene.seconds(a), scene.seconds(b)) for a, b in loss.segments]
        for iv in scene.during(Window(pieces[0][0], pieces[-1][1])):
            o = sum(iv.overlap(a, b) for a, b in pieces)
            if o <= 0:
                continue
            seconds += o
            for name, log in self._of(iv):
                logs[name] += o * log
        return {name: math.exp(total / seconds) if seconds else 1.0 for name, total in logs.items()}

    def _of(self, iv: Interval) -> tuple[tuple[str, float], ...]:
        """(resource, ln of its slow-down) of those that slowed."""
        found = self._logs.get(iv.start)
        if found is None:
            each = ((name, math.log(self._slowdown(name, iv))) for name in RESOURCES)
            found = self._logs[iv.start] = tuple((name, log) for name, log in each if log)
        return found

    def _slowdown(self, name: str, iv: Interval) -> float:
        usual, t = self._scene.usual, self._t
        p = RESOURCES[name].pressure(iv, usual, t)
        if name == "disk" and (waits := disk.waiting(iv, self._scene.cpus, t)) is not None:
            p = max(p or 0.0, waits)
        return 1.0 if p is None else RESOURCES[name].slowdown(iv, usual, p, t)


def _disk_log(factor: float, r: float, database: bool, on_cpu: float | None, t: Table) -> float:
    """Expected log slow-down by the disk, which acts only on the unknown share of time that waits for I/O."""
    most = math.log(r)
    if on_cpu is not None and not database:
        waits = 1.0 - on_cpu
        return min(most, -math.log(max(0.02, 1.0 - waits * (1.0 - 1.0 / factor))))
    shares: Sequence[float] = t.io_shares_database if database else t.io_shares
    return sum(min(most, math.log(1.0 + w * (factor - 1.0))) for w in shares) / len(shares)


class _OnCpu:
    """How much the service's processes computed while they ran nothing but this trace; None: it cannot be told."""

    def __init__(self, case: Case, scene: Scene, t: Table) -> None:
        self._case, self._scene = case, scene
        self._least = t.oncpu_intervals * max(scene.interval, process_interval(scene))
        self._alone = bool(scene.box.processes) and not _concurrent(case, scene)
        self.share = self._of([x for x in scene.losses if not x.remote])
        """CPU seconds per second of local time."""
        found = {x.span.span_id: self._of([x]) for x in scene.losses}
        self._by_span = {key: v for key, v in found.items() if v is not None}

    def seconds(self, loss: Loss) -> float | None:
        """CPU seconds of this span, long enough to be measured, beyond what the processes always computed then."""
        own = self._by_span.get(loss.span.span_id)
        if own is None or len(self._by_span) < 2:
            return None
        return (own - min(self._by_span.values())) * loss.self_seconds

    def _of(self, found: Sequence[Loss]) -> float | None:
        seconds = sum(x.self_seconds for x in found)
        if not self._alone or seconds <= self._least:
            return None
        at = self._scene.seconds
        pieces = [Window(at(a), at(b)) for x in found for a, b in x.segments]
        used = [v for w in pieces if (v := cpu_seconds(self._case, self._scene, w)) is not None]
        return min(1.0, sum(used) / seconds) if used else None


def _concurrent(case: Case, scene: Scene) -> bool:
    services = {x.span.service for x in scene.losses}
    low, high = scene.ns(scene.effect.start), scene.ns(scene.effect.end)
    return any(
        r.service in services and r.trace_id != case.trace_id and r.root
        and r.start_ns < high and r.start_ns + r.duration_ns > low
        for r in scene.box.runs
    )  # fmt: skip


def more_work(case: Case, scene: Scene, symptom: Symptom, t: Table) -> float | None:
    """CPU seconds of this run over those of earlier ones, when the extra wall time was spent computing."""
    long_enough = t.oncpu_intervals * scene.interval
    if symptom.duration_seconds <= long_enough or _concurrent(case, scene):
        return None
    now = cpu_seconds(case, scene, Window(scene.effect.start, scene.effect.end))
    root = symptom.root
    earlier = []
    for r in case.histories.get((root.service, root.name), ()):
        start = scene.seconds(r.start_ns)
        w = Window(start, start + r.duration_ns / 1e9)
        if r.host_id == scene.box.id and r.outcome == "ok" and w.end < 0 and w.seconds > long_enough:
            used = cpu_seconds(case, scene, w)
            if used is not None:
                earlier.append((used, w.seconds))
    if now is None or len(earlier) < 4:
        return None
    usual = median([u for u, _ in earlier])
    wall = symptom.duration_seconds - median([s for _, s in earlier])
    if usual <= 0 or wall <= 0 or (now - usual) / wall <= t.more_work_share or now / usual <= t.more_work_ratio:
        return None
    return now / usual
