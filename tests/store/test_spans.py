"""Spans, traces and the history of operations."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.otlp.batch import Link
from hosts_mcp.store.protocol import Run, TraceFilter
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter, open_reader, open_writer
from hosts_mcp.timerange import NS

from .building import SERVICE, T0, TRACE, exception, pending, span, store_spans


def test_a_span_comes_back_as_it_was_sent(writer: SqliteWriter, reader: SqliteReader) -> None:
    attributes = {
        "db.system": "postgresql", "server.address": "db-1", "process.pid": "77", "list": [1, "a", None],
        "bytes": b"\xff\x00", "map": {"x": {"y": 2.5}}, "ünicode": "\U0001f4e6 ü",
    }  # fmt: skip
    events, links = [exception("OOMError", "no memory")], [Link(b"l" * 16, b"k" * 8, {"a": 1})]
    sent = span(1, attributes=attributes, status=2, status_message="boom", kind=3, events=events, links=links)
    entity = store_spans(writer, [sent])
    (kept,) = reader.trace(TRACE)
    assert (kept.span_id, kept.parent_id, kept.name, kept.service) == (sent.span_id, b"", "step 1", "agent")
    assert (kept.start_ns, kept.end_ns, kept.status, kept.status_message, kept.kind) == (
        sent.start_ns, sent.end_ns, 2, "boom", 3
    )  # fmt: skip
    assert (kept.exception_type, kept.exception_message) == ("OOMError", "no memory")
    assert (kept.server_address, kept.db_system, kept.pid, kept.entity_id) == ("db-1", "postgresql", 77, entity)
    details = reader.span_details(TRACE)[sent.span_id]
    assert details.attributes == attributes
    assert details.events == tuple(events)
    assert details.links == tuple(links)


def test_the_process_id_of_the_resource_serves_when_the_span_has_none(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    store_spans(writer, [span(1)])
    assert reader.trace(TRACE)[0].pid == SERVICE.attributes["process.pid"]


def test_an_unknown_trace_has_no_spans(reader: SqliteReader) -> None:
    assert reader.trace(b"?" * 16) == []
    assert reader.span_details(b"?" * 16) == {}


def test_a_pending_span_stands_for_the_real_one_until_that_arrives(writer: SqliteWriter, reader: SqliteReader) -> None:
    store_spans(writer, [pending(1), pending(2, parent=1)])
    first, second = reader.trace(TRACE)
    assert (first.span_id, first.parent_id, first.pending, first.end_ns) == (span(1).span_id, b"", True, None)
    assert second.parent_id == first.span_id
    assert reader.traces(TraceFilter())[0].outcome == "unfinished"
    store_spans(writer, [span(1), span(2, parent=1)])
    assert [(s.span_id, s.pending, s.end_ns) for s in reader.trace(TRACE)] == [
        (span(n).span_id, False, span(n).end_ns) for n in (1, 2)
    ]
    (summary,) = reader.traces(TraceFilter())
    assert (summary.outcome, summary.spans) == ("ok", 2)


def test_a_late_pending_span_never_replaces_the_real_one(writer: SqliteWriter, reader: SqliteReader) -> None:
    store_spans(writer, [span(1)])
    store_spans(writer, [pending(1)])
    assert [s.pending for s in reader.trace(TRACE)] == [False]
    assert reader.about().spans == 1


VERSIONS = [
    pending(1),
    span(1),
    span(1, end_ns=T0 + 9 * NS),
    span(1, end_ns=T0 + 9 * NS, attributes={"number": 2}),
    span(1, end_ns=T0 + 9 * NS, attributes={}),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_different_spans_with_one_id_the_same_wins_in_every_order(
    writer: SqliteWriter, reader: SqliteReader, order: tuple[int, ...]
) -> None:
    for n in order:
        store_spans(writer, [VERSIONS[n]])
    assert [s.end_ns for s in reader.trace(TRACE)] == [T0 + 9 * NS]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_order_split_or_repetition_of_the_same_spans_gives_the_same_trace(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    spans = [*VERSIONS, span(2, 1, status=2), pending(2, 1), span(3, 2, kind=3), pending(4, 1), span(5, 99)]
    mixed = data.draw(st.permutations(spans + data.draw(st.lists(st.sampled_from(spans), max_size=4))))
    cuts = data.draw(st.integers(1, 5))
    found = []
    for batches in ([spans], [mixed[i::cuts] for i in range(cuts)]):
        path = tmp_path_factory.mktemp("spans") / "a.db"
        writer, reader = open_writer(path, synchronous="normal"), open_reader(path)
        for batch in batches:
            store_spans(writer, batch)
        found.append(
            (reader.trace(TRACE), reader.span_details(TRACE), reader.traces(TraceFilter()), reader.instances())
        )
        assert reader.traces(TraceFilter())[0].spans == reader.about().spans == len(reader.trace(TRACE))
        reader.close()
        writer.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_first_of_several_roots_is_the_traces_in_every_order(
    writer: SqliteWriter, reader: SqliteReader, order: tuple[int, ...]
) -> None:
    roots = [span(1, name="first"), span(2, name="second"), span(3, 2, start_ns=T0, name="older, and no root")]
    for n in order:
        store_spans(writer, [roots[n]])
    (summary,) = reader.traces(TraceFilter())
    assert (summary.root_name, summary.start_ns, summary.duration_ns, summary.spans) == ("first", T0, NS, 3)


def _many(traces: int) -> list[Any]:
    """Traces of three spans: one has no details, and the ids of spans are the same in each."""
    return [
        span(n, 1 if n > 1 else 0, trace_id=t.to_bytes(16, "big"), attributes={"trace": t, "n": n} if n < 3 else {})
        for n in range(1, 4)
        for t in range(1, traces + 1)
    ]


@pytest.mark.parametrize("piece_bytes", [1, 200, 10**6])
def test_spans_of_many_traces_that_come_together_find_their_own_details(
    writer: SqliteWriter, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr("hosts_mcp.store.sqlite.spans._PIECE_BYTES", piece_bytes)
    for _ in range(2):  # again: nothing changes
        store_spans(writer, _many(20))
        for t in range(1, 21):
            trace_id = t.to_bytes(16, "big")
            assert len(reader.trace(trace_id)) == 3
            assert {s: d.attributes for s, d in reader.span_details(trace_id).items()} == {
                span(n).span_id: {"trace": t, "n": n} for n in (1, 2)
            }
        assert (reader.about().spans, reader.about().traces) == (60, 20)
    (blobs,) = writer._db.execute("SELECT count(*) FROM span_detail").fetchone()
    assert {1: blobs == 40, 200: 1 < blobs < 20, 10**6: blobs == 1}[piece_bytes]


def test_a_python_without_zstd_deflates_details_and_says_what_it_cannot_read(
    writer: SqliteWriter, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_spans(writer, [span(1)])
    with monkeypatch.context() as without:
        without.setattr("hosts_mcp.store.sqlite.details._zstd", None)
        with pytest.raises(StoreUnusable, match="zstd"):
            reader.span_details(TRACE)
        store_spans(writer, [_trace(1, attributes={"n": 1})])
    for known, attributes in ((TRACE, {"number": 1}), ((1).to_bytes(16, "big"), {"n": 1})):
        assert reader.span_details(known)[span(1).span_id].attributes == attributes


def test_details_of_a_later_build_are_refused_in_words(writer: SqliteWriter, reader: SqliteReader) -> None:
    store_spans(writer, [span(1)])
    writer._db.execute("UPDATE span_detail SET v = CAST(x'63' || v AS BLOB)")
    with pytest.raises(StoreUnusable, match=r"codec 99.*upgrade"):
        reader.span_details(TRACE)


def _trace(number: int, **changes: Any) -> Any:
    return span(1, trace_id=number.to_bytes(16, "big"), start_ns=T0 + number * NS,
                end_ns=T0 + number * NS + number * NS // 10, **changes)  # fmt: skip


def test_traces_are_filtered_and_ordered_from_their_summaries(writer: SqliteWriter, reader: SqliteReader) -> None:
    entity = store_spans(writer, [_trace(n, status=2 if n == 3 else 0, name=f"op {n % 2}") for n in range(1, 7)])
    writer.begin()
    writer.join_service(entity, 5, "name", "high")
    writer.commit()

    def found(**wanted: Any) -> list[int]:
        return [int.from_bytes(t.trace_id, "big") for t in reader.traces(TraceFilter(**wanted))]

    assert found() == [6, 5, 4, 3, 2, 1]
    assert found(limit=2) == [6, 5]
    assert found(order="slowest", limit=1) == [6]
    assert found(order="errors_first", limit=2) == [3, 6]
    assert found(outcome="error") == [3]
    assert found(operation="op 1") == [5, 3, 1]
    assert found(min_duration_ns=NS // 2) == [6, 5]
    assert found(start_ns=T0 + 2 * NS, end_ns=T0 + 4 * NS) == [3, 2]
    assert found(service="agent", host_id=5) == [6, 5, 4, 3, 2, 1]
    assert found(service="other") == []
    assert found(host_id=6) == []


def test_a_trace_is_listed_right_while_it_still_arrives(writer: SqliteWriter, reader: SqliteReader) -> None:
    store_spans(writer, [span(2, 1, status=2)])
    (early,) = reader.traces(TraceFilter())
    assert (early.root_name, early.outcome, early.spans, early.errors) == (None, "unfinished", 1, 1)
    store_spans(writer, [span(1, end_ns=T0 + 5 * NS)])
    (whole,) = reader.traces(TraceFilter())
    assert (whole.root_name, whole.root_service, whole.outcome) == ("step 1", "agent", "ok")
    assert (whole.spans, whole.errors, whole.duration_ns) == (2, 1, 4 * NS)


def test_a_trace_id_is_found_by_its_beginning(writer: SqliteWriter, reader: SqliteReader) -> None:
    store_spans(writer, [span(1), _trace(1)])
    assert reader.trace_ids("00010203") == [TRACE]
    assert reader.trace_ids(TRACE.hex().upper()) == [TRACE]
    assert reader.trace_ids("0001020305") == []
    assert reader.trace_ids("' OR 1=1") == []
    assert len(reader.trace_ids("0")) == 2


def _run(number: int, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "trace_id": TRACE, "service": "agent", "operation": "step 1", "host_id": 1, "root": True,
        "start_ns": T0 + number * NS, "duration_ns": NS, "self_ns": NS // 2, "spans": 1, "outcome": "ok",
    }  # fmt: skip
    return Run(**(values | changes))


def test_a_quiet_trace_is_settled_once_and_again_when_late_spans_come(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    store_spans(writer, [span(1, 9)], arrived_ns=T0)
    writer.begin()
    assert writer.quiet_traces(T0 + 60 * NS, 120 * NS, 10) == []
    assert writer.quiet_traces(T0 + 121 * NS, 120 * NS, 10) == [TRACE]
    writer.settle(TRACE, [_run(1)])
    assert writer.quiet_traces(T0 + 121 * NS, 120 * NS, 10) == []
    writer.commit()
    store_spans(writer, [span(2, 1)], arrived_ns=T0 + 200 * NS)
    writer.begin()
    assert writer.quiet_traces(T0 + 400 * NS, 120 * NS, 10) == [TRACE]
    writer.settle(TRACE, [_run(1, duration_ns=2 * NS), _run(2, operation="step 2")])
    writer.commit()
    assert [r.duration_ns for r in reader.runs("agent", "step 1")] == [2 * NS]
    assert len(reader.runs("agent", "step 2")) == 1


def test_a_trace_whose_root_has_ended_is_settled_sooner(writer: SqliteWriter) -> None:
    store_spans(writer, [span(1), span(2, 1)], arrived_ns=T0 + 4 * NS)
    writer.begin()
    assert writer.quiet_traces(T0 + 14 * NS, 120 * NS, 10) == []
    assert writer.quiet_traces(T0 + 20 * NS, 120 * NS, 10) == [TRACE]
    writer.commit()


def test_a_trace_with_open_spans_is_not_settled_sooner(writer: SqliteWriter) -> None:
    store_spans(writer, [span(1), pending(2, 1)], arrived_ns=T0 + 4 * NS)
    writer.begin()
    assert writer.quiet_traces(T0 + 100 * NS, 120 * NS, 10) == []
    writer.commit()


def test_a_trace_of_a_backlog_is_settled_a_second_after_it_came(writer: SqliteWriter) -> None:
    arrived = T0 + 3600 * NS
    store_spans(writer, [span(1)], arrived_ns=arrived)
    writer.begin()
    assert writer.quiet_traces(arrived + NS // 2, 120 * NS, 10) == []
    assert writer.quiet_traces(arrived + 2 * NS, 120 * NS, 10) == [TRACE]
    writer.commit()


def test_a_trace_stays_unsettled_when_its_runs_miss_spans(writer: SqliteWriter) -> None:
    store_spans(writer, [span(1), span(2, 1)])
    writer.begin()
    writer.settle(TRACE, [_run(1)])
    assert writer.quiet_traces(T0 + 999 * NS, 120 * NS, 10) == [TRACE]
    writer.commit()


def test_runs_are_the_newest_of_an_operation_and_those_that_overlap_a_window(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    long = 3 * 3600 * NS
    store_spans(writer, [_trace(n) for n in range(1, 9)])
    writer.begin()
    for n in range(1, 9):
        run = _run(n * 100, trace_id=n.to_bytes(16, "big"), host_id=n % 2, root=n != 4)
        writer.settle(run.trace_id, [run] if n > 1 else [_run(-3600, trace_id=run.trace_id, duration_ns=long)])
    writer.commit()
    newest = reader.runs("agent", "step 1", before_ns=T0 + 800 * NS, limit=3)
    assert [r.start_ns for r in newest] == [T0 + n * 100 * NS for n in (5, 6, 7)]
    assert {r.host_id for r in reader.runs("agent", "step 1", host_id=1)} == {1}
    assert len(reader.histories([("agent", "step 1"), ("agent", "none")], T0 + 900 * NS)["agent", "step 1"]) == 8
    overlapping = reader.runs_between(T0 + 300 * NS, T0 + 500 * NS)
    assert [r.start_ns - T0 for r in overlapping] == [-3600 * NS, 300 * NS, 400 * NS]
    assert [r.start_ns - T0 for r in reader.runs_between(T0 + 300 * NS, T0 + 500 * NS, roots_only=True, limit=1)] == [
        300 * NS
    ]


def test_service_instances_are_current_with_the_commit(writer: SqliteWriter, reader: SqliteReader) -> None:
    entity = store_spans(writer, [span(1), span(2, 1)])
    (one,) = reader.instances(service="agent")
    assert (one.entity_id, one.instance, one.pid, one.spans) == (entity, "box-1/4242", 4242, 2)
    assert (one.first_seen_ns, one.last_seen_ns) == (T0, T0 + 3 * NS)
    assert reader.instances(service="other") == []
    assert [s.id for s in reader.services()] == [entity]
    assert reader.services(host_id=9) == []
