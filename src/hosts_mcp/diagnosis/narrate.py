"""Sentences: headline, timeline, next steps. No arithmetic beyond putting numbers into words."""

from __future__ import annotations

from collections.abc import Sequence

from hosts_mcp.diagnosis.model import Findings, Loss, Origin, Ruling, Symptom
from hosts_mcp.diagnosis.onset import LEVELS
from hosts_mcp.diagnosis.reasons import sentence
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.verdict import HostPart, Moment, Recurrence
from hosts_mcp.diagnosis.words import BLAMED, WORDS
from hosts_mcp.text import clean, human_ratio, human_seconds, quote, significant
from hosts_mcp.timerange import iso

NAME = 48
"""Longest name of somebody else's in a sentence."""
WHOSE = {
    "neighbour": "something else on the box", "own_workload": "the service itself", "hypervisor": "below the guest",
    "unknown": "owner not visible",
}  # fmt: skip
CANNOT = {
    "running": "The trace seems to be still running",
    "no_metrics": "No host metrics where this trace lost its time",
    "no_intervals": "No host metrics at that time",
    "unmeasured": "Something was scarce, and what would show whether anybody waited for it is not measured",
    "undetermined": "The metrics are too coarse: what they measured could hide it",
    "blind": "Memory could have filled and been freed between two samples",
    "quality": "Too little of what is needed was measured",
    "unseen_host": "Most of the time was lost on a host that sends no metrics",
}
OWN_STEPS = {
    "c_mem": ("Raise the container's memory limit, or find what grows in it.",),
    "c_cpu": ("Raise the container's CPU limit, or remove it.",),
    "fd": ("Raise the process's limit (LimitNOFILE=, ulimit -n) and look for descriptors that are not closed.",),
    "restart": ("Look at why the host restarted: journalctl -b -1, the cloud's maintenance events.",),
    "suspend": ("Keep the machine from sleeping while work runs (systemd-inhibit, caffeinate).",),
}


def happened(s: Symptom) -> str:
    """What became of the trace, with its numbers."""
    known = not s.root.parent_id.strip(b"\0") or s.root.kind in (2, 5)
    name = quote(s.root.name, NAME) if known else f"the trace around {quote(s.span.name, NAME)}"
    took = human_seconds(s.duration_seconds)
    usual = f" instead of {human_seconds(s.usual_seconds)}" if s.usual_seconds else ""
    if s.kind == "killed":
        return f"{name} was killed after {took}"
    if s.kind == "running":
        return f"{name} has been running for {took}; {s.text}"
    if s.kind.startswith("err_"):
        return f"{name} failed after {took} ({quote(s.text, 60)})"
    if s.kind == "unknown":
        return f"{name} took {took}; {s.text}"
    return f"{name} took {took}{usual}"


def headline(
    s: Symptom, r: Ruling, word: str, main: Findings | None, origin: Origin | None, onset: float | None,
    parts: Sequence[HostPart], losses: Sequence[Loss], companions: Sequence[str], recurrence: Recurrence | None,
    counter: str | None,
) -> str:  # fmt: skip
    """The verdict in one sentence: what happened, why, since when, whose, and one argument against it."""
    told = happened(s)
    if r.verdict == "cannot_tell":
        return f"Cannot tell ({word}). {CANNOT.get(r.why, 'The data cannot decide')}: {told}."
    if r.verdict == "no":
        return f"Not the box ({word}): {told}{_where_instead(s, losses)}{f'; {counter}' if counter else ''}."
    verdict = "Yes" if r.verdict == "yes" else "Partly"
    host = quote(main.scene.box.name, NAME) if main is not None else "the host"
    reason = (
        sentence(main.pressures[r.resource])
        if main is not None and r.resource is not None
        else ("something host-wide that these metrics do not show")
    )
    out = f"{verdict}, {word} the box: {told}; on {host} {reason}"
    if origin is not None:
        out += (
            f", from {quote(origin.culprit, NAME)}"
            if origin.culprit and origin.word == "neighbour"
            else f" ({WHOSE[origin.word]})"
        )
    if main is not None and onset is not None and onset < -main.scene.interval:
        begun = "climbing" if r.resource in LEVELS else "there"
        out += f", {begun} since {clock(main.scene.ns(onset))} UTC, {human_seconds(-onset)} before it began"
    if companions:
        out += f"; {' and '.join(companions[:3])} unusual beside it"
    if r.share is not None and r.calm_seconds is not None and s.kind == "slow":
        out += f"; on a calm box {human_seconds(r.calm_seconds)}, so the box explains {human_ratio(r.share)} of the slow-down"
    others = [p for p in parts if main is not None and p.host != main.scene.box.key and p.removed_seconds]
    if others:
        out += "; also " + ", ".join(
            f"{quote(p.host, NAME)} ({p.resource}, {human_seconds(p.removed_seconds or 0.0)})" for p in others[:3]
        )
    if recurrence is not None:
        out += f"; the {recurrence.signal} load recurs {recurrence.period}, {recurrence.hits} of {recurrence.cycles}"
    return f"{out}. {f'Against it: {counter}.' if counter else ''}".strip()


