"""Claims about the index over the known hosts."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from hosts_mcp.hosts.inventory import Inventory
from hosts_mcp.hosts.resources import PEERS, WORKLOAD
from hosts_mcp.store.protocol import Host

BEFORE = Host(1, "web-1", "host", "web-1", host_id="0a" * 16, node="node-1", attributes={PEERS: ["10.0.0.1"]})
OTHER: dict[str, Any] = {
    "key": "web-2", "kind": "container", "name": "shop", "host_id": "0b" * 16, "aliases": ("web-1.example.org",),
    "node": "node-2", "attributes": {PEERS: ["10.0.0.2"], WORKLOAD: ["shop"]},
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in fields(Host) if field.name != "id"])
@pytest.mark.parametrize("kind", ["host", "container"])
def test_a_host_that_changed_is_found_as_if_it_had_always_been_so(field: str, kind: Any) -> None:
    before = replace(BEFORE, kind=kind)
    after = replace(before, **{field: OTHER.get(field, 7)})
    inventory = Inventory([before])
    inventory.put(after)
    assert entries(inventory) == entries(Inventory([after]))


def entries(inventory: Inventory) -> list[list[tuple[str, Host]]]:
    return [sorted(index.items(), key=lambda entry: entry[0]) for index in inventory._indexes]
