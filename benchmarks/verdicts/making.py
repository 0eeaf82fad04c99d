"""Random boxes, programs, pasts and incidents: the ingredients of every family."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.verdicts.case import Case, Truth, Workshop, sorted_runs
from benchmarks.verdicts.collector import BOOTED, GIB, SCRAPERS, Process
from benchmarks.verdicts.label import widened
from benchmarks.verdicts.physics import DISKS, PHYSICS, Disk
from benchmarks.verdicts.program import CLIENT, INTERNAL, SERVER, Node, Run, Span, usual_run
from benchmarks.verdicts.world import DAY, OWN, Box, Load, Shape

MISSING = {
    "load": 0.12,
    "paging": 0.20,
    "network": 0.10,
    "filesystem": 0.10,
    "processes": 0.30,
    "disk": 0.06,
    "process": 0.5,
}
"""How often a scraper is not switched on. `process` and `processes` are off by default."""
OWN_PID = 4711
NEIGHBOURS = (
    ("pigz", "pigz -p 16 backup.tar"), ("java", "java -jar indexer.jar"), ("python3", "python3 /srv/report.py"),
    ("node", "node /srv/build.js"), ("cc1plus", "cc1plus -O2 big.cc"), ("clickhouse", "clickhouse server"),
    ("ffmpeg", "ffmpeg -i in.mp4 out.mp4"),
)  # fmt: skip
DATABASE = ("postgres", "postgres: autovacuum worker shop")


def shape(rng: random.Random, interval: float | None = None, keep: Sequence[str] = ()) -> Shape:
    iv = rng.choice(PHYSICS.intervals) if interval is None else interval
    on = frozenset(s for s in SCRAPERS if s in keep or rng.random() >= MISSING.get(s, 0.0))
    return Shape(
        interval=iv, phase=rng.uniform(0.0, iv), scrapers=on, per_core=rng.random() < 0.25, old_used=rng.random() < 0.25,
        available=rng.random() < 0.4, process_interval=max(iv, rng.choice((10.0, 30.0, 60.0))),
    )  # fmt: skip


def box(
    w: Workshop, name: str = "box", *, interval: float | None = None, disk: Disk | None = None, cores: int | None = None,
    keep: Sequence[str] = (), swap: bool | None = None, memory_gib: int | None = None,
) -> Box:  # fmt: skip
    rng, p = w.rng, PHYSICS
    made = shape(rng, interval, keep)
    n = cores or rng.choice(p.cores)
    if n > 8:
        made = replace(made, per_core=False)
    return Box(
        name=name, cores=n, memory_bytes=(memory_gib or rng.choice(p.memory_gib)) * GIB,
        disk=disk or rng.choice(DISKS), swap=rng.random() < 0.4 if swap is None else swap,
        base_cpu=rng.uniform(*p.base_cpu), base_memory=rng.uniform(*p.base_memory),
        base_depth=rng.uniform(*p.base_depth), base_packets=w.log_uniform(*p.packets),
        base_filesystem=rng.uniform(0.2, 0.8), seed=rng.getrandbits(30), shape=made,
    )  # fmt: skip


def tree(
    w: Workshop, box: Box, seconds: float, cpu: float, disk: float, remote: float, *, host: str = "box",
    service: str = OWN, name: str = "classify",
) -> Node:  # fmt: skip
    """A request of so many seconds on a calm box, split between computing, the local disk and a remote peer."""
    whole = cpu + disk + remote
    cpu, disk, remote = (seconds * x / whole for x in (cpu, disk, remote))
    requests = disk / box.disk.service_seconds
    children = [
        Node("parse", INTERNAL, host, service, cpu=cpu * 0.35),
        Node("tokenize", INTERNAL, host, service, cpu=cpu * 0.55),
    ]
    if requests > 0:
        if w.rng.random() < 0.4:
            local = (("server.address", "localhost"), ("db.system", "postgresql"))
            children.append(
                Node("SELECT", CLIENT, host, service, requests=requests * 0.7, cpu=cpu * 0.05, attributes=local)
            )
            children.append(Node("store", INTERNAL, host, service, requests=requests * 0.3, cpu=cpu * 0.05))
        else:
            children.append(Node("read", INTERNAL, host, service, requests=requests * 0.7, cpu=cpu * 0.05))
            children.append(Node("store", INTERNAL, host, service, requests=requests * 0.3, cpu=cpu * 0.05))
    if remote > 0:
        packets = w.rng.uniform(3.0, 30.0) * max(1.0, remote)
        peer = (("server.address", "model.example"), ("http.request.method", "POST"))
        children.insert(
            w.rng.randrange(len(children) + 1),
            Node("POST", CLIENT, host, service, remote=remote, packets=packets, attributes=peer),
        )
    return Node(name, SERVER, host, service, cpu=cpu * 0.05, children=tuple(children))


def duration(w: Workshop, box: Box) -> float:
    low, high = PHYSICS.traces_seconds
    return w.log_uniform(low, min(high, 200.0 * box.shape.interval))


def start_of_trace(w: Workshop) -> float:
    return w.rng.uniform(0.05, 0.9) * DAY


# ── Pasts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def past(
    w: Workshop, boxes: Mapping[str, Box], tree: Node, start: float, *, runs: int | None = None, until: float = 240.0,
    at: Sequence[float] = (), spread: float | None = None,
) -> list[Run]:  # fmt: skip
    """Earlier runs of the operation, spread over the day before up to `until` seconds before the trace."""
    n = runs if runs is not None else w.rng.choice((0, 2, 6, 8, 12, 20, 30, 30, 40, 60))
    spread = w.rng.uniform(*PHYSICS.run_spread) if spread is None else spread
    starts = list(at) or sorted(w.rng.uniform(start - 0.8 * DAY, start - until) for _ in range(n))
    return [w.execute(boxes, usual_run(tree, w.rng, spread), x) for x in starts]


def others(w: Workshop, boxes: Mapping[str, Box], start: float, end: float) -> list[Run]:
    """Other operations of other services on the first box, before and during, in a third of the cases."""
    if w.rng.random() > 0.35:
        return []
    name, here = next(iter(boxes.items()))
    out = []
    for k in range(w.rng.randint(3, 5)):
        small = tree(
            w, here, w.log_uniform(0.05, 3.0), w.rng.random(), 0.3 * w.rng.random(), 0.5 * w.rng.random(), host=name,
            service=f"other-{k}", name=f"GET /{k}",
        )  # fmt: skip
        before = [w.rng.uniform(start - 0.5 * DAY, start - 300.0) for _ in range(5)]
        before += [w.rng.uniform(start - 3000.0, start - 900.0) for _ in range(4)]
        during = [w.rng.uniform(start, max(start + 0.1, end - 0.1)) for _ in range(2)]
        out += [w.execute(boxes, usual_run(small, w.rng, 0.06), x) for x in (*before, *during)]
    return out


def own_runs(boxes: Mapping[str, Box]) -> list[Run]:
    """What the service itself does to a box shows as a run of another of its operations."""
    out = []
    for name, here in boxes.items():
        for x in here.loads:
            if x.who.split(":")[0] == OWN:
                node = Node("import", SERVER, name)
                out.append(Run(x.start, [Span(node, 0, None, x.start, x.end, None)]))
    return out


# ── Incidents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def times(w: Workshop, box: Box, start: float, seconds: float) -> tuple[float, float]:
    """When a condition holds: from long before, from just before, or from within the trace; to some time after."""
    iv = box.shape.interval
    when = w.rng.random()
    if when < 0.15:
        begin = start + w.rng.uniform(0.0, 0.3) * seconds
    elif when < 0.45:
        begin = start - w.rng.uniform(0.5, 6.0) * iv
    else:
        begin = start - w.rng.uniform(120.0, 1800.0)
    return begin, start + seconds * w.rng.uniform(2.0, 12.0) + w.rng.uniform(0.0, 900.0)


def cpu_hog(w: Workshop, box: Box, start: float, end: float, who: str = "hog", **more: float) -> Load:
    threads = box.cores * w.rng.uniform(*PHYSICS.overload) + 1.0
    return Load(who, start, end, threads=threads, **more)


def disk_hog(w: Workshop, box: Box, start: float, end: float, who: str = "hog") -> Load:
    accounted = w.rng.random() < 0.6
    return Load(who, start, end, depth=w.log_uniform(*box.disk.flood), threads=0.2, accounted=accounted)


def vacuum(w: Workshop, box: Box, start: float, end: float) -> Load:
    """A database's maintenance: one busy process, a long disk queue, and the page cache full of its reading."""
    return Load("database", start, end, depth=w.log_uniform(*box.disk.flood), threads=0.8, cache=0.4, climbs=True)


