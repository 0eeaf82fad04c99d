"""The wide row is a function of the set of points: each thing counts once, whatever its spelling, order or split."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.model import TICK_NS
from hosts_mcp.signals.rows import framed, joint_plan, plan, row

from .making import BOOT, NS, T0, one_row, readings, slot

STATES = ("user", "system", "nice", "idle", "wait", "interrupt", "softirq", "steal")


def per_cpu(cpus: int = 2) -> dict[Slot, float]:
    return {
        slot("system.cpu.time", cpu=f"cpu{i}", state=state): 10.0 * i + n
        for i in range(cpus)
        for n, state in enumerate(STATES)
    }


def disk(name: str, value: float = 1.0) -> dict[Slot, float]:
    return {slot("system.disk.io", device=name, direction="read"): value}


def mount(point: str, used: float, free: float, **attributes: Any) -> dict[Slot, float]:
    of = {"device": "/dev/sda1", "mode": "rw", "type": "ext4"} | attributes
    return {
        slot("system.filesystem.usage", "updown", mountpoint=point, state=state, **of): value
        for state, value in (("used", used), ("free", free), ("reserved", 7.0))
    }


def test_cpu_states_are_summed_over_cpus_and_the_cpus_counted():
    values = one_row(per_cpu()).values
    assert values["cpu_user_seconds"] == 10
    assert values["cpu_irq_seconds"] == 5 + 6 + 15 + 16
    assert values["cpu_count"] == 2


def test_without_the_cpu_attribute_the_states_are_the_whole_box():
    summed = {slot("system.cpu.time", state="user"): 7.0, slot("system.cpu.logical.count", "updown"): 8.0}
    assert one_row(summed).values == {"cpu_user_seconds": 7.0, "cpu_count": 8.0}


def test_a_sum_beside_its_parts_does_not_count_double():
    both = per_cpu() | {slot("system.cpu.time", state="user"): 10.0}
    assert one_row(both).values["cpu_user_seconds"] == 10
    telegraf = {slot("cpu_time_user", "gauge", cpu=cpu): 5.0 for cpu in ("cpu0", "cpu1")}
    telegraf[slot("cpu_time_user", "gauge", cpu="cpu-total")] = 10.0
    assert one_row(telegraf, "telegraf").values["cpu_user_seconds"] == 10


def test_the_change_from_per_cpu_to_summed_changes_the_set():
    summed = {slot("system.cpu.time", state=state): 1.0 for state in STATES}
    assert one_row(per_cpu()).sets["cpu"] != one_row(summed).sets["cpu"]


def test_a_point_with_old_and_new_keys_counts_once_and_the_new_key_wins():
    both = slot("system.cpu.time", state="wait", cpu__mode="iowait")
    assert one_row({both: 3.0}).values == {"cpu_iowait_seconds": 3.0}


def test_the_same_reading_under_two_names_counts_once():
    twice = {
        slot("system.network.dropped", device="eth0", direction="receive"): 5.0,
        slot("system.network.packet.dropped", system__device="eth0", network__io__direction="receive"): 5.0,
    }
    assert one_row(twice).values["network_receive_drops"] == 5


def test_old_and_new_spelling_give_equal_rows():
    old = {
        slot("system.disk.io", device="sda", direction="read"): 5.0,
        slot("system.memory.usage", "updown", state="buffered"): 3.0,
        slot("system.network.packets", device="eth0", direction="transmit"): 4.0,
        slot("system.processes.count", "updown", status="blocked"): 2.0,
        slot("system.paging.faults", type="major"): 1.0,
    }
    new = {
        slot("system.disk.io", system__device="sda", disk__io__direction="read"): 5.0,
        slot("system.memory.usage", "updown", system__memory__state="buffers"): 3.0,
        slot("system.network.packet.count", network__interface__name="eth0", network__io__direction="transmit"): 4.0,
        slot("system.process.count", "updown", process__state="blocked"): 2.0,
        slot("system.paging.faults", system__paging__fault__type="major"): 1.0,
    }
    assert one_row(old) == one_row(new)


@pytest.mark.parametrize(
    ("present", "counted"),
    [
        (["sda", "sda1", "sda2", "sdb"], 2),
        (["nvme0n1", "nvme0n1p1", "nvme0n10"], 2),
        (["vda", "dm-0", "dm-1", "md0"], 1),
        (["dm-1", "dm-10"], 2),
        (["loop0", "ram1", "sr0", "zram0", "xvda"], 1),
        (["C:", "D:"], 2),
    ],
    ids=str,
)
def test_only_whole_disks_are_summed(present: list[str], counted: int):
    values = one_row({s: v for name in present for s, v in disk(name).items()}).values
    assert (values["disk_read_bytes"], values["disk_count"]) == (counted, counted)


@pytest.mark.parametrize(
    ("present", "counted"),
    [
        (["lo", "eth0", "veth12ab", "docker0", "br-1f", "cni0", "cali9", "virbr0", "tunl0"], 1),
        (["bond0", "eth0", "eth1"], 1),
        (["eth0", "eth0.100"], 1),
        (["eth0", "wg0"], 2),
        (["all", "eth0"], 1),
    ],
    ids=str,
)
def test_only_interfaces_to_the_outside_are_summed(present: list[str], counted: int):
    sent = {slot("system.network.io", device=name, direction="receive"): 1.0 for name in present}
    assert one_row(sent).values["network_receive_bytes"] == counted


def test_a_veth_that_appears_changes_neither_sum_nor_set():
    box = {slot("system.network.io", device="eth0", direction="receive"): 5.0}
    more = box | {slot("system.network.io", device="veth1", direction="receive"): 1e9}
    assert one_row(box) == one_row(more)


def test_a_disk_that_appears_changes_the_set():
    assert one_row(disk("sda")).sets["disk"] != one_row(disk("sda") | disk("sdb")).sets["disk"]


def test_the_fullest_mount_is_counted_as_df_does_without_reserved_blocks():
    values = one_row(mount("/", 50, 50) | mount("/data", 90, 10, device="/dev/sdb1")).values
    assert values["filesystem_used_ratio"] == pytest.approx(0.9)
    assert values["filesystem_free_bytes"] == 10


@pytest.mark.parametrize(
    "attributes", [{"type": "tmpfs"}, {"type": "squashfs"}, {"type": "overlay"}, {"mode": "ro"}], ids=str
)
def test_a_mount_that_cannot_fill_up_does_not_count(attributes: dict[str, str]):
    values = one_row(mount("/", 50, 50) | mount("/full", 100, 0, device="x", **attributes)).values
    assert values["filesystem_used_ratio"] == 0.5


def test_an_empty_filesystem_has_no_ratio():
    assert "filesystem_used_ratio" not in one_row(mount("/", 0, 0)).values


def test_node_exporters_filesystem_counts_what_users_may_still_take():
    of = {"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}
    sent = {
        slot("node_filesystem_size_bytes", "gauge", **of): 1000.0,
        slot("node_filesystem_free_bytes", "gauge", **of): 150.0,
        slot("node_filesystem_avail_bytes", "gauge", **of): 100.0,
    }
    assert one_row(sent, "node_exporter").values["filesystem_used_ratio"] == pytest.approx(850 / 950)


def test_the_mean_of_cpu_gauges_is_over_cpus_and_interrupts_add_up():
    sent = {
        slot("system.cpu.utilization", "gauge", cpu=cpu, state=state): value
        for cpu in ("cpu0", "cpu1")
        for state, value in (("user", 0.4), ("interrupt", 0.1), ("softirq", 0.1))
    }
    values = one_row(sent).values
    assert values["cpu_user_utilization"] == pytest.approx(0.4)
    assert values["cpu_irq_utilization"] == pytest.approx(0.2)


def test_swap_devices_and_connection_families_add_up():
    sent = {
        slot("system.paging.usage", "updown", device="/a", state="used"): 1.0,
        slot("system.paging.usage", "updown", device="/b", state="used"): 2.0,
        slot("system.network.connections", "updown", protocol="tcp", state="FIN_WAIT_1"): 3.0,
        slot("system.network.connections", "updown", protocol="tcp", state="LAST_ACK"): 4.0,
    }
    assert one_row(sent).values == {"swap_used_bytes": 3.0, "tcp_other": 7.0}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_absent_and_so_is_its_sum(value: float):
    values = one_row(disk("sda") | disk("sdb", value) | {slot("system.uptime", "gauge"): 5.0}).values
    assert values == {"disk_count": 2.0, "uptime_seconds": 5.0}


def test_the_newest_point_of_a_slot_wins():
    of = slot("system.uptime", "gauge")
    points = [(of, T0 + 2, BOOT, 7.0), (of, T0, BOOT, 5.0)]
    found = row(points, "hostmetrics", T0 // TICK_NS)
    assert (found.values, found.times) == ({"uptime_seconds": 7.0}, {"system": T0 + 2})


def test_each_group_has_its_own_time_and_start():
    load, memory = slot("system.cpu.load_average.1m", "gauge"), slot("system.memory.limit", "updown")
    found = row([(load, T0, 0, 1.0), (memory, T0 + 5, BOOT, 2.0)], "hostmetrics", T0 // TICK_NS)
    assert found.times == {"load": T0, "memory": T0 + 5}
    assert found.starts == {"load": 0, "memory": BOOT}


def test_gauges_have_no_set():
    assert one_row({slot("system.cpu.load_average.1m", "gauge"): 1.0}).sets == {"load": 0}


BOX = per_cpu() | disk("sda") | disk("sda1") | disk("sdb") | mount("/", 5, 5) | mount("/b", 6, 4, device="b")
POINTS = readings(T0, BOX) + readings(T0 + NS // 4, {s: v + 1 for s, v in per_cpu().items()})


@given(st.permutations(POINTS))
def test_any_order_gives_the_same_row(points: list[Any]):
    assert row(points, "hostmetrics", 1) == row(POINTS, "hostmetrics", 1)


@given(st.permutations(list(BOX)))
def test_a_plan_of_any_layout_reduces_to_the_same_columns(slots: list[Slot]):
    compiled = plan(tuple(slots), "hostmetrics")
    whole = row(readings(T0, BOX), "hostmetrics", 1)
    assert compiled.reduce([BOX[s] for s in slots]) == pytest.approx(whole.values)
    assert compiled.sets == whole.sets
    assert set(compiled.groups) == set(whole.times)


PARTS = [per_cpu(), disk("sda") | disk("sdb"), mount("/", 5, 5), {slot("system.cpu.load_average.1m", "gauge"): 1.0}]


@given(st.permutations(PARTS), st.sampled_from([None, math.nan, math.inf]))
def test_layouts_together_give_the_row_of_their_points(parts: list[dict[Slot, float]], odd: float | None):
    parts = [part if odd is None or part is not PARTS[3] else dict.fromkeys(part, odd) for part in parts]
    times = [T0 + n for n in range(len(parts))]
    together = joint_plan([plan(tuple(part), "hostmetrics") for part in parts])
    assert together is not None
    found = together.row("hostmetrics", 1, [(t, BOOT, tuple(p.values())) for t, p in zip(times, parts, strict=True)])
    points = [point for t, part in zip(times, parts, strict=True) for point in readings(t, part)]
    expected = framed(row(points, "hostmetrics", 1))
    assert found.frame[:2] == expected.frame[:2]
    assert (found.times, found.starts) == (expected.times, expected.starts)
    values = dict(zip(expected.frame.columns, expected.values, strict=True))
    assert dict(zip(found.frame.columns, found.values, strict=True)) == pytest.approx(values)


def test_layouts_that_say_the_same_are_not_put_together():
    plans = [plan(tuple(disk(name)), "hostmetrics") for name in ("sda", "sdb")]
    assert joint_plan(plans) is None
