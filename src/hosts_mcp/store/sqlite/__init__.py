"""Everything in one SQLite file: `open_writer` for the one process that ingests, `open_reader` for any other."""

from __future__ import annotations

from pathlib import Path

from hosts_mcp.store.sqlite.checkpoint import Checkpointer
from hosts_mcp.store.sqlite.reader import SqliteReader
from hosts_mcp.store.sqlite.writer import SqliteWriter


def open_writer(path: Path, *, synchronous: str = "full") -> SqliteWriter:
    """Create, migrate and open the file for writing. Raises StoreUnusable."""
    return SqliteWriter(path, synchronous)


def open_reader(path: Path) -> SqliteReader:
    """Open an existing file for reading only, from any number of threads. Raises StoreUnusable."""
    return SqliteReader(path)


__all__ = ["Checkpointer", "SqliteReader", "SqliteWriter", "open_reader", "open_writer"]
