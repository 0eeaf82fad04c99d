"""Findings that are states and not levels: silence, reboot, clock, identity, what is not collected. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hosts_mcp.hosts import thresholds as table
from hosts_mcp.hosts.resources import COLLECTOR, OWN_NAME
from hosts_mcp.hosts.status import Word
from hosts_mcp.hosts.thresholds import Severity
from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.store.protocol import FindingRow, Host
from hosts_mcp.text import human_ratio, human_seconds, quote
from hosts_mcp.timerange import NS

REPORTING = ("not_reporting", "delayed")
CONSTANT = ("unidentified", "coarse_interval", "missing_scraper", "app_reported_only")
"""States that hold on, word for word, while what is known of the host and which scrapers send stay as they are."""
ONE_PER_MACHINE = (("boot_time", table.REBOOT_MOVED_SECONDS, "boot times"), ("cpu_count", 0.5, "CPU counts"))
"""Signals that do not come and go on one machine, how much they may differ, and their name in a sentence."""

Signals = Mapping[str, SignalSeries]


@dataclass(frozen=True, slots=True)
class _State:
    """A finding that holds now."""

    code: str
    severity: Severity
    since_ns: int
    sentence: str
    fix: str | None = None
    value: float | None = None
    subject: str | None = None


Seen = _State | Literal["unchanged"] | None
"""Holds now; cannot be told or lies between firing and clearing, so that an open row stays; does not hold."""


def reporting(host: Host, word: Word, previous: Sequence[FindingRow], now_ns: int) -> list[FindingRow]:
    """`not_reporting` and `delayed` follow the status at once."""
    silent_ns = now_ns - host.last_arrived_ns
    said = f"Nothing has arrived for {human_seconds(round(silent_ns / NS))}."
    states = {
        "not_reporting": _State(
            "not_reporting", "critical", host.last_arrived_ns, said,
            "Is the machine up, its collector running and this server reachable from it?", silent_ns / NS,
        ) if word == "down" else None,
        "delayed": _State(
            "delayed", "warning", host.last_arrived_ns, said, None, silent_ns / NS,
        ) if word == "stale" else None,
    }  # fmt: skip
    return [row for code, state in states.items() for row in _rows(host, code, state, previous, now_ns)]


def of_host(
    host: Host, signals: Signals, devices: Sequence[SignalSeries], previous: Sequence[FindingRow], now_ns: int
) -> list[FindingRow]:
    """Every other state, of a host that reports."""
    newest_ns = host.newest_ns or now_ns
    states: dict[str, Callable[[], Seen]] = {
        "rebooted": lambda: _rebooted(host, signals),
        "oom_suspected": lambda: _oom_suspected(signals, newest_ns),
        "clock_skew": lambda: _clock_skew(host, newest_ns),
        "collector_in_container": lambda: _in_container(host, devices, newest_ns),
        "duplicate_identity": lambda: _duplicate(host, signals, newest_ns),
        "unidentified": lambda: _unidentified(host),
        "coarse_interval": lambda: _coarse(host, newest_ns),
        "missing_scraper": lambda: _missing(host, signals, devices, newest_ns),
        "app_reported_only": lambda: _app_only(host),
    }
    return [row for code, see in states.items() for row in _rows(host, code, see(), previous, newest_ns)]


def quiet(host: Host) -> bool:
    """Whether what is known of the host beside its readings leaves no state to begin but those in `CONSTANT`."""
    return not (host.shared_id or _signs_of_container(host)) and not isinstance(_clock_skew(host, 0), _State)


def _rows(host: Host, code: str, state: Seen, previous: Sequence[FindingRow], now_ns: int) -> list[FindingRow]:
    opened = [row for row in previous if row.code == code and row.until_ns is None]
    if state == "unchanged":
        return opened
    if state is None:
        return [_closed(row, now_ns) for row in opened]
    since_ns = min((row.since_ns for row in opened), default=state.since_ns)
    return [
        FindingRow(host.id, code, state.severity, state.subject, since_ns, None, state.value, state.sentence, state.fix)
    ]


def _closed(row: FindingRow, now_ns: int) -> FindingRow:
    return FindingRow(row.host_id, row.code, row.severity, row.subject, row.since_ns, max(now_ns, row.since_ns),
                      row.value, row.sentence, row.fix)  # fmt: skip


def _rebooted(host: Host, signals: Signals) -> Seen:
    """Uptime fell within the window, or the boot lies after the host was first seen; shown for two hours."""
    uptime = signals.get("uptime_seconds")
    known = [(e, v) for e, v in zip(uptime.ends_ns, uptime.values, strict=True) if v is not None] if uptime else []
    if not known:
        return "unchanged"
    end, up = known[-1]
    boot_ns = end - round(up * NS)
    if up > table.REBOOT_SHOWN_SECONDS:
        return None
    fell = any(
        after < before and (t1 - t0) / NS + before - after > table.REBOOT_MOVED_SECONDS
        for (t0, before), (t1, after) in pairwise(known)
    )
    if not fell and boot_ns < host.first_arrived_ns + round(table.REBOOT_MOVED_SECONDS * NS):
        return "unchanged"
    return _State("rebooted", "info", boot_ns, f"Booted {human_seconds(round(up))} ago.", value=up)


def _oom_suspected(signals: Signals, newest_ns: int) -> Seen:
    """Full memory that was given back at once, while a task ended or swap was full; shown for half an hour.

    Host metrics have no counter of the kernel's OOM killer, so it is suspected and not known."""
    memory = signals.get("memory_used_ratio")
    known = [(e, v) for e, v in zip(memory.ends_ns, memory.values, strict=True) if v is not None] if memory else []
    for at in reversed(range(len(known))):
        full_end, before = known[at]
        for end, after in known[at + 1 : at + 1 + table.OOM_READINGS]:
            if before < table.OOM_FULL_RATIO or before - after <= table.OOM_DROP_RATIO:
                continue
            if newest_ns - end > table.OOM_SHOWN_SECONDS * NS:
                return None
            tasks = [_at(signals.get("tasks_total"), moment) for moment in (full_end, end)]
            ended = None not in tasks and (tasks[1] or 0) < (tasks[0] or 0)
            swap = _at(signals.get("swap_used_ratio"), full_end)
            if ended or (swap is not None and swap >= table.OOM_SWAP_FULL_RATIO):
                return _State(
                    "oom_suspected", "warning", end,
                    f"Memory fell from {human_ratio(before)} to {human_ratio(after)} at once, "
                    f"{'while processes ended' if ended else 'with swap full'}: the kernel may have killed something.",
                    "Look for 'Out of memory: Killed process' in `journalctl -k` around that time.", before,
                )  # fmt: skip
    return None


