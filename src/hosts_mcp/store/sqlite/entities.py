"""Hosts and entities: who sent what, under numbers that survive restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from hashlib import blake2b
from typing import Any, cast

from hosts_mcp.otlp.batch import Value
from hosts_mcp.store.protocol import Entity, EntityKind, Host
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.values import attributes_json, from_json, ns, small_int, text, text_of, to_json
from hosts_mcp.store.sqlite.vocabulary import REMEMBERED

_HOST = tuple(field.name for field in fields(Host))
_TUPLES = ("aliases", "sources")
REMEMBERED_HOSTS = 10_000
_SELECT_HOSTS = f"SELECT {', '.join(_HOST)} FROM host"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "service": ("service.name",),
    "process": ("process.executable.name", "process.command", "process.executable.path", "process.command_line"),
    "container": ("container.name", "k8s.container.name", "k8s.pod.name", "container.id"),
    "host": ("host.name", "k8s.node.name"),
}
_SELECT_ENTITIES = (
    "SELECT id, kind, host_id, attributes, started_ns, first_seen_ns, last_seen_ns, join_rule, join_confidence "
    "FROM entity JOIN entity_attributes ON entity_id = id"
)


def hosts(db: sqlite3.Connection) -> list[Host]:
    """All of them, by name."""
    return list(map(_host, db.execute(f"{_SELECT_HOSTS} ORDER BY name, id")))


def host_of_key(db: sqlite3.Connection, key: str) -> Host | None:
    row = db.execute(f"{_SELECT_HOSTS} WHERE key = ?", (text(key),)).fetchone()
    return None if row is None else _host(row)


@lru_cache(maxsize=REMEMBERED_HOSTS)
def _host(row: tuple[Any, ...]) -> Host:
    """The inventory is read all the time, and most of it is as it was when it was read before."""
    return Host(*(_READ.get(name, _as_is)(stored) for name, stored in zip(_HOST, row, strict=True)))


def _as_is(stored: Any) -> Any:
    return stored


@lru_cache(maxsize=REMEMBERED_HOSTS)
def _parsed(stored: str) -> Any:
    """Names and attributes of a host hardly ever change."""
    return from_json(stored)


@lru_cache(maxsize=REMEMBERED_HOSTS)
def _parsed_tuple(stored: str) -> tuple[Any, ...]:
    return tuple(from_json(stored))


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TUPLES, _parsed_tuple),
    "attributes": _parsed,
    "shared_id": bool,
}
"""Of the columns that are not stored as they are in a `Host`."""


def entities(db: sqlite3.Connection, where: str, arguments: Iterable[Any]) -> list[Entity]:
    return [
        Entity(number, kind, host_id, from_json(attributes), *rest)
        for number, kind, host_id, attributes, *rest in db.execute(f"{_SELECT_ENTITIES} {where}", tuple(arguments))
    ]


class Directory:
    """The writer's side."""

    def __init__(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = db
        self._ledger = ledger
        self._ids: dict[tuple[str, int | None, bytes], int] = {}
        self._kinds: dict[int, EntityKind] = {}
        self._seen: list[tuple[int, int, int, int]] = []
        self._mark = 0

    def clear(self) -> None:
        self._ids.clear()
        self._kinds.clear()

    # ---- hosts

    def add_host(self, host: Host) -> int:
        names = _HOST[1:]
        cursor = self._db.execute(
            f"INSERT INTO host ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", _record(host)[1:]
        )
        return cast(int, cursor.lastrowid)

    def update_host(self, host: Host) -> None:
        """Update, or insert: a host that was let go after a month of silence comes back under its number."""
        self._db.execute(
            f"INSERT INTO host ({', '.join(_HOST)}) VALUES ({', '.join('?' * len(_HOST))}) "
            f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _HOST[1:])}",
            _record(host),
        )
        self._db.execute("DELETE FROM forgotten WHERE host_id = ?", (host.id,))

    def note_hosts(self, hosts: Sequence[Host]) -> None:
        present = self._db.executemany(
            "UPDATE host SET newest_ns = ?, last_arrived_ns = ?, usual_lag_ns = ? WHERE id = ?",
            [(host.newest_ns, host.last_arrived_ns, host.usual_lag_ns, host.id) for host in hosts],
        ).rowcount
        if present < len(hosts):
            for host in hosts:
                self.update_host(host)

    # ---- entities

    def entity(
        self,
        kind: EntityKind,
        host_id: int | None,
        identity: bytes,
        attributes: Mapping[str, Value],
        started_ns: int | None,
        seen_ns: int,
        arrived_ns: int,
    ) -> int:
        key = (kind, host_id, identity)
        number = self._ids.get(key)
        if number is None:
            digest = blake2b(f"{kind}\0{host_id}\0".encode() + identity, digest_size=16).digest()
            if len(self._ids) > REMEMBERED:
                self.clear()
            row = self._db.execute("SELECT id FROM entity WHERE identity = ?", (digest,)).fetchone()
            if row is None:
                number = self._insert(kind, host_id, digest, attributes, started_ns, ns(seen_ns), arrived_ns)
            else:
                number = int(row[0])
            self._ledger.remember(self._ids, key, number)
            self._ledger.remember(self._kinds, number, kind)
        self.seen(number, seen_ns, seen_ns, arrived_ns)
        return number

    def seen(self, number: int, first_ns: int, last_ns: int, arrived_ns: int) -> None:
        self._seen.append((number, ns(first_ns), ns(last_ns), arrived_ns))

    def _insert(
        self,
        kind: EntityKind,
        host_id: int | None,
        digest: bytes,
        attributes: Mapping[str, Value],
        started_ns: int | None,
        seen_ns: int,
        arrived_ns: int,
    ) -> int:
        name = text_of(attributes, _NAMES[kind])
        pid = small_int(attributes.get("process.pid"))
        started = None if started_ns is None else ns(started_ns)
        row = (kind, host_id, name, pid, started, seen_ns, seen_ns, arrived_ns, digest)
        cursor = self._db.execute(
            "INSERT INTO entity (kind, host_id, name, pid, started_ns, first_seen_ns, last_seen_ns, last_arrived_ns, "
            "identity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        number = cast(int, cursor.lastrowid)
        self._db.execute("INSERT INTO entity_attributes VALUES (?, ?)", (number, attributes_json(attributes)))
        return number

    def is_host(self, entity_id: int) -> bool:
        kind = self._kinds.get(entity_id)
        if kind is None:
            row = self._db.execute("SELECT kind FROM entity WHERE id = ?", (entity_id,)).fetchone()
            if row is None:
                return False
            kind = cast(EntityKind, row[0])
            self._ledger.remember(self._kinds, entity_id, kind)
        return kind == "host"

    def join_service(self, entity_id: int, host_id: int | None, rule: str | None, confidence: str | None) -> None:
        self._db.execute(
            "UPDATE entity SET host_id = ?, join_rule = ?, join_confidence = ? WHERE id = ?",
            (host_id, rule, confidence, entity_id),
        )

    # ---- the transaction

    def mark(self) -> None:
        self._mark = len(self._seen)

    def undo(self) -> None:
        del self._seen[self._mark :]

    def void(self) -> None:
        self._seen.clear()
        self._mark = 0

    def flush(self) -> None:
        """Write when entities were seen."""
        seen: dict[int, list[int]] = {}
        for number, first_ns, last_ns, arrived_ns in self._seen:
            known = seen.get(number)
            if known is None:
                seen[number] = [first_ns, last_ns, arrived_ns]
            else:
                known[0], known[1] = min(known[0], first_ns), max(known[1], last_ns)
                known[2] = max(known[2], arrived_ns)
        self._db.executemany(
            "UPDATE entity SET first_seen_ns = min(first_seen_ns, ?), last_seen_ns = max(last_seen_ns, ?), "
            "last_arrived_ns = max(last_arrived_ns, ?) WHERE id = ?",
            [(*times, number) for number, times in seen.items()],
        )
        self.void()


def _record(host: Host) -> list[Any]:
    record = []
    for name in _HOST:
        value = getattr(host, name)
        if name in _TUPLES:
            value = to_json(list(value))
        elif name == "attributes":
            value = attributes_json(value)
        record.append(value)
    return record
