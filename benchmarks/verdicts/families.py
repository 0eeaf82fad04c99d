"""The families of cases. Each makes one case from its own random numbers; the truth comes out of the physics.

`HIT`: host pressure meets a slow trace. `FAILED`: killed or failed. `CLEAR`: made so that the box is innocent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.verdicts import making as make
from benchmarks.verdicts.case import CANNOT_TELL, NO, PARTLY, YES, Case, Truth, Workshop, slow_truth
from benchmarks.verdicts.collector import GIB
from benchmarks.verdicts.label import fills_unseen
from benchmarks.verdicts.physics import DISKS, PHYSICS
from benchmarks.verdicts.program import CLIENT, INTERNAL, SERVER, Node, Run, usual_run
from benchmarks.verdicts.world import DAY, OWN, Box, Load

Family = Callable[[Workshop, str], Case | None]
"""None: the dice fell so that the trace was not slow at all; thrown again."""
TRIES = 400
LEAST_RATIO = 1.35
"""A case whose trace is hardly slower than usual says nothing; a few near the border are kept."""
HIT_LEAST = 0.15
ONE_BOX = "box"


def make_case(family: str, seed: int, number: int) -> Case:
    """The same three always make the same case."""
    name = f"{family}:{seed}:{number}"
    for attempt in range(TRIES):
        rng = random.Random(f"{name}/{attempt}")
        found = FAMILIES[family](Workshop(rng, rng.getrandbits(40)), name)
        if found is not None:
            return found
    raise RuntimeError(f"no case came out of {name}")


# ── Slow traces on one box ───────────────────────────────────────────────────────────────────────────────────────────

Incident = Callable[[Workshop, Box, float, float], Load]


def _mix(w: Workshop, kind: str) -> tuple[float, float, float]:
    """Shares of computing, local disk and remote peer of a usual run."""
    r = w.rng.random
    match kind:
        case "cpu":
            return 0.5 + r(), 0.15 * r(), 0.4 * r()
        case "disk":
            return 0.1 + 0.6 * r(), 0.3 + r(), 0.4 * r()
        case "remote":
            return 0.1 + 0.2 * r(), 0.05 * r(), 0.6 + r()
    return 0.1 + r(), r(), r()


def _hit(
    incident: Incident, mix: str, *, app: bool = False, keep: Sequence[str] = (), fits: Callable[[Box], bool] = lambda _: True,
    **box: object,
) -> Family:  # fmt: skip
    """A condition on the box, and in the mixed families something of the program's own on top."""

    def family(w: Workshop, name: str) -> Case | None:
        here = make.box(w, keep=keep, **box)
        if not fits(here):
            return None
        usual = make.duration(w, here)
        root = make.tree(w, here, usual, *_mix(w, mix))
        start = make.start_of_trace(w)
        load = incident(w, here, *make.times(w, here, start, usual))
        here = replace(here, loads=(load,))
        slowed, how = root, ""
        if app:
            how = w.rng.choice(make.APP)
            slowed = make.app_slowdown(w, root, how, usual * (w.rng.uniform(*PHYSICS.app_factor) - 1.0))
        return _slow(w, name, {ONE_BOX: here}, root, slowed, start, least=0.0 if app else HIT_LEAST, how=how)

    return family


