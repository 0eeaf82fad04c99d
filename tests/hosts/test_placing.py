"""Claims about which host metrics belong to."""

from __future__ import annotations

import pytest

from fleet import ANOTHER_ID, BOOT, DAY, ID, NOW, Fleet, resource
from hosts_mcp.hosts.identity import hosts_on_points, identify
from hosts_mcp.hosts.resources import PEERS, REPLACES
from hosts_mcp.otlp.batch import Slot
from hosts_mcp.timerange import NS

HEX = "3f2b1c0d9e8a"
POD = "agent-7d9f8b6c5-x7k2p"


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


# ---- ids and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["Web-1", " web-1 ", "WEB-1.", "web-1"])
def test_case_blanks_and_a_closing_dot_of_a_name_make_no_second_host(fleet: Fleet, other: str) -> None:
    first = fleet.place(resource("web-1"))
    assert fleet.place(resource(other)) == first


@pytest.mark.parametrize("other", [ID.upper(), ID.replace("-", ""), "{" + ID + "}", f" {ID} "])
def test_case_dashes_and_braces_of_an_id_make_no_second_host(fleet: Fleet, other: str) -> None:
    first = fleet.place(resource("web-1", ID))
    assert fleet.place(resource("web-1", other)).id == first.id


@pytest.mark.parametrize(
    "nothing", ["", "unknown", "None", "uninitialized", "00000000-0000-0000-0000-000000000000", "ffffffff", "  "]
)
def test_an_id_that_says_nothing_is_no_id(fleet: Fleet, nothing: str) -> None:
    fleet.place(resource("web-1", nothing))
    fleet.place(resource("web-2", nothing))
    assert [(h.name, h.host_id) for h in fleet.hosts] == [("web-1", None), ("web-2", None)]


@pytest.mark.parametrize(
    "nothing", ["localhost", "LOCALHOST", "localhost.localdomain", "", "unknown", "hostname", "${HOSTNAME}"]
)
def test_a_name_that_every_machine_could_have_identifies_none(fleet: Fleet, nothing: str) -> None:
    assert fleet.place(resource(nothing)).kind == "unidentified"


def test_localhost_beside_an_id_is_named_by_the_id_until_a_name_comes(fleet: Fleet) -> None:
    assert fleet.place(resource("localhost", ID)).name == ID
    host = fleet.place(resource("web-1", ID))
    assert (host.name, host.aliases, len(fleet.hosts)) == ("web-1", (), 1)


def test_a_name_only_host_is_upgraded_in_place_when_its_id_appears(fleet: Fleet) -> None:
    before = fleet.place(resource("web-1"))
    after = fleet.place(resource("web-1", ID))
    assert (after.id, after.key, after.host_id) == (before.id, "web-1", ID.replace("-", ""))


def test_a_name_only_source_joins_the_one_host_of_that_name(fleet: Fleet) -> None:
    host = fleet.place(resource("web-1", ID))
    assert fleet.place(resource("web-1"), source="telegraf").id == host.id
    assert fleet.hosts[0].sources == ("hostmetrics", "telegraf")


def test_an_agent_that_sends_nothing_but_an_id_is_a_host_named_by_it(fleet: Fleet) -> None:
    host = fleet.place(resource(None, "4520031799277581759"))
    assert (host.kind, host.name, host.key) == ("host", "4520031799277581759", "4520031799277581759")


def test_short_and_fully_qualified_name_are_one_host_whichever_comes_first() -> None:
    for order in (("db-1", "db-1.example.com"), ("db-1.example.com", "db-1")):
        fleet = Fleet()
        for name in order:
            fleet.place(resource(name))
        assert [(h.name, h.aliases, h.key) for h in fleet.hosts] == [("db-1.example.com", ("db-1",), "db-1")]


def test_a_short_name_that_fits_two_domains_joins_neither(fleet: Fleet) -> None:
    fleet.place(resource("db-1.east.example.com", ID))
    fleet.place(resource("db-1.west.example.com", ANOTHER_ID))
    fleet.place(resource("db-1"))
    assert fleet.names() == ["db-1", "db-1.east.example.com", "db-1.west.example.com"]


