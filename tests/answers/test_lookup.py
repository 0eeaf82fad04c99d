"""A host is found by its key without a look at the others, and means what the whole inventory means by it."""

import pytest

from hosts_mcp.answers.lookup import find_host
from hosts_mcp.errors import AmbiguousName, NoSuchHost
from hosts_mcp.hosts.identity import Inventory

from .filling import Filling


@pytest.mark.parametrize(
    "text", ["web-1", " WEB-1 ", "web", "web-2", "db.example.org", "db", "former", "web-1-renamed", "\ud800", "nobody"]
)
def test_the_text_means_the_same_host_as_in_the_inventory(filling: Filling, text: str) -> None:
    filling.host("web-1", name="web-1-renamed", aliases=("former", "web-1"))
    filling.host("web-2", name="web-1")
    filling.host("db", name="db.example.org", kind="container")
    store = filling.store
    try:
        expected = Inventory(store.hosts()).find(text).id
    except (NoSuchHost, AmbiguousName) as error:
        with pytest.raises(type(error)):
            find_host(store, text)
        return
    assert find_host(store, text).id == expected


def test_a_host_that_changed_is_read_anew(filling: Filling) -> None:
    host = filling.host("web-1")
    assert filling.store.host("web-1") == host
    filling.writer.begin()
    filling.writer.forget(host.id)
    filling.writer.commit()
    assert filling.store.host("web-1") is None
    assert filling.store.hosts() == []
