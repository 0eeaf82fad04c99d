"""kill -9 of a real server under load, over gRPC and HTTP, again and again: nothing acknowledged is lost."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hosts_mcp.store.sqlite import open_reader
from ports import free_ports

KILLS = int(os.environ.get("KILLS", "20"))
"""Times that the server is killed: `KILLS=100 python -m pytest -m long tests/ingest/test_kills.py` for a long run."""
KEEP_SECONDS = 16


def metrics(moment_ns: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add()
    rm.resource.attributes.add(key="host.name").value.string_value = "killed"
    metric = rm.scope_metrics.add().metrics.add(name="system.cpu.load_average.1m")
    metric.gauge.data_points.add(time_unix_nano=moment_ns, as_double=float(moment_ns % 1000))
    return request


def trace(moment_ns: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="x", start_time_unix_nano=moment_ns)
    span.trace_id, span.span_id = moment_ns.to_bytes(16, "big"), moment_ns.to_bytes(8, "big")
    span.end_time_unix_nano = moment_ns + 1
    return request


def stored_moments(db: Path) -> set[int]:
    """Of the metrics in the file, which must open."""
    store = open_reader(db)
    (host,) = store.hosts()
    series = store.points(host.id, ["system.cpu.load_average.1m"], 0, 2**62)
    store.close()
    return {time_ns for one in series for time_ns in one.times_ns}


@pytest.mark.long
@pytest.mark.timeout(300 + 15 * KILLS)
@pytest.mark.parametrize("keep_seconds", [None, KEEP_SECONDS], ids=["keeping all", "letting go meanwhile"])
def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, keep_seconds: int | None) -> None:
    """Retention works at every start. Then only what was acknowledged lately must still be there, and old data gone."""
    db = tmp_path / "box.db"
    app, over_grpc, over_http = free_ports(3)
    command = [
        sys.executable, "-P", "-m", "hosts_mcp.cli", "serve", "--db", str(db), "--listen", f"127.0.0.1:{app}",
        "--otlp-grpc", f"127.0.0.1:{over_grpc}", "--otlp-http", f"127.0.0.1:{over_http}",
    ]  # fmt: skip
    if keep_seconds is not None:
        command += ["--retention", f"{keep_seconds}s", "--retention-long", f"{keep_seconds}s"]
    lock, next_ns, stop = threading.Lock(), [time.time_ns()], threading.Event()
    acknowledged: dict[str, list[int]] = {"metrics": [], "traces": []}
    when: dict[int, float] = {}

    def acknowledge(what: str, at: int) -> None:
        when[at] = time.monotonic()
        acknowledged[what].append(at)

    def due(what: str) -> list[int]:
        """Of those acknowledged, what may not have been let go of: sent lately enough."""
        since = time.monotonic() - (keep_seconds or float("inf")) / 2
        return [at for at in list(acknowledged[what]) if when[at] > since]

    def moment() -> int:
        with lock:
            next_ns[0] += 1_000_000_000
            return next_ns[0]

    def by_http(what: str) -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                at = moment()
                body = (metrics(at) if what == "metrics" else trace(at)).SerializeToString()
                try:
                    answer = client.post(
                        f"http://127.0.0.1:{over_http}/v1/{what}", content=body,
                        headers={"content-type": "application/x-protobuf"}, timeout=5,
                    )  # fmt: skip
                except httpx.HTTPError:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 200:
                    acknowledge(what, at)

    def by_grpc() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{over_grpc}") as channel:
            stub = MetricsServiceStub(channel)
            while not stop.is_set():
                at = moment()
                try:
                    stub.Export(metrics(at), timeout=5)
                except grpc.RpcError:
                    time.sleep(0.02)
                    continue
                acknowledge("metrics", at)

    senders = [threading.Thread(target=by_http, args=(w,)) for w in ("metrics", "metrics", "traces")]
    senders += [threading.Thread(target=by_grpc) for _ in range(2)]
    for sender in senders:
        sender.start()
    rng = random.Random(1)
    try:
        for _ in range(KILLS):
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            before = len(acknowledged["metrics"])
            deadline = time.monotonic() + 30
            while len(acknowledged["metrics"]) < before + 5 and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(rng.uniform(0.1, 0.8))
            last = due("metrics")[-200:]
            server.send_signal(signal.SIGKILL)
            server.wait()
            assert set(last) <= stored_moments(db)
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    stored = stored_moments(db)
    assert len(acknowledged["metrics"]) > 20 * KILLS
    assert set(due("metrics")) <= stored
    print(
        f"{KILLS} kills, {len(acknowledged['metrics'])} metrics and {len(acknowledged['traces'])} traces acknowledged"
    )
    store = open_reader(db)
    assert due("traces")
    assert [at for at in due("traces") if not store.trace(at.to_bytes(16, "big"))] == []
    store.close()
    if keep_seconds is not None:
        assert acknowledged["metrics"][0] not in stored, "retention had nothing to do"
