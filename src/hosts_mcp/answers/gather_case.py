"""Reads from the store everything that may bear on one trace and puts it into a `diagnosis.model.Case`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hosts_mcp.diagnosis import engine, recurrence, usual
from hosts_mcp.diagnosis.accounted import accounted
from hosts_mcp.diagnosis.engine import Wanted
from hosts_mcp.diagnosis.model import Box, Case, Past, Process, Workload
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.diagnosis.verdict import Diagnosis
from hosts_mcp.hosts.identity import Inventory
from hosts_mcp.signals.devices import derive_devices
from hosts_mcp.signals.model import BIN_NS, BoxFacts, RawSeries, Samples, SignalSeries
from hosts_mcp.signals.processes import derive_processes
from hosts_mcp.signals.rollup import DEVICE_METRICS
from hosts_mcp.signals.samples import derive, facts_from
from hosts_mcp.store.protocol import Entity, Host, Rollup, Run, Span, Sparse, Store
from hosts_mcp.timerange import DAY_NS, NS

HISTORY = 100
"""So many that one bad hour does not become the usual."""
FEW_RUNS = 10
OPERATIONS = 200
"""Span names of a trace that get a history; the rarest of a larger trace go without."""
ROLLUP_DAYS = 30
RUNS = 1000
PROCESS_METRICS = ("process.cpu.time", "process.memory.usage", "process.disk.io")
UNFINISHED_OR_FAILED = 2
PROCESS_SCRAPES = 240
PAST_SCRAPES = 30
BORN = {"process.cpu.time": "process_cpu_cores", "process.disk.io": "process_io_bytes_per_second"}


def diagnose(store: Store, case: Case) -> Diagnosis:
    """The verdict on a gathered case. Thirty days of rollup are read of the box that is blamed, and of no other."""
    judged = engine.judge(case)
    past = _long_past(store, judged.blamed) if judged.blamed is not None else None
    return engine.tell(case, judged, past=past)


def _long_past(store: Store, box: Box) -> Rollup | None:
    if box.past is None:
        return None
    hot = Sparse(box.past.end_ns, recurrence.HOT_AT_LEAST)
    return store.rollup(*box.past, usual.ROLLUP, maxima=False, sparse=hot)


def gather(store: Store, trace_id: bytes, now_ns: int) -> Case:
    """`trace_id` must be stored. Reads the windows that the engine names and one day of baseline."""
    return gather_spans(store, store.trace(trace_id), now_ns)


def gather_spans(store: Store, spans: Sequence[Span], now_ns: int) -> Case:
    """The same for spans in hand, all of one trace id; that trace need not be stored."""
    trace_id = spans[0].trace_id
    hosts = store.hosts()
    inventory = Inventory(hosts)
    by_id = {h.id: h for h in hosts}
    start = min(s.start_ns for s in spans)
    case = Case(
        trace_id=trace_id,
        spans=spans,
        evaluated_at_ns=now_ns,
        details=store.span_details(trace_id) if _needs_details(spans) else {},
        boxes={i: _named(by_id[i], inventory, now_ns) for i in _places(spans) if i in by_id},
        histories=_histories(store, spans, start),
        logs=store.logs(trace_id=trace_id),
        services=store.entities({s.entity_id for s in spans}),
        known_hosts=tuple(h.key for h in hosts if h.kind == "host")[:5],
    )
    wanted, told = engine.first_look(case)
    earlier = _earlier_runs(case)
    boxes = dict(case.boxes)
    for place, look in wanted.items():
        if place in by_id:
            boxes[place] = _box(store, by_id[place], inventory, look, now_ns, earlier)
    return replace(case, boxes=boxes, peers=_peers(store, case), told=told)


def _needs_details(spans: Sequence[Span]) -> bool:
    return any(s.status == UNFINISHED_OR_FAILED or s.end_ns is None for s in spans) or _orphaned(spans)


def _orphaned(spans: Sequence[Span]) -> bool:
    present = {s.span_id for s in spans}
    return not any(not s.parent_id.strip(b"\0") for s in spans) and any(s.parent_id not in present for s in spans)


def _tops(spans: Sequence[Span]) -> list[Span]:
    """Spans without a parent among these."""
    present = {s.span_id for s in spans}
    return [s for s in spans if s.parent_id not in present]


def _places(spans: Sequence[Span]) -> set[int]:
    return {s.host_id for s in spans if s.host_id is not None}


def _histories(store: Store, spans: Sequence[Span], start: int) -> dict[tuple[str, str], list[Run]]:
    """Earlier runs of the trace's operations; later ones too where there are few."""
    names = Counter((s.service, s.name) for s in spans)
    wanted = [name for name, _ in names.most_common(OPERATIONS)]
    wanted += sorted({(s.service, s.name) for s in _tops(spans)} - set(wanted))
    own = spans[0].trace_id
    found = {k: [r for r in v if r.trace_id != own] for k, v in store.histories(wanted, start, HISTORY).items()}
    end = max(s.end_ns or s.start_ns for s in spans)
    for name in wanted:
        if len(found.get(name, ())) < FEW_RUNS:
            later = store.runs(*name, after_ns=end, limit=HISTORY)
            found[name] = [*found.get(name, ()), *(r for r in later if r.trace_id != own)]
    return found


