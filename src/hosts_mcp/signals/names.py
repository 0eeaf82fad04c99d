"""Who calls it what: metric names, attribute keys and attribute values of every producer, as tables.

A *measure* is our name for what is measured (`disk.operations`), a *label* the canonical value of the attribute that
splits it (`read`), a *subject* the device, CPU, mount or interface it belongs to. Sources of the names: metadata.yaml
of the collector's receivers, semantic conventions 1.26 to 1.44, opentelemetry-python-contrib system-metrics,
@opentelemetry/host-metrics, node_exporter, Telegraf's input plugins, Vector's host_metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def _spelled(**canonical: str) -> dict[str, str]:
    """canonical="spelling spelling" -> {spelling: canonical}; the canonical name itself is always accepted."""
    spelled = {name: name for name in canonical}
    spelled.update((spelling, name) for name, others in canonical.items() for spelling in others.split())
    return spelled


_CPU_STATES = _spelled(
    user="", system="kernel", nice="", idle="", iowait="wait", irq="interrupt", softirq="dpc", steal="", busy=""
)
_MEMORY_STATES = _spelled(
    used="", free="", available="", total="", cached="", buffers="buffered", inactive="", slab_reclaimable="",
    slab_unreclaimable="", working_set="",
)  # fmt: skip
_SWAP_STATES = _spelled(used="", free="", cached="", total="")
_IN_OUT = {"in": "in", "out": "out", "page_in": "in", "page_out": "out"}
_FAULTS = _spelled(major="", minor="")
_READ_WRITE = _spelled(read="", write="")
_WAYS = _spelled(receive="", transmit="")
_TCP_STATES = {
    "established": "established", "time_wait": "time_wait", "close_wait": "close_wait", "listen": "listen",
} | dict.fromkeys(
    ("close", "closed", "closing", "fin_wait_1", "fin_wait_2", "fin_wait1", "fin_wait2", "last_ack", "syn_recv",
     "syn_received", "syn_sent", "delete", "delete_tcb"), "other",
)  # fmt: skip
_TASK_STATES = {
    "running": "running", "blocked": "blocked", "zombies": "zombie", "zombie": "zombie", "defunct": "zombie",
} | dict.fromkeys(
    ("sleeping", "idle", "stopped", "paging", "locked", "daemon", "detached", "orphan", "system", "unknown", "dead"),
    "other",
)  # fmt: skip
_FILESYSTEM_STATES = _spelled(used="", free="", reserved="", available="avail", total="size")

_DEVICE = ("system.device", "device", "name")
_CPU = ("cpu.logical_number", "system.cpu.logical_number", "cpu")
_INTERFACE = ("network.interface.name", "system.device", "device", "interface", "name")
_CPU_STATE = ("cpu.mode", "system.cpu.state", "mode", "state")
_DISK_DIRECTION = ("disk.io.direction", "system.disk.direction", "direction")
_NETWORK_DIRECTION = ("network.io.direction", "system.network.direction", "direction")


@dataclass(frozen=True, slots=True)
class Measure:
    """How a measure's points are told apart. In every key tuple the newer spelling stands first and wins."""

    labels: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...] = ()
    """(attribute keys, spelling -> canonical) per part of the label; parts are joined by a dot."""
    subjects: tuple[str, ...] = ()
    only: tuple[tuple[str, ...], frozenset[str]] | None = None
    """(attribute keys, values): points that carry the attribute with another value are not ours."""
    unlabelled: str | None = None
    """The label of a point without the attribute; None: such a point has no meaning here."""
    per_subject: bool = field(default=False)
    """Every subject counts (families of connections, swap devices); there is never a total beside them."""


_DISK = Measure(((_DISK_DIRECTION, _READ_WRITE),), _DEVICE)
_NETWORK = Measure(((_NETWORK_DIRECTION, _WAYS),), _INTERFACE)
_MOUNT = Measure(((("system.filesystem.state", "state"), _FILESYSTEM_STATES),), ("system.filesystem.mountpoint",
                 "mountpoint", "path"))  # fmt: skip
PLAIN = Measure()

