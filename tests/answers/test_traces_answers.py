"""Finding traces and showing one: filters, order, tree, orphans, the unfinished, sizes."""

from __future__ import annotations

import pytest

from hosts_mcp.answers import find_traces, show_trace
from hosts_mcp.answers.base import compact_json
from hosts_mcp.errors import AmbiguousName, BadArgument, BadRange, NoSuchTrace
from hosts_mcp.otlp.batch import Event
from hosts_mcp.timerange import NS

from .filling import INJECTIONS, NOW, assert_harmless, span

HOUR = 3600 * NS
A, B, C = "a" * 32, "b" * 32, "c" * 32


def channels(found) -> tuple[str, str]:
    return found.to_text(), compact_json(found.structured())


@pytest.fixture
def traces(filling):
    """A: failed, on web-1 and db-1; B: fine and short, on web-1; C: its root never ended, on db-1."""
    web, db = filling.host("web-1"), filling.host("db-1")
    shop, store = filling.service("shop", web), filling.service("store", db)
    boom = Event(NOW, "exception", {"exception.type": "OSError", "exception.message": "disk full"})
    filling.spans(
        (shop, span(A, 1, None, "GET /cart", start_ns=NOW - 600 * NS, seconds=3.0, status=2)),
        (store, span(A, 2, 1, "SELECT cart", start_ns=NOW - 599 * NS, seconds=1.5, status=2, events=(boom,))),
        (store, span(A, 3, 77, "lost child", start_ns=NOW - 599 * NS, seconds=0.5)),
        (shop, span(B, 1, None, "GET /health", start_ns=NOW - 300 * NS, seconds=0.01)),
        (store, span(C, 1, None, "classify", start_ns=NOW - 200 * NS, seconds=None)),
        (store, span(C, 2, 1, "read", start_ns=NOW - 199 * NS, seconds=0.2)),
    )


def ids(found) -> list[str]:
    return [row.trace_id for row in found.traces]


def test_the_newest_come_first_with_full_ids_hosts_and_outcome(filling, traces):
    found = find_traces.answer(filling.store, now_ns=NOW)
    assert ids(found) == [C, B, A]
    row = found.traces[2]
    assert (row.root, row.service, row.outcome, row.errors, row.spans) == ("GET /cart", "shop", "error", 2, 3)
    assert sorted(row.hosts) == ["db-1", "web-1"]
    assert row.duration_seconds == 3.0
    assert found.traces[0].outcome == "unfinished"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"host": "web-1"}, [B, A]),
        ({"service": "store"}, [C, A]),
        ({"operation": "SELECT cart"}, [A]),
        ({"status": "error"}, [A]),
        ({"status": "unfinished"}, [C]),
        ({"status": "ok"}, [B]),
        ({"min_duration": "1s", "status": "error"}, [A]),
        ({"range": "now-6m..now-4m"}, [B]),
        ({"order": "errors_first", "limit": 1}, [A]),
        ({"range": "all", "limit": 2}, [C, B]),
    ],
)
def test_every_filter_narrows(filling, traces, arguments, expected):
    assert ids(find_traces.answer(filling.store, now_ns=NOW, **arguments)) == expected


def test_the_next_call_asks_about_the_first_that_did_not_end_well(filling, traces):
    assert find_traces.answer(filling.store, order="slowest", status="error", now_ns=NOW).next == (
        f'was_it_the_box(trace_id="{A}")'
    )


def test_nothing_in_the_range_names_the_nearest_outside_it(filling, traces):
    found = find_traces.answer(filling.store, now_ns=NOW + 100 * 24 * HOUR)
    assert found.traces == []
    assert "outside the range" in found.notes[0]
    assert found.next == 'find_traces(range="all")'


def test_nothing_that_fits_names_the_services_there_are(filling, traces):
    found = find_traces.answer(filling.store, service="shopp", range="all", now_ns=NOW)
    assert "`shop`" in found.notes[0]


def test_no_trace_at_all_says_how_to_send_some(filling):
    found = find_traces.answer(filling.store, now_ns=NOW)
    assert "No trace has arrived" in found.notes[0]


@pytest.mark.parametrize(("arguments", "kind"), [
    ({"status": "bad"}, BadArgument), ({"order": "best"}, BadArgument), ({"min_duration": "long"}, BadArgument),
    ({"range": "later"}, BadRange),
])  # fmt: skip
def test_bad_filters_are_refused_with_the_valid_ones(filling, traces, arguments, kind):
    with pytest.raises(kind):
        find_traces.answer(filling.store, now_ns=NOW, **arguments)


def test_a_tree_shows_host_self_time_errors_and_orphans(filling, traces):
    found = show_trace.answer(filling.store, A, now_ns=NOW)
    assert (found.spans, found.errors, found.orphans) == (3, 2, 1)
    root, child, orphan = found.tree
    assert (root.name, root.host, root.depth, root.self_seconds) == ("GET /cart", "web-1", 0, 1.5)
    assert (child.host, child.depth, child.marks, child.error) == ("db-1", 1, ["error"], "OSError: disk full")
    assert orphan.marks == ["orphan"]
    assert found.next == f'was_it_the_box(trace_id="{A}")'


