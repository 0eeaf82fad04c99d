"""Compacted hours answer like those that just arrived, whatever comes late, twice, or is taken away meanwhile."""

from __future__ import annotations

import itertools
import math
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.otlp.batch import PointGroup, Slot
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter, compaction, open_reader, open_writer
from hosts_mcp.timerange import NS

from .building import CPU, DISK, LOAD, MEMORY, PROCESS, T0, add_box, group, scrape, store

HOUR = 3600 * NS
LATER = T0 + 2 * HOUR
METRICS = {slot.metric for slot in (*CPU, *LOAD, *MEMORY, *DISK, *PROCESS)}


def compact(writer: SqliteWriter, reader: SqliteReader, now_ns: int = LATER) -> int:
    """Until nothing waits; the number of pieces."""
    pieces = 0
    while waiting := reader.compactable(now_ns):
        piece = reader.piece(*waiting[0])
        assert piece is not None
        writer.begin()
        assert writer.compact(piece)
        writer.commit()
        pieces += 1
    return pieces


def answers(reader: SqliteReader, host: int, kinds: tuple[Any, ...] = ("host", "process")) -> list[Any]:
    """Everything that can be asked of points; values as bits, so that NaN equals itself and -0.0 is no zero."""
    series = [s for kind in kinds for s in reader.points(host, METRICS, 0, 2**62, entity_kind=kind)]
    return [
        [(s.entity_id, s.source, s.slot, *s.times_ns) for s in series],
        [struct.pack(f"<{len(s.values)}d", *s.values) for s in series],
        [list(s.starts_ns) for s in series],
        reader.stored(host),
        sorted(reader.samples(host, 0, 2**62).items()),
        reader.about().points,
    ]


def rows(writer: SqliteWriter, table: str) -> int:
    return int(writer._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_compacted_hour_answers_as_before_and_is_much_smaller(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, [g for n in range(300) for g in scrape(T0 + n * 10 * NS, n)])
    before, names = answers(reader, host), reader.metric_names(host)
    thinned = reader.points(host, METRICS, T0 + 70 * NS, T0 + 2500 * NS, limit_scrapes=20)
    (scrapes,) = writer._db.execute("SELECT sum(length(v)) FROM scrape").fetchone()
    assert compact(writer, reader) == 2  # T0 is in mid-hour
    assert rows(writer, "scrape") == 0
    (chunks,) = writer._db.execute("SELECT sum(length(v)) FROM chunk").fetchone()
    assert chunks < scrapes / 10
    assert answers(reader, host) == before
    assert {(m.metric, m.series) for m in reader.metric_names(host)} == {(m.metric, m.series) for m in names}
    again = reader.points(host, METRICS, T0 + 70 * NS, T0 + 2500 * NS, limit_scrapes=20)
    assert [(s.slot, list(s.times_ns), list(s.values)) for s in again] == [
        (s.slot, list(s.times_ns), list(s.values)) for s in thinned
    ]


def test_an_hour_is_compacted_only_when_nothing_came_for_it_lately(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0), arrived_ns=T0)
    store(writer, scrape(T0 + 2 * HOUR, 1), arrived_ns=T0 + 2 * HOUR)
    assert reader.compactable(T0 + 600 * NS) == []
    assert [h for h, _ in reader.compactable(T0 + 2 * HOUR)] == [host]
    store(writer, scrape(T0 + NS, 1), arrived_ns=T0 + 2 * HOUR)
    assert reader.compactable(T0 + 2 * HOUR + 60 * NS) == []


def test_late_points_and_repeated_ones_of_a_compacted_hour_change_what_they_should(fresh: Any) -> None:
    """As if nothing had ever been compacted: the row is built anew from chunk and scrape together."""
    on_time = [g for n in range(5) for g in scrape(T0 + n * 10 * NS, n)]
    late = [group(CPU[:1], [math.inf], T0), *scrape(T0 + 5 * NS, 1), *scrape(T0 + 10 * NS, 1)]
    found = []
    for compacted in (False, True):
        writer, reader = fresh()
        for batch in (on_time, late):
            host = store(writer, batch)
            if compacted:
                compact(writer, reader)
        found.append(answers(reader, host)[:-1])
        assert (rows(writer, "scrape") == 0) == compacted
    assert found[0] == found[1]


