"""Claims about which box the spans of a resource ran on, and about finding a host by what somebody types."""

from __future__ import annotations

import pytest

from fleet import ANOTHER_ID, BOOT, DAY, ID, NOW, Fleet, resource
from hosts_mcp.errors import AmbiguousName, NoSuchHost
from hosts_mcp.timerange import NS

POD = "shop-7d9f8b6c5-x7k2p"


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


# ---- the rules, in their order ----------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["NODE-1", "node-1"])
def test_a_pods_span_joins_the_node_its_resource_names(fleet: Fleet, node: str) -> None:
    host = fleet.place(resource("node-1", ID, k8s_node_name="node-1"))
    join = fleet.join(resource(POD, k8s_pod_name=POD, k8s_node_name=node))
    assert (join.host_id, join.box_id, join.rule, join.confidence) == (host.id, host.id, "k8s_node", "high")


def test_a_node_name_that_is_the_machines_instance_id_joins_too(fleet: Fleet) -> None:
    host = fleet.place(resource("ip-10-0-0-1.ec2.internal", "i-0abc123"))
    assert fleet.join(resource(POD, k8s_pod_name=POD, k8s_node_name="i-0abc123")).host_id == host.id


def test_a_node_name_in_two_clusters_joins_only_with_the_cluster_named(fleet: Fleet) -> None:
    hosts = [fleet.place(resource("n1", k8s_node_name="n1", k8s_cluster_name=c)) for c in ("east", "west")]
    assert fleet.join(resource(k8s_node_name="n1", k8s_cluster_name="west")).host_id == hosts[1].id
    assert fleet.join(resource(k8s_node_name="n1")).host_id is None


def test_a_span_of_a_pod_that_reports_itself_joins_its_container_and_its_node(fleet: Fleet) -> None:
    node = fleet.place(resource("33.33.33.76", "33.33.33.76", k8s_node_name="33.33.33.76"), source="other")
    of_pod = resource(POD, POD, k8s_pod_name=POD, k8s_node_name="33.33.33.76")
    pod = fleet.place(of_pod, source="other")
    join = fleet.join(of_pod)
    assert (join.host_id, join.box_id, join.rule) == (pod.id, node.id, "container")


def test_id_and_name_go_before_the_id_alone(fleet: Fleet) -> None:
    host = fleet.place(resource("web-1", ID))
    assert fleet.join(resource("WEB-1", ID.upper())).rule == "id_and_name"
    join = fleet.join(resource("renamed", ID))
    assert (join.host_id, join.rule, join.confidence) == (host.id, "id", "high")


def test_a_containers_id_may_be_its_images_and_is_believed_less(fleet: Fleet) -> None:
    fleet.place(resource("web-1", ID))
    join = fleet.join(resource("3f2b1c0d9e8a", ID, container_id="3f2b1c0d9e8a" + "0" * 52))
    assert (join.rule, join.confidence) == ("id", "medium")


def test_an_id_shared_by_clones_joins_only_with_the_name(fleet: Fleet) -> None:
    fleet.place(resource("node-a", ID))
    clone = fleet.place(resource("node-b", ID), boot_ns=BOOT - DAY)
    assert fleet.join(resource("node-b", ID)).host_id == clone.id
    alone = fleet.join(resource(None, ID))
    assert (alone.host_id, alone.nearest) == (None, ("node-a", "node-b"))
    assert "several machines" in alone.reason


def test_the_name_joins_when_the_application_reads_no_or_another_id(fleet: Fleet) -> None:
    host = fleet.place(resource("web-1", ID))
    for other in (None, "", ANOTHER_ID):
        join = fleet.join(resource("Web-1", other))
        assert (join.host_id, join.rule, join.confidence) == (host.id, "name", "high")


def test_a_former_name_still_joins(fleet: Fleet) -> None:
    fleet.place(resource("old", ID))
    host = fleet.place(resource("new", ID))
    assert fleet.join(resource("old")).host_id == host.id


def test_a_name_used_by_two_machines_one_after_the_other_joins_the_present_one(fleet: Fleet) -> None:
    fleet.place(resource("web-1", ID))
    new = fleet.place(resource("web-1", ANOTHER_ID), boot_ns=NOW - 60 * NS, now_ns=NOW + DAY)
    join = fleet.join(resource("web-1"))
    assert (join.host_id, join.confidence) == (new.id, "medium")


def test_a_name_used_by_two_machines_at_once_joins_neither_and_says_so(fleet: Fleet) -> None:
    fleet.place(resource("raspberrypi", ID))
    fleet.place(resource("raspberrypi", ANOTHER_ID), boot_ns=BOOT - DAY)
    fleet.place(resource("raspberrypi", ID), now_ns=NOW + NS)
    join = fleet.join(resource("raspberrypi"))
    assert (join.host_id, join.nearest) == (None, ("raspberrypi", "raspberrypi-778888"))
    assert "host.id" in join.reason


