"""What a day takes at rest, and for how long the file is locked while a day is let go.

There is no recording of a whole day in the repository: the boxes are those of `recorded_fleet`, which go on from one
recorded scrape of all scrapers (no processes) as the kernel counts, busy all day; with the metrics that a collector
sends by default, and with every optional one that was recorded. At rest: 24 hours at 30 s, derived and compacted as the
jobs do; bytes per point are those of the chunks, all-in is every used page of the file (wide rows, five-minute signals,
indexes, some 50 empty tables) per host. Dropped: a day of scrapes, chunks and traces, step by step as the job does it,
each step one transaction with synchronous=FULL; a lock is held from BEGIN to the end of COMMIT, wall time.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measuring import Row
from benchmarks.recorded_fleet import T0, Fleet
from benchmarks.spans import batch
from hosts_mcp.ingest.derived import Derived
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter, open_reader, open_writer
from hosts_mcp.timerange import NS
from tests.in_process import LATER, InProcess

DAY_NS = 86_400 * NS
EVERY_NS = 30 * NS
BOXES, DROPPED_BOXES, DROPPED_TRACES = 6, 8, 2_000


def measure() -> Iterator[Row]:
    scrapes = DAY_NS // EVERY_NS
    yield "24 h at 30 s, at rest, default metrics", _at_rest(BOXES, scrapes, optional=False)
    yield "24 h at 30 s, at rest, optional ones too", _at_rest(BOXES, scrapes, optional=True)
    yield "a day dropped", _dropped(DROPPED_BOXES, scrapes, DROPPED_TRACES)


def _at_rest(boxes: int, scrapes: int, *, optional: bool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        writer = open_writer(path, synchronous="off")
        fleet = Fleet(writer, boxes, EVERY_NS, optional=optional)
        for _ in range(scrapes):
            fleet.scrape()
        reader = open_reader(path)
        derive(writer, reader, fleet.now_ns)
        _compact(writer, reader, fleet.now_ns + 2 * 3600 * NS)
        reader.close()
        writer.close()
        with sqlite3.connect(path) as db:
            pages, free, size = (
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
            packed, points = db.execute("SELECT sum(length(v)), sum(points) FROM chunk").fetchone()
    all_in = (pages - free) * size / boxes * DAY_NS / (scrapes * EVERY_NS)
    return (
        f"{packed / points:.2f} B/point of {fleet.points / boxes / scrapes:.0f} points a scrape; "
        f"{all_in / 1e6:.2f} MB per host and day all-in"
    )


def _dropped(boxes: int, scrapes: int, traces: int) -> str:
    rng, locks = random.Random(7), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        box = InProcess(path, synchronous="off")
        fleet = Fleet(box.writer, boxes, EVERY_NS)
        for number in range(scrapes):
            fleet.scrape()
            if number == scrapes // 2:
                # One half of the day as chunks, the other as it came.
                _compact(box.writer, open_reader(path), fleet.now_ns + 2 * 3600 * NS)
        box.traces((T0 + number, batch(rng, number, 20)) for number in range(traces // 20))
        box.derive(fleet.now_ns)
        box.close()
        writer = open_writer(path)
        more = True
        while more:
            begun = time.perf_counter()
            writer.begin()
            more = writer.retain(fleet.now_ns + 2 * DAY_NS, DAY_NS, DAY_NS, 10**15)
            writer.commit()
            locks.append(time.perf_counter() - begun)
        writer.close()
    return (
        f"{fleet.points:,} points and {12 * traces:,} spans in {len(locks)} steps, "
        f"lock p50 {1e3 * median(locks):.1f} ms, longest {1e3 * max(locks):.0f} ms"
    )


def derive(writer: SqliteWriter, reader: SqliteReader, now_ns: int) -> None:
    writer.begin()
    for host_id, rollups in Derived(reader).rollups(writer.dirty_bins(10**6, now_ns + LATER)):
        for rollup in rollups:
            writer.write_rollup(host_id, rollup)
    writer.commit()


def _compact(writer: SqliteWriter, reader: SqliteReader, now_ns: int) -> None:
    while waiting := reader.compactable(now_ns):
        for hour in waiting:
            while (piece := reader.piece(*hour)) is not None:
                writer.begin()
                writer.compact(piece)
                writer.commit()
