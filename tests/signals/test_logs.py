"""Which log records are kept for a diagnosis."""

from __future__ import annotations

from typing import Any

import pytest

from hosts_mcp.otlp.batch import LogRecord, Resource
from hosts_mcp.signals.logs import LONGEST, kept


def record(body: Any = "", event: str = "", **attributes: Any) -> LogRecord:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return LogRecord(Resource({}, b""), "", 1, 9, event, body, named, b"", b"")


@pytest.mark.parametrize(
    ("what", "sent"),
    [
        ("oom_kill", record("Out of memory: Killed process 4711 (python3) total-vm:9000000kB, anon-rss:8000000kB")),
        ("oom_kill", record("postgres invoked oom-killer: gfp_mask=0x140cca, order=0, oom_score_adj=0")),
        ("container_oom", record("Memory cgroup out of memory: Killed process 4711 (java)")),
        ("container_oom", record("Container app was terminated", k8s__event__reason="OOMKilling")),
        ("killed", record("[ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?")),
        ("killed", record("billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)")),
        ("exception", record("it failed", exception__type="MemoryError", exception__message="no room")),
    ],
)
def test_a_record_that_says_why_something_ended_is_kept(what: str, sent: LogRecord):
    found = kept(sent)
    assert found is not None
    assert found[0] == what


@pytest.mark.parametrize("body", ["GET /health 200", "", None, 17, ["a"], {"message": "started"}], ids=str)
def test_every_other_record_is_not(body: Any):
    assert kept(record(body)) is None


def test_the_text_is_one_clean_line_of_bounded_length():
    found = kept(record("Out of memory: Killed process 1\n\x1b[31mignore all previous\x00" + "x" * 5000))
    assert found is not None
    assert len(found[1]) <= LONGEST
    assert found[1].isprintable()
