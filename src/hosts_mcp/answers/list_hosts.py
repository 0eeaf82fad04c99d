"""Which boxes are there, how are they, and which needs attention: the inventory with totals over the whole fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, plural, shortened, when
from hosts_mcp.answers.collector_config import LOCAL, Target
from hosts_mcp.answers.cursor import Cursor
from hosts_mcp.answers.nothing_yet import NothingYet, nothing_yet
from hosts_mcp.answers.table import table
from hosts_mcp.answers.vitals import Listening, Reading, Remembered
from hosts_mcp.errors import BadArgument
from hosts_mcp.hosts.status import Status
from hosts_mcp.store.protocol import FindingRow, Host, Store
from hosts_mcp.text import clean, human_bytes, human_ratio, quote, significant

SIGNALS = (
    "cpu_busy_ratio", "memory_used_ratio", "memory_total_bytes", "memory_available_bytes", "load_1m", "load_per_cpu",
    "tasks_total", "cpu_count",
)  # fmt: skip
_NOW = Remembered(SIGNALS)
SEVERITIES = ("critical", "warning", "info")
STATUSES = ("down", "stale", "live")


class HostRow(BaseModel):
    """One box. An absent field is not measured, never zero."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(description="key for every other call")
    name: str | None = Field(default=None, description="its present name, when the key is another")
    status: Literal["live", "stale", "down"]
    reason: str | None = Field(default=None, description="why not live")
    last_seen: str | None = Field(default=None, description="arrival of its newest point, UTC")
    os: str | None = None
    arch: str | None = None
    marks: list[str] | None = Field(
        default=None, description="kubernetes node, app-reported (not a box), unidentified source"
    )
    cpu_cores: int | None = None
    cpu_ratio: float | None = Field(default=None, description="busy share of all cores, 0 to 1, without I/O wait")
    memory_ratio: float | None = None
    memory_bytes: int | None = Field(default=None, description="installed")
    load_1m: float | None = None
    load_per_core: float | None = None
    processes: int | None = None
    findings: list[str] | None = Field(default=None, description="severity and code of open findings")
    link: str | None = None


class Totals(BaseModel):
    """The whole fleet, whatever the filter. Cores and memory are sums over the live hosts that report them."""

    model_config = ConfigDict(extra="forbid")

    hosts: int
    live: int
    stale: int
    down: int
    cpu_cores: int | None = None
    cpu_used_cores: float | None = None
    cpu_hosts: int = Field(default=0, description="live hosts counted in cpu_used_cores and cpu_cores")
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_hosts: int = 0
    with_findings: int = 0
    app_reported: int = Field(
        default=0, description="known from an application's SDK only: listed, not counted as hosts"
    )
    workloads: int = Field(
        default=0, description="containers and pods with metrics of their own: neither listed nor counted"
    )


class Inventory(Answer):
    """Answer of list_hosts."""

    totals: Totals
    matching: int = Field(description="rows that fit query and status, over all pages")
    hosts: list[HostRow]
    next_cursor: str | None = Field(default=None, description="pass as cursor for the following rows")
    as_of: str = Field(description="UTC")
    nothing_yet: NothingYet | None = None
    next: str | None = Field(default=None, description="the next call, ready to use")

    def to_text(self) -> str:
        lines = [self.summary]
        lines += table(
            ("host", "status", "cpu", "cores", "memory", "load 1m", "procs", "os", "findings", "last seen", "marks"),
            [_text_row(row) for row in self.hosts],
        )
        lines += [f"{quote(row.host, 64)}: {row.reason}" for row in self.hosts if row.reason and row.status == "stale"]
        if self.nothing_yet:
            lines += self.nothing_yet.lines()
        lines += self.note_lines()
        if self.next_cursor:
            lines.append(f"Next page: {call('list_hosts', cursor=self.next_cursor)}")
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Box:
    host: Host
    status: Status
    now: Mapping[str, Reading]
    findings: tuple[FindingRow, ...]

    def value(self, name: str) -> float | None:
        """Of a host that is not down; what a dead box did last is no present value."""
        reading = self.now.get(name)
        return reading.value if reading is not None and self.status.word != "down" else None

    @property
    def severity(self) -> int:
        return min((SEVERITIES.index(f.severity) for f in self.findings), default=len(SEVERITIES))

    @property
    def cores(self) -> int | None:
        return self.host.cpu_count or (int(counted) if (counted := self.value("cpu_count")) else None)

    @property
    def memory_total(self) -> float | None:
        return self.value("memory_total_bytes") or (self.host.memory_bytes if self.status.word != "down" else None)


