"""Turns are short while somebody computes an answer, and only then."""

import sys
from contextlib import ExitStack

from hosts_mcp.serve import turns


def test_turns_are_short_until_the_last_answer_is_there() -> None:
    usual = sys.getswitchinterval()
    first, second = ExitStack(), ExitStack()
    first.enter_context(turns.short())
    second.enter_context(turns.short())
    assert sys.getswitchinterval() == turns.SHORT_SECONDS < usual
    first.close()
    assert sys.getswitchinterval() == turns.SHORT_SECONDS
    second.close()
    assert sys.getswitchinterval() == usual
