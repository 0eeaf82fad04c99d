"""What clients are told about answers: object at the root, every nullable field optional, valid for every answer."""

from __future__ import annotations

import importlib
import inspect

import pytest

from hosts_mcp.answers.base import Answer

QUESTIONS = (
    "was_it_the_box",
    "blame_report",
    "list_hosts",
    "host_status",
    "host_metrics",
    "find_traces",
    "show_trace",
    "query",
)


def model(question: str) -> type[Answer]:
    return inspect.signature(
        importlib.import_module(f"hosts_mcp.answers.{question}").answer, eval_str=True
    ).return_annotation


def objects(schema: dict) -> list[dict]:
    return [schema, *schema.get("$defs", {}).values()]


@pytest.mark.parametrize("question", QUESTIONS)
def test_summary_is_the_first_field_and_the_root_an_object(question):
    schema = model(question).model_json_schema(mode="serialization")
    assert schema["type"] == "object"
    assert next(iter(schema["properties"])) == "summary"


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_nullable_field_has_a_default_since_null_is_left_out(question):
    for part in objects(model(question).model_json_schema(mode="validation")):
        for name, field in part.get("properties", {}).items():
            nullable = any(option.get("type") == "null" for option in field.get("anyOf", ()))
            assert not (nullable and name in part.get("required", ())), name


@pytest.mark.parametrize("question", QUESTIONS)
def test_arguments_are_plain_text_and_numbers(question):
    signature = inspect.signature(importlib.import_module(f"hosts_mcp.answers.{question}").answer, eval_str=True)
    asked = [
        p
        for name, p in signature.parameters.items()
        if name not in ("store", "now_ns", "budget", "link_base", "target")
    ]
    assert {p.annotation for p in asked} <= {str, int}
