"""Signals per device: the worst disk is not the sum of all disks."""

from __future__ import annotations

from typing import Any

import pytest

from hosts_mcp.otlp.batch import Kind
from hosts_mcp.signals.devices import DEVICE_METRICS, derive_devices, worst_disk
from hosts_mcp.signals.model import BoxFacts, RawSeries, SignalSeries

from .making import NS, T0, known, raw, slot

SECONDS = (0, 10, 20)


def series(metric: str, values: list[float], kind: Kind = "counter", **attributes: Any) -> RawSeries:
    return raw(slot(metric, kind, **attributes), SECONDS, values)


def found(*sent: RawSeries) -> dict[tuple[str | None, str], SignalSeries]:
    return {(s.subject, s.name): s for s in derive_devices(sent, BoxFacts())}


def disk(name: str, busy: float, queue: float, spent: float, operations: float) -> list[RawSeries]:
    return [
        series("system.disk.io_time", [0, busy, 2 * busy], device=name),
        series("system.disk.weighted_io_time", [0, queue, 2 * queue], device=name),
        series("system.disk.operation_time", [0, spent, 2 * spent], device=name, direction="read"),
        series("system.disk.operations", [0, operations, 2 * operations], device=name, direction="read"),
    ]


def test_each_disk_has_its_own_busy_time_queue_and_wait():
    made = found(*disk("sda", 1, 2, 2, 100), *disk("sdb", 10, 300, 300, 600), *disk("sda1", 1, 2, 2, 100))
    assert {subject for subject, _ in made} == {"sda", "sdb"}
    assert known(made["sdb", "disk_busy_ratio"].values) == [1, 1]
    assert known(made["sdb", "disk_queue"].values) == [30, 30]
    assert known(made["sdb", "disk_read_await_seconds"].values) == [0.5, 0.5]
    assert known(made["sda", "disk_busy_ratio"].values) == [0.1, 0.1]


def test_the_worst_disk_is_the_busiest_then_longest_queued():
    made = found(*disk("sda", 9.9, 12, 12, 100), *disk("sdb", 9.8, 300, 300, 600))
    assert worst_disk(list(made.values()), T0, T0 + 20 * NS) == "sdb"
    assert worst_disk([], T0, T0 + 20 * NS) is None


def test_an_idle_nvme_that_an_old_kernel_counts_as_busy_is_idle():
    made = found(*disk("nvme0n1", 10, 10, 0.01, 5))
    assert known(made["nvme0n1", "disk_busy_ratio"].values) == [0.001, 0.001]


def test_a_disk_without_operations_has_no_wait():
    made = found(*disk("sda", 0, 0, 0, 0))
    assert known(made["sda", "disk_read_await_seconds"].values) == [None, None]


def test_telegrafs_milliseconds_are_seconds():
    made = found(series("diskio_io_time", [0, 5000, 10_000], "gauge", name="sda"))
    assert known(made["sda", "disk_busy_ratio"].values) == [0.5, 0.5]


def test_each_mount_is_counted_as_df_does():
    of = {"device": "/dev/sda1", "mountpoint": "/", "type": "ext4", "mode": "rw"}
    made = found(
        series("system.filesystem.usage", [30, 40, 90], "updown", state="used", **of),
        series("system.filesystem.usage", [70, 60, 10], "updown", state="free", **of),
        series("system.filesystem.usage", [5, 5, 5], "updown", state="reserved", **of),
        series("system.filesystem.inodes.usage", [1, 1, 1], "updown", state="used", **of),
        series("system.filesystem.inodes.usage", [3, 3, 3], "updown", state="free", **of),
    )
    assert known(made["/", "filesystem_used_ratio"].values) == [0.3, 0.4, 0.9]
    assert made["/", "filesystem_free_bytes"].values == [70, 60, 10]
    assert known(made["/", "inodes_used_ratio"].values) == [0.25] * 3


@pytest.mark.parametrize(
    ("sizes", "shown"), [([90, 90], ["/data"]), ([90, 50], ["/data", "/data/bind"])], ids=["bind mount", "other size"]
)
def test_one_row_per_device_and_size(sizes: list[float], shown: list[str]):
    made = found(
        *(
            series("system.filesystem.usage", [v] * 3, "updown", device="tank", mountpoint=point, state=state)
            for point, size in zip(("/data", "/data/bind"), sizes, strict=True)
            for state, v in (("used", 10), ("free", size))
        )
    )  # fmt: skip
    assert sorted({subject for subject, name in made if name == "filesystem_used_ratio"}) == shown


def test_each_cpu_has_its_own_busy_share_and_the_total_is_no_cpu():
    made = found(
        *(
            series("system.cpu.time", [0, v, 2 * v], cpu=cpu, state=state)
            for cpu, state, v in (("cpu0", "user", 9), ("cpu0", "idle", 1), ("cpu1", "user", 1), ("cpu1", "idle", 9),
                                  ("cpu-total", "user", 10), ("cpu-total", "idle", 10))
        )
    )  # fmt: skip
    shares = {subject: known(s.values) for (subject, name), s in made.items() if name == "cpu_busy_ratio"}
    assert shares == {"cpu0": [0.9, 0.9], "cpu1": [0.1, 0.1]}


def test_a_series_whose_spelling_changes_with_an_upgrade_goes_on():
    old = raw(slot("system.disk.io", device="sda", direction="read"), (0, 10), [0, 100])
    new = raw(slot("system.disk.io", system__device="sda", disk__io__direction="read"), (20, 30), [200, 300])
    made = found(old, new)
    assert known(made["sda", "disk_read_bytes_per_second"].values) == [10, 10, 10]


def test_of_two_sources_the_collectors_own_is_taken():
    sent = [
        raw(slot("system.disk.io", "delta", device="sda", direction="read"), (0, 10), [1, 1], source="app"),
        raw(slot("system.disk.io", device="sda", direction="read"), (0, 10), [0, 50]),
    ]
    for order in (sent, sent[::-1]):
        only = found(*order)["sda", "disk_read_bytes_per_second"]
        assert (only.source, only.values) == ("hostmetrics", [5])


def test_the_metrics_to_read_for_devices_are_listed_for_every_producer():
    for name in ("system.disk.io_time", "node_disk_io_time_seconds_total", "diskio_io_time", "system.cpu.time"):
        assert name in DEVICE_METRICS
