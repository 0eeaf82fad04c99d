"""Who may send, decided on headers alone."""

import pytest

from hosts_mcp.otlp.guard import Guard


def status(headers: dict[str, str], *, token: str | None = None, loopback: bool = True) -> int | None:
    refusal = Guard(lambda: token, loopback, ("box.example",)).refuses(headers)
    return refusal.status if refusal else None


@pytest.mark.parametrize("host", ["127.0.0.1:4318", "localhost", "LOCALHOST:1", "[::1]:4318", "box.example:80"])
def test_loopback_and_allowed_names_are_served(host: str) -> None:
    assert status({"host": host}) is None
    assert status({"host": "localhost", "origin": f"http://{host}"}) is None
    assert status({"host": "localhost", "origin": f"https://{host}"}) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[", "[::1", "127.0.0.1@evil.example"])
def test_another_host_name_is_refused_on_loopback_only(host: str) -> None:
    assert status({"host": host}) == 421
    assert status({"host": host}, loopback=False) is None


@pytest.mark.parametrize(
    "origin", ["null", "", "http://[", "http://evil.example", "ftp://localhost", "localhost", "http://localhost.evil"]
)
def test_another_origin_is_refused_everywhere(origin: str) -> None:
    assert status({"host": "localhost", "origin": origin}) == 403
    assert status({"origin": origin}, loopback=False) == 403


def test_the_token_is_asked_anew_at_every_request() -> None:
    tokens = iter(["old", "new"])
    guard = Guard(lambda: next(tokens), True)
    assert guard.refuses({"authorization": "Bearer old"}) is None
    refusal = guard.refuses({"authorization": "Bearer old"})
    assert refusal is not None
    assert refusal.status == 401


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer T", "Basic t", "Bearer tt", "Bearer \xff"])
def test_only_the_whole_token_opens(given: str) -> None:
    assert status({"authorization": given}, token="t") == 401
