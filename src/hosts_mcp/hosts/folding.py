"""Hysteresis: readings that fire or clear, folded into episodes with a beginning and an end. Pure, no thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a condition must hold, in consecutive readings and in time; a longer gap than `gap_ns` starts anew."""

    fire_readings: int
    fire_ns: int
    clear_readings: int
    clear_ns: int
    gap_ns: int


@dataclass(frozen=True, slots=True)
class Episode:
    """`since_ns` is the first reading of those that fired, `until_ns` the reading that cleared; None while open."""

    since_ns: int
    until_ns: int | None


def episodes(
    ends_ns: Sequence[int],
    fires: Sequence[bool | None],
    clears: Sequence[bool | None],
    hold: Hold,
    *,
    open_since_ns: int | None = None,
) -> list[Episode]:
    """Fold readings, oldest first. A reading of which nothing is known (`fires` None) is no reading.

    Between the two limits the state holds: a reading that does not fire ends a pending finding, one that does not
    clear ends a pending clearing. With `open_since_ns` the fold begins with an open episode.
    """
    found: list[Episode] = []
    since, run_start, run, last = open_since_ns, 0, 0, None
    for end, fire, clear in zip(ends_ns, fires, clears, strict=True):
        wanted = fire if since is None else clear
        if wanted is None:
            continue
        if last is not None and end - last > hold.gap_ns:
            run = 0
        last = end
        if not wanted:
            run = 0
            continue
        run_start = end if run == 0 else run_start
        run += 1
        readings, span = (hold.fire_readings, hold.fire_ns) if since is None else (hold.clear_readings, hold.clear_ns)
        if run < readings or end - run_start < span:
            continue
        run = 0
        if since is None:
            since = run_start
        else:
            found.append(Episode(since, end))
            since = None
    if since is not None:
        found.append(Episode(since, None))
    return found
