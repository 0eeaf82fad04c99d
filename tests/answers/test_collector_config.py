"""Printed collector configurations: valid YAML that says where to send and with which token."""

from __future__ import annotations

import pytest
import yaml

from hosts_mcp.answers import collector_config as config
from hosts_mcp.answers.collector_config import LOCAL, SCRAPERS, TOKEN_FROM_ENVIRONMENT, Target

TARGETS = [
    LOCAL,
    Target("[::1]:9317", None, None),
    Target(None, "10.0.0.5:4318", 'we"ird: token'),
    Target("hosts:4317", "hosts:4318", TOKEN_FROM_ENVIRONMENT),
]


def everything(target: Target) -> list[str]:
    files = [*config.docker(target), *config.kubernetes(target)]
    return [
        config.whole(target), config.whole(target, older=True), config.add(target), config.add(target, older=True),
        *(text for _, text in files),
    ]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_every_configuration_is_yaml_and_stays_so_without_comments(target):
    for text in everything(target):
        assert yaml.safe_load(text) == yaml.safe_load(config.bare(text))


@pytest.mark.parametrize("target", TARGETS)
def test_every_exporter_has_the_endpoint_and_the_token(target):
    for text in everything(target):
        exporters = yaml.safe_load(text).get("exporters", {})
        for exporter in exporters.values():
            assert exporter["endpoint"] in (target.grpc, f"http://{target.http}", config.IN_CLUSTER)
            wanted = {"authorization": f"Bearer {target.token}"} if target.token else None
            assert exporter.get("headers") == wanted


def test_a_node_is_never_told_to_send_to_its_own_loopback():
    for text in (text for _, text in config.kubernetes(LOCAL)):
        for exporter in yaml.safe_load(text).get("exporters", {}).values():
            assert exporter["endpoint"] == config.IN_CLUSTER
    sent_to = yaml.safe_load(config.kubernetes(Target("10.0.0.5:4317", None))[0][1])["exporters"]
    assert sent_to["otlp/hosts-mcp"]["endpoint"] == "10.0.0.5:4317"


def test_http_is_used_where_grpc_is_off():
    assert list(yaml.safe_load(config.whole(Target(None, "h:4318")))["exporters"]) == ["otlphttp/hosts-mcp"]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("make", [config.whole, config.add])
def test_pipelines_name_only_components_that_are_there_or_the_existing_otlp_receiver(make, older):
    parsed = yaml.safe_load(make(LOCAL, older=older))
    for pipeline in parsed["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= {*parsed["receivers"], "otlp"}
        assert set(pipeline["processors"]) <= set(parsed["processors"])
        assert set(pipeline["exporters"]) <= set(parsed["exporters"])


def test_what_is_added_to_a_collector_replaces_nothing_of_it():
    added, there = yaml.safe_load(config.add()), yaml.safe_load(config.whole())
    for part in ("receivers", "processors"):
        assert not set(added[part]) & set(there[part])
    assert not set(added["service"]["pipelines"]) & set(there["service"]["pipelines"])


def test_the_older_variant_has_no_key_that_stops_an_older_collector():
    text = config.whole(older=True)
    for key in ("enabled: true}}}}", "mute_process_all_errors", "      system:", "logical.count", "memory.available"):
        assert key not in text.split("processors:")[0], key


@pytest.mark.parametrize("name", [name for name, *_ in SCRAPERS])
def test_a_missing_scraper_is_added_by_lines_that_merge(name):
    parsed = yaml.safe_load(config.scrapers_to_add([name]))
    assert list(parsed["receivers"]["hostmetrics"]["scrapers"]) == [name]


def test_the_process_scraper_gets_a_receiver_of_its_own():
    parsed = yaml.safe_load(config.scrapers_to_add(["disk", "process"]))
    assert set(parsed["receivers"]) == {"hostmetrics", "hostmetrics/process"}
    assert config.scrapers_to_add([]) == ""


def test_an_answer_never_has_to_hold_the_token_itself():
    text = "\n".join(everything(Target(token=TOKEN_FROM_ENVIRONMENT)))
    assert "Bearer ${env:HOSTS_MCP_TOKEN}" in text
