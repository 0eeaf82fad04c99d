"""Slim schemas still describe exactly what is sent."""

from __future__ import annotations

import json

import jsonschema
import pytest
from pydantic import BaseModel, Field

from hosts_mcp.answers.base import Answer
from hosts_mcp.serve.questions import QUESTIONS
from hosts_mcp.serve.schemas import answer_schema


class Part(BaseModel):
    title: str
    default: int | None = None


class Sample(Answer):
    part: Part | None = None
    parts: list[Part] = Field(default_factory=list)
    ratio: float | None = None
    values: list[float | None] | None = None
    word: str | None = None


@pytest.mark.parametrize(
    "sample",
    [Sample(summary="s"), Sample(summary="s", part=Part(title="t"), parts=[Part(title="t", default=1)]),
     Sample(summary="s", ratio=float("nan"), values=[1.0, None, float("inf")], word="w", notes=["n"])],
)  # fmt: skip
def test_what_is_sent_keeps_the_schema(sample: Sample) -> None:
    jsonschema.validate(sample.structured(), answer_schema(Sample))


def test_a_property_called_title_stays_and_generated_titles_go() -> None:
    schema = answer_schema(Sample)
    assert set(schema["$defs"]["Part"]["properties"]) == {"title", "default"}
    assert '"title": "' not in json.dumps(schema)


def test_a_wrong_answer_breaks_the_schema() -> None:
    for wrong in ({}, {"summary": 1}, {"summary": "s", "part": {}}, {"summary": "s", "values": ["x"]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, answer_schema(Sample))


def test_the_root_of_every_output_schema_is_an_object_with_the_summary_first() -> None:
    for question in QUESTIONS:
        schema = answer_schema(question.model())
        assert schema["type"] == "object"
        assert next(iter(schema["properties"])) == "summary"
