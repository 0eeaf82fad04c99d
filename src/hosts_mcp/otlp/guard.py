"""Who may send: a bearer token where one is set, no page of another origin, and no foreign Host name on loopback."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """`status` as HTTP has it: 401 token, 403 origin, 421 host."""

    status: int
    message: str


class Guard:
    """Decides on headers alone. `token` is asked at every request, since a token file may change."""

    def __init__(self, token: Callable[[], str | None], loopback: bool, allow_hosts: tuple[str, ...] = ()) -> None:
        self._token = token
        self._loopback = loopback
        self._hosts = _LOOPBACK | frozenset(name.strip("[]").lower() for name in allow_hosts)

    def refuses(self, headers: Mapping[str, str], *, check_host: bool = True) -> Refusal | None:
        """`headers` by lower-case name. None: welcome."""
        host = headers.get("host")
        if check_host and self._loopback and host is not None and _name_of(host) not in self._hosts:
            return Refusal(421, "This Host name is not served here; --allow-host adds names.")
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin):
            return Refusal(403, "Requests from this Origin are not accepted; --allow-host adds names.")
        token = self._token()
        if token is not None:
            given = headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                return Refusal(401, "A token is needed: Authorization: Bearer TOKEN.")
        return None

    def _is_ours(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return scheme.lower() in ("http", "https") and _name_of(host) in self._hosts


def _name_of(host: str) -> str:
    """Without port and brackets, in lower case; empty, which nobody allows, when it is no host at all."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
