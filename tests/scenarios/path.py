"""A scenario through the whole way: OTLP requests in, stored, settled and rolled up, and the tool's answer out."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hosts_mcp.answers.was_it_the_box import Verdict, answer
from hosts_mcp.store.protocol import Store
from in_process import InProcess
from scenarios.simulator import Machine, encode, scrapes, stamp, trace_request
from scenarios.story import Scenario, past_runs


def trace_id_of(s: Scenario, seed: int) -> bytes:
    return hashlib.sha256(f"{s.number}/{seed}".encode()).digest()[:16]


def asked_at(s: Scenario) -> int:
    return stamp(s.machines[0], s.end + s.asked_after) if s.machines else 0


def fill(box: InProcess, s: Scenario, seed: int) -> None:
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
    box = InProcess(path)
    try:
        fill(box, s, seed)
        return ask(box.reader, s, seed)
    finally:
        box.close()
