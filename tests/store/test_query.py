"""SQL of strangers: what the views give, and that nothing but reading is possible."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hosts_mcp.errors import BadQuery
from hosts_mcp.store.protocol import FindingRow, KeptLog, Rollup, Run
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter
from hosts_mcp.timerange import NS

from .building import T0, TRACE, exception, scrape, span, store, store_spans


@pytest.fixture
def filled(writer: SqliteWriter, reader: SqliteReader) -> SqliteReader:
    host = store(writer, [g for n in range(3) for g in scrape(T0 + n * 10 * NS, n)])
    store_spans(writer, [span(1, status=2, events=[exception("OOMError", "no memory")]), span(2, 1)])
    writer.begin()
    writer.entity("process", host, b"7", {"process.pid": 7, "process.executable.name": "postgres"}, T0, T0, T0)
    writer.settle(TRACE, [Run(TRACE, "agent", "step 1", host, True, T0, NS, NS, 2, "error")])
    writer.write_rollup(
        host, Rollup([T0 // (300 * NS) * 300 * NS], {"cpu_busy_ratio": [0.5]}, {"cpu_busy_ratio": [0.9]}, ["sda"])
    )
    writer.write_findings(host, [FindingRow(host, "high_memory", "warning", None, T0, None, 0.95, "Memory is full.")])
    writer.add_log(KeptLog("oom_kill", T0, host, 1, "agent", TRACE, b"", "Killed process 7"), T0)
    writer.commit()
    return reader


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT host, kind FROM hosts", [["box-1", "host"]]),
        ("SELECT count(*), max(cpu_user_seconds) FROM samples WHERE host = 'box-1'", [[3, 212.0]]),
        ("SELECT host, cpu_busy_ratio_mean, cpu_busy_ratio_max, worst_disk FROM signals", [["box-1", 0.5, 0.9, "sda"]]),
        (f"SELECT name, status, exception_type FROM spans WHERE trace_id = '{TRACE.hex()}' AND status = 'error'",
         [["step 1", "error", "OOMError"]]),
        ("SELECT trace_id, root_name, services, spans, errors, outcome FROM traces",
         [[TRACE.hex(), "step 1", "agent", 2, 1, "error"]]),
        ("SELECT service, operation, host, duration_seconds, outcome FROM runs",
         [["agent", "step 1", "box-1", 1.0, "error"]]),
        ("SELECT host, process_id, executable FROM processes", [["box-1", 7, "postgres"]]),
        ("SELECT host, code, severity, until_time FROM findings", [["box-1", "high_memory", "warning", None]]),
        ("SELECT what, host, text FROM logs", [["oom_kill", "box-1", "Killed process 7"]]),
        ("SELECT time FROM samples ORDER BY time_ns LIMIT 1", [["2025-10-09T08:53:20.000Z"]]),
        ("WITH x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 3) SELECT sum(n) FROM x", [[6]]),
        ("SELECT name FROM pragma_table_info('hosts') LIMIT 1", [["host"]]),
        ("SELECT lag(load_1m) OVER (ORDER BY time_ns) FROM samples LIMIT 1", [[None]]),
    ],
)  # fmt: skip
def test_the_views_answer_in_plain_names(filled: SqliteReader, sql: str, expected: list[list[object]]) -> None:
    assert filled.sql(sql).rows == expected


def test_the_schema_lists_every_view_with_its_columns(filled: SqliteReader) -> None:
    text = filled.sql_schema()
    for name in ("hosts", "samples", "signals", "spans", "traces", "runs", "processes", "findings", "logs"):
        assert f"\n{name}: " in text
    assert "memory_used_bytes" in text
    assert "duration_seconds" in text


LONG = "hex(hex(hex(hex(hex(hex(hex(hex(hex(hex('0123456789abcdef0123456789abcdef'))))))))))"  # 32 KiB

ATTACKS = [
    "DELETE FROM host",
    "UPDATE host SET name = 'x'",
    "INSERT INTO host (name) VALUES ('x')",
    "DROP TABLE host",
    "DROP VIEW hosts",
    "CREATE TABLE evil (x)",
    "CREATE TEMP TABLE evil AS SELECT * FROM hosts",
    "CREATE TEMP VIEW evil AS SELECT 1",
    "CREATE VIRTUAL TABLE evil USING fts5(x)",
    "CREATE TEMP TRIGGER evil AFTER INSERT ON host BEGIN SELECT 1; END",
    "ALTER TABLE host ADD COLUMN evil",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
    "VACUUM INTO '{place}/copy.db'",
    "ATTACH '{place}/other.db' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA writable_schema = ON",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA temp_store_directory = '{place}'",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA database_list",
    "SELECT load_extension('{place}/evil.so')",
    "SELECT writefile('{place}/evil', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT fts3_tokenizer('simple', x'00')",
    "SELECT edit('x')",
    "SELECT sqlite_compileoption_get(1)",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    "SELECT 1; DELETE FROM host",
    "BEGIN IMMEDIATE",
    "SAVEPOINT x",
    "COMMIT",
    "WITH x AS (SELECT 1) DELETE FROM host",
    "WITH x AS (SELECT 1) INSERT INTO host (name) SELECT 'x' FROM x",
    "EXPLAIN DELETE FROM host",
    "SELECT * FROM host; --",
    "SELECT 1 \x00; DROP TABLE host",
    "",
    "-- nothing",
    "SELECT nothing FROM nowhere",
    "SELECT",
    "SELECT zeroblob(2000000000)",
    "SELECT randomblob(1000000000)",
    "SELECT length(group_concat(t.name || s.name || hex(t.sql))) FROM sqlite_master t, sqlite_master s, sqlite_master",
    "SELECT printf('%.*c', 2000000000, 'x')",
    f"SELECT replace({LONG}, '3', {LONG})",
    "SELECT count(*) FROM sqlite_stmt",
    "SELECT '" + "x" * 60_000 + "'",
    "SELECT " + "(" * 300 + "1" + ")" * 300,
]


@pytest.mark.parametrize("sql", ATTACKS, ids=lambda sql: sql[:40])
def test_anything_but_reading_is_refused_by_the_engine(filled: SqliteReader, tmp_path: Path, sql: str) -> None:
    before = filled.hosts(), {p.name for p in tmp_path.iterdir()}
    if sql == "SELECT * FROM host; --":  # one statement and a comment: harmless
        assert filled.sql(sql).rows
        return
    with pytest.raises(BadQuery):
        filled.sql(sql.replace("{place}", str(tmp_path)))
    assert (filled.hosts(), {p.name for p in tmp_path.iterdir()}) == before


FOREVER = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x"


def test_a_query_that_never_ends_is_stopped(filled: SqliteReader) -> None:
    began = time.monotonic()
    with pytest.raises(BadQuery, match=r"longer than 0\.3 s"):
        filled.sql(FOREVER, seconds=0.3)
    assert time.monotonic() - began < 30  # far from for ever, whatever the machine


@pytest.mark.parametrize(
    "sql",
    [
        f"WITH RECURSIVE x(n, s) AS (SELECT 1, {LONG} UNION SELECT n + 1, {LONG} || n FROM x) SELECT count(*) FROM x",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) "
        f"SELECT length(json_group_array({LONG})) FROM x",
    ],
    ids=["recursion", "json_group_array"],
)
def test_a_query_that_eats_memory_is_stopped_before_it_hurts(filled: SqliteReader, sql: str) -> None:
    with pytest.raises(BadQuery):
        filled.sql(sql, seconds=20)


def test_rows_and_bytes_are_bounded_and_the_cut_is_named(filled: SqliteReader) -> None:
    many = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n, 'some text' FROM x"
    rows = filled.sql(many, max_rows=7)
    assert (len(rows.rows), rows.truncated, rows.reason) == (7, True, "rows")
    by_bytes = filled.sql(many, max_rows=10_000, max_bytes=1000)
    assert (by_bytes.truncated, by_bytes.reason) == (True, "bytes")
    assert len(str(by_bytes.rows)) < 1500
    exactly = filled.sql("SELECT * FROM hosts", max_rows=1)
    assert (len(exactly.rows), exactly.truncated) == (1, False)


def test_blobs_are_shown_as_short_hex_and_long_texts_are_cut(filled: SqliteReader) -> None:
    (row,) = filled.sql("SELECT x'00ff', CAST('" + "x" * 100 + "' AS BLOB), '" + "x" * 5000 + "', 1e999, NULL").rows
    assert row[0] == "0x00ff"
    assert row[1].endswith("… (100 bytes)")
    assert len(row[2]) == 2001
    assert row[3:] == ["inf", None]


def test_an_error_has_the_engines_words_and_names_the_views(filled: SqliteReader) -> None:
    with pytest.raises(BadQuery, match=r"no such column: nope.*Views: hosts, samples"):
        filled.sql("SELECT nope FROM hosts")


def test_queries_run_side_by_side_with_ingest(filled: SqliteReader, writer: SqliteWriter) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(10):
                assert filled.sql("SELECT count(*) FROM samples").rows[0][0] >= 3
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(20):
        store(writer, scrape(T0 + (100 + n) * NS, n))
    for thread in threads:
        thread.join()
    assert failures == []
