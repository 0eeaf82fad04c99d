"""Spans, series and small cases for tests of single steps. Times are seconds after T0."""

from __future__ import annotations

from collections.abc import Sequence

from hosts_mcp.diagnosis.model import Box, Case
from hosts_mcp.signals.model import BoxFacts, SignalSeries
from hosts_mcp.store.protocol import Run, Span
from hosts_mcp.timerange import NS

T0 = 1_772_409_600 * NS
TRACE = bytes(range(16))


def span(
    name: str,
    start: float,
    end: float | None,
    *,
    parent: str | None = None,
    kind: int = 1,
    host: int | None = 1,
    lost_parent: bool = False,
    status: int = 0,
    **more: object,
) -> Span:
    parent_id = b"missing!" if lost_parent else ident(parent) if parent else b""
    return Span(
        TRACE,
        ident(name),
        parent_id,
        name,
        "svc",
        1,
        host,
        kind,
        at(start),
        None if end is None else at(end),
        status,
        "",
        **more,  # type: ignore[arg-type]
    )


def ident(name: str) -> bytes:
    return name.encode().ljust(8, b"\0")[:8]


def at(seconds: float) -> int:
    return T0 + round(seconds * NS)


def run(
    name: str,
    seconds: float,
    *,
    own: float | None = None,
    start: float = -1000.0,
    host: int = 1,
    outcome: str = "ok",
    n: int = 0,
) -> Run:
    alone = seconds if own is None else own
    trace_id = n.to_bytes(16, "big")
    return Run(trace_id, "svc", name, host, True, at(start), round(seconds * NS), round(alone * NS), 1, outcome)  # type: ignore[arg-type]


def history(name: str, seconds: float, *, own: float | None = None, count: int = 20) -> list[Run]:
    """Runs a little apart in length, one every 100 s."""
    spread = [0.95, 1.0, 1.05, 1.02, 0.98]
    return [
        run(
            name,
            seconds * spread[n % 5],
            own=None if own is None else own * spread[n % 5],
            start=-100.0 * (count - n + 1),
            n=n + 1,
        )
        for n in range(count)
    ]


def series(
    name: str, values: Sequence[float | None], *, start: float = -300.0, step: float = 10.0, subject: str | None = None
) -> SignalSeries:
    starts = [at(start + n * step) for n in range(len(values))]
    ends = [at(start + (n + 1) * step) for n in range(len(values))]
    return SignalSeries(name, "1", starts, ends, list(values), subject)


def box(signals: Sequence[SignalSeries] = (), **more: object) -> Box:
    facts = BoxFacts(cpu_count=4, memory_bytes=8 * 2**30, os_type="linux")
    return Box(
        1,
        "box",
        "box",
        "host",
        facts,
        10 * NS,
        {s.name: s for s in signals},
        newest_ns=at(600),
        now_ns=at(600),
        **more,  # type: ignore[arg-type]
    )


def case(
    spans: Sequence[Span], *, histories: dict[str, list[Run]] | None = None, boxes: Sequence[Box] = (), **more: object
) -> Case:
    found = {("svc", name): runs for name, runs in (histories or {}).items()}
    boxes = boxes or (box(),)
    return Case(TRACE, spans, at(600), boxes={b.id: b for b in boxes}, histories=found, **more)  # type: ignore[arg-type]
