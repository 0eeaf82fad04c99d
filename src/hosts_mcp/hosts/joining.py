"""Which box, and which container, the spans of a resource ran on; which rule says so, or why nothing does. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hosts_mcp.hosts.names import fold, normal_id, normal_name, short
from hosts_mcp.hosts.resources import BOXES, container_keys, is_own_name
from hosts_mcp.otlp.batch import Resource
from hosts_mcp.store.protocol import Host
from hosts_mcp.text import quote

if TYPE_CHECKING:
    from hosts_mcp.hosts.inventory import Inventory

Confidence = Literal["high", "medium", "low"]

HINT = (
    "Send these spans through the collector on their host, with resourcedetection in its traces pipeline, or set "
    "OTEL_RESOURCE_ATTRIBUTES=host.name=… to the name that the collector reports."
)


@dataclass(frozen=True, slots=True)
class Join:
    """`host_id` is where the spans count: their container if its own metrics arrive, else the box; None: unjoined.

    `rule`: container, k8s_node, id_and_name, id, name, short_name, peer. `box_id` is the machine (equal to `host_id`
    without a container), None while the machine under a container is unknown. `reason` is one sentence in both cases;
    `nearest` are keys of hosts with similar names, only when nothing matched.
    """

    host_id: int | None
    rule: str | None
    confidence: Confidence | None
    reason: str
    nearest: tuple[str, ...] = ()
    box_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a resource says about where it runs."""

    node: str | None
    cluster: str | None
    host_id: str | None
    name: str | None
    own_name: bool
    workload: tuple[str, ...]
    peer: str


@dataclass(frozen=True, slots=True)
class _Match:
    host: Host
    rule: str
    confidence: Confidence
    reason: str


def join(inventory: Inventory, resource: Resource, peer: str) -> Join:
    """See `Inventory.join`."""
    claim = _claim(resource, peer)
    box = next((m for rule in _RULES if (m := rule(inventory, claim)) is not None), None)
    if (container := _own_container(inventory, claim)) is not None:
        under = box.host if box is not None else inventory.box_of(container)
        where = f", on {under.key}" if under is not None else ", on a machine that is not known"
        return Join(
            container.id, "container", "high", f"its container {quote(container.name)} reports its own metrics{where}",
            box_id=under.id if under is not None else None,
        )  # fmt: skip
    if box is not None:
        return Join(box.host.id, box.rule, box.confidence, box.reason, box_id=box.host.id)
    return _unjoined(inventory, claim)


def on_node(inventory: Inventory, node: str | None, cluster: str | None) -> Host | None:
    """The one box that is this Kubernetes node: by node name, name or id (some clusters name nodes by instance id)."""
    if node is None:
        return None
    for found in (inventory.by_node.get(fold(node)), inventory.by_name.get(fold(node)),
                  inventory.by_id.get(normal_id(node))):  # fmt: skip
        fits = [h for h in found if not (cluster and h.cluster and fold(h.cluster) != fold(cluster))]
        if len(fits) == 1:
            return fits[0]
    return None


def _claim(resource: Resource, peer: str) -> _Claim:
    name = normal_name(resource.text("host.name"))
    return _Claim(
        node=normal_name(resource.text("k8s.node.name")),
        cluster=normal_name(resource.text("k8s.cluster.name")),
        host_id=normal_id(resource.text("host.id")),
        name=name,
        own_name=name is not None and is_own_name(resource, name),
        workload=container_keys(resource),
        peer=peer,
    )


def _own_container(inventory: Inventory, claim: _Claim) -> Host | None:
    for key in claim.workload:
        if found := inventory.by_workload.get(key):
            return found[-1]
    return None


# ---- the rules, first match wins --------------------------------------------------------------------------------


def _k8s_node(inventory: Inventory, claim: _Claim) -> _Match | None:
    host = on_node(inventory, claim.node, claim.cluster)
    return None if host is None else _Match(host, "k8s_node", "high", f"k8s.node.name is {quote(claim.node)}")


def _id_and_name(inventory: Inventory, claim: _Claim) -> _Match | None:
    if claim.name is None or claim.own_name:
        return None
    named = {fold(claim.name), short(claim.name)}
    for host in inventory.by_id.get(claim.host_id):
        names = {n for own in (host.name, *host.aliases) for n in (fold(own), short(own))} - {None}
        if names & named:
            return _Match(host, "id_and_name", "high", f"host.id and host.name {quote(claim.name)} are this host's")
    return None


