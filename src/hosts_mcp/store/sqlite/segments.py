"""Points in full: a blob is a row of segments, each the readings of one entity and layout at one time.

A segment is little-endian `u32 layout, u32 n, u32 entity, u64 time_ns, u64 start_ns` and n float64 in the order of the
layout's slots. Readings of the same (entity, slot, time) count once; should they differ, the greatest value wins (a
number before NaN), and of equal values the latest start: the result never depends on the order of arrival.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEADER = struct.Struct("<IIIQQ")
VALUE_BYTES = 8


class Segment(NamedTuple):
    layout: int
    entity: int
    time_ns: int
    start_ns: int
    values: tuple[float, ...]

    def pack(self) -> bytes:
        n = len(self.values)
        return HEADER.pack(self.layout, n, self.entity, self.time_ns, self.start_ns) + struct.pack(
            f"<{n}d", *self.values
        )


def unpack(blob: bytes) -> Iterator[Segment]:
    """Every segment of a blob."""
    for layout, n, entity, time_ns, start_ns, at in headers(blob):
        yield Segment(layout, entity, time_ns, start_ns, struct.unpack_from(f"<{n}d", blob, at))


def headers(blob: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(layout, n, entity, time_ns, start_ns, offset of the values) of every segment, without reading the values."""
    at, end = 0, len(blob)
    while at < end:
        layout, n, entity, time_ns, start_ns = HEADER.unpack_from(blob, at)
        at += HEADER.size
        yield layout, n, entity, time_ns, start_ns, at
        at += n * VALUE_BYTES
