"""Who may send: token, Origin and Host of a request, decided on its headers before anything is read.

Origin is checked everywhere and Host while bound to loopback, because a browser on this machine can be made to post
here by any web page (cross-site requests, DNS rebinding).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from hosts_mcp.settings import LOOPBACK


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    """HTTP status: 401 no or wrong token, 403 Origin, 421 Host."""
    message: str


class Guard:
    """`token` is asked at every request (its file may change); None: no token is needed."""

    def __init__(self, token: Callable[[], str | None], loopback: bool, allow_hosts: tuple[str, ...]) -> None:
        self._token = token
        self._checks_host = loopback
        self._names = LOOPBACK | {name.lower() for name in allow_hosts}

    def refusal(self, headers: Mapping[str, str], *, host: str | None) -> Refusal | None:
        """None: let it in. `headers` by lower-case name; `host`: the Host header, None where there is none to check
        (gRPC: no browser speaks HTTP/2 without TLS)."""
        if self._checks_host and host is not None and not self._known(host):
            return Refusal(421, "This Host is not served here. Send to 127.0.0.1, or start with --allow-host NAME.")
        origin = headers.get("origin")
        if origin is not None and not self._known_origin(origin):
            return Refusal(403, "Requests from web pages of this Origin are refused; --allow-host NAME allows one.")
        token = self._token()
        if token is not None and not _bears(headers.get("authorization", ""), token):
            return Refusal(401, "Token required: send the header Authorization: Bearer TOKEN.")
        return None

    def _known_origin(self, origin: str) -> bool:
        scheme, separator, host = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and self._known(host)

    def _known(self, host: str) -> bool:
        """`host` as in the header, with or without a port."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.netloc != host or "@" in host:
            return False
        return name in self._names or name.startswith("127.")


def _bears(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
