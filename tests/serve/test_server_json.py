"""server.json as the MCP registry will read it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hosts_mcp import __version__
from hosts_mcp.settings import KNOBS

ROOT = Path(__file__).parents[2]
FOUND: dict[str, Any] = json.loads((ROOT / "server.json").read_text())


def test_name_title_description_and_version_keep_the_registrys_rules() -> None:
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", FOUND["name"])
    assert len(FOUND["name"]) <= 200
    assert len(FOUND["title"]) <= 100
    assert len(FOUND["description"]) <= 100
    assert FOUND["version"] == __version__
    assert FOUND["$schema"].startswith("https://static.modelcontextprotocol.io/schemas/")


def test_the_readme_owns_the_name() -> None:
    assert f"mcp-name: {FOUND['name']}" in (ROOT / "README.md").read_text()


def test_packages_say_how_to_start_each_transport() -> None:
    assert [package["transport"]["type"] for package in FOUND["packages"]] == ["stdio", "streamable-http"]
    for package in FOUND["packages"]:
        assert (package["registryType"], package["identifier"], package["version"]) == (
            "pypi",
            "hosts-mcp",
            __version__,
        )
        assert all(argument["value"] for argument in package["packageArguments"])
        named = {variable["name"] for variable in package["environmentVariables"]}
        assert named <= {knob.env for knob in KNOBS}
        assert set(re.findall(r"{(\w+)}", package["transport"].get("url", ""))) <= named
        for variable in package["environmentVariables"]:
            assert variable.get("format", "string") in ("string", "number", "boolean", "filepath")
            assert variable["name"] != "HOSTS_MCP_TOKEN" or variable["isSecret"]


def test_defaults_are_those_of_the_settings() -> None:
    defaults = {knob.env: knob.default for knob in KNOBS}
    for package in FOUND["packages"]:
        for variable in package["environmentVariables"]:
            if "default" in variable:
                assert variable["default"] == defaults[variable["name"]]
