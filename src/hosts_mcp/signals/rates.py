"""From counters to increases: the one place that knows resets, reboots, gaps, wraps and backward clocks.

Used for the columns of the wide row, for single devices and for processes alike. Times are the points' own; arrival
plays no part. Rules and their sources: OpenTelemetry metrics data model (resets, unknown start), node_exporter#1686
and #1903 (idle and iowait running backwards by less than three seconds), proc(5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hosts_mcp.signals.model import RawSeries

NS = 1_000_000_000
START_MOVED_NS = 60 * NS
"""A start time that moves less is the same boot, told by a collector that was restarted."""
BACKWARDS_SECONDS = 3.0
"""CPU counters may run back by less than this without a reset."""
WRAP = 2.0**32
DELTA_SLACK_NS = NS


@dataclass(frozen=True, slots=True)
class Step:
    """From reading `before` to reading `after` of one series or row; `since_ns` is what the increase covers from."""

    before: int
    after: int
    since_ns: int
    until_ns: int
    reset: bool
    """The counters began again at `since_ns`: the increase is the value itself."""
    comparable: bool
    """False: no increase can be told (the set of what was summed changed, or a start is missing)."""

    @property
    def seconds(self) -> float:
        return (self.until_ns - self.since_ns) / NS


def steps(times_ns: Sequence[int], starts_ns: Sequence[int], sets: Sequence[int] | None = None) -> list[Step]:
    """The steps between readings in order of time; readings at one time count once (the last)."""
    found: list[Step] = []
    before = 0
    for after in range(1, len(times_ns)):
        since, until = times_ns[before], times_ns[after]
        if until <= since:
            before = after
            continue
        comparable = sets is None or sets[before] == sets[after]
        reset = _restarted(starts_ns[before], starts_ns[after], since)
        if reset:
            begin = starts_ns[after]
            found.append(Step(before, after, begin, until, True, comparable and begin < until))
        else:
            found.append(Step(before, after, since, until, False, comparable))
        before = after
    return found


def increase(
    step: Step, older: float | None, newer: float | None, *, clamps: bool = False, wraps: bool = False
) -> float | None:
    """How much a cumulative counter grew over the step; None when that cannot be told, never negative.

    `clamps`: a CPU counter, which may run back a little. `wraps`: one series (not a sum), which may wrap at 32 bits.
    """
    if older is None or newer is None or not step.comparable:
        return None
    if step.reset:
        return newer if newer >= 0 else None
    if newer >= older:
        return newer - older
    if clamps and older - newer < BACKWARDS_SECONDS:
        return 0.0
    if wraps and 0.9 * WRAP < older < WRAP and newer < 0.1 * WRAP:
        return newer + WRAP - older
    return None


def increases(raw: RawSeries, *, clamps: bool = False) -> tuple[list[int], list[int], list[float | None]]:
    """(starts_ns, ends_ns, per second) of one counter or delta series; unknown where it cannot be told."""
    if raw.slot.kind in ("delta", "updown_delta"):
        return _deltas(raw)
    if several_writers(raw.starts_ns):
        return [], [], []
    starts: list[int] = []
    ends: list[int] = []
    rates: list[float | None] = []
    for step in steps(raw.times_ns, raw.starts_ns):
        grown = increase(step, raw.values[step.before], raw.values[step.after], clamps=clamps, wraps=True)
        starts.append(step.since_ns)
        ends.append(step.until_ns)
        rates.append(None if grown is None else grown / step.seconds)
    return starts, ends, rates


def several_writers(starts_ns: Sequence[int]) -> bool:
    """Start times that go back and forth belong to several senders under one name: no rate can be told.

    More than two returns to an earlier start within ten points (workers of one server, an SDK beside a collector).
    """
    returns = [i for i in range(1, len(starts_ns)) if 0 < starts_ns[i] < starts_ns[i - 1] - START_MOVED_NS]
    return any(later - earlier <= 10 for earlier, later in zip(returns, returns[2:], strict=False))


def _restarted(older_ns: int, newer_ns: int, since_ns: int) -> bool:
    """A start that moved forward by more than a minute, to after the reading before: the counters began again."""
    return older_ns > 0 and newer_ns > older_ns + START_MOVED_NS and newer_ns > since_ns - START_MOVED_NS


def _deltas(raw: RawSeries) -> tuple[list[int], list[int], list[float | None]]:
    """Delta temporality: a point counts only if it continues the one before; a writer's first point never does.

    (An SDK's first delta is the whole total since boot, over a few microseconds.)
    """
    starts: list[int] = []
    ends: list[int] = []
    rates: list[float | None] = []
    for i in range(1, len(raw.times_ns)):
        since, until = raw.starts_ns[i], raw.times_ns[i]
        if until <= raw.times_ns[i - 1]:
            continue
        continues = abs(since - raw.times_ns[i - 1]) <= DELTA_SLACK_NS and until > since
        starts.append(raw.times_ns[i - 1])
        ends.append(until)
        rates.append(raw.values[i] / ((until - since) / NS) if continues else None)
    return starts, ends, rates
