"""Signals of other clocks are joined to the intervals of one: by where they end, or by what was going on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.diagnosis import intervals
from hosts_mcp.diagnosis.model import Box
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.signals.model import BoxFacts, SignalSeries

from .cases import T0

SECOND = 1_000_000_000
seconds = st.one_of(st.sampled_from([9, 10, 11, 30]), st.integers(1, 80))
lengths = st.one_of(st.just([10] * 12), st.lists(seconds, max_size=12))
known = st.one_of(st.none(), st.floats(0, 1))


def series(name: str, begin_ns: int, between: list[int], values: list[float | None]) -> SignalSeries:
    times = [begin_ns + sum(between[:i]) * SECOND for i in range(len(between) + 1)]
    return SignalSeries(name, "1", times[:-1], times[1:], values)


def nearest(of: SignalSeries, start: int, end: int) -> float | None:
    """One interval at a time: the reading that ends nearest to the interval's end, of two as near the earlier; where
    that is unknown the one that was going on."""
    reach = (end - start) * intervals.JOIN
    after = next((i for i, e in enumerate(of.ends_ns) if e >= end), len(of.ends_ns))
    around = [i for i in (after - 1, after) if 0 <= i < len(of.ends_ns) and abs(of.ends_ns[i] - end) <= reach]
    place = min(around, key=lambda i: abs(of.ends_ns[i] - end), default=None)
    value = None if place is None else of.values[place]
    if value is None and after < len(of.ends_ns) and of.starts_ns[after] < (start + end) // 2:
        value = of.values[after]
    return value


@given(lengths.filter(len), lengths, st.integers(-40 * SECOND, 40 * SECOND), st.data())
def test_a_signal_is_read_at_every_interval_as_at_one(
    between: list[int], others: list[int], shift: int, data: st.DataObject
) -> None:
    clock = series("cpu_busy_ratio", T0, between, [0.5] * len(between))
    values = data.draw(st.lists(known, min_size=len(others), max_size=len(others)))
    other = series("memory_used_ratio", T0 + shift, others, values)
    box = Box(1, "a", "a", "host", BoxFacts(), 10 * SECOND, {s.name: s for s in (clock, other)})
    found = intervals.join(box, T0, 1000.0, None, TABLE)
    wanted = [nearest(other, start, end) for start, end in zip(clock.starts_ns, clock.ends_ns, strict=True)]
    assert [iv.memory for iv in found] == wanted


def test_signals_that_share_a_clock_and_one_that_does_not_are_each_read_at_their_own() -> None:
    clock = series("cpu_busy_ratio", T0, [10, 10, 10], [0.1, 0.2, 0.3])
    late = series("memory_used_ratio", T0 + SECOND, [10, 10, 10], [0.4, None, 0.6])
    long = series("tasks_blocked", T0, [30], [7.0])
    box = Box(1, "a", "a", "host", BoxFacts(), 10 * SECOND, {s.name: s for s in (clock, late, long)})
    found = intervals.join(box, T0, 10.0, None, TABLE)
    assert [iv.busy for iv in found] == [0.1, 0.2, 0.3]
    assert [iv.memory for iv in found] == [0.4, None, 0.6]
    assert [iv.blocked for iv in found] == [7.0, 7.0, 7.0]
