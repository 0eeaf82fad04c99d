"""Evidence for and against, each with the metric, host, window and value it can be recomputed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from hosts_mcp.diagnosis import page_cache
from hosts_mcp.diagnosis.intervals import PLAIN
from hosts_mcp.diagnosis.model import (
    Findings,
    Loss,
    Origin,
    Pressure,
    Ruling,
    Scene,
    Symptom,
)
from hosts_mcp.diagnosis.pressure import weighted
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.verdict import Evidence, Exonerated, Recurrence
from hosts_mcp.diagnosis.words import BLAMED, WORDS
from hosts_mcp.text import clean, human_bytes, human_ratio, human_seconds, quote, significant

RATIO_READINGS = {"memory", "busy", "steal", "filesystem", "inodes", "disk_busy", "drops"}
SAYS = {
    "memory": "memory {value} used{usual}",
    "reclaimable": "page cache down from {before} to {value}: memory had filled for a moment",
    "run_queue": "{value} runnable tasks per CPU{usual}",
    "steal": "{value} of CPU time stolen{usual}",
    "disk_busy": "disk {value} busy{usual}",
    "filesystem": "{subject} {value} full{usual}",
    "inodes": "{subject} {value} of inodes used{usual}",
    "drops": "{value} of packets dropped{usual}",
    "blocked": "{value} tasks in block I/O wait{usual}",
    "container_memory_ratio": "container memory {value} of its limit",
    "container_throttled_ratio": "container throttled in {value} of its periods",
    "container_cpu_ratio": "container CPU {value} of its limit",
}
ALSO = {
    "cpu": ("busy", "CPU {} busy"),
    "disk": ("disk_queue", "queue {}"),
    "memory": ("swap_pages", "{} pages/s swapped"),
    "steal": ("busy", "CPU {} busy"),
}
FAMILIES = ("memory", "cpu", "steal", "disk", "filesystem", "network")


def sentence(p: Pressure) -> str:
    """The reading that carries a pressure, in words."""
    if p.resource == "restart":
        return "the host restarted in mid-trace"
    if p.resource == "suspend":
        return f"the box did not see {human_seconds(p.peak or 0.0)} pass: it slept or was paused"
    if p.resource == "fd":
        return "the process ran out of file descriptors or threads"
    if p.reading is None or p.peak is None:
        return clean(p.note or f"{WORDS[p.resource][0]} pressure", 80)
    show = _shower(p.reading)
    before = "" if p.usual is None else show(p.usual)
    return SAYS.get(p.reading, p.reading + " {value}").format(
        value=show(p.peak), before=before, usual=f" (usual {before})" if before else "",
        subject=quote(p.subject, 40) if p.subject else "the fullest file system",
    )  # fmt: skip


def _shower(reading: str) -> Callable[[float], str]:
    if reading == "reclaimable":
        return human_bytes
    return human_ratio if reading in RATIO_READINGS or reading.endswith("_ratio") else lambda v: significant(v, 2)


def of_pressure(scene: Scene, p: Pressure, side: Literal["for", "against"] = "for") -> Evidence:
    """A pressure as evidence. `run_queue` is stored in tasks, shown per CPU: the value here is the stored signal's."""
    value = p.peak
    usual = p.usual
    if p.reading == "run_queue" and value is not None and scene.cpus:
        value, usual = value * scene.cpus, None if usual is None else usual * scene.cpus
    window = scene.during()
    if p.how == "max" and window:
        start, end = window[0].start, window[-1].end
    elif p.how == "last" and window:
        start, end = window[-1].start, window[-1].end
    else:
        start, end = scene.effect.start, scene.effect.end
    metric = PLAIN.get(p.reading or "", p.reading)
    text = sentence(p)
    if p.note and p.reading:
        text += f" ({clean(p.note, 60)})"
    return Evidence(
        side, text, value, "ratio" if p.reading in RATIO_READINGS else None, usual, metric, p.subject,
        scene.box.key, scene.ns(start), scene.ns(end), p.how,
    )  # fmt: skip


def collect(
    symptom: Symptom,
    ruling: Ruling,
    main: Findings | None,
    origin: Origin | None,
    companions: Sequence[str],
    recurrence: Recurrence | None,
    losses: Sequence[Loss],
    t: Table,
) -> tuple[Evidence, ...]:
    out: list[Evidence] = []
    if main is not None:
        out += _box(main, ruling, t)
        if origin is not None:
            out.append(
                Evidence(
                    "for",
                    f"{origin.why}",
                    origin.own_share,
                    "own_share" if origin.own_share is not None else None,
                    host=main.scene.box.key,
                )
            )
            if origin.word == "neighbour" and origin.culprit is None:
                inferred = "no process was seen using it: that it was a neighbour is inferred from the time course"
                out.append(Evidence("against", inferred, host=main.scene.box.key))
        host = main.scene.box.key
        said = {e.text for e in out}
        out += [Evidence("for", c, host=host) for c in companions if c not in said]
        if recurrence is not None:
            out.append(
                Evidence(
                    "for",
                    f"{recurrence.signal} pressure came back {recurrence.period}: {recurrence.hits} of {recurrence.cycles} times"
                    + (", give or take an hour" if recurrence.clock_change else ""),
                    host=host,
                )
            )
        out += [
            Evidence("for" if e.speaks_for else "against", e.text, host=host)
            for e in main.experiments
            if e.outcome != "mixed"
        ]
        if main.effect and main.effect.more_work:
            out.append(
                Evidence(
                    "against",
                    f"it computed {significant(main.effect.more_work)} times as many CPU seconds as usual: more work",
                    main.effect.more_work,
                    "times",
                )
            )
        if main.released:
            out.append(Evidence("for", "memory was released right after", host=host))
        if main.silent_metrics:
            out.append(
                Evidence("for", "the host's own metrics fell silent at that moment, with memory nearly full", host=host)
            )
    out += _trace(symptom, losses)
    return tuple(out)


