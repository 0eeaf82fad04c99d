"""The same OTLP input gives the same verdict: in any order, any split, delivered twice.

That a database restored from an export gives it too is held by `test_export` and `tests/cases`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hosts_mcp.answers.was_it_the_box import answer
from hosts_mcp.otlp.transport import Request, Signal
from scenarios.path import Box, asked_at, trace_id_of
from scenarios.simulator import encode, scrapes, stamp, trace_request
from scenarios.story import Scenario, past_runs
from scenarios.table import BY_NUMBER

SEED = 1
CLOSE = 1e-6
HOURS = 3 * 3600.0
"""Of history: enough for a usual, short enough to be told many times."""


def requests(s: Scenario) -> list[Request]:
    """Everything a collector and an SDK sent, each with its own arrival."""
    machines = {m.name: m for m in s.machines}
    out = []
    for m in s.machines:
        detail = s.start - 3600.0 - 3 * m.interval
        for x in scrapes(m, detail - HOURS, detail, s.end + 10 * m.interval, SEED):
            out.append(Request(Signal.METRICS, encode(x), "protobuf", "127.0.0.1", stamp(m, x.t)))
    told = [(r.pieces, r.start, n.to_bytes(16, "big")) for n, r in enumerate(past_runs(s, SEED), 1)]
    for pieces, start, trace_id in [*told, (s.pieces, s.start, trace_id_of(s, SEED))]:
        body = trace_request(pieces, start, trace_id, machines, s.resource)
        out.append(Request(Signal.TRACES, body, "protobuf", "127.0.0.1", asked_at(s)))
    return out


def split(request: Request, rng: random.Random) -> Iterator[Request]:
    """The same items in two requests: each metric (or span) goes to one of them."""
    metrics = request.signal is Signal.METRICS
    for half in [0, 1] if rng.random() < 0.5 else [1, 0]:
        message = (ExportMetricsServiceRequest if metrics else ExportTraceServiceRequest).FromString(request.body)
        number = 0
        for resource in message.resource_metrics if metrics else message.resource_spans:
            for scope in resource.scope_metrics if metrics else resource.scope_spans:
                items = scope.metrics if metrics else scope.spans
                kept = [item for n, item in enumerate(items, number) if n % 2 == half]
                number += len(items)
                del items[:]
                items.extend(kept)
        yield Request(request.signal, message.SerializeToString(), "protobuf", "127.0.0.1", request.arrived_ns)


def verdict(path: Path, s: Scenario, sent: list[Request]) -> dict[str, Any]:
    box = Box(path)
    try:
        box.requests(sent)
        box.derive(asked_at(s))
        return answer(box.reader, trace_id_of(s, SEED).hex(), detail="full", now_ns=asked_at(s)).structured()
    finally:
        box.close()


def assert_same(one: Any, other: Any, at: str = "") -> None:
    """Words and hosts identical, numbers within a millionth."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), at
        for key in one:
            assert_same(one[key], other[key], f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), at
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{at}[{n}]")
    elif isinstance(one, float) or isinstance(other, float):
        assert other == pytest.approx(one, rel=CLOSE, abs=CLOSE), at
    else:
        assert one == other, at


@pytest.mark.parametrize("number", [22, 14, 16, pytest.param(20, marks=pytest.mark.long), pytest.param(62, marks=pytest.mark.long)])  # fmt: skip
def test_order_split_and_repetition_change_nothing(number: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    s = BY_NUMBER[number]
    sent = requests(s)
    expected = verdict(tmp_path_factory.mktemp("plain") / "x.db", s, sent)

    @settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, 2**32), splits=st.floats(0, 1), twice=st.floats(0, 1), traces_first=st.booleans())
    def holds(seed: int, splits: float, twice: float, traces_first: bool) -> None:
        rng = random.Random(seed)
        told = [part for r in sent for part in (split(r, rng) if rng.random() < splits else [r])]
        told += [r for r in sent if rng.random() < twice]
        rng.shuffle(told)
        if traces_first:
            told.sort(key=lambda r: r.signal is Signal.METRICS)
        assert_same(expected, verdict(tmp_path_factory.mktemp("told") / "x.db", s, told))

    holds()


def test_a_database_that_got_everything_twice_gives_the_same_answer(tmp_path: Path) -> None:
    s = BY_NUMBER[22]
    sent = requests(s)
    once = verdict(tmp_path / "once.db", s, sent)
    assert_same(once, verdict(tmp_path / "twice.db", s, [*sent, *sent]))
