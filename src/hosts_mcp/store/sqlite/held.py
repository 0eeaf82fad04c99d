"""What the file holds of a host itself in one tick, for the writer, whose late points change the row of that tick.

A backlog goes through an hour tick by tick: the hour's chunks are opened once, not once per tick.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from hosts_mcp.signals.model import TICK_NS
from hosts_mcp.store.sqlite import blocks, columns
from hosts_mcp.store.sqlite.chunks import TICKS_PER_HOUR, every
from hosts_mcp.store.sqlite.segments import Segment, unpack

_HOURS = 4
"""Remembered; several hosts may deliver a backlog at once."""


class Held:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._hours: dict[tuple[int, int], Mapping[int, Sequence[Segment]]] = {}

    def clear(self) -> None:
        """Chunks came or went: the number of one that is gone may be another's now."""
        self._hours.clear()

    def in_tick(self, host_id: int, tick: int) -> Iterator[Segment]:
        rows = self._db.execute("SELECT v FROM scrape WHERE host_id = ? AND tick = ? ORDER BY id", (host_id, tick))
        for (blob,) in rows.fetchall():
            yield from (segment for segment in unpack(blob) if self._is_host(segment.entity))
        yield from self._compacted(host_id, tick // TICKS_PER_HOUR).get(tick, ())

    def _compacted(self, host_id: int, hour: int) -> Mapping[int, Sequence[Segment]]:
        """Segments by tick."""
        known = self._hours.get((host_id, hour))
        if known is None:
            rows = self._db.execute("SELECT id FROM chunk WHERE host_id = ? AND hour = ?", (host_id, hour))
            while len(self._hours) >= _HOURS:
                del self._hours[next(iter(self._hours))]
            known = self._hours[host_id, hour] = self._open([row[0] for row in rows])
        return known

    def _open(self, chunks: Sequence[int]) -> Mapping[int, Sequence[Segment]]:
        found: dict[int, list[Segment]] = defaultdict(list)
        hosts: dict[int, bool] = {}
        for number in chunks:
            (chunk,) = self._db.execute("SELECT v FROM chunk WHERE id = ?", (number,)).fetchone()
            for block in blocks.unpack(chunk, every):
                for entity in set(block.entities).difference(hosts):
                    hosts[entity] = self._is_host(entity)
                if not any(hosts[entity] for entity in block.entities):
                    continue
                for row in block.rows():
                    if hosts[row.entity]:
                        values = tuple(columns.doubles(row.values))
                        segment = Segment(block.layout, row.entity, row.time_ns, row.start_ns, values)
                        found[row.time_ns // TICK_NS].append(segment)
        return found

    def _is_host(self, entity: int) -> bool:
        kind = self._db.execute("SELECT kind FROM entity WHERE id = ?", (entity,)).fetchone()
        return kind is not None and kind[0] == "host"
