"""A budget of bytes in flight, from the first byte to the commit: what is not yet stored never fills memory."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from hosts_mcp.otlp.transport import Busy

T = TypeVar("T")

PATIENCE_SECONDS = 3.0
"""How long a request waits for room before its sender is asked to come again: less than the 5 s after which a
collector gives a call up. A waiting request holds only what it has sent, and one that is refused comes back much later
than its turn would have been."""


class Admission:
    """Room is taken while a body comes and while it is inflated, oldest request first, and given back when it is
    stored or refused.

    Requests that are all still coming, with no room left, would wait for each other for ever. So when nothing in
    flight only waits for its commit, one request may go beyond the limit: never more is in flight than the limit and
    one request.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waiting: list[_Turn] = []
        self._ages = itertools.count()
        self._beyond: Held | None = None
        self._whole_bytes = 0
        """Held by requests that only wait for their commit: this much comes back whatever senders do."""
        self.in_flight = 0

    def hold(self) -> Held:
        """`async with admission.hold() as held:` No room yet: `held.take` it."""
        return Held(self, next(self._ages))

    async def _take(self, held: Held, size: int) -> None:
        # Whoever is beyond the limit passes everybody, who else would wait for it.
        first = not self._waiting or held.age < self._waiting[0].age or held is self._beyond
        if first and self._fits(held, size):
            self._grant(held, size)
            return
        turn = _Turn(held.age, held, size, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, turn)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await turn.granted
        except TimeoutError:
            raise Busy("Too many bytes wait for their commit.") from None
        finally:
            # Whoever stops waiting is in nobody's way. Room granted in the same moment is the request's already and
            # is given back with the rest of it.
            turn.granted.cancel()
            self._serve()

    def _fits(self, held: Held, size: int) -> bool:
        if self.in_flight + size - held.size <= self._limit:
            return True
        return self._beyond is held or (self._beyond is None and self._whole_bytes == 0)

    def _grant(self, held: Held, size: int) -> None:
        self.in_flight += size - held.size
        held.size = size
        if self.in_flight > self._limit:
            self._beyond = held

    def _give_back(self, held: Held, size: int) -> None:
        """`held` has become smaller, or ended."""
        self.in_flight += size - held.size
        held.size = size
        if self.in_flight <= self._limit:
            self._beyond = None
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            turn = self._waiting[0]
            if not turn.granted.done():
                if not self._fits(turn.held, turn.size):
                    return
                self._grant(turn.held, turn.size)
                turn.granted.set_result(None)
            heapq.heappop(self._waiting)


@dataclass(slots=True, order=True)
class _Turn:
    """A request of this age waits until it may hold `size` bytes."""

    age: int
    held: Held = field(compare=False)
    size: int = field(compare=False)
    granted: asyncio.Future[None] = field(compare=False)


class Held:
    """The room of one request."""

    def __init__(self, admission: Admission, age: int) -> None:
        self._admission = admission
        self._whole = False
        self._storing: asyncio.Future[Any] | None = None
        self.age = age
        self.size = 0

    async def take(self, size: int) -> None:
        """Hold at least `size` bytes. Raises Busy when there is no room for PATIENCE_SECONDS."""
        if size > self.size:
            await self._admission._take(self, size)

    def keep(self, size: int) -> None:
        """Hold no more than `size` bytes."""
        if size < self.size:
            self._admission._give_back(self, size)

    def settle(self, size: int) -> None:
        """The body is whole and has `size` bytes, no more than are held: only its commit is outstanding."""
        self._whole = True
        self._admission._whole_bytes += size
        self._admission._give_back(self, size)

    async def until_stored(self, storing: Awaitable[T]) -> T:
        """Await the commit. When the sender goes away meanwhile, its bytes keep their room: they are still there."""
        self._storing = asyncio.ensure_future(storing)
        del storing  # a refusal's traceback leads here: it must not find itself, see __aexit__
        return await asyncio.shield(self._storing)

    async def __aenter__(self) -> Held:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not kept: a refusal's traceback leads here, and a body must not wait for the collector of cycles.
        storing, self._storing = self._storing, None
        if storing is not None and not storing.done():
            storing.add_done_callback(self._end)
        else:
            self._end()

    def _end(self, storing: asyncio.Future[Any] | None = None) -> None:
        if storing is not None and not storing.cancelled():
            storing.exception()  # nobody is left to hear it
        if self._whole:
            self._admission._whole_bytes -= self.size
        self._admission._give_back(self, 0)
