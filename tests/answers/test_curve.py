"""Curves: time-weighted figures, gaps that stay gaps, sparklines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.answers.curve import Clock, Curve, curve, gaps, joined, sparkline
from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.timerange import NS, TimeRange

MINUTE = TimeRange(0, 60 * NS)


def series(values: list[float | None], step: int = 10, start: int = 0) -> SignalSeries:
    starts = [(start + i * step) * NS for i in range(len(values))]
    return SignalSeries("cpu_busy_ratio", "1", starts, [s + step * NS for s in starts], values)


def test_figures_are_of_the_range_and_weighted_by_time():
    long_and_short = SignalSeries("x", "", [0, 30 * NS], [30 * NS, 40 * NS], [1.0, 5.0])
    found = curve(long_and_short, MINUTE)
    assert (found.last, found.minimum, found.maximum, found.average) == (5.0, 1.0, 5.0, 2.0)


def test_a_reading_partly_outside_the_range_counts_for_its_part():
    found = curve(series([0.0, 1.0], 30), TimeRange(20 * NS, 40 * NS))
    assert found.average == pytest.approx(0.5)


def test_an_interval_much_longer_than_the_others_is_a_gap_and_not_stretched():
    starts = [0, 10 * NS, 20 * NS, 30 * NS]
    holed = SignalSeries("x", "", starts, [10 * NS, 20 * NS, 30 * NS, 600 * NS], [1, 1, 1, 9])
    found = curve(holed, TimeRange(0, 600 * NS))
    assert found.maximum == 1
    assert gaps([found], TimeRange(0, 600 * NS)) == [(30 * NS, 600 * NS)]


def test_unknown_values_are_gaps_and_never_zero():
    found = curve(series([0.5, None, None, None, 0.5, 0.5]), MINUTE)
    assert found.minimum == 0.5
    assert found.means(MINUTE, 6) == [0.5, None, None, None, 0.5, 0.5]
    assert sparkline(found.means(MINUTE, 6), 1.0) == "▅···▅▅"


def test_a_range_without_any_reading_is_one_gap():
    assert gaps([curve(series([]), MINUTE)], MINUTE) == [(0, 60 * NS)]


def test_the_first_reading_of_a_gauge_shows_at_once():
    assert curve(SignalSeries("load_1m", "", [5 * NS], [5 * NS], [0.7]), MINUTE).last == 0.7


def test_peaks_of_a_rollup_survive_the_mean():
    found = curve(series([0.2, 0.3], 30), MINUTE, peaks=[0.9, None])
    assert found.maximum == 0.9
    assert (found.means(MINUTE, 1), found.highest(MINUTE, 1)) == ([pytest.approx(0.25)], [0.9])


def test_an_older_and_a_newer_part_join_without_overlap():
    older, newer = curve(series([1, 1, 1], 20), MINUTE), curve(series([3], 20, start=30), MINUTE)
    both = joined(older, newer)
    assert [s.end_ns for s in both.segments] == [20 * NS, 30 * NS, 50 * NS]
    assert both.average == pytest.approx((30 * 1 + 20 * 3) / 50)


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=40),
    st.integers(1, 30),
)
def test_buckets_keep_within_the_extremes_and_their_mean_is_the_mean(values, count):
    found = curve(series(values), TimeRange(0, len(values) * 10 * NS))
    parts = [m for m in found.means(TimeRange(0, len(values) * 10 * NS), count) if m is not None]
    if not found.segments:
        assert parts == []
        return
    assert min(parts) >= found.minimum - 1e-6
    assert max(parts) <= found.maximum + 1e-6
    if all(v is not None for v in values):
        assert sum(parts) / len(parts) == pytest.approx(found.average, rel=1e-6, abs=1e-6)


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=30))
def test_a_sparkline_has_one_bar_per_value(values):
    assert len(sparkline(values)) == len(values)


def test_p95_ignores_the_worst_twentieth_of_the_time():
    values = [1.0] * 96 + [100.0] * 4
    assert curve(series(values), TimeRange(0, 1000 * NS)).p95 == 1.0


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3), st.floats(-1e6, 1e6)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_buckets_weigh_every_reading_by_its_part_in_them(readings, count):
    """Readings of any length with holes between, some longer than a bucket: against the plain sum over all pairs."""
    starts, ends, at = [], [], 0
    for length, hole, _ in readings:
        starts.append((at + hole) * NS)
        at += hole + length
        ends.append(at * NS)
    values = [value for _, _, value in readings]
    time = TimeRange(0, at * NS)
    found = Curve("x", Clock(starts, ends), values, values)
    for i, (mean, peak) in enumerate(zip(found.means(time, count), found.highest(time, count), strict=True)):
        first, last = at * NS * i // count, at * NS * (i + 1) // count
        parts = [(v, part) for s, e, v in zip(starts, ends, values, strict=True)
                 if (part := min(e, last) - max(s, first)) > 0]  # fmt: skip
        if not parts:
            assert (mean, peak) == (None, None)
            continue
        assert peak == max(v for v, _ in parts)
        assert mean == pytest.approx(sum(v * part for v, part in parts) / sum(part for _, part in parts), abs=1e-6)
