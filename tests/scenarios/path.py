"""A scenario through the whole way: OTLP requests in, stored, settled and rolled up, and the tool's answer out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from hosts_mcp.answers.was_it_the_box import Verdict, answer
from hosts_mcp.ingest.derived import Derived
from hosts_mcp.ingest.placing import Placer
from hosts_mcp.ingest.runs import runs_of
from hosts_mcp.otlp.decode import decode_metrics, decode_traces
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.store.protocol import Store
from hosts_mcp.store.sqlite import SqliteWriter, open_reader, open_writer
from scenarios.simulator import Machine, encode, scrapes, stamp, trace_request
from scenarios.story import Scenario, past_runs

LATER = 10**15
"""So much later (ns) everything is settled and every bin is closed."""
PER_COMMIT = 500


class Box:
    """A store that takes requests one after the other, as the server does, without its threads."""

    def __init__(self, path: Path) -> None:
        self.writer: SqliteWriter = open_writer(path, synchronous="off")
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


def trace_id_of(s: Scenario, seed: int) -> bytes:
    return hashlib.sha256(f"{s.number}/{seed}".encode()).digest()[:16]


def asked_at(s: Scenario) -> int:
    return stamp(s.machines[0], s.end + s.asked_after) if s.machines else 0


def fill(box: Box, s: Scenario, seed: int) -> None:
    machines = {m.name: m for m in s.machines}
    duration = s.end - s.start
    for m in s.machines:
        detail = s.start - max(3600.0, 3 * duration, 10 * m.interval) - 3 * m.interval
        until = s.end + min(s.asked_after, 10 * m.interval)
        box.metrics(
            (stamp(m, x.t), encode(x)) for x in scrapes(m, detail - s.history_days * 86_400.0, detail, until, seed)
        )
    sent = []
    for n, run in enumerate(past_runs(s, seed)):
        trace_id = hashlib.sha256(f"{s.number}/{seed}/{n}".encode()).digest()[:16]
        sent.append(trace_request(run.pieces, run.start, trace_id, machines, s.resource))
    sent.append(trace_request(s.pieces, s.start, trace_id_of(s, seed), machines, s.resource))
    now = asked_at(s)
    box.traces((now, body) for body in sent)
    box.derive(now)


def ask(store: Store, s: Scenario, seed: int, **more: str) -> Verdict:
    """The tool's answer to the scenario's question."""
    if s.asks is None:
        return answer(store, trace_id_of(s, seed).hex(), now_ns=asked_at(s), **more)
    what, name = s.asks
    clock = s.machines[0] if s.machines else Machine()
    at = stamp(clock, s.end if s.asks_at is None else s.asks_at)
    return answer(store, **{what: name}, at=str(at), now_ns=asked_at(s), **more)


def judged(path: Path, s: Scenario, seed: int) -> Verdict:
    box = Box(path)
    try:
        fill(box, s, seed)
        return ask(box.reader, s, seed)
    finally:
        box.close()
