"""One box at one moment, now or past: who it is, how it is, what is wrong, what runs there, what is not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.base import MCP_BUDGET, Answer, Budget, call, fit, measured, plural, shortened, when
from hosts_mcp.answers.curve import Curve
from hosts_mcp.answers.curves_of import curves_by
from hosts_mcp.answers.list_hosts import marks
from hosts_mcp.answers.lookup import find_host
from hosts_mcp.answers.missing import NotCollected, not_collected
from hosts_mcp.answers.selection import FAMILIES, USUAL, unit_of
from hosts_mcp.answers.vitals import Listening, Reading, host_now, newest
from hosts_mcp.signals.model import Samples
from hosts_mcp.store.protocol import Entity, FindingRow, Host, Store
from hosts_mcp.text import clean, human_bytes, human_seconds, quote, significant
from hosts_mcp.timerange import DAY_NS, NS, TimeRange, parse_instant

LOOK_BACK_NS = 300 * NS
"""How far before the moment a reading may lie, at least; five intervals where that is more."""
PROCESS_WINDOW_NS = 600 * NS
TOP_PROCESSES = 8


class SignalNow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    signal: str
    value: float | None = None
    unit: str | None = Field(default=None, description="ratio is 0 to 1")


class Finding(BaseModel):
    model_config = ConfigDict(extra="forbid")

    severity: Literal["critical", "warning", "info"]
    code: str
    subject: str | None = None
    since: str
    until: str | None = None
    value: float | None = None
    sentence: str
    fix: str | None = None


class ProcessNow(BaseModel):
    """Mean over the ten minutes before the moment."""

    model_config = ConfigDict(extra="forbid")

    process: str = Field(description="title or executable and script, pid in brackets")
    cpu_cores: float | None = None
    memory_bytes: int | None = None
    io_bytes_per_second: float | None = Field(default=None, description="read and write calls, page cache included")


class Filesystem(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mount: str
    used_ratio: float | None = None
    inodes_used_ratio: float | None = None


class ServiceSeen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    service: str
    last_seen: str | None = None
    joined_by: str | None = Field(default=None, description="rule that placed its spans on this host, and confidence")


class HostStatus(Answer):
    """Answer of host_status. An absent field is not measured or not known, never zero."""

    host: str
    name: str
    status: Literal["live", "stale", "down"]
    reason: str
    at: str = Field(description="moment shown, UTC, on the host's clock")
    last_seen: str | None = None
    host_id: str | None = None
    aliases: list[str] | None = None
    marks: list[str] | None = None
    os: str | None = None
    arch: str | None = None
    node: str | None = None
    cluster: str | None = None
    sources: list[str] | None = None
    interval_seconds: float | None = None
    cpu_cores: int | None = None
    memory_bytes: int | None = None
    boot: str | None = None
    uptime_seconds: float | None = None
    reboots: list[str] | None = Field(default=None, description="reboots noticed in the last 30 days, newest first")
    signals: list[SignalNow]
    findings: list[Finding]
    processes: list[ProcessNow] | None = None
    filesystems: list[Filesystem] | None = None
    services: list[ServiceSeen] | None = None
    not_collected: NotCollected | None = None
    link: str | None = None
    next: str | None = None

    def to_text(self) -> str:
        lines = [self.summary, f"At {self.at}; {self.reason}."]
        lines += [f"{title}: {text}" for title, text in self._identity() if text]
        if self.signals:
            lines += _signal_lines(self.signals)
        lines += [_finding_line(f) for f in self.findings]
        for title, rows in (
            ("Processes", [_process_text(p) for p in self.processes or ()]),
            ("Filesystems", [_filesystem_text(f) for f in self.filesystems or ()]),
            ("Services", [_service_text(s) for s in self.services or ()]),
        ):
            if rows:
                lines.append(f"{title}: {'; '.join(rows)}")
        if self.not_collected:
            lines.append(f"Not collected: {'; '.join(self.not_collected.missing)}.")
            if self.not_collected.config_to_add:
                lines += ["Add to its collector:", self.not_collected.config_to_add.rstrip()]
        lines += self.note_lines()
        lines += [f"Link: {self.link}"] if self.link else []
        lines += [f"Next: {self.next}"] if self.next else []
        return "\n".join(lines)

    def _identity(self) -> list[tuple[str, str | None]]:
        kind = " ".join(filter(None, (self.os, self.arch, *(f"[{m}]" for m in self.marks or ()))))
        cores = f"{self.cpu_cores} cores" if self.cpu_cores else None
        memory = human_bytes(self.memory_bytes) if self.memory_bytes else None
        interval = f"every {human_seconds(self.interval_seconds)}" if self.interval_seconds else None
        boot = (
            f"{self.boot} (up {human_seconds(self.uptime_seconds)})" if self.boot and self.uptime_seconds else self.boot
        )
        return [
            ("Host", ", ".join(filter(None, (kind, cores, memory))) or None),
            ("Id", self.host_id and quote(self.host_id, 64)),
            ("Also known as", ", ".join(quote(a, 64) for a in self.aliases or ()) or None),
            ("Kubernetes", ", ".join(quote(n, 64) for n in (self.node, self.cluster) if n) or None),
            ("Reports", " ".join(filter(None, (", ".join(self.sources or ()), interval))) or None),
            ("Booted", boot),
            ("Reboots", ", ".join(self.reboots or ()) or None),
        ]


def answer(
    store: Store,
    host: str,
    *,
    at: str = "now",
    now_ns: int,
    budget: Budget = MCP_BUDGET,
    link_base: str | None = None,
) -> HostStatus:
    """The host as it is, or was at `at` (on its own clock). Raises NoSuchHost, AmbiguousName, BadRange."""
    box = find_host(store, host)
    present_ns = host_now(box, now_ns)
    at_ns = parse_instant(at, present_ns)
    past = at_ns < present_ns - (box.interval_ns or LOOK_BACK_NS)
    listening = Listening.last_day(store, now_ns)
    status = listening.status(box, now_ns)
    samples = _samples_at(store, box, at_ns) if past else store.newest([box.id]).get(box.id, {})
    now = newest(box, samples)
    window = TimeRange(at_ns - PROCESS_WINDOW_NS, at_ns + NS)
    if not past and box.newest_ns is not None:
        window = TimeRange(box.newest_ns - PROCESS_WINDOW_NS, box.newest_ns + NS)
    processes = _processes(curves_by(store, box, window, "process").curves)
    filesystems = _filesystems(curves_by(store, box, window, "mount").curves)
    findings = _findings(store, box, at_ns if past else None)
    services = _services(store.services(box.id))
    absent = not_collected(
        box, samples, processes=bool(processes), metrics={m.metric for m in store.metric_names(box.id)}
    ) if box.kind in ("host", "unidentified") and samples else None  # fmt: skip
    signals = _signals(now)
    reboots = _reboots(store, box, present_ns)
    uptime = (at_ns - box.boot_ns) / NS if box.boot_ns and at_ns > box.boot_ns else None
    longest = max(len(signals), len(processes), len(filesystems), len(findings), len(services))

    def build(count: int) -> HostStatus:
        cut = [
            f"… {plural(len(rows) - count, f'more {word}')}"
            for word, rows in (("signal", signals), ("process", processes), ("filesystem", filesystems),
                               ("finding", findings), ("service", services))
            if len(rows) > count
        ]  # fmt: skip
        return HostStatus(
            summary=_summary(box, status.word, now, findings, past, at_ns),
            host=clean(box.key, 64),
            name=clean(box.name, 64),
            status=status.word,
            reason=clean(status.reason, 200),
            at=when(at_ns) or "",
            last_seen=when(box.last_arrived_ns or None),
            host_id=clean(box.host_id, 64) if box.host_id else None,
            aliases=[clean(a, 64) for a in box.aliases[:8]] or None,
            marks=marks(box) or None,
            os=clean(box.os_description or box.os_type, 64) if box.os_description or box.os_type else None,
            arch=clean(box.arch, 24) if box.arch else None,
            node=clean(box.node, 64) if box.node else None,
            cluster=clean(box.cluster, 64) if box.cluster else None,
            sources=[clean(s, 32) for s in box.sources[:8]] or None,
            interval_seconds=shortened(box.interval_ns / NS) if box.interval_ns else None,
            cpu_cores=box.cpu_count or _whole(now, "cpu_count"),
            memory_bytes=box.memory_bytes or _whole(now, "memory_total_bytes"),
            boot=when(box.boot_ns),
            uptime_seconds=shortened(uptime, 6),
            reboots=reboots or None,
            signals=signals[:count],
            findings=findings[:count],
            processes=processes[:count] or None,
            filesystems=filesystems[:count] or None,
            services=services[:count] or None,
            not_collected=absent,
            link=f"{link_base.rstrip('/')}/hosts/{box.key}" if link_base else None,
            notes=[*_notes(box, samples, past, at_ns, listening), *cut] or None,
            next=_next(box, findings, at_ns, past),
        )

    return fit(build, longest, budget)


def _samples_at(store: Store, host: Host, at_ns: int) -> Samples:
    back = max(LOOK_BACK_NS, 5 * (host.interval_ns or 0))
    return store.samples(host.id, at_ns - back, at_ns + 1)


_IN_IDENTITY = frozenset({"boot_time", "uptime_seconds", "cpu_count", "memory_total_bytes"})
"""Signals that the identity of the box shows already."""


def _signals(now: Mapping[str, Reading]) -> list[SignalNow]:
    prefixes = [p for family in FAMILIES.values() for p in family]

    def order(name: str) -> tuple[int, int, str]:
        family = next((i for i, p in enumerate(prefixes) if name.startswith(p)), len(prefixes))
        return (0 if name in USUAL else 1, USUAL.index(name) if name in USUAL else family, name)

    return [
        SignalNow(signal=name, value=shortened(now[name].value), unit=unit_of(name, now[name].unit) or None)
        for name in sorted(now, key=order)
        if name not in _IN_IDENTITY
    ]


def _findings(store: Store, host: Host, at_ns: int | None) -> list[Finding]:
    if at_ns is None:
        rows = store.findings(host.id)
    else:
        rows = store.findings(host.id, open_only=False, start_ns=at_ns, end_ns=at_ns + 1)
    order = ("critical", "warning", "info")
    return [_finding(row) for row in sorted(rows, key=lambda f: (order.index(f.severity), f.since_ns))]


def _finding(row: FindingRow) -> Finding:
    return Finding(
        severity=row.severity,
        code=row.code,
        subject=clean(row.subject, 64) if row.subject else None,
        since=when(row.since_ns) or "",
        until=when(row.until_ns),
        value=shortened(row.value),
        sentence=clean(row.sentence, 240),
        fix=clean(row.fix, 240) if row.fix else None,
    )


def _whole(now: Mapping[str, Reading], name: str) -> int | None:
    return int(now[name].value) if name in now else None


def _reboots(store: Store, host: Host, present_ns: int) -> list[str]:
    rows = store.findings(host.id, open_only=False, start_ns=present_ns - 30 * DAY_NS, end_ns=present_ns + 1)
    times = sorted((row.since_ns for row in rows if row.code == "rebooted"), reverse=True)
    return [when(t) or "" for t in times[:5]]


def _processes(curves: Sequence[Curve]) -> list[ProcessNow]:
    by_label: dict[str, dict[str, float | None]] = {}
    for curve in curves:
        by_label.setdefault(curve.subject or "", {})[curve.name] = curve.average
    rows = [
        ProcessNow(
            process=clean(label, 96),
            cpu_cores=shortened(values.get("process_cpu_cores"), 3),
            memory_bytes=int(memory) if (memory := values.get("process_memory_bytes")) is not None else None,
            io_bytes_per_second=shortened(values.get("process_io_bytes_per_second"), 3),
        )
        for label, values in by_label.items()
    ]
    by_cpu = sorted(rows, key=lambda p: -(p.cpu_cores or 0))[: TOP_PROCESSES // 2]
    by_memory = sorted(rows, key=lambda p: -(p.memory_bytes or 0))
    return by_cpu + [p for p in by_memory if p not in by_cpu][: TOP_PROCESSES - len(by_cpu)]


def _filesystems(curves: Sequence[Curve]) -> list[Filesystem]:
    by_mount: dict[str, dict[str, float | None]] = {}
    for curve in curves:
        by_mount.setdefault(curve.subject or "", {})[curve.name] = curve.last
    rows = [
        Filesystem(
            mount=clean(mount, 64),
            used_ratio=shortened(values.get("filesystem_used_ratio"), 3),
            inodes_used_ratio=shortened(values.get("inodes_used_ratio"), 3),
        )
        for mount, values in by_mount.items()
    ]
    return sorted(rows, key=lambda f: (-(f.used_ratio or 0), f.mount))


def _services(entities: Sequence[Entity]) -> list[ServiceSeen]:
    newest_of: dict[str, Entity] = {}
    for entity in entities:
        name = clean(entity.attributes.get("service.name") or "unknown_service", 64)
        if name not in newest_of or newest_of[name].last_seen_ns < entity.last_seen_ns:
            newest_of[name] = entity
    return [
        ServiceSeen(
            service=name,
            last_seen=when(e.last_seen_ns),
            joined_by=f"{e.join_rule}, {e.join_confidence} confidence" if e.join_rule else None,
        )
        for name, e in newest_of.items()
    ]


_HEADLINES = (("cpu_busy_ratio", "CPU"), ("memory_used_ratio", "memory"), ("load_1m", "load"),
              ("filesystem_used_ratio", "fullest filesystem"))  # fmt: skip


def _summary(
    host: Host, word: str, now: Mapping[str, Reading], findings: Sequence[Finding], past: bool, at_ns: int
) -> str:
    figures = [f"{title} {measured(now[n].value, unit_of(n))}" for n, title in _HEADLINES if n in now]
    if past:
        state = f"at {when(at_ns)}"
    elif word == "down":
        state = "is down; last known"
    else:
        state = f"is {word}"
    worst = [f"{f.severity} {f.code}" for f in findings[:3]]
    found = f"; findings: {', '.join(worst)}{'…' if len(findings) > 3 else ''}" if findings else "; no findings"
    return f"{quote(host.key, 64)} {state}: {', '.join(figures) or 'nothing measured'}{found}."


def _notes(host: Host, samples: Samples, past: bool, at_ns: int, listening: Listening) -> list[str]:
    notes = []
    if past:
        notes.append("Status is the present one; signals, findings and processes are of the moment asked for.")
    if not samples and host.kind != "container":
        notes.append(f"No reading within {human_seconds(LOOK_BACK_NS / NS)} before {when(at_ns)}; "
                     f"its newest is of {when(host.newest_ns) or 'never'}.")  # fmt: skip
    if host.kind == "app":
        notes.append("Reported by an application's SDK, not by a collector on the box: it may describe a container.")
    if host.kind == "unidentified":
        notes.append("Its metrics carry no host.name or host.id: add the resourcedetection processor to its collector "
                     "(detectors: [env, system]).")  # fmt: skip
    if host.kind == "container":
        notes.append("A workload, not a box.")
    if host.shared_id:
        notes.append("Its host.id is used by several machines (clones): give each a machine-id of its own.")
    return notes + listening.notes(host.first_arrived_ns)


def _next(host: Host, findings: Sequence[Finding], at_ns: int, past: bool) -> str:
    if past:
        around = f"{when(at_ns - 3600 * NS)}..{when(at_ns + 600 * NS)}"
        return call("host_metrics", host=host.key, range=around)
    if findings:
        return call("find_traces", host=host.key, order="slowest", range="1h")
    return call("host_metrics", host=host.key, range="1h")


def _signal_lines(signals: Sequence[SignalNow]) -> list[str]:
    texts = [f"{s.signal} {measured(s.value, s.unit or '')}" for s in signals]
    return ["Signals: " + ", ".join(texts)]


def _finding_line(f: Finding) -> str:
    subject = f" {quote(f.subject, 64)}" if f.subject else ""
    until = f" until {f.until}" if f.until else ""
    fix = f" Fix: {f.fix}" if f.fix else ""
    return f"Finding ({f.severity}) {f.code}{subject} since {f.since}{until}: {f.sentence}{fix}"


def _process_text(p: ProcessNow) -> str:
    cpu = f"{significant(p.cpu_cores)} cores" if p.cpu_cores is not None else None
    memory = human_bytes(p.memory_bytes) if p.memory_bytes is not None else None
    io = f"{human_bytes(p.io_bytes_per_second)}/s I/O" if p.io_bytes_per_second else None
    return f"{quote(p.process, 96)} {', '.join(filter(None, (cpu, memory, io)))}"


def _filesystem_text(f: Filesystem) -> str:
    inodes = f" (inodes {measured(f.inodes_used_ratio, 'ratio')})" if f.inodes_used_ratio is not None else ""
    return f"{quote(f.mount, 64)} {measured(f.used_ratio, 'ratio')}{inodes}"


def _service_text(s: ServiceSeen) -> str:
    return f"{quote(s.service, 64)} (last {s.last_seen}{f', by {s.joined_by}' if s.joined_by else ''})"
