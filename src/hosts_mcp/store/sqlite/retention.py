"""Letting old data go, by arrival and by size, in steps of a few hundred rows between the commits of new data.

Oldest first: points with the wide rows they made, chunks, traces, details, logs; after the longer time five-minute
signals, runs, findings and hosts of which nothing is left. Then free pages go back to the file system.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, takewhile

from hosts_mcp.store.sqlite import retries
from hosts_mcp.store.sqlite.chunks import TICKS_PER_HOUR
from hosts_mcp.store.sqlite.values import MAX_NS
from hosts_mcp.store.sqlite.vocabulary import unpack_slots

VACUUM_PAGES = 100
SLACK_PAGES = 64
"""Free pages that stay in the file (at least; else a 64th of it): new data takes them again."""
_SWEEP_NS = 3_600_000_000_000
_LAYOUT_MARGIN_NS = 2 * 86_400_000_000_000
"""A layout's last use is written at most once a day."""

_OF_HOST = (
    ("scrape", "id", 1),
    ("chunk", "id", 100),
    ("signals_5m", "host_id, start_ns", 1),
)
"""Tables of which a host may have many rows, their keys, and how many of other rows one of theirs weighs."""

_POINTS_PER_ROW = 500
_BYTES_PER_ROW = 1000

Step = Callable[[int, int], bool]
"""(delete what arrived before this, at most so many rows) -> whether there was any."""


