"""A real collector (built by `make collector`) and a real server, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports import free_ports
from waiting import PATIENCE_SECONDS, wait_until

from . import build


@pytest.fixture(scope="session")
def binary() -> Path:
    found = build.cached()
    if found is None:
        pytest.skip("no collector on this machine: `make collector` builds one (needs Go, about five minutes)")
    return found


class Server:
    """`hosts-mcp serve` on ports that stay the same over restarts."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self.app_port, self.grpc_port, self.http_port = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        addresses = {"listen": self.app_port, "otlp-grpc": self.grpc_port, "otlp-http": self.http_port}
        flags = [word for name, port in addresses.items() for word in (f"--{name}", f"127.0.0.1:{port}")]
        command = [sys.executable, "-P", "-m", "hosts_mcp.cli", "serve", "--db", str(self._room / "box.db"), *flags]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOSTS_MCP_")}
        with (self._room / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        wait_until(self._ready, "the server is ready")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.app_port}{path}", timeout=30) as response:
            return json.load(response)

    def hosts(self) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/hosts")["hosts"])

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._room / "server.log").read_text()
        with contextlib.suppress(OSError):
            return bool(self.get("/healthz")["service"] == "hosts-mcp")
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    running.start()
    yield running
    running.stop()
