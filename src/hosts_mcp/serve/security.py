"""Who may talk to the app's port: Host, Origin and token of every route, before anything else looks at a request.

Host and Origin are checked because a browser on the same machine can be made to send requests here by any web page
(DNS rebinding, cross-site requests); the token because beyond loopback everybody can.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hosts_mcp.serve.problems import problem
from hosts_mcp.settings import LOOPBACK, Address

OPEN_TO_ALL = frozenset({"/healthz"})
"""Needs no token, so that a load balancer or the bridge can ask; says nothing about anybody's data."""


class Guard:
    """Pure ASGI, so that streams pass unbuffered."""

    def __init__(self, app: ASGIApp, *, bound: Address, allow_hosts: tuple[str, ...], token: Callable[[], str | None]):
        self._app = app
        self._bound = bound
        self._names = LOOPBACK | {bound.host.lower(), *allow_hosts}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope["path"], Headers(scope=scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._known(hosts[0]):
            return problem(
                421, "This Host is not served here; --allow-host NAME adds one. Or use 127.0.0.1.", "host_not_allowed"
            )
        if not all(self._same_origin(origin) for origin in headers.getlist("origin")):
            return problem(403, "Requests from pages of this Origin are refused.", "origin_not_allowed")
        if path not in OPEN_TO_ALL and not self._token_fits(headers.get("authorization", "")):
            return problem(
                401, "Token required: send the header Authorization: Bearer TOKEN.", "token_required",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return None

    def _known(self, host: str) -> bool:
        """`host` as in the header, with or without port. Off loopback any address literal will do, for a name is what
        an attacker would need to own."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or "@" in host or "/" in host:
            return False
        return name.lower() in self._names or (not self._bound.loopback and _is_address(name))

    def _same_origin(self, origin: str) -> bool:
        scheme, separator, host = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and self._known(host)

    def _token_fits(self, authorization: str) -> bool:
        token = self._token()
        if token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
