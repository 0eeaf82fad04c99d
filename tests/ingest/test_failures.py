"""What fails on the way in fails alone, and what was forgotten comes back whole."""

import asyncio
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hosts_mcp.ingest.judging import Judge
from hosts_mcp.ingest.pipeline import Pipeline
from hosts_mcp.otlp.transport import Busy, Request, Signal
from hosts_mcp.store.protocol import StoreBusy
from hosts_mcp.store.sqlite import SqliteWriter, open_reader, open_writer
from hosts_mcp.timerange import DAY_NS, NS
from in_process import InProcess

T0 = 1_780_000_000 * NS


def metrics(host: str, time_ns: int, *, names: tuple[str, ...] = (), scope: str = "") -> bytes:
    """A memory reading of a host, or one of each of these names on the points, beside the gateway's own."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    if host:
        resource.resource.attributes.add(key="host.name").value.string_value = host
    metric = resource.scope_metrics.add().metrics.add(name="mem_available" if names else "system.memory.usage")
    for name in names or ("",):
        point = metric.gauge.data_points.add(time_unix_nano=time_ns, as_double=1e9)
        if name:
            point.attributes.add(key="host.name").value.string_value = name
            point.attributes.add(key="host").value.string_value = "gateway"
        else:
            point.attributes.add(key="state").value.string_value = "used"
    return request.SerializeToString()


def span(service: str, host: str, time_ns: int) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (("service.name", service), ("host.name", host)):
        resource.resource.attributes.add(key=key).value.string_value = value
    resource.scope_spans.add().spans.add(
        trace_id=time_ns.to_bytes(16, "big"), span_id=time_ns.to_bytes(8, "big"), name="run", kind=2,
        start_time_unix_nano=time_ns, end_time_unix_nano=time_ns + NS,
    )  # fmt: skip
    return request.SerializeToString()


class Torn(SqliteWriter):
    """A file on a disk that fails to write once, and to read right after."""

    commits_to_fail = reads_to_fail = 0

    def commit(self) -> None:
        if self.commits_to_fail:
            self.commits_to_fail -= 1
            raise StoreBusy("disk I/O error")
        super().commit()

    def hosts(self):  # type: ignore[no-untyped-def]
        if self.reads_to_fail:
            self.reads_to_fail -= 1
            raise StoreBusy("disk I/O error")
        return super().hosts()


def test_the_writer_outlives_a_file_that_cannot_be_read_after_a_failed_commit(tmp_path: Path) -> None:
    def opened() -> SqliteWriter:
        writer = open_writer(tmp_path / "x.db")
        writer.__class__ = Torn
        return writer

    def send(time_ns: int) -> Request:
        return Request(Signal.METRICS, metrics("box", time_ns), "protobuf", "127.0.0.1", time_ns)

    async def story() -> None:
        await running.accept(send(T0))
        torn = running._writer
        assert isinstance(torn, Torn)
        torn.commits_to_fail, torn.reads_to_fail = 1, 2
        for n in (1, 2):
            with pytest.raises(Busy):
                await asyncio.wait_for(running.accept(send(T0 + n * NS)), 10)
        await asyncio.wait_for(running.accept(send(T0 + 3 * NS)), 10)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(asyncio.wrap_future(running.submit(lambda _: 1 // 0)), 10)
        await asyncio.wait_for(running.accept(send(T0 + 4 * NS)), 10)

    running = Pipeline(opened)
    running.start()
    try:
        asyncio.run(story())
    finally:
        running.stop()
    store = open_reader(tmp_path / "x.db")
    (host,) = store.hosts()
    assert store.stored(host.id).points == 3
    assert running.counters.points == running.counters.requests == 3, "what was refused is counted when it is stored"
    store.close()


def test_a_service_that_was_silent_for_longer_than_anything_is_kept_comes_back_with_its_host(tmp_path: Path) -> None:
    way = InProcess(tmp_path / "x.db")
    later = T0 + 9 * DAY_NS
    way.metrics([(T0, metrics("box", T0))])
    way.traces([(T0, span("monthly", "box", T0))])
    way.metrics([(later, metrics("box", later))])
    way.writer.begin()
    while way.writer.retain(later, 7 * DAY_NS, 30 * DAY_NS, 10**12):
        way.writer.commit()
        way.writer.begin()
    way.writer.commit()
    assert not [e for e in way.writer.service_entities() if e.attributes.get("service.name") == "monthly"]
    way.traces([(later, span("monthly", "box", later))])
    (service,) = way.writer.service_entities()
    assert service.host_id == way.reader.hosts()[0].id
    way.close()


def test_a_host_that_cannot_be_read_keeps_no_other_from_being_judged(tmp_path: Path) -> None:
    way = InProcess(tmp_path / "x.db")
    for n in range(20):
        now = T0 + n * 30 * NS
        way.metrics([(now, metrics(host, now)) for host in ("a", "b", "c")])
    way.writer.begin()
    broken = next(h.id for h in way.reader.hosts() if h.key == "b")
    way.writer._db.execute("UPDATE scrape SET v = x'07' WHERE host_id = ?", (broken,))
    way.writer.commit()
    judged = {host.key for host, _ in Judge(way.reader).findings(T0 + 3 * DAY_NS)}
    assert judged == {"a", "c"}
    way.close()


def test_points_that_name_their_hosts_beside_a_gateway_stay_apart(tmp_path: Path) -> None:
    way = InProcess(tmp_path / "x.db")
    for n in range(2):
        now = T0 + n * 30 * NS
        way.metrics([(now, metrics("", now, names=("a", "b")))])
    assert {h.key for h in way.reader.hosts()} >= {"a", "b"}
    counted = {h.key: way.reader.stored(h.id).points for h in way.reader.hosts()}
    assert counted["a"] == counted["b"] == 2, counted
    way.close()
