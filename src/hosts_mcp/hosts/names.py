"""What an id or a name identifies once case, blanks and placeholders are taken away; no state, no resources."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

from hosts_mcp.text import clean

NO_ID = frozenset({
    "", "unknown", "none", "null", "nil", "undefined", "uninitialized", "n/a", "na", "(none)", "localhost",
    "notsettable", "notspecified", "notapplicable", "notpresent", "defaultstring", "systemserialnumber",
    "tobefilledbyo.e.m.", "03000200040005000006000700080009",
})  # fmt: skip
"""Ids that many machines share: absent values as agents write them, and the product UUIDs that firmware vendors left in
place. Compared after dashes and blanks are gone."""

NO_NAME = frozenset({
    "", "localhost", "localhost4", "localhost6", "ip6-localhost", "unknown", "none", "null", "nil", "undefined",
    "(none)", "n/a", "-", "hostname", "127.0.0.1", "::1", "0.0.0.0",
})  # fmt: skip

_LOCAL_DOMAINS = ("localhost.", "localhost4.", "localhost6.")
_UNRESOLVED = re.compile(r"^(\$\{|\$\(|\$[A-Z_a-z]|%[A-Z_a-z]+%$|\{\{)")
_ONE_DIGIT = re.compile(r"^([0f])\1*$")
_CONTAINER_NAME = re.compile(r"[0-9a-f]{12}")
_POD_SUFFIX = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")
_IP = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-f:]*:[0-9a-f:]+", re.IGNORECASE)
_NOT_IN_SLUG = re.compile(r"[^a-z0-9._]+")
_NAME_LENGTH = 120
_SLUG_LENGTH = 40


def normal_id(value: object) -> str | None:
    """A host id for comparison: lower case, no blanks, dashes or braces; None for one that identifies nothing."""
    text = re.sub(r"[\s{}-]", "", clean(value, 200) if value is not None else "").lower()
    return None if text in NO_ID or _ONE_DIGIT.match(text) else text


def normal_name(value: object) -> str | None:
    """A name as shown: one trimmed printable line without a closing dot; None for one that identifies nothing."""
    text = (clean(value, _NAME_LENGTH) if value is not None else "").rstrip(".").rstrip()
    folded = fold(text)
    if folded in NO_NAME or folded.startswith(_LOCAL_DOMAINS) or _UNRESOLVED.match(text):
        return None
    return text


def fold(name: str) -> str:
    """What two spellings of one name have in common."""
    return name.strip().casefold()


def short(name: str) -> str | None:
    """Folded first label of a fully qualified name; None for a short name or an address."""
    label, dot, _ = fold(name).partition(".")
    return label if dot and label and not is_address(name) else None


def is_short_of(one: str, other: str) -> bool:
    """Whether one of the two names is the other's first label."""
    return short(one) == fold(other) or short(other) == fold(one)


def is_address(name: str) -> bool:
    return _IP.fullmatch(name.strip()) is not None


def is_container_name(name: str) -> bool:
    """Twelve hex digits: the host name that a container runtime gives."""
    return _CONTAINER_NAME.fullmatch(fold(name)) is not None


def is_pod_name(name: str) -> bool:
    """Ends like a pod of a DaemonSet or Deployment. A hint only: use it where a node name contradicts the name."""
    return _POD_SUFFIX.search(fold(name)) is not None


def slug(name: str) -> str:
    """A short key for a name: `DB-1.example.com` -> `db-1`, `Ünïx Box` -> `unix-box`; addresses stay whole."""
    folded = fold(name)
    label = folded if is_address(name) else (short(name) or folded)
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return _NOT_IN_SLUG.sub("-", plain).strip("-._")[:_SLUG_LENGTH].strip("-._") or "host"


def digest(text: str, length: int = 6) -> str:
    """A few hex digits that tell namesakes apart, the same in every run."""
    return blake2b(text.encode(), digest_size=16).hexdigest()[:length]
