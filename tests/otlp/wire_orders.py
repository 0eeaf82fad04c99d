"""The same message with its fields in another order: reversed, as current collectors write, or the value last."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

_LENGTH_DELIMITED = 2


def reversed_order(message: Message) -> bytes:
    """Fields from the last to the first at every level, elements of lists as they were; first of all in a point stand
    its attributes, as in the collector's struct, and so they come last."""
    fields = _fields(message, reversed_order)
    if message.DESCRIPTOR.name == "NumberDataPoint":
        fields.sort(key=lambda field: field[0] != 7)
    return b"".join(b"".join(parts) for _, parts in reversed(fields))


def value_last(message: Message) -> bytes:
    """Ascending, but of a number point the attributes and flags before the value (a third marshaller's way)."""
    fields = _fields(message, value_last)
    if message.DESCRIPTOR.name == "NumberDataPoint":
        fields.sort(key=lambda field: field[0] in (4, 6))
    return b"".join(b"".join(parts) for _, parts in fields)


def ascending(message: Message) -> bytes:
    return message.SerializeToString()


def _fields(message: Message, write: Any) -> list[tuple[int, list[bytes]]]:
    """(field number, its elements with tags) by number; fields that nobody knows come last."""
    known = []
    rest = type(message)()
    rest.CopyFrom(message)
    for field, value in message.ListFields():
        rest.ClearField(field.name)
        if field.message_type is None:
            alone = type(message)()
            alone.MergeFrom(_only(message, field.name))
            known.append((field.number, [alone.SerializeToString()]))
            continue
        elements = value if field.is_repeated else [value]
        known.append((field.number, [_framed(field.number, write(element)) for element in elements]))
    unknown = rest.SerializeToString()
    return known + ([(1 << 29, [unknown])] if unknown else [])


def _only(message: Message, name: str) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    for field, _ in message.ListFields():
        if field.name != name:
            copy.ClearField(field.name)
    return copy


def _framed(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    low, value = value & 127, value >> 7
    return bytes((low | 128,)) + _varint(value) if value else bytes((low,))
