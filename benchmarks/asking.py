"""What a question costs: curves of a host with a week behind it, and a trace by its id.

Median CPU time of one process, everything in memory after the first time. The host is one of `recorded_fleet` at 30 s
for seven days, with its five-minute signals; the traces are agents' (as in `spans`), in batches among 2,000 others.
`store` is reading alone, `answer` what a face gets.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.keeping import derive
from benchmarks.measuring import Row, spent
from benchmarks.recorded_fleet import Fleet
from benchmarks.spans import batch
from hosts_mcp.answers import host_metrics, show_trace
from hosts_mcp.otlp.decode import decode_traces
from hosts_mcp.store.sqlite import open_reader, open_writer
from hosts_mcp.timerange import NS
from tests.in_process import InProcess

RANGES = ("1h", "24h", "7d")
DAYS, EVERY_NS = 7, 30 * NS
SPANS = (12, 50, 1_000)
OTHERS = 2_000
ASKED = 15


def measure() -> Iterator[Row]:
    yield "host_metrics of 1 h / 24 h / 7 d at 30 s", _curves(DAYS * 86_400 * NS // EVERY_NS)
    for spans in SPANS:
        yield f"a trace of {spans:,} spans by its id", _trace(spans, OTHERS)


def _curves(scrapes: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        writer = open_writer(path, synchronous="off")
        fleet = Fleet(writer, 1, EVERY_NS)
        for _ in range(scrapes):
            fleet.scrape()
        reader = open_reader(path)
        derive(writer, reader, fleet.now_ns)
        (host,) = reader.hosts()
        asked = (partial(host_metrics.answer, reader, host.key, range=span, now_ns=fleet.now_ns) for span in RANGES)
        taken = " / ".join(f"{1e3 * _asked(question):.1f}" for question in asked)
        reader.close()
        writer.close()
    return f"{taken} ms"


def _trace(spans: int, others: int) -> str:
    rng = random.Random(spans)
    with tempfile.TemporaryDirectory() as folder:
        box = InProcess(Path(folder) / "bench.db", synchronous="off")
        wanted = batch(rng, 0, 1, spans)
        box.traces((number, batch(rng, number, 20, 12)) for number in range(1, 1 + others // 20))
        box.traces([(1, wanted)])
        trace_id = decode_traces(wanted, "protobuf").spans[0].trace_id
        read = _asked(lambda: box.reader.trace(trace_id))
        shown = _asked(lambda: show_trace.answer(box.reader, trace_id.hex(), now_ns=2))
        box.close()
    return f"store {1e3 * read:.2f} ms, answer {1e3 * shown:.2f} ms"


def _asked(question: Callable[[], object]) -> float:
    question()
    return median(spent(question) for _ in range(ASKED))
