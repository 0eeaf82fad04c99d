"""A case through the whole way: OTLP requests in, stored, settled and rolled up, and the tool's answer out.

The only module of this benchmark that knows the project.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.verdicts import traces
from benchmarks.verdicts.baselines import READ, Reading
from benchmarks.verdicts.case import Case
from benchmarks.verdicts.collector import Collector, stamp
from benchmarks.verdicts.program import Run
from benchmarks.verdicts.world import DAY, OWN, Box
from hosts_mcp.answers.was_it_the_box import Verdict, answer
from hosts_mcp.signals.samples import derive, facts_from
from hosts_mcp.store.protocol import Host, Store
from tests.in_process import InProcess

HISTORY_SECONDS = 0.85 * DAY
BEFORE_SECONDS = 300.0
"""Of exact scrapes before a condition begins, so that its beginning can be seen."""


@dataclass(frozen=True)
class Said:
    verdict: str
    confidence: float
    origin: str | None
    resource: str
    host: str | None
    summary: str
    text: str


@dataclass(frozen=True)
class Asked:
    """The tool's answer, and what was there to be read by a simpler method."""

    said: Said
    readings: list[dict[str, Reading]]
    """Per box: signal name -> its values in time."""


def judged(case: Case) -> Asked:
    with tempfile.TemporaryDirectory() as folder:
        found, readings = _answer(Path(folder) / "case.db", case)
    said = Said(
        found.verdict, found.confidence, found.origin, found.resource, found.host, found.summary, found.to_text()
    )
    return Asked(said, readings)


def detail_begins(case: Case, box: Box) -> float:
    """From here on every scrape is sent; the day before at a coarser spacing."""
    iv = box.shape.interval
    last = case.run.end if case.run.died is None else case.run.died
    onset = min([case.run.start, *(x.start for x in box.loads if x.incident and x.end > case.run.start)])
    lead = min(3600.0, max(900.0, 120.0 * iv))
    return max(min(case.run.start - lead, onset - BEFORE_SECONDS), last - 6000.0 if iv < 5 else -math.inf)


def requests_of(case: Case, box: Box) -> Iterable[tuple[int, bytes]]:
    last = case.run.end if case.run.died is None else case.run.died
    detail = detail_begins(case, box)
    begin = case.run.start - HISTORY_SECONDS
    until = min(case.asked, last + max(8 * box.shape.interval, 60.0))
    collector = Collector(box, case.processes[box.name], case.uses.get(box.name, {}))
    return collector.requests(begin, detail, until)


def _answer(path: Path, case: Case) -> tuple[Verdict, list[dict[str, Reading]]]:
    way, now = InProcess(path), stamp(case.asked)
    try:
        for box in case.boxes.values():
            way.metrics(requests_of(case, box))
        asked = traces.trace_id(case.name, 0)
        sent = [
            (now, traces.request(r, traces.trace_id(case.name, n), _resources(case, r)))
            for n, r in enumerate(case.earlier, 1)
        ]
        sent.append((now, traces.request(case.run, asked, case.resources)))
        way.traces(sent)
        way.derive(now)
        reader = way.reader
        return answer(reader, asked.hex(), now_ns=now), [_readings(reader, h, case) for h in reader.hosts()]
    finally:
        way.close()


def _resources(case: Case, run: Run) -> Mapping[str, Mapping[str, object]]:
    """Of an earlier run: the same process, if it was there already."""
    own = next(p for p in case.processes[next(iter(case.boxes))] if p.who == OWN)
    return case.resources if run.start >= own.start else {}


def _readings(reader: Store, host: Host, case: Case) -> dict[str, Reading]:
    last = case.run.end if case.run.died is None else case.run.died
    iv = case.boxes[host.name].shape.interval if host.name in case.boxes else 60.0
    samples = reader.samples(host.id, stamp(case.run.start - 3600.0 - iv), stamp(last + iv))
    derived = derive(samples, facts_from(samples, host.facts))
    return {
        name: [((e - stamp(0.0)) / 1e9, v) for e, v in zip(s.ends_ns, s.values, strict=True) if v is not None]
        for name in READ
        if (s := derived.get(name)) is not None
    }
