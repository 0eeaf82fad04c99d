"""The verdict without a trace id: what may be asked, what is refused, and what a silence proves."""

from __future__ import annotations

import pytest

from hosts_mcp.answers import was_it_the_box
from hosts_mcp.answers.silence import Silence, Talking, find
from hosts_mcp.errors import AmbiguousName, BadArgument, BadRange, NoSuchHost, NoSuchService
from hosts_mcp.timerange import NS

from .filling import INJECTIONS, NOW, Load, assert_harmless, span

MINUTE = 60 * NS
DIED = NOW - 60 * MINUTE


def requests(filling, service: int, name: str, *, until: int, every: int = 4 * MINUTE, count: int = 30, first: int = 1):
    """Requests of one second that ended well, the last one at `until`."""
    filling.spans(
        *(
            (
                service,
                span(f"{first + n:032x}", 1, None, "GET /", start_ns=until - n * every - NS, seconds=1, service=name),
            )
            for n in range(count)
        )
    )


@pytest.fixture
def shop(filling):
    """`shop` on web-1 answers every four minutes until an hour ago; the box is calm and reports every ten seconds."""
    host = filling.host("web-1")
    filling.scrapes(host, Load(), start_ns=DIED - 90 * MINUTE, end_ns=NOW)
    requests(filling, filling.service("shop", host), "shop", until=DIED)
    return host


def asked(filling, **arguments: str):
    return was_it_the_box.answer(filling.store, **arguments, now_ns=NOW)


@pytest.mark.parametrize(
    "given",
    [{}, {"trace_id": "a" * 32, "service": "shop"}, {"service": "shop", "host": "web-1"},
     {"trace_id": "a" * 32, "service": "shop", "host": "web-1"}, {"trace_id": "a" * 32, "at": "now-1h"}],
)  # fmt: skip
def test_exactly_one_of_trace_service_and_host_is_asked_about(filling, shop, given):
    with pytest.raises(BadArgument, match=r"exactly one of trace_id, service and host|its own time"):
        asked(filling, **given)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [({"service": "shopp"}, NoSuchService, "Nearest: `shop`"), ({"service": "zzz"}, NoSuchService, "There are: `shop`"),
     ({"host": "web-2"}, NoSuchHost, "web-1"), ({"service": "shop", "at": "soonish"}, BadRange, "Accepted"),
     ({"service": "shop", "at": "now-9d"}, BadArgument, "had sent nothing by")],
)  # fmt: skip
def test_what_is_not_known_is_refused_with_what_is(filling, shop, given, kind, said):
    with pytest.raises(kind, match=said):
        asked(filling, **given)


def test_a_service_is_found_in_any_case_and_by_a_unique_beginning(filling, shop):
    filling.service("shop-admin", shop)
    assert asked(filling, service="SHOP").service == "shop"
    assert asked(filling, service="shop").service == "shop"
    with pytest.raises(AmbiguousName):
        asked(filling, service="sho")


def test_a_host_from_which_no_service_sends_is_no_case(filling, shop):
    filling.host("db-1")
    with pytest.raises(BadArgument, match="No service has sent spans from `db-1`"):
        asked(filling, host="db-1")


def test_a_silence_on_a_calm_box_is_not_the_boxs_and_says_what_it_does_not_prove(filling, shop):
    found = asked(filling, service="shop", at="now-1h")
    assert (found.verdict, found.trace_id, found.host) == ("no", None, "web-1")
    assert found.last_sign == "2026-05-28T19:26:40Z"
    assert "fell silent at 2026-05-28 19:26:40 UTC and has been for 60 min" in found.summary
    assert any("had ended when it fell silent" in e.text for e in found.evidence if e.side == "against")
    assert found.next == 'host_status(host="web-1", at="2026-05-28T19:26:40Z")'
    assert [m.what for m in found.timeline] == ["last sign of life"]


def test_the_default_moment_is_now_and_an_early_moment_finds_the_silence_that_follows(filling, shop):
    for at in ("now", "now-30m", "now-70m"):
        assert asked(filling, service="shop", at=at).last_sign == "2026-05-28T19:26:40Z"


def test_a_service_that_talks_is_said_to_and_its_worst_trace_is_judged(filling, shop):
    boom = span("f" * 32, 1, None, "GET /", start_ns=DIED - 50 * MINUTE, seconds=1, status=2, service="shop")
    filling.spans((filling.service("shop", shop), boom))
    found = asked(filling, service="shop", at="now-110m")
    assert "was not silent around" in found.summary
    assert "1 failed or unfinished; this is the worst of them" in found.summary
    assert found.trace_id == "f" * 32


def test_while_nobody_listened_silence_proves_nothing(filling, shop, tmp_path):
    filling.writer._db.execute("DELETE FROM server_run")
    filling.listened((NOW - 2 * 86_400 * NS, DIED + 5 * NS))
    found = asked(filling, service="shop")
    assert found.verdict == "cannot_tell"
    assert "this server was not listening" in found.summary.lower()


def test_a_pause_as_long_as_usual_is_no_silence(filling):
    host = filling.host("web-1")
    filling.scrapes(host, Load(), start_ns=DIED - 90 * MINUTE, end_ns=NOW)
    requests(filling, filling.service("batch", host), "batch", until=DIED, every=50 * MINUTE, count=8)
    found = asked(filling, service="batch")
    assert found.verdict == "no"
    assert "usually pauses for up to 50 min" in found.summary


def test_one_instance_of_several_falls_silent(filling):
    host = filling.host("web-1")
    filling.scrapes(host, Load(), start_ns=DIED - 90 * MINUTE, end_ns=NOW)
    other = filling.host("web-2")
    filling.writer.begin()
    first = filling.writer.entity("service", host.id, b"shop/1", {"service.name": "shop"}, None, DIED, DIED)
    filling.writer.join_service(first, host.id, "name", "high")
    filling.writer.commit()
    requests(filling, first, "shop", until=DIED)
    requests(filling, filling.service("shop", other), "shop", until=NOW - NS, first=1000, count=60)
    found = find(filling.store, "shop", DIED, NOW)
    assert isinstance(found, Silence)
    assert found.instance is not None
    assert found.instance.host_id == host.id
    assert "instance" in asked(filling, service="shop", at="now-1h").summary


def test_of_a_host_the_silent_service_is_judged_and_the_talking_one_named(filling, shop):
    requests(filling, filling.service("cart", shop), "cart", until=NOW - NS, first=1000, count=60)
    found = asked(filling, host="web-1", at="now-1h")
    assert found.service == "shop"
    assert found.notes is not None
    assert "went on: `cart`" in found.notes[0]
    assert isinstance(find(filling.store, "cart", DIED, NOW), Talking)


@pytest.mark.parametrize("text", INJECTIONS)
def test_foreign_text_never_comes_out_raw(filling, text):
    host = filling.host("web-1")
    filling.scrapes(host, Load(), start_ns=DIED - 90 * MINUTE, end_ns=NOW)
    name = text[:500]
    requests(filling, filling.service(name, host), name, until=DIED)
    found = asked(filling, host="web-1")
    assert_harmless(found.to_text(), str(found.structured()))
    with pytest.raises(NoSuchService) as error:
        asked(filling, service=f"no {text}")
    assert_harmless(str(error.value))
