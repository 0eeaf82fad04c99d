"""An exported case says nothing of whose it is, and replays to the same verdict."""

from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hosts_mcp.answers.base import compact_json
from hosts_mcp.answers.export_case import Exported, export
from hosts_mcp.answers.neutral import Names, error_type, neutral_text
from hosts_mcp.diagnosis.errors import CLASSES, classify
from hosts_mcp.errors import BadArgument
from hosts_mcp.otlp.batch import Slot
from hosts_mcp.serve.replaying import replay, statement
from in_process import InProcess
from scenarios.path import asked_at, fill, trace_id_of
from scenarios.simulator import Program
from scenarios.story import Scenario
from scenarios.table import BY_NUMBER, failing

SEED = 1
SECRETS = ("classify documents", "compute", "agent", "server.acme", "acme-billing", "invoice", "hunter2", "shopdb")
"""Of the case below: operations, services, hosts, programs, scripts, messages, titles."""


def private() -> Scenario:
    """A neighbour's load beside a slow trace, every name of which says whose it is."""
    s = BY_NUMBER[22]
    (machine,) = s.machines
    agent = machine.programs[1]
    billing = Program("acme-billing", 4000, lambda t: 1e8, command_line="acme-billing --password hunter2")
    backend = Program("postgres", 900, lambda t: 1e8, command_line="postgres: alice shopdb 10.1.2.3 idle")
    programs = (machine.programs[0], replace(agent, command_line="python3 /srv/acme/invoice.py"), billing, backend)
    named = replace(machine, name="server.acme.example", programs=programs)
    pieces = tuple(replace(p, host=named.name) for p in s.pieces)
    assert s.past is not None
    past = replace(s.past, pieces=tuple(replace(p, host=named.name) for p in s.past.pieces))
    return replace(s, machines=(named,), pieces=pieces, past=past)


def written(scenario: Scenario, folder: Path) -> tuple[Path, Exported]:
    box, path = InProcess(folder / "box.db"), folder / "case.jsonl.gz"
    try:
        fill(box, scenario, SEED)
        with gzip.open(path, "wt") as file:
            done = export(
                box.reader, trace_id_of(scenario, SEED), asked_at(scenario), lambda x: print(compact_json(x), file=file)
            )
    finally:
        box.close()
    return path, done


def test_no_name_of_the_original_is_in_the_case_and_the_verdict_is_the_same(tmp_path: Path) -> None:
    scenario = private()
    path, done = written(scenario, tmp_path)
    with gzip.open(path, "rt") as file:
        text = file.read()
    assert [name for name in SECRETS if name in text] == []
    assert trace_id_of(scenario, SEED).hex() not in text
    assert done.expected["culprit"] == "pigz", "a widely known program keeps its name"
    assert done.points > 10_000
    assert replay(path).differences() == []


@pytest.mark.parametrize(
    "number", [20, 39, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 14, 27, 6, 7, 12, 24, 37, 52, 60, 62))]
)
def test_a_case_replays_to_the_same_verdict(number: int, tmp_path: Path) -> None:
    path, done = written(BY_NUMBER[number], tmp_path)
    found = replay(path)
    assert found.differences() == []
    assert found.diagnosis.verdict == done.expected["verdict"]


def test_another_outcome_than_stated_is_told(tmp_path: Path) -> None:
    path, _ = written(BY_NUMBER[16], tmp_path)
    found = replay(path)
    wrong = replace(found, expected={**found.expected, "verdict": "yes", "confidence": 0.1})
    assert [d.partition(":")[0] for d in wrong.differences()] == ["verdict", "confidence"]


def test_a_file_that_states_nothing_is_no_case(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"resourceMetrics":[]}\n')
    with pytest.raises(BadArgument, match="is no case"):
        statement(path)


def test_the_command_writes_the_case_checks_it_and_says_what_came_out(tmp_path: Path) -> None:
    box = InProcess(tmp_path / "box.db")
    scenario = BY_NUMBER[8]
    fill(box, scenario, SEED)
    box.close()
    out = tmp_path / "mine.jsonl"
    command = [sys.executable, "-P", "-m", "hosts_mcp.cli", "export-case", trace_id_of(scenario, SEED).hex()[:12]]
    done = subprocess.run([*command, "-o", str(out), "--db", str(tmp_path / "box.db")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Verdict no" in done.stdout
    assert statement(out)["verdict"] == "no"


@pytest.mark.parametrize("words", [w for _, needles in CLASSES for w in needles])
def test_a_message_keeps_its_kind_and_nothing_else(words: str) -> None:
    message = f"acme-host: {words} (order 4711)"
    assert classify([neutral_text(message)])[0] == classify([message])[0]
    assert "acme" not in neutral_text(message)
    assert "acme" not in error_type(f"acme.errors.{words}")


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [("device", "sda1", True), ("device", "/dev/nvme0n1p2", True), ("device", "/dev/mapper/acme-data", False),
     ("interface", "eth0", True), ("interface", "veth12ab34", False), ("mountpoint", "/", True),
     ("mountpoint", "/srv/acme", False), ("state", "used", True), ("system.filesystem.mode", "ro", True),
     ("cpu", "cpu3", True), ("host", "acme-1", False)],
)  # fmt: skip
def test_labels_keep_what_says_what_a_thing_is(key: str, value: str, kept: bool) -> None:
    names = Names(hosts={}, services=(), operations=())
    ((_, found),) = names.slot(Slot("system.x", "gauge", ((key, value),))).attributes
    assert (found == value) == kept
    assert "acme" not in str(found)
    assert names.slot(Slot("system.x", "gauge", ((key, value),))).attributes == ((key, found),)


def test_failing_traces_keep_their_class(tmp_path: Path) -> None:
    scenario = replace(BY_NUMBER[8], pieces=failing("acme.PaymentError: card of Alice refused by acme-bank"))
    path, done = written(scenario, tmp_path)
    assert done.expected["symptom"] == "err_conn"
    assert replay(path).differences() == []