def _peers(store: Store, case: Case) -> list[Run]:
    """Runs of the root operation on any host around the trace."""
    top = min(_tops(case.spans), key=lambda s: s.start_ns)
    end = max(s.end_ns or s.start_ns for s in case.spans)
    reach = max(60 * NS, end - top.start_ns)
    return store.runs(top.service, top.name, after_ns=top.start_ns - 2 * reach, before_ns=end + reach, limit=200)


def _named(host: Host, inventory: Inventory, now_ns: int) -> Box:
    """A place without its data: enough to find the symptom and the windows to read."""
    machine = inventory.box_of(host) or host
    return Box(
        id=host.id,
        key=machine.key,
        name=machine.name,
        kind=machine.kind,
        facts=machine.facts,
        interval_ns=machine.interval_ns or host.interval_ns,
        signals={},
        aliases=machine.aliases,
        newest_ns=machine.newest_ns,
        now_ns=machine.present_ns(now_ns),
        clock_skew_seconds=_skew(machine),
        attributes=machine.attributes,
    )


def _skew(machine: Host) -> float | None:
    """Arrival against the host's own time; of data that all came late (an import) nothing is known."""
    if machine.usual_lag_ns is None or machine.last_arrived_ns <= 0:
        return None
    return -machine.usual_lag_ns / NS


def _earlier_runs(case: Case) -> list[tuple[int, int]]:
    """(begin, end) of the earlier runs of the trace's top operations, whose pressure is compared with this one's."""
    tops = {(s.service, s.name) for s in _tops(case.spans)}
    return [(r.start_ns, r.start_ns + r.duration_ns) for top in tops for r in case.histories.get(top, ())]


def _box(
    store: Store, host: Host, inventory: Inventory, look: Wanted, now_ns: int, earlier: Sequence[tuple[int, int]]
) -> Box:
    low, high = look.start_ns, look.end_ns
    machine = inventory.box_of(host)
    box = _named(host, inventory, now_ns)
    if host.kind == "container":
        box = replace(box, workload=_workload(store, host, low, high))
    if machine is None or machine.kind == "container":
        return box
    samples = store.samples(machine.id, low, high)
    facts = facts_from(samples, box.facts)
    signals = dict(derive(samples, facts))
    if facts.memory_bytes is None and (total := signals.get("memory_total_bytes")) is not None:
        facts = replace(facts, memory_bytes=next((int(v) for v in reversed(total.values) if v), None))
    if (awake := accounted(samples, facts)) is not None:
        signals[awake.name] = awake
    past = Past(machine.id, high - ROLLUP_DAYS * DAY_NS, high)
    since = low - round(TABLE.baseline_seconds * NS)
    runs = [span for span in earlier if span[0] < since]
    first = min((begin for begin, _ in runs), default=since) // BIN_NS * BIN_NS
    return replace(
        box,
        facts=facts,
        signals=signals,
        devices=derive_devices(store.points(machine.id, DEVICE_METRICS, low, high), facts),
        rollup=store.rollup(machine.id, first, high, usual.ROLLUP, maxima=False, sparse=Sparse(since, {}, runs)),
        past=past,
        processes=_processes(store, machine.id, facts, look),
        boots_ns=_boots(machine, samples),
        logs=store.logs(host_id=machine.id, start_ns=low, end_ns=high),
        runs=store.runs_between(low, high, host_id=host.id, limit=RUNS),
        instances=store.instances(host_id=host.id, since_ns=low),
        silences_ns=store.not_listening(low, high),
    )


def _boots(machine: Host, samples: Samples) -> list[int]:
    """Boot times seen in the window: start times of the host's own counters, apart by more than a minute."""
    starts: set[int] = {machine.boot_ns} if machine.boot_ns else set()
    for group in ("cpu", "disk", "network", "paging"):
        series = samples.get(group)
        if series is not None and series.source == "hostmetrics":
            starts.update(s for s in series.starts_ns if s > 0)
    boots: list[int] = []
    for start in sorted(starts):
        if not boots or start - boots[-1] > 60 * NS:
            boots.append(start)
    return boots


