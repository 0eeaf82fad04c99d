"""Reads files of OTLP requests: JSON lines of the collector's file exporter, and raw recordings.

A raw recording keeps requests as they arrived: records of arrival time (int64 LE, ns), transport (one byte: g gRPC,
h HTTP protobuf, j HTTP JSON), length (uint32 LE) and the inflated body. Any of these may be gzipped as a whole.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path

from hosts_mcp.otlp.decode import Encoding
from hosts_mcp.otlp.transport import Request, Signal, Undecodable

_HEAD = struct.Struct("<qcI")
_SIGNALS = {
    "resourceMetrics": Signal.METRICS, "resource_metrics": Signal.METRICS,
    "resourceSpans": Signal.TRACES, "resource_spans": Signal.TRACES,
    "resourceLogs": Signal.LOGS, "resource_logs": Signal.LOGS,
}  # fmt: skip


def requests_in(path: Path, arrived_ns: int, signal: Signal | None = None) -> Iterator[tuple[Request, int]]:
    """(request, bytes read so far) of every request in the file, in order. `signal` is needed for protobuf bodies
    (default: metrics, or traces or logs when the file's name says so). Raises Undecodable, OSError."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    named = signal or next((s for s in (Signal.TRACES, Signal.LOGS) if s in path.name), Signal.METRICS)
    if data.lstrip()[:1] == b"{":
        yield from _json_lines(data, arrived_ns)
    else:
        yield from _raw(data, named)


def signal_of(document: object) -> Signal | None:
    """Told by the top-level key of an OTLP/JSON request."""
    return next((s for key, s in _SIGNALS.items() if key in document), None) if isinstance(document, dict) else None


def _json_lines(data: bytes, arrived_ns: int) -> Iterator[tuple[Request, int]]:
    read = 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        read += len(line)
        if not line.strip():
            continue
        try:
            found = signal_of(json.loads(line))
        except ValueError:
            raise Undecodable(f"Line {number} is not JSON.") from None
        if found is None:
            raise Undecodable(
                f"Line {number} is no OTLP/JSON request: none of resourceMetrics, resourceSpans, resourceLogs."
            )
        yield Request(found, line, "json", "import", arrived_ns), read


def _raw(data: bytes, signal: Signal) -> Iterator[tuple[Request, int]]:
    at = 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise Undecodable(f"The recording is cut off at byte {at}.")
        arrived_ns, transport, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = data[at : at + length]
        if len(body) < length:
            raise Undecodable(f"The recording is cut off at byte {at}.")
        at += length
        encoding: Encoding = "json" if transport == b"j" else "protobuf"
        found = signal_of(json.loads(body)) if encoding == "json" else None
        yield Request(found or signal, body, encoding, "import", arrived_ns), at
