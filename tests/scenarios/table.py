"""The scenarios: what is done to a box and a trace, and what a good diagnostician would say. Add one at the end.

Numbers are those of the design's corpus. Times are seconds after midnight; `H1` is 01:00. `pre` and `post` in a
condition are minutes it holds before and after the trace.
"""

from __future__ import annotations

from dataclasses import replace

from scenarios.simulator import CLIENT, DAY, GIB, SCRAPERS, SERVER, Machine, Piece, Program, Push
from scenarios.story import H1, H2, Expected, Past, Scenario, compute, killed

NIGHTS = 7
M = 60.0


def pushed(start: float, seconds: float, pre: float, post: float, *moves: tuple[str, float]) -> tuple[Push, ...]:
    """Conditions that hold from `pre` minutes before the trace to `post` minutes after it; a `=` in front sets."""
    return tuple(
        Push(name.lstrip("="), value, start - pre * M, start + seconds + post * M, put=name.startswith("="))
        for name, value in moves
    )


def nightly_disk(end: float = H2, nights: int = NIGHTS) -> tuple[Push, ...]:
    return tuple(
        Push(name, value, 0.0, end, put=True, nights=nights)
        for name, value in (("disk_busy", 0.98), ("disk_queue", 14.0), ("disk_await", 0.095), ("disk_ops", 147.0))
    )


def vacuum_night(top: float = 0.55, end: float = H2, earlier: float = 0.32) -> tuple[Push, ...]:
    """Memory climbs from midnight, disk and CPU are busy; the same disk job on earlier nights, with less memory."""
    return (
        Push("memory", top, 0.0, end, climb=True),
        Push("memory", earlier, -DAY, -DAY + end, climb=True, nights=NIGHTS - 1),
        *nightly_disk(end),
        Push("cpu", 0.30, 0.0, end, nights=NIGHTS),
        Push("major_faults", 400.0, end - 15 * M, end),
    )


def climb(start: float, end: float, base: float, rise: float):  # type: ignore[no-untyped-def]
    """Bytes of a process that grows by `rise` between two times and stays there until `end` + 2 minutes."""

    def at(t: float) -> float:
        if t < start:
            return base
        if t > end + 120.0:
            return base
        return base + rise * min(1.0, (t - start) / (end - start))

    return at


AGENT = {"process.pid": 4711, "process.executable.name": "python3"}
POSTGRES = Program("postgres", 900, climb(0.0, H2, 0.3 * GIB, 4.0 * GIB), lambda t: 1.0 if 0 <= t < H2 else 0.02,
                   lambda t: 8e6 if 0 <= t < H2 else 1e4, "postgres: autovacuum worker shop")  # fmt: skip
AGENT_PROCESS = Program("python3", 4711, climb(H1, H2, 0.2 * GIB, 0.35 * GIB), lambda t: 0.3, lambda t: 1e4,
                        "python3 /srv/agent.py", start=H1 - 60, end=H2)  # fmt: skip
LEAKING_AGENT = replace(AGENT_PROCESS, memory=climb(H1, H2, 0.2 * GIB, 4.4 * GIB))
QUIET_POSTGRES = Program("postgres", 900, lambda t: 0.3 * GIB, command_line="postgres: checkpointer")
BATCH = killed(H2 - H1 - 5)
FINE_NIGHTS = Past(3300.0, 0.05, NIGHTS, compute(3300.0), at=tuple(H1 - n * DAY for n in range(NIGHTS, 0, -1)))
OFTEN = Past(3300.0, 0.05, 8, killed(3300.0), at=tuple(H1 - n * DAY / 8 for n in range(9, 1, -1)))


def nights(**change) -> Scenario:  # type: ignore[no-untyped-def]
    base = Scenario(
        1, "seed story: the vacuum fills memory before the agent begins", (Machine(pushes=vacuum_night()),), BATCH,
        Expected("Y", ("neighbour",), ("memory",), "host", recurrence="daily"), FINE_NIGHTS, history_days=7.5,
    )  # fmt: skip
    return replace(base, **change)


def usual(seconds: float, spread: float = 0.08) -> Past:
    return Past(seconds, spread, 30, compute(seconds))


def slow(
    number: int,
    title: str,
    seconds: float,
    expected: Expected,
    *,
    machine: Machine | None = None,
    usually: float = 30.0,
    **rest,
) -> Scenario:  # type: ignore[no-untyped-def]
    return Scenario(
        number,
        title,
        (machine or Machine(),),
        rest.pop("pieces", compute(seconds)),
        expected,
        rest.pop("past", usual(usually)),
        **rest,
    )


def failing(error: str, seconds: float = 30.0) -> tuple[Piece, ...]:
    root, child = compute(seconds)
    return replace(root, error=error), replace(child, error=error)


def calling(seconds: float, address: str, error: str | None = None) -> tuple[Piece, ...]:
    """A request that waits for somebody else nearly all the time."""
    return (
        Piece("classify documents", 0.0, seconds, kind=SERVER, error=error),
        Piece(
            "POST",
            0.2,
            seconds - 0.4,
            kind=CLIENT,
            parent="classify documents",
            error=error,
            attributes=(("server.address", address),),
        ),
    )


def steps(**seconds: float) -> tuple[Piece, ...]:
    """A request that takes one step after the other, a second of its own before and after them."""
    out, at = [], 1.0
    for name, took in seconds.items():
        out.append(Piece(name, at, took, parent="classify documents"))
        at += took
    return Piece("classify documents", 0.0, at + 1.0, kind=SERVER), *out


