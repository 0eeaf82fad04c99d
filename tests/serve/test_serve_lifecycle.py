"""One server per database: how it begins, refuses, shares ports with strangers, and ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from hosts_mcp import __version__
from waiting import wait_until

from .conftest import HOSTS_MCP, Running, Start, clean_environment


def test_health_says_what_this_is_and_which_database_it_serves(server: Running) -> None:
    reply = server.get("/healthz")
    found = reply.json()
    assert reply.status == 200
    assert found["service"] == "hosts-mcp"
    assert found["version"] == __version__
    assert found["database"] == str(server.db.resolve())
    assert found["pid"] == server.process.pid
    assert found["problems"] == []
    assert isinstance(found["counters"], dict)


def test_the_announcement_beside_the_database_leads_to_the_server(start: Start) -> None:
    running = start()
    file = running.db.with_name("box.db.server.json")
    found = json.loads(file.read_text())
    assert found["pid"] == running.process.pid
    assert found["url"] == running.url
    assert found["version"] == __version__
    assert found["started"].endswith("Z")
    running.end()
    assert not file.exists()


def test_a_second_server_on_one_file_refuses_and_names_the_first(start: Start) -> None:
    first = start()
    done = _serve(first.db)
    assert done.returncode == 1
    assert f"pid {first.process.pid}, {first.url}" in done.stderr
    assert "Traceback" not in done.stderr
    assert first.get("/healthz").status == 200
    assert json.loads(first.db.with_name("box.db.server.json").read_text())["pid"] == first.process.pid


def test_another_name_of_the_same_file_is_the_same_database(start: Start, tmp_path: Path) -> None:
    first = start()
    other_name = tmp_path / "link.db"
    other_name.symlink_to(first.db)
    assert _serve(other_name).returncode == 1


def test_a_killed_server_leaves_no_lock_behind(start: Start) -> None:
    first = start()
    first.process.kill()
    first.process.wait()
    assert start(db=first.db).get("/healthz").status == 200


def test_a_port_of_another_program_is_left_to_it_and_said(start: Start) -> None:
    with _stranger() as (port, otlp_http):
        running = start("--listen", f"127.0.0.1:{port}", "--otlp-http", f"127.0.0.1:{otlp_http}")
        assert running.port != port
        problems = " ".join(running.get("/healthz").json()["problems"])
        assert f"127.0.0.1:{port} is in use by another program" in problems
        assert str(otlp_http) in problems
        notes = " ".join(running.get("/api/v1/hosts").json()["notes"])
        assert str(port) in notes
        assert str(otlp_http) in notes


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGINT, signal.SIGHUP))]
)
def test_it_ends_cleanly_within_two_seconds_even_with_open_streams(start: Start, number: signal.Signals) -> None:
    running = start()
    stream = http.client.HTTPConnection("127.0.0.1", running.port)
    stream.request("GET", "/sse")
    stream.getresponse().readline()
    running.process.send_signal(number)
    assert running.process.wait(2.0) == 0
    stream.close()
    assert "Traceback" not in running.log.read_text()


def test_it_ends_by_itself_when_nobody_sends_and_nobody_asks(start: Start) -> None:
    running = start("--exit-when-idle", "1s")
    for _ in range(8):
        assert running.get("/healthz").status == 200, "a client keeps it"
        time.sleep(0.2)
    assert running.process.wait(30) == 0


def test_an_open_stream_is_a_client(start: Start) -> None:
    running = start("--exit-when-idle", "500ms")
    stream = http.client.HTTPConnection("127.0.0.1", running.port)
    stream.request("GET", "/sse")
    stream.getresponse().readline()
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(1.5)
    stream.close()
    assert running.process.wait(30) == 0


def test_stop_ends_the_server_of_a_database_and_no_other(start: Start, tmp_path: Path) -> None:
    first, second = start(), start(db=tmp_path / "other.db")
    done = _run("stop", "--db", str(first.db))
    assert done.returncode == 0
    assert "Stopped" in done.stdout
    assert wait_until(lambda: first.process.poll() is not None, "it ends")
    assert second.get("/healthz").status == 200
    assert "No server" in _run("stop", "--db", str(first.db)).stdout


def _serve(db: Path) -> subprocess.CompletedProcess[str]:
    return _run("serve", "--db", str(db), "--listen", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HOSTS_MCP, *words], capture_output=True, text=True, env=clean_environment(), timeout=60, check=False
    )


class _stranger:  # noqa: N801 (a context, used like a function)
    """Another program with two ports."""

    def __enter__(self) -> tuple[int, int]:
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        return self._sockets[0].getsockname()[1], self._sockets[1].getsockname()[1]

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()
