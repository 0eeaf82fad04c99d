"""The benchmarks run: each figure of one process on the smallest input. What they measure is not judged here."""

import random
from collections.abc import Callable

import pytest

from benchmarks import asking, background, decode, keeping, path, spans, store
from benchmarks.fleet import SimulatedHost, scrapes

HOST = SimulatedHost("host-0")
SENT = list(scrapes([HOST], 4))

FIGURES: dict[str, Callable[[], object]] = {
    "decode": lambda: decode._ratios("one host", [body for _, body in SENT]),
    "path": lambda: path._figure("one host", SENT),
    "store": lambda: store._figures(SENT, store.FLEET_NS),
    "a row per point": lambda: store._row_per_point(SENT),
    "background": lambda: list(background._figures(30 * 10**9, boxes=1, passes=1, before_ns=600 * 10**9)),
    "curves": lambda: asking._curves(30),
    "a trace": lambda: asking._trace(12, 20),
    "a day at rest": lambda: keeping._at_rest(1, 240, optional=True),
    "a day dropped": lambda: keeping._dropped(1, 240, 20),
    "spans": lambda: spans._stored([], [spans.batch(random.Random(7), 0, 2)]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_taken(name: str) -> None:
    assert FIGURES[name]()
