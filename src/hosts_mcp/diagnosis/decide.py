"""The order of decision: what the evidence amounts to, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hosts_mcp.diagnosis import counterfactual, logodds
from hosts_mcp.diagnosis.model import Experiment, Findings, Interval, Ruling, Symptom
from hosts_mcp.diagnosis.resources import RESOURCES, memory
from hosts_mcp.diagnosis.stats import clip, median
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.words import Word

RANK: dict[Word, int] = {"yes": 3, "partly": 2, "cannot_tell": 1, "no": 0}


def without_look(symptom: Symptom, t: Table) -> Ruling | None:
    """Verdicts that need no look at a host."""
    if symptom.kind == "running":
        return Ruling("cannot_tell", 0.8, None, why="running")
    if symptom.kind == "none":
        sure = symptom.runs >= t.history_least and symptom.ratio < t.slow_ratio
        return Ruling("no", 0.9 if sure else min(0.75, 0.6 + 0.05 * symptom.runs), None, share=0.0, why="usual")
    return None


def slow(found: Sequence[Findings], symptom: Symptom, unseen_share: float, t: Table) -> tuple[Ruling, Findings | None]:
    """One ruling for the whole trace: what several hosts explain together counts together."""
    if not found:
        return Ruling("cannot_tell", 0.85, None, why="no_metrics"), None
    main = max(found, key=lambda f: (_removed(f), f.link * f.scene.share, f.scene.share))
    removed = counterfactual.together([f.effect for f in found if f.effect is not None])
    share, calm = counterfactual.share(removed, symptom, t)
    more = max((f.effect.more_work for f in found if f.effect and f.effect.more_work), default=None)
    unseen = all(f.link < t.hot or _queue_unseen(f, t) for f in found)
    most = _most(found, symptom, t)
    share = adjusted(share, main.experiments, more, symptom, t, most, unseen)
    calm = symptom.duration_seconds / symptom.ratio**share if symptom.ratio > 1 else calm
    by_resource: dict[str, float] = {}
    if main.effect is not None:
        by_resource = dict(main.effect.by_resource)
    resource = counterfactual.named(by_resource, t)
    if resource == "disk" and main.thrash and by_resource.get("memory"):
        resource = "memory"  # the disk load is the paging
    quality = min(f.quality.value for f in found if f.scene.share >= 0.3 * main.scene.share)
    undetermined = any(not _harmless(f).issuperset(f.quality.undetermined) for f in found)
    blinded = unseen_share > 0 and share < t.share_yes
    if all(f.quality.intervals == 0 for f in found):
        return Ruling("cannot_tell", 0.8, None, why="no_intervals"), main
    undecided = share < t.share_partly <= most  # else it is not the box whatever the metrics do not show
    if undecided and (undetermined or quality < t.quality_least):
        why = "undetermined" if undetermined else "quality"
        return _with_quality(Ruling("cannot_tell", 0.6 if undetermined else 0.7, None, why=why), 1.0), main
    if undecided and any(_unseen(f, t) for f in found):
        return Ruling("cannot_tell", 0.6, None, why="unmeasured"), main
    if blinded and share < t.share_partly:
        return Ruling("cannot_tell", 0.7, None, why="unseen_host"), main
    if share >= t.share_yes:
        ruling = Ruling("yes", min(0.95, 0.55 + 1.1 * (share - t.share_yes)), resource, share, calm, "share")
    elif share >= t.share_partly:
        ruling = Ruling("partly", 0.75 - abs(share - 0.38), resource, share, calm, "share")
    else:
        ruling = Ruling("no", min(0.95, 0.55 + 2.6 * (t.share_partly - share)), None, share, calm, "share")
        if main.link >= t.hot or any(_beside(f, t) or _wire_unseen(f) or f.quality.missing for f in found):
            ruling = _capped(ruling, t.blind_confidence)
    return _with_quality(ruling, quality), main


def _unseen(f: Findings, t: Table) -> bool:
    """Something was scarce, and what would say whether anybody waited for it was not measured."""
    unseen = {"memory": _paging_unseen, "cpu": _queue_unseen, "disk": _disk_unseen}
    harmless = _harmless(f)
    return any(check(f, t) for resource, check in unseen.items() if resource not in harmless)


def _harmless(f: Findings) -> frozenset[str]:
    """Whose pressure earlier runs stood without being hurt: what is not known of it cannot have hurt this one."""
    return frozenset(e.resource for e in f.experiments if (e.name, e.outcome) == ("dose", "same_fine") and e.resource)


def _queue_unseen(f: Findings, t: Table) -> bool:
    """All CPUs were busy and nothing says whether tasks queued for them."""
    window = f.scene.during()
    known = any(iv.run_queue is not None or iv.psi_cpu is not None for iv in window)
    return not known and (f.pressures["cpu"].value or 0.0) >= t.hot


def _disk_unseen(f: Findings, t: Table) -> bool:
    """Tasks waited for a disk that sends no metrics."""
    window = f.scene.during()
    if any(iv.disk_busy is not None or iv.disk_await is not None for iv in window):
        return False
    waited = [iv.blocked for iv in window if iv.blocked is not None]
    if waited:
        return median(waited) - (f.scene.usual.get("blocked") or 0.0) >= t.blocked_unseen
    idle = [x for iv in window if (x := _without_cpu(iv, f.scene.cpus, t)) is not None]
    return bool(idle) and median(idle) >= t.blocked_unseen


def _without_cpu(iv: Interval, cpus: int | None, t: Table) -> float | None:
    """Tasks in the load that no CPU worked for, while CPUs were idle: they wait in the kernel. None: not known."""
    if iv.run_queue is None or iv.busy is None or not cpus or iv.busy > t.waiting_busy:
        return None
    return (iv.run_queue - iv.busy) * cpus


def _wire_unseen(f: Findings) -> bool:
    """Most of what was lost was waiting for somebody else, and nothing says whether this host dropped packets."""
    remote = sum(x.excess_seconds for x in f.scene.losses if x.remote)
    return f.pressures["network"].value is None and remote > 0.5 * sum(x.excess_seconds for x in f.scene.losses)


def _paging_unseen(f: Findings, t: Table) -> bool:
    """Memory was full and nothing says whether it paged."""
    return (f.pressures["memory"].value or 0.0) >= t.hot and not memory.is_paging_seen(f.scene.during())


def _most(found: Sequence[Findings], symptom: Symptom, t: Table) -> float:
    """Share that the boxes explain if all of the local excess is theirs: a wait for a peer is not."""
    local = {x.span.span_id: x.excess_seconds for f in found for x in f.scene.losses if not (x.remote or x.added)}
    wire = sum(f.effect.by_resource.get("network", 0.0) for f in found if f.effect is not None)
    return counterfactual.share(sum(local.values()) + wire, symptom, t)[0]


def _removed(f: Findings) -> float:
    return f.effect.removed_seconds if f.effect is not None else 0.0


def _beside(f: Findings, t: Table) -> bool:
    """An interval next to the effect window is saturated: the trace may sit at the onset of something."""
    scene = f.scene
    return any(
        max((p for p in _pressures(f, iv, t) if p is not None), default=0.0) >= t.hot
        for iv in scene.during(reach=scene.interval * 0.5)
    )


def _pressures(f: Findings, iv: Interval, t: Table) -> list[float | None]:
    return [RESOURCES[name].pressure(iv, f.scene.usual, t) for name in ("cpu", "steal", "disk")]


def adjusted(
    share: float,
    experiments: Sequence[Experiment],
    more_work: float | None,
    symptom: Symptom,
    t: Table,
    most: float = 1.0,
    unseen: bool = True,
) -> float:
    """Natural experiments on the share: additions (up to `most`) first, then multiplications.

    `unseen`: no pressure was measured that could have slowed the others down.
    """
    computed = share
    found = {(e.name, e.outcome) for e in experiments}
    if ("dose", "bad") in found:
        share += 0.15
    if ("peers_here", "bad") in found and unseen:  # a pressure that was measured has had its say already
        share = max(share + 0.15, 0.3)
    if ("elsewhere", "fine") in found:
        share += 0.1 if share > 0.05 else 0.0
    share = max(computed, min(share, most))
    for key, factor in (
        (("dose", "same_fine"), 0.15),
        (("dose", "fine"), 0.35),
        (("dose", "calm_bad"), 0.5),
        (("peers_here", "fine"), 0.7),
        (("elsewhere", "bad"), 0.25),
    ):
        if key in found:
            share *= factor
    if more_work is not None and symptom.ratio > 1:
        share *= max(0.0, 1.0 - math.log(more_work) / math.log(symptom.ratio))
    return clip(share)


def failed(f: Findings, symptom: Symptom, t: Table) -> Ruling:
    """One host of a killed, failed or never-seen-before trace, by log-odds."""
    p = logodds.probability(f.weights)
    q = f.quality
    link, kind = f.link, symptom.kind
    resource = f.strongest
    if kind == "err_space":
        resource = "filesystem"
    if kind == "err_fd":
        resource = "fd"
    nearly_full = (f.last_memory or 0.0) > 0.9
    if q.intervals == 0 and not (kind == "killed" and nearly_full) and resource not in ("restart", "fd"):
        return Ruling("cannot_tell", 0.8, None, why="no_intervals")
    sure = kind != "unknown" and p >= t.p_yes
    if kind == "unknown" and resource != "network" and _local_share(f, symptom) < t.share_partly:
        return _with_quality(Ruling("no", 0.8, None, share=0.0, why="remote"), q.value)
    if kind == "killed":
        sure = sure and (link >= t.link_killed or (symptom.marker is not None and link >= t.calm))
    if sure:
        return _with_quality(Ruling("yes", p, resource, why="odds"), q.value)
    settles = t.link_unknown if kind == "unknown" else t.link_settles
    if (q.undetermined or q.blind == "slow") and link < settles:
        return Ruling("cannot_tell", 0.6, None, why="blind" if q.blind else "undetermined")
    if kind == "unknown" and link < settles and _disk_unseen(f, t):
        return Ruling("cannot_tell", 0.6, None, why="unmeasured")
    if q.value < t.quality_least and link < t.link_settles:
        return Ruling("cannot_tell", 0.7, None, why="quality")
    if (p >= t.p_partly and link >= t.calm) or (kind == "unknown" and link >= t.link_unknown):
        return _with_quality(Ruling("partly", 0.5 + 0.3 * abs(p - 0.55), resource, why="odds"), q.value)
    others = any(e.name == "peers_here" and e.outcome == "bad" and e.counts[1] >= 4 for e in f.experiments)
    if kind != "killed" and p >= t.p_hint and others and any(name == "peers_bad" for name, _ in f.weights):
        return _with_quality(Ruling("partly", 0.5, None, why="peers"), q.value)
    ruling = Ruling("no", 1.0 - p, None, why="odds")
    if q.blind == "middling" or q.missing:
        ruling = _capped(ruling, t.blind_confidence)
    return _with_quality(ruling, q.value)


def _local_share(f: Findings, symptom: Symptom) -> float:
    """Of a trace: the part that was not waiting for somebody elsewhere."""
    local = sum(x.self_seconds for x in f.scene.losses if not (x.remote or x.added))
    return local / max(symptom.duration_seconds, 1e-9)


def strongest(rulings: Sequence[tuple[Ruling, Findings]]) -> tuple[Ruling, Findings]:
    return max(rulings, key=lambda x: (RANK[x[0].verdict], x[0].confidence, x[1].scene.share))


def _capped(r: Ruling, most: float) -> Ruling:
    return Ruling(r.verdict, min(r.confidence, most), r.resource, r.share, r.calm_seconds, r.why)


def _with_quality(r: Ruling, quality: float) -> Ruling:
    """Thin data pull every confidence towards one half."""
    weight = 0.4 + 0.6 * min(1.0, quality + (0.4 if r.verdict == "yes" else 0.0))
    c = clip(0.5 + (r.confidence - 0.5) * weight, 0.05, 0.97)
    return Ruling(r.verdict, round(c, 4), r.resource, r.share, r.calm_seconds, r.why)
