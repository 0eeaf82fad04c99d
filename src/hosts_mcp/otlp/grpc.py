"""OTLP over gRPC: raw bytes in, the status codes that tell a client whether to keep its data."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from hosts_mcp.otlp import replies
from hosts_mcp.otlp.admission import Admission, Held
from hosts_mcp.otlp.compression import TooLarge
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.inflation import inflate
from hosts_mcp.otlp.pace import Pace
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
COMING_BYTES = 1024 * 1024
"""Held while a message comes: grpc shows it only when it is whole, and how large it is only then."""
_PACKED = ((b"\x1f\x8b", "gzip"), (b"\x78\x01", "deflate"), (b"\x78\x5e", "deflate"), (b"\x78\x9c", "deflate"),
           (b"\x78\xda", "deflate"))  # fmt: skip
"""How a compressed message begins. No OTLP request does: the first byte would be a tag of field 3 with wire type 7,
which does not exist, or of a field 15, which no request has."""


class _NoMessage(Exception):
    """The call ended without a message: the client went away, or grpc has refused it as too large."""


class _TooSlow(Exception):
    """The message was not whole in time."""


class OtlpGrpcServer:
    """`start` raises OSError when the address cannot be bound."""

    def __init__(
        self,
        accept: Accept,
        admission: Admission,
        address: Address,
        *,
        max_request_bytes: int,
        guard: Guard,
        pace: Pace,
    ) -> None:
        self._accept = accept
        self._admission = admission
        self._address = address
        self._limit = max_request_bytes
        self._guard = guard
        self._pace = pace
        self._server: Any = None

    async def start(self) -> int:
        # Streams are bounded here and bytes in the handler, never calls: grpc's own refusal of a call carries no
        # RetryInfo, and collectors drop the data then. Messages come as they were sent, since grpc would inflate
        # any number of them at once before a handler could count the bytes.
        options = [
            ("grpc.max_receive_message_length", self._limit),
            ("grpc.per_message_decompression", 0),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", STREAMS),
            # A window of this size from the first, and no ping with every message to find out whether a larger one
            # would pay.
            ("grpc.http2.lookahead_bytes", COMING_BYTES),
            ("grpc.http2.bdp_probe", 0),
        ]
        # One use of grpc's asyncio side that is never given back. With the last one it waits for its own thread, from
        # wherever the garbage collector stands, and that thread may wait in turn: for a call that nobody ends any
        # more, or for a loop that has ended to read what wakes it (seen with grpcio 1.85: it hung for good).
        grpc.aio.init_grpc_aio()
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

    async def export(self, signal: Signal, context: Any) -> bytes:
        headers = {key.lower(): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        if (refusal := self._guard.refuses(headers, check_host=False)) is not None:
            await context.abort(_REFUSED.get(refusal.status, grpc.StatusCode.PERMISSION_DENIED), refusal.message)
        try:
            async with self._admission.hold() as held:
                raw = await self._read(context, held)
                body, raw = await inflate(raw, _packing(raw), self._limit, held), b""
                request = Request(signal, body, "protobuf", _peer(context.peer()), time.time_ns())
                reply = await held.until_stored(self._accept(request))
        except Undecodable as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except TooLarge:
            message = f"The request is larger than {self._limit} bytes after inflation: send smaller batches."
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        except _TooSlow:
            late = f"The message was not whole within {self._pace.seconds:g} s."
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, late)
        except _NoMessage:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call ended without a message.")
        except Busy as error:
            await _abort_retryable(context, str(error), error.retry_after_seconds)
        except Exception:
            log.exception("a %s request failed", signal)
            await _abort_retryable(context, "The server failed; its log says why.", 1.0)
        return replies.success(signal, reply)

    async def _read(self, context: Any, held: Held) -> bytes:
        """The message as it was sent. Until there is room it is not asked for, and flow control holds its sender."""
        await held.take(COMING_BYTES)
        try:
            async with asyncio.timeout(self._pace.seconds):
                raw = await context.read()
        except TimeoutError:
            raise _TooSlow from None
        if raw is grpc.aio.EOF:
            raise _NoMessage
        held.keep(len(raw))
        await held.take(len(raw))
        return bytes(raw)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, server: OtlpGrpcServer) -> None:
        self._handlers = {path: _handler(server, signal) for path, signal in _METHODS.items()}

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _handler(server: OtlpGrpcServer, signal: Signal) -> Any:
    async def export(_: Any, context: Any) -> bytes:
        return await server.export(signal, context)

    # On the wire a unary call is a stream of one message. Taken as a stream, the message is ours to ask for.
    return grpc.stream_unary_rpc_method_handler(export)


def _packing(raw: bytes) -> str:
    """grpc tells handlers nothing of the message's encoding."""
    return next((packing for start, packing in _PACKED if raw.startswith(start)), "")


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
