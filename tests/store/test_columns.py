"""Columns of numbers come back bit for bit, whatever they are."""

from __future__ import annotations

import math
import struct
from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hosts_mcp.store.sqlite.columns import after, pack_doubles, pack_integers, unpack_doubles, unpack_integers

DOUBLES = st.one_of(
    st.floats(),
    st.integers(-(2**63), 2**63).map(float),
    st.integers(0, 10**9).map(lambda ticks: ticks / 100),
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
)


def round_trip(values: list[float]) -> bytes:
    packed = pack_doubles(array("d", values))
    assert unpack_doubles(packed, 0, len(values)).tobytes() == array("d", values).tobytes()
    assert after(packed, 0, len(values)) == len(packed)
    return packed


@given(st.lists(DOUBLES, min_size=1, max_size=40))
@example([-0.0, 0.0])
@example([math.nan, 1.0])
@example([math.inf, -math.inf])
@example([2.0**62, -(2.0**62), 2.0**63])
@example([1e300, -1e300, 5e-324])
@example([9007199254740993.0, 2.0**53 + 2, 2.0**60])
def test_any_doubles_come_back_bit_for_bit(values: list[float]) -> None:
    round_trip(values)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40), st.sampled_from([1.0, 100.0, 1000.0]))
def test_counters_of_any_scale_come_back_bit_for_bit(values: list[int], scale: float) -> None:
    round_trip([value / scale for value in values])


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=40))
@example([0, 2**63 - 1, 0])
def test_any_times_come_back(values: list[int]) -> None:
    assert unpack_integers(pack_integers(values), 0, len(values)) == values


@pytest.mark.parametrize(
    ("values", "bytes_per_value"),
    [
        ([7.0] * 100, 0),
        ([1e12 + 4096.0 * n for n in range(100)], 2),
        ([(84_000 + n * 13) / 100 for n in range(100)], 1),
        ([n / 1000 for n in range(100)], 1),
    ],
)
def test_steady_columns_are_narrow(values: list[float], bytes_per_value: int) -> None:
    """Beside the first value, whose own width is paid by all in bytes that are zero and compress away."""
    packed = round_trip(values)
    counted = [packed[2 + n * 100 + 1 : 2 + (n + 1) * 100] for n in range(packed[1])]
    assert sum(any(plane) for plane in counted) <= bytes_per_value
