"""What one slot means: its measure, label and subject, whoever named it. The tables stand in `signals.names`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from hosts_mcp.otlp.batch import Slot
from hosts_mcp.signals.names import MEASURES, PLAIN, PRODUCERS, SUFFIXED, Name

TOTALS = frozenset({"cpu-total", "_total", "total"})
"""CPUs and disks that are the sum of the others (Telegraf's `cpu-total`, Windows' `_Total`)."""


@dataclass(frozen=True, slots=True)
class Meaning:
    measure: str
    label: str
    subject: str | None
    scale: float = 1.0
    total: bool = False
    """The point speaks for all subjects together."""


def _round_trips(names: Mapping[str, Name]) -> dict[str, Name]:
    """OpenTelemetry names as Prometheus spells them: dots to underscores, a unit and `_total` behind."""
    spelled: dict[str, Name] = {}
    for name, meaning in names.items():
        base = name.replace(".", "_")
        for unit in ("", "_seconds", "_bytes", "_ratio"):
            spelled[base + unit] = meaning
            spelled[base + unit + "_total"] = meaning
    return spelled


NAMES: Mapping[str, Name] = {
    **_round_trips(PRODUCERS["otel"]),
    **{name: meaning for producer in PRODUCERS.values() for name, meaning in producer.items()},
    **SUFFIXED,
}
"""Every metric name with a meaning. An exact name of any producer wins over a round-tripped spelling."""


@lru_cache(maxsize=65_536)
def meaning(slot: Slot) -> Meaning | None:
    """None: no canonical meaning (the point is kept all the same)."""
    name = NAMES.get(slot.metric)
    if name is None:
        return None
    measure = MEASURES.get(name.measure, PLAIN)
    attributes = {key: str(value) for key, value in slot.attributes}
    if measure.only is not None:
        value = _first(attributes, measure.only[0])
        if value is not None and value.lower() not in measure.only[1]:
            return None
    label = name.label if name.label is not None else _label(attributes, measure.labels, measure.unlabelled)
    if label is None:
        return None
    subject = None if measure.per_subject else _first(attributes, measure.subjects)
    total = subject is None or subject.lower() in TOTALS
    return Meaning(name.measure, label, subject, name.scale, total)


def _label(
    attributes: Mapping[str, str], parts: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...], unlabelled: str | None
) -> str | None:
    found: list[str] = []
    for keys, spelled in parts:
        value = _first(attributes, keys)
        if value is None:
            return unlabelled
        canonical = spelled.get(value.lower())
        if canonical is None:
            return None
        found.append(canonical)
    return ".".join(found)


def _first(attributes: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    """The newest spelling that is present wins: a point in migration carries both and counts once.

    Prometheus writes the dots of a key as underscores."""
    for key in keys:
        value = attributes.get(key, attributes.get(key.replace(".", "_")))
        if value is not None:
            return value
    return None
