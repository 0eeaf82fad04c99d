"""One ASGI app on one port: MCP over HTTP and SSE, REST, /healthz, /metrics and a plain page, behind one guard."""

from __future__ import annotations

import contextlib
import html
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hosts_mcp import __version__
from hosts_mcp.answers.base import REST_BUDGET
from hosts_mcp.answers.collector_config import TOKEN_FROM_ENVIRONMENT, Target
from hosts_mcp.errors import HostsMcpError
from hosts_mcp.ingest.server import Ingest
from hosts_mcp.serve import inside, rest
from hosts_mcp.serve.asking import Desk
from hosts_mcp.serve.exposition import CONTENT_TYPE, exposition
from hosts_mcp.serve.mcp import HostsServer
from hosts_mcp.serve.presence import SERVICE, from_elsewhere
from hosts_mcp.serve.problems import problem, problem_of
from hosts_mcp.serve.questions import BY_TOOL
from hosts_mcp.serve.security import Guard
from hosts_mcp.settings import Address, Settings


class Server:
    """What the app serves from. `ingest` exists while the app's lifespan runs."""

    def __init__(self, settings: Settings, *, token: Callable[[], str | None], bound: Address, problems: list[str]):
        self.settings = settings
        self.bound = bound
        self.activity = Activity()
        self._problems = problems
        self.ingest = Ingest(settings, token=token)
        self._token = token
        self.desk = Desk(lambda: self.ingest.reader, self.problems, self.target)
        self.mcp = HostsServer(self.desk)
        self.app = self._build(token)

    def problems(self) -> list[str]:
        """What does not work as configured, in sentences."""
        return [*self._problems, *self.ingest.problems]

    def target(self) -> Target:
        """Where collectors send to, as printed in configurations; the token itself is never printed in answers."""
        endpoints = {name: from_elsewhere(address) for name, address in self.ingest.endpoints.items()}
        token = TOKEN_FROM_ENVIRONMENT if self._token() else None
        return Target(grpc=endpoints.get("grpc"), http=endpoints.get("http"), token=token)

    def idle_seconds(self) -> float:
        """Since the last request of any client or the last OTLP request; 0 while a client is connected."""
        self.activity.note_requests(self.ingest.counters().get("requests"))
        return self.activity.idle_seconds()

    def health(self) -> dict[str, Any]:
        return {
            "service": SERVICE,
            "version": __version__,
            "database": str(self.settings.db.expanduser().resolve()),
            "pid": os.getpid(),
            "app": f"http://{self.bound}",
            "otlp": dict(self.ingest.endpoints),
            "problems": self.problems(),
            "counters": self.ingest.counters(),
        }

    def _build(self, token: Callable[[], str | None]) -> Starlette:
        # The guard below covers these routes like all others; the SDK's own check knows only its defaults.
        unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        routes: list[BaseRoute] = [
            Route("/", self._page),
            Route("/healthz", self._healthz),
            Route("/metrics", self._metrics),
            *rest.routes(self.desk),
            *inside.routes(lambda: self.ingest),
            *self.mcp.streamable_http_app(transport_security=unguarded, stateless_http=True).routes,
            *self.mcp.sse_app(transport_security=unguarded).routes,
        ]
        guard = Middleware(Guard, bound=self.bound, allow_hosts=self.settings.allow_host, token=token)
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            middleware=[Middleware(_Observed, activity=self.activity), guard],
            exception_handlers={HostsMcpError: _refused, HTTPException: _http_error, Exception: _defect},
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self.ingest, self.mcp.session_manager.run():
            yield

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse(self.health())

    async def _metrics(self, _request: Request) -> Response:
        return Response(exposition(self.ingest.counters()), media_type=CONTENT_TYPE)

    async def _page(self, _request: Request) -> Response:
        hosts = await self.desk.ask(BY_TOOL["list_hosts"], {}, REST_BUDGET)
        body = _PAGE.format(version=html.escape(__version__), hosts=html.escape(hosts.to_text()))
        return HTMLResponse(body, headers=_PAGE_HEADERS)


class Activity:
    """When anybody last wanted something: an HTTP request, an open stream, an OTLP request."""

    def __init__(self) -> None:
        self._open = 0
        self._last = time.monotonic()
        self._requests: object = None

    def enter(self) -> None:
        self._open += 1

    def leave(self) -> None:
        self._open -= 1
        self._last = time.monotonic()

    def note_requests(self, requests: object) -> None:
        if requests != self._requests:
            self._requests, self._last = requests, time.monotonic()

    def idle_seconds(self) -> float:
        return 0.0 if self._open else time.monotonic() - self._last


class _Observed:
    """Tells `activity` when a request begins and ends."""

    def __init__(self, app: ASGIApp, activity: Activity) -> None:
        self._app = app
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        self._activity.enter()
        try:
            return await self._app(scope, receive, send)
        finally:
            self._activity.leave()


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HostsMcpError)
    return problem_of(error)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "no_such_route", 405: "method_not_allowed"}.get(error.status_code, "http")
    detail = f"{error.detail}. /openapi.json lists the routes." if error.status_code in (404, 405) else error.detail
    return problem(error.status_code, detail, code, error.headers)


async def _defect(_request: Request, _error: Exception) -> Response:
    return problem(500, "The server failed inside; its log has the details.", "internal")


_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hosts-mcp</title>
<style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}}
pre{{overflow-x:auto}}</style>
<h1>Was it the box?</h1>
<p>hosts-mcp {version} joins OpenTelemetry traces with host metrics. Assistants ask over MCP at <code>/mcp</code>
(or <code>/sse</code>), programs at <code>/api/v1</code> (<a href="/openapi.json">OpenAPI</a>),
people in the terminal: <code>hosts-mcp hosts</code>.</p>
<h2>Hosts</h2>
<pre>{hosts}</pre>
</html>
"""
