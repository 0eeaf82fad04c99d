"""The running way in: OTLP over gRPC and HTTP, the writer thread and the jobs behind it, as one context."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from hosts_mcp.ingest.jobs import Jobs
from hosts_mcp.ingest.memory import return_large_buffers
from hosts_mcp.ingest.pipeline import Pipeline
from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.guard import Guard
from hosts_mcp.otlp.http import OtlpHttpServer
from hosts_mcp.otlp.pace import Pace
from hosts_mcp.otlp.transport import Accept
from hosts_mcp.settings import Address, Settings
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter, open_reader, open_writer

log = logging.getLogger(__name__)
T = TypeVar("T")


class Ingest:
    """`async with Ingest(settings) as ingest:` receives until the block ends; then what is queued is committed.

    A port that another program holds is no reason not to serve: it stands in `problems`, which the faces show.
    """

    def __init__(self, settings: Settings, *, token: Callable[[], str | None] = lambda: None) -> None:
        self._settings = settings
        self._token = token
        self._admission = Admission(settings.in_flight_bytes)
        self._pipeline = Pipeline(lambda: open_writer(settings.db, synchronous=settings.synchronous))
        self._servers: list[Any] = []
        self._jobs: Jobs | None = None
        self.problems: list[str] = []
        self.endpoints: dict[str, str] = {}
        """'grpc' and 'http' -> the address that is really bound, as HOST:PORT."""
        self.started_ns = 0
        self.reader: SqliteReader

    @property
    def accept(self) -> Accept:
        """The way in without a socket, for `import` and the demo."""
        return self._pipeline.accept

    def run(self, job: Callable[[SqliteWriter], T]) -> asyncio.Future[T]:
        """Run `job` (forget a host, say) in the writer thread inside a transaction of its own."""
        return asyncio.wrap_future(self._pipeline.submit(job, forgets=True))

    async def settle(self) -> None:
        """Bring everything that is derived (runs, rollups, findings) up to date now, as after an import."""
        if self._jobs is not None:
            await asyncio.to_thread(self._jobs.catch_up)

    def counters(self) -> dict[str, Any]:
        """Points, spans, bytes, commits, lag and refusals since start, by name; None where nothing is known yet."""
        count = self._pipeline.counters
        return {
            "requests": count.requests,
            "points": count.points,
            "spans": count.spans,
            "logs": count.logs,
            "bytes": count.bytes,
            "rejected": count.rejected,
            "retries": count.retries,
            "walked": count.walked,
            "walked_because": dict(count.walked_because),
            "undecodable": count.undecodable,
            "commits": count.commits,
            "failed_commits": count.failed_commits,
            "defects": count.defects,
            "commit_ms_mean": round(1000 * count.commit_seconds / count.commits, 3) if count.commits else None,
            "commit_seconds": round(count.commit_seconds, 6),
            "ack_seconds": round(count.ack_seconds, 6),
            "commit_lag_seconds": count.commit_lag_seconds,
            "queued": self._pipeline.queued,
            "database_bytes": _size_of(self._settings.db),
            "bytes_in_flight": self._admission.in_flight,
            "refusing": self._pipeline.refusing,
        }

    async def __aenter__(self) -> Self:
        return_large_buffers()
        await asyncio.to_thread(self._pipeline.start)
        self.started_ns = time.time_ns()
        self.reader = open_reader(self._settings.db)
        self._jobs = Jobs(self._pipeline, self.reader, self._settings)
        self._jobs.start()
        await self._listen("grpc", self._settings.otlp_grpc, self._grpc)
        await self._listen("http", self._settings.otlp_http, self._http)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            await server.stop()
        if self._jobs is not None:
            await asyncio.to_thread(self._jobs.stop)
        await asyncio.to_thread(self._pipeline.stop)
        self.reader.close()

    async def _listen(self, name: str, address: Address | None, build: Callable[[Address, Guard], Any]) -> None:
        if address is None:
            return
        guard = Guard(self._token, address.loopback, self._settings.allow_host)
        server = build(address, guard)
        try:
            port = await server.start()
        except OSError as error:
            log.warning("OTLP/%s does not listen on %s: %s", name, address, error)
            self.problems.append(f"OTLP/{name} is off: {address} is in use by another program or cannot be bound.")
            return
        self._servers.append(server)
        self.endpoints[name] = str(Address(address.host, port))

    def _grpc(self, address: Address, guard: Guard) -> Any:
        # grpc costs a tenth of a second to import: only when it listens.
        from hosts_mcp.otlp.grpc import OtlpGrpcServer

        return OtlpGrpcServer(self.accept, self._admission, address, guard=guard, **self._limits())

    def _http(self, address: Address, guard: Guard) -> Any:
        return OtlpHttpServer(self.accept, self._admission, address, guard=guard, **self._limits())

    def _limits(self) -> dict[str, Any]:
        settings = self._settings
        pace = Pace(settings.body_deadline_ns / 1e9, settings.body_rate_bytes)
        return {"max_request_bytes": settings.max_request_bytes, "pace": pace}


def _size_of(db: Path) -> int | None:
    """Bytes of the file and its write-ahead log; None when there is no file."""
    db = db.expanduser()
    try:
        size = db.stat().st_size
    except OSError:
        return None
    with contextlib.suppress(OSError):
        size += db.with_name(db.name + "-wal").stat().st_size
    return size
