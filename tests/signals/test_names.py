"""Every producer's names land in the same columns: one table, one reading each."""

from __future__ import annotations

import pytest

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.catalogue import (
    COLUMNS,
    GROUPS,
    SIGNALS,
    is_container_metric,
    is_host_metric,
    is_process_metric,
    source_of,
)
from hosts_mcp.signals.columns import COLUMN_OF
from hosts_mcp.signals.meaning import NAMES
from hosts_mcp.signals.names import MEASURES, PRODUCERS

from .making import one_row, slot

ROOT = {"device": "/dev/sda1", "mountpoint": "/", "type": "ext4", "mode": "rw"}

ONE_READING = [
    # hostmetrics, names and attributes of v0
    (slot("system.cpu.time", cpu="cpu0", state="wait"), "cpu_iowait_seconds"),
    (slot("system.cpu.time", state="softirq"), "cpu_irq_seconds"),
    (slot("system.cpu.logical.count", "updown"), "cpu_count"),
    (slot("system.cpu.load_average.1m", "gauge"), "load_1m"),
    (slot("system.memory.usage", "updown", state="buffered"), "memory_buffers_bytes"),
    (slot("system.memory.limit", "updown"), "memory_total_bytes"),
    (slot("system.linux.memory.available", "updown"), "memory_available_bytes"),
    (slot("system.paging.usage", "updown", device="/swap", state="used"), "swap_used_bytes"),
    (slot("system.paging.faults", type="major"), "paging_major_faults"),
    (slot("system.paging.operations", direction="page_in", type="major"), "paging_swap_in_pages"),
    (slot("system.disk.io", device="sda", direction="read"), "disk_read_bytes"),
    (slot("system.disk.io_time", device="sda"), "disk_busy_seconds"),
    (slot("system.disk.weighted_io_time", device="sda"), "disk_queue_seconds"),
    (slot("system.filesystem.usage", "updown", state="free", **ROOT), "filesystem_free_bytes"),
    (slot("system.network.dropped", device="eth0", direction="receive"), "network_receive_drops"),
    (slot("system.network.connections", "updown", protocol="tcp", state="ESTABLISHED"), "tcp_established"),
    (slot("system.network.conntrack.max", "updown"), "conntrack_max"),
    (slot("system.processes.count", "updown", status="blocked"), "tasks_blocked"),
    (slot("system.processes.created"), "tasks_created"),
    (slot("system.uptime", "gauge"), "uptime_seconds"),
    # semantic conventions of v1
    (slot("system.cpu.time", cpu__mode="iowait", cpu__logical_number=0), "cpu_iowait_seconds"),
    (slot("cpu.time", cpu__mode="user"), "cpu_user_seconds"),
    (slot("system.memory.usage", "updown", system__memory__state="buffers"), "memory_buffers_bytes"),
    (slot("system.memory.linux.slab.usage", "updown", system__memory__linux__slab__state="reclaimable"),
     "memory_slab_reclaimable_bytes"),
    (slot("system.paging.faults", system__paging__fault__type="major"), "paging_major_faults"),
    (slot("system.disk.operations", system__device="sda", disk__io__direction="write"), "disk_write_operations"),
    (slot("system.network.packet.count", system__device="eth0", network__io__direction="transmit"),
     "network_transmit_packets"),
    (slot("system.network.connection.count", "updown", network__transport="tcp", network__connection__state="listen"),
     "tcp_listen"),
    (slot("system.process.count", "updown", process__state="running"), "tasks_running"),
    # collectors 0.55 to 0.64: direction in the name
    (slot("system.network.io.receive", device="eth0"), "network_receive_bytes"),
    # through Prometheus and back
    (slot("system_cpu_time_seconds_total", cpu="cpu0", cpu_mode="iowait"), "cpu_iowait_seconds"),
    (slot("system_disk_io_bytes_total", device="sda", direction="read"), "disk_read_bytes"),
    (slot("system_cpu_load_average_1m", "gauge"), "load_1m"),
    # Python SDK, Logfire, Node
    (slot("system.cpu.utilization", "gauge", cpu=1, state="user"), "cpu_user_utilization"),
    (slot("system.cpu.simple_utilization", "gauge"), "cpu_busy_utilization"),
    (slot("system.memory.utilization", "gauge", state="available"), "memory_available_utilization"),
    (slot("system.swap.utilization", "gauge", state="used"), "swap_used_utilization"),
    (slot("system.network.dropped_packets", device="eth0", direction="receive"), "network_receive_drops"),
    # node_exporter
    (slot("node_cpu_seconds_total", cpu="0", mode="steal"), "cpu_steal_seconds"),
    (slot("node_memory_MemAvailable_bytes", "gauge"), "memory_available_bytes"),
    (slot("node_vmstat_pswpin", "gauge"), "paging_swap_in_pages"),
    (slot("node_vmstat_oom_kill", "gauge"), "oom_kills"),
    (slot("node_pressure_io_stalled_seconds_total"), "psi_io_full_seconds"),
    (slot("node_disk_io_time_weighted_seconds_total", device="sda"), "disk_queue_seconds"),
    (slot("node_procs_blocked", "gauge"), "tasks_blocked"),
    # Telegraf: gauges all
    (slot("cpu_usage_iowait", "gauge", cpu="cpu-total"), "cpu_iowait_utilization"),
    (slot("mem_available", "gauge"), "memory_available_bytes"),
    (slot("diskio_io_time", "gauge", name="sda"), "disk_busy_seconds"),
    (slot("pressure_total", "gauge", resource="memory", type="full"), "psi_memory_full_seconds"),
    (slot("net_drop_in", "gauge", interface="eth0"), "network_receive_drops"),
    # Vector
    (slot("host.cpu_seconds_total", cpu="0", mode="idle"), "cpu_idle_seconds"),
    (slot("host.memory_available_bytes", "gauge"), "memory_available_bytes"),
    (slot("host.memory_oom_kill_events_total"), "oom_kills"),
    # kubelet
    (slot("k8s.node.cpu.utilization", "gauge"), "cpu_used_cores"),
    (slot("k8s.node.memory.working_set", "gauge"), "memory_working_set_bytes"),
    (slot("k8s.node.network.io", interface="eth0", direction="receive"), "network_receive_bytes"),
    (slot("k8s.pod.cpu_limit_utilization", "gauge"), "container_cpu_limit_utilization"),
    (slot("container.cpu.throttling_data.throttled_periods"), "container_throttled_periods"),
]  # fmt: skip


