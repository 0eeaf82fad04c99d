"""Claims about findings: when each fires, holds and clears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.hosts.findings import evaluate, shown
from hosts_mcp.hosts.resources import OWN_NAME
from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.store.protocol import FindingRow, Host
from hosts_mcp.timerange import NS

START = 1_700_000_000 * NS
QUIET = {
    "cpu_busy_ratio": 0.1, "load_1m": 0.2, "disk_busy_ratio": 0.0, "filesystem_used_ratio": 0.3,
    "network_receive_bytes_per_second": 1.0, "tasks_running": 1.0, "memory_used_ratio": 0.3,
}  # fmt: skip


def series(
    name: str, values: Sequence[float | None], interval: float = 60, subject: str | None = None,
    at: Sequence[float] | None = None,
) -> SignalSeries:  # fmt: skip
    """Readings at 0, interval, 2·interval … seconds after START, or `at` these seconds."""
    ends = [START + round(second * NS) for second in (at or [i * interval for i in range(len(values))])]
    starts = [end - round(interval * NS) for end in ends]
    return SignalSeries(name, "1", starts, ends, list(values), subject)


def box(interval: float = 60, **facts: object) -> Host:
    known: dict[str, object] = {
        "id": 1, "key": "web-1", "kind": "host", "name": "web-1", "os_type": "linux", "sources": ("hostmetrics",),
        "cpu_count": 4, "interval_ns": round(interval * NS), "usual_lag_ns": 0,
    }  # fmt: skip
    return Host(**(known | facts))


def judge(
    *given_series: SignalSeries, host: Host | None = None, previous: Sequence[FindingRow] = (), **how: float
) -> list[FindingRow]:
    """Findings right after the last reading, of a host that reports everything else quietly."""
    host = host or box()
    whole = {s.name: s for s in given_series if s.subject is None}
    end = max((s.ends_ns[-1] for s in given_series), default=START)
    host = replace(host, newest_ns=host.newest_ns or end, last_arrived_ns=host.last_arrived_ns or end)
    return evaluate(host, whole, [s for s in given_series if s.subject is not None], previous, end, **how)


def codes(rows: Sequence[FindingRow], *, but: Sequence[str] = ("missing_scraper", "coarse_interval")) -> list[str]:
    return [row.code for row in rows if row.until_ns is None and row.code not in but]


def one(rows: Sequence[FindingRow], code: str) -> FindingRow:
    return next(row for row in rows if row.code == code)


# ---- memory: the hysteresis -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "values", "fires"),
    [
        (60, [0.91, 0.92, 0.90], True),
        (60, [0.91, 0.899, 0.92], False),
        (60, [0.91, 0.92], False),
        (10, [0.91] * 13, True),
        (10, [0.91] * 12, False),
        (10, [0.91] * 3, False),
        (300, [0.91] * 3, True),
        (300, [0.91] * 2, False),
        (60, [0.91, None, 0.91, 0.91], True),
    ],
)
def test_high_memory_needs_three_readings_over_two_minutes(
    interval: float, values: list[float | None], fires: bool
) -> None:
    rows = judge(series("memory_used_ratio", values, interval), host=box(interval))
    assert ("high_memory" in codes(rows)) is fires


def test_a_finding_begins_with_the_first_reading_that_fired() -> None:
    rows = judge(series("memory_used_ratio", [0.5, 0.91, 0.92, 0.93]))
    assert one(rows, "high_memory").since_ns == START + 60 * NS


def test_a_gap_resets_what_is_pending() -> None:
    gappy = series("memory_used_ratio", [0.91, 0.91, 0.91], at=[0, 200, 260])
    assert codes(judge(gappy)) == []


@pytest.mark.parametrize(("after", "open_"), [([0.86] * 3, True), ([0.84] * 3, False), ([0.84] * 2, True)])
def test_between_the_limits_the_state_holds(after: list[float], open_: bool) -> None:
    rows = judge(series("memory_used_ratio", [0.91, 0.91, 0.91, *after]))
    assert ("high_memory" in codes(rows)) is open_


def test_a_cleared_finding_is_told_once_with_its_end() -> None:
    readings = series("memory_used_ratio", [0.91] * 3 + [0.84] * 3)
    opened = judge(series("memory_used_ratio", [0.91] * 3))
    closed = judge(readings, previous=[one(opened, "high_memory")])
    row = one(closed, "high_memory")
    assert (row.since_ns, row.until_ns) == (START, START + 300 * NS)
    assert "high_memory" not in [r.code for r in judge(readings, previous=[row])]


def test_an_open_finding_keeps_its_beginning_when_the_window_moves_on() -> None:
    opened = one(judge(series("memory_used_ratio", [0.91] * 3)), "high_memory")
    later = series("memory_used_ratio", [0.92] * 3, at=[3600, 3660, 3720])
    assert one(judge(later, previous=[opened]), "high_memory").since_ns == START


def test_memory_above_the_higher_limit_is_critical_and_falls_back_to_a_warning() -> None:
    rows = judge(series("memory_used_ratio", [0.96] * 3))
    assert one(rows, "high_memory").severity == "critical"
    held = judge(series("memory_used_ratio", [0.96] * 3 + [0.93] * 3), previous=rows)
    assert one(held, "high_memory").severity == "critical"
    fallen = judge(series("memory_used_ratio", [0.96] * 3 + [0.87] * 3), previous=rows)
    assert one(fallen, "high_memory").severity == "warning"


def test_memory_that_is_always_this_full_is_only_information() -> None:
    rows = judge(series("memory_used_ratio", [0.91] * 3), usual_memory_ratio=0.90)
    assert one(rows, "high_memory").severity == "info"
    swapping = series("swap_out_bytes_per_second", [4096.0] * 3)
    rows = judge(series("memory_used_ratio", [0.91] * 3), swapping, usual_memory_ratio=0.90)
    assert one(rows, "high_memory").severity == "warning"


@given(st.lists(st.floats(0.7, 1.0), min_size=1, max_size=40), st.integers(1, 40))
def test_judging_in_two_steps_tells_the_same_as_judging_at_once(values: list[float], cut: int) -> None:
    at_once = [r for r in judge(series("memory_used_ratio", values)) if r.code == "high_memory"]
    first = [r for r in judge(series("memory_used_ratio", values[:cut])) if r.code == "high_memory"]
    second = [r for r in judge(series("memory_used_ratio", values), previous=first) if r.code == "high_memory"]
    kept = {(r.since_ns, r.until_ns) for r in (*(f for f in first if f.until_ns), *second)}
    assert kept == {(r.since_ns, r.until_ns) for r in at_once}


# ---- filesystems ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("used", "fires"), [(0.90, True), (0.899, False)])
def test_a_full_filesystem_fires_at_once(used: float, fires: bool) -> None:
    rows = judge(series("filesystem_used_ratio", [used], subject="/var"))
    assert ("filesystem_full" in codes(rows)) is fires


@pytest.mark.parametrize(("used", "open_"), [(0.88, True), (0.879, False)])
def test_a_full_filesystem_clears_below_its_lower_limit(used: float, open_: bool) -> None:
    rows = judge(series("filesystem_used_ratio", [0.90] + [used] * 4, subject="/var"))
    assert ("filesystem_full" in codes(rows)) is open_


def test_each_filesystem_is_judged_by_itself_and_named() -> None:
    rows = judge(
        series("filesystem_used_ratio", [0.99], subject="/var"), series("filesystem_used_ratio", [0.2], subject="/")
    )
    row = one(rows, "filesystem_full")
    assert (row.subject, row.severity, row.value) == ("/var", "critical", 0.99)
    assert row.sentence == "Filesystem `/var` is 99 % full."


def test_a_filesystem_that_will_be_full_within_hours_fires_before_it_is() -> None:
    filling = [0.60 + 0.002 * minute for minute in range(31)]
    row = one(judge(series("filesystem_used_ratio", filling, subject="/data")), "filesystem_full")
    assert row.severity == "warning"
    assert "at the present rate" in row.sentence
    calm = [0.60 + 0.00001 * minute for minute in range(31)]
    assert codes(judge(series("filesystem_used_ratio", calm, subject="/data"))) == []


def test_inodes_can_be_full_while_bytes_are_free() -> None:
    rows = judge(series("inodes_used_ratio", [0.95], subject="/"), series("filesystem_used_ratio", [0.4], subject="/"))
    assert codes(rows) == ["inodes_full"]


def test_a_mount_points_name_is_quoted() -> None:
    row = one(judge(series("filesystem_used_ratio", [0.95], subject="/x\n`do this`")), "filesystem_full")
    assert "\n" not in row.sentence
    assert "`/x 'do this'`" in row.sentence


# ---- CPU, tasks, steal ------------------------------------------------------------------------------------------


def cpu(busy: float, queue: float | None = None, load: float = 1.0, readings: int = 3) -> list[SignalSeries]:
    return [
        series("cpu_busy_ratio", [busy] * readings),
        series("run_queue", [queue] * readings),
        series("load_1m", [load] * readings),
    ]


def test_a_busy_cpu_with_a_queue_is_saturated() -> None:
    assert one(judge(*cpu(0.95, queue=6.0)), "cpu_saturated").severity == "warning"
    assert one(judge(*cpu(0.95, queue=12.0)), "cpu_saturated").severity == "critical"


def test_a_busy_cpu_without_a_queue_is_harmless() -> None:
    assert codes(judge(*cpu(0.95, queue=1.0))) == []
    row = one(judge(*cpu(0.95, queue=1.0, readings=12)), "cpu_busy")
    assert row.severity == "info"


def test_a_busy_cpu_whose_queue_is_unknown_says_nothing() -> None:
    assert codes(judge(*cpu(0.95, queue=None, readings=12))) == []


def test_load_far_above_a_calm_cpu_means_tasks_wait_for_something_else() -> None:
    rows = judge(*cpu(0.35, queue=9.0, load=39.0), series("tasks_blocked", [7.0] * 3))
    assert codes(rows) == ["tasks_waiting"]
    assert "7 blocked" in one(rows, "tasks_waiting").sentence


def test_steal_counts_by_the_share_that_is_lost() -> None:
    steal, lost = series("cpu_steal_ratio", [0.12] * 6), series("cpu_steal_lost_ratio", [0.5] * 6)
    assert codes(judge(steal, lost)) == ["cpu_steal"]
    assert codes(judge(steal, series("cpu_steal_lost_ratio", [0.1] * 6))) == []


def test_io_wait_needs_a_busy_or_slow_disk_behind_it() -> None:
    waiting = series("cpu_iowait_ratio", [0.5] * 6)
    assert codes(judge(waiting)) == []
    assert codes(judge(waiting, series("disk_busy_ratio", [0.2] * 6), series("tasks_blocked", [0.0] * 6))) == []
    assert codes(judge(waiting, series("disk_busy_ratio", [0.85] * 6))) == ["io_wait"]


# ---- disks, swap, network ---------------------------------------------------------------------------------------


def disk(busy: float, queue: float, wait: float, subject: str = "sda") -> list[SignalSeries]:
    return [
        series("disk_busy_ratio", [busy] * 3, subject=subject),
        series("disk_queue", [queue] * 3, subject=subject),
        series("disk_read_await_seconds", [wait] * 3, subject=subject),
    ]


def test_a_fast_disk_that_is_always_busy_is_not_saturated() -> None:
    assert codes(judge(*disk(1.0, 1.0, 0.0003))) == []


def test_a_busy_disk_with_a_queue_is_saturated_and_named() -> None:
    row = one(judge(*disk(0.95, 5.0, 0.004)), "disk_saturated")
    assert (row.subject, row.severity) == ("sda", "warning")
    assert one(judge(*disk(0.95, 11.0, 0.004)), "disk_saturated").severity == "critical"


def test_a_disk_three_times_slower_than_its_usual_is_saturated() -> None:
    waits = [0.004] * 20 + [0.013] * 3
    rows = judge(
        series("disk_busy_ratio", [0.95] * 23, subject="sda"),
        series("disk_queue", [2.0] * 23, subject="sda"),
        series("disk_read_await_seconds", waits, subject="sda"),
    )
    assert codes(rows) == ["disk_saturated"]


def test_swapping_counts_pages_and_only_with_little_memory() -> None:
    pages = series("swap_in_bytes_per_second", [200 * 4096.0] * 3)
    assert codes(judge(pages, series("memory_used_ratio", [0.85] * 3))) == ["swapping"]
    assert codes(judge(pages, series("memory_used_ratio", [0.5] * 3))) == []


def test_full_swap_fires_and_no_swap_does_not() -> None:
    assert codes(judge(series("swap_used_ratio", [0.97] * 3))) == ["swap_full"]
    assert codes(judge(series("swap_used_ratio", [None] * 3))) == []


def test_constant_drops_are_normal_and_a_burst_is_not() -> None:
    packets = series("network_receive_packets_per_second", [1000.0] * 26, subject="eth0")
    steady = series("network_receive_drops_per_second", [20.0] * 26, subject="eth0")
    assert codes(judge(packets, steady)) == []
    burst = series("network_receive_drops_per_second", [0.0] * 20 + [60.0] * 6, subject="eth0")
    rows = judge(packets, burst)
    assert (codes(rows), one(rows, "packet_drops").severity) == (["packet_drops"], "critical")


# ---- silence ----------------------------------------------------------------------------------------------------


def silent(seconds: float, previous: Sequence[FindingRow] = ()) -> list[FindingRow]:
    host = box(last_arrived_ns=START, newest_ns=START)
    return evaluate(host, {}, [], previous, START + round(seconds * NS))


def test_silence_is_delayed_then_not_reporting() -> None:
    stale = silent(200)
    assert (codes(stale), one(stale, "delayed").since_ns) == (["delayed"], START)
    down = silent(400, stale)
    assert codes(down) == ["not_reporting"]
    assert one(down, "delayed").until_ns is not None


def test_silence_clears_nothing_but_a_down_host_shows_only_that() -> None:
    full = one(judge(series("memory_used_ratio", [0.96] * 3)), "high_memory")
    down = silent(4000, [full])
    assert codes(down) == ["high_memory", "not_reporting"]
    assert [row.code for row in shown(down)] == ["not_reporting"]


def test_a_host_that_reports_again_is_no_longer_not_reporting() -> None:
    rows = judge(series("memory_used_ratio", [0.3]), previous=silent(4000))
    assert one(rows, "not_reporting").until_ns is not None


# ---- reboot, clock, identity, what is missing -------------------------------------------------------------------


def test_a_reboot_is_told_for_two_hours() -> None:
    uptime = series("uptime_seconds", [90_000.0, 90_060.0, 30.0, 90.0])
    row = one(judge(uptime), "rebooted")
    assert row.since_ns == START + 150 * NS - 60 * NS
    later = series("uptime_seconds", [7300.0], at=[7400])
    assert one(judge(later, previous=[row]), "rebooted").until_ns is not None


def test_a_corrected_clock_is_no_reboot() -> None:
    assert "rebooted" not in codes(judge(series("uptime_seconds", [90_000.0, 90_060.0, 90_050.0, 90_110.0])))


@pytest.mark.parametrize(
    ("lag", "severity"), [(-4, None), (-6, "warning"), (-301, "critical"), (61, "info"), (10, None)]
)
def test_a_clock_ahead_or_behind_is_told_and_nothing_is_shifted(lag: float, severity: str | None) -> None:
    rows = judge(series("memory_used_ratio", [0.3]), host=box(usual_lag_ns=round(lag * NS)))
    found = [row.severity for row in rows if row.code == "clock_skew"]
    assert found == ([] if severity is None else [severity])


def test_a_collector_in_a_container_is_told_by_two_signs() -> None:
    quiet = series("memory_used_ratio", [0.3])
    eth0 = series("network_receive_bytes_per_second", [1.0], subject="eth0")
    named = box(attributes={OWN_NAME: "3f2b1c0d9e8a"})
    assert "collector_in_container" not in codes(judge(quiet, host=named))
    row = one(judge(quiet, eth0, host=named), "collector_in_container")
    assert "/hostfs" in (row.fix or "")


def test_clones_and_gateways_that_overwrite_names_are_told_apart() -> None:
    clones = one(judge(series("memory_used_ratio", [0.3]), host=box(shared_id=True, host_id="x")), "duplicate_identity")
    assert "machine-id" in (clones.fix or "")
    cores = series("cpu_count", [4.0, 8.0, 4.0, 8.0])
    assert "override: false" in (one(judge(cores), "duplicate_identity").fix or "")
    assert "duplicate_identity" not in codes(judge(series("cpu_count", [4.0, 4.0, 8.0, 8.0])))


def test_an_unidentified_source_carries_the_fix() -> None:
    row = one(judge(series("memory_used_ratio", [0.3]), host=box(kind="unidentified")), "unidentified")
    assert "resourcedetection" in (row.fix or "")


def test_a_coarse_interval_and_missing_scrapers_are_information_with_the_lines_to_add() -> None:
    some = [series(name, [value] * 3) for name, value in QUIET.items() if name != "tasks_running"]
    rows = judge(*some)
    assert one(rows, "coarse_interval").severity == "info"
    assert one(rows, "missing_scraper").fix == "Add under receivers.hostmetrics.scrapers: processes: {}"
    windows = judge(*some, host=box(10, os_type="windows"))
    assert codes(windows, but=()) == []


def test_a_box_that_only_an_application_reports_is_told_so() -> None:
    rows = judge(series("cpu_busy_ratio", [0.1] * 3), host=box(kind="app", sources=("app",), sdk_language="python"))
    assert "python" in one(rows, "app_reported_only").sentence


def test_a_quiet_host_that_reports_everything_has_no_findings() -> None:
    assert judge(*(series(name, [value] * 40, 10) for name, value in QUIET.items()), host=box(10)) == []


def test_a_finding_that_comes_and_goes_is_called_flapping_once() -> None:
    previous = [
        FindingRow(1, "high_memory", "warning", None, START - s * NS, START - (s - 200) * NS, 0.9, "Memory.")
        for s in (900, 600)
    ]
    row = one(judge(series("memory_used_ratio", [0.91] * 3), previous=previous), "high_memory")
    assert row.sentence.count("flapping") == 1


def test_full_memory_given_back_at_once_while_tasks_ended_is_a_suspected_oom_kill() -> None:
    memory = series("memory_used_ratio", [0.9, 0.94, 0.96, 0.5, 0.5])
    row = one(judge(memory, series("tasks_total", [200, 200, 201, 190, 190])), "oom_suspected")
    assert (row.severity, row.since_ns) == ("warning", memory.ends_ns[3])
    assert "96 % to 50 %" in row.sentence
    later = series("memory_used_ratio", [0.5] * 40)
    assert one(judge(later, previous=[row]), "oom_suspected").until_ns is not None


@pytest.mark.parametrize(
    ("memory", "tasks", "swap"),
    [
        ([0.9, 0.94, 0.96, 0.5], [200, 200, 200, 201], [0.1] * 4),  # a cache was freed
        ([0.9, 0.94, 0.96, 0.8], [200, 200, 200, 190], [0.99] * 4),  # too little came back
        ([0.9, 0.94, 0.96, 0.9, 0.9, 0.5], [200, 200, 200, 200, 200, 190], [0.1] * 6),  # not at once
        ([0.8, 0.8, 0.9, 0.4], [200, 200, 200, 190], [0.99] * 4),  # it was not full
    ],
)
def test_memory_that_is_given_back_otherwise_is_no_oom_kill(
    memory: list[float], tasks: list[float], swap: list[float]
) -> None:
    given = [series("memory_used_ratio", memory), series("tasks_total", tasks), series("swap_used_ratio", swap)]
    assert "oom_suspected" not in codes(judge(*given))


def test_full_swap_is_enough_to_suspect_an_oom_kill() -> None:
    given = [series("memory_used_ratio", [0.95, 0.96, 0.4]), series("swap_used_ratio", [0.97, 0.98, 0.2])]
    assert one(judge(*given), "oom_suspected").sentence.count("swap full") == 1
