"""A real server process: recordings of real collectors in, questions answered, nothing acknowledged lost."""

import asyncio
import gzip
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.ingest.pipeline import Pipeline
from hosts_mcp.otlp.transport import Busy, Reply, Request, Undecodable
from hosts_mcp.store.sqlite import open_reader, open_writer
from recordings import requests_in

FIXTURES = Path(__file__).parents[2] / "fixtures" / "recorded"


@contextmanager
def pipeline(path: Path) -> Iterator[Pipeline]:
    running = Pipeline(lambda: open_writer(path))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def send(path: Path, requests: list[Request]) -> list[Reply]:
    async def run(running: Pipeline) -> list[Reply]:
        return await asyncio.gather(*(running.accept(request) for request in requests))

    with pipeline(path) as running:
        return asyncio.run(run(running))


def recorded(name: str) -> list[Request]:
    return [request for request, _ in requests_in(FIXTURES / name, time.time_ns())]


def facts(path: Path) -> Any:
    """The wide rows and full points of the one host, without what depends on arrival or numbering."""
    store = open_reader(path)
    (host,) = store.hosts()
    rows = store.sql("SELECT * FROM samples ORDER BY 1, 2, 3", max_rows=10_000, max_bytes=50_000_000).rows
    stored = store.stored(host.id)
    store.close()
    return rows, stored


def test_order_repetition_and_splitting_store_the_same(tmp_path: Path) -> None:
    requests = recorded("v0.160-grpc-nobatch.otlp.gz")
    send(tmp_path / "plain.db", requests)
    shuffled = [*requests, *requests]
    random.Random(5).shuffle(shuffled)
    send(tmp_path / "shuffled.db", shuffled)
    pieces = []
    for request in requests:
        message = ExportMetricsServiceRequest.FromString(request.body)
        for rm in message.resource_metrics:
            for sm in rm.scope_metrics:
                for metric in sm.metrics:
                    part = ExportMetricsServiceRequest()
                    one = part.resource_metrics.add(resource=rm.resource)
                    one.scope_metrics.add(scope=sm.scope, metrics=[metric])
                    pieces.append(replace(request, body=part.SerializeToString()))
    random.Random(6).shuffle(pieces)
    send(tmp_path / "pieces.db", pieces)
    assert facts(tmp_path / "plain.db") == facts(tmp_path / "shuffled.db") == facts(tmp_path / "pieces.db")


def test_metrics_without_identity_stand_in_one_visible_place_with_the_fix(tmp_path: Path) -> None:
    replies = send(tmp_path / "x.db", recorded("v0.160-grpc-noidentity.otlp.gz"))
    assert all("resourcedetection" in reply.message and reply.rejected == 0 for reply in replies)
    store = open_reader(tmp_path / "x.db")
    assert [host.kind for host in store.hosts()] == ["unidentified"]
    store.close()


def test_garbage_takes_nothing_with_it(tmp_path: Path) -> None:
    requests = recorded("v0.160-json-default.otlp.gz")
    bad = replace(requests[0], body=gzip.compress(b"x"), encoding="protobuf")

    async def run(running: Pipeline) -> list[Any]:
        mixed = [requests[0], bad, requests[1], bad, *requests[2:]]
        return await asyncio.gather(*(running.accept(r) for r in mixed), return_exceptions=True)

    with pipeline(tmp_path / "x.db") as running:
        answers = asyncio.run(run(running))
        assert [type(a) for a in answers].count(Undecodable) == 2
        assert running.counters.points == sum(1 for _ in requests) * 89
    store = open_reader(tmp_path / "x.db")
    assert store.stored(store.hosts()[0].id).points == 890
    store.close()


def test_a_stopped_pipeline_asks_the_sender_to_come_again(tmp_path: Path) -> None:
    with pipeline(tmp_path / "x.db") as running:
        pass
    with pytest.raises(Busy):
        asyncio.run(running.accept(recorded("v0.160-grpc-nobatch.otlp.gz")[0]))