def _at(series: SignalSeries | None, moment_ns: int) -> float | None:
    """The reading at this moment, or the last one before it."""
    at = bisect_right(series.ends_ns, moment_ns) - 1 if series else -1
    return series.values[at] if series and at >= 0 else None


def _clock_skew(host: Host, newest_ns: int) -> Seen:
    """From the smallest lag (arrival minus point time) of the last hour; points are never shifted."""
    if host.usual_lag_ns is None:
        return "unchanged"
    lag = host.usual_lag_ns / NS
    late = max(table.LATE_SECONDS, (host.interval_ns or 0) / NS)
    if -lag > table.SKEW_SECONDS:
        severity: Severity = "critical" if -lag > table.SKEW_CRITICAL_SECONDS else "warning"
        sentence = f"Its points lie {human_seconds(-lag)} in the future: its clock is ahead of this server's."
        return _State("clock_skew", severity, newest_ns, sentence, "Synchronise the clock (chrony, ntpd).", -lag)
    if lag > late:
        sentence = f"Its points arrive at least {human_seconds(lag)} late: a queue, or its clock is behind."
        return _State("clock_skew", "info", newest_ns, sentence, None, -lag)
    clear = -table.SKEW_CLEAR_SECONDS < lag < table.LATE_CLEAR_SECONDS
    return None if clear else "unchanged"


def _in_container(host: Host, devices: Sequence[SignalSeries], newest_ns: int) -> Seen:
    """At least two signs that the collector sees its container in place of the machine."""
    if host.kind != "host" or COLLECTOR not in host.sources:
        return None
    interfaces = {d.subject for d in devices if d.name.startswith("network_") and d.subject}
    found = _signs_of_container(host)
    if interfaces and interfaces <= {"lo", "eth0"}:
        found.append("it sees no interface but eth0")
    if len(found) < 2:
        return None
    return _State(
        "collector_in_container", "warning", newest_ns,
        f"The collector seems to run in a container ({', '.join(found)}): what it reports may be the container's.",
        "Set root_path: /hostfs, mount / there read-only, and use the host's network and PID namespace.",
        float(len(found)),
    )  # fmt: skip


