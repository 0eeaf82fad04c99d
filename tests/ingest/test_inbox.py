"""Claims about what the writer thread takes, and when."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from hosts_mcp.ingest import inbox
from hosts_mcp.ingest.inbox import Arrival, Inbox, Job
from hosts_mcp.otlp.transport import Request, Signal

LONG = 30.0
"""Seconds that no test would wait for a group."""


def arrival(size: int = 10) -> Arrival:
    done: Any = asyncio.new_event_loop().create_future()
    done.get_loop().close()
    return Arrival(Request(Signal.METRICS, b"x" * size, "protobuf", "", 0), done, time.perf_counter())


def job() -> Job:
    return Job(lambda _: None, Future(), forgets=False)


def test_what_comes_in_time_is_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "GROUP_SECONDS", 0.3)
    box, sent = Inbox(), [arrival() for _ in range(3)]
    later = threading.Timer(0.05, lambda: [box.put(one) for one in sent[1:]])
    later.start()
    box.put(sent[0])
    assert box.take() == sent
    assert time.perf_counter() - sent[0].began >= 0.3
    assert len(box) == 0


@pytest.mark.parametrize("what", ["a job", "many bytes", "the end"])
def test_nobody_waits_for_company_any_longer_when_there_is(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "GROUP_SECONDS", LONG)
    monkeypatch.setattr(inbox, "GROUP_BYTES", 1000)
    box, first, more = Inbox(), arrival(), arrival(1000)
    come = {"a job": lambda: box.put(job()), "many bytes": lambda: box.put(more), "the end": box.close}[what]
    box.put(first)
    threading.Timer(0.05, come).start()
    assert box.take() == ([first, more] if what == "many bytes" else [first])
    assert time.perf_counter() - first.began < LONG / 2


def test_jobs_and_requests_keep_their_order_and_groups_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "GROUP_BYTES", 1000)
    box, items = Inbox(), [arrival(), arrival(600), job(), arrival(600), arrival(600), arrival(), job()]
    for one in items:
        box.put(one)
    box.close()
    assert not box.put(arrival())
    assert [box.take() for _ in range(6)] == [items[:2], items[2], items[3:5], items[5:6], items[6], None]