def _workload(store: Store, host: Host, low: int, high: int) -> Workload:
    """A container's use of its limits, whoever reports it: kubelet, docker_stats, or system metrics of the pod."""
    signals = derive(
        store.samples(host.id, low, high), BoxFacts(cpu_count=host.cpu_count, memory_bytes=host.memory_bytes)
    )
    names = {
        "container_memory_ratio": ("container_memory_limit_ratio", "memory_used_ratio"),
        "container_cpu_ratio": ("container_cpu_limit_ratio", "cpu_busy_ratio"),
        "container_throttled_ratio": ("container_throttled_ratio",),
    }
    found = {ours: signals[n] for ours, theirs in names.items() for n in theirs[::-1] if n in signals}
    return Workload(host.key, host.name, found)


def _processes(store: Store, host_id: int, facts: BoxFacts, look: Wanted) -> list[Process]:
    """Every scrape around the trace, a few of the time before: growth needs a past, not all of it."""
    entities = store.processes(host_id, look.start_ns, look.end_ns)
    if not entities:
        return []

    def read(start: int, end: int, limit: int | None) -> list[RawSeries]:
        return store.points(host_id, PROCESS_METRICS, start, end, entity_kind="process", limit_scrapes=limit)

    past = read(look.start_ns, look.focus_ns, PAST_SCRAPES) if look.focus_ns > look.start_ns else []
    raw = _joined(past, read(max(look.start_ns, look.focus_ns), look.end_ns, PROCESS_SCRAPES))
    series = derive_processes(raw, facts)
    first = _since_birth(entities, raw, look.start_ns)
    return [_process(e, _with_first(series.get(e.id, {}), first.get(e.id, {}))) for e in entities]


def _joined(past: Sequence[RawSeries], near: Sequence[RawSeries]) -> list[RawSeries]:
    """One series per entity and slot out of two reads, one after the other; those of one clock in both keep one."""
    before = {(s.entity_id, s.slot): s for s in past}
    clocks: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    out = []
    for series in near:
        old = before.pop((series.entity_id, series.slot), None)
        if old is not None:
            key = (id(old.times_ns), id(series.times_ns))
            if key not in clocks:
                clocks[key] = [*old.times_ns, *series.times_ns], [*old.starts_ns, *series.starts_ns]
            times, starts = clocks[key]
            series = replace(series, times_ns=times, values=[*old.values, *series.values], starts_ns=starts)
        out.append(series)
    return [*before.values(), *out]


def _since_birth(entities: Sequence[Entity], raw: Sequence[RawSeries], low: int) -> dict[int, dict[str, SignalSeries]]:
    """The rate of a process born inside the window up to its first reading, which counts from its birth.

    A program that lives for less than two scrapes has no other rate, and what begins with an incident is what it is.
    """
    born = {e.id: e.started_ns for e in entities if e.started_ns is not None and e.started_ns >= low}
    totals: dict[tuple[int, str], tuple[int, float]] = {}
    for series in raw:
        start = born.get(series.entity_id)
        name = BORN.get(series.slot.metric)
        if start is None or name is None or not series.times_ns or series.times_ns[0] <= start:
            continue
        _, total = totals.get((series.entity_id, name), (0, 0.0))
        totals[series.entity_id, name] = (series.times_ns[0], total + series.values[0])
    out: dict[int, dict[str, SignalSeries]] = defaultdict(dict)
    for (entity, name), (end, total) in totals.items():
        start = born[entity]
        out[entity][name] = SignalSeries(name, "", [start], [end], [total / ((end - start) / NS)])
    return out


def _with_first(rates: Mapping[str, SignalSeries], first: Mapping[str, SignalSeries]) -> dict[str, SignalSeries]:
    out = dict(rates)
    for name, head in first.items():
        if (rest := rates.get(name)) is not None:
            head = replace(
                rest,
                starts_ns=[*head.starts_ns, *rest.starts_ns],
                ends_ns=[*head.ends_ns, *rest.ends_ns],
                values=[*head.values, *rest.values],
            )
        out[name] = head
    return out


def _process(entity: Entity, signals: Mapping[str, SignalSeries]) -> Process:
    a = entity.attributes

    def number(name: str) -> int | None:
        value = str(a.get(name, ""))
        return int(value) if value.isdigit() else None

    return Process(
        entity_id=entity.id,
        pid=number("process.pid"),
        parent_pid=number("process.parent_pid"),
        executable=str(a.get("process.executable.name") or ""),
        script=str(a.get("process.script") or a.get("process.title") or "") or None,
        cgroup=str(a.get("process.linux.cgroup") or a.get("process.cgroup") or "") or None,
        started_ns=entity.started_ns,
        first_seen_ns=entity.first_seen_ns,
        last_seen_ns=entity.last_seen_ns,
        signals=signals,
    )