def _signs_of_container(host: Host) -> list[str]:
    signs = {
        "its host name is a container's": OWN_NAME in host.attributes,
        "it carries a container.id": bool(host.attributes.get("container.id")),
    }
    return [sign for sign, holds in signs.items() if holds]


def _duplicate(host: Host, signals: Signals, newest_ns: int) -> Seen:
    """Clones share an id; a gateway that overwrites names makes several machines report as one."""
    if host.shared_id:
        return _State(
            "duplicate_identity", "warning", newest_ns,
            f"Its host.id {quote(host.host_id, 40)} is used by several machines, as after cloning a disk.",
            "Give each machine an id of its own: empty /etc/machine-id and run systemd-machine-id-setup.",
        )  # fmt: skip
    for name, tolerance, what in ONE_PER_MACHINE:
        series = signals.get(name)
        if series is not None and _alternates([v for v in series.values if v is not None], tolerance):
            return _State(
                "duplicate_identity", "warning", newest_ns,
                f"Its points alternate between several {what}: more than one machine reports under this name.",
                "Set override: false in the gateway's resourcedetection, so that it keeps the senders' names.",
            )  # fmt: skip
    return None


def _alternates(values: Sequence[float], tolerance: float) -> bool:
    """Whether a value goes away and comes back at least twice; one change is a reboot or a resize."""
    turns = [b - a for a, b in pairwise(values) if abs(b - a) > tolerance]
    return sum(a * b < 0 for a, b in pairwise(turns)) >= table.MIN_READINGS - 1


def _unidentified(host: Host) -> Seen:
    if host.kind != "unidentified":
        return None
    return _State(
        "unidentified", "warning", host.first_arrived_ns,
        "Its metrics carry no host.name and no host.id, so no span can be joined to it by name.",
        "Add the processor resourcedetection: {detectors: [env, system]} to the collector's metrics pipeline.",
    )  # fmt: skip


def _coarse(host: Host, newest_ns: int) -> Seen:
    if host.interval_ns is None:
        return "unchanged"
    seconds = host.interval_ns / NS
    if seconds <= table.COARSE_SECONDS:
        return None
    return _State(
        "coarse_interval", "info", newest_ns,
        f"It reports every {human_seconds(seconds)}: spans shorter than that end in cannot_tell.",
        "Set collection_interval: 10s in the hostmetrics receiver.", seconds,
    )  # fmt: skip


def _missing(host: Host, signals: Signals, devices: Sequence[SignalSeries], newest_ns: int) -> Seen:
    """Scrapers of which nothing is there, although the host has been seen for several readings."""
    if COLLECTOR not in host.sources or host.kind not in ("host", "unidentified"):
        return None
    if max((len(s.ends_ns) for s in signals.values()), default=0) < table.MIN_READINGS:
        return "unchanged"
    present = {name for name, s in signals.items() if s.ends_ns} | {d.name for d in devices if d.ends_ns}
    expected = table.EXPECTED_GROUPS.keys() - table.NOT_ON.get(host.os_type or "", frozenset())
    missing = [g for g in table.EXPECTED_GROUPS if g in expected and not present.intersection(table.EXPECTED_GROUPS[g])]
    if not missing:
        return None
    lines = " ".join(f"{group}: {{}}" for group in missing)
    return _State(
        "missing_scraper", "info", newest_ns,
        f"Nothing arrives from: {', '.join(missing)}. A verdict cannot judge what is not measured.",
        f"Add under receivers.hostmetrics.scrapers: {lines}", float(len(missing)),
    )  # fmt: skip


def _app_only(host: Host) -> Seen:
    if host.kind != "app":
        return None
    language = f" ({quote(host.sdk_language, 20)})" if host.sdk_language else ""
    return _State(
        "app_reported_only", "info", host.first_arrived_ns,
        f"Only an application's SDK{language} reports this host: no disk latency, no load, no other processes.",
        "Run an OpenTelemetry Collector with the hostmetrics receiver there.",
    )  # fmt: skip
