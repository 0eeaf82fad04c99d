"""From counters to increases: the one place that knows resets, reboots, gaps, wraps and backward clocks.

Used for the columns of the wide row, for single devices and for processes alike. Times are the points' own; arrival
plays no part. Rules and their sources: OpenTelemetry metrics data model (resets, unknown start), node_exporter#1686
and #1903 (idle and iowait running backwards by less than three seconds), proc(5).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import add, le, lt, sub, truediv
from typing import NamedTuple

from hosts_mcp.signals.model import RawSeries
from hosts_mcp.timerange import NS

START_MOVED_NS = 60 * NS
"""A start time that moves less is the same boot, told by a collector that was restarted."""
BACKWARDS_SECONDS = 3.0
"""CPU counters may run back by less than this without a reset."""
WRAP = 2.0**32
DELTA_SLACK_NS = NS
OWN_START = frozenset({"app"})
"""Sources whose start time is the writer's, while the counters count since boot."""


Rates = tuple[Sequence[int], Sequence[int], Sequence[float | None]]
"""(starts_ns, ends_ns, per second): i-th rate over (start, end]; unknown where it cannot be told."""


class Step(NamedTuple):
    """From reading `before` to reading `after` of one series or row; `since_ns` is what the increase covers from."""

    before: int
    after: int
    since_ns: int
    until_ns: int
    reset: bool
    """The counters began again at `since_ns`: the increase is the value itself."""
    comparable: bool
    """False: no increase can be told (the set of what was summed changed, or it is open whether they began again)."""

    @property
    def seconds(self) -> float:
        return (self.until_ns - self.since_ns) / NS


def steps(
    times_ns: Sequence[int],
    starts_ns: Sequence[int],
    sets: Sequence[int] | None = None,
    counters: Sequence[Sequence[float | None]] = (),
    *,
    clamps: bool = False,
    wraps: bool = False,
    from_zero: bool = True,
) -> list[Step]:
    """The steps between readings in order of time; readings at one time count once (the last). Empty when the points
    are those of several writers.

    `counters` share this clock: a later start is a reset only if one of them fell, and then for all of them.
    `from_zero`: False where the start is the writer's own and the counters are older (an application's SDK), so that
    nothing can be told across a reset.
    """
    began = [start if start < time else 0 for start, time in zip(starts_ns, times_ns, strict=True)]
    if several_writers(began):
        return []
    doubtful = [values for values in counters if _ever_falls(values)]
    found: list[Step] = []
    fallen: list[int] = []
    before = 0
    for after in range(1, len(times_ns)):
        since, until = times_ns[before], times_ns[after]
        if until <= since:
            before = after
            continue
        comparable = sets is None or sets[before] == sets[after]
        fell = any(_fell(values[before], values[after], clamps, wraps) for values in doubtful)
        if _restarted(began[before], began[after], since):
            found.append(Step(before, after, began[after], until, True, comparable and fell and from_zero))
        else:
            found.append(Step(before, after, since, until, False, comparable))
            if fell and comparable:
                fallen.append(after)
        before = after
    return [] if _often(fallen) else found


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
    if wraps and _wrapped(older, newer):
        return newer + WRAP - older
    return None


class _Clock(NamedTuple):
    """Steps between readings that are all whole."""

    starts_ns: Sequence[int]
    ends_ns: Sequence[int]
    seconds: Sequence[float]


