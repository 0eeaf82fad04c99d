"""OTLP/JSON to the protobuf messages that the decoder walks.

It is not proto3 JSON: ids are hex, not base64, which an ordinary proto3 reader accepts without complaint and reads
wrong (OTLP specification, "JSON Protobuf Encoding"). Unknown keys are ignored, whatever they hold.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from hosts_mcp.otlp.room import Room
from hosts_mcp.otlp.transport import Undecodable

M = TypeVar("M", bound=Message)

_DEEPEST = 100
"""Messages inside messages: the limit that protobuf's own parsers have."""
_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}


def parse(body: bytes, message: M) -> M:
    """Fill `message` from an OTLP/JSON request. Raises Undecodable."""
    room = Room(len(body))
    try:
        document = json.loads(body, object_hook=lambda made: room.take((made,))[0])
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise Undecodable(
                "The body is several JSON documents, one per line perhaps; OTLP/JSON is one request per body "
                "(in Vector: encoding.codec: otlp)."
            ) from None
        raise Undecodable(f"The body is not JSON: {error}.") from None
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise Undecodable(
            "The body is JSON but not an object: an OTLP/JSON export request was expected "
            "(in Vector: encoding.codec: otlp)."
        )
    try:
        _fill(message, document, _fields(message.DESCRIPTOR), _DEEPEST)
    except _Wrong as wrong:
        raise Undecodable(f"The body is JSON but no OTLP export request: {wrong}") from None
    return message


class _Wrong(Exception):
    """What is wrong with a value; the path to it grows on the way up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def at(self, key: str) -> _Wrong:
        self.path = key + ("." if self.path and not self.path.startswith("[") else "") + self.path
        return self

    def __str__(self) -> str:
        path = self.path if len(self.path) <= 200 else "…" + self.path[-200:]
        return f"{path}: {self.reason}."


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    repeated: bool
    read: Callable[[Any], Any]
    """JSON value -> Python value of a scalar field. Raises _Wrong."""
    message: Descriptor | None


_known: dict[str, Mapping[str, _Field]] = {}


def _fields(descriptor: Any) -> Mapping[str, _Field]:
    """The message's fields by lowerCamelCase and by snake_case key."""
    found = _known.get(descriptor.full_name)
    if found is None:
        fields = [(field, _field(field)) for field in descriptor.fields]
        found = {f.name: made for f, made in fields} | {f.json_name: made for f, made in fields}
        _known[descriptor.full_name] = found
    return found


def _field(field: FieldDescriptor) -> _Field:
    read: Callable[[Any], Any]
    if field.enum_type is not None:
        read = _enum_reader(field.enum_type)
    elif field.name in _ID_BYTES:
        read = _id_reader(_ID_BYTES[field.name])
    else:
        read = _READERS.get(field.cpp_type, _text)
        if field.type == FieldDescriptor.TYPE_BYTES:
            read = _bytes
    return _Field(field.name, _is_repeated(field), read, field.message_type)


def _is_repeated(field: Any) -> bool:
    # protobuf 6.31 brought `is_repeated`, 7 took `label` away.
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def _fill(message: Message, document: Any, fields: Mapping[str, _Field], depth: int) -> None:
    if not isinstance(document, dict):
        raise _wrong("an object", document)
    if not depth:
        raise _Wrong(f"nested deeper than {_DEEPEST} levels")
    for key, value in document.items():
        field = fields.get(key)
        if field is None or value is None:
            continue
        try:
            if field.repeated:
                _extend(getattr(message, field.name), value, field, depth)
            elif field.message is None:
                setattr(message, field.name, field.read(value))
            else:
                inner: Message = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, value, _fields(field.message), depth - 1)
        except _Wrong as wrong:
            raise wrong.at(key) from None
        except (ValueError, TypeError) as error:
            raise _Wrong(str(error)).at(key) from None


def _extend(target: Any, items: Any, field: _Field, depth: int) -> None:
    if not isinstance(items, list):
        raise _wrong("a list", items)
    inner = _fields(field.message) if field.message is not None else None
    for index, item in enumerate(items):
        try:
            if inner is None:
                target.append(field.read(item))
            else:
                _fill(target.add(), item, inner, depth - 1)
        except _Wrong as wrong:
            raise wrong.at(f"[{index}]") from None


def _wrong(expected: str, value: Any) -> _Wrong:
    kind = "null" if value is None else _JSON_NAMES.get(type(value), "a number")
    return _Wrong(f"{expected} was expected, not {kind}")


_JSON_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false"}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("text", value)
    # Half a surrogate pair, which JSON can spell and UTF-8 cannot, is no reason to lose a request.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    try:
        if isinstance(value, str):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
    except ValueError:
        raise _Wrong(f"{value[:40]!r} is no integer") from None
    raise _wrong("an integer, or one as text,", value)


def _number(value: Any) -> float:
    """A number, or one as text: "NaN", "Infinity", "-Infinity" among them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong("a number", value)
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise _Wrong(f"{str(value)[:40]!r} is no number") from None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _wrong("base64 text", value)
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_" if set("-_") & set(value) else None)
    except (binascii.Error, ValueError):
        raise _Wrong("this text is no base64") from None


def _enum_reader(enum: EnumDescriptor) -> Callable[[Any], int]:
    numbers = {value.name: value.number for value in enum.values}

    def read(value: Any) -> int:
        found = numbers.get(value) if isinstance(value, str) else None
        return _integer(value) if found is None else found

    return read


def _id_reader(length: int) -> Callable[[Any], bytes]:
    def read(value: Any) -> bytes:
        if not isinstance(value, str):
            raise _wrong(f"{2 * length} hex digits", value)
        try:
            found = bytes.fromhex(value)
        except ValueError:
            found = b"?"
        if value and (len(found) != length or len(value) != 2 * length):
            looks = "base64" if _is_base64(value, length) else f"{len(value)} characters"
            raise _Wrong(f"{2 * length} hex digits were expected in OTLP/JSON; this one looks like {looks}")
        return found

    return read


def _is_base64(text: str, length: int) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == length
    except (binascii.Error, ValueError):
        return False


_READERS: dict[int, Callable[[Any], Any]] = {
    FieldDescriptor.CPPTYPE_INT32: _integer,
    FieldDescriptor.CPPTYPE_INT64: _integer,
    FieldDescriptor.CPPTYPE_UINT32: _integer,
    FieldDescriptor.CPPTYPE_UINT64: _integer,
    FieldDescriptor.CPPTYPE_DOUBLE: _number,
    FieldDescriptor.CPPTYPE_FLOAT: _number,
    FieldDescriptor.CPPTYPE_BOOL: _boolean,
}
