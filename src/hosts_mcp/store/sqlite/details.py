"""Details of spans (attributes, events, links), compressed together for spans that came together.

The first byte of a blob names its codec; a codec never changes, another one gets another number. 3 and 2: the details
in bytes (`otlp.details.joined`) with zstd and the dictionary below, or with zlib where Python has no zstd. 1, of
earlier builds: JSON by span id with zlib and the dictionary.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.otlp.batch import Event, Link, SpanDetails
from hosts_mcp.otlp.compression import zstd_module
from hosts_mcp.otlp.details import joined, parted, read
from hosts_mcp.store.sqlite.values import canonical_json, from_json

JSON_ZLIB, ZLIB, ZSTD = 1, 2, 3
_ZLIB_LEVEL, _ZSTD_LEVEL = 6, 3
_DICTIONARY = (
    b'"exception.stacktrace":"Traceback (most recent call last):\\n  File \\"/usr/lib/python3.11/site-packages/'
    b'"exception.escaped":"False","exception.message":"","exception.type":""exception",'
    b'"messaging.system":"messaging.destination.name":"messaging.operation":"rpc.system":"grpc","rpc.service":'
    b'"rpc.method":"code.filepath":"code.function":"code.lineno":"code.file.path":"code.function.name":'
    b'"code.line.number":"thread.id":"thread.name":"MainThread","logfire.msg_template":"","logfire.msg":""'
    b'"logfire.span_type":"span","logfire.json_schema":"{\\"type\\":\\"object\\",\\"properties\\":{}}"'
    b'"logfire.pending_parent_id":"0000000000000000","logfire.level_num":9,"logfire.tags":['
    b'"gen_ai.request.model":"gen_ai.response.model":"gen_ai.usage.input_tokens":"gen_ai.usage.output_tokens":'
    b'"gen_ai.system":"openai","gen_ai.provider.name":"anthropic","gen_ai.operation.name":"chat",'
    b'"gen_ai.agent.name":"agent_name":"gen_ai.tool.name":"gen_ai.tool.call.id":"gen_ai.input.messages":'
    b'"gen_ai.output.messages":"gen_ai.response.finish_reasons":["stop"],"gen_ai.response.id":'
    b'"gen_ai.request.temperature":"gen_ai.request.max_tokens":"db.system":"postgresql","db.system.name":'
    b'"db.name":"db.namespace":"db.user":"db.statement":"SELECT ","db.query.text":"SELECT ","db.operation":'
    b'"db.operation.name":"db.collection.name":"net.peer.name":"net.peer.port":5432,"server.address":"localhost",'
    b'"server.port":"client.address":"network.peer.address":"127.0.0.1","network.peer.port":'
    b'"network.protocol.version":"1.1","http.method":"GET","http.url":"http://","http.status_code":200,'
    b'"http.route":"http.target":"http.scheme":"http","http.host":"http.user_agent":"http.flavor":"1.1",'
    b'"http.request.method":"POST","http.response.status_code":200,"url.full":"https://","url.path":"/",'
    b'"url.scheme":"https","url.query":"user_agent.original":"Mozilla/5.0","error.type":"error":true,"status":'
)

_zstd: Any = zstd_module()
if _zstd is not None:
    _zstd_dictionary = _zstd.ZstdDict(_DICTIONARY, is_raw=True)
    # One for all blobs: making it takes longer than compressing a small one.
    _compressor = _zstd.ZstdCompressor(_ZSTD_LEVEL, zstd_dict=_zstd_dictionary.as_digested_dict)


def canonical(details: SpanDetails | None) -> str:
    """Equal text for equal details: decides between two versions of one span."""
    if details is None:
        return ""
    return canonical_json(
        [
            details.attributes,
            [[event.time_ns, event.name, event.attributes] for event in details.events],
            [[link.trace_id.hex(), link.span_id.hex(), link.attributes] for link in details.links],
        ]
    )


def pack(details: Iterable[bytes]) -> bytes:
    """Details of several spans -> one blob."""
    wire = joined(details)
    if _zstd is None:
        return bytes((ZLIB,)) + zlib.compress(wire, _ZLIB_LEVEL)
    packed: bytes = _compressor.compress(wire, _compressor.FLUSH_FRAME)
    return bytes((ZSTD,)) + packed


Opened = Callable[[bytes, int], SpanDetails | None]
"""A blob that is inflated: details by span id and place."""
_OPEN_AT_ONCE = 4
"""Blobs are inflated to a quarter of a megabyte."""


def stored(
    db: sqlite3.Connection, spans: Iterable[tuple[bytes, int | None, int]], opened: dict[int, Opened] | None = None
) -> dict[bytes, SpanDetails]:
    """Details by span id of those of these spans (id, blob, place in it) of one trace that have any. `opened`: blobs
    that stay open from one call to the next, a few of them: traces that came together lie together."""
    opened = {} if opened is None else opened
    found: dict[bytes, SpanDetails] = {}
    for span_id, blob, place in spans:
        if blob is None:
            continue
        if blob not in opened:
            row = db.execute("SELECT v FROM span_detail WHERE id = ?", (blob,)).fetchone()
            if len(opened) >= _OPEN_AT_ONCE:
                opened.clear()
            opened[blob] = (lambda _id, _place: None) if row is None else _open(row[0])
        details = opened[blob](span_id, place)
        if details is not None:
            found[span_id] = details
    return found


def _open(blob: bytes) -> Opened:
    """Raises StoreUnusable."""
    codec, packed = blob[0], memoryview(blob)[1:]
    if codec == JSON_ZLIB:
        inflate = zlib.decompressobj(zdict=_DICTIONARY)
        kept = from_json(inflate.decompress(packed) + inflate.flush())
        return lambda span_id, _: _plain(*kept[key]) if (key := span_id.hex()) in kept else None
    if codec == ZLIB:
        wire = zlib.decompress(packed)
    elif codec == ZSTD and _zstd is not None:
        wire = _zstd.decompress(packed, _zstd_dictionary)
    elif codec == ZSTD:
        raise StoreUnusable("Span details are compressed with zstd, which this Python was built without.")
    else:
        raise StoreUnusable(f"Span details use codec {codec}, which this version cannot read: upgrade hosts-mcp.")
    parts = parted(wire)
    return lambda _, place: read(parts[place])


def _plain(attributes: Mapping[str, Any], events: Sequence[Any], links: Sequence[Any]) -> SpanDetails:
    return SpanDetails(
        attributes,
        tuple(Event(time_ns, name, about) for time_ns, name, about in events),
        tuple(Link(bytes.fromhex(trace), bytes.fromhex(span), about) for trace, span, about in links),
    )


__all__ = ["Opened", "canonical", "pack", "stored"]
