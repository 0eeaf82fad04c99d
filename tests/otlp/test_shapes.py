"""The fast decoder reads what the ordinary walk reads: real recordings, and whatever hypothesis can think of."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint, ScopeMetrics

from hosts_mcp.otlp import decode
from hosts_mcp.otlp.batch import MetricsBatch
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.otlp.points import walk
from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.shapes import Odd, Shapes
from hosts_mcp.otlp.transport import Undecodable
from hosts_mcp.otlp.values import Interned
from recordings import requests_in

from .wire_orders import ascending, reversed_order, value_last

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "recorded"
RECORDINGS = {
    str(path.relative_to(folder)).removesuffix(".otlp.gz"): path
    for folder in (SHARED, ROOT / "fixtures" / "recorded")
    for path in sorted(folder.glob("**/*.otlp.gz"))
    if "traces" not in path.name and "logs" not in path.name
}
TIME_NS = 1_790_000_000_123_456_789
START_NS = 1_780_000_000_000_000_000


def readings(batch: MetricsBatch) -> Any:
    """Everything a batch says, as text: -0.0 and NaN are told. Orders of groups, and of series in them, say nothing."""
    groups = [
        (str(g.resource.attributes), g.resource.key, g.scope, g.scope_version, g.time_ns, g.start_ns,
         sorted(zip(map(repr, g.slots), map(repr, g.values), strict=True)))
        for g in batch.groups
    ]  # fmt: skip
    return sorted(groups), batch.other_points, batch.rejected, batch.ended


def walked(body: bytes) -> MetricsBatch:
    return oracle(body, Interned())


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_shapes", Shapes())


def bodies(path: Path) -> Iterator[bytes]:
    return (request.body for request, _ in requests_in(path, 0) if request.encoding == "protobuf")


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)
def test_recordings_are_read_alike_twice_in_a_row_and_nothing_of_them_is_walked(recording: Path) -> None:
    for body in bodies(recording):
        expected = readings(walked(body))
        for _ in range(2):
            batch = decode_metrics(body, "protobuf")
            assert readings(batch) == expected
            assert not batch.walked


def test_a_host_in_both_orders_has_the_same_series() -> None:
    for body in bodies(ROOT / "fixtures" / "recorded" / "v0.160-grpc-nobatch.otlp.gz"):
        message = ExportMetricsServiceRequest.FromString(body)
        batches = [decode_metrics(write(message), "protobuf") for write in (reversed_order, ascending, value_last)]
        assert readings(batches[0]) == readings(batches[1]) == readings(batches[2])
        slots = [{id(slot) for group in batch.groups for slot in group.slots} for batch in batches]
        assert slots[0] == slots[1] == slots[2]
        assert [bool(batch.walked) for batch in batches] == [False, False, True]


# ---- whatever hypothesis can think of ------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "device", "state", "vda", "eth0", "é", "wait"])
SCALARS = st.one_of(
    TEXTS.map(lambda v: {"string_value": v}), st.booleans().map(lambda v: {"bool_value": v}),
    st.integers(-3, 300).map(lambda v: {"int_value": v}), st.floats().map(lambda v: {"double_value": v}),
    st.binary(max_size=3).map(lambda v: {"bytes_value": v}), st.just({}),
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2).map(lambda v: {"array_value": {"values": v}})
)
ATTRIBUTES = st.lists(st.builds(lambda k, v: {"key": k, "value": v}, TEXTS, VALUES), max_size=3)
TIMES = st.sampled_from([TIME_NS, TIME_NS, TIME_NS, TIME_NS + 5, START_NS, 0, 7, 2**63, 2**64 - 1])
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), -1.0]).map(lambda v: {"as_double": v}),
    st.sampled_from([0, 1, -1, 2**53 + 1, 2**63 - 1]).map(lambda v: {"as_int": v}),
)
ODDITIES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}] * 12 + [{"flags": 1}, {"flags": 2}, {"exemplars": [{"as_int": 3}]}]
)
POINTS = st.builds(
    lambda attributes, time, start, number, odd: {
        "attributes": attributes, "time_unix_nano": time, "start_time_unix_nano": start, **number, **odd
    },
    ATTRIBUTES, TIMES, st.sampled_from([START_NS, START_NS, 0, 2**64 - 1]), st.one_of(NUMBERS, NUMBERS, st.just({})),
    ODDITIES,
)  # fmt: skip
LISTS = st.lists(POINTS, max_size=4)
DATA = st.one_of(
    LISTS.map(lambda p: {"gauge": {"data_points": p}}),
    st.builds(
        lambda p, temporality, monotonic: {
            "sum": {"data_points": p, "aggregation_temporality": temporality, "is_monotonic": monotonic}
        },
        LISTS, st.sampled_from([2, 2, 2, 1, 0]), st.booleans(),
    ),
    st.sampled_from([
        {}, {"histogram": {"data_points": [{"count": 3}]}}, {"summary": {"data_points": []}},
        {"exponential_histogram": {"data_points": [{}, {}]}},
    ]),
)  # fmt: skip
METRICS = st.builds(
    lambda name, unit, description, data: {"name": name, "unit": unit, "description": description, **data},
    st.sampled_from(["system.cpu.time", "system.disk.io", "", "m"]), TEXTS, TEXTS, DATA,
)  # fmt: skip
SCOPES = st.builds(
    lambda metrics, scope: {"metrics": metrics, **scope},
    st.lists(METRICS, max_size=3),
    st.sampled_from([{}, {"scope": {}}, {"scope": {"name": "x", "version": "1"}}, {"schema_url": "u"}]),
)
REQUESTS = st.lists(
    st.builds(
        lambda scopes, attributes, url: {"scope_metrics": scopes, "resource": {"attributes": attributes}, **url},
        st.lists(SCOPES, max_size=2), ATTRIBUTES, st.sampled_from([{}, {"schema_url": "u"}]),
    ),
    max_size=2,
)  # fmt: skip
WRITERS: st.SearchStrategy[Callable[[Any], bytes]] = st.sampled_from([ascending, reversed_order, value_last])


def built(resources: list[dict[str, Any]]) -> ExportMetricsServiceRequest:
    return ExportMetricsServiceRequest(resource_metrics=resources)


def shaken(data: st.DataObject, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The next scrape: the same series with other numbers, some points in another order, some gone or twice."""
    after = copy.deepcopy(resources)
    for scope in (scope for resource in after for scope in resource["scope_metrics"]):
        for metric in scope["metrics"]:
            points = next((d["data_points"] for k, d in metric.items() if k in ("gauge", "sum")), [])
            for point in points:
                if data.draw(st.booleans()):
                    point["time_unix_nano"] = data.draw(TIMES)
                for number in {"as_int", "as_double"} & point.keys():
                    point[number] = data.draw(NUMBERS.filter(lambda n, number=number: number in n))[number]
            if points:
                points[:] = data.draw(st.one_of(st.permutations(points), st.just(points), st.just(points[:-1] * 2)))
    return after


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_fast_decoder_and_the_walk_read_the_same(data: st.DataObject) -> None:
    shapes = Shapes()
    resources, write = data.draw(REQUESTS), data.draw(WRITERS)
    for _ in range(data.draw(st.integers(1, 5))):
        body = write(built(resources))
        assert readings(shapes.decode(body)) == readings(walked(body))
        resources = data.draw(st.sampled_from([resources, shaken(data, resources)]))


