"""Which host metrics belong to: join, rename, upgrade in place, split clones, or a new host. Pure.

Reports behind the rules: one host per restart when the id churns (opentelemetry-collector-contrib#18533), cloned
machine ids (nginx/agent#1633), case twins (elastic/kibana#178650), pods listed as hosts (elastic/kibana#190322).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hosts_mcp.hosts.names import digest, fold, is_container_name, is_short_of, normal_id, short, slug
from hosts_mcp.hosts.resources import APP, BOXES, OWN_NAME, PEERS, REPLACES, WORKLOAD, Identity
from hosts_mcp.otlp.batch import Value
from hosts_mcp.store.protocol import Host
from hosts_mcp.timerange import NS

if TYPE_CHECKING:
    from hosts_mcp.hosts.inventory import Inventory

BOOT_JITTER_NS = 2 * NS
"""A collector reads the boot time once per start, in whole seconds; it may move by one or two."""
CLONE_BOOT_NS = 60 * NS
"""Boot times further apart than this are two boots."""
LIVE_NS = 300 * NS
"""Two names of one id are two machines only if both were heard within so long."""
_MOST_PEERS = 8
_MOST_ALIASES = 32


@dataclass(frozen=True, slots=True)
class Placement:
    """`host` has id 0 when it is new: add it to the store, then `Inventory.put` what the store returns.

    `host` is None when nothing known fits and the resource may not make a host (spans, `process.*` or `container.*`
    alone); `reason` says it in words. `updated` are the known hosts to write, `host` among them if it changed.
    """

    host: Host | None
    updated: tuple[Host, ...] = ()
    reason: str = ""

    @property
    def is_new(self) -> bool:
        return self.host is not None and self.host.id == 0


def place(inventory: Inventory, identity: Identity, now_ns: int) -> Placement:
    """See `Inventory.place`."""
    if identity.kind == "container":
        known = _container(inventory, identity)
    elif identity.kind == "unidentified":
        known = _unidentified(inventory, identity)
    else:
        if (clone := _clone_of(inventory, identity, now_ns)) is not None:
            marked = replace(clone, shared_id=True)
            return Placement(_new(inventory, identity, now_ns, shared=True), () if clone.shared_id else (marked,))
        known = _box(inventory, identity, now_ns)
    if known is not None:
        merged = _merged(known, identity)
        return Placement(merged, () if merged == known else (merged,))
    if not identity.makes_host:
        return Placement(None, reason="no host metrics have arrived from its host, and these alone make none")
    return Placement(_new(inventory, identity, now_ns))


# ---- the known host, if any -------------------------------------------------------------------------------------


def _box(inventory: Inventory, identity: Identity, now_ns: int) -> Host | None:
    if identity.host_id is not None:
        return (
            _by_id(inventory, identity) or _upgraded(inventory, identity) or _of_another_id(inventory, identity, now_ns)
        )
    steps: tuple[Callable[[], list[Host]], ...] = (
        lambda: _of_any_name(inventory, identity),
        lambda: inventory.by_node.get(fold(identity.node or identity.name or "")),
        lambda: inventory.by_id.get(normal_id(identity.node)),
        lambda: _of_short_name(inventory, identity),
        lambda: _redeployed(inventory, identity),
    )
    for step in steps:
        if found := [h for h in step() if _same_cluster(h, identity)]:
            return _one_alive(inventory, found, now_ns)
    return None


def _by_id(inventory: Inventory, identity: Identity) -> Host | None:
    """The host of this id; of a shared id only the one of this name."""
    found = inventory.by_id.get(identity.host_id)
    named = [h for h in found if identity.name is not None and _is_called(h, identity.name)]
    if named:
        return named[0]
    return found[0] if len(found) == 1 and not found[0].shared_id else None


def _upgraded(inventory: Inventory, identity: Identity) -> Host | None:
    """The one host without an id that this resource, which has one, is known by."""
    for found in (_of_any_name(inventory, identity), _of_short_name(inventory, identity)):
        without = [h for h in found if h.host_id is None and _same_cluster(h, identity)]
        if len(without) == 1:
            return without[0]
    return None


def _of_another_id(inventory: Inventory, identity: Identity, now_ns: int) -> Host | None:
    """The same machine under another id: an SDK and a collector read different ids, or the id churns.

    Only of this very name, and of two collectors only with one sender and one boot; else it is a reinstall.
    """
    by_app = identity.source == APP
    found = [
        h
        for h in inventory.by_name.get(fold(identity.name or ""))
        if fold(h.name) == fold(identity.name or "")
        and _same_cluster(h, identity)
        and (
            (h.kind == "app") != by_app
            or (identity.peer in (h.attributes.get(PEERS) or ()) and _near(h.boot_ns, identity.boot_ns, BOOT_JITTER_NS))
        )
    ]
    return _one_alive(inventory, found, now_ns)


def _of_any_name(inventory: Inventory, identity: Identity) -> list[Host]:
    """Hosts called so. A name of the identity itself goes before a stand-in for it."""
    for name in (identity.name, identity.node, *identity.other_names):
        if name is not None and (found := inventory.by_name.get(fold(name))):
            return [h for h in found if fold(h.name) == fold(name)] or found
    return []


def _of_short_name(inventory: Inventory, identity: Identity) -> list[Host]:
    """The one host whose name is the short or the long form of this one."""
    if identity.name is None:
        return []
    label = short(identity.name)
    found = inventory.by_name.get(label) if label else inventory.by_short.get(fold(identity.name))
    return found if len(found) == 1 else []


def _redeployed(inventory: Inventory, identity: Identity) -> list[Host]:
    """A collector in a container gets a new name with every deployment: same sender, same boot, same machine."""
    if identity.own_name is None or not is_container_name(identity.own_name) or identity.boot_ns is None:
        return []
    return [
        h
        for h in inventory.by_peer.get(identity.peer)
        if h.kind == "host" and is_container_name(h.name) and _near(h.boot_ns, identity.boot_ns, BOOT_JITTER_NS)
    ]


def _one_alive(inventory: Inventory, found: list[Host], now_ns: int) -> Host | None:
    """The only one, or of several namesakes the only one still heard (the others were reinstalled or are gone)."""
    if len(found) > 1:
        without_id = [h for h in found if h.host_id is None]
        found = without_id or [h for h in found if now_ns - inventory.last_arrived_ns(h) <= LIVE_NS]
    return found[0] if len(found) == 1 else None


def _clone_of(inventory: Inventory, identity: Identity, now_ns: int) -> Host | None:
    """The host that has this id while it is another machine: other name, other boot, both up at the same time."""
    if identity.host_id is None or identity.name is None or identity.provisional_name or identity.source == APP:
        return None
    found = inventory.by_id.get(identity.host_id)
    if any(_is_called(h, identity.name) for h in found):
        return None
    for host in found:
        if host.shared_id:
            return host
        if identity.boot_ns is None or host.boot_ns is None or _near(host.boot_ns, identity.boot_ns, CLONE_BOOT_NS):
            continue
        if now_ns - inventory.last_arrived_ns(host) > LIVE_NS or normal_id(host.name) == host.host_id:
            continue
        if identity.boot_ns < inventory.newest_ns(host):
            return host
    return None


def _container(inventory: Inventory, identity: Identity) -> Host | None:
    for key in identity.workload:
        found = [h for h in inventory.by_workload.get(key) if _same_workload(h, identity)]
        if found:
            return found[-1]
    return None


def _unidentified(inventory: Inventory, identity: Identity) -> Host | None:
    """By peer, source and boot time. What says nothing about the boot (processes) goes to the only one there is."""
    found = [
        h for h in inventory.by_peer.get(identity.peer) if h.kind == "unidentified" and identity.source in h.sources
    ]
    if identity.boot_ns is None:
        return found[0] if len(found) == 1 else next((h for h in found if h.boot_ns is None), None)
    for host in found:
        if _near(host.boot_ns, identity.boot_ns, BOOT_JITTER_NS):
            return host
    if len(found) == 1 and (found[0].boot_ns is None or identity.boot_ns > inventory.newest_ns(found[0])):
        return found[0]
    return None


def _same_cluster(host: Host, identity: Identity) -> bool:
    return host.cluster is None or identity.cluster is None or fold(host.cluster) == fold(identity.cluster)


def _same_workload(host: Host, identity: Identity) -> bool:
    """Pods of one name, one after the other or in two namespaces, are told apart by what both sides know."""
    keys = ("k8s.pod.uid", "k8s.namespace.name", "k8s.cluster.name")
    pairs = [(host.attributes.get(key), identity.attributes.get(key)) for key in keys]
    return all(theirs == mine for theirs, mine in pairs if theirs and mine)


def _is_called(host: Host, name: str) -> bool:
    return fold(name) in {fold(n) for n in (host.name, *host.aliases)} or is_short_of(host.name, name)


def _near(one: int | None, other: int | None, tolerance_ns: int) -> bool:
    return one is not None and other is not None and abs(one - other) <= tolerance_ns


# ---- the host as it is after the metrics ------------------------------------------------------------------------


def _merged(host: Host, identity: Identity) -> Host:
    """What is known of a host, with what this resource adds."""
    name, aliases = _named(host, identity)
    by_collector = identity.source != APP
    return replace(
        host,
        kind="host" if host.kind == "app" and by_collector and identity.kind == "host" else host.kind,
        name=name,
        host_id=_id_of(host, identity),
        aliases=aliases,
        node=host.node or identity.node,
        cluster=host.cluster or identity.cluster,
        sources=tuple(sorted({*host.sources, identity.source})),
        sdk_language=host.sdk_language or _sdk_language(identity),
        boot_ns=max(host.boot_ns or 0, identity.boot_ns or 0) or None,
        **_described(host.attributes, identity),
    )


def _id_of(host: Host, identity: Identity) -> str | None:
    """A collector's id replaces an application's; of two collectors' the smaller stays, whichever came first."""
    if host.host_id is None or identity.host_id is None or identity.source == APP:
        return host.host_id or identity.host_id
    return identity.host_id if host.kind == "app" else min(host.host_id, identity.host_id)


