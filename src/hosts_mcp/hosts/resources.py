"""What one OTLP resource says about the machine or workload it comes from: names, ids, kind. No inventory, no clock.

Sources of the rules: resourcedetection's detectors, OTLP resource semantic conventions for host, k8s and container,
and reports of resources that identified nothing (elastic/kibana#190322, opentelemetry-collector-contrib#24230).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hosts_mcp.hosts.names import fold, is_container_name, is_pod_name, normal_id, normal_name
from hosts_mcp.otlp.batch import Resource, Slot, Value
from hosts_mcp.store.protocol import HostKind
from hosts_mcp.text import clean

COLLECTOR = "hostmetrics"
"""The source whose points describe the machine even when the collector runs in a container."""
NODE_EXPORTER = "node_exporter"
APP = "app"
"""The source 'an application's own SDK'."""

BOXES: tuple[HostKind, ...] = ("host", "app")
"""Kinds that are machines; the others are workloads and strangers."""

PEERS = "hosts_mcp.peers"
"""Our own attribute of a host: the addresses that its metrics came from, sorted."""
REPLACES = "hosts_mcp.replaces"
"""Key of the host of the same name that this one seems to be a reinstall of."""
WORKLOAD = "hosts_mcp.workload"
"""Of a container: every key it is recognised by, see `Identity.workload`."""

HOST_METRICS = (
    "system.", "node_", "host.", "k8s.node.", "cpu_", "mem_", "disk_", "diskio_", "swap_", "net_", "system_", "kernel_",
    "cpu.time", "cpu.utilization",
)  # fmt: skip
"""Beginnings of metric names that describe a machine: OpenTelemetry, node_exporter, Vector, kubelet, Telegraf."""
CONTAINER_METRICS = ("container.", "container_", "k8s.pod.", "k8s.container.", "docker_container_")

POINT_NAMES = ("host.name", "host", "nodename")
"""Point attributes that name the host where the resource does not: Telegraf, Vector, node_uname_info."""

OWN_NAME = "hosts_mcp.own_name"
"""Of a collector in a container: the container's host name, which the host is not called by if its node is known."""