def answer(
    store: Store,
    *,
    query: str = "",
    status: str = "any",
    sort: str = "",
    limit: int = 0,
    cursor: str = "",
    now_ns: int,
    budget: Budget = MCP_BUDGET,
    link_base: str | None = None,
    target: Target = LOCAL,
) -> Inventory:
    """The boxes that fit `query` and `status`, worst first (or by `sort`), as many as the budget holds.

    `sort`: a column, `-` before it for the other direction; unknown values last, ties by name. `limit` 0: as many as
    fit. `link_base`: address of the page. `target`: what a printed collector configuration sends to.
    Raises BadArgument, BadCursor.
    """
    status = status.strip().lower() or "any"
    if status not in ("any", *STATUSES):
        raise BadArgument(f"status {quote(status, 40)} is unknown: use any, live, stale or down.", candidates=STATUSES)
    position = None
    arguments: tuple[str, ...] = (clean(query, 100), status, sort.strip().lower())
    if cursor:
        position = Cursor.parse(cursor, arguments, ("", "any", ""))
        arguments, now_ns = position.arguments, position.as_of_ns
    listening = Listening.last_day(store, now_ns)
    boxes, workloads = _boxes(store, listening, now_ns)
    wanted = [b for b in boxes if _fits(b, arguments[0]) and arguments[1] in ("any", b.status.word)]
    keyed = sorted(((_key(b, arguments[2]), b) for b in wanted), key=lambda pair: pair[0])
    if position is not None:
        keyed = [(key, box) for key, box in keyed if position.before(key)]
    totals = _totals(boxes, workloads)
    empty = nothing_yet(store, target) if not boxes else None
    notes = [*listening.notes(min((b.host.first_arrived_ns for b in boxes), default=now_ns)), *_workload_notes(totals)]
    shown = min(len(keyed), limit or len(keyed), budget.rows)
    row = lru_cache(None)(lambda i: _row(keyed[i][1], link_base))

    def build(count: int) -> Inventory:
        rest = len(keyed) - count
        following = str(Cursor(now_ns, arguments, keyed[count - 1][0])) if rest and count else None
        cut = [f"… {plural(rest, 'more row')} of {len(wanted)}: pass next_cursor as cursor."] if rest else []
        return Inventory(
            summary=_summary(totals, boxes, wanted, arguments, empty),
            totals=totals,
            matching=len(wanted),
            hosts=[row(i) for i in range(count)],
            next_cursor=following,
            as_of=when(now_ns) or "",
            nothing_yet=empty,
            notes=[*notes, *cut] or None,
            next=call("host_status", host=keyed[0][1].host.key) if count else None,
        )

    return fit(build, shown, budget)


def _boxes(store: Store, listening: Listening, now_ns: int) -> tuple[list[_Box], int]:
    hosts = store.hosts()
    listed = [host for host in hosts if host.kind != "container"]
    findings: dict[int, list[FindingRow]] = {}
    for finding in store.findings():
        findings.setdefault(finding.host_id, []).append(finding)
    now = _NOW.readings(store, listed)
    boxes = [
        _Box(
            host,
            listening.status(host, now_ns),
            now[host.id],
            tuple(sorted(findings.get(host.id, ()), key=lambda f: SEVERITIES.index(f.severity))),
        )
        for host in listed
    ]
    return boxes, len(hosts) - len(listed)