MEASURES: Mapping[str, Measure] = {
    "cpu.time": Measure(((_CPU_STATE, _CPU_STATES),), _CPU),
    "cpu.utilization": Measure(((_CPU_STATE, _CPU_STATES),), _CPU, unlabelled="busy"),
    "memory.usage": Measure(
        ((("system.memory.state", "system.memory.linux.slab.state", "linux.memory.slab.state", "state"),
          _MEMORY_STATES | {"reclaimable": "slab_reclaimable", "unreclaimable": "slab_unreclaimable"}),)
    ),
    "memory.utilization": Measure(((("system.memory.state", "state"), _MEMORY_STATES),)),
    "swap.usage": Measure(((("system.paging.state", "state"), _SWAP_STATES),), _DEVICE, per_subject=True),
    "swap.utilization": Measure(((("system.paging.state", "state"), _SWAP_STATES),), _DEVICE, per_subject=True),
    "paging.faults": Measure(((("system.paging.fault.type", "system.paging.type", "type"), _FAULTS),)),
    "paging.operations": Measure(
        ((("system.paging.fault.type", "system.paging.type", "type"), _FAULTS),
         (("system.paging.direction", "direction"), _IN_OUT))
    ),
    "paging.bytes": Measure(((("direction",), _IN_OUT),)),
    "disk.io": _DISK,
    "disk.operations": _DISK,
    "disk.operation_time": _DISK,
    "disk.io_time": Measure((), _DEVICE),
    "disk.weighted_io_time": Measure((), _DEVICE),
    "disk.pending_operations": Measure((), _DEVICE),
    "filesystem.usage": _MOUNT,
    "filesystem.inodes": _MOUNT,
    "filesystem.utilization": Measure((), _MOUNT.subjects),
    "network.io": _NETWORK,
    "network.packets": _NETWORK,
    "network.errors": _NETWORK,
    "network.dropped": _NETWORK,
    "network.connections": Measure(
        ((("network.connection.state", "system.network.state", "state"), _TCP_STATES),),
        ("family", "type"),
        only=(("network.transport", "system.network.protocol", "protocol"), frozenset({"tcp"})),
        per_subject=True,
    ),
    "tasks": Measure(((("process.state", "system.process.status", "system.processes.status", "status"),
                       _TASK_STATES),), unlabelled="total"),
    "psi": Measure(
        ((("resource",), _spelled(cpu="", memory="", io="")), (("type",), _spelled(some="", full=""))),
    ),
    "process.cpu.time": Measure(((("cpu.mode", "process.cpu.state", "state", "type"), _CPU_STATES),)),
    "process.disk.io": Measure(((("disk.io.direction", "direction"), _READ_WRITE),)),
}  # fmt: skip
"""Measures that are split by attributes; any other measure is PLAIN."""


@dataclass(frozen=True, slots=True)
class Name:
    """What one metric name means."""

    measure: str
    label: str | None = None
    """Said by the name itself (`node_disk_read_bytes_total` is `read`); None: the attributes say it."""
    scale: float = 1.0
    """Factor to the measure's own unit (milliseconds, percent)."""


def _names(rows: Mapping[str, str]) -> dict[str, Name]:
    """ "name name" -> "measure", "measure:label" or "measure:label*scale"."""
    table: dict[str, Name] = {}
    for names, text in rows.items():
        text, _, scale = text.partition("*")
        measure, colon, label = text.partition(":")
        name = Name(measure, label if colon else None, float(scale or 1))
        table.update((key, name) for key in names.split())
    return table


_OTEL = _names({
    "system.cpu.time cpu.time": "cpu.time",
    "system.cpu.utilization cpu.utilization": "cpu.utilization",
    "system.cpu.simple_utilization": "cpu.utilization:busy",
    "system.cpu.logical.count": "cpu.count:",
    "system.cpu.load_average.1m": "load:1m",
    "system.cpu.load_average.5m": "load:5m",
    "system.cpu.load_average.15m": "load:15m",
    "system.memory.usage system.memory.linux.slab.usage system.linux.memory.slab.usage": "memory.usage",
    "system.memory.utilization": "memory.utilization",
    "system.memory.limit": "memory.usage:total",
    "system.linux.memory.available system.memory.linux.available": "memory.usage:available",
    "system.memory.page_size": "memory.page_size:",
    "system.paging.usage system.swap.usage": "swap.usage",
    "system.paging.utilization system.swap.utilization": "swap.utilization",
    "system.paging.faults": "paging.faults",
    "system.paging.operations": "paging.operations",
    "system.disk.io": "disk.io",
    "system.disk.operations": "disk.operations",
    "system.disk.operation_time system.disk.time": "disk.operation_time",
    "system.disk.io_time": "disk.io_time:",
    "system.disk.weighted_io_time": "disk.weighted_io_time:",
    "system.disk.pending_operations": "disk.pending_operations:",
    "system.filesystem.usage": "filesystem.usage",
    "system.filesystem.limit": "filesystem.usage:size",
    "system.filesystem.utilization": "filesystem.utilization:",
    "system.filesystem.inodes.usage": "filesystem.inodes",
    "system.network.io": "network.io",
    "system.network.packets system.network.packet.count": "network.packets",
    "system.network.errors": "network.errors",
    "system.network.dropped system.network.packet.dropped system.network.dropped_packets": "network.dropped",
    "system.network.connections system.network.connection.count": "network.connections",
    "system.network.conntrack.count": "conntrack:count",
    "system.network.conntrack.max": "conntrack:max",
    "system.processes.count system.process.count": "tasks",
    "system.processes.created system.process.created": "tasks.created:",
    "system.uptime": "uptime:",
})  # fmt: skip

