"""Raw request bytes to batches: the ordinary protobuf walk, and the oracle of any faster one behind these functions.

Garbage raises Undecodable and nothing else. A bad item is counted in `rejected` with its reason and never takes the
good ones beside it with it. Both wire orders (fields ascending, fields reversed) are the same message to protobuf.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import inf, isnan
from typing import Literal, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosts_mcp.otlp import json
from hosts_mcp.otlp.batch import (
    Event,
    Kind,
    Link,
    LogRecord,
    LogsBatch,
    MetricsBatch,
    PointGroup,
    Resource,
    Slot,
    SpanRecord,
    TracesBatch,
)
from hosts_mcp.otlp.transport import Undecodable
from hosts_mcp.otlp.utf8 import mended
from hosts_mcp.otlp.values import Interned, attributes_of, value_of

Encoding = Literal["protobuf", "json"]
M = TypeVar("M", bound=Message)

_EARLIEST_NS = 365 * 86_400 * 1_000_000_000
"""Points in 1970 come from a clock that was never set."""
_LATEST_NS = 2**63
_NO_VALUE = 1
_SUM_KINDS: dict[tuple[int, bool], Kind] = {
    (2, True): "counter", (2, False): "updown", (1, True): "delta", (1, False): "updown_delta",
}  # fmt: skip
"""(temporality, monotonic) -> kind."""

_generation = Interned()


def _interned() -> Interned:
    """What earlier requests have made known; begun anew when it has grown too large."""
    global _generation
    if _generation.full:
        _generation = Interned()
    return _generation


def decode_metrics(body: bytes, encoding: Encoding) -> MetricsBatch:
    """ExportMetricsServiceRequest -> MetricsBatch. Raises Undecodable."""
    request = _parsed(body, encoding, ExportMetricsServiceRequest())
    interned, batch = _interned(), MetricsBatch()
    for resource_metrics in request.resource_metrics:
        resource = interned.resource(resource_metrics.resource)
        for scope_metrics in resource_metrics.scope_metrics:
            gathered: _Gathered = defaultdict(lambda: ([], []))
            for metric in scope_metrics.metrics:
                _gather(metric, interned, gathered, batch)
            scope = scope_metrics.scope
            for (time_ns, start_ns), (slots, values) in gathered.items():
                if len(set(map(id, slots))) < len(slots):
                    slots, values = _greatest(slots, values)
                start = start_ns if start_ns < _LATEST_NS else 0
                batch.groups.append(
                    PointGroup(resource, scope.name, scope.version, time_ns, start, tuple(slots), tuple(values))
                )
    return batch


_Gathered = defaultdict[tuple[int, int], tuple[list[Slot], list[float]]]
"""(time, start) -> slots and values of one scope."""


def _greatest(slots: list[Slot], values: list[float]) -> tuple[list[Slot], list[float]]:
    """Each slot once. Where a series came twice at one time the greater value stays, whatever the order."""
    kept: dict[int, tuple[Slot, float]] = {}
    for slot, value in zip(slots, values, strict=True):
        known = kept.get(id(slot))
        if known is None or value > known[1] or isnan(known[1]):
            kept[id(slot)] = (slot, value)
    return [slot for slot, _ in kept.values()], [value for _, value in kept.values()]


def _gather(metric: Metric, interned: Interned, gathered: _Gathered, batch: MetricsBatch) -> None:
    """Sort a metric's points by (time, start)."""
    kind, points = _points(metric, batch)
    if kind is None:
        return
    series = interned.series(metric.name, kind, metric.unit)
    lowest = 0.0 if kind in ("counter", "delta") else -inf
    for point in points:
        holds = point.WhichOneof("value")
        value = point.as_double if holds == "as_double" else float(point.as_int)
        time_ns = point.time_unix_nano
        ordinary = holds is not None and not value < lowest and _EARLIEST_NS <= time_ns < _LATEST_NS
        if (point.flags or not ordinary) and not _is_kept(point, lowest, batch):
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
        kind = _SUM_KINDS.get((metric.sum.aggregation_temporality, metric.sum.is_monotonic))
        if kind is None and points:
            batch.rejected["aggregation temporality is unspecified"] += len(points)
        return kind, points
    if data is not None and (count := len(getattr(metric, data).data_points)):
        batch.other_points[metric.name, data] += count
    return None, ()


