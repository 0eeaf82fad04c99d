"""The one hierarchy of errors a caller can act on.

Each message says what happened, what was expected and what to do next. `code` is stable: tools, REST and the
command line show it, scripts may compare it.
"""

from __future__ import annotations


class HostsMcpError(Exception):
    """Base of every error with a message meant for a caller."""

    code = "error"

    def __init__(self, message: str, *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.candidates = candidates
        """Nearest valid values (host keys, trace ids), best first."""


class NoSuchHost(HostsMcpError):
    code = "no_such_host"


class NoSuchTrace(HostsMcpError):
    code = "no_such_trace"


class NoSuchService(HostsMcpError):
    code = "no_such_service"


class AmbiguousName(HostsMcpError):
    """A prefix or a short name fits several hosts or traces; `candidates` lists them."""

    code = "ambiguous"


class BadArgument(HostsMcpError):
    code = "bad_argument"


class BadRange(HostsMcpError):
    code = "bad_range"


class BadCursor(HostsMcpError):
    code = "bad_cursor"


class BadQuery(HostsMcpError):
    """SQL that the engine refused: a write, a syntax error, a limit."""

    code = "bad_query"


class StoreUnusable(HostsMcpError):
    """The database file is missing, of a newer version, damaged or held by another server."""

    code = "store_unusable"


class ConfigurationError(HostsMcpError):
    """A setting that cannot work as given; the process refuses to start."""

    code = "configuration"