def _id(inventory: Inventory, claim: _Claim) -> _Match | None:
    found = inventory.by_id.get(claim.host_id)
    if len(found) != 1 or found[0].shared_id:
        return None
    confidence: Confidence = "medium" if claim.workload else "high"
    return _Match(found[0], "id", confidence, "host.id is this host's")


def _name(inventory: Inventory, claim: _Claim) -> _Match | None:
    """Of a container only a name that is not its own, as a collector on the machine writes it."""
    if claim.name is None or claim.own_name:
        return None
    found = inventory.by_name.get(fold(claim.name))
    present = [h for h in found if fold(h.name) == fold(claim.name)]
    candidates = present or found
    if not candidates:
        return None
    newest = max(candidates, key=lambda h: (inventory.last_arrived_ns(h), h.id))
    if any(inventory.last_arrived_ns(h) >= newest.first_arrived_ns for h in candidates if h is not newest):
        return None
    sole = len(found) == 1 and not claim.workload
    reason = f"host.name is {quote(claim.name)}" + ("" if len(found) == 1 else ", a name that another host had before")
    return _Match(newest, "name", "high" if sole else "medium", reason)


def _short_name(inventory: Inventory, claim: _Claim) -> _Match | None:
    if claim.name is None or claim.own_name:
        return None
    label = short(claim.name)
    found = inventory.by_name.get(label) if label else inventory.by_short.get(fold(claim.name))
    if len(found) != 1:
        return None
    return _Match(
        found[0], "short_name", "medium", f"{quote(claim.name)} and {quote(found[0].name)} share a first label"
    )


def _peer(inventory: Inventory, claim: _Claim) -> _Match | None:
    """The sender's address sends metrics of exactly one box: no gateway."""
    found = [h for h in inventory.by_peer.get(claim.peer) if h.kind in (*BOXES, "unidentified")]
    if len(found) != 1 or (claim.name is not None and not claim.own_name):
        return None
    return _Match(found[0], "peer", "low", f"the spans came from {claim.peer}, which sends this host's metrics")


_RULES: tuple[Callable[[Inventory, _Claim], _Match | None], ...] = (
    _k8s_node, _id_and_name, _id, _name, _short_name, _peer,
)  # fmt: skip


# ---- nothing matched --------------------------------------------------------------------------------------------


def _unjoined(inventory: Inventory, claim: _Claim) -> Join:
    name, said = claim.name or claim.node, _said(claim)
    namesakes = inventory.by_name.get(fold(claim.name)) if claim.name and not claim.own_name else []
    if namesakes:
        keys = tuple(h.key for h in namesakes)
        return Join(None, None, None, f"{len(keys)} hosts are called {quote(name)} ({', '.join(keys)}) and nothing "
                    f"tells which one it is: add host.id to these spans.", keys)  # fmt: skip
    shared = inventory.by_id.get(claim.host_id)
    if shared:
        keys = tuple(h.key for h in shared)
        return Join(None, None, None, f"host.id is used by several machines ({', '.join(keys)}): give each its own "
                    f"machine id, or add host.name to these spans.", keys)  # fmt: skip
    near = tuple(h.key for h in inventory.nearest(name)) if name else ()
    known = f"Nearest: {', '.join(near)}." if near else _known(inventory)
    return Join(None, None, None, f"{said} {known} {HINT}", near)


def _said(claim: _Claim) -> str:
    claims = (("host.name", claim.name), ("host.id", claim.host_id), ("k8s.node.name", claim.node))
    told = [f"{key}={quote(value)}" for key, value in claims if value]
    if not told:
        return "These spans carry no host.name, host.id or k8s.node.name."
    own = " (its container's own name)" if claim.own_name else ""
    return f"These spans say {', '.join(told)}{own}, and no host reports under that."


def _known(inventory: Inventory) -> str:
    keys = sorted(h.key for h in inventory.hosts.values() if h.kind in BOXES)
    if not keys:
        return "No host metrics have arrived."
    return f"Known hosts: {', '.join(keys[:5])}" + (f" and {len(keys) - 5} more." if len(keys) > 5 else ".")
