"""What a transaction promises: all of it or nothing, no id that is not in the file, nothing lost by a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hosts_mcp.store.protocol import Arrived, KeptLog, StoreBusy, TraceFilter
from hosts_mcp.store.sqlite import Checkpointer, SqliteReader, SqliteWriter, checkpoint, open_reader, open_writer
from hosts_mcp.timerange import NS

from .building import CPU, LOAD, T0, TRACE, add_box, group, scrape, span, store, store_spans


def test_a_rolled_back_transaction_leaves_nothing_and_its_ids_are_void(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    writer.begin()
    host, entity = add_box(writer)
    writer.add_points(host, entity, "hostmetrics", scrape(T0)[:1], T0)
    service = writer.entity("service", None, b"agent", {"service.name": "agent"}, None, T0, T0)
    writer.add_spans([(service, span(1))], T0)
    writer.rollback()
    assert reader.hosts() == []
    assert reader.trace(TRACE) == []
    host = store(writer, scrape(T0))
    store_spans(writer, [span(1)])
    assert reader.stored(host).points == sum(len(g.values) for g in scrape(T0))
    assert reader.trace(TRACE)[0].service == "agent"
    assert "cpu" in reader.samples(host, T0, T0 + NS)


def test_an_undone_request_takes_its_neighbours_with_it_in_no_case(writer: SqliteWriter, reader: SqliteReader) -> None:
    writer.begin()
    host, entity = add_box(writer)
    writer.savepoint()
    assert writer.first_time(b"one", T0)
    writer.add_points(host, entity, "hostmetrics", [group(CPU, [1.0] * len(CPU), T0)], T0)
    writer.savepoint()
    assert writer.first_time(b"two", T0)
    service = writer.entity("service", None, b"agent", {"service.name": "agent"}, None, T0, T0)
    writer.add_spans([(service, span(1))], T0)
    writer.add_points(host, entity, "hostmetrics", [group(LOAD, [1.0] * 3, T0)], T0)
    writer.undo()
    writer.savepoint()
    assert writer.first_time(b"two", T0)
    again = writer.entity("service", None, b"agent", {"service.name": "agent"}, None, T0, T0)
    writer.add_spans([(again, span(1))], T0)
    writer.add_points(host, entity, "hostmetrics", [group(LOAD, [2.0] * 3, T0)], T0)
    writer.commit()
    assert not writer.first_time(b"one", T0)
    samples = reader.samples(host, T0, T0 + NS)
    assert samples["cpu"].columns["cpu_user_seconds"][0] == 2.0
    assert samples["load"].columns["load_1m"][0] == 2.0
    assert [s.service for s in reader.trace(TRACE)] == ["agent"]
    assert reader.about().spans == 1


def test_a_trace_of_an_undone_request_leaves_no_number_behind(writer: SqliteWriter, reader: SqliteReader) -> None:
    other = b"o" * 16
    writer.begin()
    service = writer.entity("service", None, b"agent", {"service.name": "agent"}, None, T0, T0)
    writer.savepoint()
    writer.add_spans([(service, span(1))], T0)
    writer.undo()
    writer.savepoint()
    writer.add_spans([(service, span(1, trace_id=other)), (service, span(2, 1))], T0)
    writer.commit()
    assert [s.span_id for s in reader.trace(other)] == [span(1).span_id]
    assert [s.span_id for s in reader.trace(TRACE)] == [span(2).span_id]
    assert {t.trace_id: t.spans for t in reader.traces(TraceFilter())} == {other: 1, TRACE: 1}


def test_the_same_request_is_new_again_after_an_hour(writer: SqliteWriter) -> None:
    writer.begin()
    assert writer.first_time(b"hash", T0)
    assert not writer.first_time(b"hash", T0 + 3599 * NS)
    assert writer.first_time(b"hash", T0 + 3601 * NS)
    writer.commit()


def test_a_restart_keeps_every_id(path: Path) -> None:
    found = []
    for n in range(2):
        writer = open_writer(path)
        host = store(writer, [*scrape(T0 + n * 10 * NS, n), *scrape(T0 + n * NS + 5 * NS, n)])
        found.append((host, store_spans(writer, [span(1), span(2 + n, 1)])))
        writer.close()
        with closing(sqlite3.connect(path)) as db:
            queries = ("slot ORDER BY id", "layout ORDER BY id", "entity_attributes ORDER BY entity_id")
            found.append(tuple(db.execute(f"SELECT * FROM {query}").fetchall() for query in queries))
    assert found[:2] == found[2:]


def test_a_second_process_reads_while_the_first_one_ingests(writer: SqliteWriter, path: Path) -> None:
    store(writer, scrape(T0))
    code = (
        "import sys, pathlib\n"
        "from hosts_mcp.store.sqlite import open_reader\n"
        "r = open_reader(pathlib.Path(sys.argv[1]))\n"
        "for line in sys.stdin:\n"
        "    print(r.stored(1).points, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        counts = []
        for n in range(1, 4):
            other.stdin.write("?\n")
            other.stdin.flush()
            counts.append(int(other.stdout.readline()))
            store(writer, scrape(T0 + n * NS, n))
        other.stdin.close()
    one = sum(len(g.values) for g in scrape(T0))
    assert counts == [one, 2 * one, 3 * one]


_KILLED = """
import pathlib, sys
from tests.store.building import T0, add_box, scrape, span
from hosts_mcp.store.sqlite import open_reader, open_writer
from hosts_mcp.timerange import NS
path = pathlib.Path(sys.argv[1])
writer, reader = open_writer(path), open_reader(path)
n = 0
while True:
    writer.begin()
    host, entity = add_box(writer)
    for group in scrape(T0 + n * NS, n):
        writer.add_points(host, entity, "hostmetrics", [group], T0 + n)
    service = writer.entity("service", None, b"agent", {"service.name": "agent"}, None, T0, T0)
    writer.add_spans([(service, span(n + 1))], T0 + n)
    if n % 7 == 3:
        writer.retain(T0, 10**18, 10**18, 10**12)
        writer.checkpoint()
    writer.commit()
    print(n, flush=True)
    n += 1
    for hour in reader.compactable(T0 * 2) if n % 3 == 0 else ():
        piece = reader.piece(*hour)
        writer.begin()
        assert writer.compact(piece)
        writer.commit()
