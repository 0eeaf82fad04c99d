"""OTLP over gRPC: raw bytes in, the status codes that tell a client whether to keep its data."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from hosts_mcp.otlp import replies
from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.transport import Accept, Busy, Request, Signal, Undecodable
from hosts_mcp.settings import Address

log = logging.getLogger(__name__)

_METHODS = {
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": Signal.METRICS,
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": Signal.TRACES,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": Signal.LOGS,
}
_REFUSED = {401: grpc.StatusCode.UNAUTHENTICATED, 403: grpc.StatusCode.PERMISSION_DENIED}
STREAMS = 64


class OtlpGrpcServer:
    """`start` raises OSError when the address cannot be bound."""

    def __init__(
        self, accept: Accept, admission: Admission, address: Address, *, max_request_bytes: int, guard: Guard
    ) -> None:
        self._accept = accept
        self._admission = admission
        self._address = address
        self._limit = max_request_bytes
        self._guard = guard
        self._server: Any = None

    async def start(self) -> int:
        # The limit holds after decompression. Streams are bounded here and bytes in the handler, never calls: grpc's
        # own refusal of a call carries no RetryInfo, and collectors drop the data then.
        options = [
            ("grpc.max_receive_message_length", self._limit),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", STREAMS),
        ]
        self._server = grpc.aio.server(handlers=[_Handlers(self)], options=options)
        try:
            port = self._server.add_insecure_port(str(self._address))
        except RuntimeError as error:
            raise OSError(f"{self._address} cannot be bound: {error}") from None
        if not port:
            raise OSError(f"{self._address} cannot be bound")
        await self._server.start()
        return int(port)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=2)

    async def export(self, signal: Signal, body: bytes, context: Any) -> bytes:
        headers = {key.lower(): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        if (refusal := self._guard.refuses(headers, check_host=False)) is not None:
            await context.abort(_REFUSED.get(refusal.status, grpc.StatusCode.PERMISSION_DENIED), refusal.message)
        try:
            async with self._admission.hold(len(body)):
                reply = await self._accept(Request(signal, body, "protobuf", _peer(context.peer()), time.time_ns()))
        except Undecodable as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Busy as error:
            await _abort_retryable(context, str(error), error.retry_after_seconds)
        except Exception:
            log.exception("a %s request failed", signal)
            await _abort_retryable(context, "The server failed; its log says why.", 1.0)
        return replies.success(signal, reply)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, server: OtlpGrpcServer) -> None:
        self._handlers = {path: _handler(server, signal) for path, signal in _METHODS.items()}

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _handler(server: OtlpGrpcServer, signal: Signal) -> Any:
    async def export(body: bytes, context: Any) -> bytes:
        return await server.export(signal, body, context)

    return grpc.unary_unary_rpc_method_handler(export)


async def _abort_retryable(context: Any, message: str, seconds: float) -> None:
    """UNAVAILABLE with RetryInfo: the client keeps its data and comes again."""
    wait = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=0, seconds=max(1, round(seconds))))
    detail = any_pb2.Any()
    detail.Pack(wait)
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message=message, details=[detail])
    metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(grpc.StatusCode.UNAVAILABLE, message, metadata)


def _peer(text: str) -> str:
    """`ipv4:127.0.0.1:5` -> 127.0.0.1, `ipv6:%5B::1%5D:5` -> ::1."""
    _, _, address = unquote(text).partition(":")
    return address.rpartition(":")[0].strip("[]")