KEPT_PREFIXES = ("host.", "os.", "cloud.", "k8s.", "container.", "deployment.", "telemetry.sdk.", "service.")
_KEPT_LENGTH = 256
_KEPT_NUMBER = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """A resource, classified. Ids are normalised, names are as shown (compare with `names.fold`)."""

    kind: HostKind
    name: str | None
    host_id: str | None
    source: str
    peer: str
    boot_ns: int | None
    """When the machine booted, as far as the start of its counters says so; None from anything but a collector."""
    other_names: tuple[str, ...] = ()
    node: str | None = None
    """Kubernetes node: of a box its own node name, of a container where it lives."""
    cluster: str | None = None
    workload: tuple[str, ...] = ()
    """Of a container what identifies it, strongest first: `uid:…`, `container:…`, `name:…`."""
    own_name: str | None = None
    """Of a collector in a container: the host name that is the container's and not the machine's."""
    provisional_name: bool = False
    """The name only stands in (the id, a scrape address) and gives way to a real one."""
    makes_host: bool = True
    """False when nothing but spans, `process.*` or `container.*` arrived: such a resource only joins."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    """Host-level attributes worth keeping, cut to length."""


def identify(
    resource: Resource, *, source: str, peer: str = "", start_ns: int = 0, slots: Sequence[Slot] = ()
) -> Identity:
    """Classify the resource of metrics (pass their `source`, start time and slots).

    The key is the first of: host.id + host.name, host.id, host.name, k8s.node.name, a host name on the points, a
    node exporter's nodename or scrape address; without any of them kind is `unidentified`.
    """
    workload = container_keys(resource)
    if workload and source != COLLECTOR:
        return _container(resource, workload, source, peer, slots)
    node, host_id = normal_name(resource.text("k8s.node.name")), normal_id(resource.text("host.id"))
    given = normal_name(resource.text("host.name"))
    own_name = given if given is not None and workload and is_own_name(resource, given) else None
    given = node or given if workload else given or node
    if given is None and host_id is None:
        given = _name_on_points(slots)
    address = _scrape_address(resource) if source == NODE_EXPORTER else None
    name = given or (clean(resource.text("host.id"), 64) if host_id else address)
    return Identity(
        kind="unidentified" if name is None else "app" if source == APP else "host",
        name=name,
        host_id=host_id,
        source=source,
        peer=peer,
        boot_ns=start_ns or None if source == COLLECTOR and resource.text("process.pid") is None else None,
        other_names=(address,) if address and name and fold(address) != fold(name) else (),
        node=node,
        cluster=normal_name(resource.text("k8s.cluster.name")),
        own_name=own_name,
        provisional_name=given is None,
        makes_host=source == COLLECTOR or any(s.metric.startswith(HOST_METRICS) for s in slots),
        attributes=kept_attributes(resource),
    )


def container_keys(resource: Resource) -> tuple[str, ...]:
    """What identifies the container or pod that a resource describes, strongest first; () for a machine."""
    name, node = normal_name(resource.text("host.name")), normal_name(resource.text("k8s.node.name"))
    pod, uid = resource.text("k8s.pod.name"), resource.text("k8s.pod.uid")
    container_id, container = resource.text("container.id"), resource.text("k8s.container.name")
    own_name = name is not None and is_own_name(resource, name)
    if not (pod or uid or container_id or container or own_name):
        return ()
    label = pod or resource.text("container.name") or (name if own_name else None)
    return tuple(
        f"{kind}:{clean(value, 200).lower()}"
        for kind, value in (("uid", uid), ("container", container_id), ("name", label or (node and container)))
        if value
    )


def is_own_name(resource: Resource, name: str) -> bool:
    """Whether this host name is the container's own (its id or its pod's name) and so says nothing of the machine."""
    folded = fold(name)
    pod, container_id = resource.text("k8s.pod.name"), (resource.text("container.id") or "").lower()
    node = normal_name(resource.text("k8s.node.name"))
    if node is not None and fold(node) == folded:
        return False
    if is_container_name(name) or (pod is not None and fold(pod) == folded):
        return True
    return (container_id.startswith(folded) and len(folded) >= 12) or (node is not None and is_pod_name(name))


def hosts_on_points(slots: Sequence[Slot]) -> dict[str, tuple[int, ...]]:
    """Host name on the points -> positions of its slots; more than one entry means: place each by itself.

    Slots without such an attribute stand under "".
    """
    found: dict[str, list[int]] = {}
    for position, slot in enumerate(slots):
        found.setdefault(normal_name(slot.get(*POINT_NAMES)) or "", []).append(position)
    return {name: tuple(positions) for name, positions in found.items()}


def kept_attributes(resource: Resource) -> dict[str, Value]:
    """The attributes of a resource that describe its machine, workload or service; long text is cut.

    Not host.name: that is the host's name or one of its aliases.
    """
    kept = sorted(k for k in resource.attributes if k.startswith(KEPT_PREFIXES) and k != "host.name")[:_KEPT_NUMBER]
    return {key: _cut(resource.attributes[key]) for key in kept}


def _container(
    resource: Resource, workload: tuple[str, ...], source: str, peer: str, slots: Sequence[Slot]
) -> Identity:
    return Identity(
        kind="container",
        name=_container_name(resource),
        host_id=None,
        source=source,
        peer=peer,
        boot_ns=None,
        node=normal_name(resource.text("k8s.node.name")),
        cluster=normal_name(resource.text("k8s.cluster.name")),
        workload=workload,
        makes_host=any(s.metric.startswith(HOST_METRICS + CONTAINER_METRICS) for s in slots),
        attributes=kept_attributes(resource),
    )


def _container_name(resource: Resource) -> str:
    for key in ("k8s.pod.name", "container.name", "k8s.container.name"):
        if name := normal_name(resource.text(key)):
            return name
    name = normal_name(resource.text("host.name"))
    if name is not None and is_own_name(resource, name):
        return name
    return clean((resource.text("container.id") or resource.text("k8s.pod.uid") or "container")[:12])


def _name_on_points(slots: Sequence[Slot]) -> str | None:
    """The one host name that the points carry; several are nobody's."""
    names = {fold(name): name for slot in slots if (name := normal_name(slot.get(*POINT_NAMES)))}
    return next(iter(names.values())) if len(names) == 1 else None


def _scrape_address(resource: Resource) -> str | None:
    """`db-1:9100` -> `db-1`, from what the Prometheus receiver makes of a target."""
    instance = resource.text("service.instance.id")
    host = resource.text("server.address")
    if host is None and instance is not None and ":" in instance:
        host = instance.rsplit(":", 1)[0].removeprefix("http://").removeprefix("https://").strip("[]")
    return normal_name(host)


def _cut(value: Value) -> Value:
    if isinstance(value, str):
        return clean(value, _KEPT_LENGTH)
    if isinstance(value, (list, tuple)):
        return [_cut(item) for item in value[:16]]
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return clean(value, _KEPT_LENGTH)
