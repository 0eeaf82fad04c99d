"""Every recording of real collectors that lies beside the checkout, and the repository's own: read completely.

`stored` must equal what an ordinary parse of the same bytes counts, and the order of a message's fields on the wire,
repetition, order and splitting of the requests must change neither rows nor answers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hosts_mcp.answers.was_it_the_box import answer
from hosts_mcp.otlp.transport import Request, Signal
from recordings import requests_in
from scenarios.path import Box

ROOT = Path(__file__).parents[2]
BESIDE = ROOT.parent / "shared" / "data" / "recorded"
OURS = ROOT / "fixtures" / "recorded"
METRICS = sorted(
    {path for place in (OURS, BESIDE) for path in place.glob("**/*.gz") if "traces" not in path.name},
)
ROUNDS = sorted(path.parent for path in BESIDE.glob("*/traces.otlp.gz"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT.parent))


def parsed(request: Request) -> ExportMetricsServiceRequest:
    if request.encoding == "json":
        return json_format.Parse(request.body, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    return ExportMetricsServiceRequest.FromString(request.body)


def counted(requests: Iterable[Request]) -> tuple[int, int, int]:
    """(points, series, processes). A process is one (pid, start time); a series belongs to it or to the host."""
    points: set[tuple[Any, ...]] = set()
    for request in requests:
        for rm in parsed(request).resource_metrics:
            pid = next((a.value.int_value for a in rm.resource.attributes if a.key == "process.pid"), None)
            for metric in (m for sm in rm.scope_metrics for m in sm.metrics):
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    owner = (pid, point.start_time_unix_nano) if pid else None
                    attributes = tuple(sorted((a.key, a.value.SerializeToString()) for a in point.attributes))
                    points.add((owner, metric.name, attributes, point.time_unix_nano))
    series = {point[:3] for point in points}
    return len(points), len(series), len({owner for owner, _, _ in series if owner})


def pairs(requests: Iterable[Request]) -> list[tuple[int, bytes]]:
    return [(request.arrived_ns, request.body) for request in requests]


@pytest.mark.parametrize("path", METRICS, ids=name_of)
def test_everything_in_it_is_stored(path: Path, tmp_path: Path) -> None:
    requests = [request for request, _ in requests_in(path, time.time_ns())]
    box = Box(tmp_path / "x.db")
    box.requests(requests)
    (host,) = box.reader.hosts()
    stored = box.reader.stored(host.id)
    box.close()
    assert (stored.points, stored.series, stored.processes) == counted(requests)


def in_field_order(request: Request) -> Request:
    """The same message as a serialiser writes it that goes up in field numbers (recent collectors go down)."""
    kind = ExportMetricsServiceRequest if request.signal is Signal.METRICS else ExportTraceServiceRequest
    return replace(request, body=kind.FromString(request.body).SerializeToString(deterministic=True))


def cut(request: Request) -> list[Request]:
    """One request per metric, or per span."""
    pieces = []
    if request.signal is Signal.METRICS:
        for rm in ExportMetricsServiceRequest.FromString(request.body).resource_metrics:
            for sm in rm.scope_metrics:
                for metric in sm.metrics:
                    part = ExportMetricsServiceRequest()
                    one = part.resource_metrics.add(resource=rm.resource, schema_url=rm.schema_url)
                    one.scope_metrics.add(scope=sm.scope, metrics=[metric])
                    pieces.append(part.SerializeToString())
    else:
        for rs in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            for ss in rs.scope_spans:
                for span in ss.spans:
                    traced = ExportTraceServiceRequest()
                    traced.resource_spans.add(resource=rs.resource).scope_spans.add(scope=ss.scope, spans=[span])
                    pieces.append(traced.SerializeToString())
    return [replace(request, body=body) for body in pieces]


def kept(path: Path, requests: list[Request]) -> tuple[Any, ...]:
    """Rows and answers, without what depends on arrival or numbering."""
    box = Box(path)
    box.requests(requests)
    now = max(request.arrived_ns for request in requests)
    box.derive(now)

    def rows(table: str, columns: str) -> Any:
        found = box.reader.sql(f"SELECT {columns} FROM {table}", max_rows=1_000_000, max_bytes=10**9).rows
        return sorted(map(repr, found))

    traces = [row[0] for row in box.reader.sql("SELECT trace_id FROM traces ORDER BY trace_id", max_rows=10_000).rows]
    answers = [answer(box.reader, trace, now_ns=now).model_dump(exclude={"evaluated_at"}) for trace in traces[::9]]
    facts = (
        rows("samples", "*"),
        rows("spans", "*"),
        [box.reader.stored(host.id) for host in box.reader.hosts()],
        answers,
    )
    box.close()
    return facts


@pytest.mark.parametrize("path", [p for p in METRICS if "grpc-nobatch" in p.name], ids=name_of)
def test_both_wire_orders_give_the_same(path: Path, tmp_path: Path) -> None:
    requests = [request for request, _ in requests_in(path, time.time_ns())]
    other = [in_field_order(request) for request in requests]
    assert [r.body for r in other] != [r.body for r in requests]
    assert kept(tmp_path / "sent.db", requests) == kept(tmp_path / "other.db", other)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["twice", "shuffled", "cut", "field order"])
@pytest.mark.skipif(not ROUNDS, reason="no recorded incidents beside the checkout")
def test_rows_spans_and_answers_do_not_depend_on_how_it_came(way: str, tmp_path: Path) -> None:
    place = ROUNDS[-1]
    requests = [
        request for name in ("metrics.otlp.gz", "traces.otlp.gz") for request, _ in requests_in(place / name, 0)
    ]
    other = list(requests)
    if way == "twice":
        other += requests
    elif way == "cut":
        other = [piece for request in requests for piece in cut(request)]
    elif way == "field order":
        other = [in_field_order(request) for request in requests]
    if way in ("twice", "shuffled", "cut"):
        random.Random(way).shuffle(other)
    sent = kept(tmp_path / "sent.db", requests)
    assert sent == kept(tmp_path / "other.db", other)
    _, spans, _, answers = sent
    assert len(spans) > 100
    assert len(answers) > 3