def memory_hog(w: Workshop, box: Box, start: float, end: float, who: str = "hog") -> Load:
    wanted = w.rng.uniform(0.98, 1.10) if box.swap else w.rng.uniform(0.965, 0.995)
    threads = w.rng.uniform(1.0, 4.0)
    return Load(who, start, end, threads=threads, memory=wanted - box.base_memory)


def stolen(w: Workshop, start: float, end: float) -> Load:
    return Load("hypervisor", start, end, steal=w.rng.uniform(*PHYSICS.steal))


def dropping(w: Workshop, box: Box, start: float, end: float) -> Load:
    return Load(
        "flood",
        start,
        end,
        loss=w.rng.uniform(*PHYSICS.loss),
        packets=box.base_packets * w.rng.uniform(5, 40),
        threads=0.2,
    )


APP = ("sleep", "lock", "more_work", "retry", "slow_peer")


def app_slowdown(w: Workshop, root: Node, how: str, seconds: float) -> Node:
    """The program itself takes `seconds` longer."""
    where = w.rng.randrange(len(root.children))
    target = root.children[where]
    match how:
        case "sleep" | "lock":
            changed = [replace(target, sleep=target.sleep + seconds)]
            if target.kind == CLIENT:
                changed = [target, Node(how, INTERNAL, root.host, root.service, sleep=seconds)]
        case "more_work":
            grown = next(k for k, c in enumerate(root.children) if c.name == "tokenize")
            where, target = grown, root.children[grown]
            changed = [replace(target, cpu=target.cpu + seconds)]
        case "retry":
            changed = [target, Node("back-off", INTERNAL, root.host, root.service, sleep=seconds * 0.6), target]
        case _:
            found = [k for k, c in enumerate(root.children) if c.remote]
            if not found:
                return app_slowdown(w, root, "sleep", seconds)
            where, target = found[0], root.children[found[0]]
            changed = [replace(target, remote=target.remote + seconds)]
    children = (*root.children[:where], *changed, *root.children[where + 1 :])
    return replace(root, children=children)


