"""Where a host's points lie: `scrape` (as they arrived) and `chunk` (hours that were compacted), read as one.

Several chunks of one hour are fine, and so are scrapes beside them: whoever reads merges by (entity, slot, time).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Iterator

from hosts_mcp.signals.model import TICK_NS
from hosts_mcp.store.sqlite import blocks
from hosts_mcp.store.sqlite.blocks import Block

TICKS_PER_HOUR = 3_600_000_000_000 // TICK_NS


def every(_: object) -> bool:
    return True


def read(
    db: sqlite3.Connection,
    host_id: int,
    first_tick: int,
    last_tick: int,
    wanted: Callable[[int], bool] = every,
    chosen: Container[int] | None = None,
) -> Iterator[Block]:
    """Blocks of wanted layouts that may lie in these ticks (both included): a chunk brings its whole hour, scrapes
    come only of `chosen` ticks where they are given."""
    for chunk in _chunks(db, host_id, first_tick, last_tick):
        yield from blocks.unpack(chunk, wanted)
    yield from blocks.plain(blocks.of_segments(_scrapes(db, host_id, first_tick, last_tick, chosen), wanted))


def ticks(db: sqlite3.Connection, host_id: int, first_tick: int, last_tick: int) -> list[int]:
    """Ticks in which the host has a reading, ascending."""
    found = {tick for chunk in _chunks(db, host_id, first_tick, last_tick) for tick in blocks.ticks(chunk)}
    rows = db.execute("SELECT tick FROM scrape WHERE host_id = ? AND tick BETWEEN ? AND ?",
                      (host_id, first_tick, last_tick))  # fmt: skip
    return sorted(tick for tick in found.union(row[0] for row in rows) if first_tick <= tick <= last_tick)


def _chunks(db: sqlite3.Connection, host_id: int, first_tick: int, last_tick: int) -> Iterator[bytes]:
    hours = (host_id, first_tick // TICKS_PER_HOUR, last_tick // TICKS_PER_HOUR)
    rows = db.execute("SELECT v FROM chunk WHERE host_id = ? AND hour BETWEEN ? AND ? ORDER BY hour, id", hours)
    return (row[0] for row in rows)


def _scrapes(
    db: sqlite3.Connection, host_id: int, first_tick: int, last_tick: int, chosen: Container[int] | None
) -> Iterator[bytes]:
    window = "FROM scrape WHERE host_id = ? AND tick BETWEEN ? AND ? ORDER BY tick, id"
    bounds = (host_id, first_tick, last_tick)
    if chosen is None:
        yield from (row[0] for row in db.execute(f"SELECT v {window}", bounds))
        return
    for tick, number in db.execute(f"SELECT tick, id {window}", bounds):
        if tick in chosen:
            yield db.execute("SELECT v FROM scrape WHERE id = ?", (number,)).fetchone()[0]
