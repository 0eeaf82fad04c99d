"""Views for people and models who write SQL: plain names, units in the column names, hosts by their public key."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from hosts_mcp.signals.catalogue import COLUMNS, SIGNALS
from hosts_mcp.signals.model import TICK_NS


def _time(column: str) -> str:
    """Nanoseconds -> ISO 8601 text."""
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1e9, 'unixepoch')"


def _hex(column: str) -> str:
    return f"lower(hex({column}))"


OUTCOME = (
    "CASE WHEN root_span IS NULL THEN CASE WHEN settled AND entries > 0 AND pending = 0 "
    "THEN iif(errors > 0, 'error', 'ok') ELSE 'unfinished' END "
    "WHEN root_end_ns IS NULL THEN 'unfinished' WHEN root_status = 2 THEN 'error' ELSE 'ok' END"
)
"""Of a trace: its root's. Without a root it is unfinished, unless it is settled and begins with a SERVER or CONSUMER
span, as it does when an uninstrumented sender began it."""
DURATION_NS = "iif(root_end_ns IS NULL, end_ns - start_ns, root_end_ns - root_start_ns)"
"""Of a trace: its root's, else from its first begin to its last end."""

_KIND = (
    "CASE kind WHEN 1 THEN 'internal' WHEN 2 THEN 'server' WHEN 3 THEN 'client' WHEN 4 THEN 'producer' "
    "WHEN 5 THEN 'consumer' ELSE 'unspecified' END"
)
_STATUS = "CASE status WHEN 1 THEN 'ok' WHEN 2 THEN 'error' ELSE 'unset' END"
_HOST_KEY = "(SELECT key FROM host WHERE host.id = {})"

