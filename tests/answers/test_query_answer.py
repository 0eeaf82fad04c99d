"""SQL: the schema, rows as JSON can carry them, limits, refusal."""

from __future__ import annotations

import json

import pytest

from hosts_mcp.answers.base import REST_BUDGET, compact_json
from hosts_mcp.answers.query import answer
from hosts_mcp.errors import BadQuery

from .filling import INJECTIONS, NOW, assert_harmless


def channels(found) -> tuple[str, str]:
    return found.to_text(), compact_json(found.structured())


def test_an_empty_statement_gives_the_views_and_an_example_that_runs(filling):
    filling.host("web-1")
    found = answer(filling.store, "", now_ns=NOW)
    for view in ("hosts", "samples", "signals", "spans", "traces", "runs", "processes", "findings", "logs"):
        assert view in found.sql_schema
    example = json.loads(found.next.removeprefix("query(sql=").removesuffix(")"))
    assert answer(filling.store, example, now_ns=NOW).rows[0][0] == "web-1"
    for text in channels(found):
        assert len(text.encode()) <= 12_000


def test_rows_come_as_json_can_carry_them(filling):
    found = answer(filling.store, "SELECT 1 AS a, 2.5 AS b, 'x' AS c, NULL AS d, x'00ff' AS e", now_ns=NOW)
    assert found.columns == ["a", "b", "c", "d", "e"]
    assert found.rows == [[1, 2.5, "x", None, "0x00ff"]]
    assert not found.truncated


def many(width: int) -> str:
    """2,000 rows with a text of that width."""
    return (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        f"SELECT i, '{'y' * width}' FROM n"
    )


@pytest.mark.parametrize("width", [1, 32, 500, 5_000])
def test_many_and_wide_rows_keep_the_ceiling_and_say_that_they_were_cut(filling, width):
    found = answer(filling.store, many(width), now_ns=NOW)
    text, structured = channels(found)
    assert len(text.encode()) + len(structured.encode()) <= 24_000
    assert found.truncated
    assert found.rows
    assert "cut by" in found.notes[0]


def test_rest_gets_more(filling):
    assert len(answer(filling.store, many(1), now_ns=NOW, budget=REST_BUDGET).rows) > 1_000


@pytest.mark.parametrize("sql", ["DROP TABLE host", "SELEC 1", "PRAGMA journal_mode = DELETE", "SELECT 1; SELECT 2"])
def test_what_is_not_one_reading_statement_is_refused_in_words(filling, sql):
    with pytest.raises(BadQuery):
        answer(filling.store, sql, now_ns=NOW)


@pytest.mark.parametrize("text", INJECTIONS[:-1])
def test_foreign_text_never_comes_out_raw(filling, text):
    filling.host("web-1", name=text)
    assert_harmless(*channels(answer(filling.store, "SELECT name FROM hosts", now_ns=NOW)))
