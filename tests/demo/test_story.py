"""The story as its receivers see it: deterministic, in time order, shaped like a real collector's."""

from __future__ import annotations

import itertools

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosts_mcp.demo.programs import DAY_NS, HOUR_NS
from hosts_mcp.demo.story import Options, Outgoing, Story
from hosts_mcp.demo.traces import AGENT_SERVICE
from hosts_mcp.timerange import NS

NOW_NS = 1_795_600_000 * NS


def tonight(options: Options) -> tuple[Story, list[Outgoing]]:
    story = Story(options, NOW_NS)
    return story, list(story.until(story.last_midnight_ns + 3 * HOUR_NS))


@pytest.fixture(scope="module")
def one_night() -> tuple[Story, list[Outgoing]]:
    return tonight(Options(seed=3, nights=1))


@pytest.fixture(scope="module")
def two_nights() -> tuple[Story, list[Span]]:
    story, sent = tonight(Options(seed=3, nights=2))
    return story, agent_spans(sent)


def agent_spans(sent: list[Outgoing]) -> list[Span]:
    return [
        span
        for outgoing in sent
        if outgoing.signal == "traces"
        for of_process in ExportTraceServiceRequest.FromString(outgoing.body).resource_spans
        if any(
            a.key == "service.name" and a.value.string_value == AGENT_SERVICE for a in of_process.resource.attributes
        )
        for in_scope in of_process.scope_spans
        for span in in_scope.spans
    ]


def test_equal_seeds_send_equal_bytes_and_other_seeds_do_not(one_night: tuple[Story, list[Outgoing]]) -> None:
    first = one_night[1][:400]
    assert first == list(itertools.islice(Story(Options(seed=3, nights=1), NOW_NS).until(NOW_NS), 400))
    assert first != list(itertools.islice(Story(Options(seed=4, nights=1), NOW_NS).until(NOW_NS), 400))


def test_requests_come_in_time_order(one_night: tuple[Story, list[Outgoing]]) -> None:
    times = [sent.time_ns for sent in one_night[1]]
    assert times == sorted(times)


@pytest.mark.parametrize("hours_after_midnight", [2, 3, 14, 23.9, 25.9])
def test_the_last_night_is_the_one_whose_two_o_clock_came_last(hours_after_midnight: float) -> None:
    midnight_ns = NOW_NS // DAY_NS * DAY_NS
    story = Story(Options(), midnight_ns + int(hours_after_midnight * HOUR_NS))
    assert story.last_midnight_ns == midnight_ns


def test_the_last_batch_has_children_whose_parent_never_came(two_nights: tuple[Story, list[Span]]) -> None:
    story, spans = two_nights
    killed = [span for span in spans if span.trace_id.hex() == story.trace_id]
    arrived = {span.span_id for span in killed}
    orphans = {span.parent_span_id for span in killed} - arrived
    assert b"" not in orphans
    assert not any(span.name == "classify batch" for span in killed)
    end_ns = max(span.end_time_unix_nano for span in killed)
    assert story.last_midnight_ns + 1.96 * HOUR_NS < end_ns < story.last_midnight_ns + 1.99 * HOUR_NS
    assert max(span.end_time_unix_nano for span in spans) == end_ns


def test_the_batch_of_the_night_before_is_whole(two_nights: tuple[Story, list[Span]]) -> None:
    story, spans = two_nights
    fine = [span for span in spans if span.trace_id.hex() == story.trace_of(1)]
    arrived = {span.span_id for span in fine}
    assert {span.parent_span_id for span in fine} - arrived == {b""}
    root = next(span for span in fine if not span.parent_span_id)
    assert root.name == "classify batch"
    assert 0.8 * HOUR_NS < root.end_time_unix_nano - root.start_time_unix_nano < 1.1 * HOUR_NS


def test_the_killed_process_leaves_the_scrapes(one_night: tuple[Story, list[Outgoing]]) -> None:
    story, sent = one_night
    killed_ns = story._night(story.last_midnight_ns).batch.killed_ns
    assert killed_ns is not None
    seen = [s.time_ns for s in sent if s.signal == "metrics" and b"classify.py" in s.body]
    assert min(seen) > story.last_midnight_ns + HOUR_NS
    assert killed_ns - 61 * NS < max(seen) < killed_ns


def test_nothing_is_sent_of_processes_without_the_process_scraper() -> None:
    story = Story(Options(process=False), NOW_NS)
    assert all(
        b"process.cpu.time" not in s.body for s in story.until(story.start_ns + HOUR_NS) if s.signal == "metrics"
    )


def test_host_and_culprit_bear_the_names_that_were_asked_for() -> None:
    story, sent = tonight(Options(nights=1, host="db-7.example.org", culprit="restic"))
    bodies = b"".join(s.body for s in sent[-2000:])
    assert b"db-7.example.org" in bodies
    assert b"restic: nightly run" in b"".join(s.body for s in sent if s.time_ns > story.last_midnight_ns)
    assert b"postgres: " not in bodies


def test_a_live_box_goes_on_where_the_story_ended(one_night: tuple[Story, list[Outgoing]]) -> None:
    story = Story(Options(nights=1, seed=3), NOW_NS)
    *_, last = story.until(NOW_NS)
    live = [s.time_ns for s in story.until(NOW_NS + 60 * NS, 10 * NS) if s.signal == "metrics"]
    assert live[0] > last.time_ns
    assert live[-1] > NOW_NS + 45 * NS


@pytest.mark.parametrize("order", ["reversed", "ascending"])
def test_both_wire_orders_hold_the_same_request(order: str) -> None:
    story = Story(Options(order=order), NOW_NS)  # type: ignore[arg-type]
    body = next(story.until(NOW_NS)).body
    request = ExportMetricsServiceRequest.FromString(body)
    assert (request.SerializeToString(deterministic=True) == body) is (order == "ascending")
    assert len(body) == request.ByteSize()
