"""What calls attention on a host: levels folded with hysteresis, and states of its reporting and identity. Pure.

Verdicts never read findings: a trace is short, and how long an alert must last does not transfer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hosts_mcp.hosts import states
from hosts_mcp.hosts import thresholds as table
from hosts_mcp.hosts.folding import Episode, Hold, episodes
from hosts_mcp.hosts.quantities import ANCHORS, Aligned, Column
from hosts_mcp.hosts.status import status
from hosts_mcp.hosts.thresholds import Condition, Level, Rule, Severity
from hosts_mcp.signals.model import SignalSeries
from hosts_mcp.store.protocol import FindingRow, Host
from hosts_mcp.text import human_ratio, human_seconds, quote, significant
from hosts_mcp.timerange import NS

Signals = Mapping[str, SignalSeries]


def evaluate(
    host: Host,
    signals: Signals,
    devices: Sequence[SignalSeries],
    previous: Sequence[FindingRow],
    now_ns: int,
    *,
    listening_since_ns: int | None = None,
    usual_memory_ratio: float | None = None,
) -> list[FindingRow]:
    """The host's findings: every open one and those that closed and were not closed before.

    `signals` are of the whole box, `devices` one series per device and signal, both over the same window of at least
    the longest duration in `thresholds.RULES` (30 minutes do). `previous` are the host's rows that are open or ended
    in that window; without the ended ones a finding that came and went in the window would be reported again.
    `usual_memory_ratio` is its median over a day. While a host is silent its findings stay as they were.
    """
    word = status(host, now_ns, listening_since_ns=listening_since_ns).word
    rows = states.reporting(host, word, previous, now_ns)
    if word == "live":
        rows += states.of_host(host, signals, devices, previous, now_ns)
        rows += _levels(host, signals, devices, previous, usual_memory_ratio)
    else:
        rows += [row for row in previous if row.until_ns is None and row.code not in states.REPORTING]
    return sorted((_flapping(r, previous, now_ns) for r in rows), key=lambda r: (r.code, r.subject or "", r.since_ns))


def shown(rows: Iterable[FindingRow]) -> list[FindingRow]:
    """Open findings as a list shows them, worst first: of a host that is down, only that it is down."""
    rows = [row for row in rows if row.until_ns is None]
    silent = {row.host_id for row in rows if row.code == "not_reporting"}
    kept = [row for row in rows if row.host_id not in silent or row.code == "not_reporting"]
    rank = {"critical": 0, "warning": 1, "info": 2}
    return sorted(kept, key=lambda r: (rank[r.severity], r.since_ns, r.code, r.subject or ""))


def _levels(
    host: Host,
    signals: Signals,
    devices: Sequence[SignalSeries],
    previous: Sequence[FindingRow],
    usual_memory_ratio: float | None,
) -> list[FindingRow]:
    rows: list[FindingRow] = []
    for rule in table.RULES:
        for subject, series in subjects(rule, signals, devices):
            rows += _rule(host, rule, subject, series, previous)
    return [_as_usual(row, signals, usual_memory_ratio) for row in rows]


def subjects(
    rule: Rule, signals: Signals, devices: Sequence[SignalSeries]
) -> Iterator[tuple[str | None, dict[str, SignalSeries]]]:
    """The box, or each device that has the rule's anchor; the box where no device is known."""
    by_device: dict[str, dict[str, SignalSeries]] = {}
    if rule.subject != "box":
        for series in devices:
            if series.subject is not None:
                by_device.setdefault(series.subject, {})[series.name] = series
    found = {subject: own for subject, own in by_device.items() if _anchor(rule, own) is not None}
    if found:
        yield from sorted(found.items())
    elif _anchor(rule, signals) is not None:
        yield None, dict(signals)


def _anchor(rule: Rule, series: Signals) -> SignalSeries | None:
    names = ANCHORS.get(rule.anchor, (rule.anchor,))
    return next((series[name] for name in names if name in series and series[name].ends_ns), None)


def _rule(
    host: Host, rule: Rule, subject: str | None, series: Signals, previous: Sequence[FindingRow]
) -> list[FindingRow]:
    anchor = _anchor(rule, series)
    if anchor is None:
        return []
    aligned = Aligned(series, anchor, host)
    known = [row for row in previous if row.code == rule.code and row.subject == subject]
    opened = next((row for row in known if row.until_ns is None), None)
    if opened is None and True not in _holds(aligned, rule.levels[0].fire, unknown_holds=False):
        return []
    after_ns = opened.since_ns if opened else max((row.until_ns or 0 for row in known), default=0)
    first, *worse = (_episodes(aligned, rule, level, opened, after_ns) for level in rule.levels)
    rows = []
    for episode in first:
        severity = rule.levels[0].severity
        for level, found in zip(rule.levels[1:], worse, strict=True):
            severity = level.severity if any(_reached(episode, other) for other in found) else severity
        rows.append(_row(host, rule, subject, episode, severity, aligned))
    return rows


