"""Opening a file: new, old, newer, foreign."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.otlp.batch import Link, PointGroup, SpanDetails
from hosts_mcp.store.sqlite import open_reader, open_writer, schema
from hosts_mcp.timerange import NS

from .building import BOOT, DISK, LOAD, T0, TRACE, exception, group, scrape, span, store, store_spans


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[Migrations]:
    """The schema as a later hosts-mcp may have it: one migration more."""
    later = Migrations("hosts_mcp")
    later._migrations = list(schema.MIGRATIONS._migrations)

    @later(name="m999_colour")
    def colour(db: Database) -> None:
        db.conn.execute("ALTER TABLE host ADD COLUMN colour TEXT")

    return later


def test_a_new_file_has_the_pragmas_that_only_count_before_the_first_table(path: Path) -> None:
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as db:
        wanted = {"page_size": 8192, "auto_vacuum": 2, "journal_mode": "wal"}
        assert {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted


def test_an_older_file_is_migrated_and_keeps_its_data(
    path: Path, next_version: Migrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(path)
    host = store(writer, scrape(T0))
    writer.close()
    before = schema.version()
    monkeypatch.setattr(schema, "MIGRATIONS", next_version)
    with pytest.raises(StoreUnusable, match=r"older hosts-mcp.*serve"):
        open_reader(path)
    with closing(open_writer(path)), closing(open_reader(path)) as reader:
        assert reader.about().schema_version == schema.version() == before + 1
        assert "cpu" in reader.samples(host, T0, T0 + NS)


def test_spans_of_an_earlier_build_keep_their_details_and_are_still_known(path: Path) -> None:
    """The file has a span with everything, a pending one, one without details and one of every day."""
    path.write_bytes(gzip.decompress((Path(__file__).parent / "files" / "m002.db.gz").read_bytes()))
    with closing(open_writer(path)) as writer, closing(open_reader(path)) as reader:
        before, details = reader.trace(TRACE), reader.span_details(TRACE)
        assert details[span(1).span_id] == SpanDetails(
            {
                "db.system": "postgresql", "server.address": "db-1", "process.pid": "77", "list": [1, "a", None],
                "bytes": b"\xff\x00", "map": {"x": {"y": 2.5}}, "ünicode": "\U0001f4e6 ü",
            },
            (exception("OOMError", "no memory"),),
            (Link(b"l" * 16, b"k" * 8, {"a": 1}),),
        )  # fmt: skip
        assert details[span(2).span_id].attributes["logfire.span_type"] == "pending_span"
        assert span(3).span_id not in details
        assert details[span(4).span_id].attributes == {"number": 4}

        store_spans(writer, [span(3, 1, attributes={}), span(4, 1, kind=3)])
        assert (reader.trace(TRACE), reader.span_details(TRACE)) == (before, details)
        store_spans(writer, [span(2, 1), span(4, 1, kind=3, attributes={"number": 5})])
        assert [s.pending for s in reader.trace(TRACE)] == [False] * 4
        assert reader.span_details(TRACE)[span(2).span_id].attributes == {"number": 2}
        assert reader.span_details(TRACE)[span(4).span_id].attributes == {"number": 5}
        assert reader.span_details(TRACE)[span(1).span_id] == details[span(1).span_id]


def readings() -> list[tuple[str, list[PointGroup]]]:
    """Source and groups: all of them, some, with starts of their own, of another disk, in two rows, of two sources."""
    part = scrape(T0 + 20 * NS, 2)
    own_start = [one._replace(start_ns=BOOT + n * NS) for n, one in enumerate(scrape(T0 + 30 * NS, 3))]
    fewer = group(DISK[:2], [3e6, 4e6], T0 + 40 * NS, scraper="disk")
    late = [one._replace(time_ns=one.time_ns + n // 2 * NS) for n, one in enumerate(scrape(T0 + 50 * NS, 5))]
    whole = [one for n in range(2) for one in scrape(T0 + n * 10 * NS, n)]
    hostmetrics = [*whole, *part[:2], *own_start, *scrape(T0 + 40 * NS, 4)[:3], fewer, *late]
    return [("hostmetrics", hostmetrics), ("app", [group(LOAD, [1.0, 2.0, 3.0], T0 + NS, scraper="load", start_ns=0)])]


@pytest.mark.parametrize("at_once", [3, 5_000])
def test_wide_rows_of_an_earlier_build_say_the_same(
    path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file was written by that build from `readings`."""
    monkeypatch.setattr(schema, "_ROWS_AT_ONCE", at_once)
    caplog.set_level("INFO", "hosts_mcp")
    path.write_bytes(gzip.decompress((Path(__file__).parent / "files" / "m003.db.gz").read_bytes()))
    other = path.with_name("made-now.db")
    with closing(open_writer(path)), closing(open_writer(other)) as writer:
        for source, groups in readings():
            store(writer, groups, source=source)
    with closing(open_reader(path)) as old, closing(open_reader(other)) as new:
        (host,) = old.hosts()
        for begin, end in ((0, 2 * T0), (T0 + 15 * NS, T0 + 45 * NS), (T0 + 45 * NS, T0 + 51 * NS), (T0, T0 + NS)):
            assert old.samples(host.id, begin, end) == new.samples(host.id, begin, end) != {}
        assert old.newest([host.id]) == new.newest([host.id])
        everything = "SELECT * FROM samples ORDER BY time_ns, source"
        assert old.sql(everything).rows == new.sql(everything).rows
        assert len(old.sql(everything).rows) == 8
    assert [record.getMessage() for record in caplog.records if "up to date" in record.getMessage()] == [
        f"{path} is brought up to date (m004_frames, m005_retries): minutes, where it is large"
    ]


