"""Claims about live, stale and down."""

from __future__ import annotations

import pytest

from hosts_mcp.hosts.status import fresh, status
from hosts_mcp.store.protocol import Host
from hosts_mcp.timerange import NS

NOW = 1_700_000_000 * NS


def seen(seconds_ago: float, interval_seconds: float | None = 60) -> Host:
    interval_ns = None if interval_seconds is None else round(interval_seconds * NS)
    return Host(1, "web-1", "host", "web-1", last_arrived_ns=NOW - round(seconds_ago * NS), interval_ns=interval_ns)


@pytest.mark.parametrize(
    ("interval", "age", "word"),
    [
        (60, 150, "live"), (60, 151, "stale"), (60, 300, "stale"), (60, 301, "down"),
        (10, 60, "live"), (10, 61, "stale"), (10, 301, "down"),
        (300, 750, "live"), (300, 751, "stale"), (300, 1500, "stale"), (300, 1501, "down"),
    ],
)  # fmt: skip
def test_the_limits_follow_each_hosts_own_interval(interval: float, age: float, word: str) -> None:
    assert status(seen(age, interval), NOW).word == word


def test_a_host_whose_interval_is_not_known_yet_does_not_flap_at_the_receivers_default() -> None:
    assert status(seen(62, None), NOW).word == "live"
    assert "not known yet" in status(seen(62, None), NOW).reason


def test_the_reason_names_age_limit_and_interval() -> None:
    told = status(seen(100, 10), NOW)
    assert (told.age_seconds, told.interval_seconds) == (100, 10)
    assert told.reason == "last report 100 s ago, more than 60 s; it reports every 10 s"


def test_a_report_from_a_clock_ahead_of_ours_is_not_older_than_now() -> None:
    assert status(seen(-5), NOW).age_seconds == 0


@pytest.mark.parametrize(("listened", "interval", "word"), [(119, 10, "live"), (121, 10, "down"), (149, 60, "live")])
def test_after_our_own_restart_nobody_turns_stale_or_down_before_its_report_is_due(
    listened: float, interval: float, word: str
) -> None:
    since = NOW - round(listened * NS)
    assert status(seen(4000, interval), NOW, listening_since_ns=since).word == word


def test_a_host_that_was_down_before_our_restart_is_not_revived_by_it() -> None:
    since, stopped = NOW - 30 * NS, NOW - 60 * NS
    told = status(seen(4000), NOW, listening_since_ns=since, stopped_listening_ns=stopped)
    assert told.word == "down"


def test_a_host_heard_since_the_restart_has_no_grace() -> None:
    assert status(seen(70, 10), NOW, listening_since_ns=NOW - 100 * NS).word == "stale"


@pytest.mark.parametrize(
    ("lag", "usual", "interval", "is_fresh"),
    [(1, 1, 10, True), (31, 1, 10, True), (32, 1, 10, False), (61, 1, 60, True), (62, 1, 60, False),
     (9e8, None, 10, True), (9e8, 9e8, 10, True), (-5, 1, 10, True)],
)  # fmt: skip
def test_a_backlog_is_not_fresh(lag: float, usual: float | None, interval: float, is_fresh: bool) -> None:
    usual_ns = None if usual is None else round(usual * NS)
    assert fresh(round(lag * NS), usual_lag_ns=usual_ns, interval_ns=round(interval * NS)) is is_fresh