class Retention:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._swept_ns = 0
        self._sweeps: list[Step] = []
        self.traces_went = False
        self.numbers_went = False
        """Traces; entities, layouts or slots were deleted: caches that hold their numbers are void."""

    def step(self, now_ns: int, retention_ns: int, retention_long_ns: int, max_size_bytes: int, step_rows: int) -> bool:
        """One small step; True while more waits."""
        self._note({"retention_ns": retention_ns, "retention_long_ns": retention_long_ns, "max_bytes": max_size_bytes})
        short, long = now_ns - retention_ns, now_ns - retention_long_ns
        steps: Sequence[tuple[Step, int]] = (
            (lambda _, rows: self.forget_rest(rows), now_ns),
            (lambda at, rows: retries.forget(self._db, at, rows), now_ns),
            (self._points, short),
            (self._chunks, short),
            (self._traces, short),
            (self._details, short),
            (self._logs, short),
            (self._rollups, long),
            (self._runs, long),
            (self._findings, long),
        )
        if any(step(before_ns, step_rows) for step, before_ns in steps):
            return True
        if self._used_bytes() > max_size_bytes and self._oldest(step_rows):
            return True
        if now_ns - self._swept_ns > _SWEEP_NS:
            self._swept_ns = now_ns
            self._sweeps = [self._layouts, self._operations, self._runs_of_servers, self._hosts, self._entities]
        if self._sweeps:
            sweep = self._sweeps[-1]
            if not sweep(long if sweep in (self._hosts, self._runs_of_servers) else short, step_rows):
                self._sweeps.pop()
            return True
        return self._free_pages()

    def forget(self, host_id: int) -> None:
        """Let a host go, within the caller's transaction: no question finds it any more. What may be much (points,
        wide rows, five-minute signals, processes) is deleted by later steps."""
        db, of_host = self._db, (host_id,)
        db.execute(
            "UPDATE entity SET host_id = NULL, join_rule = NULL, join_confidence = NULL "
            "WHERE host_id = ? AND kind = 'service'", of_host
        )  # fmt: skip
        for table in ("touched", "finding", "kept_log"):
            db.execute(f"DELETE FROM {table} WHERE host_id = ?", of_host)
        db.execute("UPDATE feed SET groups = '' WHERE host_id = ?", of_host)
        db.execute("DELETE FROM host WHERE id = ?", of_host)
        db.execute("INSERT OR REPLACE INTO forgotten VALUES (?, 0)", of_host)

    def forget_rest(self, rows: int) -> bool:
        """Delete some rows of a forgotten host; False when there are none any more."""
        found = self._db.execute("SELECT host_id FROM forgotten WHERE NOT done LIMIT 1").fetchone()
        if found is None:
            return False
        for table, key, weight in _OF_HOST:
            some = f"SELECT {key} FROM {table} WHERE host_id = ? LIMIT ?"
            arguments = (found[0], max(1, rows // weight))
            if table in ("scrape", "chunk"):
                points = self._db.execute(
                    f"SELECT coalesce(sum(points), 0) FROM {table} WHERE id IN ({some})", arguments
                )
                self._count("points", points.fetchone()[0])
            if self._delete(f"DELETE FROM {table} WHERE ({key}) IN ({some})", *arguments):
                return True
        for feed in self._db.execute("SELECT id FROM feed WHERE host_id = ?", found).fetchall():
            some = "SELECT tick FROM sample WHERE feed_id = ?1 LIMIT ?2"
            if self._delete(f"DELETE FROM sample WHERE feed_id = ?1 AND tick IN ({some})", *feed, rows):
                return True
            self._db.execute("DELETE FROM feed WHERE id = ?", feed)
        entities = self._db.execute("SELECT id FROM entity WHERE host_id = ? LIMIT ?", (found[0], rows)).fetchall()
        if entities:
            self._delete_entities(entities)
            return True
        self._db.execute("UPDATE forgotten SET done = 1 WHERE host_id = ?", found)
        return True

    def _note(self, limits: dict[str, int]) -> None:
        """Put the limits in force into the file, where readers in other processes find them."""
        self._db.executemany(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value "
            "WHERE value <> excluded.value",
            list(limits.items()),
        )

    # ---- by age, each the oldest few rows

    def _points(self, before_ns: int, rows: int) -> bool:
        old = self._old("SELECT arrived_ns, id, points, host_id, tick FROM scrape ORDER BY id LIMIT ?", before_ns, rows)
        if not old:
            return False
        self._db.execute("DELETE FROM scrape WHERE id <= ?", (old[-1][1],))
        self._count("points", sum(row[2] for row in old))
        self._delete_samples([(host_id, tick, tick) for *_, host_id, tick in old])
        return True

    def _chunks(self, before_ns: int, rows: int) -> bool:
        """A chunk brings its hour's wide rows with it: the fewer of them, the more points it has."""
        query = "SELECT arrived_ns, id, points, host_id, hour FROM chunk ORDER BY id LIMIT ?"
        old = self._old(query, before_ns, max(1, rows // 50))
        if not old:
            return False
        reached = list(accumulate(row[2] for row in old))
        old = old[: max(1, bisect_right(reached, rows * _POINTS_PER_ROW))]
        self._db.execute("DELETE FROM chunk WHERE id <= ?", (old[-1][1],))
        self._count("points", sum(row[2] for row in old))
        self._delete_samples(
            [(host_id, hour * TICKS_PER_HOUR, (hour + 1) * TICKS_PER_HOUR - 1) for *_, host_id, hour in old]
        )
        return True

    def _delete_samples(self, ticks: Sequence[tuple[int, int, int]]) -> None:
        """Wide rows of (host, first tick, last tick) that no point in the file supports any more."""
        self._db.executemany(
            "DELETE FROM sample WHERE feed_id IN (SELECT id FROM feed WHERE host_id = ?1) AND tick BETWEEN ?2 AND ?3 "
            "AND NOT EXISTS (SELECT 1 FROM scrape WHERE scrape.host_id = ?1 AND scrape.tick = sample.tick) "
            f"AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.host_id = ?1 AND hour = sample.tick / {TICKS_PER_HOUR})",
            ticks,
        )

    def _traces(self, before_ns: int, rows: int) -> bool:
        old = self._db.execute(
            "SELECT id, spans FROM trace WHERE settled IN (0, 1) AND last_arrived_ns < ? LIMIT ?", (before_ns, rows)
        ).fetchall()
        left = rows
        for trace, spans in old:
            if left <= 0:
                break
            gone = self._db.execute(
                "DELETE FROM span WHERE trace = ?1 AND span_id IN (SELECT span_id FROM span WHERE trace = ?1 LIMIT ?2)",
                (trace, left),
            ).rowcount
            left -= gone + 1
            self._count("spans", gone)
            if spans <= gone or self._db.execute("SELECT 1 FROM span WHERE trace = ?", (trace,)).fetchone() is None:
                self._db.execute("DELETE FROM trace_entity WHERE trace = ?", (trace,))
                self._db.execute("DELETE FROM trace WHERE id = ?", (trace,))
                self._count("traces", 1)
        self.traces_went |= bool(old)
        return bool(old)

    def _details(self, before_ns: int, rows: int) -> bool:
        """Blobs of many spans or of one: as many as are so many rows' worth of bytes."""
        old = self._old("SELECT arrived_ns, id, length(v) FROM span_detail ORDER BY id LIMIT ?", before_ns, rows)
        if not old:
            return False
        reached = list(accumulate(row[2] for row in old))
        last = old[max(0, bisect_right(reached, rows * _BYTES_PER_ROW) - 1)]
        return self._delete("DELETE FROM span_detail WHERE id <= ?", last[1])

    def _logs(self, before_ns: int, rows: int) -> bool:
        old = self._old("SELECT arrived_ns, id FROM kept_log ORDER BY id LIMIT ?", before_ns, rows)
        return bool(old) and self._delete("DELETE FROM kept_log WHERE id <= ?", old[-1][1])

    def _rollups(self, before_ns: int, rows: int) -> bool:
        return self._delete(
            "DELETE FROM signals_5m WHERE (host_id, start_ns) IN "
            "(SELECT host_id, start_ns FROM signals_5m WHERE derived_ns < ? LIMIT ?)",
            before_ns,
            rows,
        )

    def _runs(self, before_ns: int, rows: int) -> bool:
        old = self._old("SELECT settled_ns, id FROM operation_run ORDER BY id LIMIT ?", before_ns, rows)
        return bool(old) and self._delete("DELETE FROM operation_run WHERE id <= ?", old[-1][1])

    def _findings(self, before_ns: int, rows: int) -> bool:
        return self._delete(
            "DELETE FROM finding WHERE id IN (SELECT id FROM finding WHERE until_ns < ? LIMIT ?)", before_ns, rows
        )

    def _old(self, query: str, before_ns: int, rows: int) -> list[tuple[int, ...]]:
        """Rows of `query` (oldest first, arrival in the first column) that arrived before."""
        return list(takewhile(lambda row: row[0] < before_ns, self._db.execute(query, (rows,)).fetchall()))

    def _delete(self, statement: str, *arguments: int) -> bool:
        return self._db.execute(statement, arguments).rowcount > 0

    def _count(self, name: str, gone: int) -> None:
        self._db.execute("UPDATE counter SET value = value - ? WHERE name = ?", (gone, name))

    # ---- by size

    def _used_bytes(self) -> int:
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._pragma("page_size")

    def _oldest(self, rows: int) -> bool:
        """A step of whichever kind of data is oldest; five-minute signals and runs only when nothing else is left."""
        kinds: Sequence[tuple[str, Step]] = (
            ("SELECT arrived_ns FROM scrape ORDER BY id LIMIT 1", self._points),
            ("SELECT arrived_ns FROM chunk ORDER BY id LIMIT 1", self._chunks),
            ("SELECT arrived_ns FROM span_detail ORDER BY id LIMIT 1", self._details),
            ("SELECT min(last_arrived_ns) FROM trace WHERE settled IN (0, 1)", self._traces),
        )
        ages = [(row[0], step) for query, step in kinds if (row := self._db.execute(query).fetchone()) and row[0]]
        if ages:
            return min(ages, key=lambda age: age[0])[1](MAX_NS, rows)
        return self._rollups(MAX_NS, rows) or self._runs(MAX_NS, rows)

    # ---- what nothing refers to

    def _entities(self, before_ns: int, rows: int) -> bool:
        old = self._db.execute(
            "SELECT id FROM entity WHERE last_arrived_ns < ? AND (kind <> 'host' OR NOT EXISTS "
            "(SELECT 1 FROM scrape WHERE scrape.host_id = entity.host_id) AND NOT EXISTS "
            "(SELECT 1 FROM chunk WHERE chunk.host_id = entity.host_id)) LIMIT ?",
            (before_ns, rows),
        ).fetchall()
        self._delete_entities(old)
        return bool(old)

    def _delete_entities(self, ids: Sequence[tuple[int]]) -> None:
        self._db.executemany("DELETE FROM entity_attributes WHERE entity_id = ?", ids)
        self._db.executemany("DELETE FROM entity WHERE id = ?", ids)
        self.numbers_went |= bool(ids)

    def _hosts(self, before_ns: int, _rows: int) -> bool:
        for (host_id,) in self._db.execute("SELECT id FROM host WHERE last_arrived_ns < ?", (before_ns,)).fetchall():
            self.forget(host_id)
            self.numbers_went = True
        return False

    def _runs_of_servers(self, before_ns: int, _rows: int) -> bool:
        self._db.execute("DELETE FROM server_run WHERE alive_ns < ?", (before_ns,))
        self._db.execute("DELETE FROM arrival WHERE last_arrived_ns < ?", (before_ns,))
        return False

    def _operations(self, _before_ns: int, _rows: int) -> bool:
        self._db.execute(
            "DELETE FROM operation WHERE NOT EXISTS (SELECT 1 FROM operation_run WHERE operation_id = operation.id)"
        )
        return False

    def _layouts(self, before_ns: int, _rows: int) -> bool:
        """Layouts without points, and slots that are in no layout."""
        before_ns -= _LAYOUT_MARGIN_NS
        if not self._delete("DELETE FROM layout WHERE last_arrived_ns < ?", before_ns):
            return False
        used: set[int] = set()
        for (slots,) in self._db.execute("SELECT slots FROM layout"):
            used.update(unpack_slots(slots))
        unused = [row for row in self._db.execute("SELECT id FROM slot").fetchall() if row[0] not in used]
        self._db.executemany("DELETE FROM slot WHERE id = ?", unused)
        self.numbers_went = True
        return False

    # ---- pages

    def _free_pages(self) -> bool:
        """Give some free pages back to the file system; True while there are more than the slack."""
        slack = max(SLACK_PAGES, self._pragma("page_count") // 64)
        free = self._pragma("freelist_count")
        if free <= slack:
            return False
        # One page per statement: a larger argument frees one page only on Python 3.11, whose cursor steps once.
        for _ in range(min(VACUUM_PAGES, free - slack)):
            self._db.execute("PRAGMA incremental_vacuum(1)").fetchall()
        return self._pragma("freelist_count") > slack

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
