"""Details of spans stay bytes, and say what an ordinary protobuf walk says: of real senders, and of hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosts_mcp.otlp import json
from hosts_mcp.otlp.batch import Event, Link, Resource, SpanDetails, SpanRecord
from hosts_mcp.otlp.decode import decode_traces
from hosts_mcp.otlp.details import TELLING, joined, parted, read, with_details
from hosts_mcp.otlp.points import EARLIEST_NS, LATEST_NS
from hosts_mcp.otlp.values import attributes_of
from recordings import requests_in

from .wire_orders import ascending, framed, reversed_order

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "recorded"
RECORDINGS = {
    str(path.relative_to(folder)): path
    for folder in (SHARED, ROOT / "fixtures", ROOT / "tests" / "cases")
    for path in sorted(folder.glob("**/*.gz"))
    if "traces" in path.name or folder.name == "cases"
}
TIME_NS = 1_790_000_000_123_456_789
EXCEPTION = ("exception.type", "exception.message")
ORDERS: list[Callable[[Message], bytes]] = [ascending, reversed_order]


def walked(request: ExportTraceServiceRequest) -> list[Any]:
    """Everything that is to be kept of a request, as text: -0.0 and NaN are told."""
    return [
        repr((attributes_of(rs.resource.attributes), ss.scope.name, *_walked(span)))
        for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans if is_good(span)
    ]  # fmt: skip


def is_good(span: Span) -> bool:
    times = (span.start_time_unix_nano, span.end_time_unix_nano or span.start_time_unix_nano)
    return (
        len(span.trace_id) == 16 and any(span.trace_id) and len(span.span_id) == 8 and any(span.span_id)
        and len(span.parent_span_id) in (0, 8) and all(EARLIEST_NS <= time < LATEST_NS for time in times)
    )  # fmt: skip


def _walked(span: Span) -> tuple[Any, ...]:
    attributes = attributes_of(span.attributes)
    events = tuple(Event(e.time_unix_nano, e.name, attributes_of(e.attributes)) for e in span.events)
    links = tuple(Link(k.trace_id, k.span_id, attributes_of(k.attributes)) for k in span.links)
    exception = next((e.attributes for e in reversed(events) if e.name == "exception"), attributes)
    telling = {key: value for key, value in attributes.items() if key in TELLING and key not in EXCEPTION}
    telling |= {key: value for key, value in exception.items() if key in EXCEPTION}
    return (
        span.trace_id, span.span_id, span.parent_span_id if any(span.parent_span_id) else b"", span.name, span.kind,
        span.start_time_unix_nano, max(span.start_time_unix_nano, span.end_time_unix_nano), span.status.code,
        span.status.message, sorted(telling.items()), SpanDetails(attributes, events, links),
    )  # fmt: skip


def decoded(body: bytes, encoding: Any = "protobuf") -> list[Any]:
    return [
        repr((s.resource.attributes, *s[1:-2], sorted(s.telling.items()), read(s.details)))
        for s in decode_traces(body, encoding).spans
    ]


@pytest.mark.parametrize("name", RECORDINGS)
def test_spans_of_real_senders_are_read_alike(name: str) -> None:
    for request, _ in requests_in(RECORDINGS[name], 0):
        if request.signal == "traces":
            message = ExportTraceServiceRequest()
            if request.encoding == "json":
                json.parse(request.body, message)
            else:
                message.ParseFromString(request.body)
            expected = walked(message)
            assert expected
            assert decoded(request.body, request.encoding) == expected
            assert all(decoded(order(message)) == expected for order in ORDERS)


def test_there_are_recordings_with_spans() -> None:
    assert len(RECORDINGS) >= 4


scalars = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=st.text(max_size=9) | st.sampled_from(sorted(TELLING)) | st.just("pending_span")),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=200)),
)


def pairs_of(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    keys = st.sampled_from(sorted(TELLING)) | st.text(max_size=200)
    return st.lists(st.builds(KeyValue, key=keys, value=values), max_size=5)


def nested(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    def array(items: list[AnyValue]) -> AnyValue:
        made = AnyValue()
        made.array_value.values.extend(items)
        return made

    def table(items: list[KeyValue]) -> AnyValue:
        made = AnyValue()
        made.kvlist_value.values.extend(items)
        return made

    return st.lists(values, max_size=3).map(array) | pairs_of(values).map(table)


pairs = pairs_of(st.recursive(scalars, nested, max_leaves=6))
times = st.sampled_from((TIME_NS, TIME_NS + 5, 0, 7, 2**64 - 1)) | st.just(TIME_NS)
events = st.builds(Span.Event, time_unix_nano=times, name=st.sampled_from(("exception", "log", "")), attributes=pairs)
links = st.builds(Span.Link, trace_id=st.binary(max_size=16), span_id=st.binary(max_size=8), attributes=pairs)
spans = st.builds(
    Span,
    trace_id=st.just(b"t" * 16) | st.binary(max_size=17),
    span_id=st.just(b"s" * 8) | st.binary(min_size=8, max_size=8),
    parent_span_id=st.sampled_from((b"", bytes(8), b"p" * 8, b"p")),
    trace_state=st.sampled_from(("", "a=b")),
    flags=st.sampled_from((0, 1, 257)),
    name=st.text(max_size=5),
    kind=st.integers(0, 9),
    start_time_unix_nano=times,
    end_time_unix_nano=times,
    attributes=pairs,
    dropped_attributes_count=st.integers(0, 2),
    events=st.lists(events, max_size=3),
    links=st.lists(links, max_size=2),
    status=st.builds(Span().status.__class__, code=st.integers(0, 2), message=st.text(max_size=5)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(spans, max_size=4), max_size=3), st.sampled_from(ORDERS))
def test_any_spans_in_any_order_of_fields_are_read_alike(
    groups: list[list[Span]], order: Callable[[Message], bytes]
) -> None:
    request = ExportTraceServiceRequest()
    for number, group in enumerate(groups):
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = f"service {number}"
        resource.scope_spans.add(spans=group).scope.name = "scope"
    assert decoded(order(request)) == walked(request)


@given(st.lists(spans, min_size=1, max_size=4))
def test_details_that_are_written_here_are_read_as_those_that_came(group: list[Span]) -> None:
    record = SpanRecord(Resource({}, b""), "", b"t" * 16, b"s" * 8, b"", "x", 1, TIME_NS, TIME_NS, 0, "")
    made = [with_details(record, _walked(span)[-1]) for span in group]
    assert [repr(read(one.details)) for one in made] == [repr(_walked(span)[-1]) for span in group]
    assert [repr(sorted(one.telling.items())) for one in made] == [repr(_walked(span)[-2]) for span in group]
    assert list(parted(joined(one.details for one in made))) == [one.details for one in made]


@pytest.mark.parametrize("order", ORDERS)
def test_fields_of_a_later_otlp_do_no_harm(order: Callable[[Message], bytes]) -> None:
    later = framed(99, b"\n\x0bprocess.pid")
    pair = framed(1, b"error.type") + later + framed(2, framed(1, b"Timeout") + later)
    span = Span.FromString(framed(9, pair) + later + framed(9, later))
    span.MergeFrom(Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=TIME_NS))
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add(spans=[span])
    assert decoded(order(request)) == walked(request)
    assert decode_traces(order(request), "protobuf").spans[0].telling == {"error.type": "Timeout"}


def not_utf_8() -> Iterator[bytes]:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, name="x", start_time_unix_nano=TIME_NS, end_time_unix_nano=TIME_NS
    )  # fmt: skip
    span.attributes.add(key="server.address").value.string_value = "ABCD"
    for order in ORDERS:
        yield order(request).replace(b"ABCD", b"db-\xff")


@pytest.mark.parametrize("body", list(not_utf_8()))
def test_a_text_that_is_no_utf_8_is_mended_in_details_too(body: bytes) -> None:
    (span,) = decode_traces(body, "protobuf").spans
    assert span.telling == read(span.details).attributes == {"server.address": "db-\N{REPLACEMENT CHARACTER}"}
