"""Reading five-minute bins: all of them, or of a long past only those that matter."""

from hosts_mcp.signals.model import BIN_NS
from hosts_mcp.store.protocol import Rollup, Sparse
from hosts_mcp.store.sqlite import SqliteReader, SqliteWriter

from .building import T0, add_box

BUSY = [0.1, 0.2, 0.9, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1]


def test_of_a_long_past_the_first_bin_the_hot_ones_and_those_of_earlier_runs_are_read(
    writer: SqliteWriter, reader: SqliteReader
) -> None:
    first = T0 // BIN_NS * BIN_NS
    starts = [first + n * BIN_NS for n in range(len(BUSY))]
    writer.begin()
    host, _ = add_box(writer)
    writer.write_rollup(host, Rollup(starts, {"cpu_busy_ratio": BUSY}, {"cpu_busy_ratio": BUSY}, [None] * len(BUSY)))
    writer.commit()
    run = starts[4] + BIN_NS // 2
    long_ago = [(first - n * 10**12, first - n * 10**12 + 10**9) for n in range(1, 3_000)]
    sparse = Sparse(starts[8], {"cpu_busy_ratio": 0.8, "memory_used_ratio": 0.8}, [*long_ago, (run, run + 10**9)])
    found = reader.rollup(host, 0, 2 * T0, ["cpu_busy_ratio"], maxima=False, sparse=sparse)
    kept = [starts.index(start) for start in found.starts_ns]
    assert kept == [0, 2, 4, 8, 9]
    assert list(found.mean["cpu_busy_ratio"]) == [BUSY[n] for n in kept]
    assert found.maximum == {}
    assert list(reader.rollup(host, 0, 2 * T0).mean["cpu_busy_ratio"]) == BUSY
