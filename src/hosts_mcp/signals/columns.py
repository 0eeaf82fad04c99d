"""The columns of the wide row: which measure lands in which column of which group, and how devices are put together.

Counters are only ever summed: the maximum of cumulative counters over devices is not a counter. Columns hold raw
values (cumulative, hostmetrics' paging counters still 4096 times too large); `signals.samples` scales and differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reducer = Literal["sum", "mean", "max", "min", "last"]
"""Over the devices of one reading. `last`: there is one reading, and should there be several, the greatest."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `feeds` are the (measure, label) pairs of `signals.meaning` that land here."""

    name: str
    group: str
    unit: str
    kind: Literal["counter", "gauge"]
    reducer: Reducer
    feeds: tuple[tuple[str, str], ...] = ()


_TABLE: Mapping[str, tuple[tuple[str, str, str, str, str], ...]] = {
    # group: (column, unit, kind, reducer, feeds as "measure:label measure:label")
    "cpu": (
        ("cpu_user_seconds", "s", "counter", "sum", "cpu.time:user"),
        ("cpu_system_seconds", "s", "counter", "sum", "cpu.time:system"),
        ("cpu_nice_seconds", "s", "counter", "sum", "cpu.time:nice"),
        ("cpu_idle_seconds", "s", "counter", "sum", "cpu.time:idle"),
        ("cpu_iowait_seconds", "s", "counter", "sum", "cpu.time:iowait"),
        ("cpu_irq_seconds", "s", "counter", "sum", "cpu.time:irq cpu.time:softirq"),
        ("cpu_steal_seconds", "s", "counter", "sum", "cpu.time:steal"),
        ("cpu_used_seconds", "s", "counter", "sum", "cpu.time:used"),
        ("cpu_count", "{cpu}", "gauge", "last", "cpu.count:"),
    ),
    "cpu_gauges": (
        ("cpu_user_utilization", "1", "gauge", "mean", "cpu.utilization:user"),
        ("cpu_system_utilization", "1", "gauge", "mean", "cpu.utilization:system"),
        ("cpu_nice_utilization", "1", "gauge", "mean", "cpu.utilization:nice"),
        ("cpu_idle_utilization", "1", "gauge", "mean", "cpu.utilization:idle"),
        ("cpu_iowait_utilization", "1", "gauge", "mean", "cpu.utilization:iowait"),
        ("cpu_irq_utilization", "1", "gauge", "mean", "cpu.utilization:irq cpu.utilization:softirq"),
        ("cpu_steal_utilization", "1", "gauge", "mean", "cpu.utilization:steal"),
        ("cpu_busy_utilization", "1", "gauge", "mean", "cpu.utilization:busy"),
        ("cpu_used_cores", "{cpu}", "gauge", "last", "cpu.cores:"),
    ),
    "load": (
        ("load_1m", "{task}", "gauge", "last", "load:1m"),
        ("load_5m", "{task}", "gauge", "last", "load:5m"),
        ("load_15m", "{task}", "gauge", "last", "load:15m"),
    ),
    "memory": (
        ("memory_total_bytes", "By", "gauge", "last", "memory.usage:total"),
        ("memory_available_bytes", "By", "gauge", "last", "memory.usage:available"),
        ("memory_used_bytes", "By", "gauge", "last", "memory.usage:used"),
        ("memory_free_bytes", "By", "gauge", "last", "memory.usage:free"),
        ("memory_buffers_bytes", "By", "gauge", "last", "memory.usage:buffers"),
        ("memory_cached_bytes", "By", "gauge", "last", "memory.usage:cached"),
        ("memory_inactive_bytes", "By", "gauge", "last", "memory.usage:inactive"),
        ("memory_slab_reclaimable_bytes", "By", "gauge", "last", "memory.usage:slab_reclaimable"),
        ("memory_slab_unreclaimable_bytes", "By", "gauge", "last", "memory.usage:slab_unreclaimable"),
        ("memory_working_set_bytes", "By", "gauge", "last", "memory.usage:working_set"),
        ("memory_used_utilization", "1", "gauge", "last", "memory.utilization:used"),
        ("memory_free_utilization", "1", "gauge", "last", "memory.utilization:free"),
        ("memory_available_utilization", "1", "gauge", "last", "memory.utilization:available"),
        ("memory_page_size_bytes", "By", "gauge", "last", "memory.page_size:"),
    ),
    "swap": (
        ("swap_used_bytes", "By", "gauge", "sum", "swap.usage:used"),
        ("swap_free_bytes", "By", "gauge", "sum", "swap.usage:free"),
        ("swap_cached_bytes", "By", "gauge", "sum", "swap.usage:cached"),
        ("swap_total_bytes", "By", "gauge", "sum", "swap.usage:total"),
        ("swap_used_utilization", "1", "gauge", "max", "swap.utilization:used"),
    ),
    "paging": (
        ("paging_major_faults", "{fault}", "counter", "sum", "paging.faults:major"),
        ("paging_minor_faults", "{fault}", "counter", "sum", "paging.faults:minor"),
        ("paging_swap_in_pages", "{page}", "counter", "sum", "paging.operations:major.in"),
        ("paging_swap_out_pages", "{page}", "counter", "sum", "paging.operations:major.out"),
        ("paging_swap_in_bytes", "By", "counter", "sum", "paging.bytes:in"),
        ("paging_swap_out_bytes", "By", "counter", "sum", "paging.bytes:out"),
    ),
    "disk": (
        ("disk_read_bytes", "By", "counter", "sum", "disk.io:read"),
        ("disk_write_bytes", "By", "counter", "sum", "disk.io:write"),
        ("disk_read_operations", "{operation}", "counter", "sum", "disk.operations:read"),
        ("disk_write_operations", "{operation}", "counter", "sum", "disk.operations:write"),
        ("disk_read_seconds", "s", "counter", "sum", "disk.operation_time:read"),
        ("disk_write_seconds", "s", "counter", "sum", "disk.operation_time:write"),
        ("disk_busy_seconds", "s", "counter", "sum", "disk.io_time:"),
        ("disk_queue_seconds", "s", "counter", "sum", "disk.weighted_io_time:"),
        ("disk_pending_operations", "{operation}", "gauge", "sum", "disk.pending_operations:"),
        ("disk_count", "{disk}", "gauge", "last", ""),
    ),
    "filesystem": (
        ("filesystem_used_ratio", "1", "gauge", "max", "filesystem.utilization:"),
        ("filesystem_free_bytes", "By", "gauge", "min", "filesystem.usage:free"),
        ("inodes_used_ratio", "1", "gauge", "max", ""),
    ),
    "network": (
        ("network_receive_bytes", "By", "counter", "sum", "network.io:receive"),
        ("network_transmit_bytes", "By", "counter", "sum", "network.io:transmit"),
        ("network_receive_packets", "{packet}", "counter", "sum", "network.packets:receive"),
        ("network_transmit_packets", "{packet}", "counter", "sum", "network.packets:transmit"),
        ("network_receive_errors", "{error}", "counter", "sum", "network.errors:receive"),
        ("network_transmit_errors", "{error}", "counter", "sum", "network.errors:transmit"),
        ("network_receive_drops", "{packet}", "counter", "sum", "network.dropped:receive"),
        ("network_transmit_drops", "{packet}", "counter", "sum", "network.dropped:transmit"),
    ),
    "connections": (
        ("tcp_established", "{connection}", "gauge", "sum", "network.connections:established"),
        ("tcp_time_wait", "{connection}", "gauge", "sum", "network.connections:time_wait"),
        ("tcp_close_wait", "{connection}", "gauge", "sum", "network.connections:close_wait"),
        ("tcp_listen", "{connection}", "gauge", "sum", "network.connections:listen"),
        ("tcp_other", "{connection}", "gauge", "sum", "network.connections:other"),
    ),
    "conntrack": (
        ("conntrack_count", "{entry}", "gauge", "last", "conntrack:count"),
        ("conntrack_max", "{entry}", "gauge", "last", "conntrack:max"),
    ),
    "processes": (
        ("tasks_running", "{task}", "gauge", "sum", "tasks:running"),
        ("tasks_blocked", "{task}", "gauge", "sum", "tasks:blocked"),
        ("tasks_zombie", "{task}", "gauge", "sum", "tasks:zombie"),
        ("tasks_other", "{task}", "gauge", "sum", "tasks:other"),
        ("tasks_total", "{task}", "gauge", "last", "tasks:total"),
        ("tasks_created", "{task}", "counter", "sum", "tasks.created:"),
    ),
    "system": (
        ("uptime_seconds", "s", "gauge", "last", "uptime:"),
        ("boot_time_seconds", "s", "gauge", "last", "boot_time:"),
    ),
    "psi": (
        ("psi_cpu_some_seconds", "s", "counter", "sum", "psi:cpu.some"),
        ("psi_cpu_full_seconds", "s", "counter", "sum", "psi:cpu.full"),
        ("psi_memory_some_seconds", "s", "counter", "sum", "psi:memory.some"),
        ("psi_memory_full_seconds", "s", "counter", "sum", "psi:memory.full"),
        ("psi_io_some_seconds", "s", "counter", "sum", "psi:io.some"),
        ("psi_io_full_seconds", "s", "counter", "sum", "psi:io.full"),
    ),
    "oom": (("oom_kills", "{kill}", "counter", "sum", "oom:"),),
    "container": (
        ("container_cpu_seconds", "s", "counter", "sum", "container.cpu.time:"),
        ("container_cpu_cores", "{cpu}", "gauge", "last", "container.cpu.cores:"),
        ("container_cpu_limit_cores", "{cpu}", "gauge", "last", "container.cpu.limit:"),
        ("container_cpu_limit_utilization", "1", "gauge", "last", "container.cpu.limit_utilization:"),
        ("container_memory_bytes", "By", "gauge", "last", "container.memory:working_set"),
        ("container_memory_usage_bytes", "By", "gauge", "last", "container.memory:usage"),
        ("container_memory_limit_bytes", "By", "gauge", "last", "container.memory:limit"),
        ("container_memory_limit_utilization", "1", "gauge", "last", "container.memory.limit_utilization:"),
        ("container_periods", "{period}", "counter", "sum", "container.throttling:periods"),
        ("container_throttled_periods", "{period}", "counter", "sum", "container.throttling:throttled_periods"),
        ("container_throttled_seconds", "s", "counter", "sum", "container.throttling:throttled_time"),
    ),
}  # fmt: skip


def _feeds(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (pair.partition(":") for pair in text.split())
    return tuple((measure, label) for measure, _, label in pairs)


COLUMNS: tuple[Column, ...] = tuple(
    Column(name, group, unit, kind, reducer, _feeds(feeds))  # type: ignore[arg-type]
    for group, rows in _TABLE.items()
    for name, unit, kind, reducer, feeds in rows
)
"""Every column of the wide row, by group. `disk_count` and the two ratios of `filesystem` are put together by
`signals.rows` from several measures."""

GROUPS: tuple[str, ...] = tuple(_TABLE)
"""Groups of columns. Each has a clock, a start time and a set fingerprint of its own in a row."""

COLUMN: Mapping[str, Column] = {column.name: column for column in COLUMNS}

COLUMN_OF: Mapping[tuple[str, str], Column] = {feed: column for column in COLUMNS for feed in column.feeds}
"""(measure, label) -> the column it lands in."""
