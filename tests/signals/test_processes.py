"""What each process incarnation used."""

from __future__ import annotations

from hosts_mcp.signals.model import BoxFacts
from hosts_mcp.signals.processes import derive_processes

from .making import known, raw, slot


def test_cpu_is_user_and_system_in_cores_and_waiting_is_not_cpu():
    found = derive_processes(
        [
            raw(slot("process.cpu.time", state="user"), (0, 10), [0, 12], entity_id=7),
            raw(slot("process.cpu.time", state="system"), (0, 10), [0, 3], entity_id=7),
            raw(slot("process.cpu.time", state="wait"), (0, 10), [0, 9], entity_id=7),
        ],
        BoxFacts(),
    )
    assert known(found[7]["process_cpu_cores"].values) == [1.5]


def test_memory_is_resident_and_io_is_read_and_written_volume():
    found = derive_processes(
        [
            raw(slot("process.memory.usage", "updown"), (0, 10), [100, 200], entity_id=7),
            raw(slot("process.memory.virtual", "updown"), (0, 10), [9e9, 9e9], entity_id=7),
            raw(slot("process.disk.io", direction="read"), (0, 10), [0, 50], entity_id=7),
            raw(slot("process.disk.io", direction="write"), (0, 10), [0, 30], entity_id=7),
        ],
        BoxFacts(),
    )
    assert found[7]["process_memory_bytes"].values == [100, 200]
    assert known(found[7]["process_io_bytes_per_second"].values) == [8]


def test_a_restart_is_another_entity_and_no_rate_crosses_it():
    of = slot("process.cpu.time", state="user")
    found = derive_processes(
        [raw(of, (0, 10), [500, 510], entity_id=1), raw(of, (20, 30), [0, 5], entity_id=2)], BoxFacts()
    )
    assert [known(found[i]["process_cpu_cores"].values) for i in (1, 2)] == [[1], [0.5]]


def test_without_permission_there_is_no_io_and_not_zero():
    found = derive_processes([raw(slot("process.memory.usage", "updown"), [0], [1.0])], BoxFacts())
    assert set(found[1]) == {"process_memory_bytes"}
