"""Times as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.errors import BadRange
from hosts_mcp.timerange import NS, iso, parse_duration, parse_instant, parse_range

NOW = 1_772_330_400 * NS  # 2026-03-01T02:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15m", 900), ("1h30m", 5400), ("7d", 604_800), ("500ms", 0.5), ("2H", 7200), ("90s", 90)],
)
def test_durations_are_read_in_every_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds * NS


@pytest.mark.parametrize(
    "text",
    [
        "now",
        "2026-03-01T02:00Z",
        "2026-03-01T02:00:00Z",
        "2026-03-01 02:00",
        "2026-03-01T03:00:00+01:00",
        "1772330400",
        "1772330400000",
        "1772330400000000",
        "1772330400000000000",
    ],
)
def test_one_instant_is_understood_in_every_notation(text: str) -> None:
    assert parse_instant(text, NOW) == NOW


def test_relative_instants_count_from_now() -> None:
    assert parse_instant("now-2h", NOW) == parse_instant("-2h", NOW) == NOW - 7200 * NS
    assert parse_instant("now+1m", NOW) == NOW + 60 * NS


def test_a_duration_is_a_range_that_ends_now() -> None:
    found = parse_range("1h", NOW)
    assert (found.start_ns, found.end_ns, found.seconds) == (NOW - 3600 * NS, NOW, 3600)


@pytest.mark.parametrize("text", ["now-3h..now-1h", "2026-02-28T23:00Z..2026-03-01T01:00Z", "now-3h/now-1h"])
def test_a_range_has_two_ends(text: str) -> None:
    assert parse_range(text, NOW).end_ns == NOW - 3600 * NS


@pytest.mark.parametrize(
    "text", ["yesterday", "5 parsecs", "now..now-1h", "2026-13-01", "1h..now", "nan", "inf", "1e5"]
)
def test_what_is_no_range_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(BadRange) as caught:
        parse_range(text, NOW)
    assert caught.value.code == "bad_range"


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_iso_and_back_is_the_same_second(seconds: int) -> None:
    assert parse_instant(iso(seconds * NS), 0) == seconds * NS


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_bad_range(text: str) -> None:
    with contextlib.suppress(BadRange):
        parse_range(text, NOW)
