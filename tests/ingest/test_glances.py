"""Claims about which hosts are judged when, and what is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.timerange import NS
from in_process import InProcess

BEGIN = 1_790_000_000 * NS
SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/"


class Box:
    """One box that says every ten seconds how full its memory is."""

    def __init__(self, path: Path) -> None:
        self.store = InProcess(path)
        self.now = BEGIN

    def reports(self, seconds: int, used: float) -> None:
        for _ in range(seconds // 10):
            self.now += 10 * NS
            self.store.metrics([(self.now, memory(self.now, used))])

    def judged(self, *, every: bool = False) -> list[str] | None:
        """Codes of the level findings written, None where the box is passed over."""
        self.store.derive(self.now)
        found = list(self.store.derived.findings(self.now, every=every))
        self.store.writer.begin()
        for host, rows in found:
            if rows:
                self.store.writer.write_findings(host.id, rows)
        self.store.writer.commit()
        codes = [row.code for _, rows in found for row in rows if row.until_ns is None]
        return [code for code in codes if code != "missing_scraper"] if found else None


def memory(time_ns: int, used: float) -> bytes:
    message = ExportMetricsServiceRequest()
    rm = message.resource_metrics.add()
    rm.resource.attributes.add(key="host.name").value.string_value = "web-1"
    scope = rm.scope_metrics.add()
    scope.scope.name = SCOPE + "memoryscraper"
    metric = scope.metrics.add(name="system.memory.usage", unit="By")
    metric.sum.aggregation_temporality = 2
    for state, share in (("used", used), ("free", 1 - used)):
        point = metric.sum.data_points.add(time_unix_nano=time_ns, as_int=round(share * 10**9))
        point.attributes.add(key="state").value.string_value = state
    return message.SerializeToString()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "x.db")
    made.reports(60, 0.3)
    assert made.judged() == []
    yield made
    made.store.close()


def test_a_calm_box_is_passed_over_and_judged_after_a_while(box: Box) -> None:
    for _ in range(9):
        box.reports(60, 0.3)
        assert box.judged() is None
    box.reports(60, 0.3)
    assert box.judged() == []


def test_whoever_wants_every_box_judged_gets_it(box: Box) -> None:
    assert box.judged() is None
    assert box.judged(every=True) == []


def test_a_box_in_trouble_is_judged_at_every_look_and_watched_until_it_is_over(box: Box) -> None:
    box.reports(60, 0.3)
    assert box.judged() is None
    for _ in range(3):
        box.reports(30, 0.95)
        assert box.judged() == []  # not for two minutes yet
    box.reports(50, 0.95)
    assert box.judged() == ["high_memory"]
    box.reports(10, 0.3)
    assert box.judged() is not None


def test_trouble_that_was_over_before_a_glance_is_judged_all_the_same(box: Box) -> None:
    box.reports(150, 0.95)
    box.reports(140, 0.3)
    assert box.judged() is not None
    assert [row.code for row in box.store.reader.findings(open_only=False) if row.until_ns] == ["high_memory"]


def test_a_box_that_falls_silent_is_judged_at_once(box: Box) -> None:
    box.now += 600 * NS
    assert box.judged() == ["not_reporting"]