def test_addresses_have_no_short_name(fleet: Fleet) -> None:
    fleet.place(resource("10.1.0.1"))
    fleet.place(resource("10.2.0.2"))
    assert [h.key for h in fleet.hosts] == ["10.1.0.1", "10.2.0.2"]


# ---- renames, clones, reinstalls --------------------------------------------------------------------------------


def test_a_rename_keeps_key_and_history(fleet: Fleet) -> None:
    before = fleet.place(resource("old-name", ID))
    after = fleet.place(resource("new-name", ID))
    assert (after.id, after.key, after.name, after.aliases) == (before.id, "old-name", "new-name", ("old-name",))
    assert fleet.inventory.find("new-name") == fleet.inventory.find("old-name") == after


def test_a_rename_with_a_reboot_is_no_clone(fleet: Fleet) -> None:
    fleet.place(resource("old-name", ID), newest_ns=NOW - 90 * NS, now_ns=NOW - 90 * NS)
    after = fleet.place(resource("new-name", ID), boot_ns=NOW - 60 * NS)
    assert (after.name, after.shared_id, len(fleet.hosts)) == ("new-name", False, 1)


def test_two_names_of_one_machine_do_not_take_turns(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.place(resource("ip-10-0-0-7", ID))
        host = fleet.place(resource("worker-7", ID))
    assert (host.name, host.aliases) == ("worker-7", ("ip-10-0-0-7",))
    assert fleet.placement(resource("ip-10-0-0-7", ID)).updated == ()


def test_clones_with_one_machine_id_are_split_and_marked(fleet: Fleet) -> None:
    fleet.place(resource("node-a", ID))
    fleet.place(resource("node-b", ID), boot_ns=BOOT - DAY)
    fleet.place(resource("node-c", ID), boot_ns=BOOT - 2 * DAY)
    fleet.place(resource("node-a", ID))
    assert [(h.name, h.shared_id) for h in fleet.hosts] == [("node-a", True), ("node-b", True), ("node-c", True)]
    assert len({h.key for h in fleet.hosts}) == 3


def test_an_id_alone_never_joins_a_clone(fleet: Fleet) -> None:
    fleet.place(resource("node-a", ID))
    fleet.place(resource("node-b", ID), boot_ns=BOOT - DAY)
    assert fleet.place(resource(None, ID)).name == ID


def test_the_same_name_with_a_new_id_is_a_reinstall_linked_to_the_old_host(fleet: Fleet) -> None:
    old = fleet.place(resource("web-1", ID))
    new = fleet.place(resource("web-1", ANOTHER_ID), boot_ns=NOW - 60 * NS, now_ns=NOW + DAY)
    assert new.id != old.id
    assert (new.key, new.attributes[REPLACES]) == ("web-1-778888", "web-1")


def test_after_a_reinstall_a_name_only_source_joins_the_host_that_still_lives(fleet: Fleet) -> None:
    fleet.place(resource("web-1", ID))
    new = fleet.place(resource("web-1", ANOTHER_ID), boot_ns=NOW - 60 * NS, now_ns=NOW + DAY)
    assert fleet.place(resource("web-1"), source="telegraf", now_ns=NOW + DAY).id == new.id


def test_an_id_that_changes_with_every_restart_of_the_collector_makes_no_duplicates(fleet: Fleet) -> None:
    for n in range(5):
        fleet.place(resource("web-1", f"{n}{ID[1:]}"), boot_ns=BOOT + n % 2 * NS)
    assert fleet.names() == ["web-1"]


# ---- containers, pods, nodes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "of",
    [
        resource(HEX),
        resource("shop", container_id="a" * 64),
        resource(POD, k8s_pod_name=POD, k8s_node_name="node-1"),
        resource(POD, k8s_node_name="node-1"),
        resource("node-1", k8s_pod_uid="u-1", k8s_node_name="node-1"),
    ],
)
def test_a_container_or_pod_with_metrics_is_never_a_box(fleet: Fleet, of: object) -> None:
    host = fleet.place(of, source="app")
    assert (host.kind, host.host_id, host.aliases) == ("container", None, ())


