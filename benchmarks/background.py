"""What the work behind the way in costs a host: judging its findings, and one five-minute bin of its signals.

Boxes that send what a recorded scrape held (`recorded_fleet`), of which nothing is near a limit; CPU time of one
process. `whole` judges half an hour of everything each time, as is done of a host near a limit; a pass is made after
each scrape, and what it costs is the mean, since not every pass looks at every host. `none new` is a pass that finds no
new scrape.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean

from benchmarks.measuring import Row, spent
from benchmarks.recorded_fleet import Fleet
from hosts_mcp.ingest.derived import Derived
from hosts_mcp.ingest.judging import Judge
from hosts_mcp.store.sqlite import open_reader, open_writer
from hosts_mcp.timerange import NS

BOXES, PASSES = 4, 12
IDLE = 0.01
BEFORE_NS = 3000 * NS
"""Sent before anything is measured."""


def measure() -> Iterator[Row]:
    for seconds in (10, 30):
        yield from _figures(seconds * NS)


def _figures(interval_ns: int, boxes: int = BOXES, passes: int = PASSES, before_ns: int = BEFORE_NS) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        writer = open_writer(path, synchronous="off")
        fleet = Fleet(writer, boxes, interval_ns, load=IDLE)
        for _ in range(before_ns // interval_ns):
            fleet.scrape()
        reader = open_reader(path)
        judge = Judge(reader)
        list(judge.findings(fleet.now_ns))
        whole, new, none = [], [], []
        for _ in range(passes):
            fleet.scrape()
            whole.append(spent(lambda: list(Judge(reader).findings(fleet.now_ns))))
            new.append(spent(lambda: list(judge.findings(fleet.now_ns))))
            none.append(spent(lambda: list(judge.findings(fleet.now_ns))))
        name = f"a host @{interval_ns // NS} s"
        figures = " ".join(f"{1e3 * taken / boxes:.2f}" for taken in (min(whole), fmean(new), min(none)))
        yield f"{name}: findings, whole/pass/none new", f"{figures} ms"
        bins = writer.dirty_bins(1_000, fleet.now_ns + 10**15)
        derived = min(spent(partial(Derived(reader).rollups, [one])) for one in bins[boxes:])
        yield f"{name}: a five-minute bin", f"{1e3 * derived:.2f} ms"
        reader.close()
        writer.close()
