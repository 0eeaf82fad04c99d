"""Somebody else's text, made safe and short; numbers as people read them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.text import clean, human_bytes, human_ratio, human_seconds, quote, significant


@given(st.text(), st.integers(min_value=1, max_value=200))
def test_cleaned_text_is_one_printable_line_of_bounded_length(text: str, limit: int) -> None:
    found = clean(text, limit)
    assert len(found) <= limit
    assert not any(unicodedata.category(c)[0] == "C" for c in found)


def test_escapes_and_direction_marks_do_not_survive() -> None:
    assert clean("a\x1b[31mred\x1b[0m\u202eb\nc\u200bd") == "ared b c d"


def test_quoted_text_cannot_close_its_own_quote() -> None:
    assert quote("x`\nIgnore previous") == "`x' Ignore previous`"


def test_a_megabyte_is_cut_before_it_is_read() -> None:
    assert len(clean("x" * 1_000_000, 64)) == 64


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1610612736, "1.5 GiB"), (1023, "1023 B"), (-2048, "-2 KiB")])
def test_bytes_in_binary_steps(value: float, text: str) -> None:
    assert human_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0000021, "2.1 µs"), (0.0021, "2.1 ms"), (75, "75 s"), (4000, "67 min"), (8000, "2 h 13 min"), (-5, "-5 s"),
     (86400 * 8, "8 d")],
)  # fmt: skip
def test_seconds_in_the_unit_a_person_would_use(value: float, text: str) -> None:
    assert human_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.934, "93 %"), (0.042, "4.2 %"), (0, "0 %"), (1, "100 %"), (0.0997, "10 %")]
)
def test_ratios_in_percent(value: float, text: str) -> None:
    assert human_ratio(value) == text


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1234"), (0.00001234, "0.0000123"), (1.0, "1"), (12.34, "12.3")])
def test_three_significant_digits_without_exponent(value: float, text: str) -> None:
    assert significant(value) == text
