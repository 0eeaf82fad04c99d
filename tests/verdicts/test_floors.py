"""Floors under the verdict benchmark on a fixed development seed, somewhat below the figures measured."""

import pytest

from benchmarks.verdicts import DEVELOPMENT, HELD_OUT, score
from benchmarks.verdicts.families import FAMILIES
from benchmarks.verdicts.run import outcomes, wanted
from benchmarks.verdicts.score import FIGURES

SEED = 90
FLOORS = {"accepted": 0.92, "sure right": 0.95, "origin": 0.93}
CEILINGS = {"false yes": 0.03, "false no": 0.05, "abstained": 0.13}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_engine_stays_above_its_floors() -> None:
    assert SEED in DEVELOPMENT
    assert SEED not in HELD_OUT
    found = list(outcomes(wanted(3 * len(FAMILIES), SEED), workers=1))
    report = "\n".join(score.table(found))
    for name, least in FLOORS.items():
        ratio = FIGURES[name](found).ratio
        assert ratio is not None, report
        assert ratio >= least, report
    for name, most in CEILINGS.items():
        ratio = FIGURES[name](found).ratio
        assert ratio is not None, report
        assert ratio <= most, report
    engine, naive = score.blamed_innocent(found, "was_it_the_box"), score.blamed_innocent(found, "alert thresholds")
    assert engine < naive / 4, report
