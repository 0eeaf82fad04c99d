"""What a real collector sent, from bytes to signals: plausible figures of a two-core box."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from hosts_mcp.otlp.batch import PointGroup
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.signals.catalogue import is_host_metric, source_of
from hosts_mcp.signals.meaning import meaning
from hosts_mcp.signals.model import BoxFacts, Samples
from hosts_mcp.signals.rows import plan
from hosts_mcp.signals.samples import derive, facts_from

from .making import Reading, samples

FILE = Path(__file__).parents[2] / "fixtures" / "recorded" / "own" / "v0.160-file.jsonl.gz"


@pytest.fixture(scope="module")
def groups() -> list[PointGroup]:
    lines = gzip.decompress(FILE.read_bytes()).splitlines()
    found = [g for line in lines for g in decode_metrics(line, "json").groups]
    return [g for g in found if g.resource.text("process.pid") is None]


@pytest.fixture(scope="module")
def points(groups: list[PointGroup]) -> list[Reading]:
    return [(s, g.time_ns, g.start_ns, v) for g in groups for s, v in zip(g.slots, g.values, strict=True)]


@pytest.fixture(scope="module")
def box(points: list[Reading]) -> Samples:
    return samples(points)


def test_every_default_scraper_fills_its_group(box: Samples):
    wanted = {"cpu", "load", "memory", "paging", "disk", "filesystem", "network", "connections", "processes", "system"}
    assert wanted <= set(box)


def test_every_group_of_points_is_hostmetrics_and_the_hosts(groups: list[PointGroup]):
    assert {source_of(g.scope, g.slots) for g in groups} == {"hostmetrics"}
    assert all(is_host_metric(s.metric) for g in groups for s in g.slots)


def test_only_what_is_known_to_have_no_column_is_not_understood(groups: list[PointGroup]):
    unknown = {s.metric for g in groups for s in g.slots if meaning(s) is None}
    assert unknown <= {
        "system.disk.merged", "system.paging.operations", "system.memory.utilization", "system.filesystem.usage",
        "system.network.connections",
    }  # fmt: skip


def test_shares_lie_between_nothing_and_all_and_rates_are_not_negative(box: Samples):
    found = derive(box, BoxFacts(os_type="linux"))
    assert {"cpu_busy_ratio", "memory_used_ratio", "disk_busy_ratio", "filesystem_used_ratio"} <= set(found)
    for name, series in found.items():
        values = [v for v in series.values if v is not None]
        assert values, name
        assert min(values) >= 0, name
        if name.endswith("_ratio"):
            assert max(values) <= 1, name


def test_the_box_has_two_cpus_and_a_memory(box: Samples):
    facts = facts_from(box, BoxFacts())
    assert facts.cpu_count == 2
    assert facts.memory_bytes is None or facts.memory_bytes > 2**30


def test_one_plan_per_scraper_says_the_same_as_the_whole_tick(groups: list[PointGroup], box: Samples):
    for part in groups:
        compiled = plan(part.slots, "hostmetrics")
        for column, value in compiled.reduce(part.values).items():
            series = next(s for s in box.values() if column in s.columns)
            if part.time_ns in series.times_ns:
                assert series.columns[column][series.times_ns.index(part.time_ns)] == value


def test_any_order_of_arrival_gives_the_same_rows(points: list[Reading], box: Samples):
    shuffled = list(points)
    random.Random(7).shuffle(shuffled)
    assert samples(shuffled) == box