def test_a_pod_and_its_node_stay_apart_though_both_report_as_hosts(fleet: Fleet) -> None:
    node = fleet.place(resource("33.33.33.76", "33.33.33.76", k8s_node_name="33.33.33.76"), source="other")
    pod = fleet.place(resource(POD, POD, k8s_pod_name=POD, k8s_node_name="33.33.33.76"), source="other")
    assert (node.kind, node.node, pod.kind, pod.node) == ("host", "33.33.33.76", "container", "33.33.33.76")
    assert fleet.inventory.box_of(pod) == node


def test_a_restarted_container_of_a_pod_is_the_same_workload(fleet: Fleet) -> None:
    first = fleet.place(resource(k8s_pod_uid="u-1", k8s_pod_name="db-0", container_id="a" * 64), source="app")
    again = fleet.place(resource(k8s_pod_uid="u-1", k8s_pod_name="db-0", container_id="b" * 64), source="app")
    assert again.id == first.id


def test_pods_of_one_name_in_two_namespaces_are_two(fleet: Fleet) -> None:
    for namespace in ("red", "blue"):
        fleet.place(resource(k8s_pod_name="db-0", k8s_namespace_name=namespace), source="app")
    assert len(fleet.hosts) == 2


def test_a_collector_in_a_pod_reads_the_machine_and_is_named_by_the_node(fleet: Fleet) -> None:
    host = fleet.place(resource(POD, k8s_pod_name=POD, k8s_node_name="node-1"))
    assert (host.kind, host.name, host.node, host.aliases) == ("host", "node-1", "node-1", ())


def test_kubelet_metrics_join_their_node_whichever_comes_first() -> None:
    collector, kubelet = resource("node-1", ID, k8s_node_name="node-1"), resource(k8s_node_name="node-1")
    slots = (Slot("k8s.node.cpu.time", "counter"),)
    for order in ((0, 1), (1, 0)):
        fleet = Fleet()
        for which in order:
            if which:
                fleet.place(kubelet, source="kubelet", slots=slots)
            else:
                fleet.place(collector)
        assert [(h.kind, h.name, h.node) for h in fleet.hosts] == [("host", "node-1", "node-1")]


def test_nodes_of_one_name_in_two_clusters_are_two_hosts(fleet: Fleet) -> None:
    for cluster in ("east", "west"):
        fleet.place(resource("node-1", k8s_node_name="node-1", k8s_cluster_name=cluster))
    assert [h.cluster for h in fleet.hosts] == ["east", "west"]
    assert len({h.key for h in fleet.hosts}) == 2


