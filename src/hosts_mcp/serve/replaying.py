"""A case written to a file, and replayed: imported into a database of its own, settled at once, and asked about."""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts_mcp.answers.base import compact_json
from hosts_mcp.answers.export_case import EVENT, Exported, expectation, export
from hosts_mcp.answers.gather_case import diagnose, gather
from hosts_mcp.answers.lookup import find_trace
from hosts_mcp.diagnosis.verdict import Diagnosis
from hosts_mcp.errors import BadArgument
from hosts_mcp.ingest.jobs import QUIET_NS
from hosts_mcp.serve.importing import import_file
from hosts_mcp.settings import load

KEEP = "36500d"
"""A case may be of any age; nothing of it may be let go while it is judged."""
CLOSE = 1e-6
WORDS = ("trace_id", "symptom", "verdict", "origin", "scope", "resource", "host", "span", "culprit")


@dataclass(frozen=True, slots=True)
class Replayed:
    diagnosis: Diagnosis
    expected: Mapping[str, Any]

    def differences(self) -> list[str]:
        """What came out otherwise than stated: words must be equal, numbers within a millionth.

        Another version of the engine may give other numbers; the words are what a case holds it to.
        """
        found = expectation(self.diagnosis)
        same_engine = found["engine_version"] == self.expected.get("engine_version")
        compared = [name for name in self.expected if same_engine or name in WORDS]
        return [
            f"{name}: {found.get(name)} instead of {self.expected[name]}"
            for name in compared
            if not _same(found.get(name), self.expected[name])
        ]


def export_file(trace_id: str, db: Path, output: Path, *, check: bool) -> tuple[Exported, list[str]]:
    """Write the case of a trace (id or unique prefix); with `check`, replay it too and say what came out otherwise.

    Raises NoSuchTrace, AmbiguousName, BadArgument (no id, or a file that cannot be written), StoreUnusable.
    """
    from hosts_mcp.store.sqlite import open_reader

    store = open_reader(db)
    try:
        found = find_trace(store, trace_id)
        with gzip.open(output, "wt") if output.suffix == ".gz" else output.open("w") as file:
            written = export(store, found, time.time_ns(), lambda line: print(compact_json(line), file=file))
    except OSError as error:
        raise BadArgument(f"{output} cannot be written: {error}.") from None
    finally:
        store.close()
    return written, replay(output).differences() if check else []


def replay(path: Path) -> Replayed:
    """The verdict on the trace that the case states. Raises BadArgument when the file states none."""
    expected = statement(path)
    with tempfile.TemporaryDirectory() as folder:
        return Replayed(asyncio.run(_judged(path, Path(folder), bytes.fromhex(expected["trace_id"]))), expected)


def statement(path: Path) -> dict[str, Any]:
    """What the case says must come out."""
    for line in _lines(path):
        if EVENT in line:
            for resource in json.loads(line).get("resourceLogs", ()):
                for scope in resource["scopeLogs"]:
                    for record in scope["logRecords"]:
                        if record.get("eventName") == EVENT:
                            stated: dict[str, Any] = json.loads(record["body"]["stringValue"])
                            return stated
    raise BadArgument(f"{path} is no case: no record of it states what must come out (event {EVENT}).")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, int | float):
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
        if isinstance(one, list | tuple) and isinstance(other, list | tuple):
            return len(one) == len(other) and all(map(_same, one, other))
        return bool(one == other)
    return isinstance(other, int | float) and abs(one - other) <= CLOSE * max(1.0, abs(one), abs(other))


async def _judged(path: Path, folder: Path, trace_id: bytes) -> Diagnosis:
    from hosts_mcp.store.sqlite import open_reader

    off = {"otlp_grpc": "off", "otlp_http": "off", "synchronous": "normal"}
    settings = load({"db": folder / "case.db", "retention": KEEP, "retention_long": KEEP, **off}, {})
    # Traces that came so long ago are settled at once, and so are history for the verdict.
    await import_file(path, settings, lambda _: None, arrived_ns=time.time_ns() - 2 * QUIET_NS)
    reader = open_reader(settings.db)
    try:
        return diagnose(reader, gather(reader, trace_id, time.time_ns()))
    finally:
        reader.close()


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt") if zipped else path.open() as lines:
        yield from lines
