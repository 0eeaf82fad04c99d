"""What is missing, what it would have decided, and how to add it. The one that would change the verdict comes first."""

from __future__ import annotations

from collections.abc import Sequence

from hosts_mcp.diagnosis import patches
from hosts_mcp.diagnosis.excess import shares
from hosts_mcp.diagnosis.model import (
    Case,
    Findings,
    Loss,
    Origin,
    Ruling,
    Symptom,
)
from hosts_mcp.diagnosis.resources import RESOURCES
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.diagnosis.verdict import Hint
from hosts_mcp.diagnosis.words import BLAMED
from hosts_mcp.text import human_seconds, quote

SCRAPERS = {"cpu": "cpu", "memory": "memory", "disk": "disk", "filesystem": "filesystem", "network": "network"}
SHORT_INTERVALS = 2.0


def collect(
    case: Case,
    symptom: Symptom,
    losses: Sequence[Loss],
    found: Sequence[Findings],
    ruling: Ruling,
    origin: Origin | None,
    t: Table,
) -> tuple[Hint, ...]:
    decisive: list[Hint] = []
    useful: list[Hint] = []
    for host, share in shares(losses).items():
        if share < t.host_share:
            continue
        if host is None:
            decisive.append(_no_host(case, losses))
        elif host not in case.boxes or not case.boxes[host].signals:
            name = case.boxes[host].name if host in case.boxes else "this host"
            decisive.append(
                Hint("no_metrics_for_host", f"{quote(name, 60)} sends no host metrics around this trace", patches.WHOLE)
            )
    unsure = ruling.verdict == "cannot_tell"
    for f in found:
        useful += _useful(case, symptom, f, ruling, origin)
        iv = f.scene.interval
        window = f.scene.effect.seconds
        if (unsure and ruling.why in ("undetermined", "blind")) or (
            iv > 10 and window < SHORT_INTERVALS * iv and symptom.kind != "none"
        ):
            text = f"the time in question is {human_seconds(window)}, metrics come every {human_seconds(iv)}"
            (decisive if unsure and ruling.why not in ("quality", "unmeasured") else useful).append(
                Hint("interval", text, patches.INTERVAL)
            )
        for resource in f.quality.missing:
            if (scraper := SCRAPERS.get(resource)) is not None:
                hint = Hint(
                    f"scraper_{scraper}",
                    f"{quote(f.scene.box.name, 60)} sends no {scraper} metrics, so {resource} cannot be judged",
                    patches.SCRAPER.format(name=scraper),
                )
                (decisive if unsure else useful).append(hint)
    seen: dict[str, Hint] = {}
    if ruling.why == "unmeasured":  # a scraper that is not there is what would settle it
        useful.sort(key=lambda hint: not hint.name.startswith("scraper_"))
    for hint in (*decisive, *useful):
        seen.setdefault(hint.name, hint)
    return tuple(seen.values())


def _no_host(case: Case, losses: Sequence[Loss]) -> Hint:
    service = next((x.span.service for x in losses if x.span.host_id is None), "")
    claimed = next(
        (
            str(e.attributes["host.name"])
            for e in case.services.values()
            if e.host_id is None and e.attributes.get("host.name")
        ),
        None,
    )
    said = (
        f"spans of {quote(service, 60)} say host {quote(claimed, 60)}, which sends no metrics"
        if claimed
        else f"spans of {quote(service, 60)} carry no host"
    )
    known = f"; known hosts: {', '.join(quote(k, 40) for k in case.known_hosts[:3])}" if case.known_hosts else ""
    return Hint("no_host_on_span", said + known, patches.SPANS)


def _useful(case: Case, symptom: Symptom, f: Findings, ruling: Ruling, origin: Origin | None) -> list[Hint]:
    out = []
    died = symptom.kind in ("killed", "err_mem")
    blamed = ruling.verdict in BLAMED
    resource = RESOURCES.get(ruling.resource or "")
    if (
        blamed
        and resource is not None
        and resource.CONSUMER
        and not f.scene.box.processes
        and (origin is None or origin.culprit is None)
    ):
        out.append(Hint("process", "no process metrics: they would name who used it", patches.PROCESS))
    window = f.scene.during()
    if window and all(iv.run_queue is None for iv in window) and ruling.resource != "memory":
        out.append(
            Hint(
                "scraper_load",
                "no load average: a busy CPU cannot be told from a saturated one",
                patches.SCRAPER.format(name="load"),
            )
        )
    if (
        window
        and all(iv.swap_pages is None and iv.major_faults is None for iv in window)
        and ((blamed and ruling.resource in ("memory", "disk")) or ruling.why == "unmeasured")
    ):
        out.append(
            Hint(
                "scraper_paging",
                "no paging metrics: thrashing cannot be told from other disk load",
                patches.SCRAPER.format(name="paging"),
            )
        )
    contained = any(
        case.services[x.span.entity_id].attributes.get("container.id")
        or case.services[x.span.entity_id].attributes.get("k8s.pod.uid")
        for x in f.scene.losses
        if x.span.entity_id in case.services
    )
    if contained and f.scene.box.workload is None:
        out.append(
            Hint(
                "container",
                "the service runs in a container that sends no metrics: its own limit is not visible",
                patches.CONTAINER,
            )
        )
    memory = f.scene.box.signals.get("memory_used_ratio")
    if memory is not None and "old_memory_formula" in memory.quality and not blamed and died:
        out.append(
            Hint("memory_formula", "memory is known by the old `used`, which can hide shared memory", patches.MEMORY)
        )
    skew = f.scene.box.clock_skew_seconds
    if skew is not None and abs(skew) > max(30.0, f.scene.interval):
        out.append(
            Hint("clock", f"the clock of {quote(f.scene.box.name, 60)} differs by {human_seconds(abs(skew))}; fix NTP")
        )
    return out
