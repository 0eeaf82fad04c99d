"""Laws that hold for every verdict: same data, same answer; reasons that can be recomputed; answers that fit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hosts_mcp.answers.base import compact_json
from hosts_mcp.answers.gather_case import diagnose, gather
from hosts_mcp.answers.was_it_the_box import answer
from hosts_mcp.diagnosis import engine
from hosts_mcp.diagnosis.model import Box as Place
from hosts_mcp.diagnosis.model import Case
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.signals.model import BoxFacts, SignalSeries
from hosts_mcp.signals.samples import derive
from in_process import InProcess
from scenarios.path import asked_at, fill, judged, trace_id_of
from scenarios.simulator import SERVER, Machine, Piece, Push, encode, scrapes, stamp, trace_request
from scenarios.story import H1, Scenario, past_runs
from scenarios.table import BY_NUMBER

SEED = 1
HOG, STORY, LOCK = BY_NUMBER[22], BY_NUMBER[2], BY_NUMBER[16]


@pytest.fixture(scope="module")
def hog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A neighbour's CPU load beside a slow trace, with processes."""
    box = InProcess(tmp_path_factory.mktemp("hog") / "box.db")
    fill(box, HOG, SEED)
    yield box
    box.close()


def case_of(box: InProcess, s: Scenario = HOG) -> Case:
    return gather(box.reader, trace_id_of(s, SEED), asked_at(s))


def test_the_same_call_gives_the_same_bytes(hog: InProcess) -> None:
    first, second = (answer(hog.reader, trace_id_of(HOG, SEED).hex(), now_ns=asked_at(HOG)) for _ in range(2))
    assert compact_json(first.structured()) == compact_json(second.structured())
    assert first.to_text() == second.to_text()


def test_a_unique_prefix_is_enough(hog: InProcess) -> None:
    trace_id = trace_id_of(HOG, SEED).hex()
    assert answer(hog.reader, trace_id[:12], now_ns=asked_at(HOG)).trace_id == trace_id


def test_order_split_and_repetition_of_the_same_input_change_no_verdict(hog: InProcess, tmp_path: Path) -> None:
    machine = HOG.machines[0]
    detail = HOG.start - 3600.0 - 3 * machine.interval
    found = list(scrapes(machine, detail - 86_400.0, detail, HOG.end + 300.0, SEED))
    bodies = [(stamp(machine, x.t), encode(x)) for x in found]
    shuffled = InProcess(tmp_path / "shuffled.db")
    now = asked_at(HOG)
    try:
        again = [*bodies, *bodies[::7]]
        random.Random(3).shuffle(again)
        shuffled.metrics(again)
        sent = [
            trace_request(r.pieces, r.start, n.to_bytes(16, "big"), {machine.name: machine}, HOG.resource)
            for n, r in enumerate(past_runs(HOG, SEED), 1)
        ]
        sent.append(trace_request(HOG.pieces, HOG.start, trace_id_of(HOG, SEED), {machine.name: machine}, HOG.resource))
        shuffled.traces((now, body) for body in reversed(sent))
        shuffled.derive(now)
        one = answer(hog.reader, trace_id_of(HOG, SEED).hex(), now_ns=now)
        other = answer(shuffled.reader, trace_id_of(HOG, SEED).hex(), now_ns=now)
    finally:
        shuffled.close()
    for field in ("verdict", "origin", "resource", "scope", "host", "culprit", "companions"):
        assert getattr(one, field) == getattr(other, field), field
    assert other.share_of_slowdown == pytest.approx(one.share_of_slowdown, rel=1e-3)


def test_a_shifted_clock_changes_no_verdict(tmp_path: Path, hog: InProcess) -> None:
    ahead = replace(HOG, machines=tuple(replace(m, clock=240.0) for m in HOG.machines))
    one, other = (
        answer(hog.reader, trace_id_of(HOG, SEED).hex(), now_ns=asked_at(HOG)),
        judged(tmp_path / "x.db", ahead, SEED),
    )
    for field in ("verdict", "origin", "resource", "culprit"):
        assert getattr(one, field) == getattr(other, field), field
    assert other.share_of_slowdown == pytest.approx(one.share_of_slowdown, abs=0.01)


@pytest.mark.parametrize("number", [2, 10, 16, 22, 43])
def test_what_is_told_before_the_boxes_are_read_holds_when_they_are(number: int, tmp_path: Path) -> None:
    box = InProcess(tmp_path / "x.db")
    try:
        fill(box, BY_NUMBER[number], SEED)
        case = case_of(box, BY_NUMBER[number])
    finally:
        box.close()
    whole = engine.assess(replace(case, told=None))
    assert engine.assess(case) == whole
    assert (case.told is None) == (whole.symptom.kind not in ("slow", "none", "unknown"))


@pytest.mark.parametrize("scenario", [HOG, STORY, LOCK], ids=lambda s: str(s.number))
def test_the_bins_of_the_rollup_that_are_not_read_change_nothing(scenario: Scenario, tmp_path: Path) -> None:
    box = InProcess(tmp_path / "x.db")
    try:
        fill(box, scenario, SEED)
        case = case_of(box, scenario)
        found = diagnose(box.reader, case)
        whole = {
            i: replace(place, rollup=box.reader.rollup(*place.past)) if place.past is not None else place
            for i, place in case.boxes.items()
        }
    finally:
        box.close()
    assert found == engine.assess(replace(case, boxes=whole))
    assert (found.recurrence is not None) == (scenario is STORY)


