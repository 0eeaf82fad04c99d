"""What is kept of points, and that it depends on nothing but their set."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hosts_mcp.otlp.batch import PointGroup, Slot
from hosts_mcp.signals.model import TICK_NS
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter, open_reader, open_writer
from hosts_mcp.timerange import NS

from .building import BOOT, CPU, DISK, LOAD, MEMORY, PROCESS, T0, add_box, group, scrape, store


def content(path: Path) -> list[Any]:
    """Everything that answers are made of: rows, points, the series that were counted."""
    with closing(open_reader(path)) as reader, closing(sqlite3.connect(path)) as db:
        host = reader.hosts()[0].id
        series = reader.points(host, {s.metric for s in (*CPU, *LOAD, *MEMORY, *DISK)}, 0, 2 * T0)
        columns = ", ".join(
            f"sample.{row[1]}" for row in db.execute("PRAGMA table_info(sample)") if "_id" not in row[1]
        )
        rows = db.execute(
            f"SELECT host_id, source, sets, {columns} FROM sample JOIN feed ON feed.id = feed_id "
            "JOIN frame ON frame.id = frame_id ORDER BY host_id, source, tick"
        ).fetchall()
        return [
            rows,
            sorted((repr(s.slot), s.times_ns, s.values, s.starts_ns) for s in series),
            reader.stored(host),
        ]


def test_every_point_is_kept_in_full_with_its_time_and_start(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, [g for n in range(3) for g in scrape(T0 + n * 10 * NS, n)])
    series = reader.points(host, ["system.disk.io"], T0, T0 + 60 * NS)
    assert {s.slot for s in series} == set(DISK)
    written = next(s for s in series if s.slot == DISK[3])
    assert list(written.times_ns) == [T0 + n * 10 * NS + 300_000 for n in range(3)]
    assert list(written.values) == [1e6 + n * 4096 * 3 for n in range(3)]
    assert set(written.starts_ns) == {BOOT}
    assert written.source == "hostmetrics"


def test_the_wide_row_sums_counters_over_devices_and_keeps_each_groups_clock(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    host = store(writer, scrape(T0, 0))
    samples = reader.samples(host, T0, T0 + NS)
    assert samples["cpu"].columns["cpu_user_seconds"][0] == 200.0
    assert samples["load"].columns["load_1m"][0] == 1.5
    assert samples["memory"].times_ns[0] == T0 + 200_000
    assert samples["cpu"].starts_ns[0] == BOOT
    assert "paging" not in samples


def test_slots_in_another_order_are_the_same_series_and_the_same_layout(
    writer: SqliteWriter, reader: SqliteReader, path: Path
) -> None:
    host = store(writer, [group(DISK, [1.0, 2.0, 3.0, 4.0], T0)])
    store(writer, [group(DISK[::-1], [40.0, 30.0, 20.0, 10.0], T0 + NS)])
    series = reader.points(host, ["system.disk.io"], T0, T0 + 2 * NS)
    assert sorted(tuple(s.values) for s in series) == [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0), (4.0, 40.0)]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM layout").fetchone() == (1,)


def test_a_retry_of_the_same_points_counts_once(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0))
    before = reader.stored(host), reader.samples(host, T0, T0 + NS)
    store(writer, scrape(T0))
    assert (reader.stored(host), reader.samples(host, T0, T0 + NS)) == before


def test_two_values_for_one_reading_give_the_greater_in_either_order(fresh: Any) -> None:
    found = []
    for values in ([1.0, 7.0, math.nan], [math.nan, 7.0, 1.0]):
        writer, reader = fresh()
        for value in values:
            host = store(writer, [group(LOAD[:1], [value], T0, scraper="load")])
        found.append((reader.points(host, [LOAD[0].metric], T0, T0 + NS)[0].values, reader.samples(host, T0, T0 + NS)))
    assert found[0] == found[1]
    assert list(found[0][0]) == [7.0]


def test_nan_is_kept_in_the_points_and_absent_from_the_row(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, [group(LOAD, [0.5, math.nan, 1.0], T0, scraper="load")])
    assert math.isnan(reader.points(host, [LOAD[1].metric], T0, T0 + NS)[0].values[0])
    load = reader.samples(host, T0, T0 + NS)["load"]
    assert load.columns.get("load_1m", [None])[0] is None
    assert load.columns["load_5m"][0] == 1.0


def test_a_point_beyond_what_a_column_holds_harms_nobody(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, [group(LOAD, [1.0, 2.0, 3.0], 2**64 - 1, start_ns=2**64 - 1), *scrape(T0)])
    assert reader.stored(host).points == 3 + sum(len(g.values) for g in scrape(T0))


def test_the_first_row_before_a_window_comes_along_so_that_a_first_rate_exists(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    host = store(writer, [g for n in range(6) for g in scrape(T0 + n * 10 * NS, n)])
    cpu = reader.samples(host, T0 + 20 * NS, T0 + 40 * NS)["cpu"]
    assert list(cpu.times_ns) == [T0 + 10 * NS, T0 + 20 * NS, T0 + 30 * NS]


def test_each_group_comes_from_the_best_source_that_sent_it(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, [scrape(T0)[0]], source="hostmetrics")
    store(writer, [group(CPU, [0.0] * len(CPU), T0), scrape(T0)[2]], source="app")
    samples = reader.samples(host, T0, T0 + NS)
    assert samples["cpu"].source == "hostmetrics"
    assert samples["memory"].source == "app"


def test_newest_gives_the_last_rows_of_every_group_also_of_rarer_ones(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    fast = [g for n in range(40) for g in scrape(T0 + n * NS, n)[:1]]
    slow = [g for n in range(4) for g in scrape(T0 + n * 10 * NS, n)[1:]]
    host = store(writer, fast + slow)
    newest = reader.newest([host], rows=3)[host]
    assert list(newest["cpu"].times_ns) == [T0 + n * NS for n in (37, 38, 39)]
    assert list(newest["load"].times_ns) == [T0 + n * 10 * NS + 100_000 for n in (1, 2, 3)]


def test_thinning_keeps_first_and_last_and_whole_scrapes_across_a_tick_border(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    border = TICK_NS - 150_000  # load still falls into the first tick, memory into the next
    host = store(writer, [g for n in range(100) for g in scrape(T0 + n * 10 * NS + border, n)])
    for metric in ("system.cpu.time", "system.memory.usage"):
        times = reader.points(host, [metric], T0, T0 + 2000 * NS, limit_scrapes=10)[0].times_ns
        assert len(times) == 10
        assert times[0] < T0 + 10 * NS
        assert times[-1] > T0 + 980 * NS


def test_processes_scraped_more_rarely_than_their_host_are_thinned_by_their_own_scrapes(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    """A host every second, its processes every twelfth: of 20 scrapes of theirs 10 are wanted."""
    host = store(writer, [g for n in range(240) for g in scrape(T0 + n * NS, n)])
    writer.begin()
    entity = writer.entity("process", host, b"7", {"process.pid": 7, "process.executable.name": "postgres"}, T0, T0, T0)
    for n in range(20):
        at_ns = T0 + n * 12 * NS + NS // 2
        writer.add_points(
            host, entity, "hostmetrics", [group(PROCESS, [1.0 * n, 1e6], at_ns, scraper="process")], at_ns
        )
    writer.commit()

    def seen(limit: int | None) -> list[int]:
        found = reader.points(host, ["process.cpu.time"], T0, T0 + 300 * NS, entity_kind="process", limit_scrapes=limit)
        return list(found[0].times_ns)

    assert len(seen(None)) == len(seen(30)) == 20
    assert len(seen(10)) == 10
    assert (seen(10)[0], seen(10)[-1]) == (seen(None)[0], seen(None)[-1])


def test_points_of_processes_are_theirs_and_never_in_the_hosts_row(writer: SqliteWriter, reader: SqliteReader) -> None:
    writer.begin()
    host, _ = add_box(writer)
    for pid in (7, 8):
        attributes = {"process.pid": pid, "process.executable.name": "postgres"}
        entity = writer.entity("process", host, b"%d" % pid, attributes, T0 - pid * NS, T0, T0)
        writer.add_points(host, entity, "hostmetrics", [group(PROCESS, [1.0 * pid, 1e6], T0, scraper="process")], T0)
    writer.commit()
    assert reader.stored(host).processes == 2
    assert not reader.samples(host, T0, T0 + NS)
    series = reader.points(host, ["process.cpu.time"], T0, T0 + NS, entity_kind="process")
    assert sorted(s.values[0] for s in series) == [7.0, 8.0]
    some = [p.id for p in reader.processes(host, T0, T0 + NS) if p.attributes["process.pid"] == 8]
    assert [s.entity_id for s in reader.points(host, ["process.cpu.time"], T0, T0 + NS, entity_kind="process",
                                               entity_ids=some)] == some  # fmt: skip
    assert reader.processes(host, T0 + 60 * NS, T0 + 90 * NS) == []


def test_a_metric_that_no_catalogue_knows_is_kept_and_found_by_name(writer: SqliteWriter, reader: SqliteReader) -> None:
    own = Slot("acme.queue.depth", "gauge", (("queue", "mail"), ("shard", 3)), "{item}")
    host = store(writer, [group([own], [17.0], T0)])
    assert [(m.metric, m.unit, m.series) for m in reader.metric_names(host)] == [("acme.queue.depth", "{item}", 1)]
    assert reader.points(host, ["acme.queue.depth"], T0, T0 + NS)[0].slot == own


def _pieces(groups: list[PointGroup], cut: Any) -> list[PointGroup]:
    """Some groups cut in two, as a batch processor may cut inside one metric's points."""
    found = []
    for one in groups:
        at = cut(st.integers(0, len(one.slots)))
        for slots, values in ((one.slots[:at], one.values[:at]), (one.slots[at:], one.values[at:])):
            if slots:
                found.append(group(slots, values, one.time_ns, start_ns=one.start_ns))
    return found


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_order_split_or_repetition_of_the_same_points_stores_the_same(data: st.DataObject) -> None:
    """Also two readings of one tick, where the newest counts in the row."""
    groups = [g for n in range(4) for g in scrape(T0 + n * 200_000_000, n)]
    pieces = _pieces(groups, data.draw)
    repeated = pieces + data.draw(st.lists(st.sampled_from(pieces), max_size=4))
    shuffled = data.draw(st.permutations(repeated))
    transactions = data.draw(st.integers(1, 5))
    with tempfile.TemporaryDirectory() as place:
        found = []
        for name, batches in (("a", [groups]), ("b", [shuffled[i::transactions] for i in range(transactions)])):
            path = Path(place) / name
            writer = open_writer(path, synchronous="normal")
            for batch in batches:
                store(writer, batch)
            writer.close()
            found.append(content(path))
    assert found[0] == found[1]
