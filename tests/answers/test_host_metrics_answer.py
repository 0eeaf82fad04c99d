"""Curves of a box: figures, choice, subjects, gaps, long ranges, sizes."""

from __future__ import annotations

import pytest

from hosts_mcp.answers.base import compact_json
from hosts_mcp.answers.host_metrics import answer
from hosts_mcp.errors import BadArgument, BadRange, NoSuchHost
from hosts_mcp.otlp.batch import PointGroup, Resource
from hosts_mcp.timerange import NS

from .filling import INJECTIONS, NOW, STEP, Load, assert_harmless, slot

HOUR = 3600 * NS


def channels(found) -> tuple[str, str]:
    return found.to_text(), compact_json(found.structured())


def rows(found) -> dict[str, object]:
    return {m.signal: m for m in found.metrics}


@pytest.fixture
def box(filling):
    host = filling.host("db-1")
    filling.scrapes(host, Load(cpu=0.2, memory=0.4), start_ns=NOW - HOUR, end_ns=NOW - 1800 * NS)
    filling.scrapes(host, Load(cpu=0.2, memory=0.9), start_ns=NOW - 1790 * NS, end_ns=NOW - 2 * NS)
    return host


def test_figures_come_with_a_sparkline_and_the_range_in_utc(filling, box):
    found = answer(filling.store, "db-1", now_ns=NOW)
    memory = rows(found)["memory_used_ratio"]
    assert memory.unit == "ratio"
    assert (memory.min, memory.max, memory.last) == pytest.approx((0.4, 0.9, 0.9), abs=0.01)
    assert memory.avg == pytest.approx(0.65, abs=0.02)
    assert len(memory.sparkline) == 12
    assert memory.sparkline[0] < memory.sparkline[-1]
    assert memory.values is None
    assert found.start < found.end
    assert found.end.endswith("Z")


@pytest.mark.parametrize(
    ("word", "signal"),
    [("cpu", "cpu_busy_ratio"), ("memory", "memory_used_ratio"), ("load", "load_1m"),
     ("disk", "disk_write_bytes_per_second"), ("network", "network_receive_bytes_per_second"),
     ("filesystem", "filesystem_used_ratio"), ("paging", "swap_used_ratio"), ("processes", "tasks_blocked")],
)  # fmt: skip
def test_friendly_words_choose_a_family(filling, box, word, signal):
    found = rows(answer(filling.store, "db-1", metrics=word, now_ns=NOW))
    assert signal in found
    assert signal == "cpu_busy_ratio" or "cpu_busy_ratio" not in found


def test_connections_are_a_family_too(filling, box):
    found = answer(filling.store, "db-1", metrics="connections", now_ns=NOW)
    assert {m.signal: m.last for m in found.metrics} == {"tcp_connections": 42, "tcp_established": 42}


def test_a_signal_and_a_raw_metric_are_chosen_by_their_own_names(filling, box):
    found = answer(filling.store, "db-1", metrics="load_5m, system.memory.limit system.disk.io", now_ns=NOW)
    assert found.metrics[0].signal == "load_5m"
    by_name = rows(found)
    assert by_name["system.memory.limit"].last == pytest.approx(16 * 1024**3, rel=0.001)
    writes = next(m for m in found.metrics if m.subject == "device=sda, direction=write")
    assert writes.avg == pytest.approx(5e6, rel=0.05)


def test_a_process_metric_by_its_own_name_says_which_process(filling, box):
    filling.process(box, "postgres", 7, cores=1, memory=5e8, start_ns=NOW - 600 * NS, end_ns=NOW - 2 * NS)
    found = answer(filling.store, "db-1", metrics="process.memory.usage", now_ns=NOW)
    assert [(m.subject, m.last) for m in found.metrics] == [("postgres (7)", 500_000_000)]


