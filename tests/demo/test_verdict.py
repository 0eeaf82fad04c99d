"""The story told to the real pipeline, and the real engine asked: several seeds, names, and the mirror image."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hosts_mcp.demo.story import Options, Story
from hosts_mcp.ingest.server import Ingest
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.settings import load

NOW_NS = 1_795_600_000 * 10**9


def told(options: Options, folder: Path, nights_before: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
    """The story in a database of its own; the verdicts on the batches so many nights before the last."""
    from hosts_mcp.answers import was_it_the_box

    story = Story(options, NOW_NS)
    settings = load({"db": folder / "box.db", "otlp_grpc": "off", "otlp_http": "off", "retention": "3650d",
                     "synchronous": "normal"}, {})  # fmt: skip

    async def tell() -> list[dict[str, Any]]:
        async with Ingest(settings) as ingest:
            group: list[asyncio.Future[Any]] = []
            for sent in story.past(NOW_NS):
                request = Request(Signal(sent.signal), sent.body, "protobuf", "127.0.0.1", sent.time_ns)
                group.append(asyncio.ensure_future(ingest.accept(request)))
                if len(group) == 200:
                    await asyncio.gather(*group)
                    group.clear()
            await asyncio.gather(*group)
            await ingest.settle()
            ids = [story.trace_of(n) for n in nights_before]
            return [was_it_the_box.answer(ingest.reader, trace_id=i, now_ns=NOW_NS).structured() for i in ids]

    return asyncio.run(tell())


STORIES = [
    pytest.param(Options(seed=6, nights=3), id="short"),
    pytest.param(Options(seed=1, nights=8), id="postgres", marks=pytest.mark.long),
    pytest.param(
        Options(seed=2, nights=4, host="db-7.example.org", culprit="restic"), id="restic", marks=pytest.mark.long
    ),
    pytest.param(Options(seed=3, nights=8, host="h", culprit="mysqld"), id="mysqld", marks=pytest.mark.long),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", STORIES)
def test_it_was_the_neighbour_whose_climb_had_begun_before_the_agent(options: Options, tmp_path: Path) -> None:
    last, before = told(options, tmp_path, (0, 1))
    assert (last["verdict"], last["origin"], last["resource"], last["scope"]) == ("yes", "neighbour", "memory", "host")
    assert options.culprit in json.dumps(last["culprit"])
    assert options.host in json.dumps(last)
    companions = json.dumps(last["companions"]).lower()
    assert "disk" in companions
    assert "load" in companions
    assert "00:" in json.dumps(last["timeline"]), "the climb's begin, soon after midnight"
    assert before["verdict"] == "no", before


@pytest.mark.timeout(600)
def test_without_the_process_scraper_the_neighbour_is_found_and_not_named(tmp_path: Path) -> None:
    (last,) = told(Options(seed=4, nights=2, process=False), tmp_path)
    assert (last["verdict"], last["origin"], last["resource"]) == ("yes", "neighbour", "memory")
    assert "postgres" not in json.dumps(last.get("culprit"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("process", [True, False])
def test_its_own_leak_is_its_own(tmp_path: Path, process: bool) -> None:
    (last,) = told(Options(seed=5, nights=2, own_leak=True, process=process), tmp_path)
    assert (last["verdict"], last["origin"], last["resource"]) == ("yes", "own_workload", "memory")


@pytest.mark.timeout(300)
def test_the_command_prints_trace_and_verdict_as_json_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "hosts_mcp.cli", "demo", "--once", "--nights", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    printed = json.loads(done.stdout)
    assert printed["verdict"] in ("yes", "partly", "no", "cannot_tell")
    assert len(printed["trace_id"]) == 32
    assert "Loading" in done.stderr
