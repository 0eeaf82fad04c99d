"""The curves of a host over a range, read from whatever holds them: wide rows, the rollup, or full-fidelity points."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hosts_mcp.answers.curve import Clocks, Curve, curve, joined
from hosts_mcp.signals.devices import derive_devices
from hosts_mcp.signals.model import BIN_NS, RawSeries, SignalSeries
from hosts_mcp.signals.processes import derive_processes
from hosts_mcp.signals.rates import increases
from hosts_mcp.signals.samples import derive, groups_of
from hosts_mcp.store.protocol import Entity, EntityKind, Host, Rollup, Store
from hosts_mcp.text import clean
from hosts_mcp.timerange import NS, TimeRange

ENOUGH_ROWS, MOST_ROWS = 1_000, 3_000
"""A range with more readings is read from the five-minute rollup, but for its newest part: always above the second,
above the first when every part that is shown is longer than a bin."""
ENOUGH_BINS = 300
"""Five-minute bins are put together in the database until a range has no fewer than this."""
MOST_SCRAPES = 720
"""Full-fidelity scrapes read for curves per device; more are thinned evenly."""
MOST_PROCESS_SCRAPES = 240

_RAW_NAMES = {"device": ("disk",), "mount": ("filesystem", "disk"), "interface": ("net",), "cpu": ("cpu",)}
"""`by` -> words of which a metric has one in its name when it may say something per such subject."""
_SIGNAL_NAMES = {
    "device": ("disk_",),
    "mount": ("filesystem_", "inodes_"),
    "interface": ("network_",),
    "cpu": ("cpu_",),
}


@dataclass(frozen=True, slots=True)
class Curves:
    curves: list[Curve]
    notes: list[str] = field(default_factory=list)


def curves_of(store: Store, host: Host, time: TimeRange, names: Collection[str], parts: int = 12) -> Curves:
    """Those derived signals of the whole box that have a reading in the range, fine enough for so many parts of it."""
    border = time.start_ns
    older: dict[str, Curve] = {}
    bin_ns = BIN_NS
    readings = _readings(host, time)
    if readings > MOST_ROWS or (readings > ENOUGH_ROWS and (time.end_ns - time.start_ns) // parts >= BIN_NS):
        bin_ns = _bin_ns(time, parts)
        older, border = _long(store, host, time, names, bin_ns)
    newer = _sampled(store, host, TimeRange(border, time.end_ns), names) if border < time.end_ns else {}
    first = min((c.starts_ns[0] for c in newer.values()), default=time.end_ns)
    if not older and first - time.start_ns > 2 * BIN_NS:
        # The rows may have expired while their rollup is still kept.
        older, _ = _long(store, host, TimeRange(time.start_ns, first), names, BIN_NS)
    curves = [_either(older.get(name), newer.get(name)) for name in {**older, **newer}]
    length = "five-minute" if bin_ns == BIN_NS else f"{bin_ns // (60 * NS)}-minute"
    return Curves(curves, [f"Older part from {length} means and maxima."] if older else [])


def curves_by(store: Store, host: Host, time: TimeRange, by: str) -> Curves:
    """The curves of each device, mount, interface, cpu or process of the box."""
    return _by_process(store, host, time) if by == "process" else _by_device(store, host, time, by)


def raw_curves(store: Store, host: Host, time: TimeRange, metrics: Mapping[str, EntityKind]) -> list[Curve]:
    """Metrics by the name they were sent with, one curve per series: gauges as sent, counters per second."""
    start_ns = _one_before(host, time)
    curves = []
    for metric, kind in metrics.items():
        raw = store.points(host.id, [metric], start_ns, time.end_ns, entity_kind=kind, limit_scrapes=MOST_SCRAPES)
        known = store.entities({series.entity_id for series in raw}) if kind == "process" else {}
        found = (curve(_as_signal(series, known.get(series.entity_id)), time) for series in raw)
        curves += sorted((c for c in found if c.values), key=lambda c: c.subject or "")
    return curves


def process_label(entity: Entity) -> str:
    """How a process is called, in 64 characters: title or script where known, executable, and its pid."""
    attributes = entity.attributes
    name = attributes.get("process.title") or attributes.get("process.executable.name") or "process"
    script = attributes.get("process.script")
    pid = attributes.get("process.pid")
    words = f"{clean(name, 22)} {clean(script, 28)}" if script else clean(name, 50)
    return f"{words} ({pid})" if pid is not None else words


def _readings(host: Host, time: TimeRange) -> float:
    return (time.end_ns - time.start_ns) / (host.interval_ns or 10 * NS)


def _one_before(host: Host, time: TimeRange) -> int:
    return time.start_ns - 2 * (host.interval_ns or 60 * NS)


def _sampled(store: Store, host: Host, time: TimeRange, names: Collection[str]) -> dict[str, Curve]:
    samples = store.samples(host.id, time.start_ns, time.end_ns, groups_of(names, host.facts))
    derived = derive(samples, host.facts, names)
    clocks = Clocks(time)
    curves = {name: curve(series, time, clocks=clocks) for name, series in derived.items()}
    return {name: c for name, c in curves.items() if c.values}


def _bin_ns(time: TimeRange, parts: int) -> int:
    """As many five minutes as leave enough bins for a curve, and two for each of its parts."""
    return max(1, (time.end_ns - time.start_ns) // max(ENOUGH_BINS, 2 * parts) // BIN_NS) * BIN_NS


def _long(
    store: Store, host: Host, time: TimeRange, names: Collection[str], bin_ns: int
) -> tuple[dict[str, Curve], int]:
    """Curves from the rollup, and up to where it goes: whole bins of the range, then the five minutes of the last."""
    last_ns = (time.end_ns // bin_ns - 1) * bin_ns if bin_ns > BIN_NS else time.start_ns
    coarse: dict[str, Curve] = {}
    border = time.start_ns
    if last_ns > time.start_ns:
        rollup = store.rollup(host.id, time.start_ns, last_ns, names, bin_ns)
        coarse = _rolled(rollup, TimeRange(time.start_ns, last_ns), bin_ns)
        border = max(time.start_ns, rollup.starts_ns[-1]) if rollup.starts_ns else border
    rollup = store.rollup(host.id, last_ns, time.end_ns, names)
    if not rollup.starts_ns:
        return coarse, border
    border = min(rollup.starts_ns[-1] + BIN_NS, time.end_ns)
    fine = _rolled(rollup, TimeRange(last_ns, border), BIN_NS)
    return {name: _either(coarse.get(name), fine.get(name)) for name in {**coarse, **fine}}, border


def _rolled(rollup: Rollup, time: TimeRange, bin_ns: int) -> dict[str, Curve]:
    ends, clocks = [start + bin_ns for start in rollup.starts_ns], Clocks(time)
    curves = {
        name: curve(SignalSeries(name, "", rollup.starts_ns, ends, means), time, rollup.maximum.get(name), clocks)
        for name, means in rollup.mean.items()
    }
    return {name: c for name, c in curves.items() if c.values}


def _either(older: Curve | None, newer: Curve | None) -> Curve:
    if older is None or newer is None:
        found = older or newer
        assert found is not None
        return found
    return joined(older, newer)


def _by_device(store: Store, host: Host, time: TimeRange, by: str) -> Curves:
    wanted = _RAW_NAMES[by]
    metrics = [m.metric for m in store.metric_names(host.id) if m.entity_kind == "host" and _any(wanted, m.metric)]
    raw = store.points(host.id, metrics, _one_before(host, time), time.end_ns, limit_scrapes=MOST_SCRAPES)
    derived = derive_devices(raw, host.facts)
    clocks, own = Clocks(time), _SIGNAL_NAMES[by]
    return Curves([curve(s, time, clocks=clocks) for s in derived if s.subject and s.name.startswith(own)])


def _any(words: Sequence[str], metric: str) -> bool:
    return any(word in metric for word in words)


def _by_process(store: Store, host: Host, time: TimeRange) -> Curves:
    entities = {e.id: e for e in store.processes(host.id, time.start_ns, time.end_ns)}
    if not entities:
        return Curves([], ["No processes: the process scraper is off (see host_status for the lines that add it)."])
    names = {m.metric for m in store.metric_names(host.id) if m.entity_kind == "process"}
    raw = store.points(
        host.id, sorted(names), _one_before(host, time), time.end_ns,
        entity_kind="process", entity_ids=entities, limit_scrapes=MOST_PROCESS_SCRAPES,
    )  # fmt: skip
    curves, clocks = [], Clocks(time)
    for entity_id, signals in derive_processes(raw, host.facts).items():
        label = process_label(entities[entity_id]) if entity_id in entities else f"process {entity_id}"
        curves += [replace(curve(series, time, clocks=clocks), subject=label) for series in signals.values()]
    return Curves(curves)


def _as_signal(raw: RawSeries, process: Entity | None) -> SignalSeries:
    attributes = [f"{clean(key, 40)}={clean(value, 40)}" for key, value in raw.slot.attributes]
    labels = ", ".join([process_label(process), *attributes] if process else attributes) or None
    if raw.slot.kind in ("counter", "delta"):
        starts, ends, values = increases(raw)
        return SignalSeries(raw.slot.metric, f"{raw.slot.unit}/s", starts, ends, values, labels, raw.source)
    starts = [*raw.times_ns[:1], *raw.times_ns[:-1]]
    return SignalSeries(raw.slot.metric, raw.slot.unit, starts, raw.times_ns, raw.values, labels, raw.source)
