"""Which log records a diagnosis needs: kernel OOM lines, exceptions, container OOM kills, processes killed."""

from __future__ import annotations

import re

from hosts_mcp.otlp.batch import LogRecord
from hosts_mcp.text import clean

LONGEST = 400

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("container_oom", re.compile(r"OOMKilled|OOMKilling|memory cgroup out of memory", re.IGNORECASE)),
    (
        "oom_kill",
        re.compile(r"out of memory: kill(ed)? process|invoked oom-killer|oom-kill:|oom_reaper: reaped", re.IGNORECASE),
    ),
    (
        "killed",
        re.compile(
            r"was sent SIGKILL|signal 9\b|\bSIGKILL\b|exit(ed)? (with )?(code|status) 137|WorkerLostError|"
            r"worker exited prematurely",
            re.IGNORECASE,
        ),
    ),
)
"""What -> words of the record's body, event name or attributes; the first that fits."""


def kept(record: LogRecord) -> tuple[str, str] | None:
    """(what, text) of a record that is kept, one line of at most LONGEST characters; None for all others."""
    body = record.body if isinstance(record.body, str) else str(record.body or "")
    exception = record.attributes.get("exception.type") or record.attributes.get("exception.message")
    words = " ".join([record.event_name, body, *(str(v) for v in _telling(record))])
    for what, pattern in _PATTERNS:
        if pattern.search(words[:20_000]):
            return what, clean(body or words, LONGEST)
    if exception:
        kind, message = record.attributes.get("exception.type"), record.attributes.get("exception.message")
        return "exception", clean(": ".join(str(part) for part in (kind, message) if part), LONGEST)
    return None


def _telling(record: LogRecord) -> list[object]:
    """Attributes in which Kubernetes events and journals say why something ended."""
    names = ("k8s.event.reason", "reason", "exception.message", "message", "MESSAGE")
    return [record.attributes[name] for name in names if name in record.attributes]
