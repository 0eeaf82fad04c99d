"""Readings of one layout as a block: rows of (entity, time, start) and one column of doubles per slot.

A chunk is a sequence of blocks, each compressed for itself so that a reader opens only those it needs:
codec (1 byte, 1 = zlib), u32 size of the ticks, the ticks, and per block `u32 layout, u32 slots, u32 rows, u32 size`
and its bytes. Rows are sorted and occur once: a chunk is a function of the set of its readings.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from hosts_mcp.errors import StoreUnusable
from hosts_mcp.signals.model import TICK_NS
from hosts_mcp.store.sqlite import columns
from hosts_mcp.store.sqlite.segments import VALUE_BYTES, headers

ZLIB = 1
_TICKS = struct.Struct("<BII")
"""Codec, number of ticks, bytes they take."""
_BLOCK = struct.Struct("<IIII")


class Row(NamedTuple):
    """One segment; of equal ones a set keeps one."""

    entity: int
    time_ns: int
    start_ns: int
    values: bytes
    """float64, as in a segment."""


class Block:
    """Rows of one layout. `column(i)`: the values of its i-th slot, one per row."""

    def __init__(self, layout: int, entities: Sequence[int], times_ns: Sequence[int], starts_ns: Sequence[int]) -> None:
        self.layout = layout
        self.entities = entities
        self.times_ns = times_ns
        self.starts_ns = starts_ns

    def column(self, position: int) -> array[float]:
        raise NotImplementedError

    @property
    def slots(self) -> int:
        raise NotImplementedError

    def rows(self) -> Iterator[Row]:
        pack = struct.Struct(f"<{self.slots}d").pack
        values = zip(*(self.column(i) for i in range(self.slots)), strict=True)
        return (
            Row(entity, time_ns, start_ns, pack(*own))
            for entity, time_ns, start_ns, own in zip(self.entities, self.times_ns, self.starts_ns, values, strict=True)
        )


class _Plain(Block):
    """Of segments as they arrived."""

    def __init__(self, layout: int, rows: Sequence[Row]) -> None:
        entities, times_ns, starts_ns, values = zip(*rows, strict=True)
        super().__init__(layout, entities, times_ns, starts_ns)
        self._matrix = columns.doubles(b"".join(values))

    @property
    def slots(self) -> int:
        return len(self._matrix) // len(self.times_ns)

    def column(self, position: int) -> array[float]:
        return self._matrix[position :: self.slots]


class _Packed(Block):
    """Of a chunk; a column is unpacked when it is asked for."""

    def __init__(self, layout: int, slots: int, rows: int, packed: bytes) -> None:
        found, at = [], 0
        for _ in range(3):
            found.append(columns.unpack_integers(packed, at, rows))
            at = columns.after(packed, at, rows)
        super().__init__(layout, *found)
        self._packed = packed
        self._places = [at]
        for _ in range(1, slots):
            at = columns.after(packed, at, rows)
            self._places.append(at)

    @property
    def slots(self) -> int:
        return len(self._places)

    def column(self, position: int) -> array[float]:
        return columns.unpack_doubles(self._packed, self._places[position], len(self.times_ns))


def of_segments(blobs: Iterable[bytes], wanted: Callable[[int], bool]) -> dict[int, list[Row]]:
    """Blobs of segments -> rows by layout, as they arrived."""
    found: dict[int, list[Row]] = defaultdict(list)
    for blob in blobs:
        for layout, n, entity, time_ns, start_ns, at in headers(blob):
            if wanted(layout):
                found[layout].append(Row(entity, time_ns, start_ns, blob[at : at + n * VALUE_BYTES]))
    return found


def plain(rows: Mapping[int, Sequence[Row]]) -> list[Block]:
    """One block per layout."""
    return [_Plain(layout, members) for layout, members in rows.items()]


def pack(rows: Mapping[int, Sequence[Row]]) -> tuple[bytes, int]:
    """Rows by layout, at least one of each -> a chunk, and the number of its points."""
    distinct = {layout: sorted(set(members)) for layout, members in sorted(rows.items())}
    seen = sorted({row.time_ns // TICK_NS for members in distinct.values() for row in members})
    ticks = zlib.compress(columns.pack_integers(seen), 6)
    parts, points = [_TICKS.pack(ZLIB, len(seen), len(ticks)), ticks], 0
    for layout, members in distinct.items():
        block = _Plain(layout, members)
        body = [columns.pack_integers(part) for part in (block.entities, block.times_ns, block.starts_ns)]
        body += [columns.pack_doubles(block.column(i)) for i in range(block.slots)]
        packed = zlib.compress(b"".join(body), 6)
        parts += (_BLOCK.pack(layout, block.slots, len(members), len(packed)), packed)
        points += block.slots * len(members)
    return b"".join(parts), points


def ticks(chunk: bytes) -> list[int]:
    """Every tick in which the chunk has a reading, ascending."""
    _, count, size = _head(chunk)
    return columns.unpack_integers(zlib.decompress(chunk[_TICKS.size : _TICKS.size + size]), 0, count)


def _blocks(chunk: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(layout, slots, rows, compressed bytes) of every block, none of them opened."""
    at = _TICKS.size + _head(chunk)[2]
    while at < len(chunk):
        layout, slots, rows, size = _BLOCK.unpack_from(chunk, at)
        at += _BLOCK.size
        yield layout, slots, rows, chunk[at : at + size]
        at += size


def unpack(chunk: bytes, wanted: Callable[[int], bool]) -> Iterator[Block]:
    """The blocks of a chunk that are of wanted layouts."""
    for layout, slots, rows, packed in _blocks(chunk):
        if wanted(layout):
            yield _Packed(layout, slots, rows, zlib.decompress(packed))


def _head(chunk: bytes) -> tuple[int, int, int]:
    codec, count, size = _TICKS.unpack_from(chunk)
    if codec != ZLIB:
        raise StoreUnusable(f"A chunk of points uses codec {codec}, which this version cannot read: upgrade hosts-mcp.")
    return codec, count, size
