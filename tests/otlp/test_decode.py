"""Bytes to batches: both wire orders, JSON ids, refusals that spare their neighbours, garbage that never escapes."""

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from hosts_mcp.otlp import values
from hosts_mcp.otlp.decode import decode_logs, decode_metrics, decode_traces
from hosts_mcp.otlp.room import FREE
from hosts_mcp.otlp.transport import Undecodable
from recordings import requests_in

from .wire_orders import framed

FIXTURES = Path(__file__).parents[2] / "fixtures" / "recorded"
RECORDINGS = sorted(FIXTURES.glob("*.otlp.gz"))
TIME_NS = 1_790_000_000_000_000_000


def gauge(value: float | None = 1.0, time_ns: int = TIME_NS, flags: int = 0) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="system.cpu.utilization")
    point = metric.gauge.data_points.add(time_unix_nano=time_ns, flags=flags)
    if value is not None:
        point.as_double = value
    return request


def merged(*requests: ExportMetricsServiceRequest) -> bytes:
    whole = ExportMetricsServiceRequest()
    for request in requests:
        whole.MergeFrom(request)
    return whole.SerializeToString()


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda p: p.name.removesuffix(".otlp.gz"))
def test_every_point_of_a_real_collector_is_read(recording: Path) -> None:
    for request, _ in requests_in(recording, 0):
        batch = decode_metrics(request.body, request.encoding)
        if request.encoding == "json":
            text = json.loads(request.body)
            points = [
                p for rm in text["resourceMetrics"] for sm in rm["scopeMetrics"] for m in sm["metrics"]
                for p in (m.get("gauge") or m.get("sum"))["dataPoints"]
            ]  # fmt: skip
        else:
            message = ExportMetricsServiceRequest.FromString(request.body)
            points = [
                p for rm in message.resource_metrics for sm in rm.scope_metrics for m in sm.metrics
                for p in getattr(m, m.WhichOneof("data")).data_points
            ]  # fmt: skip
        assert batch.points == len(points)
        assert not batch.rejected


def test_both_wire_orders_name_the_same_series() -> None:
    slots: list[set[Any]] = []
    for name in ("v0.160-grpc-noidentity", "v0.128-http-default"):
        request, _ = next(iter(requests_in(FIXTURES / f"{name}.otlp.gz", 0)))
        groups = decode_metrics(request.body, request.encoding).groups
        slots.append({s for g in groups for s in g.slots if s.metric in ("system.memory.usage", "system.disk.io")})
    assert slots[0] & slots[1]
    assert {s.kind for s in slots[0]} == {s.kind for s in slots[1]} == {"counter", "updown"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (gauge(time_ns=0), "time is 0"),
        (gauge(time_ns=1000), "1970"),
        (gauge(value=None), "no value"),
        (gauge(time_ns=2**63 + 1), "2262"),
    ],
)
def test_a_bad_point_is_refused_with_its_reason_and_its_neighbour_kept(
    bad: ExportMetricsServiceRequest, reason: str
) -> None:
    batch = decode_metrics(merged(gauge(), bad), "protobuf")
    assert batch.points == 1
    assert reason in next(iter(batch.rejected))


def test_a_point_without_recorded_value_ends_a_series_and_is_never_zero() -> None:
    batch = decode_metrics(merged(gauge(flags=1)), "protobuf")
    assert (batch.points, batch.ended, batch.rejected.total()) == (0, 1, 0)


