"""A made case: boxes, earlier runs, the trace in question, and the truth about it with what may be answered."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.verdicts.collector import Process
from benchmarks.verdicts.program import Execution, Node, Run, Use, new_uses
from benchmarks.verdicts.world import OWN, Box, Load

YES, PARTLY, NO, CANNOT_TELL = "yes", "partly", "no", "cannot_tell"
SHARE_YES, SHARE_PARTLY, SLOW = 0.6, 0.2, 1.5
"""Borders of the true share, and the ratio to usual from which a trace is slow at all."""
BORDER = 0.1
"""A true share this close to a border belongs to both sides: the simulated second is no finer."""


@dataclass(frozen=True)
class Truth:
    verdict: str
    accepted: frozenset[str]
    share: float | None = None
    """Of the slow-down (in logarithms) that goes away on the calm box."""
    ratio: float | None = None
    resources: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    widened: tuple[str, ...] = ()
    """Rules by which more answers are accepted (`label.RULES`)."""


@dataclass
class Case:
    name: str
    family: str
    boxes: dict[str, Box]
    processes: dict[str, list[Process]]
    run: Run
    earlier: list[Run]
    """Of the same operation, and of others."""
    uses: dict[str, dict[int, Use]]
    truth: Truth
    resources: dict[str, dict[str, object]]
    asked: float
    note: str = ""


def origin_of(load: Load) -> str:
    if load.steal:
        return "hypervisor"
    return "own_workload" if load.who.split(":")[0] == OWN else "neighbour"


def kinds_of(load: Load) -> frozenset[str]:
    """Resources a diagnosis may name for what this load did."""
    out: set[str] = set()
    if load.steal:
        out.add("steal")
    if load.loss:
        out.add("network")
    if load.memory:
        out |= {"memory", "disk"}  # paging is disk load
    if load.depth:
        out.add("disk")
    if load.threads >= 1.0 and not out:  # beside its paging or its requests, a program's own threads are few
        out.add("cpu")
    return frozenset(out)


def slow_truth(boxes: Mapping[str, Box], tree: Node, run: Run, usual: float, seed: int) -> Truth:
    """The same trace on the same boxes without what is not usual there: the share of the slow-down that goes away."""
    calm = _again({n: b.calm() for n, b in boxes.items()}, tree, run.start, seed)
    ratio = run.seconds / usual
    if ratio <= 1.0:
        return Truth(NO, frozenset({NO}), 0.0, ratio)
    share = max(0.0, math.log(run.seconds / max(calm, 1e-6)) / math.log(ratio))
    share = min(1.0, share)
    verdict = NO if ratio < SLOW or share < SHARE_PARTLY else YES if share >= SHARE_YES else PARTLY
    accepted = {verdict}
    if ratio >= 0.9 * SLOW:
        if abs(share - SHARE_YES) <= BORDER:
            accepted |= {YES, PARTLY}
        if abs(share - SHARE_PARTLY) <= BORDER:
            accepted |= {PARTLY, NO}
        if ratio < 1.1 * SLOW:  # slow or not is itself at its border
            accepted.add(NO)
            if share >= SHARE_PARTLY:
                accepted |= {YES, PARTLY} if share >= SHARE_YES - BORDER else {PARTLY}
    resources, origins, hosts = _blame(boxes, tree, run, seed)
    return Truth(verdict, frozenset(accepted), share, ratio, resources, origins, hosts)


def _again(boxes: Mapping[str, Box], tree: Node, start: float, seed: int) -> float:
    return Execution(boxes, random.Random(seed), None).run(tree, start).seconds


def _blame(
    boxes: Mapping[str, Box], tree: Node, run: Run, seed: int
) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """What goes away without each load alone; every load that saves at least half of what the worst one does."""
    saved: list[tuple[float, str, Load]] = []
    for name, box in boxes.items():
        for load in box.loads:
            if load.incident:
                less = replace(box, loads=tuple(x for x in box.loads if x is not load), _seen={})
                saved.append((run.seconds - _again({**boxes, name: less}, tree, run.start, seed), name, load))
    most = max((s for s, _, _ in saved), default=0.0)
    guilty = [(name, load) for s, name, load in saved if most > 0 and s >= 0.5 * most]
    return (
        frozenset().union(*(kinds_of(x) for _, x in guilty)),
        frozenset(origin_of(x) for _, x in guilty),
        frozenset(name for name, _ in guilty),
    )


@dataclass
class Workshop:
    """What a family works with while it makes one case."""

    rng: random.Random
    seed: int
    uses: dict[str, dict[int, Use]] = field(default_factory=new_uses)

    def execute(self, boxes: Mapping[str, Box], tree: Node, start: float) -> Run:
        """A run that the boxes' counters will show."""
        for name in boxes:
            self.uses.setdefault(name, {})
        return Execution(boxes, self.rng, self.uses).run(tree, start)

    def tried(self, boxes: Mapping[str, Box], tree: Node, start: float) -> Run:
        """A run that never was."""
        return Execution(boxes, self.rng, None).run(tree, start)

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.rng.uniform(math.log(low), math.log(high)))


def sorted_runs(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda r: r.start)
