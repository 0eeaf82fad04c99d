"""Natural experiments: the same operation under other pressure, other operations here, the same operation elsewhere."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from hosts_mcp.diagnosis import pressure
from hosts_mcp.diagnosis.model import (
    Case,
    Experiment,
    Interval,
    Scene,
    Symptom,
    Window,
)
from hosts_mcp.diagnosis.onset import LEVELS, walk_back
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.stats import median, spearman
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.usual import BIN_SECONDS, bins
from hosts_mcp.store.protocol import Run
from hosts_mcp.timerange import NS

DOSE_BAD, DOSE_FINE, CALM_BAD = 0.6, 0.2, 0.4
TREND, TREND_RUNS = 0.5, 8
SAME_DOSE = 0.8
"""Of the pressure now: who was not hurt by this much before is not hurt by it now."""


def run(case: Case, scene: Scene, symptom: Symptom, resource: str | None, t: Table) -> tuple[Experiment, ...]:
    found = (
        dose_response(case, scene, symptom, resource, t),
        peers_here(case, scene, symptom, t),
        elsewhere(case, scene, symptom, t),
    )
    return tuple(e for e in found if e is not None)


def _bad(run: Run, usual_ns: float, t: Table) -> bool:
    return run.outcome != "ok" or run.duration_ns > t.slow_ratio * usual_ns


def _hurt(run: Run, usual_ns: float, symptom: Symptom, t: Table) -> bool:
    """Bad, or as slow as the trace that is called slow: of its last runs so many may be slow that this is usual."""
    as_slow = symptom.kind == "slow" and run.duration_ns * t.slow_ratio > symptom.duration_seconds * NS
    return as_slow or _bad(run, usual_ns, t)


def dose_response(case: Case, scene: Scene, symptom: Symptom, resource: str | None, t: Table) -> Experiment | None:
    """Earlier runs here under the same pressure and without it."""
    if resource is None or resource not in RESOURCES:
        return None
    root = symptom.root
    history = case.histories.get((root.service, root.name), ())
    earlier = [
        r
        for r in history
        if r.host_id == scene.box.id and r.start_ns < symptom.start_ns and r.trace_id != case.trace_id
    ][-t.dose_runs :]
    if symptom.failed and resource in LEVELS and (begun := walk_back(scene, resource, t)) is not None:
        earlier = [
            r for r in earlier if scene.seconds(r.start_ns) < begun
        ]  # who survived the same climb proves nothing
    if len(earlier) < 4:
        return None
    usual = median([r.duration_ns for r in earlier])
    doses = pressures_at(scene, earlier, resource, t)
    high = [_hurt(r, usual, symptom, t) for r, p in zip(earlier, doses, strict=True) if p is not None and p >= t.hot]
    calm = [_bad(r, usual, t) for r, p in zip(earlier, doses, strict=True) if p is not None and p < t.calm]
    word = RESOURCES[resource].NAME
    counts = (sum(high), len(high), sum(calm), len(calm))
    now = pressure.weighted(scene.during(), scene.effect, lambda iv: RESOURCES[resource].pressure(iv, scene.usual, t))
    same = [
        _hurt(r, usual, symptom, t)
        for r, p in zip(earlier, doses, strict=True)
        if p is not None and now and p >= max(t.hot, SAME_DOSE * now)
    ]
    if symptom.kind == "slow" and len(same) >= 3 and sum(same) <= DOSE_FINE * len(same):
        text = f"{len(same) - sum(same)} of {len(same)} earlier runs under as much {word} pressure were fine"
        return Experiment("dose", "same_fine", text, counts, resource)
    if len(high) >= 3 and sum(high) <= DOSE_FINE * len(high):
        text = f"{len(high) - sum(high)} of {len(high)} earlier runs under the same {word} pressure were fine"
        return Experiment("dose", "fine", text, counts, resource)
    if len(high) >= 2 and sum(high) >= DOSE_BAD * len(high) and len(calm) >= 3 and sum(calm) <= DOSE_FINE * len(calm):
        text = f"{sum(high)} of {len(high)} earlier runs under {word} pressure were slow or failed, {sum(calm)} of {len(calm)} without"
        return Experiment("dose", "bad", text, counts, resource)
    if len(calm) >= 4 and sum(calm) >= CALM_BAD * len(calm):
        text = f"{sum(calm)} of {len(calm)} earlier runs were slow or failed without any {word} pressure"
        return Experiment("dose", "calm_bad", text, counts, resource)
    pairs = [
        (p, float(r.duration_ns)) for r, p in zip(earlier, doses, strict=True) if p is not None and r.outcome == "ok"
    ]
    if len(pairs) >= TREND_RUNS and sum(p >= t.calm for p, _ in pairs) >= 2:
        rho = spearman([p for p, _ in pairs], [d for _, d in pairs])
        if rho is not None and rho > TREND:
            return Experiment(
                "dose", "trend", f"earlier runs took longer the higher the {word} pressure was", counts, resource
            )
    return None


def pressures_at(scene: Scene, runs: Sequence[Run], resource: str, t: Table) -> list[float | None]:
    """Mean pressure during each run: from exact intervals where they reach, else from five-minute bins."""
    spans = [(scene.seconds(r.start_ns), scene.seconds(r.start_ns + r.duration_ns)) for r in runs]
    exact_from = scene.intervals[0].start if scene.intervals else 0.0
    rollup = scene.box.rollup
    wanted: dict[int, None] = {}
    rows: list[list[int]] = []
    starts = [scene.seconds(ns) for ns in rollup.starts_ns] if rollup is not None else []
    for start, end in spans:
        found = [] if start >= exact_from else _rows(starts, start, end)
        rows.append(found)
        wanted.update(dict.fromkeys(found))
    made = dict(zip(wanted, bins(scene.box, scene.origin_ns, scene.cpus, list(wanted)), strict=True))
    out = []
    for (start, end), found in zip(spans, rows, strict=True):
        pool: Sequence[Interval] = [made[k] for k in found] if found else scene.during(Window(start, end))
        out.append(
            pressure.weighted(pool, Window(start, end), lambda iv: RESOURCES[resource].pressure(iv, scene.usual, t))
        )
    return out


def _rows(starts: Sequence[float], start: float, end: float) -> list[int]:
    low = bisect_left(starts, start - BIN_SECONDS)
    return [k for k in range(low, bisect_left(starts, end)) if starts[k] + BIN_SECONDS > start]


def peers_here(case: Case, scene: Scene, symptom: Symptom, t: Table) -> Experiment | None:
    """Other operations on this host at that time, against their own usual."""
    reach = max(t.peers_seconds, t.peers_window * scene.effect.seconds)
    low, high = scene.ns(scene.effect.start - reach), scene.ns(scene.effect.end + reach)
    mine = {(s.service, s.name) for s in case.spans}
    now: list[Run] = []
    before: dict[tuple[str, str], list[int]] = {}
    for r in scene.box.runs:
        if r.trace_id == case.trace_id or (r.service, r.operation) in mine or not r.root:
            continue
        key = (r.service, r.operation)
        if low <= r.start_ns + r.duration_ns and r.start_ns <= high:
            now.append(r)
        elif r.start_ns + r.duration_ns < low and r.outcome == "ok":
            before.setdefault(key, []).append(r.duration_ns)
    judged = [
        (r, _bad(r, median(before[r.service, r.operation]), t))
        for r in now
        if len(before.get((r.service, r.operation), ())) >= 3
    ]
    operations: dict[tuple[str, str], list[bool]] = {}
    for r, bad in judged:
        operations.setdefault((r.service, r.operation), []).append(bad)
    words = [sum(v) >= len(v) / 2 for v in operations.values()]
    return _compared("peers_here", words, "other operations on this host", t)


def elsewhere(case: Case, scene: Scene, symptom: Symptom, t: Table) -> Experiment | None:
    """The same operation on other hosts at that time."""
    if symptom.usual_seconds is None:
        return None
    reach = max(t.peers_seconds, t.peers_window * scene.effect.seconds)
    low, high = scene.ns(scene.effect.start - reach), scene.ns(scene.effect.end + reach)
    hosts: dict[int, list[bool]] = {}
    for r in case.peers:
        if r.trace_id == case.trace_id or r.host_id in (None, scene.box.id):
            continue
        if low <= r.start_ns + r.duration_ns and r.start_ns <= high and r.host_id is not None:
            hosts.setdefault(r.host_id, []).append(_bad(r, symptom.usual_seconds * NS, t))
    words = [sum(v) >= len(v) / 2 for v in hosts.values()]
    return _compared("elsewhere", words, "other hosts running this operation", t)


def _compared(name: str, bad: Sequence[bool], whom: str, t: Table) -> Experiment | None:
    if len(bad) < t.peers_least:
        return None
    counts = (sum(bad), len(bad))
    text = f"{sum(bad)} of {len(bad)} {whom} were slow or failing at that time"
    if sum(bad) >= t.peers_bad * len(bad):
        return Experiment(name, "bad", text, counts)
    return Experiment(name, "fine" if sum(bad) <= t.peers_fine * len(bad) else "mixed", text, counts)
