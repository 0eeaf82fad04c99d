"""Number points one by one: the ordinary protobuf walk. It reads everything, and `otlp.shapes` is measured against it.

A bad point is counted in `rejected` with its reason and never takes the good ones beside it with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import inf, isnan

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ScopeMetrics

from hosts_mcp.otlp.batch import Kind, MetricsBatch, PointGroup, Resource, Slot
from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.values import Interned

EARLIEST_NS = 365 * 86_400 * 1_000_000_000
"""Points in 1970 come from a clock that was never set."""
LATEST_NS = 2**63
_NO_VALUE = 1
SUM_KINDS: dict[tuple[int, bool], Kind] = {
    (2, True): "counter", (2, False): "updown", (1, True): "delta", (1, False): "updown_delta",
}  # fmt: skip
"""(temporality, monotonic) -> kind."""

_Gathered = defaultdict[tuple[int, int], tuple[list[Slot], list[float]]]
"""(time, start) -> slots and values of one scope."""


def walk(request: ExportMetricsServiceRequest, interned: Interned, room: Room) -> MetricsBatch:
    """Raises Undecodable where the request holds more than its bytes can mean."""
    batch = MetricsBatch()
    for resource_metrics in room.take(request.resource_metrics):
        resource = interned.resource(resource_metrics.resource)
        for scope_metrics in room.take(resource_metrics.scope_metrics):
            batch.groups += walk_scope(scope_metrics, resource, interned, batch, room)
    return batch


def walk_scope(
    scope_metrics: ScopeMetrics, resource: Resource, interned: Interned, batch: MetricsBatch, room: Room
) -> Iterator[PointGroup]:
    """The groups of one scope; what is refused, ended or of another kind is counted in `batch`."""
    gathered: _Gathered = defaultdict(lambda: ([], []))
    for metric in room.take(scope_metrics.metrics):
        _gather(metric, interned, gathered, batch, room)
    scope = scope_metrics.scope
    for (time_ns, start_ns), (slots, values) in gathered.items():
        own = greatest(slots, values) if is_repetitive(slots) else (tuple(slots), tuple(values))
        yield PointGroup(resource, scope.name, scope.version, time_ns, known_start(start_ns), *own)


def known_start(start_ns: int) -> int:
    """A start beyond all time is none."""
    return start_ns if start_ns < LATEST_NS else 0


def lowest(kind: Kind) -> float:
    """No honest value of this kind is smaller."""
    return 0.0 if kind in ("counter", "delta") else -inf


def is_repetitive(slots: Sequence[Slot]) -> bool:
    return len(set(map(id, slots))) < len(slots)


def greatest(slots: Sequence[Slot], values: Sequence[float]) -> tuple[tuple[Slot, ...], tuple[float, ...]]:
    """Each slot once. Where a series came twice at one time the greater value stays, whatever the order."""
    kept: dict[int, tuple[Slot, float]] = {}
    for slot, value in zip(slots, values, strict=True):
        known = kept.get(id(slot))
        if known is None or value > known[1] or isnan(known[1]):
            kept[id(slot)] = (slot, value)
    return tuple(slot for slot, _ in kept.values()), tuple(value for _, value in kept.values())


def _gather(metric: Metric, interned: Interned, gathered: _Gathered, batch: MetricsBatch, room: Room) -> None:
    """Sort a metric's points by (time, start)."""
    kind, points = _points(metric, batch)
    if kind is None:
        return
    series, least = interned.series(metric.name, kind, metric.unit), lowest(kind)
    for point in room.take(points):
        holds = point.WhichOneof("value")
        value = point.as_double if holds == "as_double" else float(point.as_int)
        time_ns = point.time_unix_nano
        ordinary = holds is not None and not value < least and EARLIEST_NS <= time_ns < LATEST_NS
        if (point.flags or not ordinary) and not _is_kept(point, least, batch):
            continue
        slots, values = gathered[time_ns, point.start_time_unix_nano]
        values.append(value)
        # What is left without these are the attributes: their bytes, in one call, are the key of the series.
        clear = point.ClearField
        clear("time_unix_nano")
        clear("start_time_unix_nano")
        clear("value")
        clear("exemplars")
        slots.append(series[point.SerializeToString()])


def _points(metric: Metric, batch: MetricsBatch) -> tuple[Kind | None, Sequence[NumberDataPoint]]:
    """The number points of a metric and their kind; None when none of them is kept (counted in the batch)."""
    data = metric.WhichOneof("data")
    if data == "gauge":
        return "gauge", metric.gauge.data_points
    if data == "sum":
        points = metric.sum.data_points
        kind = SUM_KINDS.get((metric.sum.aggregation_temporality, metric.sum.is_monotonic))
        if kind is None and points:
            batch.rejected["aggregation temporality is unspecified"] += len(points)
        return kind, points
    if data is not None and (count := len(getattr(metric, data).data_points)):
        batch.other_points[metric.name, data] += count
    return None, ()


def _is_kept(point: NumberDataPoint, least: float, batch: MetricsBatch) -> bool:
    """False when the point is refused or marks the end of a series; either is counted in the batch."""
    if point.flags & _NO_VALUE:
        batch.ended += 1
        return False
    reason = None
    if point.WhichOneof("value") is None:
        reason = "the point has no value"
    elif not EARLIEST_NS <= point.time_unix_nano < LATEST_NS:
        reason = time_reason(point.time_unix_nano)
    elif point.as_double < least or point.as_int < least:
        reason = "a monotonic sum is negative"
    if reason:
        batch.rejected[reason] += 1
    return reason is None


def time_reason(time_ns: int) -> str:
    """Why a time outside [EARLIEST_NS, LATEST_NS) is refused."""
    if not time_ns:
        return "time is 0"
    return "time is in 1970: the sender's clock is not set" if time_ns < EARLIEST_NS else "time is after 2262"
