"""Points in full: a blob is a row of segments, each the readings of one entity and layout at one time.

A segment is little-endian `u32 layout, u32 n, u32 entity, u64 time_ns, u64 start_ns` and n float64 in the order of the
layout's slots. Readings of the same (entity, slot, time) count once; should they differ, the greatest value wins (a
number before NaN), and of equal values the latest start: the result never depends on the order of arrival.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
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
        layout, entity, time_ns, start_ns, values = self
        return _packing(len(values))(layout, len(values), entity, time_ns, start_ns, *values)


@lru_cache(maxsize=4096)
def _packing(n: int) -> Callable[..., bytes]:
    return struct.Struct(f"{HEADER.format}{n}d").pack


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
