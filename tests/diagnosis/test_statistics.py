"""The few statistics, onset and recurrence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.diagnosis import recurrence, stats
from hosts_mcp.diagnosis.table import TABLE, Ramp

DAY = 86_400.0


def test_a_ramp_is_nothing_below_and_all_above() -> None:
    ramp = Ramp(0.8, 0.9)
    assert (ramp(0.5), ramp(0.95)) == (0.0, 1.0)
    assert ramp(0.85) == pytest.approx(0.5)


def test_slow_runs_do_not_widen_the_spread_below() -> None:
    mixed = [*[0.90, 0.95, 1.0, 1.05, 1.10] * 4, *[5.0 + n for n in range(16)]]
    assert stats.spread_below(mixed) < 0.16 < stats.mad(mixed)


def test_theil_sen_ignores_outliers() -> None:
    xs = [float(n) for n in range(20)]
    ys = [2 * x for x in xs]
    ys[7] = 500.0
    assert stats.theil_sen(xs, ys) == pytest.approx(2.0)


def test_the_hinge_finds_where_a_climb_begins() -> None:
    xs = [float(n) for n in range(40)]
    ys = [1.0 if x < 15 else 1.0 + 0.5 * (x - 15) for x in xs]
    assert stats.hinge(xs, ys) == pytest.approx(15, abs=1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=30))
def test_spearman_of_a_series_with_itself_is_one_or_undefined(xs: list[float]) -> None:
    assert stats.spearman(xs, xs) in (None, pytest.approx(1.0))


def nightly(nights: int, hour: float = 1.0, miss: tuple[int, ...] = ()) -> list[float]:
    """Hot five-minute bins of an hour at night, before time 0 at `hour`."""
    return sorted(-n * DAY + k * 300.0 for n in range(1, nights + 1) if n not in miss for k in range(int(12 * hour)))


def fold(hot: list[float], days: float = 9.0) -> object:
    return recurrence.fold(sorted(hot), -days * DAY, 600.0, TABLE)


def test_a_nightly_job_is_daily_also_with_two_misses() -> None:
    assert fold(nightly(8)) == ("daily", 8, 8, False)
    assert fold(nightly(8, miss=(3, 5)))[:3] == ("daily", 6, 8)  # type: ignore[index]


def test_a_clock_change_in_between_is_still_daily() -> None:
    shifted = [x + (3600.0 if x < -4 * DAY else 0.0) for x in nightly(8, hour=0.25)]
    assert fold(shifted)[0] == "daily"  # type: ignore[index]


def test_an_hourly_job_is_hourly() -> None:
    assert fold([-n * 3600.0 + 300.0 * k for n in range(1, 200) for k in range(2)])[0] == "hourly"  # type: ignore[index]


def test_always_busy_and_never_busy_recur_by_no_clock() -> None:
    assert fold([-n * 300.0 for n in range(1, 2500)]) is None
    assert fold([]) is None


def test_two_hot_hours_in_nine_days_are_no_pattern() -> None:
    assert fold([-2.3 * DAY, -6.7 * DAY]) is None


@given(
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 1e4)), max_size=30), st.floats(-1e5, 1e5), st.floats(0, 1e5)
)
def test_cover_is_the_sum_of_overlaps(pieces: list[tuple[float, float]], start: float, length: float) -> None:
    spans = [(a, a + seconds) for a, seconds in pieces]
    end = start + length
    plain = sum(max(0.0, min(b, end) - max(a, start)) for a, b in spans)
    assert stats.Cover(spans).within(start, end) == pytest.approx(plain, abs=2e-6)
