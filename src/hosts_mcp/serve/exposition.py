"""`GET /metrics`: the server's own counters in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from hosts_mcp import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "hosts_mcp_"


class Exposed(NamedTuple):
    """One family. `key` is its name among the server's counters; a `label` stands for a mapping of values."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    key: str
    label: str = ""


EXPOSED: tuple[Exposed, ...] = (
    Exposed("requests_total", "counter", "OTLP requests stored.", "requests"),
    Exposed("points_total", "counter", "Metric points read.", "points"),
    Exposed("spans_total", "counter", "Spans read.", "spans"),
    Exposed("logs_total", "counter", "Log records read.", "logs"),
    Exposed("received_bytes_total", "counter", "Bytes of stored requests, inflated.", "bytes"),
    Exposed("rejected_total", "counter", "Points, spans and records refused inside stored requests.", "rejected"),
    Exposed("retries_total", "counter", "Requests that were stored before and counted once.", "retries"),
    Exposed("undecodable_total", "counter", "Requests refused as no OTLP.", "undecodable"),
    Exposed("defects_total", "counter", "Requests that the server failed to store.", "defects"),
    Exposed(
        "walked_points_total", "counter", "Points left to the ordinary protobuf walk, by reason.", "walked_because",
        "reason",
    ),
    Exposed("commits_total", "counter", "Commits.", "commits"),
    Exposed("failed_commits_total", "counter", "Commits that the database refused.", "failed_commits"),
    Exposed("commit_seconds_total", "counter", "Time from the begin of a group to its commit.", "commit_seconds"),
    Exposed("ack_seconds_total", "counter", "Time from arrival to commit, over all requests.", "ack_seconds"),
    Exposed("commit_lag_seconds", "gauge", "Age of the oldest request of the last commit.", "commit_lag_seconds"),
    Exposed("queued", "gauge", "Requests and jobs that wait for the writer.", "queued"),
    Exposed("in_flight_bytes", "gauge", "Bytes of requests between admission and commit.", "bytes_in_flight"),
    Exposed("database_bytes", "gauge", "Size of the database file and its write-ahead log.", "database_bytes"),
)  # fmt: skip
"""What is exposed, in this order. A counter that is not known is left out, never 0."""


def exposition(counters: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _lines(counters))


def _lines(counters: Mapping[str, Any]) -> Iterator[str]:
    for family in EXPOSED:
        value = counters.get(family.key)
        if value is None:
            continue
        name = _PREFIX + family.name
        yield f"# HELP {name} {family.help}"
        yield f"# TYPE {name} {family.kind}"
        if not family.label:
            yield f"{name} {value}"
            continue
        for text, count in value.items():
            yield f'{name}{{{family.label}="{_escaped(text)}"}} {count}'
    yield f"# HELP {_PREFIX}build_info The version that runs."
    yield f"# TYPE {_PREFIX}build_info gauge"
    yield f'{_PREFIX}build_info{{version="{_escaped(__version__)}"}} 1'


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
