"""What ends the calm of a host."""

import math

import pytest

from hosts_mcp.hosts.calm import _falls


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_counter_that_falls_is_seen_whatever_came_before(odd: float) -> None:
    assert _falls([odd, odd, 5.0, None, 4.0, 6.0], 0.0)
    assert not _falls([odd, odd, None], 0.0)
    assert not _falls([5.0, 4.5], 1.0)
