"""The tables, as numbered migrations, and how a file is opened, checked and brought up to date.

Columns of `sample` and `signals_5m` follow the catalogue of `signals/`: a version that knows more adds columns, it
never changes old ones. Views are rebuilt from code whenever they differ (`views`).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.signals.model import TICK_NS, FramedRow, SampleRow
from hosts_mcp.signals.rows import framed
from hosts_mcp.store.sqlite import retries, rollups, samples
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.views import create_views

log = logging.getLogger(__name__)

PAGE_BYTES = 8192
_ROWS_AT_ONCE = 5_000
"""Of a table that a migration writes anew."""
BUSY_SECONDS = 5.0

# Python's sqlite3 looks for an adapter of every value that is no number or text, and not to find one costs more than to
# bind the value: these hand it back.
sqlite3.register_adapter(type(None), dict[None, None]().get)
sqlite3.register_adapter(bytes, bytes)

MIGRATIONS = Migrations("hosts_mcp")

_TABLES = """
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE server_run (id INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, alive_ns INTEGER NOT NULL);
CREATE TABLE request (hash BLOB PRIMARY KEY, arrived_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX request_age ON request (arrived_ns);

CREATE TABLE host (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
    host_id TEXT, aliases TEXT NOT NULL, shared_id INTEGER NOT NULL, node TEXT, cluster TEXT, os_type TEXT,
    os_description TEXT, arch TEXT, attributes TEXT NOT NULL, sources TEXT NOT NULL, sdk_language TEXT,
    boot_ns INTEGER, cpu_count INTEGER, memory_bytes INTEGER, interval_ns INTEGER, newest_ns INTEGER,
    first_arrived_ns INTEGER NOT NULL, last_arrived_ns INTEGER NOT NULL, usual_lag_ns INTEGER
);
CREATE TABLE entity (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, host_id INTEGER, name TEXT, pid INTEGER,
    started_ns INTEGER, first_seen_ns INTEGER NOT NULL, last_seen_ns INTEGER NOT NULL,
    last_arrived_ns INTEGER NOT NULL, spans INTEGER NOT NULL DEFAULT 0, join_rule TEXT, join_confidence TEXT,
    identity BLOB NOT NULL UNIQUE
);
CREATE INDEX entity_of_host ON entity (host_id, kind, last_seen_ns);
CREATE TABLE entity_attributes (entity_id INTEGER PRIMARY KEY, attributes TEXT NOT NULL);

CREATE TABLE slot (
    id INTEGER PRIMARY KEY AUTOINCREMENT, metric TEXT NOT NULL, kind TEXT NOT NULL, attributes TEXT NOT NULL,
    unit TEXT NOT NULL, UNIQUE (metric, kind, attributes)
);
CREATE TABLE layout (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, slots BLOB NOT NULL,
    last_arrived_ns INTEGER NOT NULL, UNIQUE (source, slots)
);
CREATE TABLE scrape (
    id INTEGER PRIMARY KEY, host_id INTEGER NOT NULL, tick INTEGER NOT NULL, arrived_ns INTEGER NOT NULL,
    points INTEGER NOT NULL, v BLOB NOT NULL
);
CREATE INDEX scrape_of_host ON scrape (host_id, tick);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, host_id INTEGER NOT NULL, hour INTEGER NOT NULL, arrived_ns INTEGER NOT NULL,
    points INTEGER NOT NULL, v BLOB NOT NULL
);
CREATE INDEX chunk_of_host ON chunk (host_id, hour);
CREATE TABLE feed (
    host_id INTEGER, source TEXT, groups TEXT NOT NULL, PRIMARY KEY (host_id, source)
) WITHOUT ROWID;
CREATE TABLE sample (
    host_id INTEGER, source TEXT, tick INTEGER, start_ns INTEGER, PRIMARY KEY (host_id, source, tick)
) WITHOUT ROWID;
CREATE TABLE signals_5m (
    host_id INTEGER, start_ns INTEGER, derived_ns INTEGER NOT NULL, worst_disk TEXT, PRIMARY KEY (host_id, start_ns)
) WITHOUT ROWID;
CREATE INDEX signals_5m_age ON signals_5m (derived_ns);
CREATE TABLE touched (
    host_id INTEGER, bin INTEGER, arrived_ns INTEGER NOT NULL, taken INTEGER NOT NULL, PRIMARY KEY (host_id, bin)
) WITHOUT ROWID;

