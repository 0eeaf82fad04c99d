"""Live, stale or down: how long a host has been silent, measured against its own reporting interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hosts_mcp.store.protocol import Host
from hosts_mcp.text import human_seconds
from hosts_mcp.timerange import NS

Word = Literal["live", "stale", "down"]

LIVE_SECONDS, LIVE_INTERVALS = 60.0, 2.5
STALE_SECONDS, STALE_INTERVALS = 300.0, 5.0
GRACE_SECONDS, GRACE_INTERVALS = 120.0, 2.5
BACKLOG_SECONDS = 30.0
USUAL_INTERVAL_SECONDS = 60.0
"""The hostmetrics receiver's own default; assumed of a host whose interval is not known yet, so that it does not
flap between its first two reports."""


@dataclass(frozen=True, slots=True)
class Status:
    word: Word
    age_seconds: float
    """Since the newest fresh report arrived here."""
    interval_seconds: float | None
    limit_seconds: float
    """That the age kept or crossed."""
    listened_seconds: float | None = None
    """Since our own start, while that is what keeps the word as it was for `limit_seconds`."""

    @property
    def reason(self) -> str:
        """One clause: how old the newest report is and which limit that means. Made only when somebody reads it."""
        if self.listened_seconds is not None:
            return (
                f"no report since this server began listening {human_seconds(round(self.listened_seconds, 1))} ago; "
                f"judged from {human_seconds(self.limit_seconds)} on"
            )
        every = self.interval_seconds
        reports = f"it reports every {human_seconds(every)}" if every else "its interval is not known yet"
        age, bound = human_seconds(round(self.age_seconds, 1)), "within" if self.word == "live" else "more than"
        return f"last report {age} ago, {bound} {human_seconds(self.limit_seconds)}; {reports}"


def status(
    host: Host, now_ns: int, *, listening_since_ns: int | None = None, stopped_listening_ns: int | None = None
) -> Status:
    """live: age <= max(60 s, 2.5 intervals); stale: age <= max(300 s, 5 intervals); else down.

    `listening_since_ns` is when this server began to listen: until max(120 s, 2.5 intervals) later a host keeps the
    word it had when the server before it stopped (`stopped_listening_ns`; live when that is not known).
    """
    age = max(0.0, (now_ns - host.last_arrived_ns) / NS)
    interval = host.interval_ns / NS if host.interval_ns else None
    word, limit = _judge(age, interval)
    if word != "live" and listening_since_ns is not None and host.last_arrived_ns < listening_since_ns:
        listened = (now_ns - listening_since_ns) / NS
        grace = max(GRACE_SECONDS, GRACE_INTERVALS * (interval or USUAL_INTERVAL_SECONDS))
        if 0 <= listened < grace:
            age_then = (stopped_listening_ns - host.last_arrived_ns) / NS if stopped_listening_ns is not None else 0.0
            kept = min((_judge(age_then, interval)[0], word), key=("live", "stale", "down").index)
            return Status(kept, age, interval, grace, listened)
    return Status(word, age, interval, limit)


def fresh(lag_ns: int, *, usual_lag_ns: int | None, interval_ns: int | None) -> bool:
    """Whether points that arrived `lag_ns` after their own time show that the host is alive now.

    A collector that was cut off sends its backlog later; such points lag behind the host's usual lag (its smallest
    of the last hour) by more than max(30 s, one interval) and revive nobody.
    """
    if usual_lag_ns is None:
        return True
    return lag_ns - usual_lag_ns <= max(round(BACKLOG_SECONDS * NS), interval_ns or 0)


def _judge(age: float, interval: float | None) -> tuple[Word, float]:
    """The word and the limit (seconds) that was kept or crossed."""
    spacing = interval or USUAL_INTERVAL_SECONDS
    live, stale = max(LIVE_SECONDS, LIVE_INTERVALS * spacing), max(STALE_SECONDS, STALE_INTERVALS * spacing)
    if age <= live:
        return "live", live
    return ("stale", live) if age <= stale else ("down", stale)
