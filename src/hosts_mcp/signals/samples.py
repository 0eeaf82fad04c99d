"""Derived signals of the whole box from the groups of its wide rows; names and formulas in `catalogue.SIGNALS`."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import sub, truediv
from statistics import median

from hosts_mcp.signals.catalogue import SIGNALS
from hosts_mcp.signals.columns import COLUMN
from hosts_mcp.signals.disk_time import believable
from hosts_mcp.signals.memory import memory, reclaimable, used_shares
from hosts_mcp.signals.model import BoxFacts, GroupSeries, Samples, SignalSeries
from hosts_mcp.signals.rates import OWN_START, Step, are_whole, increase, only_grows, steps
from hosts_mcp.timerange import NS

Column = list[float | None]
_BUSY = ("user", "system", "nice", "irq", "used")
_STATES = ("user", "system", "nice", "irq", "idle", "iowait", "steal")
_FACTOR = 4096.0
"""Linux collectors multiply page counts by this (gopsutil's mem_linux.go; the receiver passes it on)."""
_PLAIN_PAGES = frozenset({"node_exporter", "telegraf", "vector", "kubelet"})
"""Sources that read the kernel's counts themselves."""
LEAST_LOAD_SECONDS, MOST_LOAD_SECONDS = 15.0, 240.0
"""The kernel updates the load every 5 s with two decimals: over less than this its damping cannot be undone."""
_UNITS = {signal.name: signal.unit for signal in SIGNALS}


def derive(samples: Samples, facts: BoxFacts, names: Iterable[str] | None = None) -> dict[str, SignalSeries]:
    """Every signal that the samples carry (or those of `names`); one that cannot be told at all is absent."""
    wanted = None if names is None else frozenset(names)
    facts = facts_from(samples, facts)
    found: dict[str, SignalSeries] = {}
    for groups, make in _MAKERS:
        if any(group in samples for group in groups) and (wanted is None or wanted & _MADE_FROM[groups[0]]):
            for series in make(samples, facts):
                if (wanted is None or series.name in wanted) and any(v is not None for v in series.values):
                    found[series.name] = series
    return found


def groups_of(names: Iterable[str], facts: BoxFacts) -> set[str]:
    """Groups of columns from which `derive` makes these signals just as it makes them from all groups."""
    wanted = frozenset(names)
    needed = {group for signal in SIGNALS if signal.name in wanted for group in signal.groups}
    for groups, _ in _MAKERS:
        if wanted & _MADE_FROM[groups[0]]:
            needed.update(groups)
    if "run_queue" in wanted:
        needed.add("processes")
    # Facts that are not known yet are read off these.
    if facts.cpu_count is None:
        needed.add("cpu")
    if facts.memory_bytes is None or "paging" in needed:
        needed.add("memory")
    return needed


def facts_from(samples: Samples, facts: BoxFacts) -> BoxFacts:
    """What the samples themselves say of the box, where it is not known yet."""
    cpu, mem = samples.get("cpu"), samples.get("memory")
    count = _newest(cpu, "cpu_count") if cpu is not None else None
    if count is None and facts.cpu_count is None and cpu is not None:
        seconds = [total / passed for passed, total in _cpu_totals(cpu) if total]
        count = round(median(seconds)) if seconds else None
    page = _newest(mem, "memory_page_size_bytes") if mem is not None else None
    total = _newest(mem, "memory_total_bytes") if mem is not None else None
    return replace(
        facts,
        cpu_count=int(count) if count else facts.cpu_count,
        memory_bytes=int(total) if total else facts.memory_bytes,
        page_bytes=int(page) if page else facts.page_bytes,
    )


def _newest(series: GroupSeries, column: str) -> float | None:
    values = series.columns.get(column)
    return None if values is None else next((v for v in reversed(values) if v is not None), None)


class _Rates:
    """Increases of one group's counters over its steps."""

    def __init__(self, series: GroupSeries) -> None:
        self.series = series
        counters = [values for name, values in series.columns.items() if COLUMN[name].kind == "counter"]
        times = series.times_ns
        # What nearly every group does, without a look at each step: one after the other, and no counter falls.
        self._whole = are_whole(times, series.starts_ns, series.sets) and all(map(only_grows, counters))
        self._steps: Sequence[Step] = ()
        if self._whole:
            self.starts, self.ends = times[:-1], times[1:]
        else:
            self._steps = steps(
                times,
                series.starts_ns,
                series.sets,
                counters,
                clamps=series.group == "cpu",
                from_zero=series.source not in OWN_START,
            )
            self.starts, self.ends = [s.since_ns for s in self._steps], [s.until_ns for s in self._steps]
        self.seconds = [(end - start) / NS for start, end in zip(self.starts, self.ends, strict=True)]

    def grown(self, column: str, *, clamps: bool = False) -> Column:
        values = self.series.columns.get(column)
        if values is None:
            return [None] * len(self.seconds)
        if self._whole:
            return list(map(sub, values[1:], values))
        return [increase(step, values[step.before], values[step.after], clamps=clamps) for step in self._steps]

    def per_second(self, column: str, scale: float = 1.0) -> Column:
        grown = self.grown(column)
        if scale == 1.0 and None not in grown:
            return list(map(truediv, grown, self.seconds))
        pairs = zip(grown, self.seconds, strict=True)
        return [None if grown is None else scale * grown / seconds for grown, seconds in pairs]

    def make(self, name: str, values: Sequence[float | None], *marks: str) -> SignalSeries:
        return SignalSeries(
            name, _UNITS[name], self.starts, self.ends, values, source=self.series.source, quality=frozenset(marks)
        )


def _gauge(series: GroupSeries, name: str, values: Sequence[float | None], *marks: str) -> SignalSeries:
    times = series.times_ns
    return SignalSeries(
        name, _UNITS[name], [*times[:1], *times[:-1]], times, values, source=series.source, quality=frozenset(marks)
    )


# Nearly every column is known at every reading: each of these has a way for it without a look at each value.


def _clipped(values: Sequence[float | None], most: float = 1.1) -> Column:
    """A share beyond its range by a tenth is no value; up to there it is clipped to 0..1."""
    if values and None not in values and min(values) >= 0.0 and max(values) <= 1.0:  # type: ignore[type-var, operator]
        return list(values)
    return [None if v is None or v < -0.001 or v > most else min(1.0, max(0.0, v)) for v in values]


def _quotient(above: Sequence[float | None], below: Sequence[float | None]) -> Column:
    if None not in above and None not in below and 0.0 not in below:
        return list(map(truediv, above, below))
    return [None if a is None or not b else a / b for a, b in zip(above, below, strict=True)]


def _added(*columns: Sequence[float | None]) -> Column:
    """Sum of what is known at each reading; None where nothing is."""
    if not any(None in column for column in columns):
        return _all_of(columns, 0)
    rows = ([v for v in row if v is not None] for row in zip(*columns, strict=True))
    return [sum(row) if row else None for row in rows]


def _all_of(columns: Sequence[Sequence[float | None]], count: int) -> Column:
    """Sum at each reading where every one of them is known; without any column all unknown."""
    if not columns:
        return [None] * count
    if not any(None in column for column in columns):
        return list(columns[0]) if len(columns) == 1 else list(map(sum, zip(*columns, strict=True)))
    return [None if None in row else sum(row) for row in zip(*columns, strict=True)]


# ---- cpu ------------------------------------------------------------------------------------------------------


def _cpu_totals(series: GroupSeries) -> list[tuple[float, float | None]]:
    """(seconds that passed, CPU seconds of all states) of every step."""
    rates = _Rates(series)
    return list(zip(rates.seconds, _all_of(list(_states(rates).values()), len(rates.seconds)), strict=True))


def _states(rates: _Rates) -> dict[str, Column]:
    """Growth of each CPU state that this sender tells apart (Windows has no iowait, macOS no steal)."""
    columns = rates.series.columns
    sent = (s for s in _STATES if any(v is not None for v in columns.get(f"cpu_{s}_seconds", ())))
    return {state: rates.grown(f"cpu_{state}_seconds", clamps=True) for state in sent}


def _cpu(samples: Samples, facts: BoxFacts) -> list[SignalSeries]:
    series = samples.get("cpu")
    gauges = samples.get("cpu_gauges")
    found = _cpu_counters(series, facts) if series is not None else []
    if any(s.name == "cpu_busy_ratio" and any(v is not None for v in s.values) for s in found) or gauges is None:
        return found
    return found + _cpu_gauges(gauges, facts)


def _cpu_counters(series: GroupSeries, facts: BoxFacts) -> list[SignalSeries]:
    rates = _Rates(series)
    state, count = _states(rates), len(rates.seconds)
    # All states or none: one that ran backwards must not make the others look like the whole.
    total = _all_of(list(state.values()), count)
    if not state:
        # Only what was used is sent (kubelet): the whole is what the CPUs could have given.
        state, cpus = {"used": rates.grown("cpu_used_seconds")}, facts.cpu_count
        total = [seconds * cpus if cpus else None for seconds in rates.seconds]
    marks = _denominator_marks(rates.seconds, total, facts.cpu_count)

    def share(*names: str) -> Column:
        return _clipped(_quotient(_all_of([state[n] for n in names if n in state], count), total))

    wanted = _all_of([state[n] for n in ("steal", *_BUSY) if n in state], count)
    found = [
        rates.make("cpu_busy_ratio", share(*_BUSY), *marks),
        rates.make("cpu_user_ratio", share("user"), *marks),
        rates.make("cpu_system_ratio", share("system"), *marks),
        rates.make("cpu_nice_ratio", share("nice"), *marks),
        rates.make("cpu_irq_ratio", share("irq"), *marks),
        rates.make("cpu_iowait_ratio", share("iowait"), *marks),
        rates.make("cpu_steal_ratio", share("steal"), *marks),
        rates.make("cpu_steal_lost_ratio", _clipped(_quotient(state.get("steal", [None] * count), wanted))),
    ]
    if facts.cpu_count:
        found.append(_gauge(series, "cpu_count", [float(facts.cpu_count)] * len(series.times_ns)))
    return found


def _denominator_marks(passed: Sequence[float], total: Sequence[float | None], cpus: int | None) -> tuple[str, ...]:
    """CPU seconds that are not what the CPUs could have given in that time: a sleeping box, a wrong count."""
    if not cpus:
        return ()
    shares = [t / (seconds * cpus) for seconds, t in zip(passed, total, strict=True) if t is not None]
    return ("cpu_time_off",) if shares and not 0.9 <= median(shares) <= 1.1 else ()


def _cpu_gauges(series: GroupSeries, facts: BoxFacts) -> list[SignalSeries]:
    none: Column = [None] * len(series.times_ns)

    def sent(state: str) -> Sequence[float | None]:
        return series.columns.get(f"cpu_{state}_utilization", none)

    busy: Sequence[float | None] = sent("busy")
    if all(v is None for v in busy):
        idle = _added(sent("idle"), sent("iowait"), sent("steal"))
        parts = _added(*(sent(s) for s in ("user", "system", "nice", "irq")))
        has_idle = any(v is not None for v in sent("idle"))
        busy = [1 - v if v is not None else None for v in idle] if has_idle else parts
    cores = series.columns.get("cpu_used_cores")
    if all(v is None for v in busy) and cores is not None and facts.cpu_count:
        busy = [None if v is None else v / facts.cpu_count for v in cores]
    shares = {"busy": busy} | {s: sent(s) for s in ("user", "system", "nice", "irq", "iowait", "steal")}
    return [_gauge(series, f"cpu_{state}_ratio", _clipped(values)) for state, values in shares.items()]


# ---- load -----------------------------------------------------------------------------------------------------


def _load(samples: Samples, facts: BoxFacts) -> list[SignalSeries]:
    series = samples["load"]
    none: Column = [None] * len(series.times_ns)
    one = series.columns.get("load_1m", none)
    stuck = len(one) >= 20 and bool(one[0]) and len(set(one)) == 1
    marks = ("untrusted_load",) if stuck else ()
    found = [_gauge(series, f"load_{span}", series.columns.get(f"load_{span}", none)) for span in ("5m", "15m")]
    found.append(_gauge(series, "load_1m", one, *marks))
    if facts.cpu_count:
        found.append(_gauge(series, "load_per_cpu", [None if v is None else v / facts.cpu_count for v in one]))
    if not stuck and facts.os_type != "windows":
        found.append(_gauge(series, "run_queue", _run_queue(series.times_ns, one, samples.get("processes"))))
    return found


def _run_queue(times_ns: Sequence[int], load: Sequence[float | None], tasks: GroupSeries | None) -> Column:
    """Tasks that wanted to run: the one-minute load with its damping undone, less those blocked on I/O.

    n = (L1 - L0 k) / (1 - k), k = e^(-dt/60), over the nearest earlier reading at least 15 s back.
    """
    queue: Column = []
    back = 0
    for i, end in enumerate(times_ns):
        while back + 1 < i and (end - times_ns[back + 1]) / NS >= LEAST_LOAD_SECONDS:
            back += 1
        seconds = (end - times_ns[back]) / NS
        older, newer = load[back], load[i]
        if older is None or newer is None or not LEAST_LOAD_SECONDS <= seconds <= MOST_LOAD_SECONDS:
            queue.append(None)
            continue
        kept = math.exp(-seconds / 60)
        active = max(0.0, (newer - older * kept) / (1 - kept))
        queue.append(max(0.0, active - (_near(tasks, "tasks_blocked", end) or 0.0)))
    return queue


def _near(series: GroupSeries | None, column: str, end_ns: int) -> float | None:
    """The reading of another group that belongs to this moment: the last one not much later."""
    values = None if series is None else series.columns.get(column)
    if series is None or values is None:
        return None
    position = bisect_right(series.times_ns, end_ns + 2 * NS) - 1
    return values[position] if position >= 0 and end_ns - series.times_ns[position] < 120 * NS else None


# ---- memory, swap, paging -------------------------------------------------------------------------------------


def _memory(samples: Samples, facts: BoxFacts) -> list[SignalSeries]:
    series = samples["memory"]
    found = memory(series, facts)
    none: Column = [None] * len(series.times_ns)
    used = [None if t is None or a is None else t - a for t, a in zip(found.total, found.available, strict=True)]
    return [
        _gauge(series, "memory_used_ratio", used_shares(series, found), *found.quality),
        _gauge(series, "memory_total_bytes", found.total, *found.quality),
        _gauge(series, "memory_available_bytes", found.available, *found.quality),
        _gauge(series, "memory_used_bytes", used, *found.quality),
        _gauge(series, "memory_cached_bytes", series.columns.get("memory_cached_bytes", none)),
        _gauge(series, "memory_reclaimable_bytes", reclaimable(series, found), *found.quality),
    ]


def _swap(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["swap"]
    none: Column = [None] * len(series.times_ns)

    def sent(part: str) -> Sequence[float | None]:
        return series.columns.get(f"swap_{part}_bytes", none)

    total = sent("total")
    if all(v is None for v in total):
        total = _added(sent("used"), sent("free"), sent("cached"))
    used = sent("used")
    if all(v is None for v in used):
        used = [None if t is None or f is None else t - f for t, f in zip(total, sent("free"), strict=True)]
    shares = _quotient(used, total)
    if all(v is None for v in shares):
        shares = list(series.columns.get("swap_used_utilization", none))
    return [_gauge(series, "swap_used_ratio", _clipped(shares))]


def _paging(samples: Samples, facts: BoxFacts) -> list[SignalSeries]:
    series = samples["paging"]
    rates = _Rates(series)
    scale = 1.0 / _FACTOR if _is_multiplied(series, facts) else 1.0
    pages = scale * facts.page_bytes
    found = [rates.make("major_faults_per_second", rates.per_second("paging_major_faults", scale))]
    for way in ("in", "out"):
        in_bytes = rates.per_second(f"paging_swap_{way}_bytes")
        if all(v is None for v in in_bytes):
            in_bytes = rates.per_second(f"paging_swap_{way}_pages", pages)
        found.append(rates.make(f"swap_{way}_bytes_per_second", in_bytes))
    return found


def _is_multiplied(series: GroupSeries, facts: BoxFacts) -> bool:
    """Whether page counts carry the factor 4096: every one of at least three distinct values is a multiple of it."""
    if facts.os_type == "windows" or series.source in _PLAIN_PAGES:
        return False
    names = ("paging_major_faults", "paging_minor_faults", "paging_swap_in_pages", "paging_swap_out_pages")
    values = {v for name in names for v in series.columns.get(name, ()) if v}
    if any(v % _FACTOR for v in values):
        return False
    return len(values) >= 3 or (series.source == "hostmetrics" and facts.os_type in (None, "linux"))


# ---- disk, filesystem, network --------------------------------------------------------------------------------


def _disk(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["disk"]
    rates = _Rates(series)
    found = []
    for way in ("read", "write"):
        operations = rates.grown(f"disk_{way}_operations")
        found += [
            rates.make(f"disk_{way}_bytes_per_second", rates.per_second(f"disk_{way}_bytes")),
            rates.make(f"disk_{way}_ops_per_second", rates.per_second(f"disk_{way}_operations")),
            rates.make(f"disk_{way}_await_seconds", _quotient(rates.grown(f"disk_{way}_seconds"), operations)),
        ]
    marks = () if (_newest(series, "disk_count") or 1) <= 1 else ("sum_over_disks",)
    serving = _added(rates.per_second("disk_read_seconds"), rates.per_second("disk_write_seconds"))
    busy, queue = believable(rates.per_second("disk_busy_seconds"), rates.per_second("disk_queue_seconds"), serving)
    found.append(rates.make("disk_busy_ratio", busy, *marks))
    if all(v is None for v in queue) and "disk_pending_operations" in series.columns:
        found.append(_gauge(series, "disk_queue", series.columns["disk_pending_operations"], *marks))
    else:
        found.append(rates.make("disk_queue", queue, *marks))
    return found


def _filesystem(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    return _plain(samples["filesystem"], ("filesystem_used_ratio", "inodes_used_ratio"))


def _plain(series: GroupSeries, names: Sequence[str]) -> list[SignalSeries]:
    return [_gauge(series, name, series.columns[name]) for name in names if name in series.columns]


def _network(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    rates = _Rates(samples["network"])
    names = [f"network_{way}_{what}" for what in ("bytes", "packets", "errors", "drops") for way in _WAYS]
    return [rates.make(f"{name}_per_second", rates.per_second(name)) for name in names]


_WAYS = ("receive", "transmit")


def _connections(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["connections"]
    total = _added(*series.columns.values()) if series.columns else []
    return [*_plain(series, ("tcp_established",)), _gauge(series, "tcp_connections", total)]


def _conntrack(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["conntrack"]
    none: Column = [None] * len(series.times_ns)
    share = _quotient(series.columns.get("conntrack_count", none), series.columns.get("conntrack_max", none))
    return [_gauge(series, "conntrack_used_ratio", _clipped(share))]


# ---- tasks, system, pressure, containers ----------------------------------------------------------------------


def _tasks(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["processes"]
    rates = _Rates(series)
    # hostmetrics sends only the states that occur: one that is absent beside others has nobody in it.
    states = [n for n in ("tasks_running", "tasks_blocked", "tasks_zombie", "tasks_other") if n in series.columns]
    by_state = {name: list(series.columns[name]) for name in states}
    if "tasks_other" in by_state:
        by_state.setdefault("tasks_blocked", [None] * len(series.times_ns))
        by_state.setdefault("tasks_running", [None] * len(series.times_ns))
        for name, values in by_state.items():
            if name != "tasks_other":
                others = by_state["tasks_other"]
                by_state[name] = [
                    0.0 if v is None and o is not None else v for v, o in zip(values, others, strict=True)
                ]
    total = series.columns.get("tasks_total") or _added(*by_state.values())
    found = [_gauge(series, name, by_state[name]) for name in ("tasks_running", "tasks_blocked") if name in by_state]
    return [
        *found,
        _gauge(series, "tasks_total", total),
        rates.make("forks_per_second", rates.per_second("tasks_created")),
    ]


def _system(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["system"]
    times, columns = series.times_ns, series.columns
    uptime, boot = columns.get("uptime_seconds"), columns.get("boot_time_seconds")
    if uptime is None and boot is not None:
        uptime = [None if b is None else t / NS - b for t, b in zip(times, boot, strict=True)]
    if boot is None and uptime is not None:
        boot = [None if u is None else t / NS - u for t, u in zip(times, uptime, strict=True)]
    return [_gauge(series, n, v) for n, v in (("uptime_seconds", uptime), ("boot_time", boot)) if v is not None]


def _psi(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    rates = _Rates(samples["psi"])
    names = ("psi_cpu_some", "psi_memory_some", "psi_memory_full", "psi_io_some", "psi_io_full")
    return [rates.make(f"{name}_ratio", _clipped(rates.per_second(f"{name}_seconds"))) for name in names]


def _oom(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    rates = _Rates(samples["oom"])
    return [rates.make("oom_kills", rates.grown("oom_kills"))]


def _container(samples: Samples, _facts: BoxFacts) -> list[SignalSeries]:
    series = samples["container"]
    none: Column = [None] * len(series.times_ns)
    rates = _Rates(series)

    def sent(name: str) -> Sequence[float | None]:
        return series.columns.get(f"container_{name}", none)

    memory_share: Sequence[float | None] = sent("memory_limit_utilization")
    if all(v is None for v in memory_share):
        used = sent("memory_bytes")
        used = sent("memory_usage_bytes") if all(v is None for v in used) else used
        memory_share = _quotient(used, sent("memory_limit_bytes"))
    cpu_share: Sequence[float | None] = sent("cpu_limit_utilization")
    if all(v is None for v in cpu_share):
        cpu_share = _quotient(sent("cpu_cores"), sent("cpu_limit_cores"))
    throttled = _quotient(rates.grown("container_throttled_periods"), rates.grown("container_periods"))
    return [
        _gauge(series, "container_cpu_limit_ratio", cpu_share),
        _gauge(series, "container_memory_limit_ratio", memory_share),
        rates.make("container_throttled_ratio", _clipped(throttled)),
    ]


_Make = Callable[[Samples, BoxFacts], list[SignalSeries]]
_MAKERS: tuple[tuple[tuple[str, ...], _Make], ...] = (
    (("cpu", "cpu_gauges"), _cpu),
    (("load",), _load),
    (("memory",), _memory),
    (("swap",), _swap),
    (("paging",), _paging),
    (("disk",), _disk),
    (("filesystem",), _filesystem),
    (("network",), _network),
    (("connections",), _connections),
    (("conntrack",), _conntrack),
    (("processes",), _tasks),
    (("system",), _system),
    (("psi",), _psi),
    (("oom",), _oom),
    (("container",), _container),
)
_MADE_FROM: Mapping[str, frozenset[str]] = {
    groups[0]: frozenset(s.name for s in SIGNALS if groups[0] in s.groups) for groups, _ in _MAKERS
}
