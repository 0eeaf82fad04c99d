"""What is left of the page cache around a death bounds how full memory was between two readings."""

from dataclasses import replace

import pytest

from diagnosis.cases import box, case, series, span
from hosts_mcp.diagnosis import engine
from hosts_mcp.diagnosis.verdict import Diagnosis

GIB = 2**30
READINGS = 60
"""Every 10 s from 300 s before the trace; the trace's last sign of life lies between the readings at 100 and 110 s."""
DEATH = 40


def killed(
    cache: list[float], *, disk: float = 1e5, memory: list[float] | None = None, mixed: bool = False, gib: int = 2
) -> Diagnosis:
    """A batch whose last span ended at 103 s: an ordinary program could have filled 2 GiB since the reading before."""
    spans = [span(f"doc {n}", 10.0 * n, 10.0 * n + 9.0, parent="batch", lost_parent=True) for n in range(10)]
    spans.append(span("doc 10", 100.0, 103.0, lost_parent=True))
    cached = series("memory_reclaimable_bytes", cache)
    found = [
        series("cpu_busy_ratio", [0.2] * READINGS),
        series("run_queue", [0.3] * READINGS),
        series("memory_used_ratio", memory or [0.4] * READINGS),
        replace(cached, quality=frozenset({"old_memory_formula"} if mixed else ())),
        series("disk_busy_ratio", [0.02] * READINGS),
        series("disk_read_bytes_per_second", [disk] * READINGS),
    ]
    here = box(found)
    return engine.assess(case(spans, boxes=[replace(here, facts=replace(here.facts, memory_bytes=gib * GIB))]))


def kept(share: float, after: float | None = None) -> list[float]:
    return [share * 2 * GIB] * DEATH + [(share if after is None else after) * 2 * GIB] * (READINGS - DEATH)


def test_a_page_cache_that_is_all_there_clears_memory() -> None:
    found = killed(kept(0.3))
    assert found.verdict == "no"
    assert any("page cache stayed" in e.bound for e in found.exonerated)


def test_it_clears_nothing_where_the_disk_could_have_read_it_back() -> None:
    assert killed(kept(0.3), disk=1e8).verdict == "cannot_tell"


def test_shared_memory_may_be_half_of_what_counts_as_cached() -> None:
    assert killed(kept(0.15)).verdict == "no"
    assert killed(kept(0.15), mixed=True).verdict == "cannot_tell"
    assert killed(kept(0.3), mixed=True).verdict == "no"


def test_a_page_cache_thrown_out_while_memory_is_free_tells_that_it_had_filled() -> None:
    found = killed(kept(0.4, 0.01))
    assert (found.verdict, found.resource, found.origin) == ("yes", "memory", "unknown")
    said = next(e for e in found.evidence if e.metric == "memory_reclaimable_bytes")
    assert said.value == pytest.approx(0.01 * 2 * GIB)
    assert said.usual == pytest.approx(0.4 * 2 * GIB)
    assert "from 819 MiB to 20.5 MiB" in said.text


def test_it_made_room_for_what_is_still_there() -> None:
    """A cache that shrinks because a program took its place is no sign of more than the level says."""
    levels = [0.4] * DEATH + [0.75] * (READINGS - DEATH)
    assert killed(kept(0.4, 0.05), memory=levels).verdict != "yes"


def test_death_is_looked_for_until_the_next_sign_of_life_was_due() -> None:
    """The last span ended at 103 s, the next was due within 10 s: the reading at 110 s is not after the death yet."""
    cache = [0.4 * 2 * GIB] * (DEATH + 1) + [0.01 * 2 * GIB] * (READINGS - DEATH - 1)
    found = killed(cache)
    assert found.verdict == "yes"
    assert found.symptom.due_seconds == pytest.approx(10.0)


def test_a_peak_between_two_readings_is_of_unknown_height() -> None:
    """Without a page cache to go by: what rose up to a reading and had fallen by the next cannot be cleared."""
    flat, peak = [0.4] * READINGS, [0.4] * READINGS
    peak[DEATH - 1] = 0.5
    assert killed([], memory=flat, gib=8).verdict == "no"
    assert killed([], memory=peak, gib=8).verdict == "cannot_tell"


def test_a_climb_that_ended_before_the_next_sign_was_due_is_the_death() -> None:
    """Memory rose on after the last sign of life, to its end, and was free right after: the process died at the top."""
    climb = [0.4] * (DEATH - 1) + [0.85, 0.97, 0.4] + [0.4] * (READINGS - DEATH - 2)
    assert killed([], memory=climb).verdict == "yes"
    went_on = [0.4] * (DEATH - 1) + [0.6, 0.7] + [0.97] * (READINGS - DEATH - 1)
    assert killed([], memory=went_on).verdict != "yes"
