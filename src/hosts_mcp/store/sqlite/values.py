"""Attribute values, texts and times as SQLite can hold them, and back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from hosts_mcp.otlp.batch import Value

MAX_NS = 2**63 - 1
"""Largest time a column holds; OTLP's are unsigned and may be nonsense."""
_BYTES = "$base64"


def to_json(value: Any) -> str:
    """Compact JSON, non-ASCII escaped (lone surrogates survive); bytes become {"$base64": …}."""
    return _ENCODER.encode(value)


def from_json(text: str | bytes) -> Any:
    return json.loads(text, object_hook=_bytes_again)


def canonical_json(value: Any) -> str:
    """JSON that depends on the content only, not on the order of keys."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=_encodable)


def attributes_json(attributes: Mapping[str, Value]) -> str:
    """As `to_json`, valid for SQLite's JSON functions: NaN and infinities become text."""
    try:
        return _STRICT.encode(dict(attributes))
    except ValueError:
        return _STRICT.encode(_finite(dict(attributes)))


def text(value: str) -> str:
    """Without what UTF-8 cannot encode (lone surrogates, possible in JSON input)."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def ns(value: int) -> int:
    return value if 0 <= value <= MAX_NS else min(max(value, 0), MAX_NS)


def small_int(value: Value) -> int | None:
    """An attribute as an integer that a column holds, else None (`process.pid` may be sent as text)."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -MAX_NS <= number <= MAX_NS else None


def text_of(attributes: Mapping[str, Value], names: tuple[str, ...], limit: int = 300) -> str | None:
    """First of these attributes that is present and not empty, as text of at most `limit` characters."""
    for name in names:
        value = attributes.get(name)
        if value not in (None, ""):
            return text(str(value)[:limit])
    return None


def _encodable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    return str(value)


def _bytes_again(value: dict[str, Any]) -> Any:
    if len(value) == 1 and isinstance(encoded := value.get(_BYTES), str):
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return value
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_encodable)
_STRICT = json.JSONEncoder(separators=(",", ":"), default=_encodable, allow_nan=False)
