"""The OpenAPI 3.1 document of the REST face, made from the table of questions and the models of their answers."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from hosts_mcp import __version__
from hosts_mcp.serve.problems import STATUS_OF_CODE
from hosts_mcp.serve.questions import QUESTIONS, Argument, Question, argument_schema
from hosts_mcp.serve.schemas import slim

_PROBLEM_REF = {"$ref": "#/components/responses/Problem"}


@cache
def document() -> dict[str, Any]:
    models = [question.model() for question in QUESTIONS]
    references, schemas = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    paths = {
        f"/api/v1{path}": _path(question, path, dict(references[model, "serialization"]))
        for question, model in zip(QUESTIONS, models, strict=True)
        for path in (question.path, question.also)
        if path
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hosts-mcp",
            "version": __version__,
            "description": "Was it the box? The same answers as over MCP. Times are UTC; absent means not measured.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": slim(schemas["$defs"]) | {"Problem": _PROBLEM, "Stored": _STORED},
            "responses": {"Problem": _problem_response()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _path(question: Question, path: str, reference: dict[str, Any]) -> dict[str, Any]:
    method = "post" if question.tool == "query" else "get"
    operation: dict[str, Any] = {
        "operationId": question.tool if path == question.path else f"{question.tool}_by_name",
        "summary": question.title,
        "description": question.about,
        "responses": {"200": _answer(question, reference), "default": _PROBLEM_REF},
    }
    if method == "post":
        body = {"application/json": {"schema": question.input_schema()}}
        operation["requestBody"] = {"required": True, "content": body}
    else:
        operation["parameters"] = [_parameter(argument, path) for argument in question.arguments]
    if question.tool == "host_status":
        operation["parameters"].append(_STORED_PARAMETER)
    return {method: operation}


def _parameter(argument: Argument, path: str) -> dict[str, Any]:
    in_path = argument.name in re.findall(r"{(\w+)}", path)
    return {
        "name": argument.name,
        "in": "path" if in_path else "query",
        "required": in_path or argument.required,
        "description": argument.help,
        "schema": {key: value for key, value in argument_schema(argument).items() if key != "description"},
    }


def _answer(question: Question, reference: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": reference}, "text/plain": {"schema": {"type": "string"}}}
    if question.tool == "host_status":
        stored = {"type": "object", "properties": {"stored": {"$ref": "#/components/schemas/Stored"}}}
        content["application/json"] = {"schema": {"allOf": [reference, stored]}}
    if question.tool == "query":
        content |= {kind: {"schema": {"type": "string"}} for kind in ("application/x-ndjson", "text/csv")}
    return {"description": "The answer", "content": content}


def _problem_response() -> dict[str, Any]:
    codes = ", ".join(f"{code} ({status})" for code, status in STATUS_OF_CODE.items())
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": f"RFC 9457 problem details. Codes: {codes}.", "content": content}


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened, what was expected, what to do next"},
        "code": {"type": "string", "description": "stable, for programs"},
        "candidates": {"type": "array", "items": {"type": "string"}, "description": "nearest valid values"},
    },
}
_COUNT = {"type": "integer", "minimum": 0}
_STORED = {"type": "object", "properties": dict.fromkeys(("points", "series", "processes"), _COUNT)}
_STORED_PARAMETER = {
    "name": "stored",
    "in": "query",
    "description": "count the host's points, series and processes in the file (slow)",
    "schema": {"type": "boolean", "default": False},
}