CREATE TABLE trace (
    id INTEGER PRIMARY KEY AUTOINCREMENT, trace_id BLOB NOT NULL UNIQUE, start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL, pending INTEGER NOT NULL,
    entries INTEGER NOT NULL, root_span BLOB, root_start_ns INTEGER, root_end_ns INTEGER, root_status INTEGER,
    last_arrived_ns INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0, first_run INTEGER, last_run INTEGER
);
CREATE INDEX trace_by_start ON trace (start_ns);
CREATE INDEX trace_by_arrival ON trace (settled, last_arrived_ns);
CREATE TABLE trace_entity (
    trace INTEGER, entity_id INTEGER, PRIMARY KEY (trace, entity_id)
) WITHOUT ROWID;
CREATE TABLE span (
    trace INTEGER, span_id BLOB, parent_id BLOB, entity_id INTEGER NOT NULL, name TEXT NOT NULL,
    kind INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER, status INTEGER NOT NULL, status_message TEXT,
    pending INTEGER NOT NULL, exception_type TEXT, exception_message TEXT, server_address TEXT, db_system TEXT,
    pid INTEGER, arrived_ns INTEGER NOT NULL, detail INTEGER, PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
CREATE TABLE span_detail (id INTEGER PRIMARY KEY AUTOINCREMENT, arrived_ns INTEGER NOT NULL, v BLOB NOT NULL);

CREATE TABLE operation (
    id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (name, service)
);
CREATE TABLE operation_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT, operation_id INTEGER NOT NULL, trace_id BLOB NOT NULL, host_id INTEGER,
    root INTEGER NOT NULL, start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, self_ns INTEGER NOT NULL,
    spans INTEGER NOT NULL, outcome TEXT NOT NULL, settled_ns INTEGER NOT NULL
);
CREATE INDEX run_of_operation ON operation_run (operation_id, start_ns);
CREATE INDEX run_by_start ON operation_run (start_ns);
CREATE INDEX long_run ON operation_run (start_ns) WHERE duration_ns > 600000000000;

CREATE TABLE finding (
    id INTEGER PRIMARY KEY, host_id INTEGER NOT NULL, code TEXT NOT NULL, subject TEXT NOT NULL,
    since_ns INTEGER NOT NULL, until_ns INTEGER, severity TEXT NOT NULL, value REAL, sentence TEXT NOT NULL, fix TEXT,
    UNIQUE (host_id, code, subject, since_ns)
);
CREATE TABLE kept_log (
    id INTEGER PRIMARY KEY, identity BLOB NOT NULL UNIQUE, what TEXT NOT NULL, time_ns INTEGER NOT NULL,
    host_id INTEGER, entity_id INTEGER NOT NULL, service TEXT, trace_id BLOB, span_id BLOB, text TEXT NOT NULL,
    arrived_ns INTEGER NOT NULL
);
CREATE INDEX log_by_time ON kept_log (time_ns);
CREATE INDEX log_of_trace ON kept_log (trace_id) WHERE trace_id IS NOT NULL;
CREATE TABLE arrival (
    signal TEXT, what TEXT, service TEXT, kept INTEGER, count INTEGER NOT NULL, last_arrived_ns INTEGER NOT NULL,
    note TEXT, PRIMARY KEY (signal, what, service, kept)
) WITHOUT ROWID;
"""


@MIGRATIONS()
def m001_tables(db: Database) -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            db.conn.execute(statement)


@MIGRATIONS()
def m002_forgotten(db: Database) -> None:
    """Hosts that were forgotten; until `done` rows of them are left to delete, a few at a time."""
    db.conn.execute("CREATE TABLE forgotten (host_id INTEGER PRIMARY KEY, done INTEGER NOT NULL DEFAULT 0)")


@MIGRATIONS()
def m003_places(db: Database) -> None:
    """The place of a span's details in their blob; NULL where the blob finds them by span id, as it used to."""
    db.conn.execute("ALTER TABLE span ADD COLUMN place INTEGER")


@MIGRATIONS()
def m004_frames(db: Database) -> None:
    """Wide rows by the number of their feed; what they say of their groups of columns as one number and one blob."""
    for statement in (
        "DROP VIEW IF EXISTS samples",
        "ALTER TABLE feed RENAME TO old_feed",
        "ALTER TABLE sample RENAME TO old_sample",
        "CREATE TABLE feed (id INTEGER PRIMARY KEY, host_id INTEGER NOT NULL, source TEXT NOT NULL, "
        "groups TEXT NOT NULL, UNIQUE (host_id, source))",
        "INSERT INTO feed (host_id, source, groups) SELECT host_id, source, groups FROM old_feed",
        "CREATE TABLE frame (id INTEGER PRIMARY KEY, sets TEXT NOT NULL UNIQUE)",
        "CREATE TABLE sample (feed_id INTEGER, tick INTEGER, frame_id INTEGER NOT NULL, clocks BLOB NOT NULL, "
        "PRIMARY KEY (feed_id, tick)) WITHOUT ROWID",
    ):
        db.conn.execute(statement)
    _add_columns(db.conn)
    writer, old = samples.SampleWriter(db.conn, Ledger()), _old_samples(db.conn)
    while some := list(islice(old, _ROWS_AT_ONCE)):
        writer.write(some)
    db.conn.execute("DROP TABLE old_sample")
    db.conn.execute("DROP TABLE old_feed")


