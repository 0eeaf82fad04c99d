"""Which process a `process.*` resource describes, and what of it may be kept: never its command line, which may hold
secrets, but the script an interpreter runs and the title that Postgres gives its backends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hosts_mcp.otlp.batch import Resource
from hosts_mcp.text import clean

KEPT = (
    "process.pid", "process.parent_pid", "process.executable.name", "process.executable.path", "process.owner",
    "process.cgroup", "process.linux.cgroup",
)  # fmt: skip
SCRIPT, TITLE = "process.script", "process.title"
"""Attributes that stand for the command line: `classify.py` of `python -u /srv/classify.py --key …`, and
`postgres: autovacuum worker shop`."""

_INTERPRETERS: Mapping[str, frozenset[str]] = {
    "python": frozenset({"-c"}),
    "pypy": frozenset({"-c"}),
    "node": frozenset({"-e", "-p", "-pe", "--eval", "--print"}),
    "bun": frozenset({"-e", "-p", "--eval", "--print"}),
    "ruby": frozenset({"-e"}),
    "perl": frozenset({"-e", "-E"}),
    "php": frozenset({"-r"}),
    "java": frozenset(),
    "sh": frozenset({"-c"}),
    "bash": frozenset({"-c"}),
    "dash": frozenset({"-c"}),
    "zsh": frozenset({"-c"}),
}
"""Interpreter -> its options after which program text follows instead of a script."""
_INTERPRETER = re.compile(r"(?:.*[/\\])?([a-z]+)[0-9.]*[a-z]?(?:\.exe)?", re.IGNORECASE)
_SCRIPT = re.compile(r"[\w@+-][\w.@+-]{0,79}")
_SCRIPT_SUFFIX = re.compile(r"\.(py|pyz|js|mjs|cjs|ts|rb|pl|php|sh|bash|jar)$", re.IGNORECASE)
_POSTGRES = re.compile(r"postgres(?:ql)?: ")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """`key` names the incarnation on its host (pid and start; the executable where no start was sent)."""

    key: bytes
    attributes: dict[str, Any]
    started_ns: int | None


def process_identity(resource: Resource, start_ns: int) -> ProcessIdentity | None:
    """The process that a resource describes; None without a pid. Start times compare in milliseconds."""
    pid = resource.text("process.pid")
    if pid is None or not pid.lstrip("-").isdigit():
        return None
    attributes: dict[str, Any] = {}
    for key in KEPT:
        if (text := resource.text(key)) is not None:
            attributes[key] = int(text) if key.endswith("pid") and text.isdigit() else clean(text, 256)
    words = _words(resource)
    if (script := script_of(words)) is not None:
        attributes[SCRIPT] = script
    if (title := _title(words)) is not None:
        attributes[TITLE] = title
    anchor = str(start_ns // 1_000_000) if start_ns > 0 else attributes.get("process.executable.name", "")
    return ProcessIdentity(f"{int(pid)}|{anchor}".encode(), attributes, start_ns if start_ns > 0 else None)


def script_of(words: Sequence[str]) -> str | None:
    """Base name of what an interpreter runs: script, module after -m, jar or main class; else None."""
    interpreter = _INTERPRETER.fullmatch(words[0]) if words else None
    code = _INTERPRETERS.get(interpreter.group(1).lower()) if interpreter else None
    if code is None:
        return None
    after_option = False
    for position, word in enumerate(words[1:], start=1):
        if word in code:
            return None
        if word in ("-m", "-jar"):
            return _plain(words[position + 1]) if position + 1 < len(words) else None
        if word.startswith("-"):
            after_option = True
            continue
        # After an option this may be the option's value, and a value may be a secret: it must look like a script.
        return _plain(word) if not after_option or _SCRIPT_SUFFIX.search(word) else None
    return None


def _words(resource: Resource) -> list[str]:
    arguments = resource.attributes.get("process.command_args")
    if isinstance(arguments, list) and arguments:
        return [str(a) for a in arguments]
    line = resource.text("process.command_line") or resource.text("process.command") or ""
    return [word.strip("\"'") for word in line[:4096].split()]


def _title(words: Sequence[str]) -> str | None:
    line = " ".join(words)
    return clean(line, 120) if _POSTGRES.match(line) else None


def _plain(path: str) -> str | None:
    name = re.split(r"[/\\]", path)[-1]
    return name if _SCRIPT.fullmatch(name) else None
