"""Where a host's points lie: `scrape` (as they arrived) and `chunk` (hours that were compacted), read as one.

A chunk's first byte names its codec. 1: zlib over the segments of the hour, as in a scrape.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator

from hosts_mcp.errors import StoreUnusable

TICKS_PER_HOUR = 7200
ZLIB = 1


def blobs(db: sqlite3.Connection, host_id: int, first_tick: int, last_tick: int) -> Iterator[bytes]:
    """Unpackable segments of the host that may lie in these ticks (both included); a chunk brings its whole hour."""
    hours = (host_id, first_tick // TICKS_PER_HOUR, last_tick // TICKS_PER_HOUR)
    for (blob,) in db.execute(
        "SELECT v FROM chunk WHERE host_id = ? AND hour BETWEEN ? AND ? ORDER BY hour, id", hours
    ):
        yield decompress(blob)
    for (blob,) in db.execute(
        "SELECT v FROM scrape WHERE host_id = ? AND tick BETWEEN ? AND ? ORDER BY tick, id",
        (host_id, first_tick, last_tick),
    ):
        yield blob


def decompress(blob: bytes) -> bytes:
    if blob[0] != ZLIB:
        raise StoreUnusable(
            f"A chunk of points uses codec {blob[0]}, which this version cannot read: upgrade hosts-mcp."
        )
    return zlib.decompress(memoryview(blob)[1:])


def compress(segments: bytes) -> bytes:
    return bytes((ZLIB,)) + zlib.compress(segments, 6)
