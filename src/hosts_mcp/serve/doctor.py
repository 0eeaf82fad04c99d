"""`hosts-mcp doctor`: what is well and what is not, from the file to the scrapers, each line with what to do."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts_mcp import __version__
from hosts_mcp.answers.base import UNLIMITED, age, plural
from hosts_mcp.answers.host_status import answer as host_status
from hosts_mcp.answers.list_hosts import answer as list_hosts
from hosts_mcp.errors import ConfigurationError, HostsMcpError
from hosts_mcp.serve import presence
from hosts_mcp.serve.token import Token, refuse_open_doors
from hosts_mcp.settings import Address, Settings
from hosts_mcp.store.protocol import Store
from hosts_mcp.store.sqlite import open_reader
from hosts_mcp.text import human_bytes, human_seconds, quote

SLOW_FSYNC_SECONDS = 0.05
"""A commit waits for one; beyond this a collector's batches begin to queue."""
WALKED_SHARE = 0.05
"""More than this is worth knowing: such points cost four times the CPU."""
_FSYNCS = 5
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """`good` None: neither well nor wrong, worth knowing."""

    good: bool | None
    sentence: str


def examine(settings: Settings) -> Iterator[Finding]:
    yield from _token(settings)
    server = presence.find(settings.db)
    yield from _server(settings, server)
    yield from _disk(settings.db)
    if not settings.db.exists():
        yield Finding(None, f"{settings.db} does not exist yet; the first hosts-mcp serve makes it.")
        return
    try:
        with closing(open_reader(settings.db)) as store:
            yield from _file(store)
            yield from _arrivals(store)
            yield from _identity(store)
            yield from _hosts(store)
    except HostsMcpError as error:
        yield Finding(False, error.message)


def _token(settings: Settings) -> Iterator[Finding]:
    try:
        token = Token(settings)()
        refuse_open_doors(settings, token)
        yield Finding(
            True, "A token is set; every port asks for it." if token else "No token: only this machine is let in."
        )
    except ConfigurationError as error:
        yield Finding(False, error.message)


def _server(settings: Settings, server: tuple[presence.Presence, object] | None) -> Iterator[Finding]:
    if server is None:
        yield Finding(None, f"No server of {settings.db} is running: nothing is recorded. Start hosts-mcp serve.")
        wanted = {"app": settings.listen, "OTLP/gRPC": settings.otlp_grpc, "OTLP/HTTP": settings.otlp_http}
        for name, address in wanted.items():
            if address is not None:
                yield _port(name, address)
        return
    found, health = server
    yield Finding(True, f"Server {found.version} runs: pid {found.pid}, {found.url}, since {found.started}.")
    if found.version != __version__:
        yield Finding(None, f"This is version {__version__}. hosts-mcp stop, then start again, to use it.")
    assert isinstance(health, dict)
    for name, address in (health.get("otlp") or {}).items():
        yield Finding(True, f"OTLP/{name} listens on {address}.")
    yield from _walked(health.get("counters") or {})
    for sentence in health.get("problems") or ():
        yield Finding(False, str(sentence))


def _walked(counters: Mapping[str, Any]) -> Iterator[Finding]:
    """How much the fast decoder had to hand on: a new way of writing OTLP shows here first."""
    points, walked = counters.get("points"), counters.get("walked")
    if not points or walked is None:
        return
    reasons = counters.get("walked_because") or {}
    why = "; ".join(
        f"{count:,} for {reason}" for reason, count in sorted(reasons.items(), key=lambda r: -r[1]) if count
    )
    share = f"{walked / points:.1%} of {plural(points, 'point')} took the slow way in"
    yield Finding(True if walked <= WALKED_SHARE * points else None, f"{share}{': ' if why else ''}{why}.")


def _port(name: str, address: Address) -> Finding:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return Finding(False, f"{name}: {address} cannot be had ({error.strerror}); give another address.")
    return Finding(True, f"{name}: {address} is free.")


def _disk(db: Path) -> Iterator[Finding]:
    folder = db.expanduser().resolve().parent
    while not folder.exists():
        folder = folder.parent
    try:
        took = statistics.median(_fsyncs(folder))
    except OSError as error:
        yield Finding(False, f"{folder} cannot be written ({error.strerror}). Give another place by --db.")
        return
    hint = "" if took < SLOW_FSYNC_SECONDS else ": slow, commits wait for it. A local disk, or --synchronous normal."
    yield Finding(not hint or None, f"An fsync in {folder} takes {human_seconds(took)}{hint or '.'}")


def _fsyncs(folder: Path) -> list[float]:
    took = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".hosts-mcp-") as file:
        for _ in range(_FSYNCS):
            file.write(b"x" * 4096)
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - start)
    return took


def _file(store: Store) -> Iterator[Finding]:
    about = store.about()
    held = f"{plural(about.hosts, 'host')}, {plural(about.points, 'point')}, {plural(about.spans, 'span')}"
    yield Finding(True, f"{about.path}: {human_bytes(about.size_bytes)}, schema {about.schema_version}, {held}.")


def _arrivals(store: Store) -> Iterator[Finding]:
    now_ns = time.time_ns()
    arrived = sorted(store.arrived(), key=lambda a: -a.last_arrived_ns)
    for signal in ("metrics", "traces", "logs"):
        of_signal = [a for a in arrived if a.signal == signal]
        if not of_signal:
            yield Finding(None, f"No {signal} have ever arrived.")
        for one in of_signal[:_SHOWN]:
            service = f" from {quote(one.service, 48)}" if one.service else ""
            kept = "" if one.kept else ", counted but not kept"
            note = f" ({quote(one.note)})" if one.note else ""
            seen = age(one.last_arrived_ns, now_ns)
            yield Finding(True, f"{signal}: {one.count:,} {quote(one.what, 48)}{service}{kept}, last {seen}{note}.")


def _identity(store: Store) -> Iterator[Finding]:
    for host in store.hosts():
        if host.kind == "unidentified":
            yield Finding(
                False,
                f"{quote(host.key, 64)} sends metrics without a name: add the resourcedetection processor "
                "(hosts-mcp config collector --add).",
            )
        if host.shared_id:
            yield Finding(
                None, f"{quote(host.key, 64)} shares its host.id with another machine (a clone?); told apart by name."
            )
    unjoined = [e for e in store.services() if e.host_id is None]
    for entity in unjoined[:_SHOWN]:
        service = quote(entity.attributes.get("service.name") or "a service", 64)
        yield Finding(
            False,
            f"Spans of {service} name no known host, so no verdict is possible: send them through the machine's "
            "collector, or set OTEL_RESOURCE_ATTRIBUTES=host.name=...",
        )


def _hosts(store: Store) -> Iterator[Finding]:
    """Status of each host, and which scrapers it does without."""
    now_ns = time.time_ns()
    inventory = list_hosts(store, now_ns=now_ns, budget=UNLIMITED)
    yield Finding(True if inventory.totals.hosts else None, inventory.summary)
    for row in inventory.hosts[:_SHOWN]:
        found = host_status(store, row.host, now_ns=now_ns, budget=UNLIMITED)
        if found.not_collected:
            missing = ", ".join(found.not_collected.missing)
            yield Finding(
                None, f"{quote(row.host, 64)} does not send: {missing} (hosts-mcp status shows how to add it)."
            )
