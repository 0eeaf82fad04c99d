"""Self times, the critical path, remote waits and whose time it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnosis.cases import at, case, history, ident, span
from hosts_mcp.diagnosis import excess
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.timerange import NS


def test_self_time_is_the_duration_less_the_union_of_the_children() -> None:
    spans = [span("a", 0, 10), span("b", 1, 5, parent="a"), span("c", 3, 8, parent="a")]
    assert excess.self_times(spans)[ident("a")] == 3 * NS


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 9)), max_size=12))
def test_the_critical_path_adds_up_to_the_trace_whatever_runs_in_parallel(children: list[tuple[float, float]]) -> None:
    root = span("root", 0, 10)
    spans = [root, *(span(f"c{n}", a, min(10.0, a + d), parent="root") for n, (a, d) in enumerate(children))]
    _, below = excess.tree(spans)
    pieces = excess.critical_path(root, below, at(10))
    assert sum(b - a for found in pieces.values() for a, b in found) == 10 * NS
    assert all(b > a for found in pieces.values() for a, b in found)


def test_a_tail_after_the_root_is_not_on_the_path() -> None:
    spans = [span("root", 0, 10), span("flush", 9, 30, parent="root")]
    found = excess.losses(case(spans), spans[0], at(10), TABLE)
    assert sum(x.self_seconds for x in found) == pytest.approx(10)


def test_a_call_without_its_other_side_is_somebody_elses_time() -> None:
    spans = [span("root", 0, 10), span("call", 1, 9, parent="root", kind=3, server_address="api.example")]
    found = {x.span.name: x for x in excess.losses(case(spans), spans[0], at(10), TABLE)}
    assert found["call"].remote
    assert not found["root"].remote


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1", "/run/postgresql", "box"])
def test_a_database_on_this_host_is_local(address: str) -> None:
    spans = [span("root", 0, 10), span("query", 1, 9, parent="root", kind=3, server_address=address)]
    assert not any(x.remote for x in excess.losses(case(spans), spans[0], at(10), TABLE))


def test_the_gap_of_a_call_may_be_either_sides() -> None:
    spans = [span("call", 0, 10, kind=3, host=1), span("serve", 6, 9, parent="call", kind=2, host=2)]
    call = next(x for x in excess.losses(case(spans), spans[0], at(10), TABLE) if x.span.name == "call")
    assert call.handed_over
    assert call.place == 2


def test_excess_is_what_is_beyond_the_usual_own_time() -> None:
    spans = [span("root", 0, 10), span("step", 1, 9, parent="root")]
    found = excess.losses(case(spans, histories={"step": history("step", 3)}), spans[0], at(10), TABLE)
    assert next(x for x in found if x.span.name == "step").excess_seconds == pytest.approx(5, rel=0.05)
