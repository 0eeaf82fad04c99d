"""JSON Schemas of the answers, without what nobody reads and what never is sent."""

from __future__ import annotations

from functools import cache
from typing import Any

from hosts_mcp.answers.base import Answer

_NOISE = ("title", "default", "additionalProperties")
_NULL = {"type": "null"}


@cache
def answer_schema(model: type[Answer]) -> dict[str, Any]:
    """Output schema of a tool: what `Answer.structured` sends. Its root is always an object.

    Without descriptions: clients check answers with it and show it to no model; OpenAPI has the words.
    """
    schema: dict[str, Any] = _wordless(slim(model.model_json_schema(mode="serialization")))
    return {"type": "object", **schema}


def _wordless(node: Any) -> Any:
    if isinstance(node, list):
        return [_wordless(item) for item in node]
    if not isinstance(node, dict):
        return node
    named = ("properties", "$defs")
    return {
        key: {name: _wordless(schema) for name, schema in value.items()} if key in named else _wordless(value)
        for key, value in node.items()
        if key != "description"
    }


def slim(node: Any) -> Any:
    """The same schema without generated titles, defaults, closed objects, and nulls that are left out when sent.

    A *property* called title is kept.
    """
    if isinstance(node, list):
        return [slim(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _inside(key, value) for key, value in node.items() if key not in _NOISE}


def _inside(key: str, value: Any) -> Any:
    match key:
        case "properties":
            return {name: _absent_when_none(slim(schema)) for name, schema in value.items()}
        case "$defs":
            return {name: slim(schema) for name, schema in value.items()}
    return slim(value)


def _absent_when_none(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [X, null]` of a property -> X, because None is not sent; a number may be null, when it is not finite."""
    choices = schema.get("anyOf", [])
    if len(choices) != 2 or choices[1] != _NULL:
        return schema
    type_of_number = {"type": ["number", "null"]} if choices[0].get("type") == "number" else {}
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **type_of_number, **beside}
