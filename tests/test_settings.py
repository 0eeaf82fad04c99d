"""Settings: flags over environment over defaults."""

from pathlib import Path

import pytest

from hosts_mcp.errors import ConfigurationError
from hosts_mcp.settings import KNOBS, Address, load, parse_address, parse_size


def test_without_anything_given_everything_listens_on_loopback_only() -> None:
    settings = load({}, {"HOME": "/home/u"})
    assert [str(a) for a in settings.addresses()] == ["127.0.0.1:8787", "127.0.0.1:4317", "127.0.0.1:4318"]
    assert all(a.loopback for a in settings.addresses())


def test_a_flag_wins_over_the_environment_which_wins_over_the_default() -> None:
    environ = {"HOSTS_MCP_LISTEN": "127.0.0.1:1", "HOSTS_MCP_OTLP_HTTP": "off"}
    settings = load({"listen": "127.0.0.1:2"}, environ)
    assert settings.listen.port == 2
    assert settings.otlp_http is None
    assert settings.otlp_grpc == Address("127.0.0.1", 4317)


def test_the_database_lives_in_the_users_data_directory() -> None:
    assert load({}, {"XDG_DATA_HOME": "/data"}).db == Path("/data/hosts-mcp/hosts-mcp.db")


def test_every_knob_with_a_flag_has_the_variable_of_the_same_name() -> None:
    for knob in KNOBS:
        if knob.flag:
            assert knob.env == "HOSTS_MCP_" + knob.flag.removeprefix("--").replace("-", "_").upper()


@pytest.mark.parametrize(
    ("text", "loopback"),
    [("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), (":1", True), ("1", True),
     ("0.0.0.0:1", False), ("10.0.0.5:1", False), ("[::]:1", False)],
)  # fmt: skip
def test_only_loopback_is_loopback(text: str, loopback: bool) -> None:
    address = parse_address(text, "--listen")
    assert address is not None
    assert address.loopback is loopback


def test_an_address_of_any_family_reads_back_as_written() -> None:
    assert str(parse_address("[::1]:4317", "--x")) == "[::1]:4317"


@pytest.mark.parametrize(
    ("text", "size"), [("64MiB", 64 << 20), ("5GB", 5 * 10**9), ("1048576", 1 << 20), ("1.5k", 1500)]
)
def test_sizes_are_decimal_or_binary_as_written(text: str, size: int) -> None:
    assert parse_size(text, "--max-size") == size


@pytest.mark.parametrize(
    "given",
    [{"listen": "here"}, {"listen": "off"}, {"max_size": "big"}, {"retention": "week"}, {"synchronous": "maybe"},
     {"otlp_grpc": "127.0.0.1:99999"}],
)  # fmt: skip
def test_a_setting_that_cannot_work_names_itself(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="--" + next(iter(given)).replace("_", "-")):
        load(given, {})


def test_the_token_is_never_shown() -> None:
    assert "s3cret" not in repr(load({}, {"HOSTS_MCP_TOKEN": "s3cret"}))
