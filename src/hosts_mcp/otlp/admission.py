"""A budget of bytes in flight, from admission to commit: what is received but not yet stored never fills memory."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from hosts_mcp.otlp.transport import Busy

PATIENCE_SECONDS = 1.0
"""How long a request waits for room before its sender is asked to come again."""


class Admission:
    """Senders are served in turn; one request is always admitted when nothing is in flight, however large."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.in_flight = 0

    def hold(self, size: int) -> Held:
        """`async with admission.hold(size) as held:` Raises Busy when there is no room for about a second."""
        return Held(self, size)

    async def take(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self.in_flight += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await asyncio.wait_for(turn, PATIENCE_SECONDS)
        except TimeoutError:
            self._leave(size, turn)
            raise Busy("Too many bytes wait for their commit.") from None
        except asyncio.CancelledError:
            self._leave(size, turn)
            raise

    def change(self, by: int) -> None:
        self.in_flight += by
        self._admit()

    def _leave(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.in_flight -= size
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not turn)
        self._admit()

    def _fits(self, size: int) -> bool:
        return self.in_flight == 0 or self.in_flight + size <= self._limit

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += size
                turn.set_result(None)


class Held:
    """Room held by one request."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size

    def correct(self, size: int) -> None:
        """The request turned out to be of this size (it was compressed, or its length was not known)."""
        self._admission.change(size - self._size)
        self._size = size

    def grow(self, size: int) -> None:
        """At least so many bytes have arrived."""
        if size > self._size:
            self.correct(size)

    async def __aenter__(self) -> Held:
        await self._admission.take(self._size)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.change(-self._size)
