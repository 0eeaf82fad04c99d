"""Decoded batches as OTLP/JSON, one export request each: the lines of a collector's file exporter.

The reverse of `decode` for what is kept: number points, spans and log records. Integers of 64 bits are strings and ids
are hex, as the OTLP/JSON encoding has it; values that are not finite have no JSON and are left out.
"""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hosts_mcp.otlp.batch import Event, LogRecord, PointGroup, Resource, SpanRecord, Value
from hosts_mcp.otlp.details import read

Line = dict[str, Any]
CUMULATIVE, DELTA = 2, 1
_SUMS: Mapping[str, tuple[int, bool]] = {
    "counter": (CUMULATIVE, True),
    "updown": (CUMULATIVE, False),
    "delta": (DELTA, True),
    "updown_delta": (DELTA, False),
}
"""Kind -> temporality and whether it only grows; a gauge is no sum."""


def metrics(groups: Iterable[PointGroup]) -> Line:
    return {
        "resourceMetrics": [
            {
                "resource": _resource(group.resource),
                "scopeMetrics": [{"scope": {"name": group.scope}, "metrics": _metrics(group)}],
            }
            for group in groups
        ]
    }


def _metrics(group: PointGroup) -> list[Line]:
    at = {"timeUnixNano": str(group.time_ns)} | ({"startTimeUnixNano": str(group.start_ns)} if group.start_ns else {})
    points: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for slot, value in zip(group.slots, group.values, strict=True):
        if math.isfinite(value):
            point = at | {"asDouble": value, "attributes": _attributes(dict(slot.attributes))}
            points[slot.metric, slot.kind, slot.unit].append(point)
    return [_metric(*key, found) for key, found in points.items()]


def _metric(name: str, kind: str, unit: str, points: Sequence[Line]) -> Line:
    about = {"name": name, "unit": unit}
    if kind == "gauge":
        return about | {"gauge": {"dataPoints": points}}
    temporality, monotonic = _SUMS[kind]
    return about | {"sum": {"aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": points}}


def traces(spans: Iterable[SpanRecord]) -> Line:
    by_resource: dict[Resource, list[Line]] = defaultdict(list)
    for span in spans:
        by_resource[span.resource].append(_span(span))
    return {
        "resourceSpans": [
            {"resource": _resource(resource), "scopeSpans": [{"spans": found}]}
            for resource, found in by_resource.items()
        ]
    }


def _span(span: SpanRecord) -> Line:
    details = read(span.details)
    out: Line = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "status": {"code": span.status, "message": span.status_message},
        "attributes": _attributes(details.attributes),
        "events": [_event(event) for event in details.events],
    }
    return out | ({"parentSpanId": span.parent_id.hex()} if span.parent_id else {})


def _event(event: Event) -> Line:
    return {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": _attributes(event.attributes)}


def logs(records: Iterable[LogRecord]) -> Line:
    return {
        "resourceLogs": [
            {"resource": _resource(record.resource), "scopeLogs": [{"logRecords": [_log(record)]}]}
            for record in records
        ]
    }


def _log(record: LogRecord) -> Line:
    out: Line = {
        "timeUnixNano": str(record.time_ns),
        "eventName": record.event_name,
        "body": _value(record.body),
        "attributes": _attributes(record.attributes),
    }
    if record.trace_id:
        out["traceId"] = record.trace_id.hex()
    if record.span_id:
        out["spanId"] = record.span_id.hex()
    return out


def _resource(resource: Resource) -> Line:
    return {"attributes": _attributes(resource.attributes)}


def _attributes(attributes: Mapping[str, Value]) -> list[Line]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Value) -> Line:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else str(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case dict():
            return {"kvlistValue": {"values": _attributes(value)}}
        case list() | tuple():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}


__all__ = ["Line", "logs", "metrics", "traces"]