def disk(values: list[tuple[str, float]], **more: Any) -> dict[str, Any]:
    points = [
        {"attributes": [{"key": "device", "value": {"string_value": device}}], "time_unix_nano": TIME_NS,
         "start_time_unix_nano": START_NS, "as_double": value, **more}
        for device, value in values
    ]  # fmt: skip
    return {"name": "system.disk.io_time", "sum": {"data_points": points, "aggregation_temporality": 2}}


def one_scope(*metrics: dict[str, Any]) -> ExportMetricsServiceRequest:
    return built([{"resource": {}, "scope_metrics": [{"scope": {"name": "disks"}, "metrics": metrics}]}])


@pytest.mark.parametrize("write", [ascending, reversed_order])
@given(st.data())
def test_devices_in_any_order_come_out_in_the_one_that_was_learned(
    write: Callable[[Any], bytes], data: st.DataObject
) -> None:
    shapes = Shapes()
    devices = ["sda", "dm-0", "nvme0n1", "loop12", "a rather long name of a device which takes more than a byte " * 3]
    devices = devices[: data.draw(st.integers(2, 5))]
    lists = set()
    for number in range(6):
        order = data.draw(st.permutations(devices))
        body = write(one_scope(disk([("x", 0.5)]), disk([(device, number + len(device)) for device in order])))
        batch = shapes.decode(body)
        assert readings(batch) == readings(walked(body))
        lists.add(batch.groups[0].slots)
    if len(devices) < 5:
        assert len(lists) <= 2


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"flags": 1}, "flags"),
        ({"exemplars": [{"as_int": 1}]}, "exemplars"),
        ({"time_unix_nano": 0}, "no known order"),
        ({"time_unix_nano": 5}, "time"),
        ({"as_double": -1.0}, "below zero"),
    ],
)
@pytest.mark.parametrize("write", [ascending, reversed_order])
def test_an_odd_point_is_walked_with_its_scope_alone_and_counted(
    write: Callable[[Any], bytes], odd: dict[str, Any], why: str
) -> None:
    good, bad = one_scope(disk([("sda", 1), ("sdb", 2)])), one_scope(disk([("sda", 1)]), disk([("sdb", 2)], **odd))
    for metric in bad.resource_metrics[0].scope_metrics[0].metrics:
        metric.sum.is_monotonic = True
    body = write(good) + write(bad)
    batch = decode_metrics(body, "protobuf")
    assert readings(batch) == readings(walked(body))
    assert list(batch.walked.values()) == [batch.points - 2]
    assert "below zero" in str(batch.walked) or why in str(batch.walked) or write is ascending


