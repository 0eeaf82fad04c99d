"""`hosts-mcp serve`: one process that holds the database, receives OTLP and answers, until it is told to stop.

It holds `<db>.lock` (an operating system lock: a killed server leaves none behind) and, once ready, stands in
`<db>.server.json`. Everything it says goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
import uvloop
from filelock import FileLock, Timeout

from hosts_mcp import __version__, sockets
from hosts_mcp.errors import ConfigurationError, StoreUnusable
from hosts_mcp.serve import presence
from hosts_mcp.serve.app import Server
from hosts_mcp.serve.asking import Desk
from hosts_mcp.serve.mcp import HostsServer
from hosts_mcp.serve.token import Token, refuse_open_doors
from hosts_mcp.settings import Address, Settings
from hosts_mcp.store.sqlite import open_reader
from hosts_mcp.timerange import NS, iso

log = logging.getLogger(__name__)

STOP_SECONDS = 1.7
"""After this long an orderly stop becomes an abrupt one; what was acknowledged is committed either way."""
_STREAM_GRACE_SECONDS = 1
"""How long open streams may keep a stop waiting."""


class Held(StoreUnusable):
    """Another server has this database."""


def serve(settings: Settings, exit_when_idle_ns: int | None = None) -> None:
    """Serve until SIGINT, SIGTERM or idleness. Raises ConfigurationError or StoreUnusable when it cannot begin."""
    log_to_stderr()
    uvloop.run(_serve(settings, exit_when_idle_ns))


def in_process(settings: Settings) -> None:
    """MCP on stdin and stdout of this very process, which also serves; from the file alone when it is held."""
    log_to_stderr()
    uvloop.run(_in_process(settings))


async def _serve(settings: Settings, exit_when_idle_ns: int | None) -> None:
    stop = _stop_event()
    async with serving(settings) as server:
        _say_hello(server)
        idle = asyncio.create_task(_idle(server, exit_when_idle_ns / NS, stop)) if exit_when_idle_ns else None
        await stop.wait()
        if idle is not None:
            idle.cancel()
        _exit_soon_in_any_case()


async def _in_process(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(serving(settings))
            mcp = server.mcp
        except Held as error:
            store = open_reader(settings.db)
            stack.callback(store.close)
            notice = f"{error.message} These answers are read from the file."
            mcp = HostsServer(Desk(lambda: store, lambda: [notice]))
        stop = _stop_event()
        talk = asyncio.create_task(mcp.run_stdio_async())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((talk, stopped), return_when=asyncio.FIRST_COMPLETED)
        _exit_soon_in_any_case()
        talk.cancel()
        stopped.cancel()


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """A server that is ready: file held, ports open, announced. Raises ConfigurationError, Held, StoreUnusable."""
    token = Token(settings)
    refuse_open_doors(settings, token())
    with held(settings.db), listening(settings.listen) as (listener, problems):
        bound = Address(settings.listen.host, listener.getsockname()[1])
        server = Server(settings, token=token, bound=bound, problems=problems)
        async with server.app.router.lifespan_context(server.app):
            http = _Http(_http_config(server))
            running = asyncio.create_task(http.serve(sockets=[listener]))
            while not http.started and not running.done():
                await asyncio.sleep(0.002)
            started = iso(time.time_ns() // NS * NS)
            presence.announce(settings.db, presence.Presence(os.getpid(), reachable(bound), __version__, started))
            try:
                yield server
            finally:
                presence.withdraw(settings.db)
                http.should_exit = True
                await running


@contextlib.contextmanager
def held(db: Path) -> Iterator[None]:
    """The lock of a database. Raises Held, naming the server that has it."""
    lock_file = presence.beside(db, "lock")
    lock = FileLock(lock_file, timeout=0.3, poll_interval=0.05)  # a starter may be looking at it, see `starting`
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise Held(f"{db} is held by another server{_who(db)}. Ask that one, or end it: hosts-mcp stop.") from None
    except OSError as error:
        raise StoreUnusable(f"{lock_file} cannot be written ({error.strerror}). Give another place by --db.") from None
    try:
        yield
    finally:
        lock.release()


def _who(db: Path) -> str:
    found = presence.read(db)
    return f" (pid {found.pid}, {found.url}, since {found.started})" if found else ""


@contextlib.contextmanager
def listening(address: Address) -> Iterator[tuple[socket.socket, list[str]]]:
    """A socket that listens on `address`, or on a free port beside it when another program has that one."""
    problems: list[str] = []
    try:
        listener = sockets.listening(address)
    except OSError as error:
        try:
            listener = sockets.listening(Address(address.host, 0))
        except OSError:
            raise ConfigurationError(f"Cannot listen: {error.strerror}. Give --listen HOST:PORT.") from None
        free = Address(address.host, listener.getsockname()[1])
        problems.append(f"MCP over HTTP and REST are on {free}: {address} is in use by another program.")
    with listener:
        yield listener, problems


def reachable(bound: Address) -> str:
    """URL for somebody on this machine; the wildcard address is no destination."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound.host, bound.host)
    return f"http://{Address(host, bound.port)}"


class _Http(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by the process as a whole, see `_stop_event`."""
        yield


def _http_config(server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        server.app,
        lifespan="off",  # entered by `serving`, so that its errors reach the caller
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_STREAM_GRACE_SECONDS,
    )


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


def _exit_soon_in_any_case() -> None:
    """A thread that still computes an answer nobody waits for must not keep the process alive."""
    timer = threading.Timer(STOP_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()


async def _idle(server: Server, limit_seconds: float, stop: asyncio.Event) -> None:
    while server.idle_seconds() < limit_seconds:
        await asyncio.sleep(min(10.0, limit_seconds / 4))
    log.info("Nothing sent and nobody asked for %.0f s: ending.", limit_seconds)
    stop.set()


def log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("hosts_mcp").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_no_fault)


def _no_fault(record: logging.LogRecord) -> bool:
    """Streams that our own stop cuts off are no errors."""
    cut = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut and "timeout graceful shutdown exceeded" not in record.getMessage()


def _say_hello(server: Server) -> None:
    health = server.health()
    otlp = ", ".join(f"OTLP/{name} {address}" for name, address in health["otlp"].items()) or "no OTLP"
    log.info("hosts-mcp %s, %s", __version__, health["database"])
    log.info("Listening: %s, MCP %s/mcp, REST %s/api/v1", otlp, *2 * [reachable(server.bound)])
    for sentence in server.problems():
        log.warning("%s", sentence)