_KUBELET_NODE = _names({
    "k8s.node.cpu.time": "cpu.time:used",
    "k8s.node.cpu.usage k8s.node.cpu.utilization": "cpu.cores:",
    "k8s.node.memory.available": "memory.usage:available",
    "k8s.node.memory.working_set": "memory.usage:working_set",
    "k8s.node.memory.major_page_faults": "paging.faults:major",
    "k8s.node.paging.faults": "paging.faults",
    "k8s.node.filesystem.usage": "filesystem.usage:used",
    "k8s.node.filesystem.available": "filesystem.usage:avail",
    "k8s.node.filesystem.capacity": "filesystem.usage:size",
    "k8s.node.network.io": "network.io",
    "k8s.node.network.errors": "network.errors",
    "k8s.node.uptime": "uptime:",
})  # fmt: skip

_NODE_EXPORTER = _names({
    "node_cpu_seconds_total": "cpu.time",
    "node_load1": "load:1m",
    "node_load5": "load:5m",
    "node_load15": "load:15m",
    "node_memory_MemTotal_bytes": "memory.usage:total",
    "node_memory_MemAvailable_bytes": "memory.usage:available",
    "node_memory_MemFree_bytes": "memory.usage:free",
    "node_memory_Buffers_bytes": "memory.usage:buffers",
    "node_memory_Cached_bytes": "memory.usage:cached",
    "node_memory_Inactive_bytes": "memory.usage:inactive",
    "node_memory_SReclaimable_bytes": "memory.usage:slab_reclaimable",
    "node_memory_SUnreclaim_bytes": "memory.usage:slab_unreclaimable",
    "node_memory_SwapTotal_bytes": "swap.usage:total",
    "node_memory_SwapFree_bytes": "swap.usage:free",
    "node_vmstat_pgmajfault": "paging.faults:major",
    "node_vmstat_pswpin": "paging.operations:major.in",
    "node_vmstat_pswpout": "paging.operations:major.out",
    "node_vmstat_oom_kill": "oom:",
    "node_pressure_cpu_waiting_seconds_total": "psi:cpu.some",
    "node_pressure_memory_waiting_seconds_total": "psi:memory.some",
    "node_pressure_memory_stalled_seconds_total": "psi:memory.full",
    "node_pressure_io_waiting_seconds_total": "psi:io.some",
    "node_pressure_io_stalled_seconds_total": "psi:io.full",
    "node_disk_read_bytes_total": "disk.io:read",
    "node_disk_written_bytes_total": "disk.io:write",
    "node_disk_reads_completed_total": "disk.operations:read",
    "node_disk_writes_completed_total": "disk.operations:write",
    "node_disk_read_time_seconds_total": "disk.operation_time:read",
    "node_disk_write_time_seconds_total": "disk.operation_time:write",
    "node_disk_io_time_seconds_total": "disk.io_time:",
    "node_disk_io_time_weighted_seconds_total": "disk.weighted_io_time:",
    "node_disk_io_now": "disk.pending_operations:",
    "node_filesystem_size_bytes": "filesystem.usage:size",
    "node_filesystem_free_bytes": "filesystem.usage:free",
    "node_filesystem_avail_bytes": "filesystem.usage:avail",
    "node_filesystem_files": "filesystem.inodes:size",
    "node_filesystem_files_free": "filesystem.inodes:free",
    "node_network_receive_bytes_total": "network.io:receive",
    "node_network_transmit_bytes_total": "network.io:transmit",
    "node_network_receive_packets_total": "network.packets:receive",
    "node_network_transmit_packets_total": "network.packets:transmit",
    "node_network_receive_errs_total": "network.errors:receive",
    "node_network_transmit_errs_total": "network.errors:transmit",
    "node_network_receive_drop_total": "network.dropped:receive",
    "node_network_transmit_drop_total": "network.dropped:transmit",
    "node_netstat_Tcp_CurrEstab": "network.connections:established",
    "node_nf_conntrack_entries": "conntrack:count",
    "node_nf_conntrack_entries_limit": "conntrack:max",
    "node_procs_running": "tasks:running",
    "node_procs_blocked": "tasks:blocked",
    "node_forks_total": "tasks.created:",
    "node_boot_time_seconds": "boot_time:",
})  # fmt: skip