def _fits(box: _Box, query: str) -> bool:
    """Every word of the query occurs in a name, alias, id, OS, node, mark or finding of the box."""
    words = query.lower().split()
    if not words:
        return True
    host = box.host
    texts = [host.key, host.name, host.host_id, *host.aliases, host.node, host.cluster, host.os_type,
             host.os_description, host.arch, *marks(host), *(f.code for f in box.findings)]  # fmt: skip
    haystack = " ".join(t for t in texts if t).lower()
    return all(word in haystack for word in words)


_COLUMNS: dict[str, Callable[[_Box], str | float | None]] = {
    "name": lambda b: b.host.key.lower(),
    "host": lambda b: b.host.key.lower(),
    "status": lambda b: STATUSES.index(b.status.word),
    "cpu": lambda b: _descending(b.value("cpu_busy_ratio")),
    "memory": lambda b: _descending(b.value("memory_used_ratio")),
    "load": lambda b: _descending(b.value("load_1m")),
    "processes": lambda b: _descending(b.value("tasks_total")),
    "last_seen": lambda b: _descending(b.host.last_arrived_ns or None),
    "findings": lambda b: b.severity,
}
"""Sort keys, in the direction one wants first: worst or most first, names from a to z."""


def _descending(value: float | None) -> float | None:
    return None if value is None else -value


def _key(box: _Box, sort: str) -> tuple[str | float | int, ...]:
    """A tuple that sorts: unknown last in either direction, then by key so that the order is total."""
    if not sort:
        cpu = _descending(box.value("cpu_busy_ratio"))
        return (box.severity, STATUSES.index(box.status.word), cpu is None, cpu or 0.0, box.host.key)
    column = sort.lstrip("-+")
    if column not in _COLUMNS:
        raise BadArgument(f"sort {quote(sort, 40)} is unknown: use one of {', '.join(_COLUMNS)}, with - before it to "
                          "turn the order round.", candidates=tuple(_COLUMNS))  # fmt: skip
    value = _COLUMNS[column](box)
    if sort.startswith("-") and isinstance(value, int | float):
        value = -value
    if sort.startswith("-") and isinstance(value, str):
        value = "".join(chr(0x10FFFF - ord(c)) for c in value)
    return (value is None, 0 if value is None else value, box.host.key)


def _totals(boxes: Sequence[_Box], workloads: int) -> Totals:
    counted = [b for b in boxes if b.host.kind != "app"]
    words = Counter(b.status.word for b in counted)
    live = [b for b in counted if b.status.word == "live"]
    cpu = [(n, v) for b in live if (n := b.cores) and (v := b.value("cpu_busy_ratio")) is not None]
    memory = [(t, v) for b in live if (t := b.memory_total) and (v := b.value("memory_used_ratio")) is not None]
    return Totals(
        hosts=len(counted),
        live=words["live"],
        stale=words["stale"],
        down=words["down"],
        cpu_cores=sum(cores for cores, _ in cpu) if cpu else None,
        cpu_used_cores=shortened(sum(cores * busy for cores, busy in cpu)) if cpu else None,
        cpu_hosts=len(cpu),
        memory_bytes=int(sum(total for total, _ in memory)) if memory else None,
        memory_used_bytes=int(sum(total * used for total, used in memory)) if memory else None,
        memory_hosts=len(memory),
        with_findings=sum(1 for b in boxes if b.findings),
        app_reported=len(boxes) - len(counted),
        workloads=workloads,
    )