UNKNOWN = b"\xfa\x7f\x03abc" + b"\xf8\x7f\x05" + b"\xf1\x7f" + bytes(8) + b"\xf5\x7f" + bytes(4)
GROUP = b"\xfb\x7f\xf8\x7f\x05\xfc\x7f"


@pytest.mark.parametrize("unknown", [UNKNOWN, GROUP])
@pytest.mark.parametrize("write", [ascending, reversed_order])
def test_fields_that_nobody_knows_change_nothing_at_any_level(write: Callable[[Any], bytes], unknown: bytes) -> None:
    shapes = Shapes()
    for number in range(4):
        message = one_scope(disk([("sda", number), ("sdb", 2)]))
        scope = message.resource_metrics[0].scope_metrics[0]
        parts: list[Any] = [message, message.resource_metrics[0], scope, scope.scope, scope.metrics[0],
                            scope.metrics[0].sum, *scope.metrics[0].sum.data_points]  # fmt: skip
        for part in parts:
            part.MergeFromString(unknown)
        body = write(message)
        assert readings(shapes.decode(body)) == readings(walked(body))


@pytest.mark.parametrize(
    "tail", [b"\x19" + bytes(8), b"\x11" + bytes(8), b"\x21" + bytes(8), b"\x31" + bytes(8), b"\x40\x01", b"\x40\x00"]
)
def test_a_later_field_overrules_an_earlier_one_even_with_zero(tail: bytes) -> None:
    point = NumberDataPoint(time_unix_nano=TIME_NS, start_time_unix_nano=START_NS, as_double=3.0)
    point_wire = point.SerializeToString() + tail
    scope = ScopeMetrics()
    scope.metrics.add(name="m").gauge.data_points.add()
    empty = b"\x0a\x00"
    wire = scope.SerializeToString().replace(b"\x2a\x02" + empty, b"\x2a" + _sized(b"\x0a" + _sized(point_wire)))
    metric = wire[2:]
    scope_wire = b"\x12" + _sized(metric)
    body = b"\x0a" + _sized(b"\x12" + _sized(scope_wire))
    shapes = Shapes()
    for _ in range(3):
        assert readings(shapes.decode(body)) == readings(walked(body))


