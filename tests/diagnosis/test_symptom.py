"""What went wrong with a trace, before any look at a host."""

from dataclasses import replace

import pytest

from diagnosis.cases import at, box, case, history, run, span
from hosts_mcp.diagnosis import decide, symptom
from hosts_mcp.diagnosis.errors import classify, paths_in
from hosts_mcp.diagnosis.model import Process
from hosts_mcp.diagnosis.table import TABLE
from hosts_mcp.store.protocol import Instance, KeptLog


def test_half_as_slow_again_and_outside_the_spread_is_slow() -> None:
    found = symptom.find(case([span("job", 0, 20)], histories={"job": history("job", 10)}), TABLE)
    assert found.kind == "slow"
    assert found.ratio == pytest.approx(2.0, rel=0.05)


def test_a_trace_at_its_usual_speed_has_no_symptom() -> None:
    assert symptom.find(case([span("job", 0, 10.4)], histories={"job": history("job", 10)}), TABLE).kind == "none"


def test_without_five_earlier_runs_nothing_is_called_slow() -> None:
    few = history("job", 10)[:4]
    assert symptom.find(case([span("job", 0, 90)], histories={"job": few}), TABLE).kind == "unknown"


def test_slow_runs_in_the_past_do_not_hide_a_slow_one() -> None:
    past = [*history("job", 10, count=20), *history("job", 60, count=12)]
    assert symptom.find(case([span("job", 0, 60)], histories={"job": past}), TABLE).kind == "slow"


def test_an_operation_of_many_shapes_is_compared_by_its_parts() -> None:
    mixed = [*history("GET", 1), *history("GET", 10), *history("GET", 3)]
    spans = [span("GET", 0, 5, kind=2), span("part", 0.5, 4.5, parent="GET")]
    past = {"GET": [*mixed], "part": history("part", 0.4)}
    found = symptom.find(case(spans, histories=past), TABLE)
    assert found.kind == "slow"
    assert found.usual_seconds == pytest.approx(1.4, rel=0.1)


def test_an_inner_span_without_its_parent_and_then_silence_means_killed() -> None:
    found = symptom.find(case([span("step", 0, 5, lost_parent=True)]), TABLE)
    assert found.kind == "killed"
    assert found.at_ns == at(5)


def test_a_server_span_behind_a_foreign_gateway_is_no_orphan() -> None:
    found = symptom.find(
        case([span("GET /", 0, 10, kind=2, lost_parent=True)], histories={"GET /": history("GET /", 10)}), TABLE
    )
    assert found.kind == "none"


def test_a_span_lost_under_a_finished_root_is_no_death() -> None:
    spans = [span("job", 0, 10), span("step", 1, 5, lost_parent=True)]
    assert symptom.find(case(spans, histories={"job": history("job", 10)}), TABLE).kind == "none"


def test_too_little_silence_means_it_may_be_running() -> None:
    soon = replace(box(), now_ns=at(60))
    assert symptom.find(case([span("job", 0, None)], boxes=[soon]), TABLE).kind == "running"


def test_a_process_that_is_still_scraped_is_running_however_long_it_says_nothing() -> None:
    alive = Process(9, 4711, 1, "python", None, None, at(-100), at(-90), at(590), {})
    waiting = span("job", 0, None, pid=4711)
    assert symptom.find(case([waiting], boxes=[box(processes=[alive])]), TABLE).kind == "running"
    reused = Process(9, 4711, 1, "python", None, None, at(100), at(110), at(590), {})
    assert symptom.find(case([waiting], boxes=[box(processes=[reused])]), TABLE).kind == "killed"


def test_an_instance_that_goes_on_sending_makes_a_death_doubtful() -> None:
    sends = Instance("svc", "svc-1", 1, 1, 4711, at(-100), at(500), 40)
    found = symptom.find(case([span("job", 0, None, pid=4711)], boxes=[box(instances=[sends])]), TABLE)
    assert found.incomplete


def test_a_kernel_line_at_that_moment_is_a_marker() -> None:
    log = KeptLog("oom_kill", at(2), 1, 0, None, b"", b"", "Out of memory: Killed process 4711 (python)")
    assert symptom.find(case([span("step", 0, 1, lost_parent=True)], boxes=[box(logs=[log])]), TABLE).marker == log.text
    assert symptom.find(case([span("step", 0, 1, lost_parent=True)]), TABLE).marker is None


def test_the_deepest_failure_under_a_failed_root_is_the_symptom() -> None:
    spans = [
        span("job", 0, 10, status=2),
        span("save", 1, 9, parent="job", status=2),
        span(
            "write",
            2,
            8,
            parent="save",
            status=2,
            exception_type="OSError",
            exception_message="No space left on device",
        ),
    ]
    found = symptom.find(case(spans), TABLE)
    assert (found.kind, found.span.name) == ("err_space", "write")


def test_a_failure_that_the_request_survived_is_no_symptom() -> None:
    spans = [span("job", 0, 10), span("try", 1, 2, parent="job", status=2)]
    found = symptom.find(case(spans, histories={"job": history("job", 10)}), TABLE)
    assert (found.kind, found.handled_errors) == ("none", 1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("MemoryError", "err_mem"),
        ("java.lang.OutOfMemoryError: heap", "err_mem"),
        ("OSError: [Errno 28] No space left", "err_space"),
        ("EMFILE: too many open files", "err_fd"),
        ("deadline exceeded", "err_timeout"),
        ("connection reset by peer", "err_conn"),
        ("WorkerLostError('exited with signal 9')", "killed"),
        ("reason: OOMKilled", "killed"),
        ("KeyError: 'x'", "err_app"),
    ],
)
def test_texts_name_the_class_of_a_failure(text: str, kind: str) -> None:
    assert classify([text])[0] == kind


def test_paths_are_found_in_an_error_text() -> None:
    assert paths_in("could not write '/var/lib/db/x': full") == ["/var/lib/db/x"]


def test_no_slower_than_its_few_earlier_runs_is_usual_and_slower_is_unknown() -> None:
    few = {"job": [run("job", 98.0, n=1), run("job", 100.0, n=2)]}
    found = symptom.find(case([span("job", 0, 101)], histories=few), TABLE)
    assert found.kind == "none"
    assert decide.without_look(found, TABLE).confidence < 0.8  # type: ignore[union-attr]
    assert symptom.find(case([span("job", 0, 140)], histories=few), TABLE).kind == "unknown"
    assert symptom.find(case([span("job", 0, 140)]), TABLE).kind == "unknown"
