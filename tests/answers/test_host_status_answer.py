"""One box now and in the past: identity, signals, findings, processes, filesystems, what is not collected."""

from __future__ import annotations

import pytest
import yaml

from hosts_mcp.answers.base import compact_json
from hosts_mcp.answers.host_status import answer
from hosts_mcp.errors import AmbiguousName, BadArgument, BadRange, NoSuchHost
from hosts_mcp.timerange import NS

from .filling import INJECTIONS, NOW, Load, assert_harmless

HOUR = 3600 * NS


def channels(found) -> tuple[str, str]:
    return found.to_text(), compact_json(found.structured())


@pytest.fixture
def box(filling):
    host = filling.host("db-1", aliases=("db-1.example.com",), host_id="abc123")
    filling.scrapes(host, Load(cpu=0.2, memory=0.4), start_ns=NOW - 2 * HOUR, end_ns=NOW - HOUR, step_seconds=30)
    filling.scrapes(host, Load(cpu=0.2, memory=0.9), start_ns=NOW - 600 * NS, end_ns=NOW - 2 * NS)
    filling.process(host, "postgres", 812, cores=1.5, memory=2e9, start_ns=NOW - 600 * NS, end_ns=NOW - 2 * NS)
    filling.process(host, "cron", 99, cores=0.01, memory=1e6, start_ns=NOW - 600 * NS, end_ns=NOW - 2 * NS)
    return host


def signals(found) -> dict[str, float | None]:
    return {s.signal: s.value for s in found.signals}


def test_a_box_now_says_who_it_is_and_how_it_is(filling, box):
    filling.service("shop", box)
    found = answer(filling.store, "db-1", now_ns=NOW)
    assert (found.status, found.host_id, found.aliases) == ("live", "abc123", ["db-1.example.com"])
    assert (found.cpu_cores, found.interval_seconds) == (4, 10)
    assert found.uptime_seconds == pytest.approx(3 * 86_400, rel=0.01)
    assert signals(found)["memory_used_ratio"] == pytest.approx(0.9, abs=0.01)
    assert signals(found)["cpu_busy_ratio"] == pytest.approx(0.2, abs=0.01)
    assert found.filesystems[0].mount == "/"
    assert found.filesystems[0].used_ratio == pytest.approx(0.4, abs=0.01)
    assert [s.service for s in found.services] == ["shop"]
    assert "name, high" in found.services[0].joined_by


def test_the_greatest_processes_come_first_with_their_pid(filling, box):
    found = answer(filling.store, "db-1", now_ns=NOW)
    assert found.processes[0].process == "postgres (812)"
    assert found.processes[0].cpu_cores == pytest.approx(1.5, abs=0.1)
    assert found.processes[0].memory_bytes == 2_000_000_000


def test_a_past_moment_shows_the_signals_of_then(filling, box):
    found = answer(filling.store, "db-1", at="now-90m", now_ns=NOW)
    assert signals(found)["memory_used_ratio"] == pytest.approx(0.4, abs=0.01)
    assert found.at.endswith("Z")
    assert "host_metrics" in found.next


def test_a_moment_without_data_says_so_and_when_data_was_last_seen(filling, box):
    found = answer(filling.store, "db-1", at="now-30m", now_ns=NOW)
    assert found.signals == []
    assert any("No reading" in note for note in found.notes)


def test_now_is_the_hosts_own_clock_so_that_a_replay_answers_the_same(filling):
    day = 30 * 24 * HOUR
    old = filling.host("replayed", newest_ns=NOW - day, last_arrived_ns=NOW - 2 * NS)
    filling.scrapes(old, Load(memory=0.8), start_ns=NOW - day - 120 * NS, end_ns=NOW - day)
    found = answer(filling.store, "replayed", now_ns=NOW)
    assert found.status == "live"
    assert signals(found)["memory_used_ratio"] == pytest.approx(0.8, abs=0.01)


def test_open_findings_are_shown_with_since_and_fix_and_past_ones_at_their_time(filling, box):
    filling.finding(box, "high_memory", "critical", sentence="used >= 95 % for 2 min", fix="cap it")
    filling.finding(box, "swapping", since_ns=NOW - 5 * HOUR, until_ns=NOW - 4 * HOUR)
    now = answer(filling.store, "db-1", now_ns=NOW)
    assert [(f.code, f.sentence, f.fix) for f in now.findings] == [("high_memory", "used >= 95 % for 2 min", "cap it")]
    assert now.findings[0].since.endswith("Z")
    assert "critical high_memory" in now.summary
    assert [f.code for f in answer(filling.store, "db-1", at="now-270m", now_ns=NOW).findings] == ["swapping"]