def _named(host: Host, identity: Identity) -> tuple[str, tuple[str, ...]]:
    """Name and aliases, sorted: a real name replaces a stand-in, a collector's new name replaces the old one.

    Of a short and a long form the long one is the name, so that it does not matter which came first.
    """
    if host.kind in ("container", "unidentified") or identity.name is None:
        return host.name, host.aliases
    name, new, known = host.name, identity.name, {fold(a) for a in host.aliases}
    stands_in = normal_id(name) == host.host_id or fold(name) in {fold(n) for n in identity.other_names}
    rebooted = (identity.boot_ns or 0) - (host.boot_ns or identity.boot_ns or 0) > CLONE_BOOT_NS
    if identity.provisional_name or fold(new) == fold(name):
        chosen = name
    elif stands_in:
        chosen = new
    elif is_short_of(name, new):
        chosen = max(name, new, key=len)
    elif (identity.source == APP and host.kind != "app") or (fold(new) in known and not rebooted):
        chosen = name
    else:
        same_machine = identity.host_id is not None and identity.host_id == host.host_id
        chosen = new if same_machine or identity.own_name else name
    return chosen, _aliases(chosen, host, identity, drop=stands_in and normal_id(name) == host.host_id)


def _aliases(chosen: str, host: Host, identity: Identity, *, drop: bool) -> tuple[str, ...]:
    names = [*host.aliases, *(() if drop else (host.name,)), identity.node or "", *identity.other_names]
    if not identity.provisional_name:
        names.append(identity.name or "")
    kept = {fold(n): n for n in reversed(names) if n and fold(n) != fold(chosen)}
    return tuple(kept[k] for k in sorted(kept)[:_MOST_ALIASES])


