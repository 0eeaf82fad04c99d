"""The MCP Inspector's command line, where Node 22 and the package are installed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from hosts_mcp.serve.questions import QUESTIONS
from serve.conftest import HOSTS_MCP, Running, clean_environment

pytestmark = pytest.mark.clients
NODE, PACKAGE = "node@22", "@modelcontextprotocol/inspector@2"
"""npx fetches both into its cache, so the machine's own Node may be older."""


@pytest.fixture(scope="module")
def inspector() -> list[str]:
    npx = shutil.which("npx")
    if not npx:
        pytest.skip("the Inspector needs npx: no Node here")
    command = [npx, "-y", "-p", NODE, "-p", PACKAGE, "--", "mcp-inspector", "--cli"]
    there = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=110)
    if there.returncode != 0:
        pytest.skip(f"npx could not fetch {PACKAGE}: {there.stderr[-200:]}")
    return command


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_tools_pass_its_strict_check(server: Running, inspector: list[str], era: str, transport: str) -> None:
    target = [f"{server.url}/mcp"] if transport == "http" else [*HOSTS_MCP, "mcp", "--db", str(server.db)]
    command = [*inspector, *target, "--method", "tools/list", "--strict", "--protocol-era", era]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(done.stdout)["tools"]) == len(QUESTIONS)