PEERS = tuple((f"other-{n}", "box", 60.0, 1.0) for n in range(4))
DB_PAST = Past(0.8, 0.08, 30, (Piece("GET /orders", 0.0, 0.8, kind=SERVER, service="web", host="web"),
                               Piece("SELECT", 0.05, 0.7, kind=CLIENT, service="web", host="web", parent="GET /orders"),
                               Piece("query", 0.07, 0.66, kind=SERVER, service="db", host="db", parent="SELECT")))  # fmt: skip
DB_TRACE = (Piece("GET /orders", 0.0, 20.0, kind=SERVER, service="web", host="web"),
            Piece("SELECT", 0.05, 19.9, kind=CLIENT, service="web", host="web", parent="GET /orders"),
            Piece("query", 0.07, 19.86, kind=SERVER, service="db", host="db", parent="SELECT"))  # fmt: skip
LOCAL_DB = (Piece("nightly report", 0.0, 39.0, kind=SERVER), Piece("SELECT orders", 0.5, 38.0, kind=CLIENT, parent="nightly report",
            attributes=(("server.address", "localhost"), ("db.system", "postgresql"))))  # fmt: skip
LOCAL_DB_USUAL = (replace(LOCAL_DB[0], seconds=8.0), replace(LOCAL_DB[1], seconds=7.4))
BIG = {"memory_bytes": 32 * GIB}
DISK_HOT = (("=disk_busy", 0.99), ("=disk_queue", 16.0), ("=disk_await", 0.120), ("=disk_ops", 133.0))


def pigz(pre: float, post: float, seconds: float) -> Program:
    begin, end = H1 - pre * M, H1 + seconds + post * M
    return Program("pigz", 7001, lambda t: 0.05 * GIB, lambda t: 3.2, command_line="pigz -p 8", start=begin, end=end)


def silent(
    number: int, title: str, expected: Expected, *, machine: Machine | None = None, every: float = 240.0, **rest
) -> Scenario:  # type: ignore[no-untyped-def]
    """A service that answers every few minutes and is silent after a last request that ended well. No trace tells."""
    runs = int(4 * 3600 / every)
    rest.setdefault(
        "past", Past(1.0, 0.08, runs, compute(1.0), at=tuple(H2 - (n + 1) * every for n in reversed(range(runs))))
    )
    rest.setdefault("asks", ("service", "agent"))
    rest.setdefault("asked_after", 3600.0)
    return Scenario(number, title, (machine or Machine(),), compute(1.0), expected, start=rest.pop("start", H2), **rest)


FULL = (Push("memory", 0.56, 0.0, H2 + 3, climb=True), Push("disk_busy", 0.9, 0.0, H2 + 3, put=True))
"""Memory climbs until just after the last request, and is given back."""
QUIET_AGENT = replace(AGENT_PROCESS, start=H2 - 5 * 3600, end=H2 + 3, memory=lambda t: 0.3 * GIB)
EATING_POSTGRES = replace(POSTGRES, memory=climb(0.0, H2 + 3, 0.3 * GIB, 4.2 * GIB))


FAST_DISK = {"disk_await": 0.00025, "disk_queue": 0.05, "disk_busy": 0.05, "disk_ops": 200.0}


def reading(seconds: float, first: float) -> tuple[Piece, ...]:
    """Two spans that wait for the disk, and a short one that computes."""
    return (
        Piece("classify documents", 0.0, seconds, kind=SERVER),
        Piece("tokenize", 0.1, 0.8, parent="classify documents"),
        Piece("read", 1.0, first, parent="classify documents"),
        Piece("store", 1.0 + first, seconds - first - 1.2, parent="classify documents"),
    )


def three_boxes(seconds: float) -> tuple[Piece, ...]:
    """web calls orders calls stock, where the time goes."""
    return (
        Piece("GET /", 0.0, seconds + 0.4, kind=SERVER, service="web", host="web"),
        Piece("call orders", 0.1, seconds + 0.2, kind=CLIENT, service="web", host="web", parent="GET /"),
        Piece("order", 0.12, seconds + 0.16, kind=SERVER, service="orders", host="orders", parent="call orders"),
        Piece("call stock", 0.15, seconds + 0.1, kind=CLIENT, service="orders", host="orders", parent="order"),
        Piece("count", 0.17, seconds + 0.06, kind=SERVER, service="stock", host="stock", parent="call stock"),
    )


def side_by_side(seconds: float) -> tuple[Piece, ...]:
    return (
        *compute(seconds, share=0.96),
        Piece("render", seconds * 0.02, seconds * 0.9, parent="classify documents"),
    )


def two_steps(first: float, second: float) -> tuple[Piece, ...]:
    return (
        Piece("classify documents", 0.0, first + second + 1.0, kind=SERVER),
        Piece("parse", 0.5, first, parent="classify documents"),
        Piece("render", 0.5 + first, second, parent="classify documents"),
    )


