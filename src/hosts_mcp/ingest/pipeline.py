"""From an inflated request to its acknowledgement: one writer thread, commits in groups, nothing acknowledged before.

Every write of the process happens in this thread: requests, jobs, forget and import. A request is decoded, placed and
written inside a savepoint, so that one bad request never takes its neighbours with it; the group is committed once
and then everybody in it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from hosts_mcp.ingest.placing import Placer
from hosts_mcp.otlp.decode import decode_logs, decode_metrics, decode_traces
from hosts_mcp.otlp.transport import Busy, Reply, Request, Signal, Undecodable
from hosts_mcp.store.protocol import StoreBusy
from hosts_mcp.store.sqlite import SqliteWriter

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP_SECONDS = 0.020
"""How long the first request of a group waits for company before the commit."""
GROUP_BYTES = 8 * 1024 * 1024
"""A group of this size is committed at once."""


@dataclass(slots=True)
class _Arrival:
    request: Request
    done: Future[Reply]
    began: float
    """`time.perf_counter` when it was queued."""


@dataclass(slots=True)
class _Job:
    work: Callable[[SqliteWriter], Any]
    done: Future[Any]
    forgets: bool


@dataclass(slots=True)
class Counters:
    """What went through since start. Read from any thread; written by the writer thread only."""

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


class Pipeline:
    """Owns the writer. `start` and `stop` from anywhere; `accept` and `run` from any event loop."""

    def __init__(self, open_writer: Callable[[], SqliteWriter]) -> None:
        self._open_writer = open_writer
        self._queue: queue.SimpleQueue[_Arrival | _Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._opened: Future[None] = Future()
        self._stopping = False
        self.counters = Counters()
        self.refusing: str | None = None
        """Why the last commit failed (disk full, file locked …); None while commits succeed."""

    @property
    def queued(self) -> int:
        """Requests and jobs that wait for the writer thread."""
        return self._queue.qsize()

    def start(self) -> None:
        """Open the file and begin. Raises what opening raised."""
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Commit what is queued, close the file, end the thread."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join()

    async def accept(self, request: Request) -> Reply:
        """Store one request and return once it is committed. Raises Undecodable or Busy."""
        if self._stopping:
            raise Busy("The server is stopping.")
        # Shielded: a sender that hangs up must not unmake the answer of what is being committed.
        return await asyncio.shield(self._queued(request))

    def _queued(self, request: Request) -> asyncio.Future[Reply]:
        """Apart from `accept`, where a refusal's traceback would keep the arrival, its body and the refusal itself
        in a cycle: refused bodies filled memory until the collector of cycles came."""
        arrival = _Arrival(request, Future(), time.perf_counter())
        self._queue.put(arrival)
        return asyncio.wrap_future(arrival.done)

    def submit(self, work: Callable[[SqliteWriter], T], *, forgets: bool = False) -> Future[T]:
        """Run a job in the writer thread, inside a transaction of its own. `forgets`: it may remove hosts."""
        job = _Job(work, Future(), forgets)
        if self._stopping:
            job.done.set_exception(Busy("The server is stopping."))
        else:
            self._queue.put(job)
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
        running = True
        while running:
            item = self._queue.get()
            if isinstance(item, _Arrival):
                item = self._commit_group(self._gather(item))
            if isinstance(item, _Job):
                self._run_job(item)
            elif item is None:
                running = not self._stopping
        self._refuse_rest()
        self._writer.close()

    def _gather(self, first: _Arrival) -> tuple[list[_Arrival], _Job | None]:
        """Further requests that come within GROUP_SECONDS; a job ends the group and runs after it."""
        group, size = [first], len(first.request.body)
        deadline = time.monotonic() + GROUP_SECONDS
        while size < GROUP_BYTES:
            wait = deadline - time.monotonic()
            try:
                item = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None or isinstance(item, _Job):
                if item is None:
                    self._queue.put(None)
                    break
                return group, item
            group.append(item)
            size += len(item.request.body)
        return group, None

    def _commit_group(self, gathered: tuple[list[_Arrival], _Job | None]) -> _Job | None:
        group, job = gathered
        began = time.perf_counter()
        try:
            self._writer.begin()
            stored = ((arrival, self._store(arrival)) for arrival in group)
            answers = [(arrival, reply) for arrival, reply in stored if reply is not None]
            self.placer.flush()
            self._writer.commit()
        except Exception as error:
            self._fail(group, error)
            return job
        self.refusing = None
        now = time.perf_counter()
        self.counters.commits += 1
        self.counters.commit_seconds += now - began
        self.counters.ack_seconds += sum(now - arrival.began for arrival in group)
        self.counters.commit_lag_seconds = round(now - group[0].began, 6)
        for arrival, reply in answers:
            _answer(arrival.done, reply)
        return job

    def _store(self, arrival: _Arrival) -> Reply | None:
        """One request inside the group's transaction; None when it was refused and already answered."""
        request, count = arrival.request, self.counters
        try:
            batch = _DECODERS[request.signal](request.body, request.encoding)
        except Undecodable as error:
            count.undecodable += 1
            _fail(arrival.done, Undecodable(str(error)))  # without a traceback, for the same reason
            return None
        except Exception as error:
            self._defect(arrival, error)
            return None
        digest = blake2b(request.body, digest_size=16, key=request.signal.encode()).digest()
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
            self._defect(arrival, error)
            return None
        count.requests += 1
        count.bytes += len(request.body)
        count.rejected += reply.rejected
        _count_items(count, batch)
        return reply

    def _defect(self, arrival: _Arrival, error: Exception) -> None:
        """A defect of ours. Refusing for good keeps a poisonous request from being retried for ever."""
        request = arrival.request
        log.error("a %s request of %d bytes could not be stored", request.signal, len(request.body), exc_info=error)
        self.counters.defects += 1
        _fail(arrival.done, Undecodable("The server could not store this request; its log says why."))

    def _fail(self, group: list[_Arrival], error: Exception) -> None:
        """The group's transaction failed: nothing of it is stored, every sender keeps its data and retries."""
        self.counters.failed_commits += 1
        self.refusing = str(error) or type(error).__name__
        log.error("commit failed, asking %d senders to retry: %s", len(group), self.refusing)
        try:
            self._writer.rollback()
        except Exception:
            log.exception("rollback failed")
        self.placer.reset()
        for arrival in group:
            _fail(arrival.done, Busy(f"The database refuses writes: {self.refusing}", retry_after_seconds=2.0))

    def _run_job(self, job: _Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            self._writer.begin()
            result = job.work(self._writer)
            self._writer.commit()
        except Exception as error:
            self._writer.rollback()
            self.placer.reset()
            job.done.set_exception(error)
            return
        if job.forgets:
            self.placer.reset()
        job.done.set_result(result)

    def _refuse_rest(self) -> None:
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                _fail(item.done, Busy("The server is stopping."))


def _count_items(count: Counters, batch: Any) -> None:
    if hasattr(batch, "groups"):
        count.points += batch.points
        count.walked += batch.walked.total()
        count.walked_because += batch.walked
    elif hasattr(batch, "spans"):
        count.spans += len(batch.spans)
    else:
        count.logs += len(batch.records)


def _answer(future: Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
