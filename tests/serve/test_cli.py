"""The terminal: the same answers, exit statuses that scripts can use, and no traceback ever."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hosts_mcp import __version__
from waiting import wait_until

from .conftest import HOSTS_MCP, TRACE_ID, Running, Start, clean_environment, little_otlp

COMMANDS = [
    ["hosts"], ["status", "web-1"], ["metrics", "web-1", "--metrics", "cpu", "--range", "1h"],
    ["was-it-the-box", TRACE_ID], ["was-it-the-box", "--service", "reports", "--at", "now-2m"],
    ["blame-report", "--host", "web-1"],
    ["traces", "--host", "web-1"], ["trace", TRACE_ID], ["query", "select 1 as one"],
    ["query"],
]  # fmt: skip


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HOSTS_MCP, *words],
        capture_output=True,
        text=True,
        env=clean_environment(**environment),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_question_is_answered_as_text_and_as_json(server: Running, words: list[str]) -> None:
    text = run(*words, "--db", str(server.db))
    assert (text.returncode, text.stderr) == (0, "")
    found: dict[str, Any] = json.loads(run(*words, "--json", "--db", str(server.db)).stdout)
    assert next(iter(found)) == "summary"
    assert found["summary"].split()[0] in text.stdout


def test_the_verdict_is_the_one_that_the_server_gives(server: Running) -> None:
    told = json.loads(run("was-it-the-box", TRACE_ID, "--json", HOSTS_MCP_DB=str(server.db)).stdout)
    served = server.get(f"/api/v1/traces/{TRACE_ID}/was-it-the-box").json()
    for verdict in (told, served):
        verdict.pop("evaluated_at", None)
    assert told == served


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [(["status", "nobody"], 1, "no_such_host"), (["trace", "f" * 32], 1, "no_such_trace"),
     (["was-it-the-box", "not-an-id"], 1, "32 hex digits"), (["query", "drop table hosts"], 1, "bad_query"),
     (["was-it-the-box"], 1, "exactly one of trace_id, service and host"),
     (["was-it-the-box", "--service", "nobody"], 1, "no_such_service"),
     (["status"], 2, "HOST"), (["hosts", "--colour", "red"], 2, "--colour"),
     (["hosts", "--status", "asleep"], 2, "live"), (["sing"], 2, "sing"),
     (["metrics", "web-1", "--range", "soonish"], 2, "bad_range")],
)  # fmt: skip
def test_exit_statuses(server: Running, words: list[str], status: int, said: str) -> None:
    done = run(*words, HOSTS_MCP_DB=str(server.db))
    assert done.returncode == status
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_missing_database_is_refused_and_not_made(tmp_path: Path) -> None:
    done = run("hosts", "--db", str(tmp_path / "none.db"))
    assert done.returncode == 1
    assert "store_unusable" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database at all, " * 500)
    for words in (
        ["hosts"],
        ["serve", "--listen", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off"],
        ["doctor"],
    ):
        done = run(*words, "--db", str(tmp_path / "x.db"))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_version_and_help() -> None:
    assert __version__ in run("--version").stdout
    overview = run("--help").stdout
    for command in ("serve", "mcp", "stop", "demo", "import", "config", "doctor", "forget", "was-it-the-box"):
        assert command in overview
        assert run(command, "--help").returncode == 0


def test_a_reader_that_goes_away_is_no_error(server: Running) -> None:
    done = subprocess.run(
        f'{" ".join(HOSTS_MCP)} query --db "{server.db}" | true', shell=True, capture_output=True, text=True,
        env=clean_environment(), check=False,
    )  # fmt: skip
    assert done.stderr == ""


@pytest.mark.parametrize("through_server", [pytest.param(True, marks=pytest.mark.long), False])
def test_import_brings_a_file_in_once(start: Start, tmp_path: Path, through_server: bool) -> None:
    lines = [json.dumps(body) for _, body in little_otlp(time.time_ns())]
    file = tmp_path / "exported.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join([*lines[:3], "rubbish", *lines[3:]]).encode()))
    db = tmp_path / "box.db"
    running = start() if through_server else None
    for _ in range(2):
        done = run("import", str(file), "--db", str(db))
        assert done.returncode == 0, done.stderr
        assert "62 requests imported, 1 refused" in done.stdout
        assert "line 4" in done.stderr
    hosts = json.loads(run("hosts", "--json", "--db", str(db)).stdout)
    assert [row["host"] for row in hosts["hosts"]] == ["web-1"]
    points = json.loads(run("query", "select count(*) from samples", "--json", "--db", str(db)).stdout)["rows"]
    assert points[0][0] == 61
    assert running is None or running.get("/api/v1/hosts/web-1?stored=true").json()["stored"]["points"] == 61 * 8


@pytest.mark.parametrize("through_server", [pytest.param(True, marks=pytest.mark.long), False])
def test_forget_removes_a_host(start: Start, tmp_path: Path, through_server: bool) -> None:
    file, db = tmp_path / "exported.jsonl", tmp_path / "box.db"
    file.write_text("\n".join(json.dumps(body) for _, body in little_otlp(time.time_ns())))
    assert run("import", str(file), "--db", str(db)).returncode == 0
    if through_server:
        start()
    assert "Forgot web-1" in run("forget", "web-1", "--db", str(db)).stdout
    assert json.loads(run("hosts", "--json", "--db", str(db)).stdout)["hosts"] == []
    assert run("forget", "web-1", "--db", str(db)).returncode == 1


def test_doctor_finds_a_sound_server_sound_and_a_taken_port_bad(server: Running, tmp_path: Path) -> None:
    sound = run("doctor", "--db", str(server.db))
    assert sound.returncode == 0, sound.stdout
    for said in ("Server", "fsync", "metrics:", "traces:", "web-1", "does not send", "took the slow way in"):
        assert said in sound.stdout
    port = f"127.0.0.1:{server.port}"
    bad = run("doctor", "--db", str(tmp_path / "new.db"), "--listen", port)
    assert bad.returncode == 1
    assert f"FAIL  app: {port} cannot be had" in bad.stdout


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*HOSTS_MCP, "serve", "--db", str(tmp_path / "box.db"), "--listen", "127.0.0.1:0", "--otlp-grpc", "off",
         "--otlp-http", "off"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    )  # fmt: skip
    wait_until((tmp_path / "box.db.server.json").exists, "it is up")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
