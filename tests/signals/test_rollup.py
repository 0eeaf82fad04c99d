"""Five-minute means and maxima: recomputable for any window, and the worst disk instead of the sum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.signals.devices import derive_devices
from hosts_mcp.signals.model import BoxFacts, Samples
from hosts_mcp.signals.rollup import BIN_NS, five_minutes

from .making import NS, T0, group, known, raw, slot

START = T0 // BIN_NS * BIN_NS
FACTS = BoxFacts(cpu_count=1)
LATER = (START - T0) / NS


def busy(shares: list[float], step: float = 10, offset: float = 0) -> Samples:
    seconds = [LATER + offset + step * i for i in range(len(shares) + 1)]
    user = [sum(shares[:i]) * step for i in range(len(shares) + 1)]
    idle = [sum(1 - s for s in shares[:i]) * step for i in range(len(shares) + 1)]
    return group("cpu", seconds, cpu_user_seconds=user, cpu_idle_seconds=idle)


def test_a_bin_has_the_mean_and_the_maximum_of_what_ends_in_it():
    found = five_minutes(busy([0.2] * 14 + [0.8] * 14), [], FACTS, START, START + BIN_NS)
    assert list(found.starts_ns) == [START]
    assert known(found.mean["cpu_busy_ratio"]) == [0.5]
    assert known(found.maximum["cpu_busy_ratio"]) == [0.8]


def test_a_long_interval_weighs_more_than_a_short_one():
    seconds = [LATER + s for s in (0, 10, 100)]
    box = group("cpu", seconds, cpu_user_seconds=[0, 10, 10], cpu_idle_seconds=[0, 0, 90])
    assert known(five_minutes(box, [], FACTS, START, START + BIN_NS).mean["cpu_busy_ratio"]) == [0.1]


def test_a_bin_without_values_is_absent():
    assert list(five_minutes({}, [], FACTS, START, START + BIN_NS).starts_ns) == []


@given(st.lists(st.floats(0, 1), min_size=70, max_size=120), st.integers(1, 3))
def test_any_window_gives_the_same_bins(shares: list[float], first: int):
    box = busy(shares, step=12)
    whole = five_minutes(box, [], FACTS, START, START + 4 * BIN_NS)
    part = five_minutes(box, [], FACTS, START + first * BIN_NS, START + 4 * BIN_NS)
    assert list(part.starts_ns) == [s for s in whole.starts_ns if s >= START + first * BIN_NS]
    kept = len(part.starts_ns)
    for name, values in part.mean.items():
        assert list(values) == list(whole.mean[name])[len(whole.starts_ns) - kept :]


def test_with_several_disks_the_bin_is_the_worst_ones():
    seconds = [LATER + s for s in (10, 20)]
    devices = derive_devices(
        [
            raw(slot("system.disk.io_time", device=name), seconds, [0, value])
            for name, value in (("sda", 1), ("sdb", 9))
        ],
        FACTS,
    )
    box = group("disk", seconds, disk_busy_seconds=[0, 10], disk_count=[2, 2])
    found = five_minutes(box, devices, FACTS, START, START + BIN_NS)
    assert list(found.worst_disk) == ["sdb"]
    assert known(found.mean["disk_busy_ratio"]) == [0.9]
