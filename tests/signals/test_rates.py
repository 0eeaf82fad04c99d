"""Counters to rates: every rule that keeps a reset, a gap or a second writer from becoming a spike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.signals.model import RawSeries
from hosts_mcp.signals.rates import WRAP, Clocks, at_ends, increase, increases, steps, summed

from .making import BOOT, NS, T0, known, raw, slot

IO = slot("system.disk.io", device="sda", direction="read")
CPU = slot("system.cpu.time", cpu="cpu0", state="idle")
DELTA = slot("system.disk.io", "delta", device="sda", direction="read")


def rates(*args: object, **options: object) -> list[float | None]:
    clamps = bool(options.pop("clamps", False))
    return known(increases(raw(*args, **options), clamps=clamps)[2])  # type: ignore[arg-type]


def test_a_counter_becomes_the_increase_per_second():
    assert rates(IO, [0, 10, 20], [100, 200, 400]) == [10, 20]


def test_the_first_point_has_no_rate():
    assert rates(IO, [0], [71_416_858_847]) == []


def test_a_reboot_is_a_reset_and_never_a_spike():
    rebooted = T0 + 15 * NS
    assert rates(IO, [0, 10, 20, 30], [1e12, 1e12 + 50, 500, 600], [BOOT, BOOT, rebooted, rebooted]) == [5, 100, 10]


def test_after_a_reboot_the_rate_covers_the_time_since_it():
    starts, ends, values = increases(raw(IO, [0, 100], [1000, 500], [BOOT, T0 + 90 * NS]))
    assert (starts, ends, values) == ([T0 + 90 * NS], [T0 + 100 * NS], [50.0])


@pytest.mark.parametrize("start", [0, T0 + 10 * NS], ids=["no start", "start is the point's own time"])
def test_a_fall_without_a_usable_start_says_nothing(start: int):
    assert rates(IO, [0, 10, 20], [1000, 500, 600], [BOOT, start, start]) == [None, 10]


def test_a_later_start_with_a_value_that_did_not_fall_says_nothing():
    assert rates(IO, [0, 100, 110], [1000, 5000, 5100], [BOOT, T0 + 90 * NS, T0 + 90 * NS]) == [None, 10]


def test_a_start_that_shifts_by_two_seconds_is_a_restarted_collector_and_no_reset():
    assert rates(IO, [0, 10, 20], [100, 200, 300], [BOOT, BOOT + 2 * NS, BOOT + 2 * NS]) == [10, 10]


def test_a_start_that_is_always_the_points_own_time_does_not_hide_the_rate():
    times = [0, 90, 180]
    assert rates(IO, times, [0, 900, 1800], [T0 + t * NS for t in times]) == [10, 10]


def test_an_applications_start_is_its_own_so_nothing_is_told_across_its_restart():
    restarted = T0 + 9 * NS
    assert rates(IO, [0, 10, 20], [9e9, 5e9, 5e9 + 100], [BOOT, restarted, restarted], source="app") == [None, 10]


def test_idle_time_that_runs_back_by_less_than_three_seconds_is_no_reset():
    assert rates(CPU, [0, 10, 20], [1000, 998, 1008], clamps=True) == [0, 1]


def test_idle_time_that_falls_further_is_one_gap():
    assert rates(CPU, [0, 10, 20], [1000, 900, 910], clamps=True) == [None, 1]


def test_an_ordinary_counter_never_clamps():
    assert rates(IO, [0, 10, 20], [1000, 998, 1008]) == [None, 1]


def test_a_32_bit_counter_wraps():
    assert rates(IO, [0, 10], [WRAP - 400, 600]) == [100]


def test_a_fall_from_the_middle_of_the_range_is_no_wrap():
    assert rates(IO, [0, 10], [WRAP / 2, 600]) == [None]


def test_a_gap_is_an_average_over_the_gap():
    starts, ends, values = increases(raw(IO, [0, 10, 310], [0, 100, 3100]))
    assert ((ends[1] - starts[1]) / NS, values[1]) == (300, 10)


def test_points_at_one_time_count_once():
    assert rates(IO, [0, 10, 10, 20], [0, 90, 100, 200]) == [9, 10]


def test_start_times_that_go_back_and_forth_are_several_writers_and_give_no_rate():
    other = BOOT + 3600 * NS
    assert rates(IO, range(0, 80, 10), [1000, 10] * 4, [BOOT, other] * 4) == []


def test_values_that_fall_and_rise_again_and_again_are_several_writers_too():
    assert rates(IO, range(0, 80, 10), [1000, 10, 1010, 20, 1020, 30, 1030, 40], 0) == []


def test_one_fall_is_no_second_writer():
    assert rates(IO, range(0, 50, 10), [10, 20, 5, 15, 25], 0) == [1, None, 1, 1]


def test_the_first_delta_is_dropped_for_it_holds_everything_since_boot():
    starts = [T0 - 9_000, T0, T0 + 10 * NS]
    assert rates(DELTA, [0, 10, 20], [71_416_858_847, 100, 200], starts) == [10, 20]


def test_a_delta_that_does_not_continue_the_one_before_says_nothing():
    starts = [T0 - 10 * NS, T0, T0 + 15 * NS]
    assert rates(DELTA, [0, 10, 20], [1, 100, 200], starts) == [10, None]


counter_values = st.lists(st.floats(0, 1e15), min_size=2, max_size=30)


@given(counter_values, st.data())
def test_the_rate_of_any_counter_is_never_negative(values: list[float], data: st.DataObject):
    starts = data.draw(st.lists(st.integers(0, 10**9), min_size=len(values), max_size=len(values)))
    of = data.draw(st.sampled_from([IO, CPU, DELTA]))
    found = increases(raw(of, range(len(values)), values, [T0 - s * NS for s in starts]), clamps=of is CPU)[2]
    assert all(v is None or v >= 0 for v in found)


@given(st.lists(st.integers(0, 10**9), min_size=3, max_size=40), st.data())
def test_any_split_of_a_window_adds_up(grown: list[int], data: st.DataObject):
    values = [float(sum(grown[: i + 1])) for i in range(len(grown))]
    at = data.draw(st.integers(1, len(values) - 2))

    def total(part: slice) -> float:
        starts, ends, found = increases(raw(IO, range(len(values))[part], values[part]))
        return sum((v or 0) * (e - s) / NS for s, e, v in zip(starts, ends, found, strict=True))

    assert total(slice(0, at + 1)) + total(slice(at, None)) == pytest.approx(total(slice(None)))
    assert total(slice(None)) == pytest.approx(values[-1] - values[0])


def step_by_step(of: RawSeries, *, clamps: bool) -> tuple[list[int], list[int], list[float | None]]:
    """Without the short cut for counters that only grow."""
    found = steps(of.times_ns, of.starts_ns, counters=(of.values,), clamps=clamps, wraps=True)
    grown = [increase(s, of.values[s.before], of.values[s.after], clamps=clamps, wraps=True) for s in found]
    rates = [None if g is None else g / s.seconds for g, s in zip(grown, found, strict=True)]
    return [s.since_ns for s in found], [s.until_ns for s in found], rates


odd = st.sampled_from([float("nan"), float("inf"), -1.0, 2.0**32 - 1])
some_values = st.one_of(
    st.lists(st.floats(0, 1e15), max_size=20).map(sorted),
    st.lists(st.one_of(st.floats(0, 10), odd), max_size=20),
)
gaps = st.sampled_from([0, 1, 10, 10, 10, 10, 100, -5])
begun = st.sampled_from(
    [0, BOOT, BOOT, BOOT, BOOT + 2 * NS, BOOT + 60 * NS, BOOT + 61 * NS, T0 + 15 * NS, T0 + 10**6 * NS]
)


@given(some_values, st.data())
def test_a_counter_that_only_grows_is_told_as_step_by_step(values: list[float], data: st.DataObject):
    n = len(values)
    between = data.draw(st.one_of(st.just([10] * n), st.lists(gaps, min_size=n, max_size=n)))
    starts = data.draw(st.one_of(begun.map(lambda s: [s] * n), st.lists(begun, min_size=n, max_size=n)))
    clamps = data.draw(st.booleans())
    of = raw(IO, [sum(between[:i]) for i in range(n)], values, starts)
    clocks = Clocks()
    for found in (increases(of, clamps=clamps), *(increases(of, clamps=clamps, clocks=clocks) for _ in range(2))):
        assert repr(tuple(map(list, found))) == repr(step_by_step(of, clamps=clamps))


def test_counters_of_one_clock_share_it_and_one_that_falls_does_not():
    one = raw(IO, [0, 10, 20], [0, 10, 30])
    other, falls = replace(one, values=[1, 2, 3]), replace(one, values=[5, 6, 1])
    clocks = Clocks()
    first, second, third = (increases(x, clocks=clocks) for x in (one, other, falls))
    assert first[1] is second[1]
    assert list(first[2]) == [1, 2]
    assert list(third[2]) == [0.1, None]
    assert list(first[1]) == list(third[1])


def test_a_sum_is_unknown_where_a_part_is_and_goes_on_where_one_has_no_reading():
    ends = [10, 20, 30]
    clock = ([0, 10, 20], ends)
    assert summed([(*clock, [1.0, 2.0, 3.0]), (*clock, [0.5, 0.5, 0.5])]) == (*clock, [1.5, 2.5, 3.5])
    assert summed([(*clock, [1.0, None, 3.0]), (*clock, [0.5, 0.5, 0.5])]) == (*clock, [1.5, None, 3.5])
    assert summed([(*clock, [1.0, 2.0, 3.0]), ([0, 20], [20, 40], [4.0, None])]) == (
        [0, 0, 20, 20], [10, 20, 30, 40], [1.0, 6.0, 3.0, None],
    )  # fmt: skip
    assert summed([]) == ([], [], [])


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=4, max_size=4), min_size=1, max_size=5))
def test_parts_of_one_clock_add_up_as_parts_of_several_do(columns: list[list[float | None]]):
    starts, ends = [0, 1, 2, 3], [1, 2, 3, 4]
    apart = [(list(starts), list(ends), column) for column in columns]
    assert summed([(starts, ends, column) for column in columns]) == summed(apart)


def test_rates_are_found_by_their_ends():
    of = ([0, 10], [10, 20], [1.0, 2.0])
    assert at_ends(of, of[1]) is of[2]
    assert at_ends(of, [5, 10, 20]) == [None, 1.0, 2.0]