def test_a_collector_redeployed_in_containers_is_one_machine_with_former_names(fleet: Fleet) -> None:
    for name in (HEX, "aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        host = fleet.place(resource(name))
    assert (len(fleet.hosts), host.name, host.key) == (1, "bbbbbbbbbbbb", HEX)


# ---- other senders ----------------------------------------------------------------------------------------------


def test_a_box_that_only_an_application_reports_is_marked_until_a_collector_reports_it(fleet: Fleet) -> None:
    app = resource("laptop", telemetry_sdk_language="python")
    before = fleet.place(app, source="app", boot_ns=NOW)
    assert (before.kind, before.sdk_language) == ("app", "python")
    after = fleet.place(resource("laptop", ID))
    assert (after.id, after.kind, after.sources) == (before.id, "host", ("app", "hostmetrics"))


def test_an_application_that_reads_another_id_is_on_the_same_box_whichever_comes_first() -> None:
    for order in ((0, 1), (1, 0)):
        fleet = Fleet()
        for which in order:
            if which:
                fleet.place(resource("web-1", ANOTHER_ID), source="app", boot_ns=0)
            else:
                fleet.place(resource("web-1", ID))
        assert [(h.kind, h.host_id) for h in fleet.hosts] == [("host", ID.replace("-", ""))]


def test_an_application_does_not_rename_a_box(fleet: Fleet) -> None:
    fleet.place(resource("web-1", ID))
    host = fleet.place(resource("my-service", ID), source="app")
    assert (host.name, host.aliases) == ("web-1", ("my-service",))


def test_a_host_name_on_the_points_identifies_where_the_resource_does_not(fleet: Fleet) -> None:
    slots = (Slot("cpu_usage_idle", "gauge", (("cpu", "cpu-total"), ("host", "tele-1"))),)
    assert fleet.place(resource(), source="telegraf", slots=slots).name == "tele-1"


def test_points_of_several_hosts_in_one_resource_are_told_apart() -> None:
    slots = tuple(Slot("system_load1", "gauge", (("host", name),)) for name in ("a", "b", "a"))
    assert hosts_on_points(slots) == {"a": (0, 2), "b": (1,)}
    assert identify(resource(), source="telegraf", slots=slots).kind == "unidentified"


def test_a_node_exporter_is_named_by_its_nodename_and_keeps_the_scrape_address(fleet: Fleet) -> None:
    target = resource(service_name="node", service_instance_id="10.0.0.9:9100", server_address="10.0.0.9")
    load = (Slot("node_load1", "gauge"),)
    uname = (*load, Slot("node_uname_info", "gauge", (("nodename", "web-9"),)))
    fleet.place(target, source="node_exporter", slots=load, boot_ns=0)
    host = fleet.place(target, source="node_exporter", slots=uname, boot_ns=0)
    assert fleet.place(target, source="node_exporter", slots=load, boot_ns=0) == host
    assert (len(fleet.hosts), host.name, host.aliases) == (1, "web-9", ("10.0.0.9",))


@pytest.mark.parametrize("metric", ["process.cpu.time", "http.server.duration"])
def test_process_or_application_metrics_alone_make_no_host(fleet: Fleet, metric: str) -> None:
    placed = fleet.placement(resource("web-1"), source="app", slots=(Slot(metric, "counter"),))
    assert placed.host is None
    assert "no host metrics" in placed.reason


def test_processes_belong_to_the_host_of_their_host_attributes(fleet: Fleet) -> None:
    host = fleet.place(resource("web-1", ID))
    process = resource("web-1", ID, process_pid=42, process_command_line="secret")
    placed = fleet.placement(process, boot_ns=NOW - 60 * NS, slots=(Slot("process.cpu.time", "counter"),))
    assert (placed.host.id, placed.updated) == (host.id, ())
    assert "secret" not in repr(placed.host)


# ---- without any identity ---------------------------------------------------------------------------------------


def test_metrics_without_identity_go_to_one_visible_source_per_machine(fleet: Fleet) -> None:
    first = fleet.place(resource(), peer="127.0.0.1")
    assert (first.kind, first.name) == ("unidentified", "unidentified-127.0.0.1-1")
    assert first.key == first.name
    assert fleet.place(resource(os_type="linux"), peer="127.0.0.1", boot_ns=BOOT + 2 * NS).id == first.id


def test_machines_behind_one_gateway_are_told_apart_by_their_boot_times(fleet: Fleet) -> None:
    for boot_ns in (BOOT, BOOT - DAY, BOOT, BOOT - DAY):
        fleet.place(resource(), boot_ns=boot_ns)
    assert fleet.names() == ["unidentified-10.0.0.1-1", "unidentified-10.0.0.1-2"]


def test_a_reboot_of_the_only_unidentified_machine_makes_no_second_source(fleet: Fleet) -> None:
    fleet.place(resource())
    fleet.place(resource(), boot_ns=NOW + 60 * NS, now_ns=NOW + 90 * NS)
    assert fleet.names() == ["unidentified-10.0.0.1-1"]


def test_processes_without_identity_go_to_the_one_machine_of_their_sender(fleet: Fleet) -> None:
    process = resource(process_pid=7)
    before = fleet.place(process, boot_ns=NOW - 7 * NS, slots=(Slot("process.cpu.time", "counter"),))
    after = fleet.place(resource())
    assert (before.boot_ns, after.boot_ns, after.id) == (None, BOOT, before.id)


def test_the_senders_addresses_are_remembered(fleet: Fleet) -> None:
    fleet.place(resource("web-1"), peer="10.0.0.9")
    assert fleet.place(resource("web-1"), peer="10.0.0.1").attributes[PEERS] == ["10.0.0.1", "10.0.0.9"]


def test_placing_changes_nothing_by_itself(fleet: Fleet) -> None:
    assert fleet.placement(resource("web-1")) == fleet.placement(resource("web-1"))
    assert fleet.hosts == []
