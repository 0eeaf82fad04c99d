"""The write-ahead log goes into the file on a connection of its own, so that no commit waits for it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hosts_mcp.store.protocol import StoreBusy
from hosts_mcp.store.sqlite.schema import connect

BOUND_BYTES = 16 * 1024 * 1024
"""Beyond this the log begins anew, as soon as no reader needs the old one."""
_PATIENCE_MS = 20
"""How long commits may wait for that; a reader in the middle of a long question puts it off to the next time."""


class Checkpointer:
    """Call it every second or so from one thread; `close` it before the writer."""

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(path.name + "-wal")
        self._db = connect(path, read_only=False)
        self._db.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")

    def __call__(self) -> None:
        """Copy what can be copied without making anybody wait; begin the log anew when it has become long.
        Raises StoreBusy."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if self._log_bytes() > BOUND_BYTES:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            raise StoreBusy(f"{self._log}: {error}") from error

    def close(self) -> None:
        self._db.close()

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0
