"""What a sender gets back: partial success and google.rpc.Status, in protobuf or JSON."""

from __future__ import annotations

import json
from typing import Any

from google.rpc import code_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from hosts_mcp.otlp.transport import Reply, Signal

_RESPONSES: dict[Signal, tuple[Any, str, str]] = {
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
}

CODES = {
    400: code_pb2.INVALID_ARGUMENT, 401: code_pb2.UNAUTHENTICATED, 403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.UNIMPLEMENTED, 405: code_pb2.UNIMPLEMENTED, 408: code_pb2.DEADLINE_EXCEEDED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    415: code_pb2.INVALID_ARGUMENT, 421: code_pb2.PERMISSION_DENIED, 503: code_pb2.UNAVAILABLE,
}  # fmt: skip
"""HTTP status -> the gRPC code that stands in the body."""


def success(signal: Signal, reply: Reply) -> bytes:
    """Empty when everything was taken and nothing is to be said, as the specification wants it."""
    if not reply.rejected and not reply.message:
        return b""
    kind, field, _ = _RESPONSES[signal]
    response = kind()
    setattr(response.partial_success, field, reply.rejected)
    response.partial_success.error_message = reply.message
    return bytes(response.SerializeToString())


def success_json(signal: Signal, reply: Reply) -> bytes:
    if not reply.rejected and not reply.message:
        return b"{}"
    _, _, name = _RESPONSES[signal]
    return json.dumps({"partialSuccess": {name: str(reply.rejected), "errorMessage": reply.message}}).encode()


def failure(status: int, message: str, *, as_json: bool) -> bytes:
    """google.rpc.Status, the body of every HTTP answer that is no success."""
    code = CODES.get(status, code_pb2.UNKNOWN)
    if as_json:
        return json.dumps({"code": code, "message": message}).encode()
    return bytes(status_pb2.Status(code=code, message=message).SerializeToString())
