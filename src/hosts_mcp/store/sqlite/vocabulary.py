"""Slots and layouts: what is measured, and which slots a segment's values stand for, each under a number."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.rows import RowPlan, plan
from hosts_mcp.store.sqlite.ledger import Ledger
from hosts_mcp.store.sqlite.values import from_json, text, to_json
from hosts_mcp.timerange import DAY_NS

REMEMBERED = 50_000
"""Entries held in memory before a cache starts anew: churn of devices and processes must not grow it for ever."""
_ARRANGEMENTS = 5_000
"""Devices come in another order in every scrape: most orders are never seen again."""

Reorder = Callable[[Any], tuple[float, ...]]


@dataclass(frozen=True)
class Layout:
    id: int
    source: str
    slots: tuple[Slot, ...]
    """In the order of the values."""

    @cached_property
    def plan(self) -> RowPlan:
        """How its values become columns of the wide row."""
        return plan(self.slots, self.source)


class Arrangement(NamedTuple):
    """How values in the order of arrival become values in the order of a layout."""

    layout: Layout
    reorder: Reorder | None
    arrived: tuple[Slot, ...]
    """Keeps the slots alive whose identities are the cache's key."""


def pack_slots(ids: list[int]) -> bytes:
    return array("I", ids).tobytes()


def unpack_slots(blob: bytes) -> array[int]:
    ids = array("I")
    ids.frombytes(blob)
    return ids


def slot_of(metric: str, kind: Any, attributes: str, unit: str) -> Slot:
    return Slot(metric, kind, tuple((key, value) for key, value in from_json(attributes)), unit)


class Vocabulary:
    """The writer's side: finds or inserts. Decoders intern slots, so identity is tried before equality."""

    def __init__(self, db: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = db
        self._ledger = ledger
        self.clear()

    def clear(self) -> None:
        self._slots: dict[Slot, int] = {}
        self._layouts: dict[tuple[str, bytes], Layout] = {}
        self._by_id: dict[int, Layout] = {}
        self._arrangements: dict[tuple[str, tuple[int, ...]], Arrangement] = {}
        self._recent: dict[tuple[str, int], Arrangement] = {}
        self._identities: dict[int, tuple[Slot, int]] = {}
        self._used: dict[int, int] = {}

    def arrange(self, source: str, slots: tuple[Slot, ...], arrived_ns: int) -> Arrangement:
        """The layout of these slots and how to bring values into its order."""
        recent = (source, id(slots))  # a decoder that knows a scope gives the same tuple each time
        found = self._recent.get(recent)
        if found is None or found.arrived is not slots:
            key = (source, tuple(map(id, slots)))
            found = self._arrangements.get(key)
            if found is None:
                found = self._arrange(source, slots, arrived_ns)
                self._ledger.remember(self._arrangements, key, found)
            if found.arrived is slots:
                self._ledger.remember(self._recent, recent, found)
        return found

    def use(self, layouts: Iterable[int], arrived_ns: int) -> None:
        """Points of these layouts arrived: what is in use is not swept away."""
        for layout in layouts:
            if arrived_ns - self._used.get(layout, 0) > DAY_NS:
                self._db.execute(
                    "UPDATE layout SET last_arrived_ns = max(last_arrived_ns, ?) WHERE id = ?", (arrived_ns, layout)
                )
                self._ledger.remember(self._used, layout, arrived_ns)

    def _arrange(self, source: str, slots: tuple[Slot, ...], arrived_ns: int) -> Arrangement:
        if len(self._identities) > REMEMBERED:
            self.clear()
        elif len(self._arrangements) > _ARRANGEMENTS:
            self._arrangements.clear()
            self._recent.clear()
        ids = [self._slot_id(slot) for slot in slots]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        in_order = [ids[i] for i in order]
        layout = self._layout(source, in_order, tuple(slots[i] for i in order), arrived_ns)
        _ = layout.plan  # what cannot be planned must fail here, in its own request
        if order == list(range(len(ids))):
            return Arrangement(layout, None, slots)
        return Arrangement(layout, itemgetter(*order), slots)

    def _slot_id(self, slot: Slot) -> int:
        known = self._identities.get(id(slot))
        if known is not None:
            return known[1]
        number = self._slots.get(slot)
        if number is None:
            number = self._find_slot(slot)
            self._ledger.remember(self._slots, slot, number)
        self._ledger.remember(self._identities, id(slot), (slot, number))
        return number

    def _find_slot(self, slot: Slot) -> int:
        key = (text(slot.metric), slot.kind, to_json(slot.attributes))
        row = self._db.execute("SELECT id FROM slot WHERE metric = ? AND kind = ? AND attributes = ?", key).fetchone()
        if row is not None:
            return int(row[0])
        return rowid(
            self._db.execute(
                "INSERT INTO slot (metric, kind, attributes, unit) VALUES (?, ?, ?, ?)", (*key, text(slot.unit))
            )
        )

    def _layout(self, source: str, ids: list[int], slots: tuple[Slot, ...], arrived_ns: int) -> Layout:
        key = (source, pack_slots(ids))
        found = self._layouts.get(key)
        if found is None:
            row = self._db.execute(
                "SELECT id, last_arrived_ns FROM layout WHERE source = ? AND slots = ?", key
            ).fetchone()
            number = int(row[0]) if row else self._new_layout(key, arrived_ns)
            found = Layout(number, source, slots)
            self._used[number] = int(row[1]) if row else arrived_ns
            self._ledger.remember(self._layouts, key, found)
            self._ledger.remember(self._by_id, number, found)
        return found

    def _new_layout(self, key: tuple[str, bytes], arrived_ns: int) -> int:
        return rowid(
            self._db.execute("INSERT INTO layout (source, slots, last_arrived_ns) VALUES (?, ?, ?)", (*key, arrived_ns))
        )

    def layout(self, number: int) -> Layout:
        """A layout by its number, as found in a stored segment."""
        found = self._by_id.get(number)
        if found is None:
            found = read_layout(self._db, number)
            self._ledger.remember(self._by_id, number, found)
        return found


def read_layout(db: sqlite3.Connection, number: int) -> Layout:
    source, blob = db.execute("SELECT source, slots FROM layout WHERE id = ?", (number,)).fetchone()
    rows = (
        db.execute("SELECT metric, kind, attributes, unit FROM slot WHERE id = ?", (slot,)).fetchone()
        for slot in unpack_slots(blob)
    )
    return Layout(number, source, tuple(slot_of(*row) for row in rows))


def rowid(cursor: sqlite3.Cursor) -> int:
    """Of the row that was just inserted."""
    assert cursor.lastrowid is not None
    return cursor.lastrowid
