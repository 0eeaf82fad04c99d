"""OTLP attribute values as plain Python, resources and slots interned. Caches are bounded: churn never fills memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from hosts_mcp.otlp.batch import Kind, Resource, Slot, Value

CACHED = 50_000
"""Entries after which a cache begins anew; what is interned lives on in whoever holds it."""


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
    return {pair.key: value_of(pair.value) for pair in pairs}


def canonical(attributes: Mapping[str, Value]) -> bytes:
    """Equal for equal attributes, whatever their order on the wire."""
    return json.dumps(attributes, sort_keys=True, separators=(",", ":"), default=_encoded).encode()


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    raise TypeError(type(value))


class Interned:
    """Resources by their bytes and slots by their attributes, each equal one the same object."""

    def __init__(self) -> None:
        self._resources: dict[bytes, Resource] = {}
        self._slots: dict[tuple[Any, ...], Slot] = {}
        self._distinct: dict[Slot, Slot] = {}

    def resource(self, message: ResourceMessage) -> Resource:
        wire = message.SerializeToString()
        found = self._resources.get(wire)
        if found is None:
            attributes = attributes_of(message.attributes)
            found = _bounded(self._resources)[wire] = Resource(attributes, canonical(attributes))
        return found

    def slot(self, metric: str, kind: Kind, unit: str, pairs: Iterable[KeyValue]) -> Slot:
        # Nearly every attribute is text; another kind is told apart by its bytes.
        key = (metric, kind, *[(p.key, p.value.string_value or p.value.SerializeToString()) for p in pairs])
        found = self._slots.get(key)
        if found is None:
            attributes = attributes_of(pairs)
            made = Slot(metric, kind, tuple(sorted((k, _plain(v)) for k, v in attributes.items())), unit)
            found = _bounded(self._distinct).setdefault(made, made)
            _bounded(self._slots)[key] = found
        return found


def _plain(value: Value) -> str | bool | int | float:
    if isinstance(value, str | bool | int | float):
        return value
    return "" if value is None else canonical({"": value}).decode()[4:-1]


def _bounded(cache: dict[Any, Any]) -> dict[Any, Any]:
    if len(cache) >= CACHED:
        cache.clear()
    return cache