SCENARIOS: tuple[Scenario, ...] = (
    nights(),
    nights(number=2, title="the same with the process scraper", machines=(Machine(pushes=vacuum_night(), programs=(POSTGRES, AGENT_PROCESS)),),
           expected=Expected("Y", ("neighbour",), ("memory",), "host", culprit="postgres"), resource=AGENT),
    nights(number=3, title="mirror image: the agent's own leak, with the process scraper",
           machines=(Machine(pushes=(Push("memory", 0.56, H1, H2, climb=True),), programs=(QUIET_POSTGRES, LEAKING_AGENT)),),
           expected=Expected("Y", ("own_workload",), ("memory",), "host"), resource=AGENT, history_days=1.0),
    nights(number=4, title="mirror image without the process scraper", machines=(Machine(pushes=(Push("memory", 0.56, H1, H2, climb=True),)),),
           expected=Expected("Y", ("own_workload",), ("memory",), "host"), history_days=1.0),
    slow(5, "half of the CPU is stolen", 75.0, Expected("Y", ("hypervisor",), ("steal",), "hypervisor"),
         machine=Machine(pushes=pushed(H1, 75, 10, 15, ("steal", 0.5), ("=cpu", 0.70)))),
    slow(6, "the file system was full before", 30.0, Expected("Y", ("neighbour",), ("filesystem",)), pieces=failing("OSError: [Errno 28] No space left on device"),
         machine=Machine(pushes=(Push("filesystem", 0.479, H1 - 3000, H1 - 300, climb=True, hold=3000),))),
    slow(7, "packets are dropped, a call times out", 30.0, Expected("Y", ("neighbour", "unknown"), ("network",)),
         pieces=calling(30.0, "api.example", "TimeoutError: timed out after 30 s"), others=PEERS,
         machine=Machine(pushes=pushed(H1, 30, 5, 5, ("drops", 0.08))), past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    slow(8, "an exception of the program on an idle box", 30.0, Expected("N"), pieces=failing("ValueError: invalid literal")),
    slow(9, "an external API is slow, the box idle", 94.0, Expected("N"), pieces=calling(94.0, "api.example"), past=Past(14.5, 0.08, 30, calling(14.5, "api.example"))),
    slow(10, "CPU at 93 % without a queue, usual speed", 31.0, Expected("N"), machine=Machine(pushes=pushed(H1, 31, 10, 10, ("=cpu", 0.90)))),
    slow(11, "an external API is slow on an overloaded box", 94.0, Expected("N"), pieces=calling(94.0, "api.example"),
         past=Past(14.5, 0.08, 30, calling(14.5, "api.example")), machine=Machine(pushes=pushed(H1, 94, 10, 10, ("=cpu", 1.42)))),
    Scenario(12, "the box sends no metrics", (), compute(75.0), Expected("T"), usual(30.0)),
    slow(13, "one single scrape", 75.0, Expected("T"), machine=Machine(read_once=H1 + 40)),
    Scenario(14, "the database's disk is saturated, the web box is calm",
             (Machine("web"), Machine("db", pushes=pushed(H1, 20, 10, 10, *DISK_HOT))), DB_TRACE,
             Expected("Y", ("neighbour",), ("disk",), host="db"), DB_PAST),
    Scenario(15, "the web box is busy, the time is lost in a database that waits", (Machine("web", pushes=pushed(H1, 20, 10, 10, ("=cpu", 1.30))), Machine("db")),
             DB_TRACE, Expected("N"), DB_PAST),
    slow(16, "page cache fills the memory; a lock", 95.0, Expected("N"), machine=Machine(pushes=pushed(H1, 95, 10, 10, ("memory", 0.05)))),
    slow(17, "two seconds inside a minute's mean with a burst", 2.0, Expected("T"), usually=0.4, machine=Machine(interval=60.0, pushes=(Push("cpu", 0.95, H1, H1 + 2.2),))),
    slow(18, "bounds clear a calm box", 20.0, Expected("N"), usually=4.0, machine=Machine(base={"cpu": 0.04, "disk_busy": 0.01})),
    slow(19, "one of eight cores is pegged", 290.0, Expected("N"), usually=60.0, machine=Machine(cpus=8, pushes=pushed(H1, 290, 10, 10, ("cpu", 0.125)))),
    slow(20, "the container is throttled, the host idle", 110.0, Expected("Y", ("own_workload",), ("cpu",), "container"),
         machine=Machine(container="3f2a9c0b1d4e", pushes=pushed(H1, 110, 5, 5, ("throttled", 0.8))), resource={"container.id": "3f2a9c0b1d4e"}),
    Scenario(21, "the container reaches its own limit, the node has room", (Machine(container="3f2a9c0b1d4e", pushes=(Push("container_memory", 0.69, H1, H1 + 1500, climb=True),), **BIG),),
             killed(1495.0), Expected("Y", ("own_workload",), ("memory",), "container"), Past(1400.0, 0.05, 20, compute(1400.0)), resource={"container.id": "3f2a9c0b1d4e"}),
    slow(22, "somebody compresses backups", 66.0, Expected("Y", ("neighbour",), ("cpu",), culprit="pigz"), resource=AGENT,
         machine=Machine(pushes=pushed(H1, 66, 20, 30, ("cpu", 1.6)), programs=(pigz(20, 30, 66), replace(AGENT_PROCESS, start=H1 - 9000, end=H2)))),
    slow(23, "the service's own flood of requests", 80.0, Expected("Y", ("own_workload",), ("cpu",)), resource=AGENT,
         machine=Machine(pushes=pushed(H1, 80, 0.5, 0.5, ("cpu", 2.2)),
                         programs=(replace(AGENT_PROCESS, start=H1 - 9000, end=H2, cpu=lambda t: 3.6 if H1 - 30 <= t < H1 + 110 else 0.2), QUIET_POSTGRES))),
    Scenario(24, "the nightly disk job slows a local query, as on every night",
             (Machine(pushes=tuple(Push(n, v, 0.0, H2, put=True, nights=NIGHTS) for n, v in (("disk_busy", 0.98), ("disk_queue", 14.0), ("disk_await", 0.100), ("disk_ops", 140.0)))),),
             LOCAL_DB, Expected("Y", ("neighbour",), ("disk",), recurrence="daily"),
             Past(8.0, 0.08, 28, LOCAL_DB_USUAL, at=tuple(sorted([H1 + 600 - n * DAY for n in range(1, 8)] + [H1 - n * DAY + h * 3600 for n in range(1, 8) for h in (6, 12, 18)])),
                  factors=tuple(4.6 if k % 4 == 0 else 1.0 for k in range(28))), history_days=7.5),
    nights(number=25, title="the story; metrics stop four minutes before the kill", machines=(Machine(pushes=vacuum_night(), silent=((H2 - 245, 1e9),)),),
           expected=Expected("YP", ("neighbour", "unknown"), ("memory",))),
    Scenario(26, "metrics are missing around the kill, calm before", (Machine(silent=((H1 + 600, H1 + 1700),)),), killed(1500.0), Expected("T"), Past(1400.0, 0.05, 20, compute(1400.0))),
    Scenario(27, "the host restarts in mid-trace", (Machine(boots=(-30 * DAY, H1 + 900)),), killed(890.0), Expected("Y", ("unknown", "neighbour", "hypervisor"), ("restart",)),
             Past(1400.0, 0.05, 20, compute(1400.0))),
    slow(28, "an exception of the program on an overloaded box", 30.0, Expected("N"), pieces=failing("KeyError: 'x'"), machine=Machine(pushes=pushed(H1, 30, 10, 10, ("cpu", 1.5)))),
    slow(29, "MemoryError with most of the memory free", 30.0, Expected("N"), pieces=failing("MemoryError: ")),
    Scenario(30, "killed by a deploy on a calm big box", (Machine(interval=10.0, **BIG),), killed(600.0), Expected("N"), Past(900.0, 0.05, 20, compute(900.0))),
    slow(31, "the disk is busy every night and earlier runs were fine", 120.0, Expected("NP"),
         machine=Machine(pushes=tuple(Push(n, v, 0.0, H2, put=True, nights=NIGHTS) for n, v in (("disk_busy", 0.9), ("disk_queue", 5.0), ("disk_await", 0.045), ("disk_ops", 110.0)))),
         past=Past(30.0, 0.08, 7, compute(30.0), at=tuple(H1 + 300 - n * DAY for n in range(7, 0, -1))), history_days=7.5),
    slow(32, "a neighbour makes the box swap", 240.0, Expected("Y", ("neighbour",), ("memory",), culprit="java"), resource=AGENT,
         machine=Machine(swap_bytes=4 * GIB, base={"swap_used": 0.05},
                         pushes=pushed(H1, 240, 10, 10, ("memory", 0.57), ("swap_pages", 3000.0), ("major_faults", 1500.0), ("swap_used", 0.6), ("=disk_busy", 0.97), ("=disk_queue", 6.0), ("=disk_await", 0.03), ("=disk_ops", 200.0)),
                         programs=(Program("java", 5000, lambda t: 5.0 * GIB if H1 - 600 <= t < H1 + 840 else 0.6 * GIB), replace(AGENT_PROCESS, start=H1 - 9000, end=H2, memory=lambda t: 0.3 * GIB)))),
    slow(33, "tasks wait for storage that is not this disk", 300.0, Expected("YP", ("neighbour", "unknown"), ("disk",), "storage"), others=PEERS,
         machine=Machine(pushes=pushed(H1, 300, 5, 5, ("blocked", 14.0)))),
    slow(34, "three per cent of steal", 120.0, Expected("N"), machine=Machine(pushes=pushed(H1, 120, 10, 10, ("steal", 0.03)))),
    slow(35, "drops as always; an API times out", 30.0, Expected("N"), pieces=calling(30.0, "api.example", "TimeoutError: timed out"), machine=Machine(base={"drops": 0.015}),
         past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    slow(36, "the box's clock is four minutes ahead", 70.0, Expected("Y", ("neighbour",), ("cpu",)), machine=Machine(clock=240.0, pushes=pushed(H1, 70, 7, 8, ("cpu", 1.6)))),
    slow(37, "too many open files", 30.0, Expected("YP", ("own_workload",), ("file_descriptors",), "process"), pieces=failing("OSError: [Errno 24] Too many open files")),
    slow(38, "inodes are used up, space is not", 30.0, Expected("Y", ("neighbour",), ("filesystem",)), pieces=failing("OSError: [Errno 28] No space left on device"),
         machine=Machine(pushes=(Push("inodes", 0.9, H1 - 3000, H1 - 300, climb=True, hold=3000),))),
    slow(39, "the same operation is as slow on five other hosts", 110.0, Expected("NP"), machine=Machine(pushes=pushed(H1, 110, 10, 10, ("cpu", 1.1)))),
    slow(40, "other operations suffer, nothing is saturated", 110.0, Expected("P", (), ("none",)), others=tuple((f"other-{n}", "box", 4.0, 1.0) for n in range(6))),
    Scenario(41, "spans are still coming", (Machine(),), killed(100.0), Expected("T"), Past(3000.0, 0.05, 20, compute(3000.0)), asked_after=20.0),
    Scenario(42, "memory fills and empties between two samples", (Machine(interval=60.0, phase=20.0, pushes=(Push("memory", 0.58, H1 + 571, H1 + 591, climb=True),)),), killed(590.0, 10), Expected("Y", ("unknown",), ("memory",)),
             Past(900.0, 0.05, 20, compute(900.0))),
    nights(number=43, title="the story's night, another trace at its usual speed", pieces=compute(31.0), past=usual(30.0), expected=Expected("N"), start=H2 - 600),
    slow(44, "a little slower on an overloaded box, inside its spread", 36.0, Expected("N"), past=usual(30.0, 0.2), machine=Machine(pushes=pushed(H1, 36, 10, 10, ("cpu", 1.2)))),
    slow(45, "the service's own file fills the disk", 600.0, Expected("Y", ("own_workload",), ("filesystem",)), pieces=failing("OSError: [Errno 28] No space left on device", 600.0),
         machine=Machine(pushes=(Push("filesystem", 0.479, H1, H1 + 595, climb=True, hold=10),)), usually=600.0),
    slow(46, "first run ever, beside a neighbour's CPU load", 66.0, Expected("P", (), ("cpu",)), past=None, resource=AGENT,
         machine=Machine(pushes=pushed(H1, 66, 20, 30, ("cpu", 1.6)), programs=(pigz(20, 30, 66), replace(AGENT_PROCESS, start=H1 - 100, end=H2)))),
    slow(47, "first run ever, on an idle box", 66.0, Expected("NT"), past=None),
    slow(48, "CPU at 90 % all day without a queue; a lock", 150.0, Expected("N"), machine=Machine(base={"cpu": 0.88})),
    slow(49, "a mild overload of a trace that is much slower", 180.0, Expected("P", (), ("cpu",)), machine=Machine(pushes=pushed(H1, 180, 10, 10, ("=cpu", 1.4)))),
    slow(50, "an NVMe disk at 100 % with no queue to speak of", 120.0, Expected("N"),
         machine=Machine(pushes=pushed(H1, 120, 10, 10, ("=disk_busy", 1.0), ("=disk_queue", 1.6), ("=disk_await", 0.0003), ("=disk_ops", 5300.0)))),
    nights(number=51, title="the story with nothing but the cpu scraper", machines=(Machine(pushes=vacuum_night(), scrapers=("cpu",)),), expected=Expected("T"), history_days=1.0),
    Scenario(52, "other pods fill the node, the own container is far from its limit", (Machine(container="3f2a9c0b1d4e", node="box", pushes=(Push("memory", 0.57, H1 - 3000, H1 + 1500, climb=True),), **BIG),),
             killed(1495.0), Expected("Y", ("neighbour",), ("memory",), "host"), Past(1400.0, 0.05, 20, compute(1400.0)), resource={"container.id": "3f2a9c0b1d4e"}),
    Scenario(53, "a box that is always 91 % full; a deploy kills", (Machine(base={"memory": 0.91}, **BIG),), killed(600.0), Expected("NTP"), Past(900.0, 0.05, 20, compute(900.0))),
    slow(54, "overloaded all day as usual; today much slower", 150.0, Expected("N"), machine=Machine(base={"cpu": 1.3})),
    Scenario(55, "memory and swap are full and swapping; killed", (Machine(swap_bytes=2 * GIB, base={"swap_used": 0.1}, pushes=(Push("memory", 0.55, H1 - 2400, H1 + 1500, climb=True), Push("swap_used", 0.87, H1 - 600, H1 + 1500, climb=True), Push("swap_pages", 2500.0, H1 + 600, H1 + 1500))),),
             killed(1495.0), Expected("YP", ("neighbour", "unknown"), ("memory",)), Past(1400.0, 0.05, 20, compute(1400.0))),
    nights(number=56, title="the story with cpu and memory once a minute", machines=(Machine(interval=60.0, pushes=vacuum_night(), scrapers=("cpu", "memory")),),
           expected=Expected("YP", ("neighbour", "unknown"), ("memory",)), history_days=1.0),
    nights(number=57, title="the story topping out just below 95 %, killed a minute before", machines=(Machine(pushes=vacuum_night(0.548)),), pieces=killed(H2 - H1 - 65)),
    slow(58, "a laptop sleeps forty minutes in mid-trace", 2430.0, Expected("Y", ("unknown",), ("suspend",)), pieces=compute(2430.0),
         machine=Machine(pushes=(Push("asleep", 1.0, H1 + 10, H1 + 2410),))),
    slow(59, "behind a gateway that exports elsewhere, slow by a lock", 95.0, Expected("N"),
         pieces=tuple(replace(p, outside_parent=p.parent is None) for p in compute(95.0))),
    Scenario(60, "an own long-lived server leaks for six hours", (Machine(pushes=(Push("memory", 0.57, H1 - 6 * 3600, H1 + 2, climb=True),)),),
             (Piece("GET /", 0.0, 2.0, kind=SERVER, lost=True), Piece("render", 0.1, 1.5, parent="GET /")), Expected("Y", ("own_workload", "unknown"), ("memory",)),
             Past(1.5, 0.08, 60, (Piece("GET /", 0.0, 1.5, kind=SERVER), Piece("render", 0.1, 1.2, parent="GET /")), at=tuple(H1 - 7 * 3600 + n * 420.0 for n in range(60)))),
    Scenario(61, "a three minute model call, the process alive", (Machine(programs=(replace(AGENT_PROCESS, end=1e9),)),), killed(60.0, 4), Expected("T"), Past(400.0, 0.05, 20, compute(400.0)),
             asked_after=150.0, resource=AGENT),
    Scenario(62, "two boxes explain half each", (Machine("web", pushes=pushed(H1, 120, 10, 10, ("cpu", 1.3))), Machine("db", pushes=pushed(H1, 120, 10, 10, ("cpu", 1.3)))),
             (Piece("GET /report", 0.0, 100.0, kind=SERVER, service="web", host="web"), Piece("render", 50.0, 49.0, service="web", host="web", parent="GET /report"),
              Piece("CALL", 0.2, 49.4, kind=CLIENT, service="web", host="web", parent="GET /report"), Piece("crunch", 0.3, 49.2, kind=SERVER, service="db", host="db", parent="CALL")),
             Expected("Y", (), ("cpu",)),
             Past(40.0, 0.08, 30, (Piece("GET /report", 0.0, 60.0, kind=SERVER, service="web", host="web"), Piece("render", 30.0, 29.0, service="web", host="web", parent="GET /report"),
              Piece("CALL", 0.2, 29.4, kind=CLIENT, service="web", host="web", parent="GET /report"), Piece("crunch", 0.3, 29.2, kind=SERVER, service="db", host="db", parent="CALL")))),
    slow(63, "ten seconds in a thirty second mean that hides eight of saturation", 10.0, Expected("T"), usually=4.0, start=H1 + 7.0,
         machine=Machine(pushes=(Push("cpu", 0.85, H1 + 8, H1 + 16),), base={"cpu": 0.05})),
    silent(70, "a service is silent since its box was out of memory; no trace was left", Expected("YP", ("neighbour", "unknown"), ("memory",), "host"), machine=Machine(pushes=FULL)),
    silent(71, "the same with processes: its own is gone, and postgres had grown", Expected("Y", ("neighbour",), ("memory",), "host", culprit="postgres"), resource=AGENT,
           machine=Machine(pushes=FULL, programs=(EATING_POSTGRES, QUIET_AGENT))),
    silent(72, "the same box asked about by its name, while another service goes on", Expected("Y", ("neighbour",), ("memory",), "host", culprit="postgres"), resource=AGENT, asks=("host", "box"),
           machine=Machine(pushes=FULL, programs=(EATING_POSTGRES, QUIET_AGENT)), others=(("other", "box", 1.0, 1.0),)),
    silent(73, "a service is silent since a calm moment of a big calm box", Expected("N"), machine=Machine(interval=10.0, **BIG)),
    silent(74, "its box sent no metrics", Expected("T"), machine=Machine(silent=((-DAY, 1e9),))),
    silent(75, "it still talks: the moment lies between two requests", Expected("N"), asks_at=H2 - 3600.0, machine=Machine(pushes=FULL)),
    silent(76, "a batch job that ended well and comes every night", Expected("N"), past=FINE_NIGHTS, start=H1, history_days=7.5, asked_after=8 * 3600.0, machine=Machine(interval=10.0, **BIG)),
    silent(77, "a usual pause, on a box that was out of memory just then", Expected("T"), machine=Machine(pushes=FULL), every=2700.0, asked_after=2800.0),
    silent(78, "it is quiet and its process is alive", Expected("T"), resource=AGENT, machine=Machine(programs=(replace(QUIET_AGENT, end=1e9),))),
    nights(number=79, title="the story without a trace id: the service was killed with a trace under way", asks=("service", "agent"), asks_at=H2),
    nights(number=80, title="the story asked about by the box, twenty minutes early", asks=("host", "box"), asks_at=H2 - 1200.0, pieces=killed(H2 - H1 - 400)),
    slow(64, "a fast disk answers in two milliseconds instead of a quarter", 16.0, Expected("Y", ("neighbour",), ("disk",)), pieces=reading(16.0, 10.0), usually=4.0, past=Past(4.0, 0.08, 30, reading(4.0, 1.6)),
         machine=Machine(base=FAST_DISK, scrapers=tuple(x for x in SCRAPERS if x not in ("load", "processes")), pushes=pushed(H1, 16, 10, 10, ("=disk_busy", 1.0), ("=disk_queue", 64.0), ("=disk_await", 0.002), ("=disk_ops", 32_000.0)))),
    slow(65, "an NVMe disk has fourteen requests in flight and answers as ever; a lock", 12.0, Expected("N"), usually=4.0,
         machine=Machine(base=FAST_DISK, pushes=pushed(H1, 12, 10, 10, ("=disk_busy", 1.0), ("=disk_queue", 14.0), ("=disk_await", 0.00025), ("=disk_ops", 56_000.0)))),
    slow(66, "a retry waits on an overloaded box: no box adds a back-off", 60.0, Expected("N"), machine=Machine(pushes=pushed(H1, 60, 10, 10, ("cpu", 1.5))),
         pieces=(replace(compute(30.0, share=0.9)[0], seconds=60.0), compute(30.0, share=0.9)[1], Piece("back-off", 29.0, 30.0, parent="classify documents")), past=Past(29.0, 0.05, 30, compute(29.0, share=0.9))),
    slow(67, "niced neighbours fill the box for hours and hurt nobody; a lock", 95.0, Expected("N"),
         machine=Machine(pushes=pushed(H1, 95, 180, 10, ("cpu", 2.5))), past=Past(30.0, 0.08, 24, compute(30.0), at=tuple(H1 - DAY * 0.9 + n * 3600 for n in range(18)) + tuple(H1 - 9000 + n * 1300 for n in range(6)))),
    slow(68, "a peer times out while everybody else waits for the CPU", 30.0, Expected("N"), pieces=calling(30.0, "api.example", "TimeoutError: timed out after 30 s"), others=PEERS,
         machine=Machine(pushes=pushed(H1, 30, 5, 5, ("cpu", 2.5))), past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    Scenario(69, "killed by a deploy while everybody else waits for the CPU", (Machine(interval=10.0, pushes=pushed(H1, 600, 5, 5, ("cpu", 2.5)), **BIG),), killed(600.0), Expected("N"),
             Past(900.0, 0.05, 20, compute(900.0)), others=tuple((f"other-{n}", "box", 60.0, 1.0) for n in range(5))),
    slow(81, "a slow disk makes a few page faults dear", 150.0, Expected("Y", (), ("memory",)),
         machine=Machine(swap_bytes=4 * GIB, base={"disk_await": 0.008, "disk_busy": 0.10, "cpu": 0.04}, pushes=pushed(H1, 150, 10, 10, ("memory", 0.57), ("swap_pages", 220.0), ("major_faults", 110.0), ("=disk_busy", 0.85), ("=disk_queue", 2.5), ("=disk_await", 0.024), ("=disk_ops", 105.0)))),
    slow(82, "no load average, but the kernel counts who wants to run", 66.0, Expected("Y", ("neighbour", "unknown"), ("cpu",)),
         machine=Machine(scrapers=tuple(x for x in SCRAPERS if x != "load"), pushes=pushed(H1, 66, 20, 30, ("cpu", 1.9)))),
    Scenario(83, "memory fills within a minute of scrapes; the last reading is 85 %", (Machine(interval=60.0, phase=50.0, pushes=(Push("memory", 0.60, H1 + 542, H1 + 606, climb=True),)),), killed(605.0, 40), Expected("Y", (), ("memory",)),
             Past(900.0, 0.05, 20, compute(900.0))),
    slow(84, "memory is full and nothing says whether it pages", 95.0, Expected("TP"), machine=Machine(scrapers=tuple(x for x in SCRAPERS if x != "paging"), pushes=pushed(H1, 95, 10, 10, ("memory", 0.56)))),
    slow(85, "one step waits for a lock on an overloaded box, the other step only for its core", 80.0, Expected("N"), usually=14.0, past=Past(14.0, 0.05, 30, two_steps(10.0, 3.0)),
         pieces=two_steps(16.0, 60.0), machine=Machine(pushes=pushed(H1, 80, 10, 10, ("=cpu", 1.6)))),
    slow(95, "somebody compresses, and the spans do not say which process is theirs", 66.0, Expected("Y", ("unknown",), ("cpu",), culprit="pigz"),
         machine=Machine(pushes=pushed(H1, 66, 20, 30, ("cpu", 1.6)), programs=(pigz(20, 30, 66), replace(AGENT_PROCESS, start=H1 - 9000, end=H2)))),
    Scenario(96, "a climb that began three scrapes before the agent", (Machine(interval=60.0, pushes=(Push("memory", 0.59, H1 - 182, H1 + 1011, climb=True, hold=120),)),), killed(1005.0, 40),
             Expected("Y", ("neighbour",), ("memory",)), Past(1400.0, 0.05, 20, compute(1400.0))),
    slow(97, "the store waits for the disk a little, the reading long for something else", 20.5, Expected("PN"), pieces=reading(20.5, 16.6), usually=4.0, past=Past(4.0, 0.08, 30, reading(4.0, 1.6)),
         machine=Machine(base=FAST_DISK, pushes=pushed(H1, 16, 10, 10, ("=disk_busy", 1.0), ("=disk_queue", 64.0), ("=disk_await", 0.002), ("=disk_ops", 32_000.0)))),
    slow(98, "a name is not resolved, the box is calm", 12.0, Expected("N"), pieces=calling(12.0, "api.example", "ConnectError: [Errno -3] Temporary failure in name resolution"),
         past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    slow(99, "a box without load average and page faults, as Windows sends it; all cores are busy", 66.0, Expected("YP", ("neighbour", "unknown"), ("cpu",)),
         machine=Machine(scrapers=("cpu", "memory", "disk", "filesystem", "network"), pushes=pushed(H1, 66, 20, 30, ("cpu", 1.9)))),
    Scenario(100, "three boxes, the slow one sends no metrics", (Machine("web"), Machine("orders")), three_boxes(20.0), Expected("T"), Past(1.0, 0.08, 30, three_boxes(0.7))),
    Scenario(101, "two steps side by side on an overloaded box count once", (Machine(pushes=pushed(H1, 66, 20, 30, ("cpu", 1.6))),), side_by_side(66.0), Expected("Y", ("neighbour", "unknown"), ("cpu",)),
             Past(30.0, 0.08, 30, side_by_side(30.0))),
    slow(102, "a step side by side with a longer one is slow and delays nobody", 31.0, Expected("N"), pieces=(*compute(30.5), Piece("audit", 0.5, 28.0, parent="classify documents")),
         machine=Machine(pushes=pushed(H1, 31, 10, 10, ("cpu", 1.6))), past=Past(30.0, 0.08, 30, (*compute(30.0), Piece("audit", 0.5, 4.0, parent="classify documents")))),
    slow(103, "the connection table is full, a call times out", 30.0, Expected("Y", ("neighbour", "unknown"), ("network",)), pieces=calling(30.0, "api.example", "TimeoutError: timed out after 30 s"), others=PEERS,
         machine=Machine(scrapers=(*SCRAPERS, "conntrack"), pushes=pushed(H1, 30, 5, 5, ("=conntrack", 1.0))), past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    slow(104, "the kernel's own pressure: a full box where hardly anybody waits for a core; a lock", 95.0, Expected("N"),
         machine=Machine(scrapers=(*SCRAPERS, "psi"), pushes=pushed(H1, 95, 10, 10, ("cpu", 1.5), ("=psi_cpu", 0.04)))),
    slow(105, "the kernel's own pressure: tasks wait for a core most of the time", 66.0, Expected("Y", ("neighbour", "unknown"), ("cpu",)),
         machine=Machine(scrapers=(*SCRAPERS, "psi"), pushes=pushed(H1, 66, 20, 30, ("cpu", 1.6), ("=psi_cpu", 0.7)))),
    nights(number=106, title="the story, told by pending spans: the root was announced and never ended", pieces=(replace(BATCH[0], pending=True), *BATCH[1:])),
    Scenario(107, "a spot instance is taken away in mid-trace", (Machine(boots=(-30 * DAY, H1 + 900), attributes=(("cloud.instance.lifecycle", "spot"),)),), killed(890.0),
             Expected("Y", ("hypervisor",), ("restart",)), Past(1400.0, 0.05, 20, compute(1400.0))),
    slow(108, "one packet in forty is dropped, never before; an API times out", 30.0, Expected("YP", ("neighbour", "unknown"), ("network",)), pieces=calling(30.0, "api.example", "TimeoutError: timed out after 30 s"), others=PEERS,
         machine=Machine(pushes=pushed(H1, 30, 5, 5, ("drops", 0.025))), past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    slow(109, "a large box that hardly works: of what it wants much is stolen", 75.0, Expected("YP", ("hypervisor",), ("steal",), "hypervisor"),
         machine=Machine(cpus=16, base={"cpu": 0.01}, pushes=pushed(H1, 75, 10, 15, ("=steal", 0.022)))),
    slow(110, "all CPUs are busy, nothing says whether anybody queues, and others are slow", 90.0, Expected("PT", ("neighbour", "unknown"), ("cpu",)), others=PEERS,
         machine=Machine(scrapers=tuple(x for x in SCRAPERS if x != "load"), pushes=pushed(H1, 90, 10, 10, ("=cpu", 1.6)))),
    slow(111, "tasks wait for a disk that sends no metrics", 90.0, Expected("T"),
         machine=Machine(scrapers=tuple(x for x in SCRAPERS if x != "disk"), pushes=pushed(H1, 90, 10, 10, ("blocked", 3.0)))),
    slow(112, "never seen before, it waited for a peer while the disk was busy", 30.0, Expected("N"), pieces=calling(30.0, "api.example"), past=None,
         machine=Machine(pushes=pushed(H1, 30, 5, 5, ("=disk_busy", 0.98), ("=disk_queue", 14.0), ("=disk_await", 0.095), ("=disk_ops", 147.0)))),
    Scenario(113, "killed between two samples; the page cache is all there", (Machine(interval=60.0, phase=20.0),), killed(590.0, 10), Expected("N"), Past(900.0, 0.05, 20, compute(900.0))),
    Scenario(114, "killed between two samples, while the disk read more than memory holds", (Machine(interval=60.0, phase=20.0, base={"disk_ops": 2500.0, "disk_await": 0.0003}),), killed(590.0, 10),
             Expected("T"), Past(900.0, 0.05, 20, compute(900.0))),
    slow(115, "one packet in sixty is dropped, never before; an API times out", 30.0, Expected("YP", ("neighbour", "unknown"), ("network",)), pieces=calling(30.0, "api.example", "TimeoutError: timed out after 30 s"),
         machine=Machine(pushes=pushed(H1, 30, 5, 5, ("drops", 0.0165))), past=Past(10.0, 0.08, 30, calling(10.0, "api.example"))),
    slow(116, "never seen before, local work beside a disk three times as slow as usual", 60.0, Expected("P", ("neighbour", "unknown"), ("disk",)), past=None,
         machine=Machine(pushes=pushed(H1, 60, 20, 20, ("=disk_busy", 0.99), ("=disk_queue", 9.0), ("=disk_await", 0.0085), ("=disk_ops", 1000.0)))),
    slow(117, "one span computes more than ever while another waits for the disk", 472.0, Expected("N"), pieces=steps(tokenize=340.0, read=130.0), past=Past(63.0, 0.05, 30, steps(tokenize=40.0, read=21.0)), resource=AGENT,
         machine=Machine(pushes=pushed(H1, 472, 20, 20, ("=disk_busy", 0.99), ("=disk_queue", 12.0), ("=disk_await", 0.016), ("=disk_ops", 750.0)),
                         programs=(replace(AGENT_PROCESS, start=H1 - 3 * DAY, end=H2 + 3600, memory=lambda t: 0.2 * GIB, cpu=lambda t: 1.0 if H1 + 1 <= t < H1 + 341 else 0.03),))),
    slow(118, "paging hits whatever computes far harder than the box's mean says", 472.0, Expected("Y", ("neighbour", "unknown"), ("memory",)), pieces=steps(parse=200.0, tokenize=260.0, store=10.0), past=Past(37.0, 0.05, 30, steps(parse=10.0, tokenize=15.0, store=10.0)),
         machine=Machine(swap_bytes=4 * GIB, pushes=pushed(H1, 472, 20, 20, ("=memory", 0.97), ("=major_faults", 700.0), ("=swap_pages", 900.0), ("=cpu", 0.30), ("=disk_busy", 0.9), ("=disk_queue", 2.4), ("=disk_await", 0.005), ("=disk_ops", 400.0)))),
)  # fmt: skip
BY_NUMBER = {s.number: s for s in SCENARIOS}
