"""What every answer has in common: the model's base, the byte budget of a face, and how rows are made to fit it.

An answer goes out in two channels, text and structured; a client may show only one of them, so each is complete, and
both hold the same rows. Sizes are bytes of UTF-8, measured on what is really sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.text import clean, human_bytes, human_ratio, human_seconds, significant
from hosts_mcp.timerange import NS, iso


class Answer(BaseModel):
    """Base of every result model. A subclass gives each optional field a default (None is left out when sent)."""

    model_config = ConfigDict(extra="forbid")

    summary: str = Field(description="the answer in one sentence")
    notes: list[str] | None = Field(default=None, description="what was ignored, cut or missing")

    def to_text(self) -> str:
        """The whole answer as text, for a terminal or a model that sees no structured part."""
        return "\n".join([self.summary, *self.note_lines()])

    def structured(self) -> dict[str, Any]:
        """The whole answer as JSON values: None left out, a number that is not finite as null."""
        return dict(finite(self.model_dump(mode="json", exclude_none=True)))

    def note_lines(self) -> list[str]:
        return [f"Note: {note}" for note in self.notes or ()]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of an answer a face can carry. Rows and points are upper limits; bytes usually end a list first."""

    text_bytes: int
    structured_bytes: int
    rows: int
    points: int
    """Points of a series that an answer shows unless the caller asks for another number."""

    def times(self, factor: float) -> Budget:
        """The same proportions, more or less room: `times(2)` is the room of `detail="full"`."""
        return Budget(round(self.text_bytes * factor), round(self.structured_bytes * factor), self.rows, self.points)

    def holds(self, answer: Answer) -> bool:
        return self.share(answer) <= 1

    def share(self, answer: Answer) -> float:
        """How much of the room the fuller channel takes: 1 is all of it."""
        return max(
            len(answer.to_text().encode()) / self.text_bytes,
            len(compact_json(answer.structured()).encode()) / self.structured_bytes,
        )


MCP_BUDGET = Budget(text_bytes=6_000, structured_bytes=6_000, rows=500, points=12)
"""A default answer in a model's context; twice that (24,000 bytes in both channels) is the ceiling of any answer."""

REST_BUDGET = Budget(text_bytes=1_000_000, structured_bytes=1_000_000, rows=5_000, points=500)
UNLIMITED = Budget(text_bytes=2**62, structured_bytes=2**62, rows=2**31, points=2**31)

LONGEST_ARGUMENT = 600

A = TypeVar("A", bound=Answer)


_FEW = 40
"""Rows that are built in any case; no budget of a tool holds many more."""


def fit(build: Callable[[int], A], rows: int, budget: Budget) -> A:
    """`build(n)` with the largest n <= rows whose two channels both keep the budget; `build(0)` when none does.

    `build(n)` is the finished answer with n rows, its "… N more" and cursor included, so that nothing is estimated.
    It must not shrink as n grows, except at n == rows, where those remarks go.
    """
    rows = min(rows, budget.rows)
    low, high, best = 0, rows, None
    step = _FEW
    while step < rows and high == rows:
        # Far more rows than fit are never built.
        if budget.holds(candidate := build(step)):
            low, best = step, candidate
        else:
            high = step
        step *= 4
    most = budget.share(whole := build(high))
    if most <= 1:
        return whole
    best = best or build(0)
    # Rows are of about one size: the budget ends near where a straight line says, and is looked for from there.
    least = budget.share(best)
    guess, step = low + int((high - low) * max(0.0, 1 - least) / max(most - least, 1e-9)), 1
    while high - low > 1:
        at = guess if low < guess < high else (low + high) // 2
        if budget.holds(candidate := build(at)):
            low, best, guess = at, candidate, at + step
        else:
            high, guess = at, at - step
        step *= 2
    return best


def finite(value: Any) -> Any:
    """NaN and infinities, which JSON cannot say, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return value


def compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def call(tool: str, **arguments: Any) -> str:
    """The next call as somebody would write it: `host_status(host="web-1", at="now-2h")`; empty arguments left out."""
    given = {name: value for name, value in arguments.items() if value not in (None, "")}
    return f"{tool}({', '.join(f'{name}={_literal(value)}' for name, value in given.items())})"


def _literal(value: Any) -> str:
    return (
        json.dumps(clean(value, LONGEST_ARGUMENT), ensure_ascii=False) if isinstance(value, str) else json.dumps(value)
    )


def age(then_ns: int | None, now_ns: int) -> str:
    """How long ago, in words: `12 s ago`; `never` when it did not happen."""
    if then_ns is None or then_ns <= 0:
        return "never"
    seconds = (now_ns - then_ns) / NS
    return "just now" if seconds < 1 else f"{human_seconds(round(seconds))} ago"


def when(ns: int | None) -> str | None:
    """UTC nanoseconds as ISO 8601 to the second; None stays None."""
    return None if ns is None else iso(ns - ns % NS)


def measured(value: float | None, unit: str) -> str:
    """A value with its unit as a person reads it: ratios in per cent, bytes in IEC steps; `-` is unknown."""
    if value is None or not math.isfinite(value):
        return "-"
    match unit:
        case "ratio":
            return human_ratio(value)
        case "bytes" | "By":
            return human_bytes(value)
        case "bytes_per_second" | "By/s":
            return f"{human_bytes(value)}/s"
        case "seconds" | "s":
            return human_seconds(value)
        case "per_second" | "1/s":
            return f"{significant(value)}/s"
    return f"{significant(value)} {clean(unit, 16)}".strip() if unit not in ("", "1") else significant(value)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 host`, `2 hosts`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shortened(value: float | None, digits: int = 4) -> float | int | None:
    """A number in as many significant digits as a reader needs, whole numbers without a fraction."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
