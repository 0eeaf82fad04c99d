"""The work behind the way in: settle traces, derive five-minute signals, judge findings, compact, let old data go.

One thread reads and computes on a connection of its own and hands only the writes to the writer thread, so that a
long computation never delays an acknowledgement. Every job works in slices and yields to the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hosts_mcp.ingest.derived import Derived
from hosts_mcp.ingest.judging import Judge
from hosts_mcp.ingest.pipeline import Pipeline
from hosts_mcp.ingest.runs import runs_of
from hosts_mcp.otlp.transport import Busy
from hosts_mcp.settings import Settings
from hosts_mcp.store.protocol import FindingRow, Host, StoreBusy
from hosts_mcp.store.sqlite import Checkpointer, SqliteReader, SqliteWriter
from hosts_mcp.timerange import NS

log = logging.getLogger(__name__)
T = TypeVar("T")

QUIET_NS = 120 * NS
"""A trace without a new span for so long is settled; late spans unsettle it."""
TRACES_PER_SLICE = 200
BINS_PER_SLICE = 64
JUDGING_SECONDS = 0.02
"""CPU time of one slice of findings: many hosts that are calm, or one or two that are judged in whole."""


@dataclass(slots=True)
class _Job:
    name: str
    period_seconds: float
    work: Callable[[], bool]
    """One slice; True when more waits."""
    share: float = 1.0
    """Of a core at most: a job whose work grows with the number of hosts falls behind, not the acknowledgements."""
    derives: bool = False
    """Makes answers of stored data: `catch_up` waits for it."""
    due: float = 0.0


class Jobs:
    """`start`, `stop`, and `catch_up` for a caller that wants everything derived now."""

    def __init__(self, pipeline: Pipeline, reader: SqliteReader, settings: Settings) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._settings = settings
        self._derived = Derived(reader)
        self._judge = Judge(reader)
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._run = 0
        self._checkpoint_log: Checkpointer | None = None
        self._hours: list[tuple[int, int]] = []
        self._judging: Iterator[tuple[Host, Sequence[FindingRow]]] | None = None
        self._jobs = (
            _Job("heartbeat", 5.0, self._heartbeat),
            _Job("settle", 1.0, self._settle, derives=True),
            _Job("facts", 2.0, self._facts, derives=True),
            _Job("rollup", 2.0, self._rollup, share=0.25, derives=True),
            _Job("findings", 10.0, self._findings, share=0.1, derives=True),
            _Job("compact", 60.0, self._compact),
            _Job("retain", 30.0, self._retain),
            _Job("checkpoint", 1.0, self._checkpoint),
        )
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        self._run = self._write(lambda w: w.start_run(time.time_ns()))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        if self._checkpoint_log is not None:
            self._checkpoint_log.close()
        try:
            self._heartbeat()
        except Exception as error:  # a full disk must not keep the file from being closed
            log.warning("the last heartbeat could not be written: %s", error)

    def catch_up(self) -> None:
        """Run settling, facts, rollup and findings until nothing waits."""
        with self._turn:
            self._judging = None  # a pass under way would not see the hosts that just came
        for job in (job for job in self._jobs if job.derives):
            while not self._stopping.is_set() and self._slice(job):
                pass

    def _work(self) -> None:
        while not self._stopping.wait(0.25):
            for job in self._jobs:
                if time.monotonic() >= job.due and not self._stopping.is_set():
                    begun = time.thread_time()
                    more = self._slice(job)
                    rest = (time.thread_time() - begun) * (1 / job.share - 1)
                    job.due = time.monotonic() + max(rest, 0.05 if more else job.period_seconds)

    def _slice(self, job: _Job) -> bool:
        try:
            with self._turn:
                return job.work()
        except (Busy, StoreBusy) as error:
            log.info("%s waits: %s", job.name, error)
        except Exception:
            # One job that fails must not silence the others; the log says which and why.
            log.exception("the %s job failed", job.name)
        return False

    def _write(self, work: Callable[[SqliteWriter], T]) -> T:
        return self._pipeline.submit(work).result()

    # ---- the jobs ---------------------------------------------------------------------------------------------

    def _heartbeat(self) -> bool:
        now = time.time_ns()
        self._write(lambda w: w.heartbeat(self._run, now))
        return False

    def _settle(self) -> bool:
        now = time.time_ns()
        quiet = self._write(lambda w: w.quiet_traces(now, QUIET_NS, TRACES_PER_SLICE))
        settled = [(trace_id, runs_of(self._reader.trace(trace_id))) for trace_id in quiet]
        if settled:
            self._write(lambda w: [w.settle(trace_id, runs) for trace_id, runs in settled])
        return len(quiet) == TRACES_PER_SLICE

    def _facts(self) -> bool:
        changed = self._derived.facts()
        if changed:
            self._write(lambda _: self._pipeline.placer.amend(changed))
        return False

    def _rollup(self) -> bool:
        bins = self._write(lambda w: w.dirty_bins(BINS_PER_SLICE))
        done = self._derived.rollups(bins)
        if done:
            self._write(lambda w: [w.write_rollup(host_id, one) for host_id, rollups in done for one in rollups])
        return len(bins) == BINS_PER_SLICE

    def _findings(self) -> bool:
        if self._judging is None:
            self._judging = self._judge.findings(time.time_ns())
        begun = time.thread_time()
        for host, rows in self._judging:
            if rows:
                self._write(partial(SqliteWriter.write_findings, host_id=host.id, rows=rows))
            if time.thread_time() - begun > JUDGING_SECONDS:
                return True
        self._judging = None
        return False

    def _compact(self) -> bool:
        """One piece of one hour: computed here, put in place by the writer."""
        if not self._hours:
            self._hours = self._reader.compactable(time.time_ns())[::-1]
            return bool(self._hours)
        # Off the list while it is worked on: an hour that cannot be read must not keep the others from their turn.
        hour = self._hours.pop()
        piece = self._reader.piece(*hour)
        if piece is not None:
            self._write(lambda w: w.compact(piece))
            self._hours.append(hour)
        return True

    def _retain(self) -> bool:
        now, settings = time.time_ns(), self._settings
        return self._write(
            lambda w: w.retain(now, settings.retention_ns, settings.retention_long_ns, settings.max_size_bytes)
        )

    def _checkpoint(self) -> bool:
        if self._checkpoint_log is None:
            self._checkpoint_log = Checkpointer(self._settings.db)
        self._checkpoint_log()
        return False
