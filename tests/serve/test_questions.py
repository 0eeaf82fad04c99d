"""The table of questions: what every face accepts, refuses and ignores, and what models are shown."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from hosts_mcp.errors import BadArgument
from hosts_mcp.serve.mcp import INSTRUCTIONS, tool_definition
from hosts_mcp.serve.questions import ALIASES, BY_TOOL, QUESTIONS, Question

STATUS, METRICS, TRACES = BY_TOOL["host_status"], BY_TOOL["host_metrics"], BY_TOOL["find_traces"]


def every(questions: tuple[Question, ...] = QUESTIONS) -> list[Any]:
    return [pytest.param(question, id=question.tool) for question in questions]


@pytest.mark.parametrize("question", every())
def test_the_table_agrees_with_the_answer(question: Question) -> None:
    parameters = inspect.signature(question._answer()).parameters
    for argument in question.arguments:
        default = parameters[argument.name].default
        assert argument.required == (default is inspect.Parameter.empty), argument.name
        assert argument.required or argument.default == default, argument.name
    taken = set(parameters) - {"store", "now_ns", "budget", "target", "link_base"}
    assert taken == {argument.name for argument in question.arguments}


@pytest.mark.parametrize("question", every())
def test_schemas_are_flat_and_say_range_and_default_in_words(question: Question) -> None:
    schema = question.input_schema()
    assert schema["type"] == "object"
    assert not {"$ref", "anyOf", "oneOf", "allOf", "$defs"} & set(_keys(schema))
    for argument in question.arguments:
        found = schema["properties"][argument.name]
        assert found["type"] in ("string", "integer")
        assert found["description"]
        if argument.most:
            assert str(argument.most) in found["description"] or argument.default == 0
        if not argument.required:
            shown = str(argument.default) if argument.default not in ("", 0) else "default"
            assert shown in found["description"], argument.name


def test_what_models_see_of_the_tools_fits_their_budget() -> None:
    sizes = [
        len(json.dumps({"name": q.tool, "description": q.about, "inputSchema": q.input_schema()}).encode())
        for q in QUESTIONS
    ]
    assert sum(sizes) <= 10_000
    assert len(QUESTIONS) <= 9
    for question in QUESTIONS:
        assert len(question.about.encode()) <= 1_024
        assert len(f"mcp__hosts__{question.tool}") <= 60


def test_the_whole_list_of_tools_fits_its_budget() -> None:
    tools = [tool_definition(q).model_dump(mode="json", by_alias=True, exclude_none=True) for q in QUESTIONS]
    assert len(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()) <= 24_000
    assert len(INSTRUCTIONS.encode()) <= 2_048


def test_keys_that_a_client_adds_are_dropped() -> None:
    assert STATUS.accept({"host": "web", "wait_for_previous": True}) == ({"host": "web"}, [])


def test_a_null_is_an_argument_not_given() -> None:
    assert STATUS.accept({"host": "web", "at": None}) == ({"host": "web"}, [])


@pytest.mark.parametrize(
    ("question", "wrong", "right"),
    [(STATUS, "hostname", "host"), (STATUS, "hots", "host"), (STATUS, "HOST", "host"), (METRICS, "metric", "metrics"),
     (METRICS, "since", "range"), (METRICS, "time-range", "range"), (TRACES, "min_durations", "min_duration"),
     (BY_TOOL["was_it_the_box"], "traceId", "trace_id"), (BY_TOOL["query"], "statement", "sql")],
)  # fmt: skip
def test_a_name_that_is_nearly_right_is_refused_with_the_right_one(question: Question, wrong: str, right: str) -> None:
    with pytest.raises(BadArgument, match=f"Did you mean {right}"):
        question.accept({wrong: "x"})


def test_any_other_name_is_ignored_and_said() -> None:
    arguments, notes = STATUS.accept({"host": "web", "verbosity": 3, "`\nx": 1})
    assert arguments == {"host": "web"}
    assert notes == ["Ignored `verbosity`, `' x`: host_status takes host, at."]


@pytest.mark.parametrize(
    ("question", "given", "said"),
    [(STATUS, {}, "needs host"), (STATUS, {"host": "  "}, "host is empty"), (STATUS, {"host": {}}, "host takes text"),
     (TRACES, {"status": "bad"}, "one of any, ok, error, unfinished"), (TRACES, {"limit": 0}, "from 1 to 500"),
     (TRACES, {"limit": "many"}, "whole number"), (TRACES, {"limit": 1.5}, "whole number"),
     (TRACES, {"limit": True}, "whole number"), (TRACES, {"limit": 1e999}, "whole number"),
     (METRICS, {"host": "web", "by": "moon"}, "one of device, mount")],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_what_is_accepted(question: Question, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        question.accept(given)


def test_values_are_taken_as_models_write_them() -> None:
    arguments, _ = METRICS.accept(
        {"host": "web", "metrics": ["cpu", "memory"], "points": "24", "detail": "FULL", "by": ""}
    )
    assert arguments == {"host": "web", "metrics": "cpu,memory", "points": 24, "detail": "full", "by": ""}
    assert STATUS.accept({"host": "web", "at": 1772326800})[0]["at"] == "1772326800"


def test_every_alias_leads_to_an_argument_that_exists() -> None:
    names = {argument.name for question in QUESTIONS for argument in question.arguments}
    assert set(ALIASES.values()) <= names
    assert not set(ALIASES) & names - {"query"}


def _keys(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [*node, *(key for value in node.values() for key in _keys(value))]
    return [key for value in node for key in _keys(value)] if isinstance(node, list) else []