def _described(known: Mapping[str, Value], identity: Identity) -> dict[str, Value]:
    """The descriptive fields of a host; an application's word does not replace a collector's."""
    told = dict(identity.attributes)
    attributes = {**told, **known} if identity.source == APP else {**known, **told}
    if identity.peer:
        attributes[PEERS] = sorted({*(known.get(PEERS) or ()), identity.peer})[:_MOST_PEERS]
    if identity.own_name:
        attributes[OWN_NAME] = identity.own_name
    if identity.workload:
        attributes[WORKLOAD] = sorted({*(known.get(WORKLOAD) or ()), *identity.workload})
    text = {key: str(value) if (value := attributes.get(key)) else None for key in ("os.type", "host.arch")}
    description = attributes.get("os.description") or attributes.get("os.version")
    return {
        "attributes": attributes,
        "os_type": text["os.type"],
        "os_description": str(description) if description else None,
        "arch": text["host.arch"],
    }


def _sdk_language(identity: Identity) -> str | None:
    language = identity.attributes.get("telemetry.sdk.language")
    return str(language) if identity.source == APP and language else None


def _new(inventory: Inventory, identity: Identity, now_ns: int, *, shared: bool = False) -> Host:
    name = identity.name or _stranger(inventory, identity.peer)
    bare = Host(
        id=0,
        key="",
        kind=identity.kind,
        name=name,
        host_id=identity.host_id,
        shared_id=shared,
        first_arrived_ns=now_ns,
        last_arrived_ns=now_ns,
    )
    host = replace(_merged(bare, identity), key=_key(inventory, name, identity))
    namesakes = [h for h in inventory.by_name.get(fold(name)) if fold(h.name) == fold(name) and h.host_id]
    if host.kind in BOXES and host.host_id and namesakes and not shared:
        newest = max(namesakes, key=lambda h: (inventory.last_arrived_ns(h), h.id))
        return replace(host, attributes={**host.attributes, REPLACES: newest.key})
    return host


def _stranger(inventory: Inventory, peer: str) -> str:
    """`unidentified-10.0.0.7-2`: the second machine without a name behind that sender."""
    stem = f"unidentified-{peer or 'somewhere'}"
    taken = {fold(h.name) for h in inventory.hosts.values() if h.kind == "unidentified"}
    return next(f"{stem}-{n}" for n in range(1, len(taken) + 2) if fold(f"{stem}-{n}") not in taken)


def _key(inventory: Inventory, name: str, identity: Identity) -> str:
    """Short slug of the name; of namesakes the later ones carry some digits of their id."""
    stem = fold(name) if identity.kind == "unidentified" else slug(name)
    if not inventory.by_key.get(stem):
        return stem
    seed = identity.host_id or "|".join((fold(name), fold(identity.cluster or ""), *identity.workload))
    suffix = (identity.host_id or "")[-6:] if len(identity.host_id or "") >= 12 else digest(seed)
    candidates = (f"{stem}-{s}" for s in (suffix, digest(seed), *(digest(f"{seed}|{n}") for n in range(10_000))))
    return next(key for key in candidates if not inventory.by_key.get(key))
