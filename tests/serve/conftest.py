"""Real servers in processes of their own, on ports of their own, with a little real OTLP in them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ports import free_ports
from waiting import PATIENCE_SECONDS, wait_until

HOSTS_MCP = [sys.executable, "-P", "-m", "hosts_mcp.cli"]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def clean_environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("HOSTS_MCP_")} | more


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A `hosts-mcp serve` that is ready."""

    process: subprocess.Popen[bytes]
    db: Path
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, {k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            # A stream has no end; its headers say enough.
            streams = response.headers.get_content_type() == "text/event-stream"
            return Reply(response.status, response.headers, b"" if streams else response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


Start = Callable[..., Running]


@contextlib.contextmanager
def serving(folder: Path, *flags: str, db: Path | None = None, **environment: str) -> Iterator[Running]:
    """A server on free ports with OTLP off, unless the flags say otherwise."""
    db = db or folder / "box.db"
    log = folder / f"log-{time.monotonic_ns()}"
    (port,) = free_ports(1)
    command = [*HOSTS_MCP, "serve", "--db", str(db), "--listen", f"127.0.0.1:{port}"]
    command += ["--otlp-grpc", "off", "--otlp-http", "off", *flags]
    with log.open("wb") as lines:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=lines,
            env=clean_environment(**environment),
        )  # fmt: skip
    announcement = db.with_name(db.name + ".server.json")

    def ready() -> Any:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(announcement.read_text())
            return found if found["pid"] == process.pid else None

    try:
        found = wait_until(ready, "the server is ready")
        yield Running(process, db, int(found["url"].rsplit(":", 1)[1]), log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda *flags, **more: stack.enter_context(serving(tmp_path, *flags, **more))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that only ask. It knows web-1, one trace on it, and an unknown to nobody."""
    with serving(tmp_path_factory.mktemp("serve")) as running:
        for signal_name, body in little_otlp(time.time_ns()):
            reply = running.request("POST", f"/inside/import/{signal_name}", body, Content_Type="application/json")
            assert reply.status == 200, reply.body
        running.request("POST", "/inside/settle")
        yield running


def little_otlp(now_ns: int) -> list[tuple[str, dict[str, Any]]]:
    """Ten minutes of web-1's CPU, load and memory every ten seconds, and one failed trace of two spans on it."""
    ticks = [now_ns - (60 - i) * 10_000_000_000 for i in range(61)]
    return [("metrics", _scrape(i, tick, ticks[0])) for i, tick in enumerate(ticks)] + [("traces", _trace(now_ns))]


def _attributes(**values: str | int) -> list[dict[str, Any]]:
    return [
        {"key": k.replace("__", "."), "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in values.items()
    ]


_RESOURCE = {"attributes": _attributes(host__name="web-1", host__id="4c4c4544", os__type="linux")}


def _scrape(number: int, tick: int, boot: int) -> dict[str, Any]:
    def point(value: float, **attributes: str) -> dict[str, Any]:
        at = {"timeUnixNano": str(tick), "startTimeUnixNano": str(boot)}
        return at | {"asDouble": value, "attributes": _attributes(**attributes)}

    cpu = [
        point(number * 10.0 * share, state=state) for state, share in (("user", 1.2), ("system", 0.3), ("idle", 2.5))
    ]
    memory = [point(gib * 2**30, state=state) for state, gib in (("used", 3.0), ("free", 4.0), ("cached", 1.0))]
    metrics = [
        {"name": "system.cpu.time", "unit": "s",
         "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": cpu}},
        {"name": "system.memory.usage", "unit": "By", "sum": {"aggregationTemporality": 2, "dataPoints": memory}},
        {"name": "system.cpu.load_average.1m", "unit": "{thread}", "gauge": {"dataPoints": [point(1.5)]}},
        {"name": "system.cpu.logical.count", "unit": "{cpu}",
         "sum": {"aggregationTemporality": 2, "dataPoints": [point(4)]}},
    ]  # fmt: skip
    scope = {"name": "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver"}
    return {"resourceMetrics": [{"resource": _RESOURCE, "scopeMetrics": [{"scope": scope, "metrics": metrics}]}]}


def _trace(now_ns: int) -> dict[str, Any]:
    start = now_ns - 120_000_000_000

    def span(span_id: str, parent: str, name: str, seconds: float, status: int) -> dict[str, Any]:
        return {
            "traceId": TRACE_ID, "spanId": span_id, "parentSpanId": parent, "name": name, "kind": 2,
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + int(seconds * 1e9)),
            "status": {"code": status},
        }  # fmt: skip

    spans = [
        span("00f067aa0ba902b7", "", "GET /report", 3.0, 2),
        span("00f067aa0ba902b8", "00f067aa0ba902b7", "render", 2.5, 0),
    ]
    service = {"attributes": [*_RESOURCE["attributes"], *_attributes(service__name="reports")]}
    return {"resourceSpans": [{"resource": service, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]}
