"""The sequence of the diagnosis and nothing else: symptom, lost time, hosts, pressure, link, origin, decision, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hosts_mcp.diagnosis import (
    companions,
    counterfactual,
    decide,
    excess,
    experiments,
    hints,
    intervals,
    logodds,
    narrate,
    onset,
    origin,
    pressure,
    quality,
    reasons,
    recurrence,
    symptom,
    usual,
    windows,
)  # fmt: skip
from hosts_mcp.diagnosis.model import (
    Box,
    Case,
    Findings,
    Loss,
    Origin,
    Ruling,
    Scene,
    Symptom,
    Told,
)
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.table import TABLE, Table
from hosts_mcp.diagnosis.verdict import Diagnosis, HostPart, Recurrence
from hosts_mcp.diagnosis.words import BLAMED, WORDS
from hosts_mcp.store.protocol import Rollup
from hosts_mcp.timerange import NS

FOCUS_SECONDS = 300.0
ALL_HOSTS = ("err_timeout", "err_conn")
"""A failure that another host's pressure can make; any other failure is judged where it happened."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A case that is decided and not yet put into words."""

    found: Symptom
    losses: Sequence[Loss]
    parts: Mapping[int | None, float]
    hosts: Sequence[Findings]
    readings: Mapping[int, pressure.Reading]
    ruling: Ruling
    main: Findings | None
    """The host that the ruling is about."""

    @property
    def blamed(self) -> Box | None:
        """The box whose long past `tell` looks at."""
        return self.main.scene.box if self.main is not None and self.ruling.verdict in BLAMED else None


def assess(case: Case, t: Table = TABLE) -> Diagnosis:
    """One trace and everything that may bear on it -> the verdict. Deterministic; `case.spans` must not be empty."""
    return tell(case, judge(case, t), t)


