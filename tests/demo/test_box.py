"""The laws that the box keeps, so that no rule of the engine is met by accident."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from hosts_mcp.demo.box import CPUS, MEMORY_BYTES, Box
from hosts_mcp.demo.programs import HOUR_NS
from hosts_mcp.demo.story import Options, Story
from hosts_mcp.timerange import NS

NOW_NS = 1_795_600_000 * NS


@pytest.fixture(scope="module", params=[False, True], ids=["neighbour", "own_leak"])
def moments(request: pytest.FixtureRequest) -> list[tuple[int, dict[str, float]]]:
    """The counters of one evening and night, every 30 s."""
    story = Story(Options(seed=7, nights=1, own_leak=request.param), NOW_NS)
    return list(_readings(story))


def _readings(story: Story) -> Iterator[tuple[int, dict[str, float]]]:
    last = 0
    for sent in story.until(story.last_midnight_ns + 3 * HOUR_NS):
        if sent.time_ns != last:
            last = sent.time_ns
            yield last, _reading(story.box)


def _reading(box: Box) -> dict[str, float]:
    counters = {f"cpu.{state}": value for state, value in box.cpu_seconds.items()}
    for disk in (box.root_disk, box.data_disk):
        for name in ("read_ops", "write_ops", "read_bytes", "write_bytes", "read_seconds", "write_seconds",
                     "busy_seconds", "weighted_seconds"):  # fmt: skip
            counters[f"{disk.name}.{name}"] = getattr(disk, name)
    used = sum(p.usage.user_seconds + p.usage.system_seconds for p in box.programs)
    return counters | {
        "minor": box.minor_faults, "major": box.major_faults, "forks": box.forks, "programs.cpu": used,
        "gauge.load": box.load[0], "gauge.free": box.memory.free, "gauge.available": box.memory.available,
        "gauge.cached": box.memory.cached, "gauge.anonymous": box.memory.anonymous,
    }  # fmt: skip


def steps(
    moments: list[tuple[int, dict[str, float]]],
) -> Iterator[tuple[float, dict[str, float]]]:
    for (t0, before), (t1, after) in itertools.pairwise(moments):
        yield (t1 - t0) / NS, {name: after[name] - before[name] for name in after}


def test_no_counter_ever_falls(moments: list[tuple[int, dict[str, float]]]) -> None:
    for _, change in steps(moments):
        assert all(value >= 0 for name, value in change.items() if not name.startswith("gauge."))


def test_cpu_states_add_up_to_the_time_of_all_cpus(moments: list[tuple[int, dict[str, float]]]) -> None:
    for seconds, change in steps(moments):
        assert sum(v for n, v in change.items() if n.startswith("cpu.")) == pytest.approx(CPUS * seconds)


def test_programs_consume_what_the_cpus_were_busy_with(moments: list[tuple[int, dict[str, float]]]) -> None:
    for _, change in steps(moments):
        busy = sum(change[f"cpu.{s}"] for s in ("user", "nice", "system", "softirq", "interrupt"))
        assert change["programs.cpu"] == pytest.approx(busy)


def test_a_disk_is_busy_at_most_all_the_time_and_its_queue_holds_at_least_that(
    moments: list[tuple[int, dict[str, float]]],
) -> None:
    for seconds, change in steps(moments):
        for disk in ("vda", "vdb"):
            assert change[f"{disk}.busy_seconds"] <= seconds
            assert change[f"{disk}.weighted_seconds"] >= change[f"{disk}.busy_seconds"] * 0.999
            waited = change[f"{disk}.read_seconds"] + change[f"{disk}.write_seconds"]
            assert waited == pytest.approx(change[f"{disk}.weighted_seconds"])


def test_memory_has_one_owner_for_each_byte(moments: list[tuple[int, dict[str, float]]]) -> None:
    for _, now in moments:
        assert now["gauge.free"] > 0
        assert now["gauge.free"] + now["gauge.cached"] + now["gauge.anonymous"] < MEMORY_BYTES
        assert 0 < now["gauge.available"] < MEMORY_BYTES


def test_the_night_tops_out_at_95_percent_and_begins_at_40(moments: list[tuple[int, dict[str, float]]]) -> None:
    used = [1 - now["gauge.available"] / MEMORY_BYTES for _, now in moments]
    assert used[0] == pytest.approx(0.40, abs=0.03)
    assert max(used) == pytest.approx(0.955, abs=0.02)
