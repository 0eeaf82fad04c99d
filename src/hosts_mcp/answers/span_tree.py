"""A trace's spans as a tree: depth, self time, and which spans say most. Pure functions; no recursion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hosts_mcp.store.protocol import Span

ERROR = 2


@dataclass(frozen=True, slots=True)
class Node:
    """One span in its place. `self_ns` is its duration less the union of its children; None while it has no end."""

    span: Span
    depth: int
    self_ns: int | None
    orphan: bool
    """Its parent never arrived (or the parents form a circle)."""

    @property
    def unfinished(self) -> bool:
        return self.span.end_ns is None

    @property
    def failed(self) -> bool:
        return self.span.status == ERROR


@dataclass(frozen=True, slots=True)
class Shown:
    """A node that is shown, `indent` shown ancestors above it, and what is left out below it."""

    node: Node
    indent: int
    hidden: int
    hidden_self_ns: int


def tree(spans: Sequence[Span]) -> list[Node]:
    """Every span once, parents before children, siblings by start."""
    by_id = {s.span_id: s for s in spans}
    children: dict[bytes, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id, []).append(span)
    tops = [s for s in spans if not s.parent_id or s.parent_id not in by_id or s.parent_id == s.span_id]
    tops.sort(key=lambda s: (bool(s.parent_id), s.start_ns))
    nodes: list[Node] = []
    seen: set[bytes] = set()
    waiting = [(s, 0, bool(s.parent_id)) for s in reversed(tops)]
    circles = iter(sorted(spans, key=lambda s: s.start_ns))
    while True:
        while waiting:
            span, depth, orphan = waiting.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            below = sorted(children.get(span.span_id, ()), key=lambda s: s.start_ns)
            nodes.append(Node(span, depth, _self_ns(span, below), orphan))
            waiting.extend((child, depth + 1, False) for child in reversed(below))
        left = next((s for s in circles if s.span_id not in seen), None)
        if left is None:
            return nodes
        waiting.append((left, 0, True))


def by_importance(nodes: Sequence[Node]) -> list[int]:
    """Positions in `nodes`: root, worst, other tops that failed or never ended, failures, then by self time."""
    worst = max(range(len(nodes)), key=lambda i: nodes[i].self_ns or 0)

    def rank(i: int) -> tuple[int, int, int]:
        node = nodes[i]
        kind = 0 if i == 0 else 1 if i == worst else 2 if node.unfinished else 3 if node.failed else 4
        return (kind, -(node.self_ns or 0), i)

    return sorted(range(len(nodes)), key=rank)


def shown(nodes: Sequence[Node], chosen: Iterable[int]) -> list[Shown]:
    """The chosen nodes in tree order; what is left out is counted at the nearest shown ancestor."""
    picked = set(chosen)
    path: list[tuple[int, int]] = []  # (depth, index in result) of shown ancestors
    found: list[tuple[Node, int]] = []
    hidden: list[list[int]] = []
    for i, node in enumerate(nodes):
        while path and path[-1][0] >= node.depth:
            path.pop()
        if i in picked:
            found.append((node, len(path)))
            hidden.append([0, 0])
            path.append((node.depth, len(found) - 1))
        elif found:
            keeper = path[-1][1] if path else len(found) - 1
            hidden[keeper][0] += 1
            hidden[keeper][1] += node.self_ns or 0
    return [Shown(node, indent, count, self_ns) for (node, indent), (count, self_ns) in zip(found, hidden, strict=True)]


def _self_ns(span: Span, children: Sequence[Span]) -> int | None:
    if span.end_ns is None:
        return None
    covered, reached = 0, span.start_ns
    for child in children:
        start = max(child.start_ns, reached)
        end = min(child.end_ns if child.end_ns is not None else span.end_ns, span.end_ns)
        if end > start:
            covered += end - start
            reached = end
    return max(0, span.end_ns - span.start_ns - covered)
