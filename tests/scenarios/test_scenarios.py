"""Every scenario of the corpus through the whole way: OTLP requests in, the tool's answer out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenarios.path import judged
from scenarios.story import Scenario
from scenarios.table import BY_NUMBER, SCENARIOS

VERDICTS = {"Y": "yes", "P": "partly", "N": "no", "T": "cannot_tell"}


WEEK_LONG = 7.0
"""Days of history from which on a scenario takes seconds; the seed story stands for them where there is no time."""


def rounds() -> Iterator[Any]:
    for scenario in SCENARIOS:
        for seed in (1, 2, 3):
            quick = seed == 1 and (scenario.history_days < WEEK_LONG or scenario.number == 1)
            name = f"{seed}-{scenario.number}-{scenario.title[:40].replace(' ', '-')}"
            yield pytest.param(scenario, seed, id=name, marks=[] if quick else [pytest.mark.long])


@pytest.mark.parametrize(("scenario", "seed"), list(rounds()))
def test_the_verdict_is_what_a_good_diagnostician_would_say(scenario: Scenario, seed: int, tmp_path: Path) -> None:
    found, wanted = judged(tmp_path / "box.db", scenario, seed), scenario.expected
    assert found.verdict in [VERDICTS[letter] for letter in wanted.verdicts], found.summary
    assert (found.origin is not None) == (found.verdict in ("yes", "partly"))
    if found.verdict == "yes":
        assert not wanted.origins or found.origin in wanted.origins, found.summary
        assert not wanted.resources or found.resource in wanted.resources, found.summary
        assert wanted.scope is None or found.scope == wanted.scope
        assert wanted.culprit is None or wanted.culprit in (found.culprit or "")
        assert wanted.host is None or found.host == wanted.host
        assert wanted.recurrence is None or (found.recurrence and found.recurrence.period == wanted.recurrence)


def test_a_host_is_said_to_send_no_metrics_only_where_it_sends_none(tmp_path: Path) -> None:
    both = {h.host: h.has_metrics for h in judged(tmp_path / "14.db", BY_NUMBER[14], 1).hosts}
    assert both == {"db": True, "web": True}
    some = {h.host: h.has_metrics for h in judged(tmp_path / "100.db", BY_NUMBER[100], 1).hosts}
    assert some["web"]
    assert not all(some.values())
