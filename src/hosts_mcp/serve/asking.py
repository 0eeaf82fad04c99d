"""Ask a question from an event loop: a bounded number of worker threads, a deadline, and the server's own notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from hosts_mcp.answers.base import Answer, Budget
from hosts_mcp.answers.collector_config import LOCAL, Target
from hosts_mcp.errors import HostsMcpError
from hosts_mcp.serve import turns
from hosts_mcp.serve.questions import Question
from hosts_mcp.store.protocol import Store

T = TypeVar("T")

WORKERS = 4
DEADLINE_SECONDS = 20.0
"""Well below the 60 s after which clients give up, well above the 2 s within which answers should come."""


class TooSlow(HostsMcpError):
    """The deadline passed; the caller should ask for less."""

    code = "too_slow"


class Desk:
    """Where MCP and REST bring their questions. `store` is called, since it exists only while the server runs."""

    def __init__(
        self,
        store: Callable[[], Store],
        notices: Callable[[], list[str]] = list,
        target: Callable[[], Target] = lambda: LOCAL,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.store = store
        self._notices = notices
        self._target = target
        self._deadline_seconds = deadline_seconds
        self._workers = anyio.CapacityLimiter(WORKERS)

    async def ask(self, question: Question, given: Mapping[str, Any], budget: Budget) -> Answer:
        """The answer, its notes completed by what was ignored and, on list_hosts, by what is wrong with the server.

        Raises HostsMcpError for everything that the caller can do something about.
        """
        arguments, notes = question.accept(given)

        def work() -> Answer:
            return question.ask(self.store(), arguments, now_ns=time.time_ns(), budget=budget, target=self._target())

        answer = await self.work(work, question.tool)
        if question.tool == "list_hosts":
            notes = [*notes, *self._notices()]
        return answer.model_copy(update={"notes": [*(answer.notes or ()), *notes]}) if notes else answer

    async def work(self, job: Callable[[], T], name: str) -> T:
        """`job()` in a worker thread. Raises TooSlow when the deadline passes first."""

        def taking_turns() -> T:
            with turns.short():
                return job()

        try:
            with anyio.fail_after(self._deadline_seconds):
                return await to_thread.run_sync(taking_turns, abandon_on_cancel=True, limiter=self._workers)
        except TimeoutError:
            raise TooSlow(
                f"{name} took longer than {self._deadline_seconds:.0f} s and was given up. "
                "Ask for a shorter range, one host, or fewer rows."
            ) from None
