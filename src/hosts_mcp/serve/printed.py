"""`hosts-mcp config`: configurations to paste, with this server's real addresses, token and command in them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hosts_mcp.answers import collector_config
from hosts_mcp.answers.collector_config import Target
from hosts_mcp.errors import BadArgument
from hosts_mcp.serve import presence
from hosts_mcp.serve.clients import CLIENTS
from hosts_mcp.serve.token import Token
from hosts_mcp.settings import Address, Settings
from hosts_mcp.text import quote

COLLECTORS = ("collector", "docker", "kubernetes")


def configuration(
    what: str, settings: Settings, flags: Sequence[str], *, add: bool = False, older: bool = False
) -> tuple[str, str]:
    """(where it belongs, the configuration). Raises BadArgument."""
    what = what.strip().lower()
    if what in COLLECTORS:
        return _collector(what, _target(settings), add=add, older=older)
    if what in CLIENTS:
        client = CLIENTS[what]
        command, arguments = _ourselves()
        return f"{client.title}: {client.where}", client.write(command, [*arguments, "mcp", *flags], _environment())
    known = (*COLLECTORS, *CLIENTS)
    raise BadArgument(f"No configuration for {quote(what, 40)}. There are: {', '.join(known)}.", candidates=known)


def _collector(what: str, target: Target, *, add: bool, older: bool) -> tuple[str, str]:
    match what:
        case "docker":
            return "conf/host.yaml, conf/docker.yaml and compose.yaml", _files(collector_config.docker(target))
        case "kubernetes":
            return "conf/host.yaml, conf/k8s.yaml and daemonset.yaml", _files(collector_config.kubernetes(target))
    if add:
        where = "hosts-mcp.yaml: start the collector with --config=EXISTING.yaml --config=hosts-mcp.yaml"
        return where, collector_config.add(target, older=older).rstrip()
    where = "host.yaml for an OpenTelemetry Collector, contrib distribution: --config=host.yaml"
    return where, collector_config.whole(target, older=older).rstrip()


def _files(files: Sequence[tuple[str, str]]) -> str:
    """Several files as one stream of YAML documents, each under its name."""
    return "\n---\n".join(f"# {name}\n{content.rstrip()}" for name, content in files)


def _target(settings: Settings) -> Target:
    """Where the running server listens, else where one would."""
    found = presence.find(settings.db)
    if found is not None:
        bound = dict(found[1].get("otlp") or {})
    else:
        wanted: dict[str, Address | None] = {"grpc": settings.otlp_grpc, "http": settings.otlp_http}
        bound = {name: str(address) for name, address in wanted.items() if address is not None}
    endpoints = {name: presence.from_elsewhere(str(address)) for name, address in bound.items()}
    return Target(grpc=endpoints.get("grpc"), http=endpoints.get("http"), token=Token(settings)())


def _ourselves() -> tuple[str, list[str]]:
    """The command that starts this installation again: its absolute path, since clients have a PATH of their own.

    What runs from uv's cache may be gone tomorrow, so there it is uvx.
    """
    script = Path(sys.argv[0]).absolute()
    if f"{os.sep}uv{os.sep}" in str(script) and "archive-v" in str(script):
        return shutil.which("uvx") or "uvx", ["hosts-mcp"]
    if script.name.startswith("hosts-mcp") and os.access(script, os.X_OK):
        return str(script), []
    return sys.executable, ["-P", "-m", "hosts_mcp.cli"]


def _environment() -> dict[str, str]:
    """Variables of ours that are set here: a client starts its servers with hardly any."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("HOSTS_MCP_")}
