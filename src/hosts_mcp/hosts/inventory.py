"""The known boxes and workloads, found by id, name, node, workload or peer. Values only; nothing is stored here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from functools import partial
from operator import attrgetter

from hosts_mcp.errors import AmbiguousName, NoSuchHost
from hosts_mcp.hosts import joining, placing
from hosts_mcp.hosts.names import fold, normal_id, short
from hosts_mcp.hosts.resources import BOXES, PEERS, WORKLOAD, Identity
from hosts_mcp.otlp.batch import Resource
from hosts_mcp.store.protocol import Host

_CANDIDATES = 5
_NEAR = 0.5


_INDEXED = attrgetter("key", "kind", "host_id", "name", "aliases", "node", "attributes")
"""What the indexes look at: nearly every new value of a host has only a newer point."""


class _Index:
    """Hosts by one kind of key, in the order of their ids."""

    def __init__(self, hosts: Mapping[int, Host], keys: Callable[[Host], Iterable[str]]) -> None:
        self._hosts, self._keys = hosts, keys
        self._ids: dict[str, set[int]] = defaultdict(set)

    def put(self, old: Host | None, new: Host) -> None:
        for key in self._keys(old) if old is not None else ():
            self._ids[key].discard(new.id)
        for key in self._keys(new):
            self._ids[key].add(new.id)

    def get(self, key: str | None) -> list[Host]:
        return [self._hosts[i] for i in sorted(self._ids.get(key or "", ()))]

    def items(self) -> Iterator[tuple[str, Host]]:
        return ((key, self._hosts[i]) for key, ids in self._ids.items() for i in ids)


class Inventory:
    """An index over hosts. `place`, `join` and `find` change nothing; `put` and `seen` bring it up to date."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        self.hosts: dict[int, Host] = {}
        by = partial(_Index, self.hosts)
        self.by_key = by(lambda h: (h.key,))
        self.by_id = by(lambda h: (h.host_id,) if h.host_id and h.kind in BOXES else ())
        self.by_name = by(lambda h: {fold(n) for n in (h.name, *h.aliases)} if h.kind in BOXES else ())
        self.by_short = by(lambda h: {s for n in (h.name, *h.aliases) if (s := short(n))} if h.kind in BOXES else ())
        self.by_node = by(lambda h: (fold(h.node),) if h.node and h.kind in BOXES else ())
        self.by_workload = by(lambda h: h.attributes.get(WORKLOAD) or () if h.kind == "container" else ())
        self.by_peer = by(lambda h: h.attributes.get(PEERS) or ())
        self._by_any = by(lambda h: {fold(n) for n in (h.name, h.key, *h.aliases)})
        self._indexes = (self.by_key, self.by_id, self.by_name, self.by_short, self.by_node, self.by_workload,
                         self.by_peer, self._by_any)  # fmt: skip
        self._seen: dict[int, tuple[int, int]] = {}
        for host in hosts:
            self.put(host)

    def put(self, host: Host) -> None:
        """Add a host or replace its older value (by `host.id`)."""
        old, self.hosts[host.id] = self.hosts.get(host.id), host
        if old is None or _INDEXED(old) != _INDEXED(host):
            for index in self._indexes:
                index.put(old, host)

    def seen(self, host_id: int, arrived_ns: int, newest_ns: int = 0) -> None:
        """Points of this host arrived, the newest of that time: cheap, for every request. Tells clone from rename."""
        arrived, newest = self._seen.get(host_id, (0, 0))
        self._seen[host_id] = max(arrived, arrived_ns), max(newest, newest_ns)

    def last_arrived_ns(self, host: Host) -> int:
        return max(host.last_arrived_ns, self._seen.get(host.id, (0, 0))[0])

    def newest_ns(self, host: Host) -> int:
        """Its newest point's time, the arrival of it where that is not known."""
        return max(host.newest_ns or 0, self._seen.get(host.id, (0, 0))[1]) or self.last_arrived_ns(host)

    def place(self, identity: Identity, now_ns: int) -> placing.Placement:
        """The host that these metrics belong to, new or known, and every host value that changes with it."""
        return placing.place(self, identity, now_ns)

    def join(self, resource: Resource, peer: str = "") -> joining.Join:
        """The box (and container) that the spans of this resource ran on, or the reason why none is known."""
        return joining.join(self, resource, peer)

    def box_of(self, host: Host) -> Host | None:
        """The machine under a container; a box itself."""
        if host.kind != "container":
            return host
        return joining.on_node(self, host.node, host.cluster)

    def find(self, text: str) -> Host:
        """By key, name, alias, node name or id, else by unique prefix of one of them; case does not matter.

        Raises NoSuchHost or AmbiguousName, each with `candidates` (keys).
        """
        wanted = fold(text)
        host_id = normal_id(text)
        exact = (self.by_key.get(wanted), self._named(wanted), self.by_node.get(wanted), self.by_id.get(host_id))
        for found in exact:
            if found:
                return _only(found, text)
        prefixed = {h.id: h for name, h in self._by_any.items() if wanted and name.startswith(wanted)}
        if host_id is not None and len(host_id) >= 4:
            prefixed |= {h.id: h for key, h in self.by_id.items() if key.startswith(host_id)}
        if prefixed:
            return _only([prefixed[i] for i in sorted(prefixed)], text)
        near = tuple(host.key for host in self.nearest(text))
        known = f"Nearest: {', '.join(near)}." if near else "No host has reported yet." if not self.hosts else ""
        raise NoSuchHost(
            f"No host is called {text!r}. {known} list_hosts shows all.".replace("  ", " "), candidates=near
        )

    def nearest(self, text: str, limit: int = _CANDIDATES) -> list[Host]:
        """Hosts whose name, key or alias resembles the text, best first."""
        matcher = SequenceMatcher(b=fold(text))
        scores: dict[int, float] = {}
        for name, host in self._by_any.items():
            matcher.set_seq1(name)
            if min(matcher.real_quick_ratio(), matcher.quick_ratio()) < _NEAR:
                continue
            if (ratio := matcher.ratio()) >= _NEAR:
                scores[host.id] = max(ratio, scores.get(host.id, 0.0))
        return [self.hosts[i] for i in sorted(scores, key=lambda i: (-scores[i], self.hosts[i].key))[:limit]]

    def _named(self, wanted: str) -> list[Host]:
        """Exact names of any kind; a box hides a workload of the same name, a present name a former one."""
        hosts = self._by_any.get(wanted)
        boxes = [h for h in hosts if h.kind in BOXES] or hosts
        return [h for h in boxes if fold(h.name) == wanted] or boxes


def _only(found: list[Host], text: str) -> Host:
    if len(found) == 1:
        return found[0]
    keys = tuple(host.key for host in found[:_CANDIDATES])
    more = f" and {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
    raise AmbiguousName(
        f"{text!r} fits {len(found)} hosts: {', '.join(keys)}{more}. Use one of these.", candidates=keys
    )
