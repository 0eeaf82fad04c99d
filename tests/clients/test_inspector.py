"""The MCP Inspector's command line, where Node 22 and the package are installed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from serve.conftest import HOSTS_MCP, Running, clean_environment

pytestmark = pytest.mark.clients
PACKAGE = "@modelcontextprotocol/inspector"


@pytest.fixture(scope="module")
def inspector() -> list[str]:
    node, npx = shutil.which("node"), shutil.which("npx")
    if not node or not npx:
        pytest.skip("the Inspector needs Node 22: no node here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < 22:
        pytest.skip(f"the Inspector needs Node 22: this is {version}")
    command = [npx, "--no-install", PACKAGE, "--cli"]
    if subprocess.run([*command[:3], "--help"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{PACKAGE} is not installed (npm i -g {PACKAGE})")
    return command


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_tools_pass_its_strict_check(server: Running, inspector: list[str], era: str, transport: str) -> None:
    target = [f"{server.url}/mcp"] if transport == "http" else [*HOSTS_MCP, "mcp", "--db", str(server.db)]
    command = [*inspector, *target, "--method", "tools/list", "--strict", "--protocol-era", era]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(done.stdout)["tools"]) == 7