def test_reboots_are_listed_newest_first(filling, box):
    for hours in (30, 6):
        since = NOW - hours * HOUR
        filling.finding(box, "rebooted", "info", since_ns=since, until_ns=since + 2 * HOUR)
    assert len(answer(filling.store, "db-1", now_ns=NOW).reboots) == 2


def test_what_is_not_collected_comes_with_the_lines_that_add_it(filling):
    host = filling.host("web-1")
    filling.scrapes(host, Load(groups=("cpu", "memory", "load")), start_ns=NOW - 60 * NS, end_ns=NOW - 2 * NS)
    absent = answer(filling.store, "web-1", now_ns=NOW).not_collected
    scrapers = yaml.safe_load(absent.config_to_add)["receivers"]["hostmetrics"]["scrapers"]
    assert set(scrapers) == {"paging", "disk", "filesystem", "network", "processes", "system"}
    assert any(line.startswith("process:") for line in absent.missing)


def test_a_complete_box_lacks_nothing(filling, box):
    assert answer(filling.store, "db-1", now_ns=NOW).not_collected is None


@pytest.mark.parametrize("name", ["db-1", "DB-1.example.com", "abc123", "db"])
def test_a_host_is_found_by_key_alias_id_or_unique_prefix(filling, box, name):
    assert answer(filling.store, name, now_ns=NOW).host == "db-1"


def test_an_unknown_host_is_refused_with_the_nearest_and_the_next_call(filling, box):
    with pytest.raises(NoSuchHost, match="list_hosts") as error:
        answer(filling.store, "db-2", now_ns=NOW)
    assert "db-1" in error.value.candidates
    with pytest.raises(NoSuchHost, match="db-1"):
        answer(filling.store, "completely different", now_ns=NOW)


def test_an_ambiguous_prefix_lists_the_hosts_it_fits(filling, box):
    filling.host("db-17")
    with pytest.raises(AmbiguousName) as error:
        answer(filling.store, "db", now_ns=NOW)
    assert set(error.value.candidates) == {"db-1", "db-17"}


def test_bad_arguments_are_refused_in_words(filling, box):
    with pytest.raises(BadRange, match="Accepted"):
        answer(filling.store, "db-1", at="yesterday-ish", now_ns=NOW)
    with pytest.raises(BadArgument, match="list_hosts"):
        answer(filling.store, "  ", now_ns=NOW)


@pytest.mark.parametrize("text", INJECTIONS)
def test_foreign_text_never_comes_out_raw(filling, text):
    host = filling.host("web-1", name=text, aliases=(text,), os_description=text, arch=text, node=text, cluster=text)
    filling.scrapes(host, Load(), start_ns=NOW - 60 * NS, end_ns=NOW - 2 * NS)
    filling.process(host, text, 1, cores=1, memory=1e6, start_ns=NOW - 300 * NS, end_ns=NOW - 2 * NS)
    filling.service(text, host)
    assert_harmless(*channels(answer(filling.store, "web-1", now_ns=NOW)))
    with pytest.raises(NoSuchHost) as error:
        answer(filling.store, f"nowhere{text}", now_ns=NOW)
    assert_harmless(str(error.value))


def test_a_crowded_box_keeps_the_budget_and_says_what_it_left_out(filling):
    long = "n" * 64
    host = filling.host("crowded", aliases=tuple(f"{long[:60]}{i:03}" for i in range(20)))
    filling.scrapes(host, Load(), start_ns=NOW - 60 * NS, end_ns=NOW - 2 * NS)
    for i in range(60):
        filling.process(host, f"{long[:60]}{i:03}", 1000 + i, cores=0.1, memory=1e8, start_ns=NOW - 90 * NS, end_ns=NOW)
        filling.service(f"{long[:60]}{i:03}", host)
    found = answer(filling.store, "crowded", now_ns=NOW)
    for text in channels(found):
        assert len(text.encode()) <= 6_000
    assert any("more service" in note for note in found.notes)