def judge(case: Case, t: Table = TABLE) -> Judged:
    """The decision. It needs no more of a box's rollup than the day before and the time of earlier runs."""
    told = case.told if case.told is not None and case.told.of(case, t) else _alone(case, t)
    found = told.symptom
    losses = excess.with_added(told.losses, found.usual_seconds, t)
    parts = excess.shares(losses)
    scenes = [s for s in (_scene(case, found, losses, host, parts, t) for host in _hosts(case, found, losses, t)) if s]
    readings = {s.box.id: pressure.read(s, found, t) for s in scenes}
    judged = [_judge(case, s, found, readings[s.box.id], t) for s in scenes]
    ruling, main = _rule(case, found, judged, parts, t)
    return Judged(found, losses, parts, judged, readings, ruling, main)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which exact samples of a host `assess` looks at: [start, end) ns; from `focus` on every scrape matters."""

    start_ns: int
    focus_ns: int
    end_ns: int


def first_look(case: Case, t: Table = TABLE) -> tuple[dict[int, Wanted], Told | None]:
    """(host id -> what to read of it; what `assess` need not find again). The case's boxes need no signals for this.

    Empty when no host will be judged. A trace that ended without failing is judged by its spans and their histories;
    of any other the boxes' logs, processes and instances, not read yet, may tell more.
    """
    told = _alone(case, t)
    found, losses = told.symptom, told.losses
    lasting = told if found.kind in symptom.OF_SPANS_ALONE else None
    if found.kind == "none":
        return {}, lasting
    out = {}
    for host in _hosts(case, found, losses, t):
        here = tuple(x for x in losses if _touches(x, host))
        box = case.boxes.get(host)
        begin = windows.origin_of(here, found)
        iv = (box.interval_ns if box else None) or 60 * NS
        look = windows.effect(here, found, begin, iv / NS, t)
        lead = windows.lead(found.duration_seconds, iv / NS, t)
        after = windows.after(look.end, iv / NS, t)
        out[host] = Wanted(
            begin + round(min(lead.start, look.start) * NS) - 2 * iv,
            begin + round(min(0.0, look.start) * NS) - round(FOCUS_SECONDS * NS),
            begin + round(after.end * NS) + 2 * iv,
        )
    return out, lasting


def _alone(case: Case, t: Table) -> Told:
    found = symptom.find(case, t)
    return Told(case.spans, case.histories, t, found, excess.losses(case, found.root, _end(case, found), t))


def _end(case: Case, found: Symptom) -> int:
    return found.root.end_ns or max(s.end_ns or s.start_ns for s in case.spans)


def _hosts(case: Case, found: Symptom, losses: Sequence[Loss], t: Table) -> list[int]:
    """Hosts to judge, the one with the largest part first. A call's own time may be either side's: both are looked at."""
    here = found.span.host_id
    if found.failed and found.kind not in ALL_HOSTS:
        return [here] if here is not None else []
    parts = excess.shares(losses)
    for loss in losses:
        if loss.handed_over and loss.span.host_id is not None:
            part = loss.excess_seconds / max(sum(x.excess_seconds for x in losses if not x.remote), 1e-9)
            parts[loss.span.host_id] = parts.get(loss.span.host_id, 0.0) + part
    listed = [h for h, share in sorted(parts.items(), key=lambda x: -x[1]) if h is not None and share >= t.host_share]
    if found.failed and here is not None and here not in listed:
        listed.insert(0, here)
    return listed


def _touches(x: Loss, host: int) -> bool:
    return x.place == host or (x.handed_over and x.span.host_id == host)


def _scene(
    case: Case, found: Symptom, losses: Sequence[Loss], host: int, parts: Mapping[int | None, float], t: Table
) -> Scene | None:
    box = case.boxes.get(host)
    if box is None or not (box.signals or box.workload):
        return None
    here = tuple(x for x in losses if _touches(x, host))
    begin = windows.origin_of(here, found)
    interval = intervals.interval_seconds(box)
    look = windows.effect(here, found, begin, interval, t)
    cpus = box.facts.cpu_count
    joined = intervals.join(box, begin, interval, cpus, t)
    return Scene(
        box=box,
        origin_ns=begin,
        losses=here,
        share=parts.get(host, 0.0),
        effect=look,
        lead=windows.lead(found.duration_seconds, interval, t),
        after=windows.after(look.end, interval, t),
        intervals=joined,
        usual=usual.of(box, begin, joined, look, cpus, t),
        interval=interval,
        cpus=cpus,
    )


def _judge(case: Case, scene: Scene, found: Symptom, reading: pressure.Reading, t: Table) -> Findings:
    link, strongest = pressure.link(reading.pressures, found.kind, t)
    q = quality.assess(scene, found, reading.pressures, t)
    effect = counterfactual.remove(case, scene, found, reading, t) if found.kind == "slow" else None
    named = counterfactual.named(effect.by_resource, t) if effect else None
    tried = experiments.run(case, scene, found, named or strongest, t)
    marks = {
        "released": _released(scene, reading),
        "silent_metrics": _silent(scene, found),
    }
    weights = (
        logodds.weigh(found, reading.pressures, link, q, tried, marks, t)
        if found.failed or found.kind == "unknown"
        else ()
    )
    levels = [iv.memory for iv in scene.intervals if iv.memory is not None and iv.end <= scene.effect.end]
    return Findings(
        scene, reading.pressures, link, strongest, q, tried, effect, sum(w for _, w in weights) if weights else None,
        weights, reading.chronic, reading.thrash, marks["released"], marks["silent_metrics"], levels[-1] if levels else None,
    )  # fmt: skip


def _released(scene: Scene, reading: pressure.Reading) -> bool:
    """Memory fell right after by more than 30 % of what it had risen."""
    if (reading.pressures["memory"].value or 0.0) <= 0.3:
        return False
    seen = [iv.memory for iv in scene.intervals if iv.memory is not None and iv.end <= scene.effect.end]
    later = [iv.memory for iv in scene.during(scene.after) if iv.memory is not None and iv.end > scene.effect.end]
    if not seen or not later:
        return False
    peak, base = max(seen), scene.usual.get("memory") or min(seen)
    return peak - base > 0.05 and peak - min(later) > 0.3 * (peak - base)


def _silent(scene: Scene, found: Symptom) -> bool:
    """The metrics stop or have a gap at the moment of death, and memory was nearly full before."""
    if found.kind != "killed":
        return False
    seen = [iv for iv in scene.intervals if iv.end <= scene.effect.end and iv.memory is not None]
    if not seen or (seen[-1].memory or 0.0) <= 0.85:
        return False
    return scene.effect.end - seen[-1].end > 2.5 * scene.interval or any(iv.gap for iv in scene.during())


def _rule(
    case: Case, found: Symptom, judged: Sequence[Findings], parts: Mapping[int | None, float], t: Table
) -> tuple[Ruling, Findings | None]:
    settled = decide.without_look(found, t)
    if settled is not None:
        return settled, judged[0] if judged else None
    seen = {f.scene.box.id for f in judged}
    if found.kind == "slow":
        unseen = sum(share for host, share in parts.items() if host not in seen and share >= t.host_share)
        return (
            decide.slow(judged, found, unseen, t) if parts else (Ruling("no", 0.8, None, share=0.0, why="remote"), None)
        )
    if not judged:
        if found.kind == "err_space":
            return Ruling("partly", 0.5, "filesystem", why="odds"), None
        return Ruling("cannot_tell", 0.85, None, why="no_metrics"), None
    return decide.strongest([(decide.failed(f, found, t), f) for f in judged])


def tell(case: Case, judged: Judged, t: Table = TABLE, past: Rollup | None = None) -> Diagnosis:
    """The decision with its origin, reasons and words. `past`: bins of the blamed box in which it may have been hot
    (`recurrence.HOT_AT_LEAST`), and its first one; its own rollup where that holds them."""
    found, losses, parts, readings, ruling, main = (
        judged.found, judged.losses, judged.parts, judged.readings, judged.ruling, judged.main,
    )  # fmt: skip
    blamed = ruling.verdict in BLAMED
    begun: float | None = None
    whose: Origin | None = None
    again: Recurrence | None = None
    beside: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    if blamed and main is not None:
        momentary = ruling.resource is not None and main.pressures[ruling.resource].momentary
        begun = None if momentary else onset.find(main.scene, ruling.resource, t)
        whose = origin.find(case, main.scene, found, readings[main.scene.box.id], ruling.resource, begun, t)
        beside, said = companions.find(main.scene, ruling.resource, begun, t)
        again = recurrence.find(
            _with_past(main.scene, past), [r for r in (ruling.resource, *beside) if r], main.scene.effect.end, t
        )
        if whose.mixed and ruling.verdict == "yes":
            ruling = Ruling(
                "partly", min(ruling.confidence, 0.75), ruling.resource, ruling.share, ruling.calm_seconds, ruling.why
            )
    elif blamed:
        whose = Origin("unknown", "the host sends no metrics")
    evidence = reasons.collect(found, ruling, main, whose, said, again, losses, t)
    cleared = reasons.exonerated(judged.hosts, ruling, found, t)
    host_parts = _parts(case, parts, judged.hosts, ruling, t)
    counter = _counter(ruling, evidence, cleared)
    word = t.word(ruling.confidence)
    resource, scope = _words(ruling, main)
    return Diagnosis(
        trace_id=case.trace_id,
        verdict=ruling.verdict,
        confidence=ruling.confidence,
        confidence_word=word,
        symptom=found,
        origin=whose.word if whose is not None else None,
        scope=scope,
        resource=resource,
        host=main.scene.box.key if main is not None else None,
        span=_span(found, losses, main),
        culprit=whose.culprit if whose is not None else None,
        share_of_slowdown=ruling.share if found.kind == "slow" else None,
        calm_duration_seconds=ruling.calm_seconds if blamed and found.kind == "slow" else None,
        headline=narrate.headline(found, ruling, word, main, whose, begun, host_parts, losses, beside, again, counter),
        timeline=narrate.timeline(found, main, ruling.resource if blamed else None, begun),
        evidence=evidence,
        exonerated=cleared,
        companions=beside,
        recurrence=again,
        hosts=host_parts,
        coverage=main.quality.value if main is not None else 0.0,
        interval_seconds=main.scene.interval if main is not None else None,
        hints=hints.collect(case, found, losses, judged.hosts, ruling, whose, t)
        if found.kind not in ("none", "running")
        else (),
        next_steps=narrate.next_steps(found, ruling, whose, losses),
        engine_version=t.version,
        evaluated_at_ns=case.evaluated_at_ns,
        final=_final(case, found, main),
        features=_features(ruling, main),
    )


def _with_past(scene: Scene, past: Rollup | None) -> Scene:
    return scene if past is None else replace(scene, box=replace(scene.box, rollup=past))


def _words(ruling: Ruling, main: Findings | None):  # type: ignore[no-untyped-def]
    if ruling.verdict not in BLAMED or ruling.resource is None:
        return "none", None
    word, scope = WORDS[ruling.resource]
    if main is not None and (own := main.pressures[ruling.resource].scope) is not None:
        scope = own
    return word, scope


def _span(found: Symptom, losses: Sequence[Loss], main: Findings | None) -> str | None:
    if found.kind != "slow":
        return found.span.name
    here = [x for x in losses if main is None or _touches(x, main.scene.box.id)] or list(losses)
    return max(here, key=lambda x: x.excess_seconds).span.name if here else None


def _counter(ruling: Ruling, evidence: Sequence, cleared: Sequence) -> str | None:  # type: ignore[type-arg]
    """One argument against the verdict (or, for an exoneration, the readings that clear the box)."""
    if ruling.verdict == "no":
        shown = [
            e.bound if e.bound.startswith(("CPU", "disk", "memory")) else f"{e.resource} {e.bound}" for e in cleared[:3]
        ]
        return ", ".join(shown) or None
    side = "against" if ruling.verdict in BLAMED else "for"
    return next((e.text for e in evidence if e.side == side), None)


def _parts(
    case: Case, parts: Mapping[int | None, float], judged: Sequence[Findings], ruling: Ruling, t: Table
) -> tuple[HostPart, ...]:
    by_id = {f.scene.box.id: f for f in judged}
    out = []
    for host, share in sorted(parts.items(), key=lambda x: (-x[1], x[0] or 0)):
        box: Box | None = case.boxes.get(host) if host is not None else None
        f = by_id.get(host) if host is not None else None
        name = box.key if box is not None else "?"
        removed = f.effect.removed_seconds if f is not None and f.effect is not None else None
        key = (
            counterfactual.named(f.effect.by_resource, t)
            if f is not None and f.effect is not None
            else (f.strongest if f else None)
        )
        shown: dict[str, float] = (
            {WORDS[k][0]: round(p.value, 3) for k, p in f.pressures.items() if p.value is not None and k in RESOURCES}
            if f
            else {}
        )
        out.append(
            HostPart(
                name,
                share,
                ruling.verdict if f is not None and len(judged) == 1 else None,
                WORDS[key][0] if key and (removed or (f is not None and f.link >= t.link_none)) else None,
                removed,
                f is not None or (share < t.host_share and box is not None and box.newest_ns is not None),
                shown,
            )  # fmt: skip
        )
    return tuple(out)


def _final(case: Case, found: Symptom, main: Findings | None) -> bool:
    """False while the trace or the metrics of its time may still grow."""
    if found.kind == "running":
        return False
    if main is None:
        return case.evaluated_at_ns - found.at_ns > 120 * NS
    newest = main.scene.box.newest_ns
    return newest is None or newest >= main.scene.ns(main.scene.effect.end + main.scene.interval)


def _features(ruling: Ruling, main: Findings | None) -> dict[str, float]:
    if main is None:
        return {}
    out = {f"p_{name}": round(p.value, 4) for name, p in main.pressures.items() if p.value is not None}
    out |= {"link": main.link, "quality": main.quality.value, "share": ruling.share or 0.0}
    out |= {f"w_{name}": value for name, value in main.weights}
    return out
