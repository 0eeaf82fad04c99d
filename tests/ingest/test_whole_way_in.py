"""A real server process: recordings of real collectors in, questions answered, nothing acknowledged lost."""

import asyncio
import gzip
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from benchmarks.fleet import SimulatedHost
from hosts_mcp.ingest.pipeline import Pipeline
from hosts_mcp.otlp.batch import PointGroup
from hosts_mcp.otlp.transport import Busy, Reply, Request, Signal, Undecodable
from hosts_mcp.store.sqlite import SqliteWriter, open_reader, open_writer
from hosts_mcp.store.sqlite.segments import unpack
from in_process import InProcess
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


async def accepted(running: Pipeline, *requests: Request) -> list[Reply]:
    return await asyncio.gather(*(running.accept(request) for request in requests))


def send(path: Path, requests: list[Request]) -> list[Reply]:
    with pipeline(path) as running:
        return asyncio.run(accepted(running, *requests))


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


def test_a_defect_takes_nothing_of_its_neighbours_with_it(tmp_path: Path) -> None:
    now = time.time_ns()

    def metrics(name: str, *, at_ns: int, metric: str = "system.cpu.load_average.1m") -> Request:
        message = ExportMetricsServiceRequest()
        rm = message.resource_metrics.add()
        rm.resource.attributes.add(key="host.name").value.string_value = name
        for one in ("system.cpu.load_average.1m", metric):
            points = rm.scope_metrics.add().metrics.add(name=one).gauge.data_points
            points.add(time_unix_nano=at_ns, as_double=1.0)
        return Request(Signal.METRICS, message.SerializeToString(), "protobuf", "127.0.0.1", now)

    def opened() -> SqliteWriter:
        """A writer with a defect: it cannot keep one metric."""
        writer = open_writer(tmp_path / "x.db")
        add = writer.add_points

        def add_points(
            host_id: int, entity_id: int, source: str, groups: Sequence[PointGroup], arrived_ns: int
        ) -> None:
            add(host_id, entity_id, source, groups, arrived_ns)
            if any(slot.metric == "system.paging.poison" for group in groups for slot in group.slots):
                raise RuntimeError("a defect")

        writer.add_points = add_points  # type: ignore[method-assign]
        return writer

    before = [metrics("first", at_ns=now - 60 * 10**9), metrics("second", at_ns=now - 60 * 10**9)]
    group = [
        metrics("first", at_ns=now - 3 * 10**9),
        metrics("first", at_ns=now - 10**9, metric="system.paging.poison"),
        metrics("second", at_ns=now - 2 * 10**9),
    ]

    async def run(requests: list[Request]) -> list[Any]:
        return await asyncio.gather(*(running.accept(request) for request in requests), return_exceptions=True)

    running = Pipeline(opened)
    running.start()
    try:
        asyncio.run(run(before))
        commits = running.counters.commits
        answers = asyncio.run(run(group))
        assert running.counters.commits == commits + 1  # one group
    finally:
        running.stop()
    assert [type(answer) for answer in answers] == [Reply, Undecodable, Reply]
    store = open_reader(tmp_path / "x.db")
    newest = {host.name: host.newest_ns for host in store.hosts()}
    arrived = sum(one.count for one in store.arrived())
    store.close()
    assert newest == {"first": now - 3 * 10**9, "second": now - 2 * 10**9}
    assert arrived == 8


def test_a_stopped_pipeline_asks_the_sender_to_come_again(tmp_path: Path) -> None:
    with pipeline(tmp_path / "x.db") as running:
        pass
    with pytest.raises(Busy):
        asyncio.run(accepted(running, recorded("v0.160-grpc-nobatch.otlp.gz")[0]))


def test_a_host_that_comes_back_after_its_data_was_let_go_is_stored_under_ids_that_exist(tmp_path: Path) -> None:
    now, day = time.time_ns(), 86_400 * 10**9
    (once, *_, again) = recorded("v0.160-grpc-nobatch.otlp.gz")

    with pipeline(tmp_path / "x.db") as running:
        asyncio.run(accepted(running, replace(once, arrived_ns=now - 60 * day)))
        while running.submit(lambda w: w.retain(now, 7 * day, 30 * day, 10**12)).result():
            pass
        asyncio.run(accepted(running, replace(again, arrived_ns=now)))
    db = sqlite3.connect(tmp_path / "x.db")
    segments = [segment for (blob,) in db.execute("SELECT v FROM scrape") for segment in unpack(blob)]
    hosts, entities, layouts = (
        {row[0] for row in db.execute(f"SELECT id FROM {table}")} for table in ("host", "entity", "layout")
    )
    db.close()
    assert segments
    assert len(hosts) == 1
    assert {segment.entity for segment in segments} <= entities
    assert {segment.layout for segment in segments} <= layouts


def test_what_a_host_sends_hours_before_and_after_its_first_request_is_found(tmp_path: Path) -> None:
    hour, now = 3600 * 10**9, time.time_ns()
    box, sender = InProcess(tmp_path / "x.db"), SimulatedHost("a-host")
    times = [now - 6 * hour, now - 9 * hour, now - 3 * hour]
    box.metrics((now, sender.scrape(at)) for at in times)
    (host,) = box.reader.hosts()
    for at in times:
        found = box.reader.points(host.id, ["system.disk.io"], at, at + 10**9)
        assert len(found) == 6
    box.close()
