"""The verdict on real, recorded incidents beside a traced worker, through the whole path."""

from __future__ import annotations

from pathlib import Path

import pytest

from .rounds import judged, right, table

BESIDE = Path(__file__).parents[3] / "shared" / "data" / "recorded"
OURS = Path(__file__).parents[2] / "fixtures" / "incidents"
ROUNDS = sorted(p.parent for place in (OURS, BESIDE) for p in place.glob("*/incidents.jsonl"))
CALM_ONES = 5
"""Of hundreds of equal calm traces every fifth is asked about."""


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", ROUNDS, ids=lambda place: place.name)
def test_the_box_is_blamed_for_what_it_did_and_for_nothing_else(place: Path, tmp_path: Path) -> None:
    judgements = list(judged(place, tmp_path / "x.db", CALM_ONES))
    hits = [(one, verdict) for one, verdict in judgements if one.hit]
    clean = [verdict.verdict for one, verdict in judgements if not one.hit]
    report = table(judgements)
    print(report)
    missed = [one for one, verdict in hits if not right(one, verdict)]
    assert len(missed) <= max(1, 0.1 * len(hits)), report
    assert clean.count("yes") <= 0.01 * len(clean), report
    assert clean.count("partly") <= 0.03 * len(clean), report
