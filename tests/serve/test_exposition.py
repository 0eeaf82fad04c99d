"""GET /metrics: what a Prometheus can read, true to what was sent, behind the same door as all else."""

from __future__ import annotations

import re
import time
import urllib.request

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from hosts_mcp.serve.exposition import EXPOSED, exposition
from waiting import wait_until

from .conftest import Running, Start

_SAMPLE = re.compile(r'^([a-z_]+)(?:\{([a-z_]+)="((?:[^"\\]|\\.)*)"\})? (\S+)$')


def samples(text: str) -> dict[str, float]:
    """Every line of the text, or a failure: a comment, or a sample of a family that was announced."""
    found, announced = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in ("counter", "gauge")
            announced.add(name)
        elif not line.startswith("# HELP "):
            match = _SAMPLE.match(line)
            assert match is not None, line
            assert match[1] in announced, line
            found[match[1] + (f":{match[3]}" if match[3] else "")] = float(match[4])
    return found


def sent(running: Running, *flags: int) -> None:
    request = ExportMetricsServiceRequest()
    for flag in flags:
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="system.cpu.load_average.1m")
        metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_double=1.0, flags=flag)
    url = "http://" + running.get("/healthz").json()["otlp"]["http"] + "/v1/metrics"
    headers = {"Content-Type": "application/x-protobuf", "Authorization": "Bearer secret"}
    urllib.request.urlopen(urllib.request.Request(url, request.SerializeToString(), headers), timeout=20).close()


def test_what_was_sent_is_counted_and_only_with_the_token(start: Start) -> None:
    running = start("--otlp-http", "127.0.0.1:0", HOSTS_MCP_TOKEN="secret")
    assert running.get("/metrics").status == 401
    sent(running, 0, 0, 2)
    reply = running.get("/metrics", Authorization="Bearer secret")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(reply.body.decode())
    assert (found["hosts_mcp_requests_total"], found["hosts_mcp_points_total"]) == (1, 3)
    assert [v for k, v in found.items() if k.startswith("hosts_mcp_walked_points_total:a point with flags")] == [1]
    assert found["hosts_mcp_commits_total"] == 1
    assert found["hosts_mcp_received_bytes_total"] > 0
    assert found["hosts_mcp_database_bytes"] >= running.db.stat().st_size
    assert 0 < found["hosts_mcp_commit_lag_seconds"] < 20
    wait_until(
        lambda: b"hosts_mcp_in_flight_bytes 0\n" in running.get("/metrics", Authorization="Bearer secret").body,
        "nothing is in flight any more",
    )


def test_every_counter_of_the_table_exists_in_a_fresh_server_except_what_is_not_known_yet(server: Running) -> None:
    counters = server.get("/healthz").json()["counters"]
    assert {family.key for family in EXPOSED} <= counters.keys()
    assert counters["commit_lag_seconds"] is None or counters["requests"] > 0


def test_reasons_with_quotes_and_newlines_stay_one_line() -> None:
    text = exposition({"walked_because": {'say "no"\nto \\': 3}})
    assert samples(text)[r"hosts_mcp_walked_points_total:say \"no\"\nto \\"] == 3
    assert "hosts_mcp_points_total" not in text
