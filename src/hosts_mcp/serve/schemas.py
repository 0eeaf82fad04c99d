"""JSON Schemas of the answers, without what nobody reads: generated titles, defaults, spelled-out nullability."""

from __future__ import annotations

from functools import cache
from typing import Any

from hosts_mcp.answers.base import Answer


@cache
def answer_schema(model: type[Answer]) -> dict[str, Any]:
    """Output schema of a tool: what `Answer.structured` sends. Its root is always an object."""
    return {"type": "object", **slim(model.model_json_schema(mode="serialization"))}


def slim(node: Any) -> Any:
    """The same schema without titles and defaults; a simple type or null becomes a list of types.

    A *property* called title or default is kept.
    """
    if isinstance(node, list):
        return [slim(item) for item in node]
    if not isinstance(node, dict):
        return node
    return _short_null(
        {
            key: {name: slim(sub) for name, sub in value.items()} if key in ("properties", "$defs") else slim(value)
            for key, value in node.items()
            if key not in ("title", "default")
        }
    )


def _short_null(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [{type: number}, {type: null}]` -> `type: [number, null]`, keeping the keywords beside it."""
    match schema.get("anyOf"):
        case [{"type": str() as kind} as one, {"type": "null"}] if "enum" not in one and "const" not in one:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            return {**one, **rest, "type": [kind, "null"]}
    return schema
