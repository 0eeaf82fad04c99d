"""The recipe of the collector, and the command that builds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from . import build


def test_every_component_of_the_recipe_is_required_by_the_module() -> None:
    recipe = build.RECIPE.read_text()
    module = build.go_mod(recipe)
    for line in recipe.splitlines():
        if "gomod:" in line:
            assert line.split("gomod: ")[1] in module


def test_without_go_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.CannotBuild, match="Go is not on this machine"):
        build.build()


def test_a_look_for_the_binary_builds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(build.RECIPE.with_name("build.py")), "--cached"]
    done = subprocess.run(command, env={"XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make collector" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.collector
def test_a_second_build_finds_the_first(binary: Path) -> None:
    assert build.build() == binary
