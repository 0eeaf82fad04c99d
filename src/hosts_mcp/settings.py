"""Every knob in one table: flag, environment variable, default and help. Read once, then passed down.

Plain dataclasses: the bridge (`hosts-mcp mcp`) reads its settings too and has no time to import pydantic.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts_mcp.errors import BadRange, ConfigurationError
from hosts_mcp.timerange import parse_duration

MIB = 1024 * 1024
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting. `flag` None: only from the environment (secrets do not belong on a command line)."""

    name: str
    flag: str | None
    env: str
    default: str
    help: str


KNOBS: tuple[Knob, ...] = (
    Knob("db", "--db", "HOSTS_MCP_DB", "", "The SQLite file (default: hosts-mcp.db in the user's data directory)."),
    Knob("listen", "--listen", "HOSTS_MCP_LISTEN", "127.0.0.1:8787", "Address of MCP over HTTP, REST and the page."),
    Knob("otlp_grpc", "--otlp-grpc", "HOSTS_MCP_OTLP_GRPC", "127.0.0.1:4317", "Address of OTLP over gRPC, or 'off'."),
    Knob("otlp_http", "--otlp-http", "HOSTS_MCP_OTLP_HTTP", "127.0.0.1:4318", "Address of OTLP over HTTP, or 'off'."),
    Knob("token_file", "--token-file", "HOSTS_MCP_TOKEN_FILE", "", "File that holds the token; needed off loopback."),
    Knob("token", None, "HOSTS_MCP_TOKEN", "", "The token itself; the file wins when both are given."),
    Knob("allow_host", "--allow-host", "HOSTS_MCP_ALLOW_HOST", "", "Further Host names to accept, comma separated."),
    Knob("retention", "--retention", "HOSTS_MCP_RETENTION", "7d", "How long points and spans are kept, by arrival."),
    Knob("retention_long", "--retention-long", "HOSTS_MCP_RETENTION_LONG", "30d",
         "How long five-minute signals, runs and findings are kept."),
    Knob("max_size", "--max-size", "HOSTS_MCP_MAX_SIZE", "5GB", "Upper limit of the file; the oldest data goes first."),
    Knob("max_request", "--max-request", "HOSTS_MCP_MAX_REQUEST", "64MiB", "Largest OTLP request after inflation."),
    Knob("in_flight", "--in-flight", "HOSTS_MCP_IN_FLIGHT", "32MiB", "Bytes of requests held before their commit."),
    Knob("body_deadline", "--body-deadline", "HOSTS_MCP_BODY_DEADLINE", "60s",
         "How long the body of an OTLP request may take to come."),
    Knob("body_rate", "--body-rate", "HOSTS_MCP_BODY_RATE", "1KiB",
         "Bytes per second below which a sender over HTTP is cut off, after its first 10 s."),
    Knob("synchronous", "--synchronous", "HOSTS_MCP_SYNCHRONOUS", "full",
         "full: an acknowledged request survives power loss; normal: a crash of the process only."),
)  # fmt: skip

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        return self.host in LOOPBACK or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Secret:
    """Text that no log line or traceback shows by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"


@dataclass(frozen=True, slots=True)
class Settings:
    """All knobs, parsed. Build with `load`."""

    db: Path
    listen: Address
    otlp_grpc: Address | None
    otlp_http: Address | None
    token_file: Path | None
    token: Secret | None
    allow_host: tuple[str, ...]
    retention_ns: int
    retention_long_ns: int
    max_size_bytes: int
    max_request_bytes: int
    in_flight_bytes: int
    body_deadline_ns: int
    body_rate_bytes: int
    synchronous: str

    def addresses(self) -> list[Address]:
        return [a for a in (self.listen, self.otlp_grpc, self.otlp_http) if a is not None]


def load(given: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Flags (`given`, by knob name, None when not used) over environment over defaults. Raises ConfigurationError."""
    given, environ = given or {}, os.environ if environ is None else environ
    raw = {k.name: _pick(k, given.get(k.name), environ) for k in KNOBS}
    synchronous = raw["synchronous"].lower()
    if synchronous not in ("full", "normal"):
        raise ConfigurationError(f"--synchronous {synchronous!r} is unknown: use full or normal.")
    return Settings(
        db=Path(raw["db"]).expanduser() if raw["db"] else default_db(environ),
        listen=_required(raw["listen"]),
        otlp_grpc=parse_address(raw["otlp_grpc"], "--otlp-grpc"),
        otlp_http=parse_address(raw["otlp_http"], "--otlp-http"),
        token_file=Path(raw["token_file"]).expanduser() if raw["token_file"] else None,
        token=Secret(raw["token"]) if raw["token"] else None,
        allow_host=tuple(h.strip().lower() for h in raw["allow_host"].split(",") if h.strip()),
        retention_ns=_duration(raw["retention"], "--retention"),
        retention_long_ns=_duration(raw["retention_long"], "--retention-long"),
        max_size_bytes=parse_size(raw["max_size"], "--max-size"),
        max_request_bytes=parse_size(raw["max_request"], "--max-request"),
        in_flight_bytes=parse_size(raw["in_flight"], "--in-flight"),
        body_deadline_ns=_duration(raw["body_deadline"], "--body-deadline"),
        body_rate_bytes=max(1, parse_size(raw["body_rate"], "--body-rate")),
        synchronous=synchronous,
    )


def default_db(environ: Mapping[str, str]) -> Path:
    """`hosts-mcp/hosts-mcp.db` under XDG_DATA_HOME, ~/Library/Application Support or ~/.local/share."""
    if base := environ.get("XDG_DATA_HOME"):
        root = Path(base)
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        root = Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path.home() / ".local" / "share"
    return root / "hosts-mcp" / "hosts-mcp.db"


def parse_address(text: str, flag: str) -> Address | None:
    """`127.0.0.1:4317`, `[::1]:4317`, `:4317` (loopback), `4317` -> Address; `off` -> None."""
    text = text.strip()
    if text.lower() == "off":
        return None
    host, separator, port = text.rpartition(":")
    if not separator:
        host, port = "", text
    if not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{flag} {text!r} is no address: write HOST:PORT, for example 127.0.0.1:4317, or off.")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def parse_size(text: str, flag: str) -> int:
    """`64MiB`, `5GB`, `1048576` -> bytes (GB is decimal, GiB binary)."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ConfigurationError(f"{flag} {text!r} is no size: write for example 500MB, 5GB or 64MiB.")
    number, prefix, binary = found.groups()
    power = "kmgt".find(prefix.lower()) + 1 if prefix else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def _required(text: str) -> Address:
    address = parse_address(text, "--listen")
    if address is None:
        raise ConfigurationError("--listen cannot be off: the server could not be asked anything.")
    return address


def _duration(text: str, flag: str) -> int:
    try:
        return parse_duration(text)
    except BadRange as error:
        raise ConfigurationError(f"{flag}: {error.message}") from None


def _pick(knob: Knob, given: Any, environ: Mapping[str, str]) -> str:
    if given is not None:
        return str(given)
    return environ.get(knob.env, "") or knob.default
