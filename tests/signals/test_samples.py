"""Derived signals of the whole box: formulas by hand-made rows, and what must stay unknown."""

from __future__ import annotations

import math

import pytest

from hosts_mcp.signals.model import BoxFacts
from hosts_mcp.signals.samples import derive, facts_from

from .making import BOOT, MIB, NS, T0, group, known, readings, samples, slot

LINUX = BoxFacts(cpu_count=2, os_type="linux")
KIB = 1024.0


def signal(of, name: str, facts: BoxFacts = LINUX):
    found = derive(of, facts, [name]).get(name)
    return None if found is None else known(found.values)


def cpu(seconds=(0, 10), **states):
    return group("cpu", seconds, **{f"cpu_{state}_seconds": values for state, values in states.items()})


# ---- cpu


def test_busy_is_what_is_neither_idle_nor_waiting_nor_stolen():
    box = cpu(user=[0, 6], system=[0, 2], idle=[0, 8], iowait=[0, 2], steal=[0, 2])
    shares = {name: signal(box, f"cpu_{name}_ratio") for name in ("busy", "user", "iowait", "steal")}
    assert shares == {"busy": [0.4], "user": [0.3], "iowait": [0.1], "steal": [0.1]}


def test_stolen_time_is_told_as_a_share_of_what_was_wanted():
    box = cpu(user=[0, 0.6], idle=[0, 0.5], steal=[0, 8.9])
    assert signal(box, "cpu_steal_lost_ratio") == [pytest.approx(8.9 / 9.5)]


def test_states_that_windows_does_not_have_are_unknown_and_busy_is_known():
    box = cpu(user=[0, 5], system=[0, 5], idle=[0, 10], irq=[0, 0])
    assert signal(box, "cpu_busy_ratio") == [0.5]
    assert signal(box, "cpu_iowait_ratio") is None
    assert signal(box, "cpu_steal_lost_ratio") is None


def test_a_live_migration_that_takes_idle_back_is_a_gap_and_not_a_busy_box():
    box = cpu((0, 10, 20), user=[0, 1, 2], idle=[1000, 500, 519])
    assert signal(box, "cpu_busy_ratio") == [None, 0.05]


def test_idle_that_runs_back_a_little_does_not_make_the_box_busier_than_it_was():
    box = cpu((0, 10), user=[0, 20], idle=[1000, 999])
    assert signal(box, "cpu_busy_ratio") == [1.0]


def test_no_rate_across_a_change_of_the_set():
    box = group("cpu", (0, 10, 20), sets=[1, 2, 2], cpu_user_seconds=[0, 900, 901], cpu_idle_seconds=[0, 900, 919])
    assert signal(box, "cpu_busy_ratio") == [None, 0.05]


def test_a_reboot_restarts_all_states_together_also_those_that_did_not_fall():
    rebooted = T0 + 5 * NS
    box = group("cpu", (0, 15), [BOOT, rebooted], cpu_user_seconds=[1, 5], cpu_idle_seconds=[1000, 15])
    assert signal(box, "cpu_busy_ratio") == [0.25]


def test_what_kubelet_calls_used_is_a_share_of_the_cpus():
    box = group("cpu", (0, 10), source="kubelet", cpu_used_seconds=[0, 5])
    assert signal(box, "cpu_busy_ratio") == [0.25]
    assert signal(box, "cpu_busy_ratio", BoxFacts()) is None


@pytest.mark.parametrize(
    ("sent", "busy"),
    [
        ({"busy": 0.4}, 0.4),
        ({"idle": 0.7, "iowait": 0.1}, 0.2),
        ({"user": 0.2, "system": 0.1}, 0.3),
        ({"user": 1.10118, "idle": 0.0}, 1.0),
        ({"busy": 1.578}, None),
        ({"busy": -0.2}, None),
    ],
    ids=str,
)
def test_gauges_stand_in_for_counters_and_what_is_out_of_range_is_no_value(sent, busy):
    box = group("cpu_gauges", [0], **{f"cpu_{s}_utilization": [v] for s, v in sent.items()})
    assert signal(box, "cpu_busy_ratio") == (None if busy is None else [pytest.approx(busy)])