def _is_kept(point: NumberDataPoint, lowest: float, batch: MetricsBatch) -> bool:
    """False when the point is refused or marks the end of a series; either is counted in the batch."""
    if point.flags & _NO_VALUE:
        batch.ended += 1
        return False
    reason = None
    if point.WhichOneof("value") is None:
        reason = "the point has no value"
    elif not _EARLIEST_NS <= point.time_unix_nano < _LATEST_NS:
        reason = _time_reason(point.time_unix_nano)
    elif point.as_double < lowest or point.as_int < lowest:
        reason = "a monotonic sum is negative"
    if reason:
        batch.rejected[reason] += 1
    return reason is None


def _time_reason(time_ns: int) -> str:
    if not time_ns:
        return "time is 0"
    return "time is in 1970: the sender's clock is not set" if time_ns < _EARLIEST_NS else "time is after 2262"


def decode_traces(body: bytes, encoding: Encoding) -> TracesBatch:
    """ExportTraceServiceRequest -> TracesBatch. Raises Undecodable."""
    request = _parsed(body, encoding, ExportTraceServiceRequest())
    interned, batch = _interned(), TracesBatch()
    for resource_spans in request.resource_spans:
        resource = interned.resource(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                reason = _refused(span)
                if reason:
                    batch.rejected[reason] += 1
                else:
                    batch.spans.append(_span(span, resource, scope_spans.scope.name))
    return batch


def _refused(span: Span) -> str | None:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return "trace_id is not 16 bytes, or all zero"
    if len(span.span_id) != 8 or not any(span.span_id):
        return "span_id is not 8 bytes, or all zero"
    if len(span.parent_span_id) not in (0, 8):
        return "parent_span_id is not 8 bytes"
    for time_ns in (span.start_time_unix_nano, span.end_time_unix_nano or span.start_time_unix_nano):
        if not _EARLIEST_NS <= time_ns < _LATEST_NS:
            return _time_reason(time_ns)
    return None


def _span(span: Span, resource: Resource, scope: str) -> SpanRecord:
    return SpanRecord(
        resource=resource,
        scope=scope,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id if any(span.parent_span_id) else b"",
        name=span.name,
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        # A clock that was set back while the span ran: it lasted at least nothing.
        end_ns=max(span.end_time_unix_nano, span.start_time_unix_nano),
        status=span.status.code,
        status_message=span.status.message,
        attributes=attributes_of(span.attributes),
        events=tuple(Event(e.time_unix_nano, e.name, attributes_of(e.attributes)) for e in span.events),
        links=tuple(Link(k.trace_id, k.span_id, attributes_of(k.attributes)) for k in span.links),
    )


def decode_logs(body: bytes, encoding: Encoding) -> LogsBatch:
    """ExportLogsServiceRequest -> LogsBatch. Raises Undecodable."""
    request = _parsed(body, encoding, ExportLogsServiceRequest())
    interned, batch = _interned(), LogsBatch()
    for resource_logs in request.resource_logs:
        resource = interned.resource(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                time_ns = record.time_unix_nano or record.observed_time_unix_nano
                if time_ns >= _LATEST_NS:
                    batch.rejected["time is after 2262"] += 1
                    continue
                batch.records.append(
                    LogRecord(
                        resource=resource,
                        scope=scope_logs.scope.name,
                        time_ns=time_ns,
                        severity=record.severity_number,
                        event_name=getattr(record, "event_name", ""),
                        body=value_of(record.body),
                        attributes=attributes_of(record.attributes),
                        trace_id=record.trace_id if len(record.trace_id) == 16 else b"",
                        span_id=record.span_id if len(record.span_id) == 8 else b"",
                    )
                )
    return batch


def _parsed(body: bytes, encoding: Encoding, message: M) -> M:
    if encoding == "json":
        return json.parse(body, message)
    try:
        try:
            message.ParseFromString(body)
        except DecodeError:
            message.ParseFromString(mended(body, message.DESCRIPTOR))
    except (DecodeError, RecursionError) as error:
        raise Undecodable(f"The body is no OTLP protobuf message of type {message.DESCRIPTOR.name}.") from error
    return message
