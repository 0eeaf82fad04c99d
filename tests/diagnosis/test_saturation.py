"""What saturates a resource, what only looks like it, and what the counters prove."""

from dataclasses import replace

import pytest

from diagnosis.cases import box, case, history, series, span
from hosts_mcp.diagnosis import engine
from hosts_mcp.diagnosis.model import Disk, Interval, Usual
from hosts_mcp.diagnosis.resources import cpu, disk, memory, network, steal
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.diagnosis.verdict import Diagnosis

NONE = Usual({}, {}, "none")


def iv(**readings: object) -> Interval:
    return Interval(0.0, 10.0, **readings)  # type: ignore[arg-type]


def test_a_busy_cpu_without_a_queue_is_no_pressure() -> None:
    assert cpu.pressure(iv(busy=1.0, run_queue=0.9), NONE, TABLE) == 0.0
    assert cpu.pressure(iv(busy=1.0, run_queue=3.0), NONE, TABLE) == 1.0


def test_without_a_load_average_a_busy_cpu_is_half_a_reason() -> None:
    assert cpu.pressure(iv(busy=1.0), NONE, TABLE) == 0.5
    assert cpu.pressure(iv(), NONE, TABLE) is None


def test_an_nvme_disk_at_its_limit_of_busy_but_quick_is_healthy() -> None:
    quick = Disk("nvme0n1", 1.0, 1.6, 0.0003, 5300.0)
    assert disk.pressure(iv(disks=(quick,)), NONE, TABLE) == 0.0


def test_a_fast_disk_is_saturated_at_a_latency_far_from_its_own_usual() -> None:
    slow = Disk("vda", 1.0, 3.0, 0.012, 900.0)
    usual = Usual({"disk_await": 0.00035}, {}, "day")
    assert disk.pressure(iv(disks=(slow,)), usual, TABLE) == 1.0


def test_page_cache_is_not_memory_pressure_and_paging_needs_a_full_memory() -> None:
    assert memory.pressure(iv(memory=0.45, major_faults=2000.0), NONE, TABLE) == 0.0
    assert memory.pressure(iv(memory=0.85, major_faults=2000.0), NONE, TABLE) == pytest.approx(0.9)
    assert memory.pressure(iv(memory=0.96), NONE, TABLE) == 1.0


def test_steal_counts_by_the_share_of_what_was_wanted() -> None:
    assert steal.pressure(iv(steal=0.10, busy=0.85), NONE, TABLE) < steal.pressure(
        iv(steal=0.10, busy=0.10), NONE, TABLE
    )  # type: ignore[operator]


def test_constant_drops_are_background() -> None:
    usual = Usual({"drops": 0.015}, {}, "day")
    assert network.pressure(iv(drops=0.015, packets=9000.0), usual, TABLE) == 0.0
    assert network.pressure(iv(drops=0.08, packets=9000.0), usual, TABLE) == 1.0


def ask(signals: dict[str, list[float]], seconds: float = 30.0, usual: float = 10.0) -> Diagnosis:
    """One local span on a box with these signals, one reading every 10 s from 300 s before it."""
    spans = [span("job", 0, seconds, kind=2), span("compute", 0.1, seconds - 0.1, parent="job")]
    past = {"job": history("job", usual, own=0.2), "compute": history("compute", usual - 0.2)}
    found = [series(name, values) for name, values in signals.items()]
    return engine.assess(case(spans, histories=past, boxes=[box(found)]))


CALM = {
    "cpu_busy_ratio": [0.1] * 50,
    "run_queue": [0.4] * 50,
    "memory_used_ratio": [0.4] * 50,
    "disk_busy_ratio": [0.02] * 50,
    "disk_queue": [0.05] * 50,
}


def test_a_busy_node_alone_is_not_a_cause() -> None:
    """Public traces: a node at 70 % CPU for half of two days slowed nothing on it. A rule here, not a fitted number."""
    busy = {**CALM, "cpu_busy_ratio": [0.97] * 50, "run_queue": [3.6] * 50}
    assert ask(busy).verdict == "no"


def test_a_queue_that_began_with_the_slow_down_is_a_cause() -> None:
    queue = {**CALM, "cpu_busy_ratio": [0.1] * 30 + [1.0] * 20, "run_queue": [0.4] * 30 + [12.0] * 20}
    found = ask(queue)
    assert (found.verdict, found.resource) == ("yes", "cpu")
    assert found.calm_duration_seconds == pytest.approx(10.0, rel=0.2)


def test_the_same_queue_explains_nothing_where_it_is_usual() -> None:
    assert ask({**CALM, "cpu_busy_ratio": [1.0] * 50, "run_queue": [12.0] * 50}).verdict == "no"


def test_no_more_is_explained_than_was_lost() -> None:
    queue = {**CALM, "cpu_busy_ratio": [0.1] * 30 + [1.0] * 20, "run_queue": [0.4] * 30 + [400.0] * 20}
    found = ask(queue, seconds=20.0)
    assert found.calm_duration_seconds is not None
    assert found.calm_duration_seconds >= 9.5


def test_counters_clear_a_calm_box_for_certain() -> None:
    found = ask(CALM)
    assert found.verdict == "no"
    assert found.confidence_word == "almost certainly"
    assert {e.resource for e in found.exonerated} >= {"cpu", "memory", "disk"}


def test_a_short_trace_in_a_mean_that_could_hide_a_burst_cannot_be_told() -> None:
    burst = {**CALM, "cpu_busy_ratio": [0.1] * 30 + [0.45] + [0.1] * 19}
    found = ask(burst, seconds=4.0, usual=1.5)
    assert found.verdict == "cannot_tell"
    assert found.hints[0].name == "interval"


def test_one_missing_scraper_is_named_and_lowers_the_coverage() -> None:
    whole = ask(CALM)
    less = ask({k: v for k, v in CALM.items() if not k.startswith("disk")})
    assert less.coverage < whole.coverage
    assert any(h.name == "scraper_disk" for h in less.hints)


def test_no_metrics_at_all_cannot_be_told() -> None:
    found = ask({})
    assert found.verdict == "cannot_tell"
    assert found.hints[0].patch is not None


def test_a_table_that_differs_shows_in_the_version() -> None:
    assert replace(TABLE, share_yes=0.7).version != TABLE.version


def test_what_went_on_filling_after_a_death_did_not_kill() -> None:
    """Killed in the middle of a climb, with room left; the sample after it shows a memory nearly full."""
    climb = {**CALM, "memory_used_ratio": [0.40] * 30 + [0.45, 0.55, 0.70, 0.96, 0.96, 0.40] + [0.40] * 14}
    spans = [span("step", 0, 21, lost_parent=True)]
    found = engine.assess(case(spans, boxes=[box([series(name, values) for name, values in climb.items()])]))
    assert found.symptom.kind == "killed"
    assert found.verdict in ("no", "cannot_tell")
