"""`hosts-mcp import`: the JSON lines of a collector's file exporter, through whoever holds the database."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from hosts_mcp.errors import BadArgument, StoreUnusable
from hosts_mcp.serve import presence
from hosts_mcp.settings import Settings

AT_ONCE = 8
"""Lines on their way at the same time: enough to fill a group commit."""
_RETRIES = 60
_KINDS = {b"resourceMetrics": "metrics", b"resourceSpans": "traces", b"resourceLogs": "logs"}
_KIND = re.compile(rb'"(resourceMetrics|resourceSpans|resourceLogs)"')


@dataclass(slots=True)
class Imported:
    """What became of a file. `faults`: the first few lines that were refused, and why."""

    lines: int = 0
    rejected: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


class Refused(Exception):
    """One line is not OTLP/JSON; the others go on."""


Send = Callable[[str, bytes], Awaitable[int]]
"""(signal, body) -> items rejected. Raises Refused."""


async def import_file(
    path: Path, settings: Settings, progress: Callable[[int], None], arrived_ns: int | None = None
) -> Imported:
    """Bring every line in; `progress` is told the bytes read. Raises BadArgument for a file that cannot be read.

    `arrived_ns`: when it is taken to have come, where no server holds the database; now when None.
    """
    result = Imported()
    room = asyncio.Semaphore(AT_ONCE)

    async def take(number: int, signal: str, line: bytes, send: Send) -> None:
        try:
            result.rejected += await send(signal, line)
            result.lines += 1
        except Refused as error:
            _fault(result, number, str(error))
        finally:
            room.release()

    async with _way_in(settings, arrived_ns) as send, asyncio.TaskGroup() as group:
        for number, line, size in _lines(path):
            kind = _KIND.search(line[:4096]) or _KIND.search(line)
            if kind is None:
                if line.strip():
                    _fault(result, number, "no resourceMetrics, resourceSpans or resourceLogs in it")
            else:
                await room.acquire()
                group.create_task(take(number, _KINDS[kind.group(1)], line, send))
            progress(size)
    return result


def _fault(result: Imported, number: int, reason: str) -> None:
    result.refused += 1
    if len(result.faults) < 5:
        result.faults.append(f"line {number}: {reason}")


def _lines(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """(number, line, bytes of the file read for it); a gzip file is recognised by its first bytes."""
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            lines: BinaryIO = gzip.GzipFile(fileobj=raw) if zipped else raw  # type: ignore[assignment]
            before = 0
            for number, line in enumerate(lines, 1):
                yield number, line, raw.tell() - before
                before = raw.tell()
    except (OSError, EOFError) as error:
        raise BadArgument(f"{path} cannot be read: {error}.") from None


@asynccontextmanager
async def _way_in(settings: Settings, arrived_ns: int | None = None) -> AsyncIterator[Send]:
    """Through the server that holds the database, else by holding it ourselves; at the end all is derived."""
    found = presence.find(settings.db)
    if found is not None:
        through = _Through(found[0].url, settings)
        yield through.send
        await asyncio.to_thread(through.post, "/inside/settle", b"")
        return

    from hosts_mcp.ingest.server import Ingest
    from hosts_mcp.otlp.transport import Busy, Request, Signal, Undecodable
    from hosts_mcp.serve.run import held

    with held(settings.db):
        async with Ingest(replace(settings, otlp_grpc=None, otlp_http=None)) as ingest:

            async def send(signal: str, body: bytes) -> int:
                for _ in range(_RETRIES):
                    try:
                        request = Request(Signal(signal), body, "json", "127.0.0.1", arrived_ns or time.time_ns())
                        return (await ingest.accept(request)).rejected
                    except Busy as error:
                        await asyncio.sleep(error.retry_after_seconds)
                    except Undecodable as error:
                        raise Refused(str(error)) from None
                raise StoreUnusable("The database takes nothing at present; see its log.")

            yield send
            await ingest.settle()


class _Through:
    """The import routes of a running server; one connection per worker thread."""

    def __init__(self, url: str, settings: Settings) -> None:
        from hosts_mcp.serve.token import Token

        self._url = url
        token = Token(settings)()
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._local = threading.local()

    async def send(self, signal: str, body: bytes) -> int:
        for _ in range(_RETRIES):
            status, found = await asyncio.to_thread(self.post, f"/inside/import/{signal}", body)
            if status == 200:
                return int(str(found["rejected"]))
            if status == 400:
                raise Refused(str(found.get("detail")))
            if status != 503:
                raise StoreUnusable(f"The server refuses the import: {found.get('detail') or status}")
            await asyncio.sleep(1)
        raise StoreUnusable("The server takes nothing at present; see its log.")

    def post(self, path: str, body: bytes, method: str = "POST") -> tuple[int, dict[str, object]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = presence.connect(self._url, 120)
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            found = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise StoreUnusable(f"The server at {self._url} went away ({error!r}). Import again: nothing "
                                "counts twice.") from None  # fmt: skip
        return response.status, found


def forget(host: str, settings: Settings) -> str:
    """Remove a host and all that is kept of it; its key. Raises NoSuchHost, AmbiguousName, StoreUnusable."""
    from urllib.parse import quote as in_url

    from hosts_mcp.answers.lookup import find_host
    from hosts_mcp.store.sqlite import open_reader, open_writer

    with_key = open_reader(settings.db)
    try:
        found = find_host(with_key, host)
    finally:
        with_key.close()
    server = presence.find(settings.db)
    if server is not None:
        status, told = _Through(server[0].url, settings).post(f"/inside/hosts/{in_url(found.key, '')}", b"", "DELETE")
        if status != 200:
            raise StoreUnusable(f"The server refuses: {told.get('detail') or status}")
        return found.key

    from hosts_mcp.serve.run import held

    with held(settings.db):
        writer = open_writer(settings.db, synchronous=settings.synchronous)
        writer.begin()
        writer.forget(found.id)
        more = True
        while more:
            writer.commit()
            writer.begin()
            more = writer.forget_rest()
        writer.commit()
        writer.close()
    return found.key
