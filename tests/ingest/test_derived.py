"""A five-minute bin is the same whether a little of its past was read or all that could matter."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts_mcp.ingest import derived
from hosts_mcp.ingest.derived import LEAD_NS, Derived
from hosts_mcp.otlp.batch import PointGroup, Resource
from hosts_mcp.signals.model import BIN_NS
from hosts_mcp.store.protocol import Host
from hosts_mcp.store.sqlite import open_reader, open_writer
from hosts_mcp.timerange import NS

from .test_judging import T0, Box

HOURS = 3


def _times(interval: int, rng: random.Random) -> Iterator[int]:
    """Scrapes as they come, with silences of up to nine minutes."""
    time_ns = T0
    while time_ns < T0 + HOURS * 3600 * NS:
        yield time_ns
        silent = rng.random() < interval / 900
        time_ns += rng.randrange(100, 540) * NS if silent else interval * NS + rng.randrange(-NS // 50, NS // 50)


@pytest.mark.parametrize(("seed", "interval"), [(1, 5), (2, 10), (3, 10), (4, 30), (5, 60)])
def test_a_bin_needs_no_more_past_than_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, interval: int
) -> None:
    box, rng = Box(seed, interval), random.Random(-seed)
    writer = open_writer(tmp_path / "box.db", synchronous="off")
    resource = Resource({"host.name": "box"}, b"box")
    writer.begin()
    host = writer.add_host(Host(0, "box", "host", "box", os_type="linux", sources=("hostmetrics",), cpu_count=4,
                                interval_ns=interval * NS, first_arrived_ns=T0))  # fmt: skip
    entity = writer.entity("host", host.id, b"box", {}, None, T0, T0)
    for time_ns in _times(interval, rng):
        for scraper, values in box.scrape(time_ns):
            slots, readings = zip(*values, strict=True)
            if scraper == "load":  # a load that never moves is no load, however long one looks
                readings = tuple(value * rng.uniform(1.0, 1.01) for value in readings)
            group = PointGroup(resource, scraper, "", time_ns, box.boot_ns, slots, readings)
            writer.add_points(host.id, entity, "hostmetrics", [group], time_ns)
    writer.commit()
    reader = open_reader(tmp_path / "box.db")
    begins = range(T0 // BIN_NS * BIN_NS, T0 + HOURS * 3600 * NS, BIN_NS)

    def known() -> dict[tuple[int, str], tuple[float, float]]:
        """(bin, signal) -> mean and maximum, where they are known."""
        return {
            (start, name): (mean, rollup.maximum[name][i])
            for begin in begins
            for _, found in Derived(reader).rollups([(host.id, begin, begin + BIN_NS)])
            for rollup in found
            for i, start in enumerate(rollup.starts_ns)
            for name, means in rollup.mean.items()
            if (mean := means[i]) is not None
        }

    read: list[int] = []
    samples = reader.samples
    monkeypatch.setattr(
        reader, "samples", lambda host, *asked: read.append(asked[1] - asked[0]) or samples(host, *asked)
    )
    found = known()
    assert interval > 20 or min(read) < BIN_NS + LEAD_NS / 2, "all of the past was read: this proves nothing"
    monkeypatch.setattr(derived, "_near_ns", lambda *_: LEAD_NS)
    assert found == known()
    reader.close()
    writer.close()
