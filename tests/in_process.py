"""The way in and what the background jobs derive, in one thread and one process: for tests and benchmarks.

Nothing is measured or waited for by the clock; requests carry the time at which they count as arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from hosts_mcp.ingest.derived import Derived
from hosts_mcp.ingest.placing import Placer
from hosts_mcp.ingest.runs import runs_of
from hosts_mcp.otlp.decode import decode_metrics, decode_traces
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.store.protocol import Store
from hosts_mcp.store.sqlite import SqliteWriter, open_reader, open_writer

LATER = 10**15
"""So much later (ns) everything is settled and every bin is closed."""
PER_COMMIT = 500


class InProcess:
    """A store that takes requests one after the other, as the server does, without its threads."""

    def __init__(self, path: Path, synchronous: str = "off") -> None:
        self.writer: SqliteWriter = open_writer(path, synchronous=synchronous)
        self.reader: Store = open_reader(path)
        self.placer = Placer(self.writer)
        self.derived = Derived(self.reader)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def metrics(self, bodies: Iterable[tuple[int, bytes]]) -> None:
        """(arrival, request) pairs."""
        self.requests(Request(Signal.METRICS, body, "protobuf", "127.0.0.1", arrived) for arrived, body in bodies)

    def traces(self, bodies: Iterable[tuple[int, bytes]]) -> None:
        self.requests(Request(Signal.TRACES, body, "protobuf", "127.0.0.1", arrived) for arrived, body in bodies)

    def requests(self, requests: Iterable[Request]) -> None:
        waiting = iter(requests)
        while group := list(islice(waiting, PER_COMMIT)):
            self.writer.begin()
            for request in group:
                decode = decode_metrics if request.signal is Signal.METRICS else decode_traces
                self.placer.place(request, decode(request.body, request.encoding))
            self.placer.flush()
            self.writer.commit()

    def derive(self, now: int) -> None:
        """What the background jobs do: facts of hosts, settled traces into runs, samples into five-minute signals."""
        self.writer.begin()
        self.placer.amend(self.derived.facts())
        while quiet := self.writer.quiet_traces(now + LATER, 0, PER_COMMIT):
            for trace_id in quiet:
                self.writer.settle(trace_id, runs_of(self.reader.trace(trace_id)))
            self.writer.commit()
            self.writer.begin()
        while bins := self.writer.dirty_bins(100_000, now + LATER):
            for host_id, rollups in self.derived.rollups(bins):
                for rollup in rollups:
                    self.writer.write_rollup(host_id, rollup)
            self.writer.commit()
            self.writer.begin()
        self.writer.commit()
