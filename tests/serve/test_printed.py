"""What `hosts-mcp config` prints is valid, complete, and the command in it works."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hosts_mcp.serve.clients import CLIENTS
from hosts_mcp.serve.printed import COLLECTORS

from .conftest import HOSTS_MCP, Start, clean_environment

KEYS = {"vscode": "servers", "zed": "context_servers", "codex": "mcp_servers"}


def config(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*HOSTS_MCP, "config", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(**environment), timeout=60, check=False
    )


def server_in(client: str, text: str) -> dict[str, Any]:
    found = tomllib.loads(text) if client == "codex" else json.loads(text)
    server: dict[str, Any] = found[KEYS.get(client, "mcpServers")]["hosts"]
    return server


QUICK = ("claude-code", "codex")
"""One that is configured in JSON and one in TOML; each starts a server, which takes seconds."""


@pytest.mark.parametrize("client", [pytest.param(c, marks=[] if c in QUICK else [pytest.mark.long]) for c in CLIENTS])
def test_the_command_for_a_client_starts_and_answers(client: str, tmp_path: Path) -> None:
    flags = ["--db", str(tmp_path / "a b.db"), "--listen", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off"]
    server = server_in(client, config(client, *flags).stdout)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    with subprocess.Popen(
        [server["command"], *server["args"], "--in-process"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=clean_environment(**server.get("env", {})),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "hosts-mcp"
        process.stdin.close()
    assert (tmp_path / "a b.db").exists()


@pytest.mark.parametrize("client", CLIENTS)
def test_settings_from_the_environment_are_written_down_for_the_client(client: str) -> None:
    done = config(client, HOSTS_MCP_DB='/tmp/quote".db')
    assert server_in(client, done.stdout)["env"] == {"HOSTS_MCP_DB": '/tmp/quote".db'}
    assert done.stderr.startswith("# "), "where it belongs is said beside it, not in it"


@pytest.mark.parametrize("what", [*COLLECTORS, "--add"])
def test_collector_configurations_are_yaml_and_send_here(what: str) -> None:
    words = ["collector", "--add"] if what == "--add" else [what]
    documents = list(yaml.safe_load_all(config(*words, "--otlp-grpc", "127.0.0.1:14999").stdout))
    exporters = {k: v for d in documents for k, v in (d.get("exporters") or {}).items()}
    # Loopback of a pod is the pod: there it is a service.
    here = "hosts-mcp.observability.svc:4317" if what == "kubernetes" else "127.0.0.1:14999"
    assert [e["endpoint"] for e in exporters.values()] == [here]
    assert any("hostmetrics" in name for d in documents for name in d.get("receivers") or {})


def test_the_token_stands_in_the_collector_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    for words in (["collector"], ["collector", "--add"], ["docker"], ["kubernetes"]):
        assert "Bearer s3cret" in config(*words, "--token-file", str(tmp_path / "token")).stdout
        assert "Bearer s3cret" in config(*words, HOSTS_MCP_TOKEN="s3cret").stdout
        assert "authorization" not in config(*words).stdout


def test_the_running_server_is_asked_for_its_addresses(start: Start) -> None:
    running = start("--otlp-http", "127.0.0.1:0")
    bound = running.get("/healthz").json()["otlp"]["http"]
    assert f"http://{bound}" in config("collector", "--db", str(running.db)).stdout


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    done = config("emacs")
    assert done.returncode == 2
    assert "claude-code" in done.stderr
    assert done.stdout == ""