class Clocks:
    """Clocks seen so far, by the identity of their readings' times: counters of one scraper share theirs, and what
    follows from the times alone is found once. Keeps the series alive whose identities it goes by."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[RawSeries, _Clock | None]] = {}

    def of(self, raw: RawSeries) -> _Clock | None:
        """None: its steps are to be looked at one by one."""
        key = (id(raw.times_ns), id(raw.starts_ns))
        if key not in self._known:
            self._known[key] = (raw, self._found(raw.times_ns, raw.starts_ns))
        return self._known[key][1]

    def _found(self, times_ns: Sequence[int], starts_ns: Sequence[int]) -> _Clock | None:
        if not are_whole(times_ns, starts_ns):
            return None
        starts, ends = times_ns[:-1], times_ns[1:]
        return _Clock(starts, ends, [(until - since) / NS for since, until in zip(starts, ends, strict=True)])


def increases(raw: RawSeries, *, clamps: bool = False, clocks: Clocks | None = None) -> Rates:
    """Of one counter or delta series. With `clocks` series of one clock get the very same starts and ends."""
    if raw.slot.kind in ("delta", "updown_delta"):
        return _deltas(raw)
    clock = (clocks or Clocks()).of(raw)
    if clock is not None and only_grows(raw.values):
        # What nearly every counter does, without a look at each step.
        grown = map(sub, raw.values[1:], raw.values)
        return clock.starts_ns, clock.ends_ns, list(map(truediv, grown, clock.seconds))
    return _by_step(raw, clamps)


def _by_step(raw: RawSeries, clamps: bool) -> Rates:
    starts: list[int] = []
    ends: list[int] = []
    rates: list[float | None] = []
    found = steps(
        raw.times_ns,
        raw.starts_ns,
        counters=(raw.values,),
        clamps=clamps,
        wraps=True,
        from_zero=raw.source not in OWN_START,
    )
    for step in found:
        grown = increase(step, raw.values[step.before], raw.values[step.after], clamps=clamps, wraps=True)
        starts.append(step.since_ns)
        ends.append(step.until_ns)
        rates.append(None if grown is None else grown / step.seconds)
    return starts, ends, rates


def are_whole(times_ns: Sequence[int], starts_ns: Sequence[int], sets: Sequence[int] | None = None) -> bool:
    """Every step is from one reading to the next, of one set and without a restart, as long as no counter falls."""
    return (
        bool(times_ns)
        and max(starts_ns) < times_ns[0]
        and max(starts_ns) - min(starts_ns) <= START_MOVED_NS
        and all(map(lt, times_ns, times_ns[1:]))
        and (sets is None or sets.count(sets[0]) == len(sets))
    )


def only_grows(values: Sequence[float | None]) -> bool:
    """Known at every reading (a NaN is not) and never less than before."""
    return None not in values and all(map(le, values, values[1:]))  # type: ignore[arg-type]


def summed(parts: Sequence[Rates]) -> Rates:
    """Rates added up by their ends: unknown where one of them is; one that does not end there adds nothing."""
    if parts and all(ends is parts[0][1] for _, ends, _ in parts):
        starts, ends, total = parts[0][0], parts[0][1], [0.0] * len(parts[0][1])
        if not any(None in rates for _, _, rates in parts):
            for _, _, rates in parts:
                total = list(map(add, total, rates))
            return starts, ends, total
    return _summed_by_end(parts)


def _summed_by_end(parts: Sequence[Rates]) -> Rates:
    begins: dict[int, int] = {}
    total: dict[int, float | None] = {}
    for starts, ends, rates in parts:
        for start, end, rate in zip(starts, ends, rates, strict=True):
            begins[end] = start
            before = total.get(end, 0.0)
            total[end] = None if before is None or rate is None else before + rate
    ordered = sorted(begins)
    return [begins[end] for end in ordered], ordered, [total[end] for end in ordered]


def at_ends(rates: Rates, ends_ns: Sequence[int]) -> Sequence[float | None]:
    """The rates that end at these times; None where none does."""
    _, own, values = rates
    if own is ends_ns:
        return values
    by_end = dict(zip(own, values, strict=True))
    return [by_end.get(end) for end in ends_ns]


def several_writers(starts_ns: Sequence[int]) -> bool:
    """Start times that go back and forth belong to several senders under one name: no rate can be told.

    More than two returns to an earlier start within ten points (workers of one server, an SDK beside a collector).
    """
    returns = [i for i in range(1, len(starts_ns)) if 0 < starts_ns[i] < starts_ns[i - 1] - START_MOVED_NS]
    return _often(returns)


def _often(positions: Sequence[int]) -> bool:
    """More than twice within ten points."""
    return any(later - earlier <= 10 for earlier, later in zip(positions, positions[2:], strict=False))


def _ever_falls(values: Sequence[float | None]) -> bool:
    if None not in values:
        return any(map(lt, values[1:], values))  # type: ignore[arg-type]
    return any(b < a for a, b in pairwise(values) if a is not None and b is not None)


def _fell(older: float | None, newer: float | None, clamps: bool, wraps: bool) -> bool:
    if older is None or newer is None or newer >= older:
        return False
    return not (clamps and older - newer < BACKWARDS_SECONDS) and not (wraps and _wrapped(older, newer))


def _wrapped(older: float, newer: float) -> bool:
    return 0.9 * WRAP < older < WRAP and newer < 0.1 * WRAP


def _restarted(older_ns: int, newer_ns: int, since_ns: int) -> bool:
    """A start that moved forward by more than a minute, to after the reading before: the counters began again."""
    return older_ns > 0 and newer_ns > older_ns + START_MOVED_NS and newer_ns > since_ns - START_MOVED_NS


def _deltas(raw: RawSeries) -> Rates:
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
