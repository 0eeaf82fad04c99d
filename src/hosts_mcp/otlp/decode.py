"""Raw request bytes to batches: metrics by `otlp.shapes` with `otlp.points` behind it, traces and logs by a walk.

Garbage raises Undecodable and nothing else. A bad item is counted in `rejected` with its reason and never takes the
good ones beside it with it. Both wire orders (fields ascending, fields reversed) are the same message to protobuf.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosts_mcp.otlp import json
from hosts_mcp.otlp.batch import LogRecord, LogsBatch, MetricsBatch, Resource, SpanRecord, TracesBatch
from hosts_mcp.otlp.details import taken
from hosts_mcp.otlp.points import EARLIEST_NS, LATEST_NS, time_reason, walk
from hosts_mcp.otlp.room import Room, look_through
from hosts_mcp.otlp.shapes import Odd, Shapes
from hosts_mcp.otlp.transport import Undecodable
from hosts_mcp.otlp.utf8 import mended
from hosts_mcp.otlp.values import attributes_of, value_of

Encoding = Literal["protobuf", "json"]
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
M = TypeVar("M", bound=Message)

_shapes = Shapes()
"""What earlier requests have made known; begun anew when it has grown too large."""


def decode_metrics(body: bytes, encoding: Encoding) -> MetricsBatch:
    """ExportMetricsServiceRequest -> MetricsBatch. Raises Undecodable."""
    global _shapes
    if _shapes.full:
        _shapes = Shapes()
    room, reason = _room(body, encoding), None
    if encoding == "protobuf":
        try:
            return _shapes.decode(body)
        except Odd as odd:
            reason = str(odd)
        except DecodeError:
            reason = "a request that protobuf refuses"
    batch = walk(_parsed(body, encoding, ExportMetricsServiceRequest()), _shapes.interned, room)
    if reason is not None:
        batch.walked[reason] += batch.points
    return batch


def decode_traces(body: bytes, encoding: Encoding) -> TracesBatch:
    """ExportTraceServiceRequest -> TracesBatch. Raises Undecodable."""
    room, request = _room(body, encoding), _parsed(body, encoding, ExportTraceServiceRequest())
    interned, batch = _shapes.interned, TracesBatch()
    for resource_spans in room.take(request.resource_spans):
        resource = interned.resource(resource_spans.resource)
        for scope_spans in room.take(resource_spans.scope_spans):
            scope = scope_spans.scope.name
            for span in room.take(scope_spans.spans):
                room.take(span.events)
                room.take(span.links)
                found = _span(span, resource, scope)
                if isinstance(found, str):
                    batch.rejected[found] += 1
                else:
                    batch.spans.append(found)
    return batch


def _span(span: Span, resource: Resource, scope: str) -> SpanRecord | str:
    """Why it is refused, or the span."""
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
    if len(trace_id) != 16 or trace_id == _NO_TRACE:
        return "trace_id is not 16 bytes, or all zero"
    if len(span_id) != 8 or span_id == _NO_SPAN:
        return "span_id is not 8 bytes, or all zero"
    if len(parent_id) not in (0, 8):
        return "parent_span_id is not 8 bytes"
    for time_ns in (start_ns, end_ns or start_ns):
        if not EARLIEST_NS <= time_ns < LATEST_NS:
            return time_reason(time_ns)
    parent_id = b"" if parent_id == _NO_SPAN else parent_id
    # A clock that was set back while the span ran: it lasted at least nothing.
    end_ns = max(start_ns, end_ns)
    name, kind, status = span.name, span.kind, span.status
    code, message = status.code, status.message
    return SpanRecord(
        resource, scope, trace_id, span_id, parent_id, name, kind, start_ns, end_ns, code, message, *taken(span)
    )


def decode_logs(body: bytes, encoding: Encoding) -> LogsBatch:
    """ExportLogsServiceRequest -> LogsBatch. Raises Undecodable."""
    room, request = _room(body, encoding), _parsed(body, encoding, ExportLogsServiceRequest())
    interned, batch = _shapes.interned, LogsBatch()
    for resource_logs in room.take(request.resource_logs):
        resource = interned.resource(resource_logs.resource)
        for scope_logs in room.take(resource_logs.scope_logs):
            for record in room.take(scope_logs.log_records):
                time_ns = record.time_unix_nano or record.observed_time_unix_nano
                if time_ns >= LATEST_NS:
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


def _room(body: bytes, encoding: Encoding) -> Room:
    """For the items of a body that protobuf may read. Raises Undecodable."""
    if encoding == "protobuf":
        look_through(body)
    return Room(len(body))


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
