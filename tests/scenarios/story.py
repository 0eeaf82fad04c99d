"""A scenario: machines, one trace in question, its history, and what must be said about it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from scenarios.simulator import DAY, Machine, Piece

H1, H2 = 3600.0, 7200.0
"""One and two hours after midnight of the last night."""


@dataclass(frozen=True)
class Expected:
    verdicts: str
    """Y, P, N, T: yes, partly, no, cannot_tell; several letters: each accepted."""
    origins: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str | None = None
    culprit: str | None = None
    host: str | None = None
    recurrence: str | None = None


@dataclass(frozen=True)
class Past:
    """Earlier runs of one operation: how many, how long usually, how widely spread."""

    seconds: float
    spread: float = 0.08
    runs: int = 30
    pieces: tuple[Piece, ...] = ()
    """Shape of a usual run, for its own usual duration."""
    at: tuple[float, ...] = ()
    """When each began; spread over the days before when empty."""
    factors: tuple[float, ...] = ()
    """How much longer than usual each took."""


@dataclass(frozen=True)
class Scenario:
    number: int
    title: str
    machines: tuple[Machine, ...]
    pieces: tuple[Piece, ...]
    expected: Expected
    past: Past | None = None
    start: float = H1
    others: tuple[tuple[str, str, float, float], ...] = ()
    """Other operations then: (name, host, seconds now, seconds usually)."""
    history_days: float = 1.0
    asked_after: float = 900.0
    """Seconds after the trace's last sign of life at which somebody asks."""
    resource: dict[str, object] = field(default_factory=dict)
    """More resource attributes of the service `agent`, e.g. process.pid."""
    asks: tuple[str, str] | None = None
    """Nobody has a trace id: ("service", name) or ("host", name) is asked about, at `asks_at`."""
    asks_at: float | None = None
    """The moment somebody names; the end of the last trace when None."""

    @property
    def end(self) -> float:
        return self.start + max(p.start + p.seconds for p in self.pieces if not p.lost)


@dataclass(frozen=True)
class RunOf:
    """One trace to be sent: when it began and its spans."""

    start: float
    pieces: tuple[Piece, ...]


def past_runs(s: Scenario, seed: int) -> list[RunOf]:
    """The operation's earlier runs, a few minutes apart on the day before, and the other operations' runs."""
    rng = random.Random(seed * 1000 + s.number)
    out = []
    if s.past is not None:
        p = s.past
        starts = p.at or tuple(s.start - DAY * 0.9 + n * (DAY * 0.85 / p.runs) for n in range(p.runs))
        for n, begin in enumerate(starts):
            factor = rng.lognormvariate(0.0, p.spread) * (p.factors[n] if p.factors else 1.0)
            out.append(RunOf(begin, tuple(_scaled(x, factor) for x in p.pieces)))
    for name, host, now, usual in s.others:
        for n in range(6):
            seconds = usual * rng.lognormvariate(0.0, 0.05)
            out.append(
                RunOf(
                    s.start - 3000.0 + n * 400.0, (Piece(name, 0.0, seconds, kind=2, service=f"{name}-svc", host=host),)
                )
            )
        middle = (s.start + s.end) / 2
        out.append(RunOf(middle - now / 2, (Piece(name, 0.0, now, kind=2, service=f"{name}-svc", host=host),)))
    return sorted(out, key=lambda r: r.start)


def _scaled(p: Piece, factor: float) -> Piece:
    from dataclasses import replace

    return replace(p, start=p.start * factor, seconds=p.seconds * factor, error=None, lost=False)


def compute(
    seconds: float, *, name: str = "classify documents", child: str = "compute", share: float = 0.97, host: str = "box"
) -> tuple[Piece, ...]:
    """One local INTERNAL child that holds nearly all of the trace."""
    return (
        Piece(name, 0.0, seconds, kind=2, host=host),
        Piece(child, seconds * (1 - share) / 2, seconds * share, parent=name, host=host),
    )


def killed(
    seconds: float, steps: int = 24, *, name: str = "classify documents", host: str = "box", every: float | None = None
) -> tuple[Piece, ...]:
    """A batch whose root and last document never ended: only the documents before arrived."""
    each = every or seconds / steps
    done = [Piece(f"document {n}", n * each, each * 0.98, parent=name, host=host) for n in range(int(seconds / each))]
    return (Piece(name, 0.0, seconds, host=host, lost=True), *done)


def pieces_of(history: Sequence[Piece]) -> tuple[Piece, ...]:
    return tuple(history)