@MIGRATIONS()
def m005_retries(db: Database) -> None:
    """Requests by hour and hash, without an index by age."""
    for statement in (
        "ALTER TABLE request RENAME TO old_request",
        "CREATE TABLE request (hour INTEGER, hash BLOB, arrived_ns INTEGER NOT NULL, PRIMARY KEY (hour, hash)) "
        "WITHOUT ROWID",
        f"INSERT INTO request SELECT arrived_ns / {retries.MEMORY_NS}, hash, arrived_ns FROM old_request",
        "DROP TABLE old_request",
    ):
        db.conn.execute(statement)


def _old_samples(connection: sqlite3.Connection) -> Iterator[tuple[int, FramedRow]]:
    """Wide rows as they stood before m004: of each group its offset, what was summed, and its start where it was not
    the row's."""
    cursor = connection.execute("SELECT * FROM old_sample WHERE host_id IN (SELECT id FROM host)")
    names = [column[0] for column in cursor.description]
    groups = [name.removesuffix("_offset_ns") for name in names if name.endswith("_offset_ns")]
    for record in cursor:
        row = {name: value for name, value in zip(names, record, strict=True) if value is not None}
        own = [group for group in groups if f"{group}_offset_ns" in row]
        yield (
            row["host_id"],
            framed(
                SampleRow(
                    row["source"],
                    row["tick"],
                    {name: row[name] for name in samples.COLUMNS if name in row},
                    {group: row["tick"] * TICK_NS + row[f"{group}_offset_ns"] for group in own},
                    {group: row.get(f"{group}_start_ns", row.get("start_ns", 0)) for group in own},
                    {group: row.get(f"{group}_set", 0) for group in own},
                )
            ),
        )


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection without implicit transactions, usable from any one thread at a time."""
    uri = path.absolute().as_uri() + ("?mode=ro" if read_only else "")
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def open_for_writing(path: Path, synchronous: str) -> sqlite3.Connection:
    """Create or open the file, migrated to this version. Raises StoreUnusable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = connect(path, read_only=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{path} cannot be opened: {error}. Choose a writable place with --db.") from error
    try:
        _check_readable(connection, path)
        # Both take effect only before the first table exists.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if synchronous == 'normal' else 'FULL'}")
        # Checkpoints are a job, never a surprise inside an acknowledged commit.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -65536")
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnusable(f"{path} cannot be used: {error}.") from error
    except StoreUnusable:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing file of this version. Raises StoreUnusable."""
    if not path.exists():
        raise StoreUnusable(f"There is no database at {path}. `hosts-mcp serve` creates it; --db names another one.")
    try:
        connection = connect(path, read_only=True)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} cannot be opened for reading: {error}.") from error
    try:
        _check_readable(connection, path)
        missing = _known() - _applied(connection)
        if missing:
            raise StoreUnusable(
                f"{path} was written by an older hosts-mcp ({', '.join(sorted(missing))} missing). "
                "Start `hosts-mcp serve` once on it: that brings it up to date."
            )
        connection.execute("PRAGMA cache_size = -65536")
    except StoreUnusable:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what is missing, then columns and views. Raises StoreUnusable for a file of a newer version."""
    newer = _applied(connection) - _known()
    if newer:
        raise _newer(path, newer)
    if int(connection.execute("PRAGMA auto_vacuum").fetchone()[0]) != 2:
        raise StoreUnusable(
            f"{path} exists and was not made by hosts-mcp (its auto_vacuum is not incremental). Choose another --db."
        )
    applied = _applied(connection)
    if applied and (missing := _known() - applied):
        log.info("%s is brought up to date (%s): minutes, where it is large", path, ", ".join(sorted(missing)))
    MIGRATIONS.apply(Database(connection))
    connection.execute("BEGIN IMMEDIATE")
    try:
        _add_columns(connection)
        create_views(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _add_columns(connection: sqlite3.Connection) -> None:
    """Columns that this version knows and the file does not have yet."""
    for table, columns in (("sample", samples.COLUMNS), ("signals_5m", rollups.COLUMNS)):
        present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for name in columns:
            if name not in present:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} REAL")


def version() -> int:
    return len(_known())


def _known() -> set[str]:
    return {migration.name for migration in MIGRATIONS._migrations}


def _applied(connection: sqlite3.Connection) -> set[str]:
    return {migration.name for migration in MIGRATIONS.applied(Database(connection))}


def _check_readable(connection: sqlite3.Connection, path: Path) -> None:
    try:
        newer = _applied(connection) - _known()
    except sqlite3.DatabaseError as error:
        raise StoreUnusable(f"{path} is no database that hosts-mcp can read: {error}. Choose another --db.") from error
    if newer:
        raise _newer(path, newer)


def _newer(path: Path, names: Iterable[str]) -> StoreUnusable:
    return StoreUnusable(
        f"{path} was written by a newer hosts-mcp ({', '.join(sorted(names))} unknown here). "
        "Upgrade hosts-mcp, or choose another file with --db."
    )
