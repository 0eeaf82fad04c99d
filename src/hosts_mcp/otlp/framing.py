"""How OTLP stands in bytes: a reduced schema, the orders of a point's fields, and where fields begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "Request": {"resource_metrics": (1, "ResourceMetrics*")},
    "ResourceMetrics": {"resource": (1, "bytes*"), "scope_metrics": (2, "bytes*")},
    "ScopeMetrics": {"scope": (1, "bytes*"), "metrics": (2, "Metric*")},
    "Metric": {
        "name": (1, "string"), "unit": (3, "string"), "metadata": (12, "bytes*"), "gauge": (5, "Points|"),
        "sum": (7, "Points|"), "histogram": (9, "bytes|"), "exponential_histogram": (10, "bytes|"),
        "summary": (11, "bytes|"),
    },
    "Points": {"points": (1, "bytes*"), "temporality": (2, "int32"), "monotonic": (3, "bool")},
    "ScopeSpans": {"spans": (2, "bytes*")},
}  # fmt: skip
"""OTLP with everything left in bytes that need not be read each time: message -> field -> (number, type); `*`
repeated, `|` one of `data`. What may come once is repeated where protobuf would merge a second one into the first."""


class Order(NamedTuple):
    """Points whose fields come in this order: a tag, a number, a tag, a number and from `end` on the attributes. The
    numbers are a point's value, and its clock: the bytes from its first time to its second (`time 11 start` or
    `start 19 time`), or the time alone."""

    tags: tuple[int, int]
    numbers: str
    """Struct codes from the first number to the second, the tag between them being `B`."""
    clock_first: bool
    end: int

    @property
    def framed(self) -> Struct:
        """Reads (tag of the list, length and tag; number, tag, number) of a point in its list."""
        return Struct(f"<3s{self.numbers}")


def _orders() -> Iterator[tuple[bytes, Order]]:
    """(bytes 0, 9 and 18 of a point, order). Number fields are a tag and eight bytes: 11 start, 19 time, 21 or 31
    value; attributes have the tag 3a."""
    for tag, value in ((0x21, "d"), (0x31, "q")):
        yield bytes((0x11, 0x19, tag)), Order((0x11, tag), f"17sB{value}", True, 27)
        yield bytes((tag, 0x19, 0x11)), Order((tag, 0x19), f"{value}B17s", False, 27)
        for behind in ((), (0x3A,)):
            yield bytes((0x19, tag, *behind)), Order((0x19, tag), f"8sB{value}", True, 18)
            yield bytes((tag, 0x19, *behind)), Order((tag, 0x19), f"{value}B8s", False, 18)


ORDERS = {tags: (order, Struct(f"<x{order.numbers}").unpack_from) for tags, order in _orders()}
TAGS = itemgetter(slice(0, 19, 9))


def _messages() -> dict[str, Any]:
    """The classes of `_SCHEMA`."""
    types = FieldDescriptorProto
    scalars = {"bytes": types.TYPE_BYTES, "string": types.TYPE_STRING, "int32": types.TYPE_INT32,
               "bool": types.TYPE_BOOL}  # fmt: skip
    file = FileDescriptorProto(name="shapes.proto", package="shapes", syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        if any(written.endswith("|") for _, written in fields.values()):
            message.oneof_decl.add(name="data")
        for field, (number, written) in fields.items():
            kind = written.rstrip("*|")
            label = types.LABEL_REPEATED if written.endswith("*") else types.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            made.type = scalars.get(kind, types.TYPE_MESSAGE)
            if kind not in scalars:
                made.type_name = f".shapes.{kind}"
            if written.endswith("|"):
                made.oneof_index = 0
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"shapes.{name}")) for name in _SCHEMA}


def fields_of(wire: bytes, at: int, end: int, *wanted: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the fields with these tags in a well-formed message; nothing from a group on."""
    while at < end:
        tag, at = _varint(wire, at)
        kind = tag & 7
        begin = at
        if kind == 0:
            _, at = _varint(wire, at)
        elif kind == 2:
            length, begin = _varint(wire, at)
            at = begin + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return
        if tag in wanted:
            yield begin, at


def _varint(wire: bytes, at: int) -> tuple[int, int]:
    """Value and the place behind it."""
    value = shift = 0
    while True:
        byte = wire[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


_CLASSES = _messages()
REQUEST, SCOPE, SPANS = _CLASSES["Request"], _CLASSES["ScopeMetrics"], _CLASSES["ScopeSpans"]
"""Classes of the reduced schema."""
