"""Many cases, two at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from benchmarks.verdicts.baselines import BASELINES
from benchmarks.verdicts.families import FAMILIES, make_case
from benchmarks.verdicts.path import judged
from benchmarks.verdicts.score import Outcome

WORKERS = 2
Wanted = tuple[str, int, int]
"""Family, seed, number."""


def wanted(cases: int, seed: int, families: Sequence[str] = ()) -> list[Wanted]:
    """So many cases, one of every family after the other."""
    names = list(families) or list(FAMILIES)
    return [(names[k % len(names)], seed, k // len(names)) for k in range(cases)]


def outcome(one: Wanted) -> Outcome:
    case = make_case(*one)
    asked = judged(case)
    end = case.run.end if case.run.died is None else case.run.died
    naive = {name: judge(asked.readings, case.run.start, end) for name, judge in BASELINES.items()}
    return Outcome(case.name, case.family, case.truth, asked.said, naive)


def outcomes(cases: Sequence[Wanted], workers: int = WORKERS) -> Iterator[Outcome]:
    if workers <= 1:
        yield from map(outcome, cases)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(outcome, cases, chunksize=4)
