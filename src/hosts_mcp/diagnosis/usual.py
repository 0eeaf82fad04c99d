"""What is usual on this host: medians of the day before (rollup), else of the calm scrapes before the trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from hosts_mcp.diagnosis.intervals import PLAIN
from hosts_mcp.diagnosis.model import Box, Disk, Interval, Usual, Window
from hosts_mcp.diagnosis.stats import mad, median
from hosts_mcp.diagnosis.table import Table
from hosts_mcp.store.protocol import Rollup
from hosts_mcp.timerange import NS

READINGS = (
    "busy", "steal", "iowait", "run_queue", "memory", "major_faults", "swap_pages", "disk_busy", "disk_queue",
    "disk_await", "drops", "blocked", "load", "filesystem",
)  # fmt: skip
_BY_DIRECTION = (
    "swap_in_bytes_per_second", "swap_out_bytes_per_second", "disk_read_ops_per_second", "disk_write_ops_per_second",
    "disk_read_await_seconds", "disk_write_await_seconds", "network_receive_packets_per_second",
    "network_transmit_packets_per_second", "network_receive_drops_per_second", "network_transmit_drops_per_second",
)  # fmt: skip
ROLLUP = (*(PLAIN[r] for r in (*READINGS, "inodes") if r in PLAIN), "run_queue", *_BY_DIRECTION)
"""Signals of the rollup whose means the diagnosis looks at."""
MARGIN_SECONDS = 60.0
BIN_SECONDS = 300.0


def of(box: Box, origin_ns: int, intervals: Sequence[Interval], effect: Window, cpus: int | None, t: Table) -> Usual:
    """The past of a host without the trace itself; `source` says how much of it there was."""
    columns = past_columns(box.rollup, box, origin_ns, cpus, t)
    day = max((len(v) for v in columns.values()), default=0)
    if day >= t.baseline_least:
        return _usual(columns, "day", day)
    before = [i for i in intervals if i.end <= effect.start - min(MARGIN_SECONDS, 2 * i.seconds)]
    if len(before) >= t.calm_least:
        found = {r: [v for i in before if (v := getattr(i, r)) is not None] for r in READINGS}
        return _usual(found, "lead_in", len(before))
    return Usual({}, {}, "none", len(before))


def past_columns(rollup: Rollup | None, box: Box, origin_ns: int, cpus: int | None, t: Table) -> dict[str, list[float]]:
    """Five-minute means of the day before, by reading, without the minute around the trace."""
    if rollup is None or not rollup.starts_ns:
        return {}
    low, high = origin_ns - round(t.baseline_seconds * NS), origin_ns - round(MARGIN_SECONDS * NS)
    rows = [k for k, start in enumerate(rollup.starts_ns) if low <= start and start + round(BIN_SECONDS * NS) <= high]
    return {r: [v for v in column if v is not None] for r, column in _columns(rollup, rows, box, cpus).items()}


def bins(box: Box, origin_ns: int, cpus: int | None, rows: Sequence[int]) -> list[Interval]:
    """Some five-minute bins of the rollup as intervals, so that a pressure of long ago is judged by today's table."""
    rollup = box.rollup
    if rollup is None:
        return []
    columns = _columns(rollup, rows, box, cpus)
    out = []
    for n, k in enumerate(rows):
        start = (rollup.starts_ns[k] - origin_ns) / NS
        read = {r: column[n] for r, column in columns.items() if column}
        disk = Disk(
            rollup.worst_disk[k] or "", read.get("disk_busy"), read.get("disk_queue"), read.get("disk_await"), None
        )
        out.append(Interval(start, start + BIN_SECONDS, disks=(disk,), **read))  # type: ignore[arg-type]
    return out


def _columns(rollup: Rollup, rows: Sequence[int], box: Box, cpus: int | None) -> dict[str, list[float | None]]:
    def take(name: str) -> list[float | None]:
        column = rollup.mean.get(name)
        return [column[k] for k in rows] if column is not None else []

    out = {r: take(PLAIN[r]) for r in READINGS if r in PLAIN}
    out["run_queue"] = [None if v is None or not cpus else v / cpus for v in take("run_queue")]
    swaps = [take("swap_in_bytes_per_second"), take("swap_out_bytes_per_second")]
    out["swap_pages"] = [
        None if a is None and b is None else ((a or 0.0) + (b or 0.0)) / box.facts.page_bytes
        for a, b in zip(*swaps, strict=False)
    ]
    out["disk_await"] = [_await(rollup, k) for k in rows]
    out["drops"] = [_drops(rollup, k) for k in rows]
    return out


def _cell(columns: Mapping[str, Sequence[float | None]], name: str, k: int) -> float | None:
    column = columns.get(name)
    return column[k] if column is not None else None


def _await(rollup: Rollup, k: int) -> float | None:
    ops = seconds = 0.0
    for direction in ("read", "write"):
        rate = _cell(rollup.mean, f"disk_{direction}_ops_per_second", k)
        wait = _cell(rollup.mean, f"disk_{direction}_await_seconds", k)
        if rate and wait is not None:
            ops += rate
            seconds += rate * wait
    return seconds / ops if ops else None


def _drops(rollup: Rollup, k: int) -> float | None:
    worst = None
    for direction in ("receive", "transmit"):
        packets = _cell(rollup.mean, f"network_{direction}_packets_per_second", k)
        drops = _cell(rollup.mean, f"network_{direction}_drops_per_second", k)
        if packets and drops is not None:
            worst = max(worst or 0.0, drops / packets)
    return worst


def _usual(
    columns: Mapping[str, Sequence[float]], source: Literal["day", "hours", "lead_in", "none"], samples: int
) -> Usual:
    middles = {r: median(v) for r, v in columns.items() if v}
    return Usual(middles, {r: mad(columns[r]) for r in middles}, source, samples)
