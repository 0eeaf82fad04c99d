"""Real SDKs whose process is killed (SIGKILL) in mid-trace: what is stored is what really arrives then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from waiting import wait_until

from .conftest import Server

WORKER = Path(__file__).with_name("traced_worker.py")


def killed(server: Server, transport: str) -> tuple[str, dict[str, Any]]:
    """The trace id of a worker that was killed after its first spans had arrived, and show_trace's answer."""
    port = server.grpc_port if transport == "grpc" else server.http_port
    command = [sys.executable, str(WORKER), transport, f"http://127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        trace_id = worker.stdout.readline().strip()

        def arrived() -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = server.get(f"/api/v1/traces/{trace_id}")
            except HTTPError:
                return None
            return answer if "tokenize" in json.dumps(answer) else None

        try:
            wait_until(arrived, "the first spans are stored")
        finally:
            worker.kill()
    return trace_id, server.get(f"/api/v1/traces/{trace_id}")


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_children_whose_parents_never_came_are_shown(server: Server, transport: str) -> None:
    _, answer = killed(server, transport)
    text = json.dumps(answer)
    assert "read document" in text
    assert "classify document" not in text, "an SDK exports only ended spans"
    assert "orphan" in text or "never arrived" in text or "parent" in text


def test_logfire_s_pending_spans_name_what_was_open(server: Server) -> None:
    _, answer = killed(server, "logfire")
    text = json.dumps(answer)
    for name in ("classify batch", "classify document", "read document", "tokenize"):
        assert name in text
    assert "unfinished" in text


@pytest.mark.parametrize("transport", ["grpc", "http", "logfire"])
def test_the_verdict_waits_while_the_silence_is_short(server: Server, transport: str) -> None:
    trace_id, _ = killed(server, transport)
    assert server.get(f"/api/v1/traces/{trace_id}/was-it-the-box")["verdict"] == "cannot_tell"
