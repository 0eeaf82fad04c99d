"""From points to the wide row: one compiled plan per layout, and the general case for a tick in several pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import copysign, isfinite, nan
from operator import itemgetter

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals import counting
from hosts_mcp.signals.columns import COLUMN_OF, Column
from hosts_mcp.signals.meaning import Meaning, meaning
from hosts_mcp.signals.model import Frame, FramedRow, SampleRow
from hosts_mcp.signals.names import MEASURES, PLAIN

_Reduce = Callable[[Sequence[float]], float]
"""The values of a layout -> one column; NaN where they do not tell."""
_Step = tuple[str, _Reduce]
_Share = Callable[[Sequence[float]], float | None]
_Read = tuple[Slot, int, Meaning]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """How the points of one layout become columns; `values` stand in the order of the layout's slots."""

    groups: tuple[str, ...]
    sets: Mapping[str, int]
    columns: tuple[str, ...]
    steps: tuple[_Reduce, ...]
    """One for each of `columns`."""

    def reduce(self, values: Sequence[float]) -> dict[str, float]:
        """Column -> value; what is not a finite number is absent, and so is every sum it would be part of."""
        found = zip(self.columns, [step(values) for step in self.steps], strict=True)
        return {column: value for column, value in found if isfinite(value)}


@dataclass(frozen=True, slots=True)
class JointPlan:
    """How readings of several layouts become one row, where no two of them say the same."""

    frame: Frame
    reading_of: tuple[int, ...]
    """Of each group of the frame, which of the readings it is of."""
    steps: tuple[tuple[_Reduce, ...], ...]
    """Of each reading."""

    def row(self, source: str, tick: int, readings: Sequence[tuple[int, int, Sequence[float]]]) -> FramedRow:
        """`readings`: time, start and values of each layout."""
        values = [step(read) for steps, (_, _, read) in zip(self.steps, readings, strict=True) for step in steps]
        times = [readings[at][0] for at in self.reading_of]
        starts = [readings[at][1] for at in self.reading_of]
        if all(map(isfinite, values)):
            return FramedRow(source, tick, self.frame, times, starts, values)
        known = {c: v for c, v in zip(self.frame.columns, values, strict=True) if isfinite(v)}
        frame = self.frame._replace(columns=tuple(known))
        return FramedRow(source, tick, frame, times, starts, list(known.values()))


def joint_plan(plans: Sequence[RowPlan]) -> JointPlan | None:
    """None where two of them have a group or a column in common: then the points decide."""
    of_group = {group: at for at, plan in enumerate(plans) for group in plan.groups}
    columns = tuple(column for plan in plans for column in plan.columns)
    if len(of_group) < sum(len(plan.groups) for plan in plans) or len(set(columns)) < len(columns):
        return None
    groups = tuple(sorted(of_group))
    sets = tuple(plans[of_group[group]].sets[group] for group in groups)
    steps = tuple(plan.steps for plan in plans)
    return JointPlan(Frame(groups, sets, columns), tuple(of_group[group] for group in groups), steps)


def framed(row: SampleRow) -> FramedRow:
    """The same row as numbers in the order of its frame."""
    groups = tuple(sorted(row.times))
    frame = Frame(groups, tuple(row.sets.get(group, 0) for group in groups), tuple(row.values))
    times, starts = [row.times[group] for group in groups], [row.starts.get(group, 0) for group in groups]
    return FramedRow(row.source, row.tick, frame, times, starts, list(row.values.values()))


Rank = tuple[bool, float, float, int]


def precedence(value: float, start_ns: int) -> Rank:
    """Order among readings of one (entity, slot, time): the greatest is the one that counts, 0.0 before -0.0."""
    return (False, 0.0, 0.0, start_ns) if value != value else (True, value, copysign(1.0, value), start_ns)


def plan(slots: Sequence[Slot], source: str) -> RowPlan:  # noqa: ARG001 - one plan per layout and source
    """Compile; worth caching by layout. A slot without a column takes no part."""
    # In one order whatever the sender's, so that sums round alike.
    read = sorted(_counted(_distinct(slots)), key=lambda item: _order(item[0]))
    by_column: dict[Column, list[_Read]] = defaultdict(list)
    for item in read:
        column = COLUMN_OF.get((item[2].measure, item[2].label))
        if column is not None:
            by_column[column].append(item)
    steps: list[_Step] = []
    groups: dict[str, None] = {}
    summed: dict[str, list[str]] = defaultdict(list)
    for column, items in by_column.items():
        steps.append((column.name, _step(column, items)))
        groups[column.group] = None
        if column.kind == "counter":
            summed[column.group] += (f"{m.measure}:{m.label}:{m.subject}" for _, _, m in items)
    if special := _filesystem(read):
        steps = [step for step in steps if step[0] not in dict(special)] + special
        groups["filesystem"] = None
    if count := len({m.subject for _, _, m in read if m.measure.startswith("disk.")}):
        steps.append(("disk_count", lambda _: float(count)))
    if "cpu" in groups and (cpus := _cpus(slots)) and "cpu_count" not in dict(steps):
        steps.append(("cpu_count", lambda _: float(cpus)))
    sets = {group: _fingerprint(summed.get(group, ())) for group in groups}
    return RowPlan(tuple(groups), sets, tuple(column for column, _ in steps), tuple(step for _, step in steps))


