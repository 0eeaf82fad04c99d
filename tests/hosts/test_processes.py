"""Claims about process resources: which incarnation, and that nothing of a command line is kept but its script."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleet import resource
from hosts_mcp.hosts.processes import SCRIPT, TITLE, process_identity, script_of
from hosts_mcp.timerange import NS

STARTED = 1_700_000_000 * NS


def test_a_process_is_its_pid_and_start_and_keeps_what_is_no_secret() -> None:
    of = resource(
        "web-1",
        process_pid=42,
        process_parent_pid=1,
        process_executable_name="python3.12",
        process_owner="app",
        process_command="python3.12",
        process_command_line="python3.12 /srv/classify.py --api-key hunter2",
    )
    process = process_identity(of, STARTED)
    assert process.started_ns == STARTED
    assert process.attributes == {
        "process.pid": 42,
        "process.parent_pid": 1,
        "process.executable.name": "python3.12",
        "process.owner": "app",
        SCRIPT: "classify.py",
    }


def test_the_same_pid_started_again_is_another_process() -> None:
    of = resource(process_pid=42)
    assert process_identity(of, STARTED).key != process_identity(of, STARTED + NS).key
    assert process_identity(of, STARTED).key == process_identity(of, STARTED + 400_000).key


def test_without_a_start_time_the_executable_tells_processes_apart() -> None:
    keys = {process_identity(resource(process_pid=42, process_executable_name=n), 0).key for n in ("a", "b")}
    assert len(keys) == 2


@pytest.mark.parametrize("pid", [None, "", "abc"])
def test_without_a_pid_it_is_no_process(pid: object) -> None:
    assert process_identity(resource(process_pid=pid), STARTED) is None


def test_a_postgres_title_is_kept_because_only_it_says_what_the_backend_does() -> None:
    of = resource(process_pid=42, process_command_line="postgres: autovacuum worker shop")
    assert process_identity(of, STARTED).attributes[TITLE] == "postgres: autovacuum worker shop"


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("python -u /srv/classify.py", "classify.py"),
        ("/usr/bin/python3 /usr/local/bin/gunicorn app:app", "gunicorn"),
        ("python3 -m celery worker --password x", "celery"),
        ("python -c print(1)", None),
        ("node /app/server.js --token abc", "server.js"),
        ("node --title s3cret index.mjs", None),
        ("node -e process.exit()", None),
        ("java -Xmx1g -jar /opt/shop.jar --key abc", "shop.jar"),
        ("bash -c curl -H token", None),
        ("sh /etc/cron.daily/backup", "backup"),
        ("ruby C:\\srv\\worker.rb", "worker.rb"),
        ("nginx: worker process", None),
        ("/usr/bin/mysqld --password=abc", None),
        ("", None),
    ],
)
def test_only_the_script_of_an_interpreter_is_read(line: str, script: str | None) -> None:
    assert script_of(line.split()) == script


@given(st.text(max_size=60), st.text(min_size=8, max_size=30, alphabet="abcdefghjkmnpqrstuvwxyz23456789"))
def test_an_option_of_a_command_line_never_leaks(program: str, secret: str) -> None:
    assume(secret not in program)
    line = f"{program} --password {secret}"
    for start in ("python ", "node ", "postgresx ", ""):
        process = process_identity(resource(process_pid=1, process_command_line=start + line), STARTED)
        kept = {v for v in process.attributes.values() if isinstance(v, str)}
        assert secret not in kept
