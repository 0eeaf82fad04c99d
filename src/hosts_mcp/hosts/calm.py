"""Whether a host's findings could have changed since it was last judged, told from its newest readings alone. Pure.

Judging half an hour of every signal of every device takes many milliseconds, and most hosts are far from every limit
most of the time. What is said here errs to one side: a host that is calm would be judged as before, one that is not
may be. So every quantity is bounded by the extremes of what it is made of, whatever belongs to which moment; what
cannot be bounded counts as reached; and whatever a longer window would see otherwise (counters that fall, starts that
move, a scraper that falls silent) ends the calm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hosts_mcp.hosts import states
from hosts_mcp.hosts import thresholds as table
from hosts_mcp.hosts.findings import subjects
from hosts_mcp.hosts.quantities import FILLING_LEAST_NS, PAGE_BYTES, QUANTITIES
from hosts_mcp.signals.columns import COLUMN
from hosts_mcp.signals.model import RawSeries, Samples, SignalSeries
from hosts_mcp.signals.rates import BACKWARDS_SECONDS, START_MOVED_NS
from hosts_mcp.store.protocol import FindingRow, Host
from hosts_mcp.timerange import NS

NEAR = 0.95
"""From this share of a limit on a quantity counts as having reached it."""
WINDOW_NS = 1800 * NS
"""The window that is judged; lows are kept of at least as long."""
ALIVE_NS = 300 * NS
"""Counters that were read within so long of the newest reading are expected to go on."""
_RATED = ("counter", "delta", "updown_delta")

Lows = Mapping[tuple[str, str | None], float]


@dataclass(frozen=True, slots=True)
class Readings:
    """Of one host in one window: as stored, and what is derived from them."""

    samples: Samples
    raw: Sequence[RawSeries]
    signals: Mapping[str, SignalSeries]
    devices: Sequence[SignalSeries]


@dataclass(frozen=True, slots=True)
class Calm:
    looked_ns: int
    """The newest reading that was looked at."""
    from_ns: int
    """Where the next look has to begin, so that every counter has its reading before."""
    seen: Mapping[str, int]
    """Scraper -> its newest reading; those that are missing are not in it."""
    last: Mapping[str, float]
    """Newest known values of what must not come and go."""
    lows_since_ns: int
    lows: tuple[Lows, Lows]
    """Least values by signal and subject: of at least half an hour before `lows_since_ns`, and since."""


def settled(rows: Sequence[FindingRow]) -> bool:
    """Whether these rows stay as they are while their host does: none has just ended, none follows a level."""
    return all(row.until_ns is None and row.code in states.CONSTANT for row in rows)


def look(before: Calm | None, host: Host, found: Readings, start_ns: int) -> Calm | None:
    """The calm that goes on, or begins with a whole window (`before` None); None when the host must be judged.

    `found` are the readings from `before.from_ns` on, `start_ns` where the window begins that would be judged.
    """
    if host.newest_ns is None or not host.cpu_count or not states.quiet(host) or _broken(found):
        return None
    if before is None:
        if max((len(s.ends_ns) for s in found.signals.values()), default=0) < table.MIN_READINGS:
            return None
        before = Calm(start_ns, start_ns, {}, {}, host.newest_ns, (least := _lows(found), least))
        known = None
    else:
        known = before.seen.keys()
        if any(s.slot.kind in _RATED and s.times_ns[0] > before.looked_ns for s in found.raw):
            return None
    now_seen = _seen(found)
    seen = {**before.seen, **now_seen}
    if (known is not None and not now_seen.keys() <= known) or any(at < start_ns for at in seen.values()):
        return None
    last = dict(before.last)
    if not _steady(found.signals, last) or not all(_up_long(s) for s in _named(found.signals, "uptime_seconds")):
        return None
    since_ns, lows = _kept(before, _lows(found), host.newest_ns)
    for rule in table.RULES:
        for subject, series in subjects(rule, found.signals, found.devices):
            reach = _Reach(host, subject, series, lows)
            if all(any(map(reach.holds, row)) for row in rule.levels[0].fire):
                return None
    ends = [s.times_ns[-1] for s in found.raw if s.slot.kind in _RATED and s.times_ns]
    alive = min((end for end in ends if host.newest_ns - end < ALIVE_NS), default=host.newest_ns)
    return Calm(host.newest_ns, alive - (host.interval_ns or 60 * NS), seen, last, since_ns, lows)


class _Reach:
    """How far the quantities of one subject can have got: an upper bound of each over all readings at hand."""

    def __init__(
        self, host: Host, subject: str | None, series: Mapping[str, SignalSeries], lows: tuple[Lows, Lows]
    ) -> None:
        self.host, self._subject, self._series, self._lows = host, subject, series, lows

    def holds(self, test: table.Test) -> bool:
        """False when the test cannot hold at any of the readings."""
        if test.quantity == "hours_to_full" and not test.above:
            most = self.most("filesystem_used_ratio")
            grown = most - self.low("filesystem_used_ratio")
            return grown >= NEAR * (1 - most) * FILLING_LEAST_NS / (3600 * NS) / test.limit
        if not test.above:
            return True
        if test.quantity in _BOUNDS:
            most = _BOUNDS[test.quantity](self)
        else:
            most = float("inf") if test.quantity in QUANTITIES else self.most(test.quantity)
        return most >= NEAR * test.limit

    def most(self, *names: str) -> float:
        """The sum of the greatest values; zero where nothing is known."""
        return sum(max(_known(s), default=0.0) for name in names for s in _named(self._series, name))

    def least(self, *names: str) -> float:
        """The least value that any of them has; infinite where nothing is known."""
        values = (v for name in names for s in _named(self._series, name) for v in _known(s))
        return min(values, default=float("inf"))

    def low(self, name: str) -> float:
        return min(low.get((name, self._subject), float("inf")) for low in self._lows)


def _both(what: str) -> tuple[str, str]:
    return f"network_receive_{what}_per_second", f"network_transmit_{what}_per_second"


_BOUNDS: Mapping[str, Callable[[_Reach], float]] = {
    # Without a total from the sender it is the least sum of the states that the window shows.
    "memory_used_ratio": lambda r: max(
        r.most("memory_used_ratio"), _over(r.most("memory_used_bytes"), r.low("memory_total_bytes"))
    ),
    "load_per_cpu": lambda r: r.most("load_1m") / (r.host.cpu_count or 1),
    "swap_pages_per_second": lambda r: r.most("swap_in_bytes_per_second", "swap_out_bytes_per_second") / PAGE_BYTES,
    "drop_ratio": lambda r: _over(r.most(*_both("drops")), r.least(*_both("packets"))),
    "error_ratio": lambda r: _over(r.most(*_both("errors")), r.least(*_both("packets"))),
    "errors_in_span": lambda r: 600 * r.most(*_both("errors")),
    "packets_in_span": lambda r: 300 * r.most(*_both("packets")),
}
"""Bounds of quantities that are no signal; those of `QUANTITIES` that are not here have none."""


def _over(above: float, below: float) -> float:
    return 0.0 if above <= 0 else above / below if below > 0 else float("inf")


def _named(series: Mapping[str, SignalSeries], name: str) -> Iterable[SignalSeries]:
    return (series[name],) if name in series else ()


def _known(series: SignalSeries) -> Iterable[float]:
    return (v for v in series.values if v is not None)


def _up_long(uptime: SignalSeries) -> bool:
    return all(up > table.REBOOT_SHOWN_SECONDS for up in _known(uptime))


def _steady(signals: Mapping[str, SignalSeries], last: dict[str, float]) -> bool:
    """Whether no value that tells machines apart moved; `last` becomes the newest of each."""
    for name, tolerance, _ in states.ONE_PER_MACHINE:
        for series in _named(signals, name):
            values = [*([last[name]] if name in last else ()), *_known(series)]
            if any(abs(b - a) > tolerance for a, b in pairwise(values)):
                return False
            if values:
                last[name] = values[-1]
    return True


def _seen(found: Readings) -> dict[str, int]:
    """Scraper -> end of its newest reading."""
    newest: dict[str, int] = {}
    for series in (*found.signals.values(), *found.devices):
        if series.ends_ns:
            newest[series.name] = max(series.ends_ns[-1], newest.get(series.name, 0))
    known = {group: [newest[n] for n in names if n in newest] for group, names in table.EXPECTED_GROUPS.items()}
    return {group: max(ends) for group, ends in known.items() if ends}


def _lows(found: Readings) -> Lows:
    series = [*(s for name in ("memory_total_bytes", "filesystem_used_ratio") for s in _named(found.signals, name)),
              *(s for s in found.devices if s.name == "filesystem_used_ratio")]  # fmt: skip
    return {(s.name, s.subject): min(known) for s in series if (known := list(_known(s)))}


def _kept(before: Calm, now: Lows, newest_ns: int) -> tuple[int, tuple[Lows, Lows]]:
    older, newer = before.lows
    if newest_ns - before.lows_since_ns > WINDOW_NS:
        return newest_ns, (newer, now)
    lowest = {key: min(low[key] for low in (newer, now) if key in low) for key in {**newer, **now}}
    return before.lows_since_ns, (older, lowest)


def _broken(found: Readings) -> bool:
    """Whether a counter fell or a start moved: a reboot, or several writers under one name."""
    for series in found.samples.values():
        slack = BACKWARDS_SECONDS if series.group == "cpu" else 0.0
        counters = (values for name, values in series.columns.items() if COLUMN[name].kind == "counter")
        if _moved(series.starts_ns) or any(_falls(values, slack) for values in counters):
            return True
    return any(_moved(s.starts_ns) or _falls(s.values, 0.0) for s in found.raw if s.slot.kind == "counter")


def _moved(starts_ns: Sequence[int]) -> bool:
    return bool(starts_ns) and max(starts_ns) - min(starts_ns) > START_MOVED_NS


def _falls(values: Sequence[float | None], slack: float) -> bool:
    known = [v for v in values if v is not None]
    return any(b < a - slack for a, b in pairwise(known))
