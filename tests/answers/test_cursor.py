"""Cursors: opaque, self-contained, refused when damaged or mixed up."""

from __future__ import annotations

import pytest

from hosts_mcp.answers.cursor import Cursor
from hosts_mcp.errors import BadCursor

UNSET = ("", "any")


def test_a_cursor_alone_says_how_to_go_on():
    made = Cursor(123, ("web", "live"), (0, 1, False, -0.5, "web-1"))
    assert Cursor.parse(str(made), UNSET, UNSET) == made
    assert Cursor.parse(str(made), ("web", "live"), UNSET) == made


def test_a_cursor_with_other_arguments_is_refused_and_says_why():
    made = str(Cursor(123, ("web", "live"), ("web-1",)))
    with pytest.raises(BadCursor, match="Leave the other arguments out"):
        Cursor.parse(made, ("db", "any"), UNSET)


@pytest.mark.parametrize("text", ["", "%%%", "AAAA", "e30", "W10", "bnVsbA", "x" * 10_000, "é"])
def test_what_is_no_cursor_is_refused_with_what_to_do(text):
    with pytest.raises(BadCursor, match="top"):
        Cursor.parse(text, UNSET, UNSET)


def test_a_forged_key_of_other_types_is_refused_and_never_a_crash():
    with pytest.raises(BadCursor):
        Cursor(1, UNSET, ("a", 1)).before((1, "a"))
    with pytest.raises(BadCursor):
        Cursor(1, UNSET, (None,)).before((1,))
