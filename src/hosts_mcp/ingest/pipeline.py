"""From an inflated request to its acknowledgement: one writer thread, commits in groups, nothing acknowledged before.

Every write of the process happens in this thread: requests, jobs, forget and import. A request is decoded, placed and
written inside a savepoint, so that one bad request never takes its neighbours with it; the group is committed once
and then everybody in it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from typing import Any, Protocol, TypeVar

from xxhash import xxh3_128_digest

from hosts_mcp.ingest.inbox import Arrival, Inbox, Job
from hosts_mcp.ingest.placing import Placer
from hosts_mcp.otlp.decode import decode_logs, decode_metrics, decode_traces
from hosts_mcp.otlp.transport import Busy, Reply, Request, Signal, Undecodable
from hosts_mcp.store.protocol import StoreBusy
from hosts_mcp.store.sqlite import SqliteWriter

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class Stored:
    """What requests brought that are stored."""

    requests: int = 0
    retries: int = 0
    points: int = 0
    spans: int = 0
    logs: int = 0
    walked: int = 0
    """Points that the fast decoder handed to the ordinary walk."""
    walked_because: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    bytes: int = 0

    def add(self, other: Stored) -> None:
        for one in fields(Stored):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(slots=True)
class Counters(Stored):
    """What went through since start. Read from any thread; written by the writer thread only."""

    commits: int = 0
    failed_commits: int = 0
    undecodable: int = 0
    defects: int = 0
    commit_seconds: float = 0.0
    ack_seconds: float = 0.0
    """From the queue to the commit, over all requests."""
    commit_lag_seconds: float | None = None
    """Age of the oldest request of the last commit."""


class _Decode(Protocol):
    def __call__(self, body: bytes, encoding: Any) -> Any: ...


_DECODERS: dict[Signal, _Decode] = {
    Signal.METRICS: decode_metrics,
    Signal.TRACES: decode_traces,
    Signal.LOGS: decode_logs,
}


_SEEDS = {signal: seed for seed, signal in enumerate(Signal)}
"""The bytes of one signal's request may be another's too."""


class Pipeline:
    """Owns the writer. `start` and `stop` from anywhere; `accept` and `run` from any event loop."""

    def __init__(self, open_writer: Callable[[], SqliteWriter]) -> None:
        self._open_writer = open_writer
        self._inbox = Inbox()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._opened: Future[None] = Future()
        self._is_torn = False
        """The caches may know of rows that were rolled back."""
        self.counters = Counters()
        self.refusing: str | None = None
        """Why the last commit failed (disk full, file locked …); None while commits succeed."""

    @property
    def queued(self) -> int:
        """Requests and jobs that wait for the writer thread."""
        return len(self._inbox)

    def start(self) -> None:
        """Open the file and begin. Raises what opening raised."""
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Commit what is queued, close the file, end the thread."""
        self._inbox.close()
        self._thread.join()

    def accept(self, request: Request) -> asyncio.Future[Reply]:
        """Store one request; the future, of the running event loop, is done once it is committed. It may raise
        Undecodable or Busy. A sender that hangs up may cancel it: what is being committed stays committed."""
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if not self._inbox.put(Arrival(request, done, time.perf_counter())):
            done.set_exception(Busy("The server is stopping."))
        return done

    def submit(self, work: Callable[[SqliteWriter], T], *, forgets: bool = False) -> Future[T]:
        """Run a job in the writer thread, inside a transaction of its own. `forgets`: it may remove hosts."""
        job = Job(work, Future(), forgets)
        if not self._inbox.put(job):
            job.done.set_exception(Busy("The server is stopping."))
        return job.done

    # ---- the writer thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._writer = self._open_writer()
            self.placer = Placer(self._writer)
        except BaseException as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        while (taken := self._inbox.take()) is not None:
            if isinstance(taken, Job):
                self._run_job(taken)
            else:
                self._commit_group(taken)
            del taken  # what is stored or refused must not stay in memory until something else comes
        self._writer.close()

    def _commit_group(self, group: list[Arrival]) -> None:
        began = time.perf_counter()
        answers: list[Reply | Undecodable] = []
        stored = Stored()
        try:
            self._begin()
            for arrival in group:
                answers.append(self._store(arrival.request, stored))  # noqa: PERF401 - those before a failure are kept
            self.placer.flush()
            self._writer.commit()
        except Exception as error:
            self._failed(len(group), error)
            _answer((arrival.done, self._instead(answer)) for arrival, answer in zip_longest(group, answers))
            return
        self.refusing = None
        now = time.perf_counter()
        self.counters.add(stored)
        self.counters.commits += 1
        self.counters.commit_seconds += now - began
        self.counters.ack_seconds += sum(now - arrival.began for arrival in group)
        self.counters.commit_lag_seconds = round(now - group[0].began, 6)
        _answer((arrival.done, answer) for arrival, answer in zip(group, answers, strict=True))

    def _instead(self, answer: Reply | Undecodable | None) -> Busy | Undecodable:
        """What a sender is told when nothing of the group is stored: to keep its data, unless that was refused."""
        if isinstance(answer, Undecodable):
            return answer
        return Busy(f"The database refuses writes: {self.refusing}", retry_after_seconds=2.0)

    def _store(self, request: Request, count: Stored) -> Reply | Undecodable:
        """One request inside the group's transaction: its acknowledgement, or why it is refused. What it brings is
        added to `count`, which counts once the group is committed."""
        try:
            batch = _DECODERS[request.signal](request.body, request.encoding)
        except Undecodable as error:
            self.counters.undecodable += 1
            return Undecodable(str(error))  # without a traceback, which would keep the body
        except Exception as error:
            return self._defect(request, error)
        # No secret hash: whoever makes two requests collide loses one of their own.
        digest = xxh3_128_digest(request.body, _SEEDS[request.signal])
        self._writer.savepoint()
        try:
            if not self._writer.first_time(digest, request.arrived_ns):
                count.retries += 1
                return Reply()
            reply = self.placer.place(request, batch)
        except StoreBusy:
            raise
        except Exception as error:
            self._writer.undo()
            self.placer.undo()
            return self._defect(request, error)
        count.requests += 1
        count.bytes += len(request.body)
        count.rejected += reply.rejected
        _count_items(count, batch)
        return reply

    def _defect(self, request: Request, error: Exception) -> Undecodable:
        """A defect of ours. Refusing for good keeps a poisonous request from being retried for ever."""
        log.error("a %s request of %d bytes could not be stored", request.signal, len(request.body), exc_info=error)
        self.counters.defects += 1
        return Undecodable("The server could not store this request; its log says why.")

    def _failed(self, requests: int, error: Exception) -> None:
        """The group's transaction failed: nothing of it is stored."""
        self.counters.failed_commits += 1
        self.refusing = str(error) or type(error).__name__
        log.error("commit failed, asking %d senders to retry: %s", requests, self.refusing)
        self._restore()

    def _begin(self) -> None:
        if self._is_torn:
            self.placer.reset()
            self._is_torn = False
        self._writer.begin()

    def _restore(self) -> None:
        """After a failure the transaction is void, and the caches with it. What the file does not give now is read
        before the next one: this thread must live, or everybody would wait for ever."""
        self._is_torn = True
        try:
            self._writer.rollback()
            self.placer.reset()
            self._is_torn = False
        except Exception:
            log.exception("rolling back failed")

    def _run_job(self, job: Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            self._begin()
            result = job.work(self._writer)
            self._writer.commit()
        except Exception as error:
            self._restore()
            job.done.set_exception(error)
            return
        if job.forgets:
            self.placer.reset()
        job.done.set_result(result)


def _count_items(count: Stored, batch: Any) -> None:
    if hasattr(batch, "groups"):
        count.points += batch.points
        count.walked += batch.walked.total()
        count.walked_because += batch.walked
    elif hasattr(batch, "spans"):
        count.spans += len(batch.spans)
    else:
        count.logs += len(batch.records)


def _answer(answers: Iterable[tuple[asyncio.Future[Reply], Reply | Exception]]) -> None:
    """Every sender its answer, in the event loop it waits in, which is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Reply], Reply | Exception]]] = defaultdict(list)
    for done, answer in answers:
        by_loop[done.get_loop()].append((done, answer))
    for loop, own in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, own)


def _settle(answers: Iterable[tuple[asyncio.Future[Reply], Reply | Exception]]) -> None:
    for done, answer in answers:
        if done.done():
            continue  # its sender has hung up
        if isinstance(answer, Exception):
            done.set_exception(answer)
        else:
            done.set_result(answer)
