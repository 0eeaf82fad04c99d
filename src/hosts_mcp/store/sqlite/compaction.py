"""Hours of scrapes put together into chunks, piece by piece.

Computing a piece only reads; putting it in place is one short transaction which does nothing when what the piece was
made of is no longer as it was. Late scrapes of an hour become a chunk of their own, with which those that are no
larger are folded: however late points drip in, an hour has few chunks and no point is packed again often.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from hosts_mcp.store.sqlite import blocks
from hosts_mcp.store.sqlite.chunks import TICKS_PER_HOUR, every

QUIET_NS = 1_200_000_000_000
"""An hour is compacted once nothing has come for it for so long."""
_MOST_BYTES = 4 * 1024 * 1024
_MOST_SCRAPES = 600
"""Of one piece: as much as is deleted in a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk to be, and what it takes the place of."""

    host_id: int
    hour: int
    arrived_ns: int
    points: int
    chunk: bytes
    scrapes: tuple[int, ...]
    chunks: tuple[int, ...]
    points_before: int


def due(db: sqlite3.Connection, now_ns: int) -> Iterator[tuple[int, int]]:
    """(host id, hour) of every hour with scrapes to which nothing has come lately: a few seeks per host and hour."""
    for (host_id,) in db.execute("SELECT id FROM host ORDER BY id").fetchall():
        tick = 0
        while (found := _next_tick(db, host_id, tick)) is not None:
            hour = found // TICKS_PER_HOUR
            tick = (hour + 1) * TICKS_PER_HOUR
            newest = db.execute(
                "SELECT arrived_ns FROM scrape WHERE id = "
                "(SELECT max(id) FROM scrape WHERE host_id = ? AND tick >= ? AND tick < ?)",
                (host_id, hour * TICKS_PER_HOUR, tick),
            ).fetchone()
            if newest is not None and newest[0] < now_ns - QUIET_NS:
                yield host_id, hour


def _next_tick(db: sqlite3.Connection, host_id: int, tick: int) -> int | None:
    found: int | None = db.execute(
        "SELECT min(tick) FROM scrape WHERE host_id = ? AND tick >= ?", (host_id, tick)
    ).fetchone()[0]
    return found


def piece(db: sqlite3.Connection, host_id: int, hour: int) -> Piece | None:
    """The next piece of that hour; None when it has no scrapes."""
    ids: list[int] = []
    blobs: list[bytes] = []
    arrived_ns = points_before = size = 0
    rows = db.execute(
        "SELECT id, arrived_ns, points, v FROM scrape WHERE host_id = ? AND tick >= ? AND tick < ? "
        "ORDER BY tick, id LIMIT ?",
        (host_id, hour * TICKS_PER_HOUR, (hour + 1) * TICKS_PER_HOUR, _MOST_SCRAPES),
    )
    for number, arrived, points, blob in rows:
        ids.append(number)
        blobs.append(blob)
        arrived_ns, points_before, size = max(arrived_ns, arrived), points_before + points, size + len(blob)
        if size > _MOST_BYTES:
            break
    if not ids:
        return None
    found = blocks.of_segments(blobs, every)
    folded: list[int] = []
    chunks = "SELECT id, arrived_ns, points, v FROM chunk WHERE host_id = ? AND hour = ? ORDER BY points, id"
    for number, arrived, points, blob in db.execute(chunks, (host_id, hour)):
        if points > points_before:
            break
        folded.append(number)
        arrived_ns, points_before = max(arrived_ns, arrived), points_before + points
        for block in blocks.unpack(blob, every):
            found[block.layout].extend(block.rows())
    chunk, points = blocks.pack(found)
    return Piece(host_id, hour, arrived_ns, points, chunk, tuple(ids), tuple(folded), points_before)


def put(db: sqlite3.Connection, piece: Piece) -> bool:
    """Inside a transaction: the chunk in place of what it was made of. False, and nothing done, when retention or
    `forget` took some of that away meanwhile."""
    parts = (("scrape", piece.scrapes), ("chunk", piece.chunks))
    points = 0
    for table, ids in parts:
        marks = ", ".join("?" * len(ids))
        rows, held = db.execute(
            f"SELECT count(*), coalesce(sum(points), 0) FROM {table} "
            f"WHERE host_id = ? AND arrived_ns <= ? AND id IN ({marks})",
            (piece.host_id, piece.arrived_ns, *ids),
        ).fetchone()
        if rows != len(ids):
            return False
        points += held
    if points != piece.points_before:
        return False
    for table, ids in parts:
        db.executemany(f"DELETE FROM {table} WHERE id = ?", [(number,) for number in ids])
    db.execute(
        "INSERT INTO chunk (host_id, hour, arrived_ns, points, v) VALUES (?, ?, ?, ?, ?)",
        (piece.host_id, piece.hour, piece.arrived_ns, piece.points, piece.chunk),
    )
    db.execute("UPDATE counter SET value = value - ? WHERE name = 'points'", (piece.points_before - piece.points,))
    return True