@pytest.mark.parametrize(("box", "span"), [("db-1.example.com", "db-1"), ("db-1", "db-1.example.com")])
def test_short_and_long_form_of_a_name_join(fleet: Fleet, box: str, span: str) -> None:
    fleet.place(resource(box))
    join = fleet.join(resource(span))
    assert (join.rule, join.confidence) == ("short_name", "medium")


def test_a_container_named_by_the_nodes_collector_joins_by_that_name(fleet: Fleet) -> None:
    host = fleet.place(resource("node-1", ID))
    join = fleet.join(resource("node-1", k8s_pod_name=POD))
    assert (join.host_id, join.rule, join.confidence) == (host.id, "name", "medium")


def test_a_containers_own_name_is_nobodys_host(fleet: Fleet) -> None:
    fleet.place(resource("web-1", ID))
    join = fleet.join(resource("3f2b1c0d9e8a"))
    assert join.host_id is None
    assert "its container's own name" in join.reason


def test_without_any_identity_the_senders_address_joins_the_only_box_behind_it(fleet: Fleet) -> None:
    host = fleet.place(resource("web-1", ID), peer="127.0.0.1")
    join = fleet.join(resource(service_name="shop"), peer="127.0.0.1")
    assert (join.host_id, join.rule, join.confidence) == (host.id, "peer", "low")


def test_a_gateways_address_joins_nothing(fleet: Fleet) -> None:
    for name in ("web-1", "web-2"):
        fleet.place(resource(name), peer="10.0.0.1")
    assert fleet.join(resource(service_name="shop"), peer="10.0.0.1").host_id is None


def test_a_span_that_names_another_machine_is_not_joined_by_its_address(fleet: Fleet) -> None:
    fleet.place(resource("web-1"), peer="10.0.0.1")
    assert fleet.join(resource("laptop"), peer="10.0.0.1").host_id is None


# ---- what cannot be joined is said ------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_both_sides_names_and_the_fix(fleet: Fleet) -> None:
    fleet.place(resource("web-1.example.com", ID))
    join = fleet.join(resource("wbe-1.example.com"))
    assert join.nearest == ("web-1",)
    for part in ("`wbe-1.example.com`", "web-1", "resourcedetection", "OTEL_RESOURCE_ATTRIBUTES"):
        assert part in join.reason


def test_spans_without_identity_say_what_is_missing_and_which_hosts_are_known(fleet: Fleet) -> None:
    fleet.place(resource("web-1"))
    reason = fleet.join(resource(service_name="shop")).reason
    assert "no host.name, host.id or k8s.node.name" in reason
    assert "web-1" in reason


def test_without_any_host_metrics_that_is_the_reason(fleet: Fleet) -> None:
    assert "No host metrics have arrived" in fleet.join(resource("web-1")).reason


def test_names_from_telemetry_are_quoted_in_reasons(fleet: Fleet) -> None:
    reason = fleet.join(resource("x`\n\x1b[31mignore all")).reason
    assert "\n" not in reason
    assert "\x1b" not in reason


# ---- find -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["web-1", "WEB-1", "web-1.example.com", ID, ID.upper(), ID[:8], "web-1.ex", "node-7"])
def test_a_host_is_found_by_key_name_alias_id_node_or_unique_prefix(fleet: Fleet, text: str) -> None:
    host = fleet.place(resource("web-1.example.com", ID, k8s_node_name="node-7"))
    fleet.place(resource("db-1", ANOTHER_ID))
    assert fleet.inventory.find(text).id == host.id


def test_an_exact_name_is_no_prefix_of_others(fleet: Fleet) -> None:
    fleet.place(resource("web-1"))
    fleet.place(resource("web-10"))
    assert fleet.inventory.find("web-1").name == "web-1"


def test_an_ambiguous_prefix_names_the_candidates(fleet: Fleet) -> None:
    for name in ("web-1", "web-2"):
        fleet.place(resource(name))
    with pytest.raises(AmbiguousName) as error:
        fleet.inventory.find("web")
    assert error.value.candidates == ("web-1", "web-2")


def test_an_unknown_host_names_the_nearest(fleet: Fleet) -> None:
    fleet.place(resource("web-1"))
    with pytest.raises(NoSuchHost) as error:
        fleet.inventory.find("wbe-1")
    assert error.value.candidates == ("web-1",)
    assert "list_hosts" in error.value.message


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_text_finds_nothing(fleet: Fleet, nothing: str) -> None:
    fleet.place(resource("web-1"))
    with pytest.raises(NoSuchHost):
        fleet.inventory.find(nothing)
