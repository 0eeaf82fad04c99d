"""The few statistics a diagnosis needs, robust ones where the data are telemetry."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


def clip(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(high, max(low, value))


def logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-clip(x, -60.0, 60.0)))


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def quantile(values: Sequence[float], q: float) -> float:
    """Linear interpolation between order statistics; `values` must not be empty."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values: Sequence[float]) -> float:
    return quantile(values, 0.5)


def mad(values: Sequence[float]) -> float:
    middle = median(values)
    return median([abs(v - middle) for v in values])


def spread_below(values: Sequence[float]) -> float:
    """Median distance of the lower half from the median: a MAD that slow runs in the past do not widen."""
    middle = median(values)
    below = [middle - v for v in values if v <= middle]
    return median(below)


def robust_z(value: float, middle: float, spread: float, floor: float) -> float:
    """0.6745 (x - median) / max(MAD, floor): standard deviations if the past were normal."""
    return 0.6745 * (value - middle) / max(spread, floor)


def theil_sen(xs: Sequence[float], ys: Sequence[float], most: int = 60) -> float:
    """Median of the pairwise slopes; thinned evenly to `most` points. 0 with fewer than two distinct x."""
    if len(xs) > most:
        keep = [round(i * (len(xs) - 1) / (most - 1)) for i in range(most)]
        xs, ys = [xs[i] for i in keep], [ys[i] for i in keep]
    slopes = [
        (ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(len(xs)) for j in range(i + 1, len(xs)) if xs[j] != xs[i]
    ]
    return median(slopes) if slopes else 0.0


def hinge(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Where a flat line becomes a straight climb: least squares over every break. None with fewer than 6 points."""
    n = len(xs)
    if n < 6:
        return None
    sum_y = [0.0]
    sum_yy = [0.0]
    for y in ys:
        sum_y.append(sum_y[-1] + y)
        sum_yy.append(sum_yy[-1] + y * y)
    best, at = math.inf, None
    for k in range(2, n - 2):
        level = sum_y[k] / k
        flat = sum_yy[k] - k * level * level
        # slope through (x_k-1, level): one free parameter
        x0 = xs[k - 1]
        num = sum((xs[i] - x0) * (ys[i] - level) for i in range(k, n))
        den = sum((xs[i] - x0) ** 2 for i in range(k, n))
        slope = num / den if den else 0.0
        climb = sum((ys[i] - level - slope * (xs[i] - x0)) ** 2 for i in range(k, n))
        if slope > 0 and flat + climb < best:
            best, at = flat + climb, x0
    return at


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            ranks[order[k]] = (i + j) / 2
        i = j + 1
    return ranks


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Rank correlation; None when one side does not vary or there are fewer than three pairs."""
    if len(xs) < 3:
        return None
    a, b = _ranks(xs), _ranks(ys)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    va = sum((x - ma) ** 2 for x in a)
    vb = sum((y - mb) ** 2 for y in b)
    if not va or not vb:
        return None
    return sum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True)) / math.sqrt(va * vb)


def binomial_tail(hits: int, trials: int, p: float) -> float:
    """Probability of at least `hits` successes in `trials` with chance `p` each."""
    return sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(hits, trials + 1))


class Cover:
    """How much of any window is covered by many pieces: two searches, where summing would look at every piece."""

    NEGLIGIBLE = 1e-6

    def __init__(self, pieces: Sequence[tuple[float, float]]) -> None:
        self._starts, self._ends = sorted(a for a, _ in pieces), sorted(b for _, b in pieces)
        self._before = [(0.0, *accumulate(edges)) for edges in (self._starts, self._ends)]

    def within(self, start: float, end: float) -> float:
        """Sum of the pieces' overlaps with the window; 0 below a microsecond, which is rounding."""
        covered = self._until(end) - self._until(start)
        return covered if covered > self.NEGLIGIBLE else 0.0

    def _until(self, x: float) -> float:
        begun, ended = bisect_left(self._starts, x), bisect_left(self._ends, x)
        return begun * x - self._before[0][begun] - (ended * x - self._before[1][ended])
