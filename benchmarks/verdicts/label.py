"""Where the data cannot decide by any method, more answers than the truth are accepted; each rule is written here."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.verdicts.physics import PHYSICS

if TYPE_CHECKING:
    from benchmarks.verdicts.case import Case, Truth
    from benchmarks.verdicts.world import Box

RULES = {
    "no_history": "fewer than five earlier runs: what is usual is not known; an honest answer goes one step towards doubt",
    "unseen": "no scraper sends the resource that did it (or, for an exoneration, one that could have done it)",
    "no_queue": "the CPU was full and neither load nor the processes scraper says how many waited",
    "edge": "the condition began or ended inside the scrape intervals that the trace lies in, and the trace covers less "
    "than half of them: the mean does not say on which side it was",
    "sliver": "the trace is shorter than a twentieth of the scrape interval: what it lost fits into the ordinary "
    "variation of the mean",
    "between": "between the last reading and the death an ordinary program could have filled what was left of memory",
    "full_anyway": "memory was above 90 % when somebody else killed the process: nothing on the box tells them apart",
    "wait_or_work": "a span took longer by the program's own doing beside a saturated CPU or paging, and no process data of that "
    "time (or no pid): whether the program computed (and the box stretched that too) or waited leaves the same data",
    "flush_or_wait": "a span waited by the program's own doing (or computed, and no process data is that fine) beside a disk whose "
    "requests queue: one flush waits many times as long as the mean request, which is all that counters tell",
    "weights": "niced neighbours fill the CPU, and no earlier run or other operation shows that this service was not "
    "among those who waited (no metric tells a task's weight)",
}
NEEDS = {
    "cpu": {"cpu"}, "steal": {"cpu"}, "disk": {"disk"}, "memory": {"memory", "paging"}, "network": {"network"},
    "filesystem": {"filesystem"},
}  # fmt: skip
"""Scrapers without any of which a resource does not show."""
SLIVER = 0.05
LEAST_HISTORY = 5


def widened(case: Case, history: int, here: Box) -> Truth:
    """The case's truth with the rules that hold for it."""
    truth, accepted, why = case.truth, set(case.truth.accepted), list(case.truth.widened)
    slow = truth.ratio is not None
    if slow and history < LEAST_HISTORY:
        why.append("no_history")
        accepted |= {"yes": {"partly"}, "partly": {"no", "cannot_tell"}, "no": {"cannot_tell"}}[truth.verdict]
        if any(
            x.part(case.run.start) is not None and (x.threads > 1 or x.depth or x.memory or x.steal) for x in here.loads
        ):
            accepted.add("partly")  # under pressure for all anybody can see
    guilty = [case.boxes[h] for h in sorted(truth.hosts)] or [here]
    if truth.verdict in ("yes", "partly"):
        seen = [r for r in truth.resources if all(NEEDS[r] <= b.shape.scrapers for b in guilty)]
        if truth.resources and len(seen) < len(truth.resources):
            why.append("unseen")
            accepted |= {"partly", "cannot_tell"}
        if "cpu" in truth.resources and any(not b.shape.scrapers & {"load", "processes"} for b in guilty):
            why.append("no_queue")
            accepted |= {"partly", "cannot_tell"}
    elif (
        slow
        and truth.ratio >= 1.5
        and any(not {"cpu", "memory", "disk"} <= b.shape.scrapers for b in case.boxes.values())
    ):
        why.append("unseen")
        accepted.add("cannot_tell")
    if slow and truth.ratio >= 1.35 and _on_an_edge(case):
        why.append("edge")
        accepted |= {"cannot_tell", "partly"} if truth.verdict != "no" else {"cannot_tell"}
    if slow and truth.ratio >= 1.5 and case.run.seconds < SLIVER * max(b.shape.interval for b in case.boxes.values()):
        why.append("sliver")
        accepted.add("cannot_tell")
    if slow and case.note in ("sleep", "lock", "more_work") and _stretched(case) and not _processes_seen(case, here):
        why.append("wait_or_work")
        accepted |= {"yes": {"partly"}, "partly": {"no"}, "no": {"partly"}}[truth.verdict]
    told = case.note == "more_work" and _processes_seen(case, here)
    if slow and case.note in ("sleep", "lock", "more_work") and _queueing(case) and not told:
        why.append("flush_or_wait")
        accepted |= {"yes": {"partly"}, "partly": {"yes"}, "no": {"partly"}}[truth.verdict]
    if "network" in truth.resources:  # a link does not say who filled it
        truth = replace(truth, origins=truth.origins | {"unknown"})
    unnamed = any("process" not in b.shape.scrapers for b in guilty)
    if truth.origins and unnamed and "hypervisor" not in truth.origins:
        truth = replace(truth, origins=truth.origins | {"unknown"})
    return replace(truth, accepted=frozenset(accepted), widened=tuple(why))


def _on_an_edge(case: Case) -> bool:
    start, end = case.run.start, case.run.end
    for box in case.boxes.values():
        iv, phase = box.shape.interval, box.shape.phase
        low = math.floor((start - phase) / iv) * iv + phase
        high = math.ceil((end - phase) / iv) * iv + phase
        if end - start >= 0.5 * (high - low):
            continue
        edges = [e for x in box.loads if x.incident for e in (x.start, x.end)]
        if any(low < e < high for e in edges):
            return True
    return False


def fills_unseen(here: Box, death: float) -> bool:
    iv, phase = here.shape.interval, here.shape.phase
    last = math.floor((death - 1.0 - phase) / iv) * iv + phase  # counters move once a second
    left = (1.0 - here.at(last).level) * here.memory_bytes / 2**30
    return left / max(death - last, 1e-3) < PHYSICS.fill[1]


def _queueing(case: Case) -> bool:
    """Requests take half as long again as on an idle disk, on the box where the program's own doing is: the first."""
    box = next(iter(case.boxes.values()))
    half = (case.run.start + case.run.end) / 2
    return box.at(half).wait >= 1.5 * box.disk.service_seconds


def _stretched(case: Case) -> bool:
    """What computes takes longer on one of the boxes: more runnable threads than cores, some stolen, or paging."""
    half = (case.run.start + case.run.end) / 2
    states = [b.at(half) for b in case.boxes.values()]
    return any(s.threads > s.cores or s.steal > 0.1 or s.fault_rate * s.wait > 0.2 for s in states)


def _processes_seen(case: Case, here: Box) -> bool:
    told = any("process.pid" in about for about in case.resources.values())
    return told and "process" in here.shape.scrapers and case.run.seconds > 2 * here.shape.process_interval
