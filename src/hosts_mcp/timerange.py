"""Times as people and models write them, made into UTC nanoseconds.

Accepted instants: `now`, `now-2h`, `-15m` (before now), ISO 8601 (`2026-03-01T02:00Z`, a date alone is its midnight;
without zone it is UTC), epoch seconds, milliseconds, microseconds or nanoseconds (told apart by size).
Accepted ranges: a duration that ends now (`15m`, `7d`), `START..END`, `START/END`, or one instant (until now).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from hosts_mcp.errors import BadRange

NS = 1_000_000_000
DAY_NS = 86_400 * NS
_UNITS = {"ms": 1e-3, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|sec|min|[smhdw])\s*)+", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|sec|min|[smhdw])", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LATEST_NS = 2**63  # what an int64 of nanoseconds holds
FORMS = "15m, 2h, 7d (ending now), now-2h, 2026-03-01T02:00Z, epoch seconds, or START..END, for example now-3h..now-1h"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open [start_ns, end_ns) in UTC nanoseconds."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / NS

    def __str__(self) -> str:
        return f"{iso(self.start_ns)}..{iso(self.end_ns)}"


def parse_duration(text: str) -> int:
    """`1h30m` -> nanoseconds. Raises BadRange."""
    text = text.strip()
    if not _DURATION.fullmatch(text):
        raise BadRange(f"{text!r} is no duration. Write for example 90s, 15m, 2h, 7d or 1h30m.")
    seconds = sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
    return round(seconds * NS)


def parse_instant(text: str, now_ns: int) -> int:
    """One point in time -> UTC nanoseconds, from 1970 to 2262. Raises BadRange."""
    instant = _instant(text.strip(), now_ns)
    if not 0 <= instant < _LATEST_NS:
        raise BadRange(f"{text.strip()[:40]!r} is outside 1970 to 2262. Accepted: {FORMS}.")
    return instant


def _instant(text: str, now_ns: int) -> int:
    lowered = text.lower()
    if lowered in ("", "now"):
        return now_ns
    if lowered.startswith("now") and lowered[3:].strip()[:1] in "+-":
        offset = lowered[3:].strip()
        return now_ns + (1 if offset[0] == "+" else -1) * parse_duration(offset[1:])
    if text.startswith("-") and _DURATION.fullmatch(text[1:].strip()):
        return now_ns - parse_duration(text[1:])
    if _NUMBER.fullmatch(text):
        return _epoch(text)
    try:
        moment = datetime.fromisoformat(text.replace(" ", "T", 1) if "T" not in text else text)
    except ValueError:
        raise BadRange(f"{text[:40]!r} is no time. Accepted: {FORMS}.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000) * 1000


def parse_range(text: str, now_ns: int) -> TimeRange:
    """A range of time -> TimeRange. Raises BadRange for an unknown form or an end that is not after its start."""
    text = text.strip()
    for separator in ("..", "/"):
        if separator in text:
            left, _, right = text.partition(separator)
            found = TimeRange(parse_instant(left, now_ns), parse_instant(right, now_ns))
            break
    else:
        if _DURATION.fullmatch(text):
            found = TimeRange(max(0, now_ns - parse_duration(text)), now_ns)
        else:
            found = TimeRange(parse_instant(text, now_ns), now_ns)
    if found.end_ns <= found.start_ns:
        raise BadRange(f"The range {text!r} ends ({iso(found.end_ns)}) before it starts ({iso(found.start_ns)}).")
    return found


def _epoch(text: str) -> int:
    number = min(float(text), float(_LATEST_NS))
    for limit, factor in ((1e11, NS), (1e14, 1_000_000), (1e17, 1_000)):
        if number < limit:
            return round(number * factor)
    return round(number) if "." in text or number >= _LATEST_NS else int(text)


def iso(ns: int) -> str:
    """UTC nanoseconds -> `2026-03-01T02:00:00Z`, with milliseconds only when there are any."""
    seconds, rest = divmod(ns, NS)
    moment = datetime.fromtimestamp(seconds, UTC)
    milliseconds = rest // 1_000_000
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{milliseconds:03d}Z" if milliseconds else "Z")