def test_a_metric_the_catalogue_does_not_know_can_be_asked_for(filling, box):
    filling.writer.begin()
    entity = filling.writer.entity("host", box.id, b"host", {}, None, NOW, NOW)
    for i in range(10):
        time_ns = NOW - (100 - i * 10) * NS
        group = PointGroup(Resource({}, b"r"), "custom", "", time_ns, 0, (slot("fan.speed", "gauge", "rpm", fan="1"),),
                           (1000.0 + i,))  # fmt: skip
        filling.writer.add_points(box.id, entity, "other", [group], time_ns)
    filling.writer.commit()
    found = answer(filling.store, "db-1", metrics="fan.speed", range="5m", now_ns=NOW)
    assert (found.metrics[0].subject, found.metrics[0].max, found.metrics[0].unit) == ("fan=1", 1009, "rpm")


def test_an_unknown_metric_is_refused_with_the_nearest_names(filling, box):
    with pytest.raises(BadArgument, match="memory") as error:
        answer(filling.store, "db-1", metrics="memmory", now_ns=NOW)
    assert "memory" in error.value.candidates


def test_series_come_on_request_with_as_many_points_as_asked(filling, box):
    found = answer(filling.store, "db-1", metrics="memory", detail="full", points=6, now_ns=NOW)
    memory = rows(found)["memory_used_ratio"]
    assert memory.values == pytest.approx([0.4, 0.4, 0.4, 0.9, 0.9, 0.9], abs=0.02)
    assert found.point_seconds == 600


def test_a_silence_is_a_gap_and_never_zero(filling, box):
    later = NOW + 2 * HOUR
    filling.scrapes(box, Load(), start_ns=later - 600 * NS, end_ns=later)
    filling.writer.begin()
    filling.writer.update_host(type(box)(**{f: getattr(box, f) for f in box.__slots__} | {
        "newest_ns": later, "last_arrived_ns": later}))  # fmt: skip
    filling.writer.commit()
    found = answer(filling.store, "db-1", range="3h", now_ns=later)
    assert len(found.gaps) == 1
    assert "·" in rows(found)["cpu_busy_ratio"].sparkline
    assert rows(found)["cpu_busy_ratio"].min == pytest.approx(0.2, abs=0.15)


def test_devices_mounts_and_interfaces_are_shown_apart(filling, box):
    for by, subject in (("device", "sda"), ("mount", "/"), ("interface", "eth0")):
        found = answer(filling.store, "db-1", by=by, now_ns=NOW)
        assert {m.subject for m in found.metrics} == {subject}


def test_processes_are_shown_greatest_first(filling, box):
    for name, pid, cores in (("small", 2, 0.1), ("great", 1, 2.0)):
        filling.process(box, name, pid, cores=cores, memory=1e9, start_ns=NOW - 1200 * NS, end_ns=NOW - 2 * NS)
    found = answer(filling.store, "db-1", by="process", now_ns=NOW)
    cpu = [m.subject for m in found.metrics if m.signal == "process_cpu_cores"]
    assert cpu == ["great (1)", "small (2)"]


def test_of_many_processes_the_greatest_of_every_signal_are_kept(filling, box):
    for i in range(60):
        filling.process(box, f"{'p' * 60}{i:03}", 100 + i, cores=0.01 * i, memory=1e9 - i * 1e6,
                        start_ns=NOW - 300 * NS, end_ns=NOW - 2 * NS)  # fmt: skip
    found = answer(filling.store, "db-1", by="process", now_ns=NOW)
    assert found.total > len(found.metrics)
    greatest = {m.signal: m.subject for m in reversed(found.metrics)}
    assert greatest["process_cpu_cores"].endswith("(159)")
    assert greatest["process_memory_bytes"].endswith("(100)")


def test_no_processes_says_which_scraper_is_off(filling, box):
    found = answer(filling.store, "db-1", by="process", now_ns=NOW)
    assert found.metrics == []
    assert any("process scraper" in note for note in found.notes)


def test_a_range_without_data_says_so_and_offers_one_with_data(filling, box):
    found = answer(filling.store, "db-1", range="now-30d..now-29d", now_ns=NOW)
    assert found.metrics == []
    assert "nothing was measured" in found.summary
    assert "host_metrics" in found.next