def _box(f: Findings, ruling: Ruling, t: Table) -> list[Evidence]:
    """The strongest reading with its companion reading, and other pressures worth a word."""
    scene = f.scene
    out = []
    blamed = ruling.verdict in BLAMED
    named = ruling.resource if blamed else f.strongest
    shown = [named] if named is not None and (blamed or (f.pressures[named].value or 0.0) >= t.calm) else []
    shown += [r for r in FAMILIES if r != named and (f.pressures[r].value or 0.0) >= t.hot]
    for r in shown[:3]:
        p = f.pressures[r]
        if p.value is None:
            continue
        out.append(
            of_pressure(
                scene,
                p,
                "for" if (blamed and r == named) or (r == "memory" and blamed) else "for" if blamed else "against",
            )
        )
        also = ALSO.get(r)
        if also is not None and r == named:
            value = weighted(scene.during(), scene.effect, lambda iv, a=also: getattr(iv, a[0]))  # type: ignore[misc]
            if value is not None and value > 0.01:
                show = _shower(also[0])
                out.append(
                    Evidence("for" if blamed else "against", also[1].format(show(value)), value, "ratio" if also[0] in RATIO_READINGS else None,
                             scene.usual.get(also[0]), PLAIN.get(also[0]), None, scene.box.key, scene.ns(scene.effect.start), scene.ns(scene.effect.end), "mean")
                )  # fmt: skip
    if not blamed:
        # a pressure that did not explain the symptom speaks for the box having been busy, not for its guilt
        out = (
            [Evidence("for", e.text + ", but that does not explain it", *_rest(e)) for e in out[:1]]
            if out and ruling.verdict == "no"
            else out[:2]
        )
        out = [Evidence("for", e.text, *_rest(e)) if e.side == "against" else e for e in out]
    return out


def _rest(e: Evidence):  # type: ignore[no-untyped-def]
    return e.value, e.unit, e.usual, e.metric, e.subject, e.host, e.start_ns, e.end_ns, e.how


def _trace(symptom: Symptom, losses: Sequence[Loss]) -> list[Evidence]:
    out = []
    if symptom.marker:
        out.append(Evidence("for", f"somebody reported the death: {quote(symptom.marker, 80)}"))
    if symptom.kind.startswith("err_"):
        side = "against" if symptom.kind == "err_app" else "for"
        out.append(Evidence(side, f"the error is {quote(symptom.text, 100)}"))  # type: ignore[arg-type]
    if symptom.kind in ("slow", "unknown"):
        remote = [x for x in losses if x.remote]
        waited = sum(x.self_seconds for x in remote)
        lost = sum(x.excess_seconds for x in remote)
        if remote and waited > 0.1 * symptom.duration_seconds:
            top = max(remote, key=lambda x: x.self_seconds)
            whom = quote(top.span.server_address or top.span.name, 60)
            more = f", {human_seconds(lost)} more than usual" if lost > 0.05 * symptom.duration_seconds else ""
            out.append(
                Evidence(
                    "against",
                    f"{human_seconds(waited)} of {human_seconds(symptom.duration_seconds)} was waiting for {whom}{more}",
                    waited,
                    "seconds",
                )
            )
    if symptom.incomplete:
        out.append(
            Evidence("against", "the same process went on sending spans: the end was lost, perhaps not the process")
        )
    if symptom.handled_errors:
        out.append(Evidence("against", f"{symptom.handled_errors} spans failed and the request survived them"))
    return out


def exonerated(found: Sequence[Findings], ruling: Ruling, symptom: Symptom, t: Table) -> tuple[Exonerated, ...]:
    """Resources that were measured and not under pressure, with the bound that clears them."""
    out = []
    for f in found:
        for r in FAMILIES:
            p = f.pressures[r]
            if p.value is None or p.value >= t.link_none or (r == ruling.resource and ruling.verdict in BLAMED):
                continue
            bound = f.quality.bounds.get(r)
            if r == "network" and symptom.kind in ("slow", "err_timeout", "err_conn") and not (p.peak or 0.0):
                text = "no drops; delay on the wire is not visible here"
            elif (
                bound is not None
                and bound.exonerated
                and 0.01 * bound.of_seconds < bound.most_seconds < bound.of_seconds
            ):
                text = _calm_reading(f.scene, r, p) + (
                    f"; can explain at most {human_seconds(bound.most_seconds)} of its {human_seconds(bound.of_seconds)}"
                )
            elif bound is not None and bound.undetermined:
                continue
            else:
                text = _calm_reading(f.scene, r, p)
                if (
                    r == "memory"
                    and symptom.kind == "killed"
                    and (told := page_cache.between(f.scene, symptom, t)) is not None
                ):
                    text += page_cache.stayed(told, p.peak)
            out.append(Exonerated(WORDS[r][0], f.scene.box.key, p.peak, text))
    return tuple(out)


def _calm_reading(scene: Scene, resource: str, p: Pressure) -> str:
    if resource == "cpu":
        busy = weighted(scene.during(), scene.effect, lambda iv: iv.busy)
        queue = "" if p.peak is None else f", {significant(p.peak, 2)} runnable tasks per CPU"
        return f"CPU {human_ratio(busy or 0.0)} busy{queue}"
    if resource == "disk" and p.reading == "disk_busy":
        waiting = weighted(scene.during(), scene.effect, lambda iv: iv.disk_queue)
        return (
            sentence(p) if waiting is None else f"disk {human_ratio(p.peak or 0.0)} busy, queue {significant(waiting)}"
        )
    return sentence(p)
