"""Routes for our own command line: what only the process that holds the file can do (import, settle, forget)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hosts_mcp.answers.lookup import find_host
from hosts_mcp.errors import BadArgument
from hosts_mcp.ingest.server import Ingest
from hosts_mcp.otlp.transport import Busy, Request, Signal, Undecodable
from hosts_mcp.serve.problems import problem

MAX_LINE_BYTES = 64 * 1024 * 1024


def routes(ingest: Callable[[], Ingest]) -> list[Route]:
    async def take(request: HttpRequest) -> Response:
        """One OTLP/JSON export request, as a line of an imported file."""
        body = await _body(request)
        signal = Signal(request.path_params["signal"])
        try:
            reply = await ingest().accept(Request(signal, body, "json", "127.0.0.1", time.time_ns()))
        except Undecodable as error:
            raise BadArgument(str(error)) from None
        except Busy as error:
            wait = {"Retry-After": str(math.ceil(error.retry_after_seconds))}
            return problem(503, str(error), "busy", wait)
        return JSONResponse({"rejected": reply.rejected, "message": reply.message})

    async def settle(_request: HttpRequest) -> Response:
        await ingest().settle()
        return JSONResponse({"settled": True})

    async def forget(request: HttpRequest) -> Response:
        host = find_host(ingest().reader, request.path_params["host"])
        await ingest().run(lambda writer: writer.forget(host.id))
        while await ingest().run(lambda writer: writer.forget_rest()):
            pass
        return JSONResponse({"forgotten": host.key})

    return [
        Route("/inside/import/{signal}", take, methods=["POST"]),
        Route("/inside/settle", settle, methods=["POST"]),
        Route("/inside/hosts/{host}", forget, methods=["DELETE"]),
    ]


async def _body(request: HttpRequest) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_LINE_BYTES:
            raise BadArgument(f"A line of an import is larger than {MAX_LINE_BYTES} bytes.")
    return b"".join(parts)