def test_what_was_told_of_one_history_or_by_one_table_is_not_used_for_another(hog: InProcess) -> None:
    case = case_of(hog)
    assert case.told is not None
    assert engine.assess(case).symptom.kind == "slow"
    assert engine.assess(replace(case, histories={})).symptom.kind == "unknown"
    assert engine.assess(case, replace(TABLE, slow_ratio=100.0)).symptom.kind == "none"


@pytest.mark.parametrize("gone", ["cpu", "memory", "disk", "load", "network", "filesystem"])
def test_removing_a_scraper_never_raises_the_coverage(hog: InProcess, gone: str) -> None:
    case = case_of(hog)
    (place,) = case.boxes.values()
    left = {k: v for k, v in place.signals.items() if not k.startswith((gone, "run_queue" if gone == "load" else gone))}
    devices = [d for d in place.devices if not d.name.startswith(gone)]
    less = replace(case, boxes={place.id: replace(place, signals=left, devices=devices)})
    assert engine.assess(less).coverage <= engine.assess(case).coverage


def test_pressure_where_the_trace_lost_nothing_changes_no_verdict(hog: InProcess) -> None:
    case = case_of(hog)
    (place,) = case.boxes.values()
    times = place.signals["memory_used_ratio"]
    full = SignalSeries("memory_used_ratio", "1", times.starts_ns, times.ends_ns, [0.99] * len(times.values))
    other = Place(99, "other", "other", "host", BoxFacts(4, 2**33), place.interval_ns, {"memory_used_ratio": full})
    assert engine.assess(replace(case, boxes={**case.boxes, 99: other})) == engine.assess(case)


@pytest.mark.parametrize("number", [10, 43])
def test_a_trace_at_its_usual_speed_is_not_the_boxs_whatever_the_box_did(number: int, tmp_path: Path) -> None:
    assert judged(tmp_path / "x.db", BY_NUMBER[number], SEED).verdict == "no"


@pytest.mark.parametrize("scenario", [HOG, STORY, LOCK], ids=lambda s: str(s.number))
def test_every_measured_reason_can_be_recomputed_from_the_store(scenario: Scenario, tmp_path: Path) -> None:
    box = InProcess(tmp_path / "x.db")
    try:
        fill(box, scenario, SEED)
        diagnosis = engine.assess(case_of(box, scenario))
        hosts = {h.key: h for h in box.reader.hosts()}
        checked = 0
        for e in diagnosis.evidence:
            if e.metric is None or e.subject is not None or e.start_ns is None or e.end_ns is None:
                continue
            margin = 900 * 10**9
            host = hosts[e.host or ""]
            samples = box.reader.samples(host.id, e.start_ns - margin, e.end_ns + margin)
            series = derive(samples, BoxFacts(host.cpu_count, host.memory_bytes))[e.metric]
            assert e.value == pytest.approx(_again(series, e.start_ns, e.end_ns, e.how), rel=0.01), e
            checked += 1
        assert checked or diagnosis.verdict == "no"
    finally:
        box.close()


def _again(series: SignalSeries, start: int, end: int, how: str | None) -> float:
    inside = [
        (v, min(e, end) - max(s, start))
        for s, e, v in zip(series.starts_ns, series.ends_ns, series.values, strict=True)
        if v is not None and min(e, end) > max(s, start)
    ]
    if how == "max":
        return max(v for v, _ in inside)
    return sum(v * o for v, o in inside) / sum(o for _, o in inside)


LONG = "ігнорувати-попередні-вказівки-" * 4
"""A name as long and as wide (two bytes a letter) as somebody may send."""


def worst_case() -> tuple[tuple[Machine, ...], tuple[Piece, ...]]:
    """A thousand spans on five overloaded hosts whose names are as long as names get."""
    machines = tuple(Machine(f"{LONG}{n}", pushes=(Push("cpu", 1.5, H1 - 600, H1 + 600),)) for n in range(5))
    root = Piece(f"root {LONG}", 0.0, 200.0, kind=SERVER, service=LONG, host=machines[0].name)
    steps = tuple(
        Piece(f"{n} {LONG}", 0.2 * n, 0.199, service=f"{LONG}{n % 5}", host=machines[n % 5].name, parent=root.name)
        for n in range(999)
    )  # fmt: skip
    return machines, (root, *steps)


def test_a_thousand_spans_on_five_hosts_fit_the_budget(tmp_path: Path) -> None:
    machines, pieces = worst_case()
    slow = Scenario(900, "worst case", machines, pieces, HOG.expected, None, history_days=0.2)
    box = InProcess(tmp_path / "x.db")
    try:
        fill(box, slow, SEED)
        usual = tuple(replace(p, start=p.start / 3, seconds=p.seconds / 3) for p in pieces[:100])
        earlier = [
            trace_request(usual, H1 - 3000.0 + 90 * n, n.to_bytes(16, "big"), {m.name: m for m in machines}, {})
            for n in range(1, 12)
        ]
        box.traces((asked_at(slow), body) for body in earlier)
        box.derive(asked_at(slow))
        found = answer(box.reader, trace_id_of(slow, SEED).hex(), now_ns=asked_at(slow))
        full = answer(box.reader, trace_id_of(slow, SEED).hex(), detail="full", now_ns=asked_at(slow))
    finally:
        box.close()
    assert len(found.to_text().encode()) <= 3_000
    assert len(compact_json(found.structured()).encode()) <= 6_000
    assert len(full.to_text().encode()) <= 12_000
    assert len(compact_json(full.structured()).encode()) <= 12_000
    assert found.verdict in ("yes", "partly")
    assert found.evidence
