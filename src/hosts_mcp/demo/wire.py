"""OTLP metrics as fixed bytes with holes: a scrape of the same series is one `struct.pack`.

Values and times are fixed64 on the wire, so a request's length depends only on its attributes. Fields are written in
either order that collectors have used: ascending by number, or reversed as since v0.134 (a message's fields from the
last to the first, repeated elements still in list order).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Order = Literal["reversed", "ascending"]


@dataclass(frozen=True, slots=True)
class Hole:
    """Eight bytes to fill: 'Q' a time by clock number, 'd' or 'q' a value by index."""

    kind: Literal["Q", "d", "q"]
    index: int


Piece = tuple[bytes | Hole, ...]
Field = tuple[int, Sequence[Piece]]
"""Field number and its values, each with tag and length: more than one when repeated."""


@dataclass(frozen=True, slots=True)
class Point:
    """One series of a metric. `index` says which value of a scrape it takes, `clock` which time."""

    attributes: tuple[tuple[str, str], ...]
    index: int
    clock: int = 0


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: Literal["gauge", "counter", "updown"]
    unit: str
    description: str
    integer: bool
    points: Sequence[Point]


class Frame:
    """A compiled piece. `fill` gives its bytes for values and clocks."""

    def __init__(self, piece: Piece) -> None:
        layout, self._arguments = "<", list[object]()
        self._times: list[tuple[int, int]] = []
        self._values: list[tuple[int, int]] = []
        for part in _merged(piece):
            if isinstance(part, Hole):
                (self._times if part.kind == "Q" else self._values).append((len(self._arguments), part.index))
                layout += part.kind
                self._arguments.append(0)
            else:
                layout += f"{len(part)}s"
                self._arguments.append(part)
        self._struct = struct.Struct(layout)

    def fill(self, values: Sequence[float], clocks: Sequence[int]) -> bytes:
        arguments = self._arguments
        for at, index in self._times:
            arguments[at] = clocks[index]
        for at, index in self._values:
            arguments[at] = values[index]
        return self._struct.pack(*arguments)


def resource_metrics(
    resource: Mapping[str, str | int], schema_url: str, scope: str, version: str, metrics: Sequence[Metric],
    start_ns: int, order: Order,
) -> Frame:  # fmt: skip
    """One element of ExportMetricsServiceRequest.resource_metrics with one scope: a request is these, concatenated."""
    w = _Writer(order)
    about = w.message(1, [(1, [w.attribute(1, key, value) for key, value in resource.items()])])
    scope_piece = w.message(1, [(1, [_text(1, scope)]), (2, [_text(2, version)])])
    body = w.message(2, [(1, [scope_piece]), (2, [w.metric(m, start_ns) for m in metrics])])
    return Frame(w.message(1, [(1, [about]), (2, [body]), (3, [_text(3, schema_url)])]))


class _Writer:
    def __init__(self, order: Order) -> None:
        self._reversed = order == "reversed"

    def message(self, number: int, fields: Sequence[Field]) -> Piece:
        """`fields` in the order of the collector's struct."""
        ordered = reversed(fields) if self._reversed else sorted(fields, key=lambda f: f[0])
        content = tuple(part for _, pieces in ordered for piece in pieces for part in piece)
        size = sum(8 if isinstance(part, Hole) else len(part) for part in content)
        return (_varint(number << 3 | 2) + _varint(size), *content)

    def attribute(self, number: int, key: str, value: str | int) -> Piece:
        held: Piece = _text(1, value) if isinstance(value, str) else (b"\x18" + _varint(value),)
        return self.message(number, [(1, [_text(1, key)]), (2, [self.message(2, [(1, [held])])])])

    def metric(self, metric: Metric, start_ns: int) -> Piece:
        points: Field = (1, [self._point(p, metric.integer, start_ns) for p in metric.points])
        if metric.kind == "gauge":
            data_number, data = 5, [points]
        else:
            data_number, data = 7, [points, (2, [(b"\x10\x02",)])]
            if metric.kind == "counter":
                data.append((3, [(b"\x18\x01",)]))
        return self.message(2, [
            (1, [_text(1, metric.name)]), (2, [_text(2, metric.description)]), (3, [_text(3, metric.unit)]),
            (data_number, [self.message(data_number, data)]),
        ])  # fmt: skip

    def _point(self, point: Point, integer: bool, start_ns: int) -> Piece:
        value: Piece = (b"\x31", Hole("q", point.index)) if integer else (b"\x21", Hole("d", point.index))
        return self.message(1, [
            (7, [self.attribute(7, key, text) for key, text in point.attributes]),
            (2, [(b"\x11" + struct.pack("<Q", start_ns),)]),
            (3, [(b"\x19", Hole("Q", point.clock))]),
            (6 if integer else 4, [value]),
        ])  # fmt: skip


def _text(number: int, text: str) -> Piece:
    encoded = text.encode()
    return (_varint(number << 3 | 2) + _varint(len(encoded)) + encoded,)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _merged(piece: Piece) -> list[bytes | Hole]:
    merged: list[bytes | Hole] = []
    for part in piece:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
