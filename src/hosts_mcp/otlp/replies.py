"""What a transport answers: success, partial success and google.rpc.Status, in the request's encoding."""

from __future__ import annotations

import json
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import UNAVAILABLE
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from hosts_mcp.otlp.transport import Busy, Reply, Signal

Encoding = Literal["protobuf", "json"]


def encode(reply: Reply, signal: Signal, encoding: Encoding) -> bytes:
    """The body of a success. `partial_success` is unset unless something was refused or there is something to say."""
    if not reply.rejected and not reply.message:
        return b"{}" if encoding == "json" else b""
    if encoding == "json":
        # Not proto3 JSON by a library: counts are 64 bit and therefore strings, and zero is left out.
        partial = {_REJECTED_JSON[signal]: str(reply.rejected)} if reply.rejected else {}
        return json.dumps({"partialSuccess": partial | {"errorMessage": reply.message}}).encode()
    return _partial(reply, signal)


_REJECTED_JSON = {
    Signal.METRICS: "rejectedDataPoints",
    Signal.TRACES: "rejectedSpans",
    Signal.LOGS: "rejectedLogRecords",
}


def _partial(reply: Reply, signal: Signal) -> bytes:
    if signal is Signal.METRICS:
        metrics = ExportMetricsServiceResponse()
        metrics.partial_success.rejected_data_points = reply.rejected
        metrics.partial_success.error_message = reply.message
        return metrics.SerializeToString()
    if signal is Signal.TRACES:
        traces = ExportTraceServiceResponse()
        traces.partial_success.rejected_spans = reply.rejected
        traces.partial_success.error_message = reply.message
        return traces.SerializeToString()
    logs = ExportLogsServiceResponse()
    logs.partial_success.rejected_log_records = reply.rejected
    logs.partial_success.error_message = reply.message
    return logs.SerializeToString()


def status(code: int, message: str, encoding: Encoding) -> bytes:
    """A google.rpc.Status; `code` is one of google.rpc.Code."""
    if encoding == "json":
        return json.dumps({"code": code, "message": message}).encode()
    return Status(code=code, message=message).SerializeToString()


def retry_status(busy: Busy) -> bytes:
    """The Status that tells a gRPC client to come back: UNAVAILABLE with RetryInfo."""
    found = Status(code=UNAVAILABLE, message=str(busy))
    seconds, fraction = divmod(busy.retry_after_seconds, 1)
    found.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=int(fraction * 1e9))))
    return found.SerializeToString()