def _where_instead(s: Symptom, losses: Sequence[Loss]) -> str:
    """An exoneration says where the time went."""
    if s.kind != "slow" or not losses:
        return ""
    top = max(losses, key=lambda x: (x.excess_seconds, x.self_seconds))
    if top.excess_seconds <= 0:
        return ""
    if top.remote:
        return f"; {human_seconds(top.self_seconds)} of it waiting on {quote(top.span.server_address or top.span.name, NAME)}"
    more = f", {human_seconds(top.excess_seconds)} more than usual" if top.usual_seconds is not None else ""
    return f"; {human_seconds(top.self_seconds)} of it inside {quote(top.span.name, NAME)}{more}"


def timeline(s: Symptom, main: Findings | None, resource: str | None, onset: float | None) -> tuple[Moment, ...]:
    out: list[Moment] = []
    if main is not None:
        scene = main.scene
        boots = (b for b in scene.box.boots_ns if s.start_ns <= b <= s.at_ns + 600_000_000_000)
        out += [Moment(boot, "host restarted") for boot in boots]
        if resource is not None and resource in RESOURCES and onset is not None:
            before = onset < 0
            when = f", {human_seconds(-onset)} before the trace" if before else ""
            begins = "begins to climb" if resource in LEVELS else "pressure begins"
            out.append(Moment(scene.ns(onset), f"{WORDS[resource][0]} {begins}{when}", _level(main, resource, onset)))
        if resource is not None and resource in RESOURCES:
            peak = _peak(main, resource)
            if peak is not None:
                out.append(Moment(scene.ns(peak[0]), f"{WORDS[resource][0]} at its highest", peak[1]))
    out.append(Moment(s.start_ns, "trace begins"))
    ends = {"killed": "last sign of life", "running": "last sign so far"}.get(
        s.kind, "trace fails" if s.failed else "trace ends"
    )
    out.append(Moment(s.at_ns, ends))
    return tuple(sorted(out, key=lambda m: (m.at_ns, m.what)))


def clock(ns: int) -> str:
    """Time of day, to the nearest minute."""
    return iso(ns + 30_000_000_000)[11:16]


def _shown(resource: str, value: float) -> str:
    return f"{significant(value, 2)} runnable tasks per CPU" if resource == "cpu" else human_ratio(value)


def _level(f: Findings, resource: str, at: float) -> str | None:
    reading = RESOURCES[resource].READING
    for iv in f.scene.intervals:
        if iv.end > at and (value := getattr(iv, reading)) is not None:
            return _shown(resource, value)
    return None


def _peak(f: Findings, resource: str) -> tuple[float, str] | None:
    reading = RESOURCES[resource].READING
    seen = [(v, -iv.end) for iv in f.scene.during() if (v := getattr(iv, reading)) is not None]
    if not seen:
        return None
    value, end = max(seen)
    return -end, _shown(resource, value)


def next_steps(s: Symptom, r: Ruling, origin: Origin | None, losses: Sequence[Loss]) -> tuple[str, ...]:
    if r.verdict in BLAMED:
        if r.resource is not None and r.resource in RESOURCES:
            return RESOURCES[r.resource].next_steps(origin.word if origin else None)
        return OWN_STEPS.get(
            r.resource or "", ("Look at what these metrics do not show: I/O caps, network storage, volume throttling.",)
        )
    if r.verdict == "cannot_tell":
        return (
            ("Ask again once it has ended.",)
            if s.kind == "running"
            else ("Add what is missing to the collector, then ask about the next such trace.",)
        )
    if s.kind == "none":
        return ()
    if s.failed:
        return (
            f"Look at the failure itself: {clean(s.text, 100)}."
            if s.kind != "killed"
            else "Ask who stopped the process: deploys, supervisors, operators, its own exit.",
        )
    remote = [x for x in losses if x.remote and x.excess_seconds > 0]
    top = max(remote or losses, key=lambda x: x.excess_seconds, default=None)
    if top is None:
        return ()
    if top.remote:
        return (f"Look at the other side: {quote(top.span.server_address or top.span.name, NAME)}.",)
    return (f"Look inside {quote(top.span.name, NAME)}: locks, sleeps, more input, slower code.",)
