"""The inventory: order, totals, marks, paging by bytes, silence of our own, and the empty state."""

from __future__ import annotations

import pytest
import yaml

from hosts_mcp.answers.base import MCP_BUDGET, REST_BUDGET, UNLIMITED, compact_json
from hosts_mcp.answers.collector_config import TOKEN_FROM_ENVIRONMENT, Target
from hosts_mcp.answers.list_hosts import answer
from hosts_mcp.errors import BadArgument, BadCursor
from hosts_mcp.store.protocol import Arrived
from hosts_mcp.timerange import NS

from .filling import INJECTIONS, NOW, Load, assert_harmless

MINUTE_AGO = NOW - 60 * NS


def channels(found) -> tuple[str, str]:
    return found.to_text(), compact_json(found.structured())


def busy(filling, key: str, **load):
    host = filling.host(key)
    filling.scrapes(host, Load(**load), start_ns=MINUTE_AGO - 2 * NS, end_ns=NOW - 2 * NS)
    return host


def keys(found) -> list[str]:
    return [row.host for row in found.hosts]


def test_a_live_host_shows_every_column(filling):
    busy(filling, "web-1", cpu=0.3, memory=0.5, load=1.2)
    row = answer(filling.store, now_ns=NOW).hosts[0]
    assert (row.host, row.status, row.os, row.arch, row.cpu_cores) == ("web-1", "live", "linux", "amd64", 4)
    assert row.cpu_ratio == pytest.approx(0.3, abs=0.01)
    assert row.memory_ratio == pytest.approx(0.5, abs=0.01)
    assert row.memory_bytes == 16 * 1024**3
    assert (row.load_1m, row.load_per_core, row.processes) == (1.2, 0.3, 180)


def test_totals_are_of_the_whole_fleet_and_say_how_many_were_counted(filling):
    busy(filling, "a", cpu=0.5)
    busy(filling, "b", cpu=0.25)
    filling.host("silent", age_seconds=2)
    found = answer(filling.store, query="a", now_ns=NOW)
    assert found.totals.hosts == found.totals.live == 3
    assert (found.totals.cpu_hosts, found.totals.cpu_cores) == (2, 8)
    assert found.totals.cpu_used_cores == pytest.approx(3.0, abs=0.05)
    assert "2 of 3 live hosts counted" in found.summary


def test_down_hosts_stay_listed_come_first_and_have_no_present_values(filling):
    busy(filling, "fine")
    gone = filling.host("gone", age_seconds=3600)
    filling.scrapes(gone, Load(), start_ns=NOW - 3660 * NS, end_ns=NOW - 3600 * NS)
    found = answer(filling.store, now_ns=NOW)
    assert keys(found) == ["gone", "fine"]
    assert found.hosts[0].status == "down"
    assert found.hosts[0].cpu_ratio is None
    assert found.hosts[0].reason
    assert found.next == 'host_status(host="gone")'


def test_among_equals_the_busiest_comes_first_and_the_unknown_last(filling):
    busy(filling, "idle", cpu=0.05)
    filling.host("unknown")
    busy(filling, "hot", cpu=0.9)
    assert keys(answer(filling.store, now_ns=NOW)) == ["hot", "idle", "unknown"]


def test_findings_come_before_everything_else_the_critical_first(filling):
    busy(filling, "hot", cpu=0.9)
    filling.finding(filling.host("warned"), "high_memory")
    filling.finding(filling.host("full"), "filesystem_full", "critical", subject="/var")
    filling.host("gone", age_seconds=3600)
    found = answer(filling.store, now_ns=NOW)
    assert keys(found) == ["full", "warned", "gone", "hot"]
    assert found.hosts[0].findings == ["critical filesystem_full /var"]
    assert found.totals.with_findings == 2
    assert keys(answer(filling.store, query="filesystem_full", now_ns=NOW)) == ["full"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("cpu", ["hot", "idle", "unknown"]), ("-cpu", ["idle", "hot", "unknown"]), ("name", ["hot", "idle", "unknown"]),
     ("-name", ["unknown", "idle", "hot"])],
)  # fmt: skip
def test_every_column_sorts_both_ways_with_the_unknown_last(filling, sort, order):
    busy(filling, "idle", cpu=0.05)
    busy(filling, "hot", cpu=0.9)
    filling.host("unknown")
    assert keys(answer(filling.store, sort=sort, now_ns=NOW)) == order


def test_containers_are_not_boxes_and_an_sdk_is_marked(filling):
    busy(filling, "node-1")
    filling.host("pod-7f9", kind="container")
    filling.host("laptop", kind="app", sdk_language="python")
    filling.host("k8s-1", node="k8s-1")
    found = answer(filling.store, now_ns=NOW)
    assert "pod-7f9" not in keys(found)
    assert (found.totals.hosts, found.totals.workloads, found.totals.app_reported) == (2, 1, 1)
    marks = {row.host: row.marks for row in found.hosts}
    assert marks == {"node-1": None, "laptop": ["app-reported · python"], "k8s-1": ["k8s node"]}


def test_query_finds_by_alias_id_and_os(filling):
    filling.host("web-1", aliases=("shop.example.com",), host_id="abc123")
    filling.host("db-1", os_type="windows")
    for query, expected in (("SHOP", "web-1"), ("abc1", "web-1"), ("windows", "db-1")):
        assert keys(answer(filling.store, query=query, now_ns=NOW)) == [expected]


@pytest.mark.parametrize("arguments", [{"status": "up"}, {"sort": "colour"}])
def test_an_unknown_value_is_refused_with_the_valid_ones(filling, arguments):
    filling.host("web-1")
    with pytest.raises(BadArgument, match="use") as error:
        answer(filling.store, now_ns=NOW, **arguments)
    assert error.value.candidates