def sums(*metrics: tuple[str, int, bool, list[tuple[int, Any]]]) -> bytes:
    """(name, temporality, monotonic, [(start, value)]) -> a request of one scope."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for name, temporality, monotonic, points in metrics:
        data = scope.metrics.add(name=name).sum
        data.aggregation_temporality = temporality  # type: ignore[assignment]
        data.is_monotonic = monotonic
        for start_ns, value in points:
            point = data.data_points.add(time_unix_nano=TIME_NS, start_time_unix_nano=start_ns)
            setattr(point, "as_int" if isinstance(value, int) else "as_double", value)
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("temporality", "monotonic", "kind"),
    [(2, True, "counter"), (2, False, "updown"), (1, True, "delta"), (1, False, "updown_delta")],
)
def test_the_kind_is_temporality_and_monotony(temporality: int, monotonic: bool, kind: str) -> None:
    group = decode_metrics(sums(("m", temporality, monotonic, [(1, 5)])), "protobuf").groups[0]
    assert (group.slots[0].kind, group.start_ns, group.values) == (kind, 1, (5.0,))


def test_a_sum_of_unspecified_temporality_is_refused() -> None:
    batch = decode_metrics(sums(("m", 0, True, [(1, 5), (2, 6)]), ("n", 2, True, [(1, 5)])), "protobuf")
    assert (batch.points, batch.rejected) == (1, {"aggregation temporality is unspecified": 2})


@pytest.mark.parametrize("value", [-1, -0.5])
def test_a_counter_below_zero_is_refused_and_a_falling_sum_is_not(value: float) -> None:
    batch = decode_metrics(sums(("m", 2, True, [(1, value)]), ("n", 2, False, [(1, value)])), "protobuf")
    assert [group.values for group in batch.groups] == [(value,)]
    assert batch.rejected == {"a monotonic sum is negative": 1}


@pytest.mark.parametrize("pair", [(1, 2), (2, 1), (float("nan"), 2.0), (2.0, float("nan"))])
def test_two_metrics_of_one_name_are_one_and_the_greater_value_stays_in_any_order(pair: Any) -> None:
    group = decode_metrics(sums(*(("m", 2, True, [(1, value)]) for value in pair)), "protobuf").groups[0]
    assert (len(group.slots), group.values) == (1, (2.0,))


def test_points_are_grouped_by_time_and_start_and_a_start_beyond_all_time_is_none() -> None:
    batch = decode_metrics(sums(("m", 2, True, [(1, 5), (2, 6), (2**64 - 1, 7)])), "protobuf")
    assert [(g.start_ns, g.values) for g in batch.groups] == [(1, (5.0,)), (2, (6.0,)), (0, (7.0,))]


ANY_VALUE = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}


def attributed(*orders: list[tuple[str, Any]]) -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for number, order in enumerate(orders):
        point = metric.gauge.data_points.add(time_unix_nano=TIME_NS + number, as_double=1)
        for key, value in order:
            setattr(point.attributes.add(key=key).value, ANY_VALUE[type(value)], value)
        point.exemplars.add(as_int=number)
    return request.SerializeToString()


def test_the_order_of_attributes_and_exemplars_make_no_other_series() -> None:
    pairs: list[tuple[str, Any]] = [("state", "idle"), ("cpu", "cpu0")]
    groups = decode_metrics(attributed(pairs, pairs[::-1]), "protobuf").groups
    assert groups[0].slots[0] is groups[1].slots[0]
    assert groups[0].slots[0].attributes == (("cpu", "cpu0"), ("state", "idle"))


def test_attributes_of_every_kind_make_hashable_slots() -> None:
    request = ExportMetricsServiceRequest.FromString(attributed([("b", True), ("d", 0.5), ("i", 3)]))
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.attributes.add(key="empty")
    point.attributes.add(key="list").value.array_value.values.add(string_value="x")
    point.attributes.add(key="raw").value.bytes_value = b"\0"
    slot = decode_metrics(request.SerializeToString(), "protobuf").groups[0].slots[0]
    assert dict(slot.attributes) == {
        "b": True, "d": 0.5, "i": 3, "empty": "", "list": '["x"]', "raw": '{"bytes":"AA=="}',
    }  # fmt: skip
    assert {slot: 1}[slot] == 1


def test_a_text_that_is_no_utf8_is_mended_and_costs_nobody_a_point() -> None:
    request = gauge()
    resource = request.resource_metrics[0].resource
    resource.attributes.add(key="process.command_line").value.string_value = "caf? --x"
    resource.entity_refs.add(type="?", id_keys=["a", "b?"])
    batch = decode_metrics(request.SerializeToString().replace(b"?", b"\xe9"), "protobuf")
    assert batch.points == 1
    assert batch.groups[0].resource.attributes == {"process.command_line": "caf\ufffd --x"}


def test_caches_are_bounded_and_no_series_is_split_while_a_request_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "CACHED", 3)
    series: list[list[tuple[str, Any]]] = [[("i", number)] for number in range(9)]
    first = ExportMetricsServiceRequest.FromString(attributed(*series))
    metrics = first.resource_metrics[0].scope_metrics[0].metrics
    metrics.add().CopyFrom(metrics[0])
    for _ in range(2):
        groups = decode_metrics(first.SerializeToString(), "protobuf").groups
        assert [len(group.slots) for group in groups] == [1] * 9


def test_histograms_are_accepted_and_counted() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="http.server.duration")
    metric.histogram.data_points.add(time_unix_nano=TIME_NS, count=3)
    batch = decode_metrics(request.SerializeToString(), "protobuf")
    assert batch.other_points == {("http.server.duration", "histogram"): 1}


def spans(trace_id: str = "5b8aa5a2d2c872e8321cf37308d69df2", span_id: str = "051581bf3cb55c13") -> dict[str, Any]:
    span = {"traceId": trace_id, "spanId": span_id, "parentSpanId": "", "name": "x", "kind": 2, "unknown": [1],
            "startTimeUnixNano": str(TIME_NS), "endTimeUnixNano": TIME_NS + 1}  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}], "more": {}}


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_json_ids_are_hex_in_any_case(case: Any) -> None:
    batch = decode_traces(json.dumps(spans(case("5b8aa5a2d2c872e8321cf37308d69df2"))).encode(), "json")
    assert batch.spans[0].trace_id.hex() == "5b8aa5a2d2c872e8321cf37308d69df2"
    assert batch.spans[0].span_id.hex() == "051581bf3cb55c13"
    assert batch.spans[0].parent_id == b""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (json.dumps(spans(base64.b64encode(bytes(range(16))).decode())), "base64"),
        (json.dumps(spans("abc")), "32 hex digits"),
        ('{"a":1}\n{"b":2}', "one per line"),
        ("[]", "not an object"),
        ('{"resourceSpans":[null]}', r"resourceSpans\[0\]: an object was expected, not null"),
        ('{"resourceSpans":{}}', "resourceSpans: a list was expected"),
        ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_QUEUE"}]}]}]}', r"spans\[0\]\.kind"),
        ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}', "startTimeUnixNano"),
        ('{"resourceSpans":' + "[" * 5000, "not JSON"),
        (
            '{"resourceSpans":[{"resource":{"attributes":[{"value":'
            + '{"arrayValue":{"values":[' * 99
            + "{}"
            + "]}}" * 99
            + "}]}}]}",
            "100 levels",
        ),
        ("{", "not JSON"),
    ],
)
def test_json_that_is_no_otlp_is_refused_in_words(body: str, says: str) -> None:
    with pytest.raises(Undecodable, match=says):
        decode_traces(body.encode(), "json")


def test_unknown_json_keys_are_ignored_whatever_they_hold() -> None:
    document = spans() | {"extra": {"traceId": "no hex", "spans": [None]}}
    assert len(decode_traces(json.dumps(document).encode(), "json").spans) == 1


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"stringValue": "x"}, "x"),
        ({"stringValue": "half a pair \ud83d"}, "half a pair ?"),
        ({"boolValue": False}, False),
        ({"intValue": "9007199254740993"}, 9007199254740993),
        ({"int_value": -3}, -3),
        ({"doubleValue": "-Infinity"}, float("-inf")),
        ({"doubleValue": 1}, 1.0),
        ({"bytesValue": "AP8="}, b"\x00\xff"),
        ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, [1, None]),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}, {"k": "v"}),
        ({}, None),
        (None, None),
    ],
)
def test_json_attribute_values_of_every_kind(value: Any, found: Any) -> None:
    document = spans()
    document["resourceSpans"][0]["resource"] = {"attributes": [{"key": "a", "value": value}], "entityRefs": [{}]}
    span = decode_traces(json.dumps(document).encode(), "json").spans[0]
    assert span.resource.attributes == {"a": found}


def test_json_metrics_by_number_or_name_in_either_spelling_of_keys() -> None:
    point = {"timeUnixNano": TIME_NS, "asInt": "3"}
    sums = [
        {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True},
        {"data_points": [{"time_unix_nano": str(TIME_NS), "as_double": "NaN"}], "is_monotonic": True,
         "aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA"},
    ]  # fmt: skip
    metrics = [{"name": f"m{number}", "sum": one} for number, one in enumerate(sums)]
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()
    group = decode_metrics(body, "json").groups[0]
    assert [slot.kind for slot in group.slots] == ["counter", "delta"]
    assert group.values[0] == 3.0
    assert group.values[1] != group.values[1]


def test_a_span_without_proper_ids_is_refused_beside_a_good_one() -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, start_time_unix_nano=TIME_NS, end_time_unix_nano=TIME_NS)
    scope.spans.add(trace_id=b"\1" * 3, span_id=b"\2" * 8, start_time_unix_nano=TIME_NS)
    scope.spans.add(trace_id=b"\0" * 16, span_id=b"\2" * 8, start_time_unix_nano=TIME_NS)
    batch = decode_traces(request.SerializeToString(), "protobuf")
    assert len(batch.spans) == 1
    assert batch.rejected.total() == 2


def wrapped(body: bytes, *numbers: int) -> bytes:
    """`body` inside messages that hold nothing else, the innermost first, by their field numbers."""
    for number in numbers:
        body = framed(number, body)
    return body


@pytest.mark.parametrize(
    ("decoder", "item", "inside"),
    [
        pytest.param(decode_metrics, b"\x0a\0", (), id="resources"),
        pytest.param(decode_metrics, b"\x12\0", (1,), id="scopes"),
        pytest.param(decode_metrics, b"\x12\0", (2, 1), id="metrics"),
        pytest.param(decode_metrics, b"\x0a\0", (5, 2, 2, 1), id="points"),
        pytest.param(decode_traces, b"\x0a\0", (), id="resources of spans"),
        pytest.param(decode_traces, b"\x12\0", (1,), id="scopes of spans"),
        pytest.param(decode_traces, b"\x12\0", (2, 1), id="spans"),
        pytest.param(decode_traces, b"\x5a\0", (2, 2, 1), id="events"),
        pytest.param(decode_traces, b"\x6a\0", (2, 2, 1), id="links"),
        pytest.param(decode_logs, b"\x0a\0", (), id="resources of records"),
        pytest.param(decode_logs, b"\x12\0", (1,), id="scopes of records"),
        pytest.param(decode_logs, b"\x12\0", (2, 1), id="records"),
    ],
)
def test_a_body_of_nothing_but_empty_items_is_refused(decoder: Any, item: bytes, inside: tuple[int, ...]) -> None:
    few, many = FREE // 2, 2 * FREE
    decoder(wrapped(item * few, *inside), "protobuf")
    for count in (many, 100 * FREE):  # before and after protobuf has read them
        with pytest.raises(Undecodable, match="most of them are empty"):
            decoder(wrapped(item * count, *inside), "protobuf")


def test_a_json_body_of_nothing_but_empty_objects_is_refused() -> None:
    def body(count: int) -> bytes:
        return b'{"resourceMetrics":[' + b",".join([b"{}"] * count) + b"]}"

    decode_metrics(body(FREE // 2), "json")
    with pytest.raises(Undecodable, match="most of them are empty"):
        decode_metrics(body(2 * FREE), "json")


def test_as_many_bare_points_as_their_bytes_can_mean_are_read() -> None:
    request = gauge()
    points = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    points.extend(NumberDataPoint(time_unix_nano=TIME_NS + n, as_double=1.0) for n in range(1, 6 * FREE))
    body = request.SerializeToString()
    assert len(body) > 1 << 20
    assert decode_metrics(body, "protobuf").points == 6 * FREE


@given(st.binary(max_size=400), st.sampled_from(["protobuf", "json"]))
def test_garbage_is_undecodable_and_nothing_else(body: bytes, encoding: Any) -> None:
    for decode in (decode_metrics, decode_traces, decode_logs):
        with contextlib.suppress(Undecodable):
            decode(body, encoding)


@given(st.data())
def test_a_damaged_request_of_a_real_collector_is_undecodable_or_read(data: st.DataObject) -> None:
    request, _ = next(iter(requests_in(FIXTURES / "v0.160-grpc-noidentity.otlp.gz", 0)))
    body = bytearray(request.body)
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Undecodable):
        decode_metrics(bytes(body[: data.draw(st.integers(0, len(body)))]), "protobuf")
