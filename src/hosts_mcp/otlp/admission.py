"""How many bytes of requests may be in flight, from admission to commit: the one bound on memory of the way in.

Rows or requests are no bound: sixty large batches at once starve each other. Waiters are served in turn, and the
eldest request in flight may always grow, so that something always gets done and no two wait for each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hosts_mcp.otlp.transport import Busy

PATIENCE_SECONDS = 1.0
"""A request that finds no room in this time is sent away; its sender keeps the data and comes back."""


class Admission:
    """`async with admission.room(size) as room:` holds `size` bytes of the budget until the block ends.

    For one event loop. A request larger than the whole budget is admitted once nothing else is in flight.
    """

    def __init__(self, limit_bytes: int = 32 * 1024 * 1024, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._limit = limit_bytes
        self._patience = patience_seconds
        self._held: dict[Room, int] = {}
        self._waiting: deque[_Waiter] = deque()
        self.in_flight = 0
        """Bytes held at present."""

    @property
    def waiting(self) -> int:
        """Requests that wait for room."""
        return len(self._waiting)

    def room(self, size_bytes: int) -> Room:
        return Room(self, size_bytes)

    async def take(self, room: Room, extra: int) -> None:
        """Raises Busy when there is no room for `extra` more bytes within the patience."""
        grows = room in self._held
        if (grows or not self._waiting) and self._fits(room, extra):
            self._grant(room, extra)
            return
        waiter = _Waiter(room, extra, asyncio.get_running_loop().create_future())
        if grows:  # To finish what is begun comes before beginning something new.
            self._waiting.appendleft(waiter)
        else:
            self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._patience):
                await waiter.granted
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._serve_waiters()
            else:
                self.give(room, extra)
            if isinstance(error, TimeoutError):
                raise Busy(f"{self.in_flight} bytes of requests wait for their commit; there is no room.") from None
            raise

    def give(self, room: Room, size: int) -> None:
        """Return `size` bytes of what `room` holds."""
        left = self._held.pop(room) - size
        if left > 0:
            # Its place among the eldest is not worth keeping: what shrinks has all it needs.
            self._held[room] = left
        self.in_flight -= size
        self._serve_waiters()

    def held(self, room: Room) -> int:
        return self._held.get(room, 0)

    def _fits(self, room: Room, extra: int) -> bool:
        return self.in_flight + extra <= self._limit or not self._held or next(iter(self._held)) is room

    def _grant(self, room: Room, extra: int) -> None:
        self._held[room] = self._held.get(room, 0) + extra
        self.in_flight += extra

    def _serve_waiters(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            if not self._fits(first.room, first.extra):
                return
            self._waiting.popleft()
            self._grant(first.room, first.extra)
            first.granted.set_result(None)


@dataclass(eq=False, slots=True)
class _Waiter:
    room: Room
    extra: int
    granted: asyncio.Future[None]


class Room:
    """The share of one request."""

    __slots__ = ("_admission", "_size")

    def __init__(self, admission: Admission, size_bytes: int) -> None:
        self._admission = admission
        self._size = size_bytes

    async def resize(self, size_bytes: int) -> None:
        """Correct the share to what the request has turned out to be. Raises Busy."""
        extra = size_bytes - self._admission.held(self)
        if extra > 0:
            await self._admission.take(self, extra)
        elif extra < 0:
            self._admission.give(self, -extra)

    async def __aenter__(self) -> Self:
        await self._admission.take(self, self._size)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.give(self, self._admission.held(self))
