"""Laws of identity, for any set of resources: order and spelling do not matter, joining is a function."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from fleet import BOOT, DAY, NOW, Fleet, resource
from hosts_mcp.hosts.names import fold
from hosts_mcp.otlp.batch import Resource

_NAMES = st.from_regex(r"(web|db|node)-[1-9]", fullmatch=True)
_IDS = st.from_regex(r"[1-9a-f]{8}-[1-9a-f]{4}-[0-9a-f]{4}", fullmatch=True)


@st.composite
def machines(draw: st.DrawFn) -> list[tuple[Resource, str, int]]:
    """(resource, source, boot) of machines of distinct names and ids, each seen in several of its spellings.

    Every machine has at most one domain and sends its id alone only beside its name, as the rules need it.
    """
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    ids = draw(st.lists(_IDS, min_size=len(names), max_size=len(names), unique_by=lambda i: i.replace("-", "")))
    sent = []
    for number, name, host_id in zip(count(), names, ids, strict=False):
        long = f"{name}.example.com"
        spellings = draw(
            st.lists(
                st.sampled_from([
                    (resource(name), "hostmetrics"),
                    (resource(name, host_id), "hostmetrics"),
                    (resource(long), "hostmetrics"),
                    (resource(long, host_id), "hostmetrics"),
                    (resource(name, host_id, k8s_node_name=name), "hostmetrics"),
                    (resource(k8s_node_name=name), "kubelet"),
                    (resource(name), "app"),
                    (resource(name, host_id), "app"),
                ]),
                min_size=1,
                max_size=5,
            )
        )  # fmt: skip
        sent += [(of, source, BOOT - number * DAY) for of, source in spellings]
    return sent


def _fleet(sent: list[tuple[Resource, str, int]]) -> Fleet:
    fleet = Fleet()
    for of, source, boot_ns in sent:
        fleet.place(of, source=source, boot_ns=boot_ns)
    return fleet


def _seen(fleet: Fleet) -> set[tuple[object, ...]]:
    return {(h.kind, h.key, fold(h.name), h.host_id, tuple(map(fold, h.aliases)), h.node) for h in fleet.hosts}


@given(machines(), st.randoms(use_true_random=False))
def test_resources_in_any_order_give_the_same_hosts(sent: list[tuple[Resource, str, int]], random: object) -> None:
    shuffled = sent.copy()
    random.shuffle(shuffled)
    assert _seen(_fleet(sent)) == _seen(_fleet(shuffled))


@given(machines())
def test_resources_sent_again_change_nothing(sent: list[tuple[Resource, str, int]]) -> None:
    assert _seen(_fleet(sent)) == _seen(_fleet([*sent, *sent]))


def _respelled(text: str, upper: bool, blanks: str) -> str:
    return blanks + (text.upper() if upper else text) + blanks


@given(machines(), st.booleans(), st.sampled_from(["", " ", "\t", "  "]))
def test_case_and_blanks_of_ids_and_names_never_matter(
    sent: list[tuple[Resource, str, int]], upper: bool, blanks: str
) -> None:
    respelled = [
        (Resource({k: _respelled(str(v), upper, blanks) for k, v in of.attributes.items()}, of.key), source, boot_ns)
        for of, source, boot_ns in sent
    ]
    plain, other = _fleet(sent), _fleet(respelled)
    assert _folded(plain) == _folded(other)
    for of, _, _ in respelled:
        assert plain.join(of).host_id == other.join(of).host_id == plain.join(of).box_id


def _folded(fleet: Fleet) -> set[tuple[object, ...]]:
    return {(*row[:5], fold(str(row[5]))) for row in _seen(fleet)}


@given(machines())
def test_every_resource_that_made_a_host_joins_it_and_nothing_changes_by_asking(
    sent: list[tuple[Resource, str, int]],
) -> None:
    fleet = _fleet(sent)
    before = _seen(fleet)
    for of, source, boot_ns in sent:
        placed = fleet.placement(of, source=source, boot_ns=boot_ns, now_ns=NOW)
        assert fleet.join(of) == fleet.join(of)
        assert fleet.join(of).host_id == placed.host.id
    assert _seen(fleet) == before


@given(machines())
def test_keys_are_unique_and_find_their_host(sent: list[tuple[Resource, str, int]]) -> None:
    fleet = _fleet(sent)
    assert len({h.key for h in fleet.hosts}) == len(fleet.hosts)
    for host in fleet.hosts:
        assert fleet.inventory.find(host.key) == host