def test_repeated_points_are_stored_and_counted_once_after_compaction(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    host = store(writer, scrape(T0))
    once = answers(reader, host)
    for _ in range(3):
        store(writer, scrape(T0))
    compact(writer, reader)
    assert answers(reader, host) == once
    assert reader.about().points == reader.stored(host).points


def test_a_chunk_that_takes_the_number_of_another_is_read_anew(writer: SqliteWriter, reader: SqliteReader) -> None:
    """Late parts of one tick, compacted after each: the row is made from all of them."""
    for part in (group(CPU, [1.0] * len(CPU), T0), group(LOAD[:1], [1.0], T0), group(LOAD[1:2], [2.0], T0)):
        store(writer, [part])
        host = store(writer, [group(MEMORY, [1.0] * len(MEMORY), T0)])
        compact(writer, reader)
    host = store(writer, [group(LOAD[2:], [3.0], T0)])
    load = reader.samples(host, 0, 2 * T0)["load"].columns
    assert {name: list(values) for name, values in load.items()} == {
        "load_15m": [1.0], "load_1m": [2.0], "load_5m": [3.0]
    }  # fmt: skip


def test_however_late_points_drip_in_an_hour_has_few_chunks(writer: SqliteWriter, reader: SqliteReader) -> None:
    for n in range(40):
        host = store(writer, scrape(T0 + n * 10 * NS, n))
        compact(writer, reader)
    assert rows(writer, "chunk") <= 6
    assert reader.stored(host).points == 40 * sum(len(g.values) for g in scrape(T0))


def test_a_busy_hour_is_compacted_in_pieces(
    writer: SqliteWriter, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_MOST_SCRAPES", 7)
    host = store(writer, [g for n in range(50) for g in scrape(T0 + n * 10 * NS, n)])
    before = answers(reader, host)
    assert compact(writer, reader) > 5
    assert answers(reader, host) == before


@pytest.mark.parametrize("gone", ["forget", "retain"])
def test_a_piece_whose_scrapes_went_meanwhile_changes_nothing(
    writer: SqliteWriter, reader: SqliteReader, gone: str
) -> None:
    host = store(writer, scrape(T0))
    piece = reader.piece(*reader.compactable(LATER)[0])
    assert piece is not None
    writer.begin()
    if gone == "forget":
        writer.forget(host)
        while writer.forget_rest():
            pass
    else:
        while writer.retain(T0 + 90 * 86_400 * NS, 86_400 * NS, 10**18, 10**12):
            pass
    writer.commit()
    store(writer, scrape(LATER), arrived_ns=LATER)  # takes the number of a row that is gone
    before = reader.about().points
    writer.begin()
    assert not writer.compact(piece)
    writer.commit()
    assert (rows(writer, "chunk"), reader.about().points) == (0, before)


def test_a_rolled_back_piece_leaves_everything_and_may_be_put_again(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0))
    before = answers(reader, host)
    piece = reader.piece(*reader.compactable(LATER)[0])
    assert piece is not None
    writer.begin()
    assert writer.compact(piece)
    writer.rollback()
    assert answers(reader, host) == before
    for placed in (True, False):  # a second time there is nothing left to do
        writer.begin()
        assert writer.compact(piece) is placed
        writer.commit()
    assert answers(reader, host) == before


def test_a_chunk_of_a_later_version_is_refused_with_advice(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0))
    compact(writer, reader)
    (chunk,) = writer._db.execute("SELECT v FROM chunk").fetchone()
    writer._db.execute("UPDATE chunk SET v = ?", (bytes((99,)) + chunk[1:],))
    with pytest.raises(StoreUnusable, match=r"codec 99.*upgrade"):
        reader.points(host, METRICS, 0, 2**62)


VALUES = st.one_of(
    st.floats(), st.integers(0, 2**62).map(float), st.integers(0, 10**7).map(lambda ticks: ticks / 100), st.just(-0.0)
)


@st.composite
def groups(draw: st.DrawFn) -> tuple[str, str, PointGroup]:
    """(source, process or "", group): any slots of a scraper at any time of three hours, with any values."""
    slots: tuple[Slot, ...] = draw(st.sampled_from([CPU, LOAD, MEMORY, DISK, PROCESS]))
    some = draw(st.permutations(slots))[: draw(st.integers(1, len(slots)))]
    time_ns = T0 + draw(st.integers(0, 20)) * draw(st.sampled_from([1, NS, 599 * NS]))
    start_ns = draw(st.sampled_from([0, T0 - HOUR, T0, 2**63 - 1]))
    values = draw(st.lists(VALUES, min_size=len(some), max_size=len(some)))
    process = draw(st.sampled_from(["7", "8"])) if slots is PROCESS else ""
    source = draw(st.sampled_from(["hostmetrics", "app"]))
    return source, process, group(some, values, time_ns, start_ns=start_ns)


def put(writer: SqliteWriter, batch: list[tuple[str, str, PointGroup]]) -> int:
    writer.begin()
    host, box = add_box(writer)
    for source, process, one in batch:
        entity = box
        if process:
            attributes = {"process.pid": int(process)}
            entity = writer.entity("process", host, process.encode(), attributes, T0, one.time_ns, T0)
        writer.add_points(host, entity, source, [one], T0)
    writer.commit()
    return host


@settings(max_examples=60, deadline=None)
@given(st.lists(groups(), min_size=1, max_size=25), st.lists(st.integers(0, 25), max_size=3))
def test_reading_after_any_compactions_equals_reading_without(
    batch: list[tuple[str, str, PointGroup]], cuts: list[int]
) -> None:
    """Any points (NaN, infinities, -0.0, beyond 2**53, resets), any times, several writers, compacted at any moment."""
    with tempfile.TemporaryDirectory() as place:
        found = []
        for name, at in (("a", []), ("b", sorted(cuts))):
            path = Path(place) / name
            with closing(open_writer(path, synchronous="normal")) as writer, closing(open_reader(path)) as reader:
                borders = [0, *at, len(batch)]
                for first, last in itertools.pairwise(borders):
                    host = put(writer, batch[first:last])
                    if name == "b":
                        compact(writer, reader)
                found.append(answers(reader, host)[:-1])
            with closing(sqlite3.connect(path)) as db:
                assert (db.execute("SELECT count(*) FROM scrape").fetchone()[0] > 0) == (name == "a")
        # Samples hold NaN as NULL and compare; `repr` tells -0.0 from 0.0 in them.
        assert list(map(repr, found[0])) == list(map(repr, found[1]))
