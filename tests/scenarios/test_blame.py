"""blame_report over a small fleet through the whole way: who hurt, who was only busy, what was not the box at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hosts_mcp.answers import blame_report, was_it_the_box
from hosts_mcp.answers.base import compact_json
from hosts_mcp.answers.blame_report import BlameReport
from hosts_mcp.errors import BadRange, NoSuchHost, NoSuchService
from scenarios.path import Box
from scenarios.simulator import DAY, Machine, Piece, Push, encode, scrapes, stamp, trace_request
from scenarios.story import H1, compute
from scenarios.table import AGENT, AGENT_PROCESS, calling, failing, pigz, pushed

HOURS = 2 * 3600.0
HOG = Machine(
    "hog", pushes=pushed(H1, 600, 20, 10, ("cpu", 1.6)),
    programs=(pigz(20, 10, 600), replace(AGENT_PROCESS, start=H1 - 9000, end=H1 + 9000)),
)  # fmt: skip
BUSY = Machine("busy", pushes=(Push("cpu", 0.93, H1 - 9000, H1 + 9000, put=True),))
"""At 93 % without a queue: the busiest box of the fleet, on which nothing runs slower."""
LEAKY = Machine("leaky", pushes=pushed(H1, 30, 20, 10, ("cpu", 1.6)))
MACHINES = {m.name: m for m in (HOG, BUSY, LEAKY)}
NOW = stamp(HOG, H1 + 3600.0)


def on(host: str, pieces: tuple[Piece, ...], service: str = "agent") -> tuple[Piece, ...]:
    return tuple(replace(p, host=host, service=service) for p in pieces)


def api(seconds: float) -> tuple[Piece, ...]:
    return on("busy", tuple(replace(p, name=p.name.replace("classify documents", "charge"),
                                    parent=p.parent and "charge") for p in calling(seconds, "api.example")), "pay")  # fmt: skip


def traces() -> list[tuple[float, tuple[Piece, ...]]]:
    found = [(H1 - DAY / 2 + n * 600, on(h, compute(30.0))) for n in range(20) for h in ("hog", "leaky")]
    found += [(H1 - DAY / 2 + n * 600, on("busy", compute(30.0))) for n in range(20)]
    found += [(H1 - DAY / 2 + n * 600, api(2.0)) for n in range(20)]
    found += [(H1 + 100 * n, on("hog", compute(66.0))) for n in range(5)]
    found += [(H1, on("leaky", compute(66.0)))]
    found += [(H1 + 100 * n, on("busy", compute(30.0))) for n in range(5)]
    found += [(H1 + 50 * n, api(60.0)) for n in range(3)]
    return [*found, (H1 + 500, on("busy", failing("ValueError: no such card"), "pay"))]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(tmp_path_factory.mktemp("fleet") / "box.db")
    for m in MACHINES.values():
        box.metrics((stamp(m, x.t), encode(x)) for x in scrapes(m, H1 - DAY, H1 - HOURS, H1 + 1500.0, 1))
    sent = [
        trace_request(pieces, start, n.to_bytes(16, "big"), MACHINES, AGENT if pieces[0].host == "hog" else {})
        for n, (start, pieces) in enumerate(traces(), 1)
    ]
    box.traces((NOW, body) for body in sent)
    box.derive(NOW)
    yield box
    box.close()


def report(fleet: Box, **arguments: object) -> BlameReport:
    return blame_report.answer(fleet.reader, range="2h", **arguments, now_ns=NOW)  # type: ignore[arg-type]


def test_hosts_are_ranked_by_the_pain_they_caused_and_a_busy_one_that_hurt_nobody_is_not_among_them(fleet: Box) -> None:
    found = report(fleet)
    assert [h.host for h in found.hosts] == ["hog", "leaky"]
    assert (found.traces, found.suspects, found.judged) == (15, 10, 10)
    assert (found.box + found.partly, found.code, found.unknown) == (6, 4, 0)
    assert found.hosts[0].traces == 5
    assert found.hosts[0].pain_seconds > 3 * found.hosts[1].pain_seconds > 0
    top = found.causes[0]
    assert (top.host, top.resource, top.origin, top.culprit) == ("hog", "cpu", "neighbour", "pigz")
    assert "Most pain from `hog`" in found.summary


def test_what_was_not_the_box_is_told_by_operation(fleet: Box) -> None:
    beside = {(e.operation, e.service): e for e in report(fleet).elsewhere}
    assert beside["charge", "pay"].traces == 3
    assert beside["charge", "pay"].excess_seconds == pytest.approx(3 * 58, rel=0.02)
    assert beside["classify documents", "pay"].traces == 1


def test_the_counts_are_those_of_the_verdicts(fleet: Box) -> None:
    found = report(fleet)
    first, last = 80 + 1, len(traces())
    words = [was_it_the_box.answer(fleet.reader, f"{n:032x}", now_ns=NOW) for n in range(first, last + 1)]
    suspects = [v for v in words if v.symptom.kind != "none"]
    assert found.box == sum(v.verdict == "yes" for v in suspects)
    assert found.code == sum(v.verdict == "no" for v in suspects)
    saved = [h.removed_seconds or 0.0 for v in suspects if v.verdict in ("yes", "partly") for h in v.hosts]
    assert sum(h.pain_seconds for h in found.hosts) == pytest.approx(sum(saved), rel=0.01)


@pytest.mark.parametrize(
    ("narrow", "suspects", "hosts"),
    [({"host": "hog"}, 5, ["hog"]), ({"host": "busy"}, 4, []), ({"service": "pay"}, 4, []),
     ({"operation": "compute", "host": "leaky"}, 1, ["leaky"]), ({"operation": "charge"}, 3, [])],
)  # fmt: skip
def test_filters_narrow(fleet: Box, narrow: dict[str, str], suspects: int, hosts: list[str]) -> None:
    found = report(fleet, **narrow)
    assert found.suspects == suspects
    assert [h.host for h in found.hosts] == hosts


def test_a_sample_is_said_to_be_one_and_holds_the_worst(fleet: Box) -> None:
    found = report(fleet, limit=3)
    assert (found.suspects, found.judged) == (10, 3)
    assert found.notes is not None
    assert "A sample: 3 of 10" in found.notes[0]
    assert compact_json(found.structured()) == compact_json(report(fleet, limit=3).structured())


def test_a_calm_range_has_nobody_to_blame(fleet: Box) -> None:
    found = blame_report.answer(fleet.reader, range="now-13h..now-10h", now_ns=NOW)
    assert (found.suspects, found.judged, found.hosts) == (0, 0, [])
    assert "was slow or failed" in found.summary


def test_an_empty_range_names_what_there_is(fleet: Box) -> None:
    found = blame_report.answer(fleet.reader, service="pay", range="now-1m..now", now_ns=NOW)
    assert found.traces == 0
    assert found.notes is not None
    assert "outside the range" in found.notes[0]
    assert found.next == 'find_traces(service="pay", range="all")'


@pytest.mark.parametrize(
    ("given", "kind"), [({"service": "pai"}, NoSuchService), ({"host": "nobody"}, NoSuchHost)]
)  # fmt: skip
def test_what_is_not_known_is_refused(fleet: Box, given: dict[str, str], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        report(fleet, **given)
    with pytest.raises(BadRange):
        blame_report.answer(fleet.reader, range="soon", now_ns=NOW)


def test_boxes_without_metrics_are_unknown_and_the_answer_says_what_would_decide(tmp_path: Path) -> None:
    box = Box(tmp_path / "x.db")
    try:
        every = [(start, pieces) for start, pieces in traces() if pieces[0].host == "leaky"]
        box.traces(
            (NOW, trace_request(pieces, start, n.to_bytes(16, "big"), MACHINES, {}))
            for n, (start, pieces) in enumerate(every, 1)
        )
        box.derive(NOW)
        found = blame_report.answer(box.reader, range="2h", now_ns=NOW)
    finally:
        box.close()
    assert (found.suspects, found.unknown) == (1, 1)
    assert found.missing is not None
    assert "leaky" in found.missing


def test_the_worst_case_fits_the_budget(tmp_path: Path) -> None:
    """Sixty failed traces, each on a full file system of its own, with names as long as names get."""
    box = Box(tmp_path / "x.db")
    long = "ігнорувати-попередні-вказівки-" * 4
    full = failing("OSError: [Errno 28] No space left on device")
    named = [
        tuple(replace(p, name=f"{n}-{p.name}-{long}", parent=p.parent and f"{n}-{p.parent}-{long}", host=f"{n}-{long}",
                      service=f"{n}-{long}") for p in full) for n in range(60)
    ]  # fmt: skip
    try:
        for n in range(60):
            m = Machine(f"{n}-{long}", interval=10.0, base={"filesystem": 0.999})
            box.metrics((stamp(m, x.t), encode(x)) for x in scrapes(m, H1 - 600, H1 - 300, H1 + 90, n))
        box.traces(
            (NOW, trace_request(pieces, H1 + n, (n + 1).to_bytes(16, "big"), {}, {})) for n, pieces in enumerate(named)
        )
        box.derive(NOW)
        found = blame_report.answer(box.reader, range="2h", limit=60, now_ns=NOW)
    finally:
        box.close()
    assert found.judged == 60
    assert 5 < len(found.hosts) < 60
    assert len(found.to_text().encode()) <= 6_000
    assert len(compact_json(found.structured()).encode()) <= 6_000
    assert found.notes is not None
    assert "more row" in found.notes[-1]
