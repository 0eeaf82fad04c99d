"""The story's scrapes have the form of a real collector's, recorded in fixtures/recorded/own."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.demo.story import Options, Story

OWN = Path(__file__).parents[2] / "fixtures" / "recorded" / "own"
NOW_NS = 1_795_600_000 * 10**9


def recorded(name: str) -> list[bytes]:
    content, at, bodies = gzip.decompress((OWN / name).read_bytes()), 0, []
    while at < len(content):
        _, _, length = struct.unpack_from("<qcI", content, at)
        bodies.append(content[at + 13 : at + 13 + length])
        at += 13 + length
    return bodies


def form(bodies: list[bytes]) -> dict[str, tuple[Any, ...]]:
    """Metric -> everything about it but its values, times and devices."""
    found: dict[str, tuple[Any, ...]] = {}
    for body in bodies:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for in_scope in of_resource.scope_metrics:
                for metric in in_scope.metrics:
                    gauge = metric.HasField("gauge")
                    points = metric.gauge.data_points if gauge else metric.sum.data_points
                    kind = "gauge" if gauge else (metric.sum.aggregation_temporality, metric.sum.is_monotonic)
                    keys = sorted({tuple(a.key for a in point.attributes) for point in points})
                    types = sorted({point.WhichOneof("value") or "" for point in points})
                    about = (metric.unit, metric.description, kind, keys, types, of_resource.schema_url)
                    found[metric.name] = (in_scope.scope.name, in_scope.scope.version, *about)
    return found


def resource_keys(bodies: list[bytes]) -> set[tuple[str, ...]]:
    return {
        tuple(a.key for a in of_resource.resource.attributes)
        for body in bodies
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
    }


@pytest.fixture(scope="module")
def made() -> list[bytes]:
    story = Story(Options(), NOW_NS)
    return [s.body for s in story.until(story.start_ns + 120 * 10**9) if s.signal == "metrics"]


@pytest.mark.parametrize("recording", ["v0.160-grpc.otlp.gz", "v0.160-http.otlp.gz"])
def test_every_metric_looks_exactly_as_in_the_recording(made: list[bytes], recording: str) -> None:
    assert form(made) == form(recorded(recording))


def test_resources_carry_the_same_attributes_in_the_same_order(made: list[bytes]) -> None:
    assert resource_keys(made) == resource_keys(recorded("v0.160-grpc.otlp.gz"))


def test_fields_come_in_the_collector_s_order(made: list[bytes]) -> None:
    """The schema URL (field 3) first and the resource (field 1) last, in each ResourceMetrics."""
    for body in (recorded("v0.160-grpc.otlp.gz")[0], made[0]):
        assert body[0] == 0x0A
        start = 2 if body[1] < 0x80 else 3
        assert body[start] == 0x1A


def test_faults_and_paging_are_multiples_of_4096(made: list[bytes]) -> None:
    for body in made:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in of_resource.scope_metrics[0].metrics:
                if metric.name.startswith("system.paging."):
                    assert all(point.as_int % 4096 == 0 for point in metric.sum.data_points)
