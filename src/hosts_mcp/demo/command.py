"""`hosts-mcp demo`: tell the story to a server of its own, print its verdict, and stay up as a live box."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import click

from hosts_mcp.answers.base import MCP_BUDGET, Answer
from hosts_mcp.demo.feed import told
from hosts_mcp.demo.story import Options, Outgoing, Story
from hosts_mcp.demo.traces import AGENT_SERVICE
from hosts_mcp.errors import ConfigurationError
from hosts_mcp.ingest.server import Ingest
from hosts_mcp.otlp.transport import Request, Signal
from hosts_mcp.serve.app import Server
from hosts_mcp.serve.questions import BY_TOOL
from hosts_mcp.serve.run import log_to_stderr, reachable, serving
from hosts_mcp.settings import Settings, load

IN_FLIGHT = 256
"""Requests that wait for their commit while the story is loaded."""
_BAR = 40


def run(
    *, seed: int = 1, nights: int = 8, host: str = "", culprit: str = "", own_leak: bool = False,
    no_process: bool = False, once: bool = False, **knobs: Any,
) -> None:  # fmt: skip
    """Load, ask, print; then stay until Ctrl-C, or with `once` print JSON and return.

    Raises ConfigurationError when `--db` names a file that already holds something.
    """
    standard = Options()
    options = Options(
        host=host or standard.host, culprit=culprit or standard.culprit, own_leak=own_leak, process=not no_process,
        seed=seed, nights=nights,
    )  # fmt: skip
    log_to_stderr()
    with _database(knobs.get("db")) as db, contextlib.suppress(KeyboardInterrupt):
        # The story arrives as it happened, over its whole length; retention must not eat its beginning.
        given = knobs | {"db": db, "retention": f"{nights + 2}d", "synchronous": "normal"}
        if once:
            given |= {"listen": "127.0.0.1:0", "otlp_grpc": "off", "otlp_http": "off"}
        asyncio.run(_run(options, load(given), once))


@contextlib.contextmanager
def _database(given: Any) -> Iterator[Path]:
    if given:
        db = Path(given).expanduser()
        if db.exists() and db.stat().st_size:
            raise ConfigurationError(f"{db} already holds data, and the demo wants a file of its own: name another.")
        yield db
    else:
        with tempfile.TemporaryDirectory(prefix="hosts-mcp-demo-", ignore_cleanup_errors=True) as room:
            yield Path(room) / "demo.db"


async def _run(options: Options, settings: Settings, once: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    now_ns = time.time_ns()
    story = Story(options, now_ns)
    async with serving(settings) as server, told(options, now_ns) as sent:
        telling = asyncio.create_task(_tell(server, story, now_ns, sent, once))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((telling, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not telling.done():
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
        else:
            telling.result()


async def _tell(server: Server, story: Story, now_ns: int, sent: AsyncIterator[Outgoing | None], once: bool) -> None:
    begun = time.monotonic()
    with _progress(story, now_ns) as progress:
        await _load(server.ingest, sent, progress)
    await server.ingest.settle()
    verdict = await server.desk.ask(BY_TOOL["was_it_the_box"], {"trace_id": story.trace_id}, MCP_BUDGET)
    click.echo(f"Loaded {story.options.nights} nights in {time.monotonic() - begun:.0f} s.", err=True)
    if once:
        click.echo(json.dumps({"trace_id": story.trace_id} | verdict.structured()))
        return
    click.echo(_how_to_go_on(server, story, verdict))
    async for one in sent:
        if one is not None:
            await server.ingest.accept(_request(one))


async def _load(ingest: Ingest, sent: AsyncIterator[Outgoing | None], progress: Any) -> None:
    """Everything up to the end of the story, in order, with a bounded number of requests under way."""
    under_way: set[asyncio.Future[Any]] = set()
    async for one in sent:
        if one is None:
            break
        progress(one.time_ns)
        under_way.add(asyncio.ensure_future(ingest.accept(_request(one))))
        if len(under_way) >= IN_FLIGHT:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*under_way)


def _request(one: Outgoing) -> Request:
    return Request(Signal(one.signal), one.body, "protobuf", "127.0.0.1", one.time_ns)


@contextlib.contextmanager
def _progress(story: Story, now_ns: int) -> Iterator[Any]:
    """A bar on stderr where that is a terminal; elsewhere a line per quarter."""
    terminal, shown = sys.stderr.isatty(), -1

    def show(time_ns: int) -> None:
        nonlocal shown
        share = (time_ns - story.start_ns) / (now_ns - story.start_ns)
        step = int(share * (_BAR if terminal else 4))
        if step == shown:
            return
        shown = step
        if terminal:
            sys.stderr.write(f"\rLoading {story.options.nights} nights [{'#' * step:<{_BAR}}]")
        else:
            sys.stderr.write(f"Loading {story.options.nights} nights: {25 * step} %\n")
        sys.stderr.flush()

    yield show
    if terminal:
        sys.stderr.write("\r\033[K")


def _how_to_go_on(server: Server, story: Story, verdict: Answer) -> str:
    db, app = server.settings.db.expanduser().resolve(), reachable(server.bound)
    otlp = ", ".join(f"{name} {address}" for name, address in server.ingest.endpoints.items()) or "off"
    notes = "".join(f"Note: {sentence}\n" for sentence in server.problems())
    words = shlex.join(["hosts-mcp", "mcp", "--db", str(db)])
    return f"""
Last night at 01:58 UTC the agent {AGENT_SERVICE} died on {story.options.host}. Was it the box?
Its trace: {story.trace_id}

{verdict.to_text()}

Ask it yourself while this runs (Ctrl-C ends it):
  Claude Code   claude mcp add hosts -- {words}
  over HTTP     claude mcp add --transport http hosts {app}/mcp
  any other     hosts-mcp config claude-desktop|codex|gemini|cursor|vscode|zed|pydantic-ai --db {shlex.quote(str(db))}
  terminal      hosts-mcp was-it-the-box --db {shlex.quote(str(db))} {story.trace_id}
  browser       {app}/api/v1/traces/{story.trace_id}/was-it-the-box
Another night's batch, for comparison: {story.trace_of(1)}
The box goes on reporting every 10 s; your own OTLP is welcome too: {otlp}.
{notes}"""
