"""The blocks of the README's section "Start", verbatim, in a clean environment and with a real collector."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ports import free_ports
from tests.collector.conftest import binary

__all__ = ["binary"]
pytestmark = [pytest.mark.collector, pytest.mark.long, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FROM_THE_CLONE = ("README.md", "LICENSE", "pyproject.toml", "src")


def blocks() -> list[tuple[str, str]]:
    readme = (ROOT / "README.md").read_text()
    start = readme[readme.index("## Start") : readme.index("## More boxes")]
    return [(language, text) for language, text in BLOCK.findall(start)]


def environment(room: Path, collector: Path) -> dict[str, str]:
    """A home of its own, a python3 and the collector on the path, and free ports in place of the usual ones."""
    tools = room / "bin"
    tools.mkdir()
    (tools / "otelcol-contrib").symlink_to(collector)
    (tools / "python3").symlink_to(sys.executable)
    app, grpc, http = free_ports(3)
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_")) or k.lower().endswith("_proxy")}
    return kept | {
        "HOME": str(room),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),  # where pip is configured
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOSTS_MCP_LISTEN": f"127.0.0.1:{app}",
        "HOSTS_MCP_OTLP_GRPC": f"127.0.0.1:{grpc}",
        "HOSTS_MCP_OTLP_HTTP": f"127.0.0.1:{http}",
    }


def test_the_blocks_end_in_a_verdict_on_the_trace_of_their_own_snippet(binary: Path, tmp_path: Path) -> None:
    clone = tmp_path / "hosts-mcp"
    clone.mkdir()
    for name in FROM_THE_CLONE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, clone / name)
    script = ["set -e"]
    for language, text in blocks():
        if language == "python":
            name = text.split("\n", 1)[0].removeprefix("# ")
            (clone / name).write_text(text)
        else:
            script.append(text)
    script.append(
        'hosts-mcp was-it-the-box --json "$(cat trace_id)" > verdict.json; hosts-mcp hosts --json > hosts.json'
    )
    running = subprocess.Popen(
        ["bash", "-c", "\n".join(script)], cwd=clone, env=environment(tmp_path, binary), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        # The server and the collector stay up behind the script, and hold its output open.
        told = _until_it_ends(running)
    finally:
        os.killpg(running.pid, signal.SIGTERM)
    assert running.returncode == 0, told
    verdict = json.loads((clone / "verdict.json").read_text())
    assert verdict["trace_id"] == (clone / "trace_id").read_text().strip()
    assert verdict["verdict"] == "no", verdict["summary"]  # it slept
    assert verdict["symptom"]["class"] == "slow"
    assert json.loads((clone / "hosts.json").read_text())["hosts"][0]["status"] == "live"


def _until_it_ends(running: subprocess.Popen[str]) -> str:
    try:
        running.wait(280)
    finally:
        assert running.stdout is not None
        os.set_blocking(running.stdout.fileno(), False)
        told = running.stdout.read() or ""
    return told
