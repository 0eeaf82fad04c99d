"""The token that guards every port once there is one: from a file, read again when it changes, or the environment.

Imports nothing heavy: the bridge sends it, the server asks for it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from hosts_mcp.errors import ConfigurationError
from hosts_mcp.settings import Settings

log = logging.getLogger(__name__)


class Token:
    """Call it for the token in force, None when there is none. Raises ConfigurationError for an unreadable file."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = settings.token.get_secret_value() if settings.token else None
        self._file = settings.token_file
        self._seen: tuple[int, int, int] | None = None
        self._read: str | None = None
        if self._file is not None:
            self._seen, self._read = _stamp(self._file), _content(self._file)

    def __call__(self) -> str | None:
        return self._fixed if self._file is None else self._current(self._file)

    def _current(self, file: Path) -> str | None:
        """The file's content; while it cannot be read the last token stays in force, so that nothing opens up."""
        try:
            if (stamp := _stamp(file)) != self._seen:
                self._read, self._seen = _content(file), stamp
        except ConfigurationError as error:
            log.warning("%s The token read before stays in force.", error.message)
        return self._read


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError as error:
        raise ConfigurationError(f"--token-file {file} cannot be read: {error.strerror}.") from None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"--token-file {file} cannot be read: {reason}.") from None
    if not text:
        raise ConfigurationError(f"--token-file {file} is empty: write the token into it, on one line.")
    return text


def refuse_open_doors(settings: Settings, token: str | None) -> None:
    """Raise ConfigurationError when an address beyond loopback would be open to anybody who reaches it."""
    if token is None and (open_addresses := [str(a) for a in settings.addresses() if not a.loopback]):
        raise ConfigurationError(
            f"Refusing to listen on {', '.join(open_addresses)} without a token: anybody who reaches it could read and "
            "write your data. Set HOSTS_MCP_TOKEN or --token-file, or listen on 127.0.0.1."
        )