def row(points: Iterable[tuple[Slot, int, int, float]], source: str, tick: int) -> SampleRow:
    """(slot, time, start, value) of one tick, in any order -> its row; the newest point of each slot wins."""
    newest: dict[Slot, tuple[tuple[int, Rank], float, int]] = {}
    for slot, time_ns, start_ns, value in points:
        rank = (time_ns, precedence(value, start_ns))
        if slot not in newest or rank > newest[slot][0]:
            newest[slot] = (rank, value, start_ns)
    slots = tuple(sorted(newest, key=_order))
    found = plan(slots, source)
    times: dict[str, int] = {}
    starts: dict[str, int] = {}
    for slot in slots:
        group = _group_of(slot)
        if group in found.groups:
            (time_ns, _), _, start_ns = newest[slot]
            if (time_ns, start_ns) > (times.get(group, -1), starts.get(group, -1)):
                times[group], starts[group] = time_ns, start_ns
    return SampleRow(source, tick, found.reduce([newest[s][1] for s in slots]), times, starts, found.sets)


def _cpus(slots: Sequence[Slot]) -> int:
    """How many CPUs these counters tell apart."""
    found = (meaning(slot) for slot in slots)
    return len({m.subject for m in found if m is not None and m.measure == "cpu.time" and not m.total})


def _group_of(slot: Slot) -> str:
    found = meaning(slot)
    if found is None:
        return ""
    column = COLUMN_OF.get((found.measure, found.label))
    return column.group if column is not None else "filesystem" if found.measure.startswith("filesystem") else ""


def _order(slot: Slot) -> tuple[str, str, str]:
    return slot.metric, slot.kind, repr(slot.attributes)


def _distinct(slots: Sequence[Slot]) -> list[_Read]:
    """A sender in migration may send one measure under two names or attributes: each meaning counts once."""
    meanings: dict[tuple[str, str, str | None], list[_Read]] = defaultdict(list)
    for position, slot in enumerate(slots):
        found = meaning(slot)
        if found is not None and slot.kind not in ("delta", "updown_delta"):
            meanings[found.measure, found.label, found.subject].append((slot, position, found))
    kept: list[_Read] = []
    for (measure, label, _), items in meanings.items():
        first = min(items, key=lambda item: _order(item[0]))
        # Connection families, swap devices and rarer states are several slots of one name and meaning: all count.
        many = label == "other" or MEASURES.get(measure, PLAIN).per_subject
        kept += [i for i in items if i[0].metric == first[0].metric] if many else [first]
    return kept


def _counted(read: Sequence[_Read]) -> list[_Read]:
    """Without the devices that do not count, and without parts where a total is sent beside them."""
    names: dict[str, set[str]] = defaultdict(set)
    totals: set[tuple[str, str]] = set()
    for _, _, found in read:
        family = found.measure.partition(".")[0]
        if found.subject is not None:
            names[family].add(found.subject)
        if found.total:
            totals.add((found.measure, found.label))
    disks, links = counting.disks(names["disk"]), counting.interfaces(names["network"])
    kept = []
    for slot, position, found in read:
        family = found.measure.partition(".")[0]
        if family == "disk" and found.subject is not None and found.subject not in disks:
            continue
        if family == "network" and found.subject is not None and found.subject not in links:
            continue
        if family == "filesystem" and not counting.mount_counts(slot):
            continue
        if family == "cpu" and not found.total and (found.measure, found.label) in totals:
            continue
        kept.append((slot, position, found))
    return kept


def _step(column: Column, items: Sequence[_Read]) -> _Reduce:
    positions = tuple(position for _, position, _ in items)
    scales = tuple(found.scale for _, _, found in items)
    if column.reducer == "mean":
        # Interrupts in hard and soft add up within each CPU; the mean is over the CPUs.
        cpus = len({found.subject for _, _, found in items})
        shares = tuple((p, s / cpus) for p, s in zip(positions, scales, strict=True))
        return lambda values: sum([values[p] * s for p, s in shares])
    if any(scale != 1.0 for scale in scales):
        pairs = tuple(zip(positions, scales, strict=True))
        combine = _COMBINE[column.reducer]
        return lambda values: combine([values[p] * s for p, s in pairs])
    if len(positions) == 1:
        return itemgetter(positions[0])
    pick, combine = itemgetter(*positions), _COMBINE[column.reducer]
    return lambda values: combine(pick(values))


_COMBINE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "last": max,
}


def _filesystem(read: Sequence[_Read]) -> list[_Step]:
    """The fullest mount, as `df` counts it: used / (used + free), reserved blocks left out."""
    mounts: dict[str, dict[str, dict[str, int]]] = {"filesystem.usage": {}, "filesystem.inodes": {}}
    for slot, position, found in read:
        if found.measure in mounts:
            device = slot.get("system.device", "device") or ""
            parts = mounts[found.measure].setdefault(f"{found.subject}\0{device}", {})
            parts[found.label] = position
    steps: list[_Step] = []
    for measure, column in (("filesystem.usage", "filesystem_used_ratio"), ("filesystem.inodes", "inodes_used_ratio")):
        shares = [share for mount in mounts[measure].values() if (share := _share_of(mount)) is not None]
        if shares:
            steps.append((column, _fullest(shares)))
    return steps


def _share_of(parts: Mapping[str, int]) -> _Share | None:
    used, free, avail, size = (parts.get(label) for label in ("used", "free", "avail", "size"))
    if len(parts.keys() & {"used", "free", "avail", "size"}) < 2:
        return None
    takeable = free if avail is None else avail
    if used is not None and takeable is not None:
        return lambda v: counting.share_of(v[used], v[takeable])
    return lambda v: counting.used_share(*(None if p is None else v[p] for p in (used, free, avail, size)))


def _fullest(shares: Sequence[_Share]) -> _Reduce:
    def step(values: Sequence[float]) -> float:
        known = [share for one in shares if (share := one(values)) is not None]
        return max(known) if known else nan

    return step


def _fingerprint(parts: Iterable[str]) -> int:
    text = "\n".join(sorted(parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1 if text else 0