def _slow(
    w: Workshop, name: str, boxes: dict[str, Box], root: Node, slowed: Node, start: float, *, least: float = 0.0,
    at: Sequence[float] = (), runs: int | None = None, normal: bool = False, spread: float | None = None,
    how: str = "",
) -> Case | None:  # fmt: skip
    """Executes past and present. `normal`: the trace is meant to run at its usual speed."""
    spread = w.rng.uniform(*PHYSICS.run_spread) if spread is None else spread
    this = usual_run(slowed, w.rng, spread)
    onset = min([start, *(x.start for b in boxes.values() for x in b.loads if x.incident)])
    expected = w.tried({n: b.calm() for n, b in boxes.items()}, root, start).seconds
    trial = w.tried(boxes, this, start)
    if trial.seconds > 40 * 60 or (not normal and trial.seconds < LEAST_RATIO * expected):
        return None
    n = runs if runs is not None else w.rng.choice((0, 3, 6, 8, 12, 20, 30, 30, 40, 60))
    usual = expected
    if not at and not normal and n >= 5 and trial.seconds < 1.2 * expected:
        return None
    truth = slow_truth(boxes, this, trial, usual, w.seed)
    if not normal and least and (truth.share or 0.0) < least:
        return None
    earlier = make.past(w, boxes, root, start, runs=n, until=max(240.0, start - onset + 60.0), at=at, spread=spread)
    finished = sorted(r.seconds for r in earlier if r.error is None)
    if len(finished) >= 5:
        truth = slow_truth(boxes, this, trial, finished[len(finished) // 2], w.seed)
        if not normal and (truth.ratio or 1.0) < LEAST_RATIO:
            return None
    run = w.execute(boxes, this, start)
    everything = [*earlier, *make.others(w, boxes, start, run.end), *make.own_runs(boxes)]
    return make.finished(w, name.split(":")[0], name, boxes, run, everything, truth, history=len(finished), note=how)


def _own(incident: Callable[..., Load]) -> Incident:
    """The service's own threads or children do it."""

    def made(w: Workshop, box: Box, start: float, end: float) -> Load:
        load = incident(w, box, start, end, who=w.rng.choice((OWN, f"{OWN}:child")))
        return replace(load, accounted=True)

    return made


def _stolen(w: Workshop, _: Box, start: float, end: float) -> Load:
    return make.stolen(w, start, end)


def _dropping(w: Workshop, box: Box, start: float, end: float) -> Load:
    return make.dropping(w, box, start, end)


def _vacuum(w: Workshop, box: Box, start: float, end: float) -> Load:
    return make.vacuum(w, box, start, end)


def _any(w: Workshop, box: Box, start: float, end: float) -> Load:
    pick: Incident = w.rng.choice((make.cpu_hog, make.disk_hog, make.memory_hog, _stolen))
    return pick(w, box, start, end)


# ── Slow, and the box had no part in it ──────────────────────────────────────────────────────────────────────────────


def _app(kind: str, mix: str = "any", *, how: Sequence[str] = make.APP) -> Family:
    def family(w: Workshop, name: str) -> Case | None:
        cores = 1 if kind == "one_core" else w.rng.choice((2, 4, 8)) if kind == "busy" else None
        disk = DISKS[3] if kind == "nvme" else None
        here = make.box(w, cores=cores, disk=disk)
        usual = make.duration(w, here)
        root = make.tree(w, here, usual, *_mix(w, mix))
        start = make.start_of_trace(w)
        begin, end = make.times(w, here, start, usual * 4)
        at: list[float] = []
        match kind:
            case "busy":  # every core in use, and one is left for this trace
                room = max(0.5, here.cores - 1.0 - here.base_cpu * here.cores * 1.6)
                loads = (Load("hog", begin, end, threads=room),)
            case "overloaded":  # the trace waits for somebody else meanwhile
                loads = (make.cpu_hog(w, here, begin, end),)
            case "chronic":  # as always
                incident = w.rng.choice((make.cpu_hog, make.disk_hog))
                always = incident(w, here, start - 2 * DAY, start + DAY)
                loads = (replace(always, incident=False),)
            case "niced":
                hog = make.cpu_hog(w, here, begin, end)
                loads = (replace(hog, weight=PHYSICS.nice_weight),)
                if w.rng.random() < 0.5:
                    at = _before_and_within(w, start, begin, here)
            case "cache":
                loads = (Load("database", begin, end, cache=0.8, climbs=True, threads=0.3),)
            case "nvme":  # 100 % busy, nobody waits
                loads = (Load("hog", begin, end, depth=w.rng.uniform(8.0, 48.0), threads=0.3),)
            case "steal":
                loads = (Load("hypervisor", begin, end, steal=w.rng.uniform(0.01, 0.04)),)
            case _:
                loads = ()
        here = replace(here, loads=loads)
        slowed = make.app_slowdown(w, root, w.rng.choice(how), usual * (w.rng.uniform(*PHYSICS.app_factor) - 1.0))
        case = _slow(w, name, {ONE_BOX: here}, root, slowed, start, at=at)
        if case is not None and kind == "niced":
            told = any(begin <= r.start < start for r in case.earlier) or any(
                r.spans[0].node.service != OWN for r in case.earlier
            )
            if not told:
                case.truth = replace(
                    case.truth, accepted=case.truth.accepted | {PARTLY, CANNOT_TELL},
                    widened=(*case.truth.widened, "weights"),
                )  # fmt: skip
        return case

    return family


def _before_and_within(w: Workshop, start: float, begin: float, box: Box) -> list[float]:
    """Earlier runs on the day before, and some under the same condition."""
    calm = sorted(w.rng.uniform(start - 0.8 * DAY, begin - 300.0) for _ in range(20))
    room = start - begin
    return calm + sorted(
        begin + room * w.rng.uniform(0.05, 0.8) for _ in range(5 if room > 4 * box.shape.interval else 0)
    )


def _usual_on_busy(w: Workshop, name: str) -> Case | None:
    """The box is saturated and this trace is at its usual speed."""
    here = make.box(w)
    usual = make.duration(w, here)
    root = make.tree(w, here, usual, 0.03, 0.0, 1.0)
    start = make.start_of_trace(w)
    pick: Incident = w.rng.choice((make.cpu_hog, make.disk_hog, _vacuum))
    here = replace(here, loads=(pick(w, here, *make.times(w, here, start, usual)),))
    return _slow(w, name, {ONE_BOX: here}, root, root, start, normal=True)


# ── Several boxes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _several(hit: bool) -> Family:
    """A request through two to four boxes; the pressure is on one where the work is, or on one where little is."""

    def family(w: Workshop, name: str) -> Case | None:
        n = w.rng.randint(2, 4)
        iv = w.rng.choice(PHYSICS.intervals)
        names = ["web", "orders", "stock", "ledger"][:n]
        boxes = {x: make.box(w, x, interval=iv, keep=("load",)) for x in names}
        usual = make.duration(w, boxes["web"])
        weights = [w.rng.uniform(0.5, 1.0) for _ in names]
        little = w.rng.randrange(n)
        if not hit:
            weights[little] *= 0.05
        node: Node | None = None
        for x, weight in reversed(list(zip(names, weights, strict=True))):
            kind = _mix(w, "cpu" if w.rng.random() < 0.6 else "disk")
            inner = make.tree(
                w, boxes[x], usual * weight / sum(weights), kind[0], kind[1], 0.0, host=x, service=OWN if x == "web" else x,
                name=f"{x} request",
            )  # fmt: skip
            if node is not None:
                call = Node(f"call {node.host}", CLIENT, x, inner.service, children=(node,))
                inner = replace(inner, children=(*inner.children, call))
            node = inner
        assert node is not None
        start = make.start_of_trace(w)
        where = names[w.rng.randrange(n) if hit else little]
        load = _any(w, boxes[where], *make.times(w, boxes[where], start, usual))
        boxes[where] = replace(boxes[where], loads=(load,))
        slowed, how = node, ""
        if not hit or w.rng.random() < 0.2:
            how = w.rng.choice(("sleep", "more_work"))
            slowed = make.app_slowdown(w, node, how, usual * w.rng.uniform(1.0, 4.0))
        return _slow(w, name, boxes, node, slowed, start, least=HIT_LEAST if hit else 0.0, how=how)

    return family


# ── Killed ───────────────────────────────────────────────────────────────────────────────────────────────────────────

WINDOW_BEFORE_DEATH = 30.0


def _batch(box: Box, seconds: float) -> Node:
    documents = max(6, min(60, round(seconds / 3.0)))
    one = seconds / documents
    kids = tuple(
        Node("document", INTERNAL, cpu=one * 0.7, requests=one * 0.1 / box.disk.service_seconds, sleep=one * 0.2)
        for _ in range(documents)
    )
    return Node("classify batch", SERVER, children=kids)


def _killed(how: str) -> Family:
    def family(w: Workshop, name: str) -> Case | None:
        rng = w.rng
        here = make.box(w, swap=False if how in ("neighbour", "own", "fast") else None)
        iv = here.shape.interval
        usual = w.log_uniform(60.0, min(1500.0, 240.0 * iv))
        root = _batch(here, usual)
        start = make.start_of_trace(w)
        death = start + usual * rng.uniform(0.3, 0.9)
        room = 1.0 - here.base_memory
        long_before = start - w.log_uniform(60.0, 3000.0)
        truth = Truth(NO, frozenset({NO}))
        loads: tuple[Load, ...] = ()
        rules: tuple[str, ...] = ()
        match how:
            case "neighbour":
                hog = Load(
                    "hog",
                    long_before,
                    death,
                    threads=1.0,
                    memory=room + 0.002,
                    climbs=True,
                    depth=rng.choice((0.0, 0.5, 2.0)),
                )
                keeps = replace(
                    hog, start=death, end=death + rng.uniform(20.0, 600.0), climbs=False, memory=room - 0.03
                )
                loads = (hog, keeps)
                truth = Truth(
                    YES,
                    frozenset({YES}),
                    None,
                    None,
                    frozenset({"memory"}),
                    frozenset({"neighbour"}),
                    frozenset({ONE_BOX}),
                )
            case "own":
                begun = start + rng.uniform(0.0, 0.2) * usual
                loads = (Load(OWN, begun, death, threads=0.2, memory=room + 0.002, climbs=True),)
                truth = Truth(
                    YES,
                    frozenset({YES}),
                    None,
                    None,
                    frozenset({"memory"}),
                    frozenset({"own_workload"}),
                    frozenset({ONE_BOX}),
                )
            case "fast":
                takes = room * here.memory_bytes / GIB / w.log_uniform(*PHYSICS.fill)
                if takes > 0.8 * iv:
                    return None
                loads = (Load("hog", death - takes, death, threads=2.0, memory=room + 0.002, climbs=True),)
                truth = Truth(
                    YES,
                    frozenset({YES}),
                    None,
                    None,
                    frozenset({"memory"}),
                    frozenset({"neighbour"}),
                    frozenset({ONE_BOX}),
                )
                rules = ("between",)
                truth = replace(truth, accepted=frozenset({YES, PARTLY, CANNOT_TELL}))
            case "rising":  # memory was climbing, and there was room
                top = rng.uniform(0.45, 0.80) - here.base_memory
                if top < 0.05:
                    return None
                climbing = Load("hog", long_before, death + 5.0, threads=1.0, memory=top, climbs=True)
                loads = (climbing, replace(climbing, start=climbing.end, end=climbing.end + 300.0, climbs=False))
            case "busy":
                pick = rng.choice((make.cpu_hog, make.disk_hog, _vacuum))
                loads = (pick(w, here, long_before, death + rng.uniform(30.0, 900.0)),)
            case "full":
                here = replace(here, base_memory=rng.uniform(0.905, 0.935))
                rules = ("full_anyway",)
                truth = replace(truth, accepted=frozenset({NO, PARTLY, CANNOT_TELL}))
        if any(x.climbs and x.memory * here.memory_bytes / GIB > PHYSICS.fill[1] * (x.end - x.start) for x in loads):
            return None  # nobody fills memory that fast
        here = replace(here, loads=loads)
        boxes = {ONE_BOX: here}
        onset = min([start, *(x.start for x in loads)])
        n = rng.choice((0, 4, 8, 12, 20))
        earlier = make.past(w, boxes, root, start, runs=n, until=max(usual * 1.5, start - onset + usual * 1.5))
        this = usual_run(root, rng, 0.05)
        trial = w.tried(boxes, this, start)
        if trial.end <= death or not any(s.end < death for s in trial.spans[1:]):
            return None
        run = _until(w, boxes, this, start, death)
        truth = replace(truth, widened=rules)
        signs = [x for s in run.spans for x in (s.start, s.end) if x < death]
        if "between" not in rules and fills_unseen(here, max(signs, default=death)):
            rules = (*rules, "between")
            truth = replace(truth, accepted=truth.accepted | {CANNOT_TELL}, widened=rules)
        if "memory" not in here.shape.scrapers:
            truth = replace(truth, accepted=truth.accepted | {CANNOT_TELL}, widened=(*rules, "unseen"))
        if truth.verdict == YES and (
            "process" not in here.shape.scrapers
            or loads[0].end - loads[0].start < here.shape.process_interval  # it may have come and gone unseen
        ):
            truth = replace(truth, origins=truth.origins | {"unknown"})
        lists = {ONE_BOX: _ended(make.processes(w, here, start), death)}
        others = make.others(w, boxes, start, death)
        return make.finished(
            w, name.split(":")[0], name, boxes, run, [*earlier, *others], truth, history=n, widen=False, lists=lists
        )

    return family


def _ended(processes: list, death: float) -> list:
    """The service's own process is gone after its death."""
    return [replace(p, end=death) if p.who.startswith(OWN) else p for p in processes]


def _until(w: Workshop, boxes: dict[str, Box], tree: Node, start: float, death: float) -> Run:
    run = w.execute(boxes, tree, start)
    for used in w.uses.values():
        for second in [x for x in used if start <= x and x > death]:
            del used[second]
    run.died = death
    return run


# ── Failed ───────────────────────────────────────────────────────────────────────────────────────────────────────────

EXCEPTIONS = (
    "ValueError: invalid literal for int() with base 10: 'x'", "KeyError: 'customer'",
    "HTTPStatusError: 422 Unprocessable Entity", "AssertionError: totals differ",
)  # fmt: skip


def _raises(busy: bool) -> Family:
    def family(w: Workshop, name: str) -> Case | None:
        here = make.box(w)
        usual = make.duration(w, here)
        root = make.tree(w, here, usual, *_mix(w, "any"))
        start = make.start_of_trace(w)
        if busy:
            here = replace(here, loads=(_any(w, here, *make.times(w, here, start, usual)),))
        broken = replace(root.children[0], raises=w.rng.choice(EXCEPTIONS))
        this = replace(usual_run(root, w.rng, 0.05), children=(broken, *root.children[1:]))
        return _failed(w, name, here, root, this, start, Truth(NO, frozenset({NO})))

    return family


def _disk_full(w: Workshop, name: str) -> Case | None:
    """Somebody else filled the file system, or the service's own output did while it ran."""
    rng = w.rng
    here = make.box(w, keep=("filesystem",))
    iv = here.shape.interval
    own = rng.random() < 0.35
    usual = w.log_uniform(12.0 * iv, 60.0 * iv) if own else make.duration(w, here)
    root = make.tree(w, here, usual, *_mix(w, "any"))
    start = make.start_of_trace(w)
    need = 1.0 - here.base_filesystem
    if own:
        load = Load(OWN, start, start + usual * 0.6, filesystem=need, depth=0.5)
    else:
        full = start - rng.uniform(2 * iv, 1800.0)
        load = Load("hog", full - w.log_uniform(60.0, 6000.0), full, filesystem=need, depth=0.5)
    here = replace(here, loads=(load,))
    this = replace(root, children=(*root.children[:-1], replace(root.children[-1], writes=True)))
    truth = Truth(
        YES, frozenset({YES}), None, None, frozenset({"filesystem"}),
        frozenset({"own_workload"} if own else {"neighbour"}), frozenset({ONE_BOX}),
    )  # fmt: skip
    return _failed(w, name, here, root, this, start, truth)


def _timeout(host: bool) -> Family:
    """A peer is given up. `host`: because this box loses packets; else because the peer is slow, beside a busy CPU."""

    def family(w: Workshop, name: str) -> Case | None:
        here = make.box(w, keep=("network",) if host else ())
        usual = w.rng.uniform(0.5, 20.0)
        root = make.tree(w, here, usual, 0.1, 0.0, 1.0)
        start = make.start_of_trace(w)
        call = next(c for c in root.children if c.remote)
        call = replace(call, timeout=call.remote * w.rng.uniform(2.0, 4.0))
        begin, end = make.times(w, here, start, usual)
        if host:
            here = replace(here, loads=(make.dropping(w, here, begin, end),))
            call = replace(call, packets=w.log_uniform(100.0, 1000.0) * call.remote)  # a chatty exchange
        elif w.rng.random() < 0.6:
            here = replace(here, loads=(make.cpu_hog(w, here, begin, end),))
        root = replace(root, children=tuple(call if c.remote else c for c in root.children))
        this = usual_run(root, w.rng, 0.05)
        if not host:
            this = replace(
                this, children=tuple(replace(c, remote=c.remote * 6.0) if c.remote else c for c in this.children)
            )
        truth = Truth(NO, frozenset({NO}))
        if host:
            truth = Truth(
                YES,
                frozenset({YES}),
                None,
                None,
                frozenset({"network"}),
                frozenset({"neighbour"}),
                frozenset({ONE_BOX}),
            )
            if w.tried({ONE_BOX: here.calm()}, this, start).error:
                return None
            truth = replace(truth, origins=truth.origins | {"unknown"})  # a link does not say who filled it
        return _failed(w, name, here, root, this, start, truth, keep_origins=True)

    return family


def _failed(
    w: Workshop, name: str, here: Box, root: Node, this: Node, start: float, truth: Truth, *, keep_origins: bool = False
) -> Case | None:
    boxes = {ONE_BOX: here}
    if w.tried(boxes, this, start).error is None:
        return None
    onset = min([start, *(x.start for x in here.loads)])
    n = w.rng.choice((0, 6, 12, 20, 30))
    earlier = make.past(w, boxes, root, start, runs=n, until=max(240.0, start - onset + 240.0))
    run = w.execute(boxes, this, start)
    if truth.verdict == YES and "process" not in here.shape.scrapers and not keep_origins:
        truth = replace(truth, origins=truth.origins | {"unknown"})
    others = make.others(w, boxes, start, run.end)
    return make.finished(w, name.split(":")[0], name, boxes, run, [*earlier, *others], truth, history=n, widen=False)


def _pages(box: Box) -> bool:
    """A disk slow enough that paging is felt."""
    return box.disk.name != "nvme"


HIT: dict[str, Family] = {
    "cpu_hog": _hit(make.cpu_hog, "cpu"),
    "cpu_own": _hit(_own(make.cpu_hog), "cpu"),
    "steal": _hit(_stolen, "cpu"),
    "disk_hog": _hit(make.disk_hog, "disk"),
    "vacuum": _hit(_vacuum, "disk"),
    "disk_own": _hit(_own(make.disk_hog), "disk"),
    "paging": _hit(make.memory_hog, "any", fits=_pages),
    "paging_own": _hit(_own(make.memory_hog), "any", fits=_pages),
    "drops": _hit(_dropping, "remote"),
    "cpu_and_app": _hit(make.cpu_hog, "any", app=True),
    "disk_and_app": _hit(make.disk_hog, "any", app=True),
    "paging_and_app": _hit(make.memory_hog, "any", app=True, fits=_pages),
    "steal_and_app": _hit(_stolen, "any", app=True),
    "several_boxes": _several(hit=True),
}
FAILED: dict[str, Family] = {
    "oom_neighbour": _killed("neighbour"),
    "oom_own": _killed("own"),
    "oom_fast": _killed("fast"),
    "disk_full": _disk_full,
    "timeout_drops": _timeout(host=True),
}
CLEAR: dict[str, Family] = {
    "app_calm": _app("calm"),
    "app_on_busy_cores": _app("busy"),
    "peer_on_overload": _app("overloaded", "remote", how=("slow_peer",)),
    "app_chronic": _app("chronic"),
    "app_beside_niced": _app("niced", "cpu", how=("sleep", "lock", "retry")),
    "app_page_cache": _app("cache"),
    "app_busy_nvme": _app("nvme", "disk"),
    "app_little_steal": _app("steal", "cpu"),
    "more_work_one_core": _app("one_core", "cpu", how=("more_work",)),
    "usual_on_busy": _usual_on_busy,
    "bystander_box": _several(hit=False),
    "kill_calm": _killed("calm"),
    "kill_rising": _killed("rising"),
    "kill_busy": _killed("busy"),
    "kill_full": _killed("full"),
    "exception_calm": _raises(busy=False),
    "exception_busy": _raises(busy=True),
    "timeout_peer": _timeout(host=False),
}
FAMILIES: dict[str, Family] = {**HIT, **FAILED, **CLEAR}
