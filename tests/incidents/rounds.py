"""Rounds of real incidents: what was done to the box, what each trace really went through, and the verdict on it.

A round is a directory of `metrics.otlp.gz` and `traces.otlp.gz` (raw recordings), `incidents.jsonl` (name, truth host |
app | none | maybe, resource, origin, culprit, start and end) and `traces.jsonl` (the worker's own notes: a start
without its end was killed in mid-trace).
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hosts_mcp.answers.was_it_the_box import Verdict, answer
from hosts_mcp.timerange import NS
from in_process import InProcess
from recordings import requests_in

CULPRITS = {
    "cpu_neighbour": "stress-ng", "py_neighbour": "python", "disk_neighbour": "fio", "pg_vacuum": "postgres",
    "kill_full": "compact.py", "mem_neighbour": "stress-ng",
}  # fmt: skip
"""Of rounds that do not say it themselves."""
PAGING = {"memory", "disk"}
"""They stand for each other: a box out of memory reads its programs back from disk."""
ASKED_AFTER_NS = 60 * NS
BEFORE_NS, AFTER_NS = 8 * NS, 20 * NS
"""So near an incident a trace counts as neither inside nor calm."""


@dataclass(frozen=True, slots=True)
class Incident:
    name: str
    truth: str
    resource: str | None
    origin: str | None
    start_ns: int
    end_ns: int
    culprit: str | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """One trace as the worker noted it; `end_ns` is None when the worker was killed in it."""

    trace_id: str
    kind: str
    start_ns: int
    end_ns: int | None

    @property
    def seconds(self) -> float:
        return float("inf") if self.end_ns is None else (self.end_ns - self.start_ns) / NS


@dataclass(frozen=True, slots=True)
class Labelled:
    trace: Noted
    incident: Incident | None
    hit: bool
    """The box hurt it. False: it did not, and must not be blamed."""


def lines(path: Path) -> Iterator[dict[str, object]]:
    yield from map(json.loads, path.read_text().splitlines())


def noted(place: Path) -> list[Noted]:
    ends = {line["trace_id"]: line["end_ns"] for line in lines(place / "traces.jsonl") if line["event"] == "end"}
    return [
        Noted(str(one["trace_id"]), "batch" if one["mode"] == "batch" else "single", int(str(one["start_ns"])),
              None if (end := ends.get(one["trace_id"])) is None else int(str(end)))
        for one in lines(place / "traces.jsonl") if one["event"] == "start"
    ]  # fmt: skip


def labelled(place: Path) -> list[Labelled]:
    """The traces whose truth is certain: hit by the box, or not. What lies between is left out."""
    incidents = [Incident(**line) for line in lines(place / "incidents.jsonl")]  # type: ignore[arg-type]
    traces = noted(place)

    def around(trace: Noted) -> Incident | None:
        return next((i for i in incidents if i.start_ns <= trace.start_ns <= i.end_ns), None)

    def calm(trace: Noted) -> bool:
        end = trace.end_ns or trace.start_ns
        return not any(i.start_ns - BEFORE_NS < end and trace.start_ns < i.end_ns + AFTER_NS for i in incidents)

    usual: dict[str, list[float]] = {"single": [], "batch": []}
    for trace in traces:
        within = around(trace)
        if trace.end_ns is not None and (calm(trace) or (within and within.name == "batch_calm")):
            usual[trace.kind].append(trace.seconds)
    found = []
    for trace in traces:
        ordinary = sorted(usual[trace.kind]) or [float("inf")]
        p95 = ordinary[int(0.95 * (len(ordinary) - 1))]
        within = around(trace)
        if within is None:
            if calm(trace) and trace.seconds <= 1.25 * statistics.median(ordinary):
                found.append(Labelled(trace, None, hit=False))
        elif within.truth in ("app", "none"):
            found.append(Labelled(trace, within, hit=False))
        elif within.truth == "host" and trace.seconds >= 1.5 * p95:
            found.append(Labelled(trace, within, hit=True))
        elif within.truth == "host" and trace.seconds <= 1.1 * p95:
            found.append(Labelled(trace, within, hit=False))
    return found


def right(one: Labelled, verdict: Verdict) -> bool:
    """Of a hit trace: blamed on the box, with that resource; where `yes`, that origin and culprit too."""
    incident = one.incident
    assert incident is not None
    same = verdict.resource == incident.resource or {verdict.resource, incident.resource} <= PAGING
    if verdict.verdict == "partly":
        return same
    culprit = incident.culprit or CULPRITS.get(incident.name, "")
    named = incident.origin != "neighbour" or culprit in (verdict.culprit or "")
    return verdict.verdict == "yes" and same and verdict.origin == incident.origin and named


def judged(place: Path, room: Path, every_calm: int = 1) -> Iterator[tuple[Labelled, Verdict]]:
    """The verdict of the whole path on each labelled trace; of the calm ones only every so many."""
    box = InProcess(room)
    files = sorted(place.glob("*.gz"))  # metrics before traces
    last = max(one.end_ns or one.start_ns for one in noted(place))
    requests = [request for file in files for request, _ in requests_in(file, last + ASKED_AFTER_NS)]
    box.requests(requests)
    now = max(request.arrived_ns for request in requests)
    box.derive(now)
    calm = 0
    for one in labelled(place):
        calm += one.incident is None
        if one.incident is None and calm % every_calm:
            continue
        yield one, answer(box.reader, one.trace.trace_id, now_ns=now)
    box.close()


def table(judgements: list[tuple[Labelled, Verdict]]) -> str:
    """One line per incident and label: how many of which verdict, how many right."""
    rows: dict[tuple[str, bool], Counter[str]] = {}
    for one, verdict in judgements:
        row = rows.setdefault((one.incident.name if one.incident else "calm", one.hit), Counter())
        row[verdict.verdict] += 1
        row["right"] += right(one, verdict) if one.hit else verdict.verdict == "no"
    out = [f"{'incident':24} {'label':6} {'n':>5} {'right':>5} {'yes':>5} {'partly':>6} {'no':>5} {'cannot_tell':>11}"]
    for (name, hit), row in sorted(rows.items()):
        n = sum(count for key, count in row.items() if key != "right")
        out.append(
            f"{name:24} {'hit' if hit else 'clean':6} {n:5} {row['right']:5} {row['yes']:5} {row['partly']:6} "
            f"{row['no']:5} {row['cannot_tell']:11}"
        )
    return "\n".join(out)