def _sized(body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((len(body),)) + body


def test_resources_and_scopes_in_several_pieces_are_merged() -> None:
    message = one_scope(disk([("sda", 1)]))
    resource, scope = message.resource_metrics[0], message.resource_metrics[0].scope_metrics[0]
    piece = b"\x0a" + _sized(b"\x0a" + _sized(b"\x0a\x01k\x12\x03\x0a\x01v"))
    in_scope = message.SerializeToString().replace(
        scope.SerializeToString(), scope.SerializeToString() + b"\x0a\x03\x12\x011"
    )
    with pytest.raises(Odd):
        Shapes().decode(b"\x0a" + _sized_long(resource.SerializeToString() + piece))
    body = b"\x0a" + _sized_long(resource.SerializeToString() + piece)
    assert readings(decode_metrics(body, "protobuf")) == readings(walked(body))
    assert decode_metrics(body, "protobuf").groups[0].resource.attributes == {"k": "v"}
    assert in_scope != message.SerializeToString()


def _sized_long(body: bytes) -> bytes:
    return bytes((len(body) & 127 | 128, len(body) >> 7)) + body


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_read_or_refused_in_the_same_words(data: st.DataObject) -> None:
    recording = ROOT / "fixtures" / "recorded" / data.draw(
        st.sampled_from(["v0.160-grpc-noidentity.otlp.gz", "v0.128-http-default.otlp.gz"])
    )  # fmt: skip
    sent = [body for _, body in zip(range(3), bodies(recording), strict=False)]
    damaged = bytearray(sent[-1])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(damaged[: data.draw(st.sampled_from([len(damaged), data.draw(st.integers(0, len(damaged)))]))])
    decode._shapes, interned = Shapes(), Interned()  # a series keeps the unit it was first seen with
    for good in sent:
        decode_metrics(good, "protobuf")
        oracle(good, interned)
    assert outcome(lambda: decode_metrics(body, "protobuf")) == outcome(lambda: oracle(body, interned))


def oracle(body: bytes, interned: Interned) -> MetricsBatch:
    return walk(decode._parsed(body, "protobuf", ExportMetricsServiceRequest()), interned, Room(len(body)))


def outcome(read: Callable[[], MetricsBatch]) -> Any:
    try:
        return readings(read())
    except Undecodable as error:
        return str(error)


def test_memory_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hosts_mcp.otlp.shapes.CACHED", 50)
    generations = set()
    for number in range(200):
        decode_metrics(ascending(one_scope(disk([(f"disk-{number}", 1.0)]))), "protobuf")
        generations.add(id(decode._shapes))
        assert decode._shapes._weight <= 60
    assert len(generations) > 1


def test_points_that_all_have_a_time_of_their_own_do_not_cost_the_square_of_their_number() -> None:
    message = ExportMetricsServiceRequest()
    points = message.resource_metrics.add().scope_metrics.add().metrics.add(name="many").gauge.data_points
    for i in range(20_000):
        point = points.add(time_unix_nano=1_790_000_000 * 10**9 + i, as_double=1.0)
        point.attributes.add(key="i").value.int_value = i
    body = message.SerializeToString()
    begun = time.process_time()
    batch = decode_metrics(body, "protobuf")
    assert time.process_time() - begun < 3  # the square of so many takes twice as long
    assert readings(batch) == readings(walked(body))
