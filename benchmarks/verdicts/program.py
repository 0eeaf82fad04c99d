"""A traced program: a tree of spans with the work each one does, and its execution against the boxes' truth."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from benchmarks.verdicts.physics import PHYSICS
from benchmarks.verdicts.world import OWN, Box

INTERNAL, SERVER, CLIENT = 1, 2, 3


@dataclass(frozen=True)
class Node:
    """A span and what it does itself, half of it before its children and half after."""

    name: str
    kind: int = INTERNAL
    host: str = "box"
    service: str = OWN
    cpu: float = 0.0
    """Seconds of one core."""
    requests: float = 0.0
    """Disk requests, one after the other."""
    remote: float = 0.0
    """Seconds that a peer without spans of its own takes."""
    packets: float = 0.0
    """That its exchange with the peer needs."""
    sleep: float = 0.0
    """Seconds of waiting for nothing that the box has: a sleep, a lock, a back-off."""
    children: tuple[Node, ...] = ()
    parallel: bool = False
    """Its children run at the same time."""
    attributes: tuple[tuple[str, object], ...] = ()
    timeout: float | None = None
    """The peer is given up after so many seconds: an error."""
    raises: str | None = None
    """Exception at its end as `Type: message`."""
    writes: bool = False
    """Needs room on the file system of its box."""

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    def scaled(self, work: float, remote: float) -> Node:
        """The same with so much more work of its own and of its peers."""
        return replace(
            self, cpu=self.cpu * work, requests=self.requests * work, remote=self.remote * remote,
            children=tuple(c.scaled(work, remote) for c in self.children),
        )  # fmt: skip


@dataclass
class Use:
    """What traces used of a box in one second."""

    cpu: float = 0.0
    requests: float = 0.0
    running: float = 0.0
    waiting: float = 0.0


@dataclass(frozen=True)
class Span:
    node: Node
    number: int
    parent: int | None
    start: float
    end: float
    error: str | None


@dataclass
class Run:
    """One execution: its spans (parents first) and when it began and ended."""

    start: float
    spans: list[Span] = field(default_factory=list)
    died: float | None = None
    instance: int = 0

    @property
    def end(self) -> float:
        return self.spans[0].end

    @property
    def seconds(self) -> float:
        return self.spans[0].end - self.spans[0].start

    @property
    def error(self) -> str | None:
        return self.spans[0].error


class Execution:
    """Runs a tree against the truth of its boxes; `uses` collects what it used, for the boxes' counters."""

    def __init__(self, boxes: Mapping[str, Box], rng: random.Random, uses: dict[str, dict[int, Use]] | None) -> None:
        self.boxes, self.rng, self.uses = boxes, rng, uses

    def run(self, root: Node, start: float) -> Run:
        out = Run(start)
        self._node(root, start, None, out)
        return out

    def _node(self, node: Node, t: float, parent: int | None, out: Run) -> tuple[float, str | None]:
        number = len(out.spans)
        out.spans.append(Span(node, number, parent, t, t, None))
        error: str | None = None
        begun = t
        t = self._work(node, t + PHYSICS.span_overhead_seconds, 0.5)
        ends = [t]
        for child in node.children:
            end, failed = self._node(child, t, number, out)
            ends.append(end)
            error = error or failed
            if error:
                break
            if not node.parallel:
                t = end
        t = max(ends)
        if error is None:
            t = self._work(node, t, 0.5)
            if node.timeout is not None and t - begun > node.timeout:
                t, error = begun + node.timeout, f"TimeoutError: timed out after {node.timeout:.1f} s"
            if node.writes and self.boxes[node.host].at(t).filesystem >= 0.999:
                error = "OSError: [Errno 28] No space left on device: '/var/lib/app/out.tmp'"
            error = error or node.raises
        out.spans[number] = replace(out.spans[number], end=t, error=error)
        return t, error

    def _work(self, node: Node, t: float, part: float) -> float:
        """Moves through a share of the node's own work, second by second; returns when it is done."""
        box = self.boxes[node.host]
        cpu, requests, remote, packets, sleep = (
            part * x for x in (node.cpu, node.requests, node.remote, node.packets, node.sleep)
        )
        if cpu + requests + remote + sleep <= 0:
            return t
        done = 0.0
        while True:
            state = box.at(t)
            lost = packets * state.loss * PHYSICS.retransmit_seconds
            on_cpu, on_disk = cpu * state.cpu_stretch(), requests * state.wait
            whole = on_cpu + on_disk + remote + lost + sleep
            until = math.floor(t) + 1.0
            step = min(until - t, (1.0 - done) * whole)
            moved = step / whole
            if self.uses is not None:
                use = self.uses[node.host].setdefault(math.floor(t), Use())
                use.cpu += moved * cpu
                use.requests += moved * requests
                use.running += step * on_cpu / whole
                use.waiting += step * on_disk / whole
            done += moved
            t += step
            if done >= 1.0 - 1e-9:
                return t


def new_uses() -> dict[str, dict[int, Use]]:
    return defaultdict(dict)


def usual_run(root: Node, rng: random.Random, spread: float) -> Node:
    """One run's own work: inputs differ."""
    return root.scaled(rng.lognormvariate(0.0, spread), rng.lognormvariate(0.0, PHYSICS.remote_spread))
