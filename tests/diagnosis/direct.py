"""A scenario as a `Case` without store and wire: rates made here, in the plainest way. For tests of the steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hosts_mcp.diagnosis.model import NS, Box, Case, Process, Workload
from hosts_mcp.signals.model import BoxFacts, SignalSeries
from hosts_mcp.store.protocol import Instance, Rollup, Run, Span, SpanDetails, Entity
from hosts_mcp.diagnosis.excess import self_times
from scenarios.simulator import MIDNIGHT_NS, Machine, Piece, Point, Scrape, scrapes, stamp
from scenarios.story import RunOf, Scenario, past_runs
import math
import hashlib


def key(p: Point) -> tuple:
    return p.metric, p.attributes


class Readings:
    def __init__(self, found: Sequence[Scrape]):
        self.found = found
        self.times = [stamp(s.machine, s.t) for s in found]
        self.maps = [{key(p): p.value for p in s.host} for s in found]
        self.boots = [s.boot for s in found]

    def gauge(self, f):
        return [f(m) for m in self.maps]

    def rate(self, metric, **attrs):
        out = [None]
        for i in range(1, len(self.maps)):
            a = self.total(self.maps[i - 1], metric, attrs)
            b = self.total(self.maps[i], metric, attrs)
            dt = (self.times[i] - self.times[i - 1]) / NS
            ok = a is not None and b is not None and b >= a and self.boots[i] == self.boots[i - 1]
            out.append((b - a) / dt if ok else None)
        return out

    @staticmethod
    def total(m, metric, attrs):
        want = set(attrs.items())
        vals = [v for (name, at), v in m.items() if name == metric and want <= set(at)]
        return sum(vals) if vals else None


def signals(found: Sequence[Scrape], machine: Machine):
    r = Readings(found)
    if len(r.times) < 1:
        return {}, []
    starts, ends = [r.times[0]] + r.times[:-1], r.times
    out = {}

    def put(name, values, subject=None):
        if any(v is not None for v in values):
            s = SignalSeries(name, "1", starts[1:], ends[1:], values[1:], subject)
            if subject is None:
                out[name] = s
            return s

    cpu = {
        s: r.rate("system.cpu.time", state=s)
        for s in ("user", "system", "nice", "interrupt", "softirq", "idle", "wait", "steal")
    }

    def share(names):
        vals = []
        for i in range(len(r.times)):
            parts = {s: cpu[s][i] for s in cpu}
            if any(v is None for v in parts.values()):
                vals.append(None)
                continue
            whole = sum(parts.values())
            vals.append(sum(parts[n] for n in names) / whole if whole else None)
        return vals

    put("cpu_busy_ratio", share(("user", "system", "nice", "interrupt", "softirq")))
    put("cpu_steal_ratio", share(("steal",)))
    put("cpu_iowait_ratio", share(("wait",)))
    acc = []
    for i in range(len(r.times)):
        parts = [cpu[s][i] for s in cpu]
        acc.append(None if any(v is None for v in parts) else sum(parts) / machine.cpus)
    put("cpu_accounted_ratio", acc)
    load = r.gauge(lambda m: Readings.total(m, "system.cpu.load_average.1m", {}))
    blocked = r.gauge(lambda m: Readings.total(m, "system.processes.count", {"status": "blocked"}))
    put("load_1m", load)
    put("tasks_blocked", blocked)
    rq = [None]
    for i in range(1, len(load)):
        dt = (r.times[i] - r.times[i - 1]) / NS
        if load[i] is None or load[i - 1] is None or dt > 250:
            rq.append(None)
            continue
        if dt < 15:
            j = i
            while j > 0 and (r.times[i] - r.times[j]) / NS < 15:
                j -= 1
            dt = (r.times[i] - r.times[j]) / NS
        else:
            j = i - 1
        k = math.exp(-dt / 60)
        v = max(0.0, (load[i] - load[j] * k) / (1 - k))
        rq.append(max(0.0, v - (blocked[i] or 0.0)))
    put("run_queue", rq)
    put(
        "memory_used_ratio",
        r.gauge(
            lambda m: (
                None
                if Readings.total(m, "system.memory.usage", {}) is None
                else Readings.total(m, "system.memory.usage", {"state": "used"}) / machine.memory_bytes
            )
        ),
    )
    sw = r.gauge(lambda m: Readings.total(m, "system.paging.usage", {"state": "used"}))
    put("swap_used_ratio", [None if v is None else v / machine.swap_bytes for v in sw])

    def scaled(vals, f):
        return [None if v is None else v * f for v in vals]

    put("major_faults_per_second", scaled(r.rate("system.paging.faults", type="major"), 1 / 4096))
    put("swap_in_bytes_per_second", r.rate("system.paging.operations", direction="page_in", type="major"))
    put("swap_out_bytes_per_second", r.rate("system.paging.operations", direction="page_out", type="major"))
    devices = []
    for name, values in (
        ("disk_busy_ratio", r.rate("system.disk.io_time")),
        ("disk_queue", r.rate("system.disk.weighted_io_time")),
    ):
        put(name, values)
        devices.append(put(name, values, "sda"))
    for d in ("read", "write"):
        ops = r.rate("system.disk.operations", direction=d)
        tm = r.rate("system.disk.operation_time", direction=d)
        aw = [None if a is None or not b else a / b for a, b in zip(tm, ops)]
        for name, values in (
            (f"disk_{d}_ops_per_second", ops),
            (f"disk_{d}_await_seconds", aw),
            (f"disk_{d}_bytes_per_second", r.rate("system.disk.io", direction=d)),
        ):
            put(name, values)
            devices.append(put(name, values, "sda"))
    fs = r.gauge(
        lambda m: (
            None
            if Readings.total(m, "system.filesystem.usage", {}) is None
            else Readings.total(m, "system.filesystem.usage", {"state": "used"})
            / Readings.total(m, "system.filesystem.usage", {})
        )
    )
    ino = r.gauge(
        lambda m: (
            None
            if Readings.total(m, "system.filesystem.inodes.usage", {}) is None
            else Readings.total(m, "system.filesystem.inodes.usage", {"state": "used"})
            / Readings.total(m, "system.filesystem.inodes.usage", {})
        )
    )
    for name, values in (("filesystem_used_ratio", fs), ("inodes_used_ratio", ino)):
        put(name, values)
        devices.append(put(name, values, "/"))
    for d in ("receive", "transmit"):
        for what, metric in (
            ("packets", "system.network.packets"),
            ("drops", "system.network.dropped"),
            ("errors", "system.network.errors"),
            ("bytes", "system.network.io"),
        ):
            values = r.rate(metric, direction=d)
            put(f"network_{d}_{what}_per_second", values)
            devices.append(put(f"network_{d}_{what}_per_second", values, "eth0"))
    return out, [d for d in devices if d is not None]


def rollup(sig, ends_before):
    bins = defaultdict(lambda: defaultdict(list))
    for name, s in sig.items():
        for a, b, v in zip(s.starts_ns, s.ends_ns, s.values):
            if v is not None:
                bins[b // (300 * NS) * 300 * NS][name].append(v)
    starts = sorted(bins)
    mean = {n: [sum(bins[s][n]) / len(bins[s][n]) if bins[s].get(n) else None for s in starts] for n in sig}
    mx = {n: [max(bins[s][n]) if bins[s].get(n) else None for s in starts] for n in sig}
    return Rollup(starts, mean, mx, ["sda"] * len(starts))


def processes(found: Sequence[Scrape]):
    per = defaultdict(list)
    for s in found:
        for p, points in s.programs:
            per[p.pid].append((stamp(s.machine, s.t), p, {x.metric: x.value for x in points}))
    out = []
    for pid, rows in per.items():
        p = rows[0][1]
        times = [r[0] for r in rows]

        def rate(metric):
            return [(b[2][metric] - a[2][metric]) / ((b[0] - a[0]) / NS) for a, b in zip(rows, rows[1:])]

        sig = {
            "process_memory_bytes": SignalSeries(
                "process_memory_bytes",
                "By",
                [times[0]] + times[:-1],
                times,
                [r[2]["process.memory.usage"] for r in rows],
            )
        }
        if len(rows) > 1:
            sig["process_cpu_cores"] = SignalSeries(
                "process_cpu_cores", "{cpu}", times[:-1], times[1:], rate("process.cpu.time")
            )
            sig["process_io_bytes_per_second"] = SignalSeries(
                "process_io_bytes_per_second", "By/s", times[:-1], times[1:], rate("process.disk.io")
            )
        script = None
        words = p.command_line.split()
        if len(words) > 1 and p.executable.startswith("python"):
            script = words[1].rsplit("/", 1)[-1]
        out.append(
            Process(
                pid,
                pid,
                p.parent,
                p.executable,
                script,
                None,
                stamp(found[0].machine, p.start),
                times[0],
                times[-1],
                sig,
            )
        )
    return out


def workload_of(found, machine):
    if not machine.container:
        return None
    times = [stamp(machine, s.t) for s in found]
    vals = [{p.metric: p.value for p in s.container} for s in found]
    mem = SignalSeries(
        "container_memory_ratio",
        "1",
        [times[0]] + times[:-1],
        times,
        [v["container.memory.usage.total"] / v["container.memory.usage.limit"] for v in vals],
    )
    thr = []
    for a, b in zip(vals, vals[1:]):
        d = b["container.cpu.throttling_data.periods"] - a["container.cpu.throttling_data.periods"]
        thr.append(
            (
                b["container.cpu.throttling_data.throttled_periods"]
                - a["container.cpu.throttling_data.throttled_periods"]
            )
            / d
            if d
            else None
        )
    return Workload(
        machine.container,
        "agent",
        {
            "container_memory_ratio": mem,
            "container_throttled_ratio": SignalSeries("container_throttled_ratio", "1", times[:-1], times[1:], thr),
        },
    )


def spans_of(pieces: Sequence[Piece], start: float, trace_id: bytes, hosts, machines, resource) -> list[Span]:
    ids = {p.name: trace_id[:4] + n.to_bytes(4, "big") for n, p in enumerate(pieces, 1)}
    out = []
    for p in pieces:
        if p.lost:
            continue
        clock = machines[p.host].clock if p.host in machines else 0.0
        begin = MIDNIGHT_NS + round((start + p.start + clock) * NS)
        kind, _, message = (p.error or "").partition(": ")
        at = dict(p.attributes)
        out.append(
            Span(
                trace_id,
                ids[p.name],
                ids[p.parent] if p.parent else b"gateway!" if p.outside_parent else b"",
                p.name,
                p.service,
                sum(map(ord, p.service + p.host)),
                hosts.get(p.host),
                p.kind,
                begin,
                begin + round(p.seconds * NS),
                2 if p.error else 0,
                message,
                exception_type=kind or None,
                exception_message=message or None,
                server_address=at.get("server.address"),
                db_system=at.get("db.system"),
                pid=resource.get("process.pid") if p.service == "agent" else None,
            )
        )
    return out


def run_rows(
    spans,
) -> list[Run]:
    alone = self_times(spans)
    groups = defaultdict(list)
    for s in spans:
        groups[s.service, s.name, s.host_id].append(s)
    present = {s.span_id for s in spans}
    return [
        Run(
            spans[0].trace_id,
            sv,
            n,
            h,
            any(s.parent_id not in present for s in g),
            min(s.start_ns for s in g),
            max(s.end_ns - s.start_ns for s in g),
            sum(alone[s.span_id] for s in g) // len(g),
            len(g),
            "error" if any(s.status == 2 for s in g) else "ok",
        )
        for (sv, n, h), g in groups.items()
    ]


def case_of(s: Scenario, seed: int) -> Case:
    hosts = {m.name: n for n, m in enumerate(s.machines, 1)}
    machines = {m.name: m for m in s.machines}
    tid = hashlib.sha256(f"{s.number}/{seed}".encode()).digest()[:16]
    spans = spans_of(s.pieces, s.start, tid, hosts, machines, s.resource)
    hosts_known = {m.name: n for m, n in zip(s.machines, range(1, 99))}
    rows: list[Run] = []
    for n, r in enumerate(past_runs(s, seed)):
        rows += run_rows(
            spans_of(
                r.pieces,
                r.start,
                hashlib.sha256(f"{s.number}/{seed}/{n}".encode()).digest()[:16],
                hosts_known,
                machines,
                s.resource,
            )
        )
    histories = defaultdict(list)
    for r in rows:
        histories[r.service, r.operation].append(r)
    boxes = {}
    evaluated = (
        stamp(s.machines[0], s.end + s.asked_after) if s.machines else MIDNIGHT_NS + round((s.end + s.asked_after) * NS)
    )
    duration = s.end - s.start
    for m, n in ((m, hosts[m.name]) for m in s.machines):
        lead = max(3600.0, 3 * duration, 10 * m.interval)
        detail = s.start - lead - 3 * m.interval
        found = list(
            scrapes(m, detail - s.history_days * 86400, detail, s.end + min(s.asked_after, 10 * m.interval), seed)
        )
        sig, dev = signals(found, m)
        low = stamp(m, detail)
        cut = lambda x: (
            SignalSeries(
                x.name,
                x.unit,
                *zip(
                    *[(a, b, v) for a, b, v in zip(x.starts_ns, x.ends_ns, x.values) if a >= low]
                    or [((), (), ())][0:0]
                    or [(0, 0, None)]
                ),
                subject=x.subject,
            )
            if any(a >= low for a in x.starts_ns)
            else None
        )
        exact = {k: c for k, v in sig.items() if (c := cut(v)) is not None}
        devs = [c for d in dev if (c := cut(d)) is not None]
        fine = [x for x in found if stamp(m, x.t) >= low]
        inst = {}
        for r in rows:
            if r.host_id == n:
                f = inst.get(r.service, (r.start_ns, r.start_ns))
                inst[r.service] = (min(f[0], r.start_ns), max(f[1], r.start_ns + r.duration_ns))
        boots = sorted({stamp(m, x.boot) for x in found})
        newest = stamp(m, found[-1].t) if found else None
        boxes[n] = Box(
            n,
            m.name,
            m.name,
            "host",
            BoxFacts(m.cpus, int(m.memory_bytes), "linux"),
            round(m.interval * NS),
            exact,
            devs,
            rollup(sig, low),
            processes(fine),
            workload=workload_of(fine, m),
            boots_ns=boots,
            runs=[r for r in rows if r.host_id == n and r.start_ns >= low],
            instances=[
                Instance(
                    k, k, sum(map(ord, k + m.name)), n, s.resource.get("process.pid") if k == "agent" else None, a, b, 1
                )
                for k, (a, b) in inst.items()
            ],
            newest_ns=newest,
            now_ns=stamp(m, s.end + s.asked_after),
        )
    services = {}
    for sp in spans:
        services[sp.entity_id] = Entity(
            sp.entity_id, "service", sp.host_id, {**s.resource} if sp.service == "agent" else {}, None, 0, 0
        )
    root = next((sp for sp in spans if not sp.parent_id), spans[0])
    return Case(
        tid,
        spans,
        evaluated,
        {},
        boxes,
        histories,
        [r for r in rows if (r.service, r.operation) == (root.service, root.name)],
        (),
        services,
    )
