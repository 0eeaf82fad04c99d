"""Host, Origin and token on every route of the app, and the refusal to stand open."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hosts_mcp.errors import ConfigurationError
from hosts_mcp.serve.token import Token, refuse_open_doors
from hosts_mcp.settings import load

from .conftest import HOSTS_MCP, Running, Start, clean_environment

ROUTES = [
    ("GET", "/"), ("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/api/v1/hosts"),
    ("GET", "/api/v1/hosts/web-1"), ("GET", "/api/v1/hosts/web-1/metrics"), ("GET", "/api/v1/traces"),
    ("GET", "/api/v1/traces/abc"), ("GET", "/api/v1/traces/abc/was-it-the-box"), ("POST", "/api/v1/query"),
    ("GET", "/api/v1/blame-report"), ("GET", "/api/v1/was-it-the-box"),
    ("GET", "/mcp"), ("POST", "/mcp"), ("GET", "/sse"), ("POST", "/messages/"), ("POST", "/inside/import/metrics"),
    ("POST", "/inside/settle"), ("DELETE", "/inside/hosts/web-1"), ("GET", "/no/such/route"),
]  # fmt: skip
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8787",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "10.1.2.3",
    "",
]
FOREIGN_ORIGINS = [
    "http://evil.example",
    "null",
    "http://127.0.0.1.evil.example",
    "file://",
    "http://localhost@evil.example",
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_foreign_hosts_and_origins(server: Running, method: str, path: str) -> None:
    for host in FOREIGN_HOSTS:
        assert server.request(method, path, Host=host).status == 421, host
    for origin in FOREIGN_ORIGINS:
        assert server.request(method, path, Origin=origin).status == 403, origin


def test_every_app_route_is_in_the_matrix(server: Running) -> None:
    listed = {
        path.replace("{host}", "web-1").replace("{trace_id}", "abc")
        for path in server.get("/openapi.json").json()["paths"]
    }
    assert listed <= {path for _, path in ROUTES}


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_machine_itself_is_welcome_under_its_names(server: Running, name: str) -> None:
    port = server.port
    assert server.get("/api/v1/hosts", Host=f"{name}:{port}", Origin=f"http://{name}:{port}").status == 200


def test_with_a_token_every_route_but_health_needs_it(start: Start, tmp_path: Path) -> None:
    running = start("--token-file", str(_file(tmp_path, "s3cret")))
    for method, path in ROUTES:
        expected = 200 if path == "/healthz" else 401
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "s3cret"},
            {"Authorization": "Basic s3cret"},
        ):
            reply = running.request(method, path, **given)
            assert reply.status == expected, (path, given)
            if expected == 401:
                assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert running.get("/healthz", Host="evil.example").status == 421
    assert running.get("/api/v1/hosts", Authorization="Bearer s3cret").status == 200
    assert running.get("/api/v1/hosts", Authorization="bearer s3cret").status == 200


def test_a_changed_token_file_is_in_force_at_once(start: Start, tmp_path: Path) -> None:
    file = _file(tmp_path, "first")
    running = start("--token-file", str(file))
    file.write_text("second, longer\n")
    assert running.get("/api/v1/hosts", Authorization="Bearer first").status == 401
    assert running.get("/api/v1/hosts", Authorization="Bearer second, longer").status == 200
    file.unlink()
    assert running.get("/api/v1/hosts").status == 401, "a lost file opens nothing"
    assert running.get("/api/v1/hosts", Authorization="Bearer second, longer").status == 200


def test_beyond_loopback_any_address_of_the_machine_will_do_but_no_foreign_name(start: Start) -> None:
    running = start("--listen", "0.0.0.0:0", "--allow-host", "box.example", HOSTS_MCP_TOKEN="s3cret")
    for host in ("10.1.2.3:80", "192.168.0.7", "[fe80::1]", "127.0.0.1", "box.example", "BOX.example:443"):
        assert running.get("/api/v1/hosts", Host=host, Authorization="Bearer s3cret").status == 200, host
    for host in ("evil.example", "box.example.evil.example", "10.1.2.3.evil.example"):
        assert running.get("/api/v1/hosts", Host=host, Authorization="Bearer s3cret").status == 421, host


@pytest.mark.parametrize("flag", ["--listen", "--otlp-grpc", "--otlp-http"])
def test_it_refuses_to_stand_open_beyond_loopback(flag: str, tmp_path: Path) -> None:
    command = [*HOSTS_MCP, "serve", "--db", str(tmp_path / "x.db"), flag, "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60, check=False)
    assert done.returncode == 1
    assert "Refusing to listen on 0.0.0.0:0 without a token" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_loopback_in_all_its_forms_needs_no_token() -> None:
    for address in ("127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.8.8:1", "off"):
        refuse_open_doors(load({"otlp_grpc": address}, {}), None)


@pytest.mark.parametrize("content", [None, "", "  \n", b"\xff\xfe"])
def test_a_token_file_without_a_token_is_refused_at_start(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "token"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match="--token-file"):
        Token(load({"token_file": str(file)}, {}))


def test_the_file_wins_over_the_variable(tmp_path: Path) -> None:
    settings = load({"token_file": str(_file(tmp_path, "from file"))}, {"HOSTS_MCP_TOKEN": "from variable"})
    assert Token(settings)() == "from file"


def _file(folder: Path, text: str) -> Path:
    file = folder / "token"
    file.write_text(text + "\n")
    return file
