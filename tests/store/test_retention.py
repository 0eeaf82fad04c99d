"""What goes, in which order, and that its space comes back; forgetting one host."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.store.protocol import FindingRow, KeptLog, Rollup, Run, TraceFilter
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter
from hosts_mcp.timerange import NS

from .building import T0, TRACE, group, scrape, span, store, store_spans

DAY = 86_400 * NS
WEEK, MONTH, PLENTY = 7 * DAY, 30 * DAY, 10**12


def retain(writer: SqliteWriter, now_ns: int, *, max_size: int = PLENTY, step_rows: int = 500) -> int:
    """Until nothing more is to do; the number of steps."""
    steps = 0
    more = True
    while more:
        writer.begin()
        more = writer.retain(now_ns, WEEK, MONTH, max_size, step_rows=step_rows)
        writer.commit()
        steps += 1
    return steps


def pragma(writer: SqliteWriter, name: str) -> int:
    return int(writer._db.execute(f"PRAGMA {name}").fetchone()[0])


def rows(writer: SqliteWriter, table: str) -> int:
    return int(writer._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def many_spans(number: int, n: int) -> list[Any]:
    trace_id = number.to_bytes(16, "big")
    return [
        span(i, 1 if i > 1 else 0, trace_id=trace_id, attributes={"n": i, "pad": f"{i * 7919:x}" * 9})
        for i in range(1, n)
    ]


def test_old_data_goes_by_arrival_in_small_steps_and_its_pages_come_back(
    writer: SqliteWriter, reader: SqliteReader, path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("hosts_mcp.store.sqlite.retention.SLACK_PAGES", 4)
    for n in range(300):
        host = store(writer, scrape(T0 + n * NS, n), arrived_ns=T0 + n * NS)
    for n in range(1, 40):
        store_spans(writer, many_spans(n, 30), arrived_ns=T0 + n * NS)
    recent = store(writer, scrape(T0, 1), arrived_ns=T0 + 8 * DAY)
    assert recent == host
    store_spans(writer, [span(1)], arrived_ns=T0 + 8 * DAY)
    writer.checkpoint(truncate=True)
    size, pages = path.stat().st_size, pragma(writer, "page_count")
    assert retain(writer, T0 + 8 * DAY, step_rows=50) > 20
    writer.checkpoint(truncate=True)
    one = sum(len(g.values) for g in scrape(T0))
    assert reader.stored(host).points == one == reader.about().points
    assert len(reader.samples(host, 0, 2 * T0)["cpu"].times_ns) == 1
    assert [t.trace_id for t in reader.traces(TraceFilter())] == [TRACE]
    assert (reader.about().spans, reader.about().traces) == (1, 1)
    assert reader.about().retention["points and spans"] == "7 d"
    assert rows(writer, "span_detail") == 1
    assert pragma(writer, "page_count") < pages
    assert pragma(writer, "freelist_count") <= 4
    assert path.stat().st_size < size


def test_imported_old_points_do_not_vanish_at_once(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0 - 400 * DAY), arrived_ns=T0)
    retain(writer, T0 + DAY)
    assert reader.stored(host).points > 0
    assert reader.samples(host, 0, T0)


def test_a_trace_larger_than_a_step_goes_piece_by_piece(writer: SqliteWriter, reader: SqliteReader) -> None:
    store_spans(writer, many_spans(1, 900), arrived_ns=T0)
    writer.begin()
    assert writer.retain(T0 + 8 * DAY, WEEK, MONTH, PLENTY, step_rows=100)
    writer.commit()
    assert 700 < rows(writer, "span") < 899
    retain(writer, T0 + 8 * DAY, step_rows=100)
    assert rows(writer, "span") == rows(writer, "trace") == rows(writer, "trace_entity") == 0


def test_large_details_go_a_few_at_a_time(writer: SqliteWriter, reader: SqliteReader) -> None:
    for n in range(1, 11):
        details = {"page": random.Random(n).randbytes(30_000)}
        store_spans(writer, [span(1, trace_id=n.to_bytes(16, "big"), attributes=details)], arrived_ns=T0)
    store_spans(writer, [span(1)], arrived_ns=T0 + 8 * DAY)
    left = []
    more = True
    while more:
        writer.begin()
        more = writer.retain(T0 + 8 * DAY, WEEK, MONTH, PLENTY, step_rows=100)
        writer.commit()
        left.append(rows(writer, "span_detail"))
    assert all(before - after <= 3 for before, after in pairwise(left))
    assert left[-1] == 1
    assert reader.span_details(TRACE)[span(1).span_id].attributes == {"number": 1}


def test_over_its_size_the_oldest_goes_whatever_its_age(writer: SqliteWriter, reader: SqliteReader) -> None:
    for n in range(400):
        host = store(writer, scrape(T0 + n * NS, n), arrived_ns=T0 + n * NS)
    limit = (pragma(writer, "page_count") - pragma(writer, "freelist_count")) * 8192 // 2 + 200_000
    retain(writer, T0 + 400 * NS, max_size=limit, step_rows=20)
    times = reader.samples(host, 0, 2 * T0)["cpu"].times_ns
    assert 0 < len(times) < 400
    assert times[-1] == T0 + 399 * NS
    assert (pragma(writer, "page_count") - pragma(writer, "freelist_count")) * 8192 <= limit


def test_runs_and_five_minute_signals_outlive_points_and_then_go_too(
    writer: SqliteWriter, reader: SqliteReader, monkeypatch: Any
) -> None:
    monkeypatch.setattr("hosts_mcp.store.sqlite.writer.time.time_ns", lambda: T0)
    host = store(writer, scrape(T0))
    store_spans(writer, [span(1)])
    writer.begin()
    writer.settle(TRACE, [Run(TRACE, "agent", "step 1", host, True, T0, NS, NS, 1, "ok")])
    writer.write_rollup(host, Rollup([T0], {"cpu_busy_ratio": [0.5]}, {"cpu_busy_ratio": [0.9]}, [None]))
    writer.write_findings(host, [FindingRow(host, "x", "info", None, T0, T0 + NS, None, "Was so.")])
    writer.commit()
    retain(writer, T0 + 8 * DAY)
    assert reader.traces(TraceFilter()) == []
    assert len(reader.runs("agent", "step 1")) == len(reader.rollup(host, 0, 2 * T0).starts_ns) == 1
    assert len(reader.findings(open_only=False)) == 1
    assert len(reader.hosts()) == 1
    retain(writer, T0 + 31 * DAY)
    assert reader.runs("agent", "step 1") == []
    assert len(reader.rollup(host, 0, 2 * T0).starts_ns) == 0
    assert reader.findings(open_only=False) == []
    assert reader.hosts() == []


def test_what_nothing_refers_to_is_swept_and_may_come_again(writer: SqliteWriter, reader: SqliteReader) -> None:
    own = Slot("acme.depth", "gauge")
    store(writer, [group([own], [1.0], T0)], arrived_ns=T0)
    store_spans(writer, [span(1)], arrived_ns=T0)
    host = store(writer, scrape(T0 + 9 * DAY), arrived_ns=T0 + 9 * DAY)
    retain(writer, T0 + 10 * DAY)
    assert "acme.depth" not in [r[0] for r in writer._db.execute("SELECT metric FROM slot")]
    assert reader.services() == []
    store(writer, [group([own], [2.0], T0 + 10 * DAY)], arrived_ns=T0 + 10 * DAY)
    store_spans(writer, [span(1)], arrived_ns=T0 + 10 * DAY)
    assert reader.points(host, ["acme.depth"], 0, 2 * T0)[0].values == [2.0]
    assert reader.trace(TRACE)[0].service == "agent"


def test_forgetting_a_host_leaves_nothing_of_it_but_its_spans(writer: SqliteWriter, reader: SqliteReader) -> None:
    host = store(writer, scrape(T0))
    service = store_spans(writer, [span(1)])
    writer.begin()
    writer.join_service(service, host, "name", "high")
    writer.entity("process", host, b"7", {"process.pid": 7}, T0, T0, T0)
    writer.write_rollup(host, Rollup([T0], {"cpu_busy_ratio": [0.5]}, {"cpu_busy_ratio": [0.9]}, [None]))
    writer.write_findings(host, [FindingRow(host, "x", "info", None, T0, None, None, "Is so.")])
    writer.add_log(KeptLog("killed", T0, host, service, None, b"", b"", "text"), T0)
    writer.settle(TRACE, [Run(TRACE, "agent", "step 1", host, True, T0, NS, NS, 1, "ok")])
    writer.commit()
    writer.begin()
    writer.forget(host)
    writer.commit()
    assert reader.hosts() == []
    assert reader.samples(host, 0, 2 * T0) == {}
    assert reader.logs() == reader.findings() == []
    assert reader.trace(TRACE)[0].host_id is None
    assert reader.runs("agent", "step 1")[0].host_id is None
    writer.begin()
    while writer.forget_rest(step_rows=1):
        pass
    writer.commit()
    assert reader.stored(host).points == reader.about().points == 0
    assert reader.processes(host, 0, 2 * T0) == []
    for table in ("scrape", "sample", "signals_5m"):
        assert rows(writer, table) == 0
    assert rows(writer, "entity") == rows(writer, "entity_attributes") == 1  # the service
    again = store(writer, scrape(T0 + NS))
    assert again != host
    assert list(reader.samples(again, 0, 2 * T0)["cpu"].times_ns) == [T0 + NS]


def test_finished_bins_are_derived_once_and_again_when_late_points_touch_them(writer: SqliteWriter) -> None:
    bin_ns = 300 * NS
    begin = T0 // bin_ns * bin_ns
    host = store(writer, scrape(begin), arrived_ns=T0)

    def dirty(now_ns: int = T0) -> list[tuple[int, int, int]]:
        writer.begin()
        found = writer.dirty_bins(10, now_ns)
        writer.commit()
        return found

    def derive() -> None:
        writer.begin()
        writer.write_rollup(host, Rollup((), {}, {}, ()))
        writer.commit()

    assert dirty() == []
    store(writer, scrape(begin + bin_ns), arrived_ns=T0)
    assert dirty() == [(host, begin, begin + bin_ns)]
    store(writer, scrape(begin + NS), arrived_ns=T0)  # between taking and writing: not lost
    derive()
    assert dirty() == [(host, begin, begin + bin_ns)]
    derive()
    assert dirty() == []
    assert dirty(T0 + 61 * NS) == [(host, begin + bin_ns, begin + 2 * bin_ns)]


def test_findings_are_updated_in_place(writer: SqliteWriter, reader: SqliteReader) -> None:
    finding = FindingRow(1, "high_memory", "warning", "x", T0, None, 0.9, "High.", "Add memory.")
    writer.begin()
    writer.write_findings(1, [finding])
    writer.commit()
    assert reader.findings(1) == [finding]
    writer.begin()
    writer.write_findings(1, [FindingRow(1, "high_memory", "warning", "x", T0, T0 + NS, 0.5, "Was high.")])
    writer.commit()
    assert reader.findings(1) == []
    assert [f.sentence for f in reader.findings(1, open_only=False)] == ["Was high."]
    assert reader.findings(1, open_only=False, start_ns=T0 + 2 * NS) == []
