"""The built wheel, installed alone: nothing of the checkout and none of the development packages is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, room: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HOSTS_MCP_", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=room, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "-q", "--wheel", "--no-isolation", "--outdir", room, ROOT, room=room)
    return next(room.glob("*.whl"))


def test_pip_installs_it_and_the_story_is_told(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "alone", room=tmp_path)
    bin_ = tmp_path / "alone" / "bin"
    run(bin_ / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, room=tmp_path)
    told = json.loads(run(bin_ / "hosts-mcp", "demo", "--once", "--db", tmp_path / "demo.db", room=tmp_path))
    assert (told["verdict"], told["origin"]) == ("yes", "neighbour")


def test_uvx_runs_it(wheel: Path, tmp_path: Path) -> None:
    uvx = shutil.which("uvx")
    if uvx is None:
        pytest.skip("no uvx on this machine")
    told = run(uvx, "--from", wheel, "--python", sys.executable, "hosts-mcp", "--version", room=tmp_path)
    assert told.split()[-1] == wheel.name.split("-")[1]
