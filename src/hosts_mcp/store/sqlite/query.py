"""One SQL statement of a stranger, read only: the engine itself refuses everything else.

The connection is opened `mode=ro` and query_only; an authorizer lets through reads of our own tables and views and
harmless functions; a watcher interrupts what takes too long or too much memory; lengths are limited by the engine.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hosts_mcp.errors import BadQuery
from hosts_mcp.store.protocol import SqlResult
from hosts_mcp.store.sqlite.schema import open_for_reading
from hosts_mcp.store.sqlite.views import VIEW_NAMES

MEMORY_BYTES = 256 * 1024 * 1024
"""Growth of the process while a statement runs, beyond which the statement is stopped."""
CELL_CHARACTERS = 2_000
SHOWN_BYTES = 32
_POLL_SECONDS = 0.02
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 10_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}
# printf and format are missing: '%.*c' with a large width keeps the engine busy where nothing can interrupt it.
_HARMLESS = """
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat concat_ws cos cosh count cume_dist
    date datetime degrees dense_rank exp first_value floor glob group_concat hex ifnull iif instr json json_array
    json_array_length json_extract json_group_array json_group_object json_object json_quote json_type json_valid
    julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim max min mod nth_value
    ntile nullif octet_length percent_rank pi pow power quote radians rank replace round row_number rtrim sign
    sin sinh sqlite_version sqrt strftime string_agg substr substring sum tan tanh time timediff total trim trunc
    typeof unhex unicode unixepoch unlikely upper -> ->>
"""
_FUNCTIONS = frozenset(_HARMLESS.split())
_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list"})
_TABLE_FUNCTIONS = ("json_each", "json_tree", *(f"pragma_{name}" for name in sorted(_PRAGMAS)))
_VIEWS = ", ".join(VIEW_NAMES)


def run(path: Path, sql: str, max_rows: int, max_bytes: int, seconds: float) -> SqlResult:
    """Run it on a connection of its own. Raises BadQuery with the engine's words."""
    with _guarded(path, seconds) as (db, stopped):
        try:
            cursor = db.execute(sql)
            if cursor.description is None:
                raise BadQuery(f"That is no query: write one SELECT over {_VIEWS}.")
            return _fetch(cursor, max_rows, max_bytes, stopped)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            raise _refusal(error, stopped(), seconds) from error


def _fetch(cursor: sqlite3.Cursor, max_rows: int, max_bytes: int, stopped: Callable[[], str | None]) -> SqlResult:
    columns = [column[0] for column in cursor.description]
    rows: list[list[Any]] = []
    size = len(json.dumps(columns))
    try:
        for row in cursor:
            shown = [_cell(value) for value in row]
            size += len(json.dumps(shown, default=str).encode()) + 1
            if len(rows) >= max_rows:
                return SqlResult(columns, rows, True, "rows")
            if size > max_bytes:
                return SqlResult(columns, rows, True, "bytes")
            rows.append(shown)
    except sqlite3.OperationalError:
        if rows and stopped() == "time":
            return SqlResult(columns, rows, True, "time")
        raise
    return SqlResult(columns, rows, False)


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        shown = "0x" + value[:SHOWN_BYTES].hex()
        return shown if len(value) <= SHOWN_BYTES else f"{shown}… ({len(value)} bytes)"
    if isinstance(value, str) and len(value) > CELL_CHARACTERS:
        return value[:CELL_CHARACTERS] + "…"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value


def _refusal(error: BaseException, why: str | None, seconds: float) -> BadQuery:
    if why == "time":
        return BadQuery(f"The query took longer than {seconds:g} s and was stopped. Narrow it by host or time.")
    if why == "memory" or isinstance(error, MemoryError):
        return BadQuery("The query needed too much memory and was stopped. Narrow it, or aggregate.")
    words = str(error)
    if "not authorized" in words or "prohibited" in words:
        words += ": only SELECT over the views is possible"
    return BadQuery(f"SQLite refuses: {words}. Views: {_VIEWS}; an empty query lists their columns.")


@contextmanager
def _guarded(path: Path, seconds: float) -> Iterator[tuple[sqlite3.Connection, Callable[[], str | None]]]:
    db = open_for_reading(path)
    watcher = _Watcher(db, seconds)
    try:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        for name in _TABLE_FUNCTIONS:
            # Declares it. Under the authorizer no other virtual table can be declared any more.
            db.execute(f"SELECT 1 FROM {name}('[]') LIMIT 0")
        db.execute("PRAGMA cache_size = -8192")
        # In memory, so that the watcher sees what sorting and recursion take instead of the disk filling up.
        db.execute("PRAGMA temp_store = MEMORY")
        for limit, value in _LIMITS.items():
            db.setlimit(limit, value)
        db.set_authorizer(_authorizer(frozenset(tables).union(_TABLE_FUNCTIONS, ("sqlite_master", "sqlite_schema"))))
        watcher.start()
        yield db, lambda: watcher.why
    finally:
        watcher.stop()
        db.close()


def _authorizer(tables: frozenset[str]) -> Callable[..., int]:
    def allow(action: int, first: str | None, second: str | None, _: str | None, __: str | None) -> int:
        # Reading no column of a table (count(*)) names common table expressions as well.
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and (first in tables or not second):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _PRAGMAS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return allow


class _Watcher:
    """Interrupts a connection at its deadline or when the process grows too much. A thread, not a progress handler:
    that would wait for the interpreter's lock thousands of times while other threads ingest."""

    def __init__(self, db: sqlite3.Connection, seconds: float) -> None:
        self._db = db
        self._deadline = time.monotonic() + seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="query watcher", daemon=True)
        self.why: str | None = None

    def start(self) -> None:
        self._memory = _resident_bytes()
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            if time.monotonic() > self._deadline:
                self.why = self.why or "time"
            elif _resident_bytes() - self._memory > MEMORY_BYTES:
                self.why = self.why or "memory"
            if self.why is not None:
                self._db.interrupt()


def _resident_bytes() -> int:
    """What the process holds now; where the system does not tell, its peak."""
    try:
        with Path("/proc/self/statm").open() as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