def test_a_span_that_never_ended_is_shown_as_such(filling, traces):
    found = show_trace.answer(filling.store, C, now_ns=NOW)
    assert found.unfinished == 1
    assert (found.tree[0].marks, found.tree[0].duration_seconds) == (["unfinished"], None)


@pytest.mark.parametrize(
    "text", [A, A.upper(), A[:8], f"00-{A}-{'1' * 16}-01", f"https://x/trace/{A}?span=1", f" {A} "]
)
def test_a_trace_is_found_by_id_prefix_traceparent_or_link(filling, traces, text):
    assert show_trace.answer(filling.store, text, now_ns=NOW).trace_id == A


def test_a_missing_trace_says_what_was_searched_and_the_nearest(filling, traces):
    with pytest.raises(NoSuchTrace, match="all 3 traces") as error:
        show_trace.answer(filling.store, "aaaaaaaab" + "0" * 23, now_ns=NOW)
    assert error.value.candidates == (A,)


def test_an_ambiguous_prefix_lists_the_traces(filling, traces):
    filling.spans((filling.service("shop", None), span("a" * 31 + "1", 1, None, start_ns=NOW, seconds=1)))
    with pytest.raises(AmbiguousName) as error:
        show_trace.answer(filling.store, "aaaaaaaa", now_ns=NOW)
    assert len(error.value.candidates) == 2


@pytest.mark.parametrize("text", ["", "not hex", "g" * 32, "a" * 40])
def test_what_is_no_trace_id_is_refused_with_the_form(filling, traces, text):
    with pytest.raises(BadArgument, match="32 hex"):
        show_trace.answer(filling.store, text, now_ns=NOW)


def test_full_detail_shows_attributes(filling):
    service = filling.service("shop", None)
    filling.spans((service, span(A, 1, None, start_ns=NOW, seconds=1, attributes={"http.route": "/cart"})))
    found = show_trace.answer(filling.store, A, detail="full", now_ns=NOW)
    assert found.tree[0].attributes == {"http.route": "/cart"}
    assert "`http.route`=`/cart`" in found.to_text()


@pytest.mark.parametrize("detail", ["concise", "full"])
@pytest.mark.parametrize("deep", [False, True])
def test_1000_spans_on_5_hosts_keep_the_budget_with_root_and_worst(filling, detail, deep):
    long = "operation-with-a-very-long-name-that-goes-on-and-on-and-on-abcdef"
    services = [filling.service(f"{long[:50]}{i}", filling.host(f"{long[:55]}-{i}")) for i in range(5)]
    attributes = {f"{long}{k}": long * 3 for k in range(10)}
    spans = [span(A, 1, None, f"{long}-root", start_ns=NOW, seconds=2000)]
    spans += [
        span(A, i, i - 1 if deep else 1, f"{long}-{i}", start_ns=NOW + i * NS, attributes=attributes,
             seconds=900 if i == 500 and not deep else 0.5)
        for i in range(2, 1_001)
    ]  # fmt: skip
    filling.spans(*((services[i % 5], s) for i, s in enumerate(spans)))
    found = show_trace.answer(filling.store, A, detail=detail, now_ns=NOW)
    text, structured = channels(found)
    assert len(text.encode()) <= (12_000 if detail == "full" else 6_000)
    assert len(structured.encode()) <= (12_000 if detail == "full" else 6_000)
    assert found.tree[0].name.endswith("-root")
    assert deep or any(row.duration_seconds == 900 for row in found.tree)
    assert len(found.tree) + sum(row.hidden or 0 for row in found.tree) == 1_000
    assert any("not shown" in note for note in found.notes)


def test_500_traces_keep_the_budget(filling):
    long = "n" * 64
    service = filling.service(long, filling.host(long))
    filling.spans(*((service, span(f"{i:032x}", 1, None, long, start_ns=NOW - i * NS, seconds=1)) for i in range(500)))
    found = find_traces.answer(filling.store, limit=500, now_ns=NOW)
    for text in channels(found):
        assert len(text.encode()) <= 6_000
    assert found.more
    assert "narrow" in found.notes[0]


@pytest.mark.parametrize("text", INJECTIONS)
def test_foreign_text_never_comes_out_raw(filling, text):
    service = filling.service(text, filling.host("web-1"))
    boom = Event(NOW, "exception", {"exception.type": text, "exception.message": text})
    filling.spans(
        (service, span(A, 1, None, text, start_ns=NOW, seconds=1, status=2, attributes={text: text}, events=(boom,)))
    )
    assert_harmless(*channels(find_traces.answer(filling.store, range="all", now_ns=NOW)))
    assert_harmless(*channels(find_traces.answer(filling.store, service=f"no{text}", range="all", now_ns=NOW)))
    for detail in ("concise", "full"):
        assert_harmless(*channels(show_trace.answer(filling.store, A, detail=detail, now_ns=NOW)))
    with pytest.raises(BadArgument) as error:
        show_trace.answer(filling.store, f"z{text}", now_ns=NOW)
    assert_harmless(str(error.value))
