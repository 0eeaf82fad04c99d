"""OTLP/JSON to the protobuf messages that the decoder walks.

It is not proto3 JSON: ids are hex, not base64, which an ordinary proto3 reader accepts without complaint and reads
wrong (OTLP specification, "JSON Protobuf Encoding").
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from hosts_mcp.otlp.transport import Undecodable

M = TypeVar("M", bound=Message)

_IDS = {
    "traceId": 16, "trace_id": 16, "spanId": 8, "span_id": 8, "parentSpanId": 8, "parent_span_id": 8,
}  # fmt: skip
"""Key -> length of the id in bytes."""


def parse(body: bytes, message: M) -> M:
    """Fill `message` from an OTLP/JSON request. Raises Undecodable."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        if b"\n" in body.strip() and body.lstrip()[:1] == b"{":
            raise Undecodable(
                "The body is several JSON documents, one per line; OTLP/JSON is one request per body "
                "(in Vector: encoding.codec: otlp)."
            ) from None
        raise Undecodable(f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise Undecodable("The body is JSON but not an object: an OTLP/JSON export request was expected.")
    try:
        _ids_from_hex(document)
        json_format.ParseDict(document, message, ignore_unknown_fields=True)
    except Undecodable:
        raise
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Undecodable(f"The body is JSON but no OTLP export request: {str(error)[:300]}") from None
    return message


def _ids_from_hex(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _ids_from_hex(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _IDS and isinstance(value, str):
                node[key] = _from_hex(key, value)
            elif isinstance(value, dict | list):
                _ids_from_hex(value)


def _from_hex(key: str, text: str) -> str:
    if not text:
        return text
    digits = 2 * _IDS[key]
    try:
        if len(text) != digits:
            raise ValueError(text)
        return base64.b64encode(bytes.fromhex(text)).decode()
    except ValueError:
        looks = "base64" if _is_base64(text, _IDS[key]) else f"{len(text)} characters"
        raise Undecodable(f"{key} must be {digits} hex digits in OTLP/JSON; this one looks like {looks}.") from None


def _is_base64(text: str, length: int) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == length
    except (binascii.Error, ValueError):
        return False
