"""The REST face under /api/v1: one route per question, the same models that MCP returns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hosts_mcp.answers.base import REST_BUDGET, Answer, compact_json
from hosts_mcp.answers.lookup import find_host
from hosts_mcp.errors import BadArgument
from hosts_mcp.serve.asking import Desk
from hosts_mcp.serve.openapi import document
from hosts_mcp.serve.questions import BY_TOOL, QUESTIONS, Question

PREFIX = "/api/v1"
MAX_BODY_BYTES = 256 * 1024
_JSON, _NDJSON, _CSV, _TEXT = "application/json", "application/x-ndjson", "text/csv", "text/plain"


def routes(desk: Desk) -> list[Route]:
    async def openapi(_request: Request) -> Response:
        return JSONResponse(document())

    asked_by_get = [question for question in QUESTIONS if question.tool != "query"]
    return [
        *(
            Route(PREFIX + path, _get(desk, question), methods=["GET"])
            for question in asked_by_get
            for path in (question.path, question.also)
            if path
        ),
        Route(PREFIX + BY_TOOL["query"].path, _query(desk), methods=["POST"]),
        Route("/openapi.json", openapi, methods=["GET"]),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


def _get(desk: Desk, question: Question) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        given = _parameters(request)
        # Counting reads the whole of a host's points: only on request, and no argument of the question itself.
        stored = question.tool == "host_status" and _flag(given, "stored")
        answer = await desk.ask(question, given | request.path_params, REST_BUDGET)
        if _preferred(request, _JSON, _TEXT) == _TEXT:
            return PlainTextResponse(answer.to_text() + "\n")
        more = {"stored": await _stored(desk, request.path_params["host"])} if stored else {}
        return JSONResponse(answer.structured() | more)

    return endpoint


def _query(desk: Desk) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        answer = await desk.ask(BY_TOOL["query"], await _body(request), REST_BUDGET)
        match _preferred(request, _JSON, _NDJSON, _CSV, _TEXT):
            case "application/x-ndjson":
                return _table(_ndjson(*_rows(answer)), _NDJSON, answer)
            case "text/csv":
                return _table(_csv(*_rows(answer)), f"{_CSV}; charset=utf-8", answer)
            case "text/plain":
                return PlainTextResponse(answer.to_text() + "\n")
        return JSONResponse(answer.structured())

    return endpoint


def _parameters(request: Request) -> dict[str, Any]:
    """Query parameters by name; one that is repeated becomes a list."""
    found = request.query_params
    return {name: values[0] if len(values := found.getlist(name)) == 1 else values for name in found}


def _flag(given: dict[str, Any], name: str) -> bool:
    value = str(given.pop(name, "false")).lower()
    if value not in ("true", "false", "1", "0"):
        raise BadArgument(f"{name} takes true or false, not {value[:40]!r}.")
    return value in ("true", "1")


async def _stored(desk: Desk, host: str) -> dict[str, int]:
    def count() -> dict[str, int]:
        store = desk.store()
        found = store.stored(find_host(store, host).id)
        return {"points": found.points, "series": found.series, "processes": found.processes}

    return await desk.work(count, "stored")


async def _body(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadArgument(f"The body is larger than {MAX_BODY_BYTES} bytes; no query needs that.")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadArgument('The body is no JSON object. Send {"sql": "select ..."}; an empty sql returns the schema.')
    return given


def _rows(answer: Answer) -> tuple[list[str], list[list[Any]]]:
    found = answer.structured()
    return found.get("columns", []), found.get("rows", [])


def _ndjson(columns: list[str], rows: list[list[Any]]) -> str:
    return "".join(compact_json(dict(zip(columns, row, strict=True))) + "\n" for row in rows)


def _csv(columns: list[str], rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue()


def _table(text: str, media_type: str, answer: Answer) -> Response:
    """Rows alone have no place for a remark, so whether they were cut stands in a header."""
    cut = str(bool(answer.structured().get("truncated"))).lower()
    return Response(text, headers={"Hosts-Mcp-Truncated": cut}, media_type=media_type)


def _preferred(request: Request, *offered: str) -> str:
    """The offered media type that Accept likes best; the first when it likes none or all alike."""
    liking = dict.fromkeys(offered, 0.0)
    for part in request.headers.get("accept", "*/*").split(","):
        wanted, _, parameters = part.strip().lower().partition(";")
        quality = next((q for p in parameters.split(";") if (q := _quality(p)) is not None), 1.0)
        for media_type in offered:
            if wanted.strip() == media_type:
                liking[media_type] = max(liking[media_type], quality + 0.001)
            elif wanted.strip() in ("*/*", media_type.split("/")[0] + "/*"):
                liking[media_type] = max(liking[media_type], quality)
    return max(offered, key=lambda media_type: liking[media_type])


def _quality(parameter: str) -> float | None:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else None
    except ValueError:
        return None
