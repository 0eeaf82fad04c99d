"""What the tests of this folder share: resources in one line, and an inventory that keeps what it places."""

from __future__ import annotations

from dataclasses import replace

from hosts_mcp.hosts.identity import Identity, Inventory, Join, Placement, identify
from hosts_mcp.otlp.batch import Resource, Slot
from hosts_mcp.store.protocol import Host
from hosts_mcp.timerange import NS

DAY = 86_400 * NS
NOW = 20_000 * DAY
BOOT = NOW - DAY
CPU = (Slot("system.cpu.time", "counter", (("state", "user"),)),)
ID = "6f1c2a9e-0d3b-4c5d-8e7f-aabbccddeeff"
ANOTHER_ID = "11112222-3333-4444-5555-666677778888"


_WITH_UNDERSCORE = ("command_line", "command_args", "parent_pid")


def resource(name: str | None = None, host_id: str | None = None, **attributes: object) -> Resource:
    """Underscores stand for dots: resource("web-1", k8s_node_name="n1", container_id="…")."""
    given = {"host.name": name, "host.id": host_id} | {_dotted(k): v for k, v in attributes.items()}
    kept = {k: v for k, v in given.items() if v is not None}
    return Resource(kept, repr(sorted(kept.items())).encode())


def _dotted(key: str) -> str:
    head, _, tail = key.partition("_")
    return f"{head}.{tail if tail in _WITH_UNDERSCORE else tail.replace('_', '.')}"


class Fleet:
    """An inventory whose placements are kept, as ingest keeps them."""

    def __init__(self) -> None:
        self.inventory = Inventory()

    def placement(
        self,
        of: Resource,
        *,
        source: str = "hostmetrics",
        peer: str = "10.0.0.1",
        boot_ns: int = BOOT,
        slots: tuple[Slot, ...] = CPU,
        now_ns: int = NOW,
    ) -> Placement:
        identity: Identity = identify(of, source=source, peer=peer, start_ns=boot_ns, slots=slots)
        return self.inventory.place(identity, now_ns)

    def place(self, of: Resource, *, now_ns: int = NOW, newest_ns: int | None = None, **how: object) -> Host | None:
        placed = self.placement(of, now_ns=now_ns, **how)
        for host in placed.updated:
            self.inventory.put(host)
        if placed.host is None:
            return None
        host = replace(placed.host, id=len(self.inventory.hosts) + 1) if placed.is_new else placed.host
        self.inventory.put(host)
        self.inventory.seen(host.id, now_ns, newest_ns or now_ns)
        return self.inventory.hosts[host.id]

    def join(self, of: Resource, peer: str = "") -> Join:
        return self.inventory.join(of, peer)

    @property
    def hosts(self) -> list[Host]:
        return list(self.inventory.hosts.values())

    @property
    def boxes(self) -> list[Host]:
        return [host for host in self.hosts if host.kind in ("host", "app")]

    def names(self) -> list[str]:
        return sorted(host.name for host in self.hosts)
