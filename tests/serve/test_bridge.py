"""`hosts-mcp mcp` from spawn to end: one server for many, a lost server found again, and nothing but JSON-RPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ports import free_ports
from waiting import wait_until

from .conftest import HOSTS_MCP, Start, clean_environment

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Talk:
    """A client that owns one bridge; the `db` fixture ends what a test leaves running."""

    running: ClassVar[list[Talk]] = []

    def __init__(self, db: Path, *flags: str, **environment: str) -> None:
        (port,) = free_ports(1)
        settings = ["--db", str(db), "--listen", f"127.0.0.1:{port}", "--otlp-grpc", "off", "--otlp-http", "off"]
        self.process = subprocess.Popen(
            [*HOSTS_MCP, "mcp", *settings, *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(**environment),
        )  # fmt: skip
        self._next = 0
        self.running.append(self)

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        self._next += 1
        self.send({"jsonrpc": "2.0", "id": self._next, "method": method, "params": {**params, "_meta": MODERN}})
        found = self.read()
        assert found["id"] == self._next
        return found

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.request("tools/call", name=tool, arguments=arguments)

    def end(self) -> bytes:
        """Close stdin; what else was said on stdout."""
        rest, _ = self.process.communicate(timeout=2.0)
        assert self.process.returncode == 0
        return rest


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "box.db"
    yield path
    for talk in Talk.running:
        talk.process.kill()
        talk.process.communicate()
    Talk.running.clear()
    stop(path)


def stop(db: Path) -> None:
    subprocess.run([*HOSTS_MCP, "stop", "--db", str(db)], env=clean_environment(), timeout=60, check=False)


def server_of(db: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(db.with_name(db.name + ".server.json").read_text())
    return found


def test_it_starts_a_server_that_outlives_it_and_the_next_one_finds_it(db: Path) -> None:
    first = Talk(db)
    assert "structuredContent" in first.call("list_hosts")["result"]
    assert first.end() == b""
    pid = server_of(db)["pid"]
    second = Talk(db)
    assert "structuredContent" in second.call("list_hosts")["result"]
    assert server_of(db)["pid"] == pid


def test_three_at_once_start_one_server(db: Path) -> None:
    talks = [Talk(db) for _ in range(3)]
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda t=t: answers.append(t.call("list_hosts"))) for t in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len([a for a in answers if "result" in a]) == 3
    assert db.with_name("box.db.log").read_text().count("Listening:") == 1
    for talk in talks:
        talk.end()


def test_a_lost_server_is_replaced_and_the_call_repeated(db: Path) -> None:
    talk = Talk(db)
    talk.call("list_hosts")
    killed = server_of(db)["pid"]
    os.kill(killed, signal.SIGKILL)
    assert "structuredContent" in talk.call("list_hosts")["result"]
    assert server_of(db)["pid"] != killed
    talk.end()


def test_a_server_that_is_stopped_is_replaced_when_somebody_asks(db: Path) -> None:
    talk = Talk(db)
    talk.call("list_hosts")
    stop(db)
    assert "structuredContent" in talk.call("list_hosts")["result"]
    talk.end()


def test_it_is_gone_soon_after_its_client_is_killed(db: Path, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time; bridge = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); "
        "print(bridge.pid, flush=True); time.sleep(600)"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", script, *HOSTS_MCP, "mcp", "--db", str(db)],
        stdout=subprocess.PIPE, text=True, env=clean_environment(),
    )  # fmt: skip
    assert client.stdout is not None
    bridge = int(client.stdout.readline())
    client.kill()
    client.wait()
    wait_until(lambda: not _alive(bridge), "the bridge ends")


def test_it_ends_in_mid_call_when_stdin_ends(db: Path) -> None:
    talk = Talk(db)
    talk.call("list_hosts")
    slow = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n"
    talk.send({"jsonrpc": "2.0", "id": 77, "method": "tools/call",
               "params": {"name": "query", "arguments": {"sql": slow}, "_meta": MODERN}})  # fmt: skip
    talk.process.communicate(timeout=2.5)


def test_the_last_request_before_the_end_of_stdin_is_still_answered(db: Path) -> None:
    warm = Talk(db)
    warm.call("list_hosts")
    talk = Talk(db)
    talk.send({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": MODERN}})
    assert json.loads(talk.end())["id"] == 1
    warm.end()


def test_every_line_of_stdout_is_json_rpc_whatever_comes_in(db: Path) -> None:
    talk = Talk(db)
    assert talk.process.stdin is not None
    for rubbish in (b"\n", b"no json\n", b"[1, 2]\n", b'"text"\n', b"\xff\xfe\n", b"[" * 5000 + b"\n"):
        talk.process.stdin.write(rubbish)
    talk.send({"jsonrpc": "2.0", "id": 1, "method": "no/such", "params": {"_meta": MODERN}})
    talk.process.stdin.flush()
    found = [talk.read() for _ in range(6)]
    assert all(line["jsonrpc"] == "2.0" for line in found)
    assert min(line["error"]["code"] for line in found) == -32700
    assert talk.call("list_hosts")["result"]["structuredContent"]["summary"]
    assert talk.end() == b""


def test_a_cancelled_request_is_cut_and_gets_no_reply(db: Path) -> None:
    talk = Talk(db)
    talk.call("list_hosts")
    slow = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n"
    talk.send({"jsonrpc": "2.0", "id": 77, "method": "tools/call",
               "params": {"name": "query", "arguments": {"sql": slow}, "_meta": MODERN}})  # fmt: skip
    talk.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77, "_meta": MODERN}})
    assert "structuredContent" in talk.call("list_hosts")["result"]
    talk.end()


def test_a_server_that_cannot_start_is_explained_in_the_reply(db: Path) -> None:
    talk = Talk(db, "--otlp-http", "0.0.0.0:0")
    error = talk.request("tools/list")["error"]
    assert "Refusing to listen on 0.0.0.0:0 without a token" in error["message"]


def test_settings_are_handed_over_and_the_token_is_sent(db: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    talk = Talk(db, "--token-file", str(tmp_path / "token"))
    assert "structuredContent" in talk.call("list_hosts")["result"]
    stranger = Talk(db)
    assert "HTTP 401: Token required" in stranger.request("tools/list")["error"]["message"]


def test_in_process_it_serves_alone_and_leaves_nothing_behind(db: Path) -> None:
    talk = Talk(db, "--in-process")
    assert "structuredContent" in talk.call("list_hosts")["result"]
    assert server_of(db)["pid"] == talk.process.pid
    talk.end()
    assert not db.with_name("box.db.server.json").exists()


def test_in_process_beside_a_server_it_reads_the_file_and_says_so(start: Start) -> None:
    running = start()
    talk = Talk(running.db, "--in-process")
    found = talk.call("list_hosts")["result"]["structuredContent"]
    assert any(f"pid {running.process.pid}" in note for note in found["notes"])
    talk.end()


def test_the_bridge_imports_nothing_heavy() -> None:
    heavy = "pydantic, mcp, starlette, uvicorn, grpc, google.protobuf, sqlite3, httpx, anyio, asyncio, subprocess"
    script = (
        "import sys; from hosts_mcp import cli; from hosts_mcp.serve import bridge, starting, token; "
        "cli.load({}); print([m for m in sys.argv[1].split(', ') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")
