"""Attributes, events and links of spans: bytes from the way in to the file, read when somebody asks.

The bytes are an OTLP Span message that holds nothing else (but fields that a later OTLP may bring), its fields
ascending at every level whatever the sender's order. Of the attributes only those that tell something about every span
(`TELLING`) are read as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hosts_mcp.otlp.batch import NOTHING, Event, Link, SpanDetails, SpanRecord, Value
from hosts_mcp.otlp.framing import SPANS
from hosts_mcp.otlp.values import attributes_of, pairs_of, value_of

SPAN_TYPE, PENDING_PARENT = "logfire.span_type", "logfire.pending_parent_id"
EXCEPTION_TYPE, EXCEPTION_MESSAGE = _EXCEPTION = ("exception.type", "exception.message")
"""Of the last exception event where there is one, else of the span itself."""
ERROR_TYPE = "error.type"
SERVER_ADDRESS = ("server.address", "net.peer.name", "peer.hostname")
DB_SYSTEM = ("db.system.name", "db.system")
PID = "process.pid"
TELLING = frozenset((SPAN_TYPE, PENDING_PARENT, *_EXCEPTION, ERROR_TYPE, *SERVER_ADDRESS, *DB_SYSTEM, PID))

_TELLS = re.compile(b"\n(?:" + b"|".join(re.escape(b"%c%b" % (len(key), key.encode())) for key in TELLING) + b")")
"""A key stands behind its tag and its length; what looks like one inside a text only costs a closer look."""
_OWN_FIELDS: tuple[Any, ...] = tuple(
    f.name for f in Span.DESCRIPTOR.fields if f.name not in ("attributes", "events", "links")
)


def taken(span: Span) -> tuple[Mapping[str, Value], bytes]:
    """What a span tells, and its details. The span is used up: only its details are left in it."""
    clear = span.ClearField
    for name in _OWN_FIELDS:
        clear(name)
    wire: bytes = span.SerializeToString()
    return (NOTHING if _TELLS.search(wire) is None else _telling(span)), wire


def _telling(span: Span) -> Mapping[str, Value]:
    found = _chosen(span.attributes, TELLING)
    for event in reversed(span.events):
        if event.name == "exception":
            own = {key: value for key, value in found.items() if key not in _EXCEPTION}
            return own | _chosen(event.attributes, _EXCEPTION)
    return found


def _chosen(pairs: Iterable[KeyValue], wanted: Iterable[str]) -> dict[str, Value]:
    return {pair.key: value_of(pair.value) for pair in pairs if pair.key in wanted}


def read(wire: bytes) -> SpanDetails:
    span = Span.FromString(wire)
    return SpanDetails(
        attributes_of(span.attributes),
        tuple(Event(e.time_unix_nano, e.name, attributes_of(e.attributes)) for e in span.events),
        tuple(Link(k.trace_id, k.span_id, attributes_of(k.attributes)) for k in span.links),
    )


def with_details(record: SpanRecord, details: SpanDetails) -> SpanRecord:
    """As the decoder would give it."""
    span = Span(attributes=pairs_of(details.attributes))
    for event in details.events:
        span.events.add(time_unix_nano=event.time_ns, name=event.name, attributes=pairs_of(event.attributes))
    for link in details.links:
        span.links.add(trace_id=link.trace_id, span_id=link.span_id, attributes=pairs_of(link.attributes))
    telling, wire = taken(span)
    return record._replace(telling=telling, details=wire)


def joined(details: Iterable[bytes]) -> bytes:
    """The details of several spans in one piece: an OTLP ScopeSpans message."""
    wire: bytes = SPANS(spans=details).SerializeToString()
    return wire


def parted(wire: bytes) -> Sequence[bytes]:
    """What was joined."""
    spans: Sequence[bytes] = SPANS.FromString(wire).spans
    return spans
