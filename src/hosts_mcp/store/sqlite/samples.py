"""The wide rows: a column per canonical value, for what one source of a host read within half a second.

What a row says of its groups of columns is mostly that of the row before, so it is not in columns: `frame` names the
groups, each with the fingerprint of what was summed, and `clocks` holds when each was read, in nanoseconds after the
tick's begin (four bytes), and then when their counters began: once where all agree, as they do in nearly every row,
else once for each (eight bytes).
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from operator import add, itemgetter
from struct import Struct
from typing import Any

from hosts_mcp.signals.catalogue import COLUMNS as CATALOGUE
from hosts_mcp.signals.catalogue import GROUPS
from hosts_mcp.signals.model import TICK_NS, Frame, FramedRow, GroupSeries
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.values import canonical_json, ns
from hosts_mcp.store.sqlite.vocabulary import REMEMBERED, rowid

COLUMNS = tuple(column.name for column in CATALOGUE)
"""Those of the table that hold values; a version that knows more adds them."""
_COLUMNS_OF: Mapping[str, tuple[str, ...]] = {
    group: tuple(column.name for column in CATALOGUE if column.group == group) for group in GROUPS
}
_SET_BITS = 0x7FFFFFFF
"""Of a fingerprint as many bits are kept as tell two sets apart; JSON would not hold all of them."""


@lru_cache(maxsize=256)
def _clocks(groups: int, starts: int) -> Struct:
    return Struct(f"<{groups}I{starts}q")


class SampleWriter:
    def __init__(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = db
        self._ledger = ledger
        self._feeds: dict[tuple[int, str], tuple[int, frozenset[str]]] = {}
        self._frames: dict[tuple[tuple[str, ...], tuple[int, ...]], int] = {}

    def clear(self) -> None:
        self._feeds.clear()
        self._frames.clear()

    def write(self, rows: Iterable[tuple[int, FramedRow]]) -> None:
        """Put (host id, row) pairs, replacing what stood there."""
        records: dict[str, list[Sequence[Any]]] = defaultdict(list)
        for host_id, row in rows:
            insert, record = self._record(host_id, row)
            records[insert].append(record)
        for insert, alike in records.items():
            self._db.executemany(insert, alike)

    def _record(self, host_id: int, row: FramedRow) -> tuple[str, Sequence[Any]]:
        """The statement that puts this row, and its arguments."""
        source, tick, frame, times, starts, values = row
        insert, pick = _insert(frame.columns)
        begin = tick * TICK_NS
        offsets, starts = [time - begin for time in times], list(map(ns, starts))
        if starts.count(starts[0]) == len(starts):
            del starts[1:]
        clocks = _clocks(len(offsets), len(starts)).pack(*offsets, *starts)
        return insert, (self._feed(host_id, source, frame), tick, self._frame(frame), clocks, *pick(values))

    def _feed(self, host_id: int, source: str, frame: Frame) -> int:
        """The number of this source of the host. Its groups are all it has ever sent: one look tells a reader where to
        seek."""
        key = (host_id, source)
        known = self._feeds.get(key)
        if known is None or not known[1].issuperset(frame.groups):
            if len(self._feeds) > REMEMBERED:
                self._feeds.clear()
            known = self._note_feed(key, frame.groups)
        return known[0]

    def _note_feed(self, key: tuple[int, str], sent: Iterable[str]) -> tuple[int, frozenset[str]]:
        stored = self._db.execute("SELECT id, groups FROM feed WHERE host_id = ? AND source = ?", key).fetchone()
        groups = frozenset(sent).union(stored[1].split() if stored else ())
        text = " ".join(sorted(groups))
        if stored is None:
            cursor = self._db.execute("INSERT INTO feed (host_id, source, groups) VALUES (?, ?, ?)", (*key, text))
            number = rowid(cursor)
        else:
            number = stored[0]
            self._db.execute("UPDATE feed SET groups = ? WHERE id = ?", (text, number))
        self._ledger.remember(self._feeds, key, (number, groups))
        return self._feeds[key]

    def _frame(self, frame: Frame) -> int:
        number = self._frames.get(frame[:2])
        if number is None:
            if len(self._frames) > REMEMBERED:
                self._frames.clear()
            sets = (fingerprint & _SET_BITS for fingerprint in frame.sets)
            text = canonical_json(dict(zip(frame.groups, sets, strict=True)))
            row = self._db.execute("SELECT id FROM frame WHERE sets = ?", (text,)).fetchone()
            number = row[0] if row else rowid(self._db.execute("INSERT INTO frame (sets) VALUES (?)", (text,)))
            self._ledger.remember(self._frames, frame[:2], number)
        return number


@lru_cache(maxsize=1024)
def _insert(columns: tuple[str, ...]) -> tuple[str, Callable[[Sequence[float]], tuple[float, ...]]]:
    """How a row of these columns is put: the statement, the same for every order they come in, and what brings values
    into its order. A third of all columns is in use: to bind NULL to the others takes longer."""
    order = sorted(range(len(columns)), key=columns.__getitem__)
    names = ["feed_id", "tick", "frame_id", "clocks", *(columns[i] for i in order)]
    insert = f"INSERT OR REPLACE INTO sample ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    return insert, itemgetter(*order) if len(order) > 1 else tuple


class SampleColumns:
    """Which columns this file really has, queries for some groups, and what their rows mean."""

    def __init__(self, db: sqlite3.Connection) -> None:
        present = {row[1] for row in db.execute("PRAGMA table_info(sample)")}
        self.groups = {group: tuple(name for name in names if name in present) for group, names in _COLUMNS_OF.items()}
        self._frames: dict[int, Mapping[str, int]] = {}

    def select(self, groups: Sequence[str]) -> str:
        names = ["tick", "frame_id", "clocks", *(name for group in groups for name in self.groups[group])]
        return f"SELECT {', '.join(names)} FROM sample"

    def series(
        self, db: sqlite3.Connection, groups: Sequence[str], source: str, rows: Sequence[Sequence[Any]]
    ) -> dict[str, GroupSeries]:
        """Rows of `select(groups)`, oldest first -> one series per group that occurs in them."""
        if not rows:
            return {}
        ticks, frames, clocks, *values = zip(*rows, strict=True)
        kinds: dict[tuple[int, int], Sequence[int]] = {(frames[0], len(clocks[0])): range(len(rows))}
        if frames.count(frames[0]) < len(rows) or len(set(map(len, clocks))) > 1:
            kinds = _alike(zip(frames, map(len, clocks), strict=True))
        parts = [_Part(self._frame(db, frame), rows_of, clocks) for (frame, _), rows_of in kinds.items()]
        begins = [tick * TICK_NS for tick in ticks]
        found: dict[str, GroupSeries] = {}
        at = 0
        for group in groups:
            names = self.groups[group]
            columns = values[at : at + len(names)]
            at += len(names)
            own = [part for part in parts if group in part.frame]
            if own:
                found[group] = _series(group, source, names, begins, columns, own)
        return found

    def _frame(self, db: sqlite3.Connection, number: int) -> Mapping[str, int]:
        found = self._frames.get(number)
        if found is None:
            (text,) = db.execute("SELECT sets FROM frame WHERE id = ?", (number,)).fetchone()
            found = self._frames[number] = json.loads(text)
        return found


def _alike(kinds: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Sequence[int]]:
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for at, kind in enumerate(kinds):
        found[kind].append(at)
    return dict(found)


class _Part:
    """The rows of one frame whose clocks are of one length."""

    def __init__(self, frame: Mapping[str, int], rows: Sequence[int], clocks: Sequence[bytes]) -> None:
        self.frame, self.rows = frame, rows
        self._places = {group: place for place, group in enumerate(frame)}
        groups = len(frame)
        starts = (len(clocks[rows[0]]) - 4 * groups) // 8
        self._columns = list(zip(*map(_clocks(groups, starts).unpack, [clocks[i] for i in rows]), strict=True))
        self._starts = groups if starts == groups else 0

    def of(self, group: str) -> tuple[Sequence[int], Sequence[int], int]:
        """Of each row, nanoseconds after its tick's begin and when the counters began; and what was summed."""
        place = self._places[group]
        starts = self._columns[self._starts + place] if self._starts else self._columns[-1]
        return self._columns[place], starts, self.frame[group]


def _series(
    group: str,
    source: str,
    names: Sequence[str],
    begins: Sequence[int],
    columns: Sequence[Sequence[Any]],
    parts: Sequence[_Part],
) -> GroupSeries:
    if len(parts) == 1 and len(parts[0].rows) == len(begins):
        offsets, starts, fingerprint = parts[0].of(group)
        sets: Sequence[int] = [fingerprint] * len(begins)
    else:
        read = sorted(
            reading
            for part in parts
            for own in [part.of(group)]
            for reading in zip(part.rows, own[0], own[1], repeat(own[2]))
        )
        keep, offsets, starts, sets = zip(*read, strict=True)
        begins = [begins[i] for i in keep]
        columns = [[column[i] for i in keep] for column in columns]
    times = list(map(add, begins, offsets))
    some = {name: values for name, values in zip(names, columns, strict=True) if values.count(None) < len(values)}
    return GroupSeries(group, source, times, some, starts, sets)
