"""How figures are taken: CPU time, never wall time; works that are compared take turns; results are dropped at once."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

Row = tuple[str, str]
"""A figure and its value as text."""
PASSES = 7


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of doing it once."""
    gc.collect()
    begun = time.process_time()
    work()
    return time.process_time() - begun


def cpu_seconds(items: Sequence[Any], *works: Callable[[Any], object]) -> list[float]:
    """Of one pass over all items, for each of the works: the median of several passes, in which they take turns."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(1 + PASSES):
        for work, passes in zip(works, taken, strict=True):
            gc.collect()
            begun = time.process_time()
            for item in items:
                work(item)
            if number:  # the first one warms up
                passes.append(time.process_time() - begun)
    return [statistics.median(passes) for passes in taken]