def test_cores_in_use_need_the_number_of_cores():
    box = group("cpu_gauges", [0], cpu_used_cores=[1.5])
    assert signal(box, "cpu_busy_ratio") == [0.75]
    assert signal(box, "cpu_busy_ratio", BoxFacts()) is None


def test_counters_win_over_gauges():
    box = cpu(user=[0, 5], idle=[0, 15]) | group("cpu_gauges", [0, 10], cpu_busy_utilization=[0.9, 0.9])
    assert signal(box, "cpu_busy_ratio") == [0.25]


@pytest.mark.parametrize(
    ("columns", "count"),
    [({"cpu_count": [8, 8]}, 8), ({}, 4)],
    ids=["as sent", "all states per second"],
)
def test_the_number_of_cpus(columns, count):
    box = group("cpu", (0, 10), cpu_user_seconds=[0, 10.1], cpu_idle_seconds=[0, 29.7], **columns)
    assert facts_from(box, BoxFacts()).cpu_count == count


# ---- load


def load_of(active, seconds, first=0.0):
    """The one-minute load as the kernel damps a constant number of active tasks."""
    return [active + (first - active) * math.exp(-s / 60) for s in seconds]


@pytest.mark.parametrize("step", [5, 10, 30, 60, 120])
def test_the_damping_of_the_load_is_undone(step):
    seconds = range(0, 10 * step, step)
    queue = signal(group("load", seconds, load_1m=load_of(32, seconds)), "run_queue")
    assert [v for v in queue if v is not None] == pytest.approx([32.0] * sum(v is not None for v in queue))
    assert queue[-1] is not None


