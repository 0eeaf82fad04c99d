"""Requests of the last hour by their hash: a retry counts once.

By the hour and then the hash: what is new lands in one part of the table, and what is old goes from its beginning, with
no index by age beside it.
"""

from __future__ import annotations

import sqlite3

MEMORY_NS = 3_600_000_000_000


def first_time(db: sqlite3.Connection, request_hash: bytes, arrived_ns: int) -> bool:
    """Whether the request has not arrived within the hour; if so, it has now."""
    hour = arrived_ns // MEMORY_NS
    stored = db.execute(
        "SELECT max(arrived_ns) FROM request WHERE hour IN (?1 - 1, ?1, ?1 + 1) AND hash = ?2", (hour, request_hash)
    ).fetchone()[0]
    if stored is not None and stored > arrived_ns - MEMORY_NS:
        return False
    db.execute("INSERT OR REPLACE INTO request VALUES (?, ?, ?)", (hour, request_hash, arrived_ns))
    return True


def forget(db: sqlite3.Connection, now_ns: int, rows: int) -> bool:
    """Some of what is too old; False when there is nothing any more."""
    old = "SELECT hour, hash FROM request WHERE hour < ? LIMIT ?"
    gone = db.execute(f"DELETE FROM request WHERE (hour, hash) IN ({old})", (now_ns // MEMORY_NS - 1, rows)).rowcount
    return gone > 0
