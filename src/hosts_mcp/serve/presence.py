"""How a server of one database is found: `<db>.server.json` says where it is, its /healthz says that it is there.

Never found by port number, since anything may own a port; standard library only, since the bridge looks here first.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SERVICE = "hosts-mcp"
HEALTHZ_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Presence:
    """What a server writes beside its database once it is ready."""

    pid: int
    url: str
    """Of the app, without a path: http://127.0.0.1:8787."""
    version: str
    started: str


def beside(db: Path, suffix: str) -> Path:
    """`<db>.<suffix>` of the real file, so that all names of one database lead to one server."""
    real = db.expanduser().resolve()
    return real.with_name(f"{real.name}.{suffix}")


def announce(db: Path, presence: Presence) -> None:
    target = beside(db, "server.json")
    fresh = target.with_name(f"{target.name}.{presence.pid}")
    fresh.write_text(json.dumps(asdict(presence)) + "\n", encoding="utf-8")
    fresh.replace(target)


def withdraw(db: Path) -> None:
    """Remove our own announcement; another server's stays."""
    found = read(db)
    if found is not None and found.pid == os.getpid():
        beside(db, "server.json").unlink(missing_ok=True)


def read(db: Path) -> Presence | None:
    """The announcement, which may be that of a server long dead."""
    try:
        found = json.loads(beside(db, "server.json").read_text(encoding="utf-8"))
        return Presence(int(found["pid"]), str(found["url"]), str(found["version"]), str(found["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(db: Path) -> tuple[Presence, Mapping[str, Any]] | None:
    """The live server of this database and what its /healthz says; None when there is none."""
    presence = read(db)
    if presence is None:
        return None
    health = healthz(presence.url)
    if health.get("service") != SERVICE or health.get("database") != str(db.expanduser().resolve()):
        return None
    return presence, health


def healthz(url: str) -> dict[str, Any]:
    """What /healthz at `url` answers; empty when nothing does, or nothing that speaks JSON."""
    connection = connect(url, HEALTHZ_SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Accept": "application/json"})
        found = json.loads(connection.getresponse().read(65_536))
        return found if isinstance(found, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()


def from_elsewhere(address: str) -> str:
    """HOST:PORT as another machine would write it: the wildcard address is this machine, by name."""
    host, _, port = address.rpartition(":")
    return f"{socket.gethostname()}:{port}" if host in ("0.0.0.0", "[::]") else address


def connect(url: str, timeout_seconds: float | None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_seconds)
