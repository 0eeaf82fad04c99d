"""OTLP over HTTP: plain ASGI, protobuf and JSON, and the answers the specification asks of a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any

import uvicorn

from hosts_mcp import sockets
from hosts_mcp.otlp import replies
from hosts_mcp.otlp.admission import Admission, Held
from hosts_mcp.otlp.compression import TooLarge, UnsupportedEncoding, encodings
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.inflation import inflate
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.transport import Accept, Busy, Request, Signal, Undecodable
from hosts_mcp.settings import Address

log = logging.getLogger(__name__)

_PATHS = {f"/v1/{signal}": signal for signal in Signal}
_TYPES = {"application/x-protobuf": False, "application/json": True}

_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]


class _Answer(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class _TooSlow(Exception):
    """The body came more slowly than is waited for: HTTP 408."""


class _Gone(Exception):
    """The client hung up before its request was complete."""


def otlp_app(
    accept: Accept, admission: Admission, *, max_request_bytes: int, guard: Guard, pace: Pace
) -> Callable[[Any, _Receive, _Send], Awaitable[None]]:
    """The ASGI application."""

    async def app(scope: Any, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        as_json = _media_type(headers) == "application/json"
        try:
            signal = _route(scope, headers, guard)
            reply = await _take(signal, as_json, scope, headers, receive)
            body = replies.success_json(signal, reply) if as_json else replies.success(signal, reply)
            await _respond(send, 200, body, as_json, {})
        except _Answer as answer:
            body = replies.failure(answer.status, answer.message, as_json=as_json)
            await _respond(send, answer.status, body, as_json, answer.headers)
        except _Gone:
            pass

    async def _take(signal: Signal, as_json: bool, scope: Any, headers: Mapping[str, str], receive: _Receive) -> Any:
        length = int(text) if (text := headers.get("content-length", "")).isdigit() else None
        if length is not None and length > max_request_bytes:
            # The connection stays, and what still comes is thrown away: closing it while the sender writes would reset
            # it, and a sender that never sees the 413 sends the same again.
            raise _Answer(413, _too_large(max_request_bytes))
        try:
            async with admission.hold() as held:
                raw = await _read(receive, max_request_bytes, pace, held)
                packing = headers.get("content-encoding", "")
                body, raw = await inflate(raw, packing, max_request_bytes, held), b""
                peer = scope["client"][0] if scope.get("client") else ""
                request = Request(signal, body, "json" if as_json else "protobuf", peer, time.time_ns())
                return await held.until_stored(accept(request))
        except TooLarge:
            raise _Answer(413, _too_large(max_request_bytes)) from None
        except UnsupportedEncoding as error:
            unknown = f"Content-Encoding {str(error)[:40]!r} is not understood: use {encodings()}."
            raise _Answer(415, unknown, **{"accept-encoding": encodings()}) from None
        except _TooSlow:
            raise _Answer(408, _too_slow(pace), connection="close") from None
        except Undecodable as error:
            raise _Answer(400, str(error)) from None
        except Busy as error:
            raise _Answer(503, str(error), **{"retry-after": str(max(1, round(error.retry_after_seconds)))}) from None
        except (_Answer, _Gone, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("a %s request failed", signal)
            raise _Answer(503, "The server failed; its log says why.", **{"retry-after": "1"}) from None

    return app


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _route(scope: Any, headers: Mapping[str, str], guard: Guard) -> Signal:
    if (refusal := guard.refuses(headers)) is not None:
        more = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        raise _Answer(refusal.status, refusal.message, **more)
    signal = _PATHS.get("/" + re.sub(r"/+", "/", scope["path"]).strip("/"))
    if signal is None:
        raise _Answer(404, "No OTLP endpoint: POST to /v1/metrics, /v1/traces or /v1/logs.")
    if scope["method"] != "POST":
        raise _Answer(405, "OTLP is sent with POST.", allow="POST")
    if _media_type(headers) not in _TYPES:
        hint = " Vector: set encoding.codec to otlp." if "ndjson" in _media_type(headers) else ""
        raise _Answer(415, f"Content-Type must be application/x-protobuf or application/json.{hint}")
    return signal


def _too_large(limit: int) -> str:
    return f"The request is larger than {limit} bytes after inflation: send smaller batches, or raise --max-request."


def _too_slow(pace: Pace) -> str:
    return (
        f"The body came too slowly: it must be whole within {pace.seconds:g} s and come at "
        f"{pace.bytes_per_second} B/s after {pace.grace_seconds:g} s (--body-deadline, --body-rate)."
    )


async def _read(receive: _Receive, limit: int, pace: Pace, held: Held) -> bytes:
    body, waited = BytesIO(), 0.0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(pace.patience_seconds(body.tell(), waited)):
                message = await receive()
        except TimeoutError:
            raise _TooSlow from None
        waited += time.monotonic() - began
        if message["type"] == "http.disconnect":
            raise _Gone
        size = body.tell() + len(message.get("body", b""))
        if size > limit:
            raise TooLarge
        await held.take(size)
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return body.getvalue()


async def _respond(send: _Send, status: int, body: bytes, as_json: bool, headers: Mapping[str, str]) -> None:
    media = b"application/json" if as_json else b"application/x-protobuf"
    sent = [(b"content-type", media), (b"content-length", str(len(body)).encode())]
    sent += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """Without signal handlers: the process has one owner of those, and it is not this listener."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class OtlpHttpServer:
    """Listens inside the running event loop. `start` raises OSError when the address cannot be bound."""

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
        self._app = otlp_app(accept, admission, max_request_bytes=max_request_bytes, guard=guard, pace=pace)
        self._address = address
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        listener = sockets.listening(self._address)
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,  # the sender's own word must not decide whose address it has
            ws="none",  # an upgrade is a GET like any other here: 405
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
