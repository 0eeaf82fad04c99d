"""Raw request bytes to batches: the ordinary protobuf walk, and the oracle of any faster one behind these functions.

Garbage raises Undecodable and nothing else. A bad item is counted in `rejected` with its reason and never takes the
good ones beside it with it. Both wire orders (fields ascending, fields reversed) are the same message to protobuf.
"""

from __future__ import annotations

from collections.abc import Sequence
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

_interned = Interned()


def decode_metrics(body: bytes, encoding: Encoding) -> MetricsBatch:
    """ExportMetricsServiceRequest -> MetricsBatch. Raises Undecodable."""
    request = _parsed(body, encoding, ExportMetricsServiceRequest())
    batch = MetricsBatch()
    for resource_metrics in request.resource_metrics:
        resource = _interned.resource(resource_metrics.resource)
        for scope_metrics in resource_metrics.scope_metrics:
            collected: dict[tuple[int, int], dict[int, tuple[Slot, float]]] = {}
            for metric in scope_metrics.metrics:
                _collect(metric, collected, batch)
            scope = scope_metrics.scope
            batch.groups += [
                _group(resource, scope.name, scope.version, time_ns, start_ns, list(points.values()))
                for (time_ns, start_ns), points in collected.items()
            ]
    return batch


def _group(
    resource: Resource, scope: str, version: str, time_ns: int, start_ns: int, points: Sequence[tuple[Slot, float]]
) -> PointGroup:
    slots, values = zip(*points, strict=True)
    return PointGroup(resource, scope, version, time_ns, start_ns, slots, values)


def _collect(
    metric: Metric, collected: dict[tuple[int, int], dict[int, tuple[Slot, float]]], batch: MetricsBatch
) -> None:
    """Sort a metric's points by (time, start). Where a series occurs twice at one time, the greater value stays."""
    data = metric.WhichOneof("data")
    if data == "gauge":
        kind: Kind = "gauge"
        points = metric.gauge.data_points
    elif data == "sum":
        points = metric.sum.data_points
        found = _SUM_KINDS.get((metric.sum.aggregation_temporality, metric.sum.is_monotonic))
        if found is None:
            batch.rejected["aggregation temporality is unspecified"] += len(points)
            return
        kind = found
    elif data is None:
        return
    else:
        batch.other_points[metric.name, data] += len(getattr(metric, data).data_points)
        return
    name, unit, slot_of = metric.name, metric.unit, _interned.slot
    monotonic = kind in ("counter", "delta")
    for point in points:
        value = _value(point, monotonic, batch)
        if value is None:
            continue
        slot = slot_of(name, kind, unit, point.attributes)
        there = collected.setdefault((point.time_unix_nano, point.start_time_unix_nano), {})
        known = there.get(id(slot))
        if known is None or value > known[1]:
            there[id(slot)] = (slot, value)


def _value(point: NumberDataPoint, monotonic: bool, batch: MetricsBatch) -> float | None:
    """The point's value, None when it is refused (counted in the batch) or marks the end of a series."""
    if point.flags & _NO_VALUE:
        batch.ended += 1
        return None
    kind = point.WhichOneof("value")
    if kind is None:
        batch.rejected["the point has no value"] += 1
        return None
    if not _EARLIEST_NS <= point.time_unix_nano < _LATEST_NS:
        batch.rejected[_time_reason(point.time_unix_nano)] += 1
        return None
    value = point.as_double if kind == "as_double" else float(point.as_int)
    if monotonic and value < 0:
        batch.rejected["a monotonic sum is negative"] += 1
        return None
    return value


def _time_reason(time_ns: int) -> str:
    if not time_ns:
        return "time is 0"
    return "time is in 1970: the sender's clock is not set" if time_ns < _EARLIEST_NS else "time is after 2262"


def decode_traces(body: bytes, encoding: Encoding) -> TracesBatch:
    """ExportTraceServiceRequest -> TracesBatch. Raises Undecodable."""
    request = _parsed(body, encoding, ExportTraceServiceRequest())
    batch = TracesBatch()
    for resource_spans in request.resource_spans:
        resource = _interned.resource(resource_spans.resource)
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
    if not _EARLIEST_NS <= span.start_time_unix_nano < _LATEST_NS or span.end_time_unix_nano >= _LATEST_NS:
        return _time_reason(span.start_time_unix_nano)
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
    batch = LogsBatch()
    for resource_logs in request.resource_logs:
        resource = _interned.resource(resource_logs.resource)
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
        message.ParseFromString(body)
    except (DecodeError, RecursionError) as error:
        raise Undecodable(f"The body is no OTLP protobuf message of type {message.DESCRIPTOR.name}.") from error
    return message