def _episodes(aligned: Aligned, rule: Rule, level: Level, opened: FindingRow | None, after_ns: int) -> list[Episode]:
    start = next((i for i, end in enumerate(aligned.ends_ns) if end > after_ns), len(aligned.ends_ns))
    readings = table.MIN_READINGS if rule.seconds else 1
    hold = Hold(
        fire_readings=readings,
        fire_ns=round(rule.seconds * NS),
        clear_readings=readings,
        clear_ns=round(table.CLEAR_SECONDS * NS),
        gap_ns=round(table.GAP_INTERVALS * aligned.interval_ns),
    )
    held = opened is not None and (level is rule.levels[0] or level.severity == opened.severity)
    return episodes(
        aligned.ends_ns[start:],
        _holds(aligned, level.fire, unknown_holds=False)[start:],
        _holds(aligned, level.clear, unknown_holds=True)[start:],
        hold,
        open_since_ns=opened.since_ns if opened is not None and held else None,
    )


def _holds(aligned: Aligned, condition: Condition, *, unknown_holds: bool) -> list[bool | None]:
    """The condition at each reading, None where it cannot be told.

    With `unknown_holds` what is not measured does not stand in the way: clearing waits only for what is known.
    """
    rows: list[list[bool | None]] = []
    for row in condition:
        rows.append([_any(tests) for tests in zip(*(_tested(aligned, test) for test in row), strict=True)])
        if not unknown_holds and True not in rows[-1]:
            break  # Nothing can fire any more: most hosts are quiet, and the other quantities need not be computed.
    return [_all(verdicts, unknown_holds) for verdicts in zip(*rows, strict=True)]


def _tested(aligned: Aligned, test: table.Test) -> list[bool | None]:
    return [test(value) for value in aligned.quantity(test.quantity)]


def _any(verdicts: Sequence[bool | None]) -> bool | None:
    return True if True in verdicts else None if None in verdicts else False


def _all(verdicts: Sequence[bool | None], unknown_holds: bool) -> bool | None:
    if False in verdicts:
        return False
    if None in verdicts and not (unknown_holds and True in verdicts):
        return None
    return True


def _reached(episode: Episode, worse: Episode) -> bool:
    """Whether the worse level held in the episode: at its end if it is open, at any time if it is over."""
    if episode.until_ns is None:
        return worse.until_ns is None
    return worse.since_ns <= episode.until_ns and (worse.until_ns or episode.until_ns) >= episode.since_ns


def _row(
    host: Host, rule: Rule, subject: str | None, episode: Episode, severity: Severity, aligned: Aligned
) -> FindingRow:
    value = _at(aligned, rule.value, episode.until_ns)
    sentence = rule.sentence.format(
        value="?" if value is None else human_ratio(value) if rule.value.endswith("_ratio") else significant(value),
        subject=quote(subject, 60) if subject is not None else "",
        eta=_eta(_at(aligned, "hours_to_full", episode.until_ns)) if "{eta}" in rule.sentence else "",
        blocked=_blocked(_at(aligned, "tasks_blocked", episode.until_ns)) if "{blocked}" in rule.sentence else "",
    )
    return FindingRow(
        host_id=host.id,
        code=rule.code,
        severity=severity,
        subject=subject,
        since_ns=episode.since_ns,
        until_ns=episode.until_ns,
        value=value,
        sentence=" ".join(sentence.split()),
        fix=rule.fix,
    )


def _at(aligned: Aligned, quantity: str, until_ns: int | None) -> float | None:
    """The newest known value, of a closed episode the one that closed it."""
    column: Column = aligned.quantity(quantity)
    known = (v for end, v in zip(reversed(aligned.ends_ns), reversed(column), strict=True)
             if v is not None and (until_ns is None or end <= until_ns))  # fmt: skip
    return next(known, None)


def _eta(hours: float | None) -> str:
    return f", in {human_seconds(hours * 3600)} completely at the present rate" if hours and hours < 48 else ""


def _blocked(tasks: float | None) -> str:
    return f", {tasks:.0f} blocked on disk or NFS" if tasks else ""


def _as_usual(row: FindingRow, signals: Signals, usual_memory_ratio: float | None) -> FindingRow:
    """Memory that is always this full and does not swap is no news."""
    if row.code != "high_memory" or usual_memory_ratio is None or row.value is None:
        return row
    swaps = [v for way in ("in", "out") if (s := signals.get(f"swap_{way}_bytes_per_second")) for v in s.values if v]
    if swaps or abs(row.value - usual_memory_ratio) > table.USUAL_MEMORY_RATIO:
        return row
    return replace(row, severity="info", sentence=f"{row.sentence} That is usual here.")


def _flapping(row: FindingRow, previous: Sequence[FindingRow], now_ns: int) -> FindingRow:
    """Three turns within half an hour are said once, in the newest row."""
    if row.until_ns is not None:
        return row
    since_ns = now_ns - round(table.FLAPPING_SECONDS * NS)
    same = [r for r in previous if (r.code, r.subject) == (row.code, row.subject) and r.since_ns != row.since_ns]
    turns = sum(t > since_ns for r in (*same, row) for t in (r.since_ns, r.until_ns or 0))
    if turns < table.FLAPPING_TRANSITIONS or row.sentence.endswith("flapping."):
        return row
    return replace(row, sentence=f"{row.sentence} It comes and goes: flapping.")