def test_what_expired_in_full_is_read_from_the_rollup_with_its_peaks(filling, box):
    filling.rollup(box, start_ns=NOW - 48 * HOUR, end_ns=NOW - HOUR, mean=0.5, maximum=0.95)
    cpu = rows(answer(filling.store, "db-1", range="2d", now_ns=NOW))["cpu_busy_ratio"]
    assert (cpu.max, cpu.min, cpu.last) == pytest.approx((0.95, 0.2, 0.2), abs=0.02)
    assert cpu.avg == pytest.approx(0.5 - 0.3 / 48, abs=0.01)
    assert "·" not in cpu.sparkline


def test_a_long_range_reads_the_rollup_and_only_its_newest_part_in_full(filling, box):
    filling.rollup(box, start_ns=NOW - 7 * 24 * HOUR, end_ns=NOW - 600 * NS, mean=0.4, maximum=0.6)
    found = answer(filling.store, "db-1", range="7d", metrics="cpu", now_ns=NOW)
    assert rows(found)["cpu_busy_ratio"].last == pytest.approx(0.2, abs=0.02)
    assert rows(found)["cpu_busy_ratio"].avg == pytest.approx(0.4, abs=0.01)
    assert any("30-minute means" in note for note in found.notes)


def test_a_family_that_nobody_sends_is_named_as_missing(filling):
    host = filling.host("web-1")
    filling.scrapes(host, Load(groups=("cpu",)), start_ns=NOW - 600 * NS, end_ns=NOW - 2 * NS)
    found = answer(filling.store, "web-1", metrics="cpu,memory", now_ns=NOW)
    assert any(line.startswith("memory") for line in found.missing)


def test_a_day_of_everything_keeps_4000_bytes_per_channel(filling):
    host = filling.host("worker-" + "x" * 57)
    filling.scrapes(host, Load(cpu=0.123456), start_ns=NOW - 24 * HOUR, end_ns=NOW - 2 * NS, step_seconds=60)
    found = answer(filling.store, host.key, range="24h", now_ns=NOW)
    for text in channels(found):
        assert len(text.encode()) <= 4_000
    assert found.total == len(found.metrics)


@pytest.mark.parametrize("arguments", [
    {"metrics": "all", "detail": "full", "points": 500, "range": "24h"},
    {"by": "process", "detail": "full", "points": 200},
    {"metrics": "all"},
])  # fmt: skip
def test_whatever_the_arguments_both_channels_keep_24000_bytes(filling, box, arguments):
    for i in range(80):
        name = f"{'p' * 60}{i:03}"
        filling.process(box, name, 100 + i, cores=0.1, memory=1e8, start_ns=NOW - 120 * NS, end_ns=NOW - 2 * NS)
    found = answer(filling.store, "db-1", now_ns=NOW, **arguments)
    assert sum(len(text.encode()) for text in channels(found)) <= 24_000
    assert found.metrics


def test_bad_arguments_are_refused_in_words(filling, box):
    for arguments, kind in (
        ({"range": "soon"}, BadRange),
        ({"by": "rack"}, BadArgument),
        ({"detail": "all"}, BadArgument),
    ):
        with pytest.raises(kind):
            answer(filling.store, "db-1", now_ns=NOW, **arguments)
    with pytest.raises(NoSuchHost):
        answer(filling.store, "db-9", now_ns=NOW)


@pytest.mark.parametrize("text", INJECTIONS)
def test_foreign_text_never_comes_out_raw(filling, box, text):
    filling.writer.begin()
    entity = filling.writer.entity("host", box.id, b"host", {}, None, NOW, NOW)
    fan = slot("fan.speed", "gauge", text, fan=text)
    group = PointGroup(Resource({}, b"r"), "custom", "", NOW - STEP * NS, 0, (fan,), (1.0,))
    filling.writer.add_points(box.id, entity, "other", [group], NOW)
    filling.writer.commit()
    assert_harmless(*channels(answer(filling.store, "db-1", metrics="fan.speed", now_ns=NOW)))
    with pytest.raises(BadArgument) as error:
        answer(filling.store, "db-1", metrics=f"nothing{text}", now_ns=NOW)
    assert_harmless(str(error.value))
