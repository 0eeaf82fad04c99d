"""Figures of many outcomes: overall, by family, and as the mean over families."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.verdicts.case import CANNOT_TELL, NO, PARTLY, YES, Truth
from benchmarks.verdicts.path import Said

BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
SURE = 0.9
OWN_WORKLOAD = "own_workload"


@dataclass(frozen=True)
class Outcome:
    name: str
    family: str
    truth: Truth
    said: Said
    baselines: dict[str, str]
    note: str = ""

    @property
    def accepted(self) -> bool:
        return self.said.verdict in self.truth.accepted

    @property
    def blamed_rightly(self) -> bool:
        return self.said.verdict == YES and self.truth.verdict in (YES, PARTLY)

    @property
    def origin_right(self) -> bool:
        """Where the box is blamed rightly; else there is no origin to be wrong."""
        return not self.blamed_rightly or self.said.origin in self.truth.origins


@dataclass(frozen=True)
class Part:
    """Hits among those that could have been; None without any."""

    hits: int
    of: int

    @property
    def ratio(self) -> float | None:
        return self.hits / self.of if self.of else None

    def __str__(self) -> str:
        return f"{100 * self.hits / self.of:5.1f} %" if self.of else "    – "


def part(outcomes: Iterable[Outcome], among: Callable[[Outcome], bool], hit: Callable[[Outcome], bool]) -> Part:
    found = [o for o in outcomes if among(o)]
    return Part(sum(hit(o) for o in found), len(found))


def innocent(o: Outcome) -> bool:
    return o.truth.verdict == NO and YES not in o.truth.accepted


def guilty(o: Outcome) -> bool:
    return o.truth.verdict == YES and NO not in o.truth.accepted


FIGURES: dict[str, Callable[[Sequence[Outcome]], Part]] = {
    "accepted": lambda x: part(x, lambda _: True, lambda o: o.accepted),
    "exact": lambda x: part(x, lambda _: True, lambda o: o.said.verdict == o.truth.verdict),
    "false yes": lambda x: part(x, innocent, lambda o: o.said.verdict == YES),
    "false no": lambda x: part(x, guilty, lambda o: o.said.verdict == NO),
    "abstained": lambda x: part(x, lambda _: True, lambda o: o.said.verdict == CANNOT_TELL),
    "origin": lambda x: part(x, lambda o: o.blamed_rightly, lambda o: o.origin_right),
    "own or not": lambda x: part(
        x,
        lambda o: o.blamed_rightly,
        lambda o: (
            o.said.origin in o.truth.origins or (o.said.origin != OWN_WORKLOAD and OWN_WORKLOAD not in o.truth.origins)
        ),
    ),
    "resource": lambda x: part(x, lambda o: o.blamed_rightly, lambda o: o.said.resource in o.truth.resources),
    "sure right": lambda x: part(x, lambda o: o.said.confidence >= SURE, lambda o: o.accepted),
}
"""Columns, in order; each is defined in the docstring of `benchmarks.verdicts`."""


def by_family(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    out: dict[str, list[Outcome]] = defaultdict(list)
    for o in outcomes:
        out[o.family].append(o)
    return dict(out)


def mean_over_families(outcomes: Sequence[Outcome], figure: str) -> float | None:
    parts = [FIGURES[figure](x).ratio for x in by_family(outcomes).values()]
    known = [p for p in parts if p is not None]
    return sum(known) / len(known) if known else None


def table(outcomes: Sequence[Outcome]) -> list[str]:
    width = max([len(o.family) for o in outcomes] + [20])
    lines = [f"{'':{width}} {'n':>5} " + " ".join(f"{name:>10}" for name in FIGURES)]
    rows = [(family, found) for family, found in sorted(by_family(outcomes).items())]
    for name, found in [*rows, ("overall", list(outcomes))]:
        cells = " ".join(f"{FIGURES[f](found)!s:>10}" for f in FIGURES)
        lines.append(f"{name:{width}} {len(found):>5} {cells}")
    means = [mean_over_families(outcomes, f) for f in FIGURES]
    cells = " ".join(f"{'–' if m is None else f'{100 * m:5.1f} %':>10}" for m in means)
    lines.append(f"{'mean over families':{width}} {len(rows):>5} {cells}")
    return lines


def calibration(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [f"{'confidence':20} {'n':>5} {'right':>10} {'n, no cannot_tell':>18} {'right':>10}"]
    for low, high in itertools.pairwise(BINS):
        inside = [o for o in outcomes if low <= o.said.confidence < high]
        said = [o for o in inside if o.said.verdict != CANNOT_TELL]
        right, right_said = (part(x, lambda _: True, lambda o: o.accepted) for x in (inside, said))
        lines.append(
            f"{f'{low:.1f} to {min(high, 1.0):.1f}':20} {len(inside):>5} {right!s:>10} {len(said):>18} {right_said!s:>10}"
        )
    return lines


def blames(o: Outcome, method: str) -> bool:
    """`method`: a baseline's name; any other is the tool itself."""
    return o.baselines.get(method, o.said.verdict) == YES


def blamed_innocent(outcomes: Sequence[Outcome], method: str) -> float:
    return part(outcomes, innocent, lambda o: blames(o, method)).ratio or 0.0


def beside(outcomes: Sequence[Outcome]) -> list[str]:
    """The engine and the naive methods on the same cases: who blames the guilty, who blames the innocent."""
    lines = [f"{'':20} {'guilty blamed':>14} {'innocent blamed':>16} {'mean over families':>19}   n = guilty, innocent"]
    for name in ["was_it_the_box", *outcomes[0].baselines] if outcomes else []:
        hit = partial(blames, method=name)
        recall, false = part(outcomes, guilty, hit), part(outcomes, innocent, hit)
        means = [part(x, innocent, hit).ratio for x in by_family(outcomes).values()]
        known = [m for m in means if m is not None]
        mean = f"{100 * sum(known) / len(known):5.1f} %" if known else "–"
        lines.append(f"{name:20} {recall!s:>14} {false!s:>16} {mean:>19}   {recall.of}, {false.of}")
    return lines


def confusion(outcomes: Sequence[Outcome]) -> list[str]:
    verdicts = (YES, PARTLY, NO, CANNOT_TELL)
    lines = [f"{'truth / said':20} " + " ".join(f"{v:>12}" for v in verdicts)]
    for truth in verdicts[:3]:
        row = [sum(o.truth.verdict == truth and o.said.verdict == v for o in outcomes) for v in verdicts]
        lines.append(f"{truth:20} " + " ".join(f"{n:>12}" for n in row))
    return lines
