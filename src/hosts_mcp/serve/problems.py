"""Errors of the HTTP faces as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from hosts_mcp.errors import HostsMcpError

STATUS_OF_CODE: Mapping[str, int] = {
    "no_such_host": 404,
    "no_such_trace": 404,
    "no_such_service": 404,
    "ambiguous": 409,
    "bad_argument": 400,
    "bad_range": 400,
    "bad_cursor": 400,
    "bad_query": 400,
    "store_unusable": 503,
    "too_slow": 504,
}


def problem(status: int, detail: str, code: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """A problem document; `code` is stable, `detail` is for people."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    return JSONResponse(body | more, status, headers, media_type="application/problem+json")


def problem_of(error: HostsMcpError) -> JSONResponse:
    more = {"candidates": list(error.candidates)} if error.candidates else {}
    return problem(STATUS_OF_CODE.get(error.code, 500), error.message, error.code, None, **more)