def test_a_retry_of_what_an_earlier_build_stored_is_still_known(path: Path) -> None:
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE request")
        db.execute("CREATE TABLE request (hash BLOB PRIMARY KEY, arrived_ns INTEGER NOT NULL) WITHOUT ROWID")
        db.execute("CREATE INDEX request_age ON request (arrived_ns)")
        db.execute("INSERT INTO request VALUES (?, ?)", (b"hash", T0))
        db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm005_retries'")
        db.commit()
    with closing(open_writer(path)) as writer:
        writer.begin()
        assert not writer.first_time(b"hash", T0 + 3599 * NS)
        assert writer.first_time(b"other", T0)
        writer.rollback()


def test_a_newer_file_is_refused_and_left_alone(
    path: Path, next_version: Migrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", next_version)
        open_writer(path).close()
    before = path.read_bytes()
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreUnusable, match=r"newer hosts-mcp \(m999_colour.*Upgrade"):
            opening(path)
    assert path.read_bytes() == before


def test_columns_that_a_later_catalogue_adds_appear_and_older_rows_read_as_unknown(path: Path) -> None:
    writer = open_writer(path)
    host = store(writer, scrape(T0))
    writer.close()
    with closing(sqlite3.connect(path)) as db:
        for view in [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]:
            db.execute(f"DROP VIEW {view}")
        db.execute("ALTER TABLE sample DROP COLUMN load_5m")
        db.commit()
    with closing(open_reader(path)) as reader:
        assert set(reader.samples(host, T0, T0 + NS)["load"].columns) == {"load_1m", "load_15m"}
    with closing(open_writer(path)) as writer, closing(open_reader(path)) as reader:
        store(writer, scrape(T0 + 10 * NS, 1))
        assert list(reader.samples(host, T0, T0 + 11 * NS)["load"].columns["load_5m"]) == [None, 1.0]


@pytest.mark.parametrize(
    "content", [b"this is no database at all" * 400, b"SQLite format 3\x00garbage" + b"\xff" * 9000]
)
def test_a_file_that_is_no_database_is_refused_with_its_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreUnusable, match=r"hosts\.db"):
            opening(path)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnusable, match="not made by hosts-mcp"):
        open_writer(path)


def test_a_missing_file_names_the_command_that_creates_it(path: Path) -> None:
    with pytest.raises(StoreUnusable, match="hosts-mcp serve"):
        open_reader(path)
    assert not path.exists()
