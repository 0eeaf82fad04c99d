"""Does it stay flat: what a point and a question cost with a hundred times the hosts, and with thirty times the days.

CPU time of one process, a fresh file each time; of what is written the second half counts, when the hosts are known;
questions are the median of several. Reference in the same run: the same decoded points as one row each in a plain
SQLite table with its primary key. Scrapes of the many days are half an hour apart, to keep it short.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.fleet import SimulatedHost, scrapes
from benchmarks.measuring import Row, spent
from hosts_mcp.answers import host_metrics, list_hosts
from hosts_mcp.otlp.decode import decode_metrics
from hosts_mcp.timerange import NS
from tests.in_process import InProcess

FLEETS = (10, 100, 1_000)
SCRAPES = 4_000
"""In all of a fleet."""
DAYS = (1, 10, 30)
FLEET_NS, EVERY_NS = 10 * NS, 1800 * NS
"""Between the scrapes of a fleet, and of many days."""
ASKED, LAST = 9, 4
"""Times that a question is asked, and scrapes that host_metrics is asked about: as many in every row."""
Sent = tuple[int, bytes]


def measure() -> Iterator[Row]:
    for hosts in FLEETS:
        fleet = [SimulatedHost(f"host-{number}") for number in range(hosts)]
        sent = list(scrapes(fleet, SCRAPES // hosts, every_ns=FLEET_NS))
        yield f"{hosts:,} hosts", _figures(sent, FLEET_NS)
    for days in DAYS:
        sent = list(scrapes([SimulatedHost("host-0")], days * 86_400 * NS // EVERY_NS, every_ns=EVERY_NS))
        yield f"1 host, {days} days", _figures(sent, EVERY_NS)
    yield "reference: a row per point in SQLite", _row_per_point(list(scrapes([SimulatedHost("host-0")], 400)))


def _figures(sent: Sequence[Sent], every_ns: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        box = InProcess(path, synchronous="normal")
        half = len(sent) // 2
        box.metrics(sent[:half])
        points = sum(decode_metrics(body, "protobuf").points for _, body in sent[half:])
        written = spent(lambda: box.metrics(sent[half:])) / points
        now = sent[-1][0]
        box.derive(now)
        listed = _asked(lambda: list_hosts.answer(box.reader, now_ns=now))
        recent = f"{LAST * every_ns // NS}s"
        curves = _asked(lambda: host_metrics.answer(box.reader, "host-0", range=recent, now_ns=now))
        box.close()
        size = path.stat().st_size / points / 2
    return (
        f"{1e6 * written:.2f} µs and {size:.0f} B/point written; list_hosts {1e3 * listed:.1f} ms; "
        f"host_metrics of {LAST} scrapes {1e3 * curves:.1f} ms"
    )


def _row_per_point(sent: Sequence[Sent]) -> str:
    """Decoded alike, stored as (series, time, value)."""
    series: dict[object, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.db"
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE point (series INT, time INT, value REAL, PRIMARY KEY (series, time)) WITHOUT ROWID")

        def store(requests: Sequence[Sent]) -> int:
            count = 0
            for _, body in requests:
                rows = [
                    (series.setdefault((group.resource, slot), len(series)), group.time_ns, value)
                    for group in decode_metrics(body, "protobuf").groups
                    for slot, value in zip(group.slots, group.values, strict=True)
                ]
                db.executemany("INSERT OR REPLACE INTO point VALUES (?, ?, ?)", rows)
                count += len(rows)
            db.commit()
            return count

        half = len(sent) // 2
        points = store(sent[:half])
        written = spent(lambda: store(sent[half:])) / points
        db.close()
        size = path.stat().st_size / points / 2
    return f"{1e6 * written:.2f} µs and {size:.0f} B/point written"


def _asked(question: Callable[[], object]) -> float:
    question()
    return median(spent(question) for _ in range(ASKED))