_TELEGRAF = (
    {f"cpu_time_{state}": Name("cpu.time", canonical) for state, canonical in _CPU_STATES.items()}
    | {f"cpu_usage_{state}": Name("cpu.utilization", canonical, 0.01) for state, canonical in _CPU_STATES.items()}
    | _names({
        "system_load1": "load:1m",
        "system_load5": "load:5m",
        "system_load15": "load:15m",
        "system_n_cpus": "cpu.count:",
        "mem_total": "memory.usage:total",
        "mem_available": "memory.usage:available",
        "mem_used": "memory.usage:used",
        "mem_free": "memory.usage:free",
        "mem_buffered": "memory.usage:buffers",
        "mem_cached": "memory.usage:cached",
        "mem_inactive": "memory.usage:inactive",
        "swap_total": "swap.usage:total",
        "swap_used": "swap.usage:used",
        "swap_free": "swap.usage:free",
        "swap_in": "paging.bytes:in",
        "swap_out": "paging.bytes:out",
        "kernel_vmstat_pgmajfault": "paging.faults:major",
        "kernel_vmstat_oom_kill": "oom:",
        "kernel_vmstat_pswpin": "paging.operations:major.in",
        "kernel_vmstat_pswpout": "paging.operations:major.out",
        "pressure_total": "psi*1e-6",
        "diskio_read_bytes": "disk.io:read",
        "diskio_write_bytes": "disk.io:write",
        "diskio_reads": "disk.operations:read",
        "diskio_writes": "disk.operations:write",
        "diskio_read_time": "disk.operation_time:read*1e-3",
        "diskio_write_time": "disk.operation_time:write*1e-3",
        "diskio_io_time": "disk.io_time:*1e-3",
        "diskio_weighted_io_time": "disk.weighted_io_time:*1e-3",
        "diskio_iops_in_progress": "disk.pending_operations:",
        "disk_total": "filesystem.usage:size",
        "disk_used": "filesystem.usage:used",
        "disk_free": "filesystem.usage:free",
        "disk_inodes_total": "filesystem.inodes:size",
        "disk_inodes_used": "filesystem.inodes:used",
        "disk_inodes_free": "filesystem.inodes:free",
        "net_bytes_recv": "network.io:receive",
        "net_bytes_sent": "network.io:transmit",
        "net_packets_recv": "network.packets:receive",
        "net_packets_sent": "network.packets:transmit",
        "net_err_in": "network.errors:receive",
        "net_err_out": "network.errors:transmit",
        "net_drop_in": "network.dropped:receive",
        "net_drop_out": "network.dropped:transmit",
        "netstat_tcp_established": "network.connections:established",
        "netstat_tcp_time_wait": "network.connections:time_wait",
        "netstat_tcp_close_wait": "network.connections:close_wait",
        "netstat_tcp_listen": "network.connections:listen",
        "conntrack_nf_conntrack_count conntrack_ip_conntrack_count": "conntrack:count",
        "conntrack_nf_conntrack_max conntrack_ip_conntrack_max": "conntrack:max",
        "processes_running": "tasks:running",
        "processes_blocked": "tasks:blocked",
        "processes_zombies": "tasks:zombie",
        "processes_total": "tasks:total",
        "kernel_processes_forked": "tasks.created:",
        "system_uptime": "uptime:",
        "kernel_boot_time": "boot_time:",
    })
)  # fmt: skip

