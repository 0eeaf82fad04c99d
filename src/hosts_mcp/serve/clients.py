"""Configurations to paste into an MCP client, one row per client."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Client:
    """`where`: the file to paste into; `write`: its content for (command, arguments, environment)."""

    title: str
    where: str
    write: Callable[[str, list[str], dict[str, str]], str]


def _json(key: str, **extra: Any) -> Callable[[str, list[str], dict[str, str]], str]:
    def write(command: str, arguments: list[str], environment: dict[str, str]) -> str:
        server: dict[str, Any] = {**extra, "command": command, "args": arguments}
        if environment:
            server["env"] = environment
        return json.dumps({key: {"hosts": server}}, indent=2)

    return write


def _toml(command: str, arguments: list[str], environment: dict[str, str]) -> str:
    # A JSON string or list of strings is a TOML one as well.
    lines = ["[mcp_servers.hosts]", f"command = {json.dumps(command)}", f"args = {json.dumps(arguments)}"]
    lines += ["startup_timeout_sec = 20", "tool_timeout_sec = 60"]
    if environment:
        pairs = ", ".join(f"{name} = {json.dumps(value)}" for name, value in environment.items())
        lines.append(f"env = {{ {pairs} }}")
    return "\n".join(lines)


CLIENTS: Mapping[str, Client] = {
    "claude-code": Client("Claude Code", ".mcp.json in the project", _json("mcpServers", type="stdio")),
    "claude-desktop": Client(
        "Claude Desktop",
        "claude_desktop_config.json (~/Library/Application Support/Claude or %APPDATA%\\Claude), then restart it",
        _json("mcpServers"),
    ),
    "codex": Client("Codex", "~/.codex/config.toml", _toml),
    "gemini": Client("Gemini CLI", "~/.gemini/settings.json", _json("mcpServers", timeout=30000)),
    "cursor": Client("Cursor", ".cursor/mcp.json in the project, or ~/.cursor/mcp.json", _json("mcpServers")),
    "vscode": Client("VS Code", ".vscode/mcp.json", _json("servers", type="stdio")),
    "zed": Client("Zed", "settings.json", _json("context_servers")),
    "pydantic-ai": Client("Pydantic AI", 'mcp.json, read by load_mcp_toolsets("mcp.json")', _json("mcpServers")),
}