# ── Programs on the box ──────────────────────────────────────────────────────────────────────────────────────────────


def processes(w: Workshop, box: Box, start: float, service: str = OWN, pid: int = OWN_PID) -> list[Process]:
    born = BOOTED + 5 * DAY if w.rng.random() < 0.7 else start - w.rng.uniform(5.0, 3000.0)
    born = min([born, *(x.start - 1.0 for x in box.loads if x.who.startswith(service))])  # a parent is the older one
    out = [
        Process(service, "python3", pid, "python3 /srv/worker.py", start=born, memory=box.own_memory),
        Process("init", "systemd", 1, "systemd", memory=0.005),
        Process("cache", "redis-server", 811, "redis-server *:6379", memory=0.03),
    ]
    for n, who in enumerate(sorted({x.who for x in box.loads} - {service, "hypervisor"})):
        first = [x for x in box.loads if x.who == who]
        if who.startswith(OWN):
            begin, end = min(x.start for x in first), max(x.end for x in first)
            out.append(Process(who, "python3", 5000 + n, "python3 /srv/worker.py --child", pid, begin, end, 0.001))
            continue
        executable, line = DATABASE if who == "database" else w.rng.choice(NEIGHBOURS)
        lasting = who == "database" or any(x.nights or not x.incident for x in first) or w.rng.random() < 0.3
        begin = BOOTED if lasting else min(x.start for x in first) - w.rng.uniform(0.0, 5.0)
        end = 1e9 if lasting else max(x.end for x in first)
        out.append(Process(who, executable, 6000 + n, line, start=begin, end=end))
    return out


def finished(
    w: Workshop, family: str, name: str, boxes: dict[str, Box], run: Run, earlier: Sequence[Run], truth: Truth,
    *, history: int, note: str = "", widen: bool = True, lists: dict[str, list[Process]] | None = None,
) -> Case:  # fmt: skip
    """`history`: earlier runs of this operation."""
    here = next(iter(boxes.values()))
    listed = lists or {n: processes(w, b, run.start) for n, b in boxes.items()}
    about: dict[str, dict[str, object]] = {OWN: {}}
    if w.rng.random() < 0.9:  # an SDK that says so does on every box
        own: dict[str, object] = {"process.pid": OWN_PID, "process.executable.name": "python3"}
        about = dict.fromkeys(sorted({s.node.service for s in run.spans}), own)
    elif truth.origins and "hypervisor" not in truth.origins:  # nobody knows which process is the service's
        truth = replace(truth, origins=truth.origins | {"unknown"})
    last = max(s.end for s in run.spans) if run.died is None else run.died
    longest = max(b.shape.interval for b in boxes.values())
    case = Case(
        name, family, boxes, listed, run, sorted_runs(earlier), w.uses, truth, about,
        last + max(420.0, 6 * longest), note,
    )  # fmt: skip
    if widen:
        case.truth = widened(case, history, here)
    return case
