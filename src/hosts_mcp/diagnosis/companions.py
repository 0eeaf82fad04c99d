"""What else stood out at that time. A companion hints at the culprit; it never decides."""

from __future__ import annotations

from hosts_mcp.diagnosis.model import Scene, Window
from hosts_mcp.diagnosis.stats import median, robust_z
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.text import human_ratio, significant

SPOKEN = {
    "disk_busy": ("disk {} busy", human_ratio),
    "disk_queue": ("disk queue {}", significant),
    "disk_await": ("disk latency {} ms", lambda v: significant(v * 1000)),
    "busy": ("CPU {} busy", human_ratio),
    "load": ("load {}", significant),
    "memory": ("memory {} used", human_ratio),
    "major_faults": ("{} major faults/s", significant),
    "swap_pages": ("{} pages/s swapped", significant),
    "blocked": ("{} tasks waiting for block I/O", significant),
    "steal": ("steal {}", human_ratio),
    "drops": ("{} of packets dropped", human_ratio),
}
LEAST = {"disk_busy": 0.3, "disk_queue": 1.0, "busy": 0.3, "memory": 0.3, "steal": 0.03, "load": 1.0}
"""Below this a reading is worth no sentence however unusual it is."""
RESOURCE_OF = {
    "disk_busy": "disk", "disk_queue": "disk", "disk_await": "disk", "busy": "cpu", "load": "load", "memory": "memory",
    "major_faults": "memory", "swap_pages": "memory", "blocked": "disk", "steal": "steal", "drops": "network",
}  # fmt: skip
LOAD_PER_CPU, LOAD_BUSY = 1.5, 0.70


def find(scene: Scene, resource: str | None, onset: float | None, t: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(resources that stood out beside `resource`, sentences with numbers)."""
    begin = onset if onset is not None and onset < scene.effect.end else scene.effect.start
    window = [iv for iv in scene.during(Window(begin, scene.effect.end)) if not iv.gap]
    middles = {}
    for reading in SPOKEN:
        values = [v for iv in window if (v := getattr(iv, reading)) is not None]
        if values:
            middles[reading] = median(values)
    names: dict[str, None] = {}
    said = []
    for reading, value in middles.items():
        family = RESOURCE_OF[reading]
        before = scene.usual.get(reading)
        if family in (resource, *names) or before is None or value < LEAST.get(reading, 0.0):
            continue
        z = robust_z(value, before, scene.usual.spread.get(reading, 0.0), t.floors.get(reading, 0.05))
        if z > t.companion_z:
            words, show = SPOKEN[reading]
            names[family] = None
            said.append(f"{words.format(show(value))} (usual {show(before)})")
    if (waits := _tasks_wait(middles, scene.cpus)) is not None:
        names["load"] = None
        said = [s for s in said if not s.startswith("load ")] + [waits]
    return tuple(names), tuple(said)


def _tasks_wait(middles: dict[str, float], cpus: int | None) -> str | None:
    load, busy = middles.get("load"), middles.get("busy")
    if load is None or busy is None or not cpus or load <= LOAD_PER_CPU * cpus or busy >= LOAD_BUSY:
        return None
    return (
        f"load {significant(load)} on {cpus} CPUs at {human_ratio(busy)} CPU: tasks wait for I/O, not for CPU, "
        "as a batch or database job makes them"
    )
