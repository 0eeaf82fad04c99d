"""The base of every answer: sizes, finite numbers, next calls."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.answers.base import MCP_BUDGET, UNLIMITED, Answer, Budget, call, compact_json, fit, measured, shortened


class Listing(Answer):
    rows: list[str]
    ratio: float | None = None

    def to_text(self) -> str:
        return "\n".join([self.summary, *self.rows, *self.note_lines()])


def listing(rows: list[str]) -> Listing:
    return Listing(summary="rows", rows=rows)


def build(rows: list[str]):
    def made(count: int) -> Listing:
        rest = len(rows) - count
        return Listing(summary="rows", rows=rows[:count], notes=[f"… {rest} more"] if rest else None)

    return made


@given(st.lists(st.text(max_size=80), max_size=60), st.integers(200, 2_000))
def test_what_fits_keeps_both_channels_within_the_budget_and_one_row_more_would_not(rows, limit):
    budget = Budget(limit, limit, 1_000, 12)
    answer = fit(build(rows), len(rows), budget)
    assert len(answer.to_text().encode()) <= limit
    assert len(compact_json(answer.structured()).encode()) <= limit
    if 0 < len(answer.rows) + 1 < len(rows):
        assert not budget.holds(build(rows)(len(answer.rows) + 1))


def test_rows_that_all_fit_lose_nothing_and_say_nothing():
    answer = fit(build(["a", "b"]), 2, MCP_BUDGET)
    assert answer.rows == ["a", "b"]
    assert answer.notes is None


def test_a_row_limit_cuts_before_the_bytes_do():
    assert len(fit(build(["x"] * 50), 50, Budget(10**6, 10**6, 7, 12)).rows) == 7


def test_unlimited_holds_everything():
    assert len(fit(build(["x" * 999] * 999), 999, UNLIMITED).rows) == 999


def test_numbers_that_json_cannot_say_become_null():
    answer = Listing(summary="s", rows=[], ratio=math.nan)
    assert answer.structured() == {"summary": "s", "rows": [], "ratio": None}
    json.dumps(answer.structured(), allow_nan=False)


def test_absent_fields_are_left_out_and_summary_comes_first():
    assert list(listing(["a"]).structured()) == ["summary", "rows"]


def test_a_next_call_leaves_empty_arguments_out_and_escapes_foreign_text():
    assert call("host_status", host='we"b\n1', at="", limit=None) == 'host_status(host="we\\"b 1")'


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.934, "ratio", "93 %"),
        (1536 * 1024**2, "bytes", "1.5 GiB"),
        (2048.0, "bytes_per_second", "2 KiB/s"),
        (None, "ratio", "-"),
        (math.inf, "ratio", "-"),
        (3.14159, "", "3.14"),
        (0.0021, "seconds", "2.1 ms"),
    ],
)
def test_values_are_written_with_their_unit(value, unit, text):
    assert measured(value, unit) == text


def test_shortened_numbers_keep_four_digits_and_whole_ones_no_fraction():
    assert shortened(0.123456) == 0.1235
    assert repr(shortened(12.0)) == "12"
    assert shortened(math.nan) is None
