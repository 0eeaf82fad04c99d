"""The catalogue: columns of the wide row, derived signals, and whose metric a name is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.columns import COLUMNS, GROUPS, Column
from hosts_mcp.signals.meaning import NAMES
from hosts_mcp.signals.names import PRODUCERS

__all__ = [
    "COLUMNS", "GROUPS", "SIGNALS", "Column", "Signal", "is_container_metric", "is_host_metric", "is_process_metric",
    "source_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signal:
    """One derived signal of the whole box. `groups`: what it is made of; any one of them that was sent will do."""

    name: str
    title: str
    unit: str
    groups: tuple[str, ...]
    formula: str


def _signals(text: str) -> tuple[Signal, ...]:
    rows = (tuple(part.strip() for part in line.split("|")) for line in text.strip().splitlines())
    return tuple(
        Signal(name, title, unit, tuple(groups.split()), formula) for name, title, unit, groups, formula in rows
    )


SIGNALS: tuple[Signal, ...] = _signals("""
cpu_busy_ratio | CPU busy | 1 | cpu cpu_gauges | 1 - increase(idle + iowait + steal) / increase(all states)
cpu_user_ratio | CPU user | 1 | cpu cpu_gauges | increase(user) / increase(all states)
cpu_system_ratio | CPU system | 1 | cpu cpu_gauges | increase(system) / increase(all states)
cpu_nice_ratio | CPU nice | 1 | cpu cpu_gauges | increase(nice) / increase(all states)
cpu_irq_ratio | CPU interrupts | 1 | cpu cpu_gauges | increase(irq + softirq) / increase(all states)
cpu_iowait_ratio | CPU waiting for I/O | 1 | cpu cpu_gauges | increase(iowait) / increase(all states); idle time
cpu_steal_ratio | CPU stolen | 1 | cpu cpu_gauges | increase(steal) / increase(all states)
cpu_steal_lost_ratio | Share of wanted CPU stolen | 1 | cpu cpu_gauges | increase(steal) / increase(steal + busy)
cpu_count | Logical CPUs | {cpu} | cpu | count sent, else distinct CPUs, else all states per second
load_1m | Load 1 m | {task} | load | gauge
load_5m | Load 5 m | {task} | load | gauge
load_15m | Load 15 m | {task} | load | gauge
load_per_cpu | Load per CPU | 1 | load | load_1m / cpu_count
run_queue | Runnable tasks | {task} | load | load_1m with its damping undone over 15-240 s, less blocked tasks
memory_used_ratio | Memory used | 1 | memory | 1 - available / total
memory_total_bytes | Memory | By | memory | limit, else used / utilization, else the sum of the states
memory_available_bytes | Memory available | By | memory | as sent, else total - used, else free + buffers + cached
memory_used_bytes | Memory used | By | memory | total - available
memory_cached_bytes | Page cache | By | memory | gauge
memory_reclaimable_bytes | Memory that can be taken back | By | memory | available - free: page cache
swap_used_ratio | Swap used | 1 | swap | used / (used + free + cached); no swap is unknown
swap_in_bytes_per_second | Swapped in | By/s | paging | increase(pages in) x page size
swap_out_bytes_per_second | Swapped out | By/s | paging | increase(pages out) x page size
major_faults_per_second | Major faults | 1/s | paging | increase(major faults), Linux collectors' factor 4096 undone
disk_read_bytes_per_second | Disk read | By/s | disk | increase(bytes read)
disk_write_bytes_per_second | Disk write | By/s | disk | increase(bytes written)
disk_read_ops_per_second | Disk reads | 1/s | disk | increase(reads)
disk_write_ops_per_second | Disk writes | 1/s | disk | increase(writes)
disk_read_await_seconds | Time per read | s | disk | increase(read time) / increase(reads); no reads: unknown
disk_write_await_seconds | Time per write | s | disk | increase(write time) / increase(writes); no writes: unknown
disk_busy_ratio | Disk busy | 1 | disk | increase(io time) / time; of several disks the sum, at most 1
disk_queue | Disk queue | {operation} | disk | increase(weighted io time) / time, else pending operations
filesystem_used_ratio | Fullest file system | 1 | filesystem | used / (used + free), worst mount
inodes_used_ratio | Fullest inode table | 1 | filesystem | used / (used + free), worst mount
network_receive_bytes_per_second | Network in | By/s | network | increase(bytes in)
network_transmit_bytes_per_second | Network out | By/s | network | increase(bytes out)
network_receive_packets_per_second | Packets in | 1/s | network | increase(packets in)
network_transmit_packets_per_second | Packets out | 1/s | network | increase(packets out)
network_receive_errors_per_second | Errors in | 1/s | network | increase(errors in)
network_transmit_errors_per_second | Errors out | 1/s | network | increase(errors out)
network_receive_drops_per_second | Drops in | 1/s | network | increase(drops in); constant small ones are normal
network_transmit_drops_per_second | Drops out | 1/s | network | increase(drops out)
tcp_connections | TCP connections | {connection} | connections | all states
tcp_established | TCP established | {connection} | connections | gauge
conntrack_used_ratio | Connection table used | 1 | conntrack | count / max
tasks_total | Processes | {task} | processes | total, else the sum of the states
tasks_running | Running tasks | {task} | processes | gauge; counts the collector
tasks_blocked | Blocked tasks | {task} | processes | gauge: waiting for block I/O
forks_per_second | Forks | 1/s | processes | increase(created)
uptime_seconds | Uptime | s | system | gauge
boot_time | Boot time | s | system | epoch seconds: as sent, else time - uptime
psi_cpu_some_ratio | CPU pressure | 1 | psi | increase(stalled seconds) / time
psi_memory_some_ratio | Memory pressure | 1 | psi | increase(stalled seconds) / time
psi_memory_full_ratio | Memory pressure, all tasks | 1 | psi | increase(stalled seconds) / time
psi_io_some_ratio | I/O pressure | 1 | psi | increase(stalled seconds) / time
psi_io_full_ratio | I/O pressure, all tasks | 1 | psi | increase(stalled seconds) / time
oom_kills | Kernel OOM kills | {kill} | oom | increase(count)
container_cpu_limit_ratio | CPU of the container's limit | 1 | container | cores used / limit
container_memory_limit_ratio | Memory of the container's limit | 1 | container | working set / limit
container_throttled_ratio | Throttled periods | 1 | container | increase(throttled periods) / increase(periods)
""")

_HOSTMETRICS = ("hostmetricsreceiver", "hostmetrics_receiver")
_SCOPES = (("kubeletstatsreceiver", "kubelet"), ("dockerstatsreceiver", "docker"))
_NAMED_BY = ("node_exporter", "telegraf", "vector", "kubelet", "container")
_HOST_NAMESPACES = ("system.", "node_", "k8s.node.", "host.", "hw.", "system_")
_HOST_NAMES = frozenset(
    name for name, found in NAMES.items() if name not in PRODUCERS["container"] and name not in PRODUCERS["process"]
)


def source_of(scope: str, slots: Sequence[Slot]) -> str:
    """Who reports: hostmetrics, node_exporter, telegraf, vector, kubelet, docker or app (an application's SDK)."""
    if any(word in scope for word in _HOSTMETRICS):
        return "hostmetrics"
    for word, source in _SCOPES:
        if word in scope:
            return source
    names = {slot.metric for slot in slots}
    for producer in _NAMED_BY:
        if not names.isdisjoint(PRODUCERS[producer]):
            return producer
    if any(name.startswith("node_") for name in names):
        return "node_exporter"
    # Without a scope nobody signs as an SDK: a file, a converter, a collector of another make.
    return "app" if scope else "hostmetrics"


def is_host_metric(metric: str) -> bool:
    """Describes a machine: kept in full, with or without a column."""
    return metric in _HOST_NAMES or metric.startswith(_HOST_NAMESPACES)


def is_process_metric(metric: str) -> bool:
    return metric.startswith("process.")


def is_container_metric(metric: str) -> bool:
    return metric.startswith(("container.", "k8s.pod.", "k8s.container."))
