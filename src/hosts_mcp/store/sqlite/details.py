"""Details of spans (attributes, events, links), compressed together for the spans of a trace that came together.

The first byte names the codec. 1: zlib with the preset dictionary below over JSON; the dictionary never changes,
another one gets another number.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.otlp.batch import Event, Link, SpanRecord
from hosts_mcp.store.protocol import SpanDetails
from hosts_mcp.store.sqlite.values import canonical_json, from_json, to_json

ZLIB_1 = 1
_DICTIONARY_1 = (
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


def has_details(record: SpanRecord) -> bool:
    return bool(record.attributes or record.events or record.links)


def plain(record: SpanRecord) -> list[object]:
    """What is kept of a span's details, as JSON can hold it."""
    return [
        dict(record.attributes),
        [[event.time_ns, event.name, dict(event.attributes)] for event in record.events],
        [[link.trace_id.hex(), link.span_id.hex(), dict(link.attributes)] for link in record.links],
    ]


def canonical(details: object) -> str:
    """Equal text for equal details: decides between two versions of one span."""
    return canonical_json(details)


def pack(spans: Mapping[bytes, object]) -> bytes:
    """Details by span id -> one blob."""
    text = to_json({span_id.hex(): details for span_id, details in spans.items()}).encode()
    deflate = zlib.compressobj(6, zdict=_DICTIONARY_1)
    return bytes((ZLIB_1,)) + deflate.compress(text) + deflate.flush()


def unpack(blob: bytes) -> dict[bytes, list[object]]:
    """One blob -> plain details by span id."""
    if blob[0] != ZLIB_1:
        raise StoreUnusable(f"Span details use codec {blob[0]}, which this version cannot read: upgrade hosts-mcp.")
    inflate = zlib.decompressobj(zdict=_DICTIONARY_1)
    text = inflate.decompress(memoryview(blob)[1:]) + inflate.flush()
    return {bytes.fromhex(span_id): details for span_id, details in from_json(text).items()}


def details(kept: list[object]) -> SpanDetails:
    attributes, events, links = kept
    assert isinstance(attributes, dict)
    return SpanDetails(attributes, tuple(_events(events)), tuple(_links(links)))


def _events(kept: object) -> Iterable[Event]:
    assert isinstance(kept, list)
    return (Event(time_ns, name, attributes) for time_ns, name, attributes in kept)


def _links(kept: object) -> Iterable[Link]:
    assert isinstance(kept, list)
    return (Link(bytes.fromhex(t), bytes.fromhex(s), attributes) for t, s, attributes in kept)


__all__ = ["canonical", "details", "has_details", "pack", "plain", "unpack"]