"""


def test_a_kill_in_mid_ingest_compaction_or_retention_loses_nothing_that_was_committed(path: Path) -> None:
    root = Path(__file__).parents[2]
    for _ in range(3):
        path.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
        with subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        ) as victim:
            assert victim.stdout
            acknowledged = 0
            for line in victim.stdout:
                acknowledged = int(line)
                if acknowledged >= 40:
                    break
            victim.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *(int(line) for line in victim.stdout if line.endswith("\n"))])
        with closing(open_writer(path)) as writer, closing(open_reader(path)) as reader:
            assert len(reader.trace(TRACE)) >= acknowledged + 1
            one = sum(len(g.values) for g in scrape(T0))
            assert reader.stored(1).points >= (acknowledged + 1) * one
            assert reader.sql("SELECT count(*) FROM samples").rows[0][0] >= acknowledged + 1
            store(writer, scrape(T0 + 9000 * NS))
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_log_stays_bounded_while_much_is_written_and_read(
    writer: SqliteWriter, reader: SqliteReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "BOUND_BYTES", 500_000)
    log, largest = path.with_name(path.name + "-wal"), 0
    with closing(Checkpointer(path)) as checkpointer:
        for n in range(400):
            host = store(writer, scrape(T0 + n * NS, n))
            reader.samples(host, T0, T0 + n * NS)
            if n % 10 == 0:
                checkpointer()
            largest = max(largest, log.stat().st_size)
    written = 400 * 4 * 8192
    assert largest < 2_000_000 < written


def test_a_reader_in_the_middle_of_a_question_holds_up_neither_checkpoint_nor_commits(
    writer: SqliteWriter, reader: SqliteReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "BOUND_BYTES", 1)
    host = store(writer, scrape(T0))
    log = path.with_name(path.name + "-wal")
    with closing(Checkpointer(path)) as checkpointer, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN")
        seen = other.execute("SELECT count(*) FROM scrape").fetchone()
        store(writer, scrape(T0 + NS, 1))
        checkpointer()
        assert log.stat().st_size > 1
        store(writer, scrape(T0 + 2 * NS, 2))
        assert other.execute("SELECT count(*) FROM scrape").fetchone() == seen
        other.execute("ROLLBACK")
        checkpointer()
        assert log.stat().st_size == 0
    assert len(reader.samples(host, T0, T0 + 9 * NS)["cpu"].times_ns) == 3


def test_a_full_disk_refuses_the_transaction_and_later_takes_it(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0))
    before = reader.stored(host)
    pages = writer._db.execute("PRAGMA page_count").fetchone()[0]
    writer._db.execute(f"PRAGMA max_page_count = {pages}")
    writer.begin()
    writer.savepoint()
    host, entity = add_box(writer)
    with pytest.raises(StoreBusy, match="full"):  # noqa: PT012 - whichever call meets the full disk first
        for n in range(1, 2000):
            writer.savepoint()
            writer.first_time(n.to_bytes(16, "big"), T0)
            writer.add_points(host, entity, "hostmetrics", scrape(T0 + n * NS, n)[:1], T0)
        writer.commit()
    writer.rollback()
    assert reader.stored(host) == before
    writer._db.execute("PRAGMA max_page_count = 1000000")
    store(writer, scrape(T0 + NS, 1))
    assert reader.stored(host).points == 2 * before.points


def test_a_file_locked_by_another_process_is_busy_and_not_broken(writer: SqliteWriter, path: Path) -> None:
    writer._db.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="locked"):
            writer.begin()
        writer.rollback()
        other.execute("ROLLBACK")
    store(writer, scrape(T0))


def test_logs_and_counts_add_up(writer: SqliteWriter, reader: SqliteReader) -> None:
    log = KeptLog("oom_kill", T0, 1, 1, "agent", TRACE, b"s" * 8, "Out of memory: Killed process 7")
    writer.begin()
    for _ in range(2):
        writer.add_log(log, T0)
        writer.count(Arrived("metrics", "system", None, True, 5, T0))
    writer.add_log(KeptLog("exception", T0 + NS, None, 1, None, b"", b"", "boom"), T0)
    writer.commit()
    assert reader.logs(host_id=1) == [log]
    assert reader.logs(trace_id=TRACE) == [log]
    assert [entry.text for entry in reader.logs(start_ns=T0, end_ns=T0 + 2 * NS)] == [log.text, "boom"]
    assert reader.logs(end_ns=T0) == []
    assert [(a.what, a.count, a.service, a.kept) for a in reader.arrived()] == [("system", 10, None, True)]


def test_when_nobody_listened_is_known_from_the_heartbeat(writer: SqliteWriter, reader: SqliteReader) -> None:
    assert reader.not_listening(T0, T0 + 600 * NS) == [(T0, T0 + 600 * NS)]
    writer.begin()
    first = writer.start_run(T0 + 100 * NS)
    writer.heartbeat(first, T0 + 200 * NS)
    second = writer.start_run(T0 + 400 * NS)
    writer.heartbeat(second, T0 + 990 * NS)
    writer.commit()
    assert reader.not_listening(T0, T0 + 1000 * NS) == [
        (T0, T0 + 100 * NS), (T0 + 200 * NS, T0 + 400 * NS)
    ]  # fmt: skip
    assert reader.not_listening(T0 + 110 * NS, T0 + 190 * NS) == []
    assert reader.not_listening(T0 + 150 * NS, T0 + 300 * NS) == [(T0 + 200 * NS, T0 + 300 * NS)]


def test_errors_in_our_own_code_are_not_called_busy(writer: SqliteWriter) -> None:
    writer.begin()
    with pytest.raises(sqlite3.ProgrammingError):
        writer.first_time(object(), T0)  # type: ignore[arg-type]
    writer.rollback()
    assert open_reader(writer.path).traces(TraceFilter()) == []