_VECTOR = _names({
    "host.cpu_seconds_total": "cpu.time",
    "host.logical_cpus": "cpu.count:",
    "host.load1": "load:1m",
    "host.load5": "load:5m",
    "host.load15": "load:15m",
    "host.memory_total_bytes": "memory.usage:total",
    "host.memory_available_bytes": "memory.usage:available",
    "host.memory_used_bytes": "memory.usage:used",
    "host.memory_free_bytes": "memory.usage:free",
    "host.memory_buffers_bytes": "memory.usage:buffers",
    "host.memory_cached_bytes": "memory.usage:cached",
    "host.memory_inactive_bytes": "memory.usage:inactive",
    "host.memory_swap_total_bytes": "swap.usage:total",
    "host.memory_swap_used_bytes": "swap.usage:used",
    "host.memory_swap_free_bytes": "swap.usage:free",
    "host.memory_swapped_in_bytes_total": "paging.bytes:in",
    "host.memory_swapped_out_bytes_total": "paging.bytes:out",
    "host.memory_oom_kill_events_total": "oom:",
    "host.disk_read_bytes_total": "disk.io:read",
    "host.disk_written_bytes_total": "disk.io:write",
    "host.disk_reads_completed_total": "disk.operations:read",
    "host.disk_writes_completed_total": "disk.operations:write",
    "host.filesystem_total_bytes": "filesystem.usage:size",
    "host.filesystem_used_bytes": "filesystem.usage:used",
    "host.filesystem_free_bytes": "filesystem.usage:free",
    "host.filesystem_inodes_total": "filesystem.inodes:size",
    "host.filesystem_inodes_used": "filesystem.inodes:used",
    "host.filesystem_inodes_free": "filesystem.inodes:free",
    "host.network_receive_bytes_total": "network.io:receive",
    "host.network_transmit_bytes_total": "network.io:transmit",
    "host.network_receive_packets_total": "network.packets:receive",
    "host.network_transmit_packets_total": "network.packets:transmit",
    "host.network_receive_errs_total": "network.errors:receive",
    "host.network_transmit_errs_total": "network.errors:transmit",
    "host.network_transmit_packets_drop_total": "network.dropped:transmit",
    "host.uptime": "uptime:",
    "host.boot_time": "boot_time:",
})  # fmt: skip

_CONTAINER = _names({
    "container.cpu.time k8s.pod.cpu.time k8s.container.cpu.time": "container.cpu.time:",
    "container.cpu.usage.total": "container.cpu.time:*1e-9",
    "container.cpu.usage k8s.pod.cpu.usage": "container.cpu.cores:",
    "container.cpu.limit k8s.container.cpu_limit k8s.container.cpu.limit": "container.cpu.limit:",
    "k8s.container.cpu_limit_utilization k8s.pod.cpu_limit_utilization": "container.cpu.limit_utilization:",
    "container.memory.working_set k8s.pod.memory.working_set": "container.memory:working_set",
    "container.memory.usage k8s.pod.memory.usage container.memory.usage.total": "container.memory:usage",
    "container.memory.usage.limit k8s.container.memory_limit k8s.container.memory.limit": "container.memory:limit",
    "k8s.container.memory_limit_utilization k8s.pod.memory_limit_utilization": "container.memory.limit_utilization:",
    "container.memory.percent": "container.memory.limit_utilization:*0.01",
    "container.cpu.throttling_data.periods": "container.throttling:periods",
    "container.cpu.throttling_data.throttled_periods": "container.throttling:throttled_periods",
    "container.cpu.throttling_data.throttled_time": "container.throttling:throttled_time*1e-9",
})  # fmt: skip

_PROCESS = _names({
    "process.cpu.time": "process.cpu.time",
    "process.memory.usage": "process.memory:",
    "process.disk.io": "process.disk.io",
})  # fmt: skip

PRODUCERS: Mapping[str, Mapping[str, Name]] = {
    "otel": _OTEL,
    "kubelet": _KUBELET_NODE,
    "node_exporter": _NODE_EXPORTER,
    "telegraf": _TELEGRAF,
    "vector": _VECTOR,
    "container": _CONTAINER,
    "process": _PROCESS,
}
"""Who invented the name -> its names."""

SUFFIXED = {
    f"{base}.{label}": Name(_OTEL[base].measure, label)
    for base, labels in (
        ("system.disk.io", _READ_WRITE), ("system.disk.operations", _READ_WRITE), ("system.disk.merged", {}),
        ("system.disk.operation_time", _READ_WRITE), ("system.network.io", _WAYS), ("system.network.packets", _WAYS),
        ("system.network.errors", _WAYS), ("system.network.dropped", _WAYS),
    )
    for label in labels
}  # fmt: skip
"""The direction in the metric's name, as collectors 0.55 to 0.64 sent it (contrib#11820)."""
