"""How much one request may hold. Two bytes make an empty message: a bound on bytes alone would let a small body cost
minutes of the writer."""

from __future__ import annotations

from collections.abc import Sized
from typing import TypeVar

from hosts_mcp.otlp.transport import Undecodable

LEAST_BYTES = 8
"""What a resource, scope, metric, point, span, event, link or record takes on average. A bare point takes 29."""
FREE = 10_000
"""So many items need no bytes."""

T = TypeVar("T", bound=Sized)


class Room:
    """What is left of the items that a body of this size may hold."""

    def __init__(self, size: int) -> None:
        self._most = self._left = FREE + size // LEAST_BYTES

    def take(self, items: T) -> T:
        """The items, counted. Raises Undecodable where they are more than their bytes can mean."""
        self._left -= len(items)
        if self._left < 0:
            raise Undecodable(
                f"The body holds more than {self._most:,} items, which is more than its size allows: most are empty."
            )
        return items
