"""What waits for the writer thread: jobs, and requests, which it takes in groups that are worth a commit.

The thread sleeps until a group is due: it is woken once for a group, not for every request of it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from hosts_mcp.otlp.transport import Reply, Request
from hosts_mcp.store.sqlite import SqliteWriter

GROUP_SECONDS = 0.020
"""How long the first request of a group waits for company before the commit."""
GROUP_BYTES = 8 * 1024 * 1024
"""A group of this size is committed at once."""


@dataclass(slots=True)
class Arrival:
    request: Request
    done: asyncio.Future[Reply]
    """Of the event loop that waits for the answer."""
    began: float
    """`time.perf_counter` when it was queued."""


@dataclass(slots=True)
class Job:
    work: Callable[[SqliteWriter], Any]
    done: Future[Any]
    forgets: bool


class Inbox:
    """`put` and `close` from any thread, `take` from the writer's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[Arrival | Job] = deque()
        self._jobs = self._bytes = 0
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Arrival | Job) -> bool:
        """False once it is closed: nobody would take it."""
        with self._changed:
            if self._is_closed:
                return False
            self._items.append(item)
            if isinstance(item, Job):
                self._jobs += 1
            else:
                self._bytes += len(item.request.body)
            if len(self._items) == 1 or self._is_due:
                self._changed.notify()
        return True

    def close(self) -> None:
        """What is there is still taken; nothing more comes."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def take(self) -> list[Arrival] | Job | None:
        """Waits for a job or a group of requests, in the order they came; None when it is closed and empty."""
        with self._changed:
            while not self._is_due and (left := self._seconds_left()) != 0:
                self._changed.wait(left)
            if not self._items:
                return None
            first = self._items[0]
            if isinstance(first, Job):
                self._jobs -= 1
                self._items.popleft()
                return first
            group: list[Arrival] = []
            size = 0
            while self._items and size < GROUP_BYTES and isinstance(item := self._items[0], Arrival):
                size += len(item.request.body)
                group.append(item)
                self._items.popleft()
            self._bytes -= size
            return group

    @property
    def _is_due(self) -> bool:
        """Whether nothing is to be waited for."""
        return self._jobs > 0 or self._bytes >= GROUP_BYTES or self._is_closed

    def _seconds_left(self) -> float | None:
        """Until the group of the oldest request is due; None where there is none."""
        if self._items and isinstance(first := self._items[0], Arrival):
            return max(0.0, first.began + GROUP_SECONDS - time.perf_counter())
        return None