@pytest.mark.parametrize(("of", "column"), ONE_READING, ids=lambda x: x.metric if isinstance(x, Slot) else x)
def test_a_reading_of_any_producer_lands_in_its_column(of: Slot, column: str):
    assert column in one_row({of: 1.0}).values
    assert is_host_metric(of.metric) or is_container_metric(of.metric)


@pytest.mark.parametrize(
    ("of", "column", "value"),
    [
        (slot("cpu_usage_user", "gauge", cpu="cpu-total"), "cpu_user_utilization", 0.5),
        (slot("diskio_read_time", "gauge", name="sda"), "disk_read_seconds", 0.05),
        (slot("pressure_total", "gauge", resource="io", type="some"), "psi_io_some_seconds", 50e-6),
    ],
)
def test_percent_milliseconds_and_microseconds_become_our_units(of: Slot, column: str, value: float):
    assert one_row({of: 50.0}).values[column] == pytest.approx(value)


@pytest.mark.parametrize(
    "of",
    [
        slot("system.load.1", "gauge"),
        slot("system.cpu.user", "gauge"),
        slot("system.memory.usage", "updown", state="shared"),
        slot("system.network.connections", "updown", protocol="udp", state="ESTABLISHED"),
        slot("system.paging.operations", direction="page_in", type="minor"),
        slot("system.disk.io", "delta", device="sda", direction="read"),
    ],
    ids=lambda s: s.metric,
)
def test_what_only_looks_like_ours_takes_no_column(of: Slot):
    row = one_row({of: 1.0})
    assert not set(row.values) - {"disk_count"}
    assert is_host_metric(of.metric)


def test_every_name_means_something_that_has_a_column_or_belongs_to_a_device_or_process():
    measures = {measure for measure, _ in COLUMN_OF} | {"filesystem.usage", "filesystem.inodes", "process.memory"}
    assert {name.measure for name in NAMES.values()} <= measures | set(MEASURES)


def test_no_two_producers_claim_one_name():
    names = [name for producer in PRODUCERS.values() for name in producer]
    assert len(names) == len(set(names))


def test_columns_signals_and_groups_fit_together():
    assert len({c.name for c in COLUMNS}) == len(COLUMNS)
    assert len({s.name for s in SIGNALS}) == len(SIGNALS)
    assert {g for s in SIGNALS for g in s.groups} <= set(GROUPS)
    assert all(c.reducer == "sum" for c in COLUMNS if c.kind == "counter")


@pytest.mark.parametrize(
    ("scope", "metric", "source"),
    [
        ("github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/cpuscraper",
         "system.cpu.time", "hostmetrics"),
        ("otelcol/hostmetricsreceiver/cpu", "system.cpu.time", "hostmetrics"),
        ("otelcol/kubeletstatsreceiver", "k8s.node.cpu.usage", "kubelet"),
        ("opentelemetry.instrumentation.system_metrics", "system.cpu.time", "app"),
        ("github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver", "node_load1",
         "node_exporter"),
        ("", "mem_available", "telegraf"),
        ("", "host.load1", "vector"),
    ],
)  # fmt: skip
def test_who_reports_is_told_by_scope_then_by_names(scope: str, metric: str, source: str):
    assert source_of(scope, [slot("up", "gauge"), slot(metric, "gauge")]) == source


def test_an_unknown_metric_of_a_host_namespace_is_the_hosts():
    assert all(map(is_host_metric, ("system.gpu.load", "node_hwmon_temp_celsius", "hw.temperature", "k8s.node.x")))
    assert not any(map(is_host_metric, ("http.server.duration", "jvm.memory.used", "process.cpu.time", "systemd.x")))
    assert is_process_metric("process.cpu.time")
    assert not is_process_metric("processes_running")
    assert is_container_metric("container.cpu.time")