_VIEWS: Mapping[str, str] = {
    "hosts": (
        "SELECT key AS host, name, kind, host_id, os_type, os_description, arch, node AS kubernetes_node, cluster, "
        "cpu_count, memory_bytes, interval_ns / 1e9 AS interval_seconds, "
        f"{_time('boot_ns')} AS boot_time, {_time('newest_ns')} AS newest_point_time, "
        f"{_time('first_arrived_ns')} AS first_arrived_time, {_time('last_arrived_ns')} AS last_arrived_time, "
        "sources, aliases, attributes FROM host"
    ),
    "samples": (
        f"SELECT host.key AS host, source, {_time(f'tick * {TICK_NS}')} AS time, tick * {TICK_NS} AS time_ns, "
        "{columns} FROM sample JOIN feed ON feed.id = feed_id JOIN host ON host.id = feed.host_id"
    ),
    "signals": (
        f"SELECT host.key AS host, {_time('start_ns')} AS time, start_ns AS time_ns, {{signals}}, worst_disk "
        "FROM signals_5m JOIN host ON host.id = signals_5m.host_id"
    ),
    "spans": (
        f"SELECT {_hex('trace_id')} AS trace_id, {_hex('span_id')} AS span_id, {_hex('parent_id')} AS parent_span_id, "
        f"e.name AS service, span.name AS name, {_KIND.replace('kind', 'span.kind')} AS kind, "
        f"{_HOST_KEY.format('e.host_id')} AS host, {_time('span.start_ns')} AS start_time, "
        "span.start_ns AS start_ns, (span.end_ns - span.start_ns) / 1e9 AS duration_seconds, "
        f"{_STATUS} AS status, status_message, span.pending AS pending, exception_type, exception_message, "
        "server_address, db_system, coalesce(span.pid, e.pid) AS process_id "
        "FROM trace JOIN span ON span.trace = trace.id JOIN entity AS e ON e.id = span.entity_id"
    ),
    "traces": (
        f"SELECT {_hex('trace_id')} AS trace_id, "
        "(SELECT name FROM span WHERE span.trace = trace.id AND span_id = root_span) AS root_name, "
        "(SELECT group_concat(DISTINCT e.name) FROM trace_entity AS t JOIN entity AS e ON e.id = t.entity_id "
        "WHERE t.trace = trace.id) AS services, "
        "(SELECT group_concat(DISTINCT host.key) FROM trace_entity AS t JOIN entity AS e ON e.id = t.entity_id "
        "JOIN host ON host.id = e.host_id WHERE t.trace = trace.id) AS hosts, "
        f"{_time('start_ns')} AS start_time, start_ns, {DURATION_NS} / 1e9 AS duration_seconds, spans, errors, "
        f"{OUTCOME} AS outcome FROM trace"
    ),
    "runs": (
        f"SELECT {_hex('trace_id')} AS trace_id, service, operation.name AS operation, "
        f"{_HOST_KEY.format('operation_run.host_id')} AS host, root, {_time('start_ns')} AS start_time, start_ns, "
        "duration_ns / 1e9 AS duration_seconds, self_ns / 1e9 AS self_seconds, spans, outcome "
        "FROM operation_run JOIN operation ON operation.id = operation_id"
    ),
    "processes": (
        "SELECT host.key AS host, e.pid AS process_id, e.name AS executable, "
        "json_extract(attributes.attributes, '$.\"process.parent_pid\"') AS parent_process_id, "
        "json_extract(attributes.attributes, '$.\"process.command_line\"') AS command_line, "
        "json_extract(attributes.attributes, '$.\"process.owner\"') AS owner, "
        f"{_time('started_ns')} AS started_time, {_time('first_seen_ns')} AS first_seen_time, "
        f"{_time('last_seen_ns')} AS last_seen_time "
        "FROM entity AS e JOIN entity_attributes AS attributes ON attributes.entity_id = e.id "
        "JOIN host ON host.id = e.host_id WHERE e.kind = 'process'"
    ),
    "findings": (
        f"SELECT host.key AS host, code, severity, nullif(subject, '') AS subject, {_time('since_ns')} AS since_time, "
        f"{_time('until_ns')} AS until_time, value, sentence, fix FROM finding JOIN host ON host.id = finding.host_id"
    ),
    "logs": (
        f"SELECT {_time('time_ns')} AS time, time_ns, what, {_HOST_KEY.format('kept_log.host_id')} AS host, service, "
        f"{_hex('trace_id')} AS trace_id, {_hex('span_id')} AS span_id, text FROM kept_log"
    ),
}  # fmt: skip
VIEW_NAMES: tuple[str, ...] = tuple(_VIEWS)
_ABOUT: Mapping[str, str] = {
    "hosts": "boxes and workloads that ever reported",
    "samples": "raw readings of a box, one row per half second and source; counters are cumulative",
    "signals": "five-minute mean and maximum of derived signals (ratios, rates)",
    "spans": "every span kept, with the box it ran on",
    "traces": "one row per trace",
    "runs": "one row per operation and finished trace: the history of an operation",
    "processes": "process incarnations seen on a box",
    "findings": "what was found wrong with a box, open while until_time is null",
    "logs": "kept log records: OOM kills, exceptions, killed processes",
}


def create_views(db: sqlite3.Connection) -> None:
    """Put the views of this version in place of others; nothing is written when they are the same already."""
    columns = ", ".join(f"sample.{column.name}" for column in COLUMNS)
    signals = ", ".join(f"{signal.name}_{part}" for signal in SIGNALS for part in ("mean", "max"))
    stored = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    for name, body in _VIEWS.items():
        body = body.replace("{columns}", columns).replace("{signals}", signals)
        statement = f"CREATE VIEW {name} AS {body}"
        if stored.get(name) != statement:
            db.execute(f"DROP VIEW IF EXISTS {name}")
            db.execute(statement)


def describe(db: sqlite3.Connection) -> str:
    """The views and their columns, one paragraph each."""
    paragraphs = ["SQLite, read only. Times ending in _ns are nanoseconds UTC; the others ISO 8601 text."]
    for name in VIEW_NAMES:
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({name})"))
        paragraphs.append(f"{name}: {_ABOUT[name]}\n  {columns}")
    return "\n".join(paragraphs)
