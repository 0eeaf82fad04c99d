"""Who used a resource, told from processes."""

from dataclasses import replace

from diagnosis.cases import T0, at, box, case, series, span
from hosts_mcp.diagnosis import consumers
from hosts_mcp.diagnosis.model import Process, Scene, Usual, Window

MIB = 2.0**20


def process(entity: int, pid: int, parent: int, name: str, moved: list[float], seen: float = 600.0) -> Process:
    signal = series(consumers.INHERITED, moved, start=0.0)
    return Process(entity, pid, parent, name, None, None, at(-900), at(-900), at(seen), {signal.name: signal})


def scene(*processes: Process) -> Scene:
    window = Window(0.0, 60.0)
    return Scene(box(processes=processes), T0, (), 1.0, window, window, window, (), Usual({}, {}, "none"), 10.0, 4)


def test_what_an_ended_child_had_read_is_not_taken_for_its_parents() -> None:
    # fio moved 90 MiB/s until it ended at 40 s; the kernel then added all of it to its parent at once.
    script = process(1, 100, 1, "run", [0.0, 0.0, 0.0, 0.0, 360 * MIB, 0.0])
    fio = process(2, 200, 100, "fio", [90 * MIB] * 4, seen=40.0)
    found = consumers.groups(case([span("job", 0, 60)]), scene(script, fio), consumers.INHERITED, -10.0)
    assert found["fio"].growth > 80 * MIB
    assert found["run"].growth == 0.0
    alone = consumers.groups(
        case([span("job", 0, 60)]), scene(replace(script, signals=fio.signals)), consumers.INHERITED, -10.0
    )
    assert alone["run"].growth > 80 * MIB