def fleet(filling, count: int) -> list[str]:
    names = [f"{'ip-10-200-100-200.eu-central-1.compute.internal-worker-pool'[:60]}-{i:03}" for i in range(count)]
    for name in names:
        filling.host(name, os_type="linux", node=name, arch="arm64")
    return sorted(names)


def test_500_hosts_with_the_longest_names_keep_the_budget_and_pages_show_each_once(filling):
    names = fleet(filling, 500)
    seen: list[str] = []
    cursor = ""
    for _ in range(100):
        found = answer(filling.store, cursor=cursor, now_ns=NOW)
        for text in channels(found):
            assert len(text.encode()) <= 6_000
        seen += keys(found)
        assert found.totals.hosts == 500
        if not (cursor := found.next_cursor or ""):
            break
        assert cursor in found.to_text()
    assert sorted(seen) == names


def test_what_does_not_fit_is_said_with_the_call_that_shows_it(filling):
    fleet(filling, 100)
    found = answer(filling.store, now_ns=NOW)
    assert any("more row" in note for note in found.notes)
    assert f'list_hosts(cursor="{found.next_cursor}")' in found.to_text()


def test_the_limit_and_a_larger_budget_are_kept(filling):
    fleet(filling, 30)
    assert len(answer(filling.store, limit=3, now_ns=NOW).hosts) == 3
    assert len(answer(filling.store, now_ns=NOW, budget=REST_BUDGET).hosts) == 30
    assert len(answer(filling.store, now_ns=NOW, budget=UNLIMITED).hosts) == 30


def test_a_cursor_of_another_list_is_refused(filling):
    fleet(filling, 60)
    cursor = answer(filling.store, limit=2, now_ns=NOW).next_cursor
    with pytest.raises(BadCursor):
        answer(filling.store, query="other", cursor=cursor, now_ns=NOW)
    with pytest.raises(BadCursor):
        answer(filling.store, cursor="garbage", now_ns=NOW)


@pytest.mark.parametrize("text", INJECTIONS)
def test_foreign_text_never_comes_out_raw(filling, text):
    filling.host("web-1", name=text, aliases=(text,), os_type=text, arch=text, node=text, sdk_language=text, kind="app")
    found = answer(filling.store, query="", now_ns=NOW)
    assert_harmless(*channels(found))
    assert_harmless(*channels(answer(filling.store, query=text, now_ns=NOW)))


def test_nothing_received_says_so_and_gives_the_whole_and_the_added_configuration(filling):
    found = answer(filling.store, now_ns=NOW)
    assert found.summary == "No host yet: nothing has arrived."
    for config in (found.nothing_yet.config, found.nothing_yet.config_add):
        assert "127.0.0.1:4317" in config
        assert yaml.safe_load(config)["exporters"]
        assert config.strip() in found.to_text()
    for text in channels(found):
        assert len(text.encode()) <= MCP_BUDGET.text_bytes


def test_spans_without_host_metrics_are_named_as_what_arrived(filling):
    filling.writer.begin()
    filling.writer.count(Arrived("traces", "spans", "shop", True, 12, NOW - NS))
    filling.writer.count(Arrived("metrics", "http.server.duration", "shop", False, 99, NOW - NS))
    filling.writer.commit()
    found = answer(filling.store, now_ns=NOW)
    assert "spans" in found.summary
    assert "no host metrics" in found.summary
    assert any("shop" in line for line in found.nothing_yet.arrived)
    assert "hostmetrics" in found.nothing_yet.missing


def test_the_printed_configuration_sends_to_this_server_with_its_token(filling):
    found = answer(filling.store, now_ns=NOW, target=Target("10.0.0.5:9317", None, TOKEN_FROM_ENVIRONMENT))
    for config in (found.nothing_yet.config, found.nothing_yet.config_add):
        exporter = next(iter(yaml.safe_load(config)["exporters"].values()))
        assert exporter["endpoint"] == "10.0.0.5:9317"
        assert exporter["headers"] == {"authorization": "Bearer ${env:HOSTS_MCP_TOKEN}"}


def test_links_lead_to_the_page_when_it_is_known(filling):
    filling.host("web-1")
    assert answer(filling.store, now_ns=NOW, link_base="http://h:8787/").hosts[0].link == "http://h:8787/hosts/web-1"


def test_a_time_without_a_server_is_said_and_silence_then_is_no_fault_of_the_host(filling):
    filling.host("web-1", age_seconds=3600, first_arrived_ns=NOW - 10 * 3600 * NS)
    filling.now_ns = later = NOW + 3600 * NS
    filling.listened((later - 10 * NS, later))
    found = answer(filling.store, now_ns=later)
    assert any(note.startswith("Nobody was listening") for note in found.notes)
    assert found.hosts[0].status == "down"
    filling.host("web-2", age_seconds=3602)
    assert {r.host: r.status for r in answer(filling.store, now_ns=later).hosts} == {"web-1": "down", "web-2": "live"}


def test_while_nobody_listens_status_is_as_of_when_somebody_last_did(filling):
    filling.host("web-1")
    found = answer(filling.store, now_ns=NOW + 7200 * NS)
    assert found.hosts[0].status == "live"
    assert any("Nobody is listening since" in note for note in found.notes)


def test_the_time_before_the_first_host_is_nothing_missed(tmp_path, filling):
    filling.host("web-1", first_arrived_ns=NOW - 10 * NS)
    assert answer(filling.store, now_ns=NOW).notes is None