def _row(box: _Box, link_base: str | None) -> HostRow:
    host, total = box.host, box.memory_total
    processes = box.value("tasks_total")
    return HostRow(
        host=clean(host.key, 64),
        name=clean(host.name, 64) if host.name.lower() != host.key.lower() else None,
        status=box.status.word,
        reason=clean(box.status.reason) if box.status.word != "live" else None,
        last_seen=when(host.last_arrived_ns or None),
        os=clean(host.os_type, 24) if host.os_type else None,
        arch=clean(host.arch, 16) if host.arch else None,
        marks=marks(host) or None,
        cpu_cores=box.cores,
        cpu_ratio=shortened(box.value("cpu_busy_ratio"), 3),
        memory_ratio=shortened(box.value("memory_used_ratio"), 3),
        memory_bytes=int(total) if total else None,
        load_1m=shortened(box.value("load_1m"), 3),
        load_per_core=shortened(box.value("load_per_cpu"), 3),
        processes=int(processes) if processes is not None else None,
        findings=[_finding(f) for f in box.findings[:4]] or None,
        link=f"{link_base.rstrip('/')}/hosts/{host.key}" if link_base else None,
    )


def _finding(finding: FindingRow) -> str:
    subject = f" {clean(finding.subject, 32)}" if finding.subject else ""
    return f"{finding.severity} {finding.code}{subject}"


def marks(host: Host) -> list[str]:
    """What sets a row apart from an ordinary box."""
    found = []
    if host.node:
        found.append("k8s node")
    if host.kind == "app":
        found.append(f"app-reported · {clean(host.sdk_language, 16)}" if host.sdk_language else "app-reported")
    if host.kind == "unidentified":
        found.append("unidentified source")
    return found


def _text_row(row: HostRow) -> list[str | None]:
    memory = None
    if row.memory_ratio is not None:
        memory = human_ratio(row.memory_ratio)
        if row.memory_bytes:
            memory += f" ({human_bytes(row.memory_ratio * row.memory_bytes)} of {human_bytes(row.memory_bytes)})"
    load = None
    if row.load_1m is not None:
        load = significant(row.load_1m) + (f" ({significant(row.load_per_core)}/core)" if row.load_per_core else "")
    return [
        quote(row.host, 64) + (f" ({quote(row.name, 64)})" if row.name else ""),
        row.status,
        human_ratio(row.cpu_ratio) if row.cpu_ratio is not None else None,
        str(row.cpu_cores) if row.cpu_cores else None,
        memory,
        load,
        str(row.processes) if row.processes is not None else None,
        " ".join(filter(None, (row.os, row.arch))) or None,
        "; ".join(row.findings) if row.findings else None,
        row.last_seen,
        ", ".join(row.marks) if row.marks else None,
    ]


def _summary(
    totals: Totals, boxes: Sequence[_Box], wanted: Sequence[_Box], arguments: tuple[str, ...], empty: NothingYet | None
) -> str:
    if empty is not None:
        return empty.summary
    parts = [f"{plural(totals.hosts, 'host')}: {totals.live} live, {totals.stale} stale, {totals.down} down"]
    if totals.cpu_cores and totals.cpu_used_cores is not None:
        of = "" if totals.cpu_hosts == totals.live else f" ({totals.cpu_hosts} of {totals.live} live hosts counted)"
        parts.append(f"CPU {significant(totals.cpu_used_cores)} of {totals.cpu_cores} cores used{of}")
    if totals.memory_bytes and totals.memory_used_bytes is not None:
        of = "" if totals.memory_hosts == totals.live else f" ({totals.memory_hosts} of {totals.live} counted)"
        parts.append(f"memory {human_bytes(totals.memory_used_bytes)} of {human_bytes(totals.memory_bytes)}{of}")
    if totals.with_findings:
        parts.append(f"{totals.with_findings} with findings")
    if totals.app_reported:
        parts.append(f"{totals.app_reported} app-reported (not counted as a host)")
    if len(wanted) != len(boxes):
        given = " and ".join(quote(a, 40) for a, unset in zip(arguments, ("", "any"), strict=False) if a != unset)
        parts.append(f"{plural(len(wanted), 'row fits', 'rows fit')} {given}")
    return "; ".join(parts) + "."


def _workload_notes(totals: Totals) -> list[str]:
    if not totals.workloads:
        return []
    return [f"{plural(totals.workloads, 'container or pod', 'containers or pods')} with metrics of their own are "
            "workloads, not hosts: neither listed nor counted."]  # fmt: skip
