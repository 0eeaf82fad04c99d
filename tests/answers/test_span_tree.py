"""Span trees: every span once, self time, orphans, circles and great depth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.answers.span_tree import by_importance, shown, tree
from hosts_mcp.store.protocol import Span


def span(number: int, parent: int | None, start: int = 0, end: int | None = 10, status: int = 0) -> Span:
    return Span(
        trace_id=b"t" * 16, span_id=number.to_bytes(8, "big"), name=f"s{number}", service="svc", entity_id=1, host_id=1,
        parent_id=b"" if parent is None else parent.to_bytes(8, "big"), kind=1, start_ns=start, end_ns=end,
        status=status, status_message="",
    )  # fmt: skip


def test_self_time_is_the_duration_less_the_union_of_the_children():
    nodes = tree([span(1, None, 0, 100), span(2, 1, 10, 40), span(3, 1, 30, 60), span(4, 1, 90, 200)])
    assert nodes[0].self_ns == 100 - 50 - 10


def test_an_orphan_is_marked_and_an_unfinished_span_has_no_self_time():
    nodes = tree([span(1, None, 0, 100), span(2, 99, 10, 40), span(3, 1, 20, None)])
    assert [(n.span.name, n.orphan, n.self_ns) for n in nodes] == [
        ("s1", False, 20), ("s3", False, None), ("s2", True, 30),
    ]  # fmt: skip


def test_a_chain_of_five_thousand_spans_is_walked():
    nodes = tree([span(i, i - 1 if i > 1 else None) for i in range(1, 5_001)])
    assert nodes[-1].depth == 4_999


@given(st.lists(st.one_of(st.none(), st.integers(1, 12)), max_size=12))
def test_every_span_appears_once_whatever_the_parents_say(parents):
    spans = [span(i + 1, parent) for i, parent in enumerate(parents)]
    nodes = tree(spans)
    assert sorted(n.span.span_id for n in nodes) == sorted(s.span_id for s in spans)


@given(st.lists(st.one_of(st.none(), st.integers(1, 12)), min_size=1, max_size=12), st.integers(1, 12))
def test_what_is_not_shown_is_counted_where_it_belongs(parents, count):
    nodes = tree([span(i + 1, parent) for i, parent in enumerate(parents)])
    rows = shown(nodes, by_importance(nodes)[:count])
    assert sum(r.hidden for r in rows) + len(rows) == len(nodes)


def test_root_and_worst_come_first_then_what_never_ended_or_failed():
    nodes = tree([
        span(1, None, 0, 1000), span(2, 1, 0, 10, status=2), span(3, 1, 10, 900), span(4, 1, 900, None),
        span(5, 1, 900, 950),
    ])  # fmt: skip
    assert [nodes[i].span.name for i in by_importance(nodes)[:4]] == ["s1", "s3", "s4", "s2"]
