"""How much one request may hold. Two bytes make an empty message: a bound on bytes alone would let a small body cost
gigabytes and minutes of the writer."""

from __future__ import annotations

import contextlib
from collections.abc import Sized
from typing import TypeVar

from hosts_mcp.otlp.framing import fields_of
from hosts_mcp.otlp.transport import Undecodable

LEAST_BYTES = 8
"""What a resource, scope, metric, point, span, event, link or record takes on average. A bare point takes 29."""
FREE = 10_000
"""So many items need no bytes."""
_SMALL_BODY, _SMALL_FIELD = 1 << 20, 1 << 16
"""What is no larger is not looked into before protobuf has read it."""
_DEEPEST = 8
_TAGS = tuple(range(0x0A, 0x80, 8))
"""Of the fields 1 to 15 where they hold bytes, as messages do."""

T = TypeVar("T", bound=Sized)


class Room:
    """What is left of the items that a body of this size may hold."""

    def __init__(self, size: int) -> None:
        self._left = _most(size)

    def take(self, items: T) -> T:
        """The items, counted. Raises Undecodable where they are more than their bytes can mean."""
        self._left -= len(items)
        if self._left < 0:
            raise _too_many()
        return items


def look_through(body: bytes) -> None:
    """Raises Undecodable for a large body of many empty items, before protobuf takes forty bytes for each of them."""
    if len(body) > _SMALL_BODY:
        with contextlib.suppress(IndexError):  # cut short: protobuf says so
            _look(body, 0, len(body), _DEEPEST)


def _look(wire: bytes, at: int, end: int, depth: int) -> None:
    for count, (begin, stop) in enumerate(fields_of(wire, at, end, *_TAGS)):
        if count > _most(stop - at):
            raise _too_many()
        if stop - begin > _SMALL_FIELD and depth:
            _look(wire, begin, stop, depth - 1)


def _most(size: int) -> int:
    return FREE + size // LEAST_BYTES


def _too_many() -> Undecodable:
    return Undecodable("The body holds more items than its size can mean: most of them are empty.")
