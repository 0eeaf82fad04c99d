"""A box, its scrapes and its spans, as a decoder would hand them to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hosts_mcp.otlp.batch import Event, Link, PointGroup, Resource, Slot, SpanDetails, SpanRecord, Value
from hosts_mcp.otlp.details import read, with_details
from hosts_mcp.store.protocol import Host
from hosts_mcp.store.sqlite import SqliteWriter
from hosts_mcp.timerange import NS

T0 = 1_760_000_000 * NS
BOOT = T0 - 86_400 * NS
BOX = Resource({"host.name": "box-1", "host.id": "abc"}, b"box-1")
SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/"
SERVICE = Resource({"service.name": "agent", "host.name": "box-1", "process.pid": 4242}, b"agent")
TRACE = bytes(range(16))

CPU = tuple(
    Slot("system.cpu.time", "counter", (("cpu", f"cpu{n}"), ("state", state)), "s")
    for n in range(2)
    for state in ("user", "system", "idle", "wait")
)
LOAD = tuple(Slot(f"system.cpu.load_average.{span}", "gauge", (), "{thread}") for span in ("15m", "1m", "5m"))
MEMORY = tuple(
    Slot("system.memory.usage", "updown", (("state", state),), "By") for state in ("used", "free", "cached", "buffered")
)
DISK = tuple(
    Slot("system.disk.io", "counter", (("device", device), ("direction", way)), "By")
    for device in ("sda", "sdb")
    for way in ("read", "write")
)
PROCESS = (
    Slot("process.cpu.time", "counter", (("state", "user"),), "s"),
    Slot("process.memory.usage", "updown", (), "By"),
)


def group(
    slots: Sequence[Slot], values: Sequence[float], time_ns: int, *, scraper: str = "cpu", start_ns: int = BOOT
) -> PointGroup:
    return PointGroup(BOX, f"{SCOPE}{scraper}scraper", "0.160.0", time_ns, start_ns, tuple(slots), tuple(values))


def scrape(time_ns: int, n: int = 0) -> list[PointGroup]:
    """Four scrapers, each with its own clock; counters that grow with `n`."""
    return [
        group(CPU, [100.0 + n * (i + 1) for i in range(len(CPU))], time_ns),
        group(LOAD, [0.5, 1.5, 1.0], time_ns + 100_000, scraper="load"),
        group(MEMORY, [4e9, 2e9, 1e9, 1e8], time_ns + 200_000, scraper="memory"),
        group(DISK, [1e6 + n * 4096.0 * i for i in range(len(DISK))], time_ns + 300_000, scraper="disk"),
    ]


def add_box(writer: SqliteWriter, name: str = "box-1", arrived_ns: int = T0) -> tuple[int, int]:
    """Inside a transaction: the host and its entity."""
    key = {h.key: h for h in writer.hosts()}
    host = key.get(name) or writer.add_host(
        Host(0, name, "host", name, first_arrived_ns=arrived_ns, last_arrived_ns=arrived_ns)
    )
    return host.id, writer.entity("host", host.id, b"box", {"host.name": name}, None, arrived_ns, arrived_ns)


def store(
    writer: SqliteWriter, groups: Sequence[PointGroup], *, source: str = "hostmetrics", arrived_ns: int = T0
) -> int:
    """One committed transaction with these groups of box-1; the host's id."""
    writer.begin()
    host_id, entity_id = add_box(writer, arrived_ns=arrived_ns)
    writer.savepoint()
    writer.add_points(host_id, entity_id, source, groups, arrived_ns)
    writer.commit()
    return host_id


def span(
    number: int,
    parent: int = 0,
    *,
    attributes: Mapping[str, Value] | None = None,
    events: Sequence[Event] = (),
    links: Sequence[Link] = (),
    **changes: Any,
) -> SpanRecord:
    """Span `number` of TRACE below span `parent` (0: a root), one second long."""
    values: dict[str, Any] = {
        "resource": SERVICE,
        "scope": "test",
        "trace_id": TRACE,
        "span_id": number.to_bytes(8, "big"),
        "parent_id": parent.to_bytes(8, "big") if parent else b"",
        "name": f"step {number}",
        "kind": 1,
        "start_ns": T0 + number * NS,
        "end_ns": T0 + (number + 1) * NS,
        "status": 0,
        "status_message": "",
    }
    about = {"number": number} if attributes is None else attributes
    return with_details(SpanRecord(**(values | changes)), SpanDetails(about, events, links))


def pending(number: int, parent: int = 0, **changes: Any) -> SpanRecord:
    """What Logfire sends when span `number` begins: an id of its own below it, its parent in an attribute."""
    real = span(number, parent, **changes)
    attributes = {"logfire.span_type": "pending_span", "logfire.pending_parent_id": f"{parent:016x}"}
    changes |= {"span_id": (1000 + number).to_bytes(8, "big"), "parent_id": real.span_id, "end_ns": real.start_ns}
    return span(number, **(changes | {"attributes": read(real.details).attributes | attributes}))


def exception(kind: str, message: str, time_ns: int = T0) -> Event:
    return Event(time_ns, "exception", {"exception.type": kind, "exception.message": message})


def store_spans(writer: SqliteWriter, spans: Sequence[SpanRecord], arrived_ns: int = T0) -> int:
    """One committed transaction; the number of the service's entity."""
    writer.begin()
    writer.savepoint()
    entity_id = writer.entity("service", None, b"agent", SERVICE.attributes, None, T0, arrived_ns)
    writer.add_spans([(entity_id, one) for one in spans], arrived_ns)
    writer.commit()
    return entity_id