def test_scrapes_each_second_are_taken_over_fifteen_of_them():
    seconds = range(40)
    coarse = [load_of(4, [5 * (s // 5)])[0] for s in seconds]
    queue = signal(group("load", seconds, load_1m=coarse), "run_queue")
    assert queue[:15] == [None] * 15
    assert max(queue[15:]) < 6


def test_blocked_tasks_do_not_wait_for_a_cpu():
    seconds = (0, 30)
    box = group("load", seconds, load_1m=load_of(10, seconds)) | group("processes", seconds, tasks_blocked=[9, 9])
    assert signal(box, "run_queue") == [None, pytest.approx(1)]


def test_a_load_that_never_moves_is_not_trusted():
    box = group("load", range(0, 600, 10), load_1m=[0.52] * 60)
    assert signal(box, "run_queue") is None
    assert "untrusted_load" in derive(box, LINUX)["load_1m"].quality
    idle = group("load", range(0, 600, 10), load_1m=[0.0] * 60)
    assert signal(idle, "run_queue")[-1] == 0


def test_windows_has_no_such_load():
    box = group("load", (0, 30), load_1m=[1, 2])
    assert signal(box, "run_queue", BoxFacts(os_type="windows")) is None


# ---- memory: the vector of contrib#45413

TOTAL, FREE, AVAILABLE, BUFFERS, CACHED = (v * KIB for v in (131_496_268, 2_305_112, 46_864_372, 1_020_888, 45_936_984))
USED_OLD, USED_NEW = 82_233_284 * KIB, 84_631_896 * KIB


def memory(times=1, **columns):
    return group("memory", range(times), **{f"memory_{n}_bytes": [v] * times for n, v in columns.items()})


def test_memory_with_the_new_meaning_of_used_is_exact_without_the_available_metric():
    box = memory(total=TOTAL, used=USED_NEW, free=FREE, buffers=BUFFERS, cached=CACHED)
    assert signal(box, "memory_available_bytes") == [AVAILABLE]
    assert derive(box, LINUX)["memory_used_ratio"].quality == frozenset()


def test_memory_with_the_old_meaning_of_used_is_an_upper_bound_and_says_so():
    box = memory(total=TOTAL, used=USED_OLD, free=FREE, buffers=BUFFERS, cached=CACHED)
    found = derive(box, LINUX)
    assert found["memory_available_bytes"].values == [TOTAL - USED_OLD]
    assert "old_memory_formula" in found["memory_used_ratio"].quality


def test_a_system_that_tells_no_cache_apart_has_no_old_formula():
    assert derive(memory(total=10, used=3, free=7), LINUX)["memory_used_ratio"].quality == frozenset()


def test_the_available_metric_decides():
    box = memory(total=TOTAL, used=USED_OLD, free=FREE, buffers=BUFFERS, cached=CACHED, available=AVAILABLE)
    assert signal(box, "memory_used_ratio") == [round(1 - AVAILABLE / TOTAL, 6)]


def test_without_a_limit_the_old_states_add_up_to_the_total():
    box = memory(3, used=USED_OLD, free=FREE, buffers=BUFFERS, cached=CACHED)
    assert signal(box, "memory_total_bytes") == [TOTAL] * 3


def test_slab_and_inactive_are_never_added():
    box = memory(used=6, free=2, buffers=1, cached=1, slab_reclaimable=50, slab_unreclaimable=50, inactive=50)
    assert signal(box, "memory_total_bytes") == [10]


def test_states_that_do_not_add_up_give_an_estimated_total():
    box = group("memory", (0, 10), memory_used_bytes=[60, 70], memory_free_bytes=[20, 20], memory_cached_bytes=[30, 40])
    assert "estimated_total" in derive(box, LINUX)["memory_used_ratio"].quality


@pytest.mark.parametrize(
    ("columns", "ratio"),
    [
        ({"used_bytes": 30, "free_bytes": 70}, 0.3),
        ({"used_bytes": 30, "free_bytes": 50, "inactive_bytes": 20}, 0.3),
        ({"available_utilization": 0.25}, 0.75),
        ({"used_utilization": 0.4}, 0.4),
        ({"working_set_bytes": 30, "available_bytes": 70}, 0.3),
    ],
    ids=["windows", "macos", "logfire", "share alone", "kubelet"],
)
def test_other_systems_and_senders(columns, ratio):
    box = group("memory", [0], **{f"memory_{n}": [v] for n, v in columns.items()})
    assert signal(box, "memory_used_ratio") == [ratio]


# ---- swap and paging


def test_swap_is_used_of_all_and_no_swap_is_unknown():
    assert signal(group("swap", [0], swap_used_bytes=[3], swap_free_bytes=[6], swap_cached_bytes=[3]),
                  "swap_used_ratio") == [0.25]  # fmt: skip
    assert signal(group("swap", [0], swap_used_bytes=[0], swap_free_bytes=[0]), "swap_used_ratio") is None
    assert signal(cpu(user=[0, 1], idle=[0, 1]), "swap_used_ratio") is None


def paging(faults, swapped=None, source="hostmetrics"):
    times = range(0, 10 * len(faults), 10)
    return group("paging", times, source=source, paging_major_faults=faults,
                 paging_swap_in_pages=swapped or [0] * len(faults))  # fmt: skip


def test_linux_collectors_multiply_by_4096_and_that_is_undone():
    assert signal(paging([4096 * n for n in (100, 110, 120)]), "major_faults_per_second") == [1, 1]


def test_one_value_that_is_no_multiple_shows_that_nothing_was_multiplied():
    assert signal(paging([4096, 8192, 12289]), "major_faults_per_second")[0] == 409.6


def test_before_three_values_a_linux_collector_is_taken_to_multiply():
    assert signal(paging([0, 4096]), "major_faults_per_second") == [0.1]
    assert signal(paging([0, 4096], source="node_exporter"), "major_faults_per_second") == [409.6]


def test_windows_counts_are_plain():
    facts = BoxFacts(os_type="windows")
    assert signal(paging([4096, 8192, 12288]), "major_faults_per_second", facts) == [409.6, 409.6]


def test_swapped_pages_become_bytes_by_the_page_size():
    box = paging([4096, 8192, 12288], [0, 4096 * 100, 4096 * 200])
    assert signal(box, "swap_in_bytes_per_second") == [40960, 40960]
    assert signal(box, "swap_in_bytes_per_second", BoxFacts(page_bytes=65536)) == [655360, 655360]


# ---- disk


def disk(seconds=(0, 10), **columns):
    return group("disk", seconds, **{f"disk_{name}": values for name, values in columns.items()})


def test_disk_rates_and_the_time_an_operation_took():
    box = disk(read_bytes=[0, 100], read_operations=[0, 20], read_seconds=[0, 1], write_operations=[5, 5],
               write_seconds=[1, 1], busy_seconds=[0, 5], queue_seconds=[0, 30])  # fmt: skip
    assert signal(box, "disk_read_bytes_per_second") == [10]
    assert signal(box, "disk_read_await_seconds") == [0.05]
    assert signal(box, "disk_write_await_seconds") is None
    assert (signal(box, "disk_busy_ratio"), signal(box, "disk_queue")) == ([0.5], [3])


def test_a_sum_over_disks_is_marked_and_never_above_one():
    box = disk(busy_seconds=[0, 18], count=[2, 2])
    found = derive(box, LINUX)["disk_busy_ratio"]
    assert (found.values, found.quality) == ([1.0], frozenset({"sum_over_disks"}))


def test_an_idle_disk_that_an_old_kernel_counts_as_busy_is_idle():
    box = disk(busy_seconds=[0, 10], queue_seconds=[0, 10.02], read_seconds=[0, 0.01], write_seconds=[0, 0.01])
    assert (signal(box, "disk_busy_ratio"), signal(box, "disk_queue")) == ([0.002], [0.002])


def test_without_weighted_time_the_queue_is_what_is_pending():
    assert signal(disk(pending_operations=[3, 4]), "disk_queue") == [3, 4]


# ---- the rest


def test_network_tasks_pressure_and_oom_are_increases():
    box = (
        group("network", (0, 10), network_receive_bytes=[0, 1000], network_receive_drops=[7, 7])
        | group("processes", (0, 10), tasks_running=[3, 4], tasks_blocked=[0, 2], tasks_created=[0, 50])
        | group("psi", (0, 10), psi_io_some_seconds=[0, 2.5])
        | group("oom", (0, 10), oom_kills=[4, 5])
    )
    names = ("network_receive_bytes_per_second", "network_receive_drops_per_second", "tasks_blocked",
             "forks_per_second", "psi_io_some_ratio", "oom_kills")  # fmt: skip
    assert [signal(box, name) for name in names] == [[100], [0], [0, 2], [5], [0.25], [1]]


def test_shares_of_limits():
    box = group("conntrack", [0], conntrack_count=[80], conntrack_max=[100]) | group(
        "container", (0, 10), container_memory_bytes=[60, 90], container_memory_limit_bytes=[100, 100],
        container_periods=[0, 100], container_throttled_periods=[0, 25],
    )  # fmt: skip
    names = ("conntrack_used_ratio", "container_memory_limit_ratio", "container_throttled_ratio")
    assert [signal(box, name) for name in names] == [[0.8], [0.6, 0.9], [0.25]]


def test_boot_time_and_uptime_tell_each_other():
    assert signal(group("system", [0], uptime_seconds=[50]), "boot_time") == [T0 / NS - 50]
    assert signal(group("system", [0], boot_time_seconds=[T0 / NS - 50]), "uptime_seconds") == [50]


def test_what_nobody_sent_is_absent_and_never_zero():
    assert derive({}, LINUX) == {}
    assert set(derive(group("load", [0], load_1m=[1.0]), BoxFacts())) == {"load_1m"}


def test_a_gap_shows_as_a_long_interval():
    found = derive(cpu((0, 10, 400), user=[0, 5, 200], idle=[0, 15, 600]), LINUX)["cpu_busy_ratio"]
    assert [(e - s) / NS for s, e in zip(found.starts_ns, found.ends_ns, strict=True)] == [10, 390]


def test_from_points_to_signals_old_and_new_collectors_agree():
    def scrape(at: int, per_cpu: bool):
        for state, each in (("user", 3.0), ("idle", 7.0)):
            cpus = [{"cpu": "cpu0"}, {"cpu": "cpu1"}] if per_cpu else [{}]
            for of in cpus:
                value = each * at / 10 * (1 if per_cpu else 2)
                yield from readings(T0 + at * NS, {slot("system.cpu.time", state=state, **of): value})
        yield from readings(T0 + at * NS, {slot("system.memory.limit", "updown"): 64.0 * MIB})

    old, new = (samples(r for at in (0, 10, 20) for r in scrape(at, per_cpu)) for per_cpu in (True, False))
    assert signal(old, "cpu_busy_ratio") == signal(new, "cpu_busy_ratio") == [0.3, 0.3]
    assert facts_from(old, BoxFacts()).memory_bytes == 64 * MIB
    upgraded = samples([*scrape(0, True), *scrape(10, True), *scrape(20, False), *scrape(30, False)])
    assert signal(upgraded, "cpu_busy_ratio") == [0.3, None, 0.3]
