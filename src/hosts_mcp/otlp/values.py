"""OTLP attribute values as plain Python, resources and slots interned. Caches are bounded: churn never fills memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from hosts_mcp.otlp.batch import Kind, Resource, Slot, Value

CACHED = 50_000
"""Entries after which a new generation begins; what is interned lives on in whoever holds it."""


def value_of(any_value: AnyValue) -> Value:
    """AnyValue -> str, bool, int, float, bytes, list, dict, or None when empty."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(item) for item in any_value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(any_value.kvlist_value.values)
    return getattr(any_value, kind)


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    """A key that is sent twice keeps its last value, as in the specification's map."""
    # Nearly every value is text: asked for first, it spares the question which one it is.
    return {pair.key: pair.value.string_value or value_of(pair.value) for pair in pairs}


def pairs_of(attributes: Mapping[str, Value]) -> list[KeyValue]:
    """The reverse of `attributes_of`."""
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: Value) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs_of(value)))
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=map(_any_value, value)))
    return AnyValue(string_value=str(value))


def canonical(attributes: Mapping[str, Value]) -> bytes:
    """Equal for equal attributes, whatever their order on the wire."""
    return json.dumps(attributes, sort_keys=True, separators=(",", ":"), default=_encoded).encode()


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    raise TypeError(type(value))


class Interned:
    """Resources by their bytes and series by theirs, each equal one the same object.

    One generation: a request keeps to one from beginning to end, so that equal slots in it are one object.
    """

    def __init__(self) -> None:
        self._resources: dict[bytes, Resource] = {}
        self._series: dict[tuple[str, Kind], Series] = {}

    @property
    def full(self) -> bool:
        return len(self._resources) + sum(map(len, self._series.values())) >= CACHED

    def resource(self, message: ResourceMessage) -> Resource:
        wire = message.SerializeToString()
        found = self._resources.get(wire)
        if found is None:
            attributes = attributes_of(message.attributes)
            found = self._resources[wire] = Resource(attributes, canonical(attributes))
        return found

    def series(self, metric: str, kind: Kind, unit: str) -> Series:
        found = self._series.get((metric, kind))
        if found is None:
            found = self._series[metric, kind] = Series(metric, kind, unit)
        return found


class Series(dict[bytes, Slot]):
    """The slots of one metric and kind, by the bytes of a point that holds nothing but attributes.

    The same attributes in another order are other bytes and the same slot.
    """

    def __init__(self, metric: str, kind: Kind, unit: str) -> None:
        super().__init__()
        self._metric, self._kind, self._unit = metric, kind, unit
        self._distinct: dict[Slot, Slot] = {}

    def __missing__(self, wire: bytes) -> Slot:
        attributes = attributes_of(NumberDataPoint.FromString(wire).attributes)
        pairs = tuple(sorted((key, _plain(value)) for key, value in attributes.items()))
        made = Slot(self._metric, self._kind, pairs, self._unit)
        found = self[wire] = self._distinct.setdefault(made, made)
        return found


def _plain(value: Value) -> str | bool | int | float:
    if isinstance(value, str | bool | int | float):
        return value
    return "" if value is None else canonical({"": value}).decode()[4:-1]
