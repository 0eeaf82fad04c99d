"""What a host does not send, what that hides, and the collector lines that would add it."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, Field

from hosts_mcp.answers.collector_config import SCRAPERS, scrapers_to_add
from hosts_mcp.store.protocol import Host

_GROUPS = {
    "cpu": ("cpu", "cpu_gauges"),
    "load": ("load",),
    "memory": ("memory",),
    "paging": ("paging", "swap"),
    "disk": ("disk",),
    "filesystem": ("filesystem",),
    "network": ("network",),
    "processes": ("processes",),
    "system": ("system",),
}
"""Scraper -> groups of the wide row, any of which shows that it runs."""

_NOT_ON = {"windows": frozenset({"processes"}), "darwin": frozenset()}
"""Scrapers that an operating system has nothing for."""


class NotCollected(BaseModel):
    """What is missing, and the patch of the host's collector configuration."""

    model_config = ConfigDict(extra="forbid")

    missing: list[str] = Field(description="scraper of the hostmetrics receiver: what it would show")
    config_to_add: str | None = Field(default=None, description="lines for the collector's configuration")


def not_collected(
    host: Host, groups: Collection[str], *, processes: bool, metrics: Collection[str]
) -> NotCollected | None:
    """None when nothing is missing. `groups`: groups with data; `metrics`: names of all stored metrics."""
    skipped = _NOT_ON.get(host.os_type or "", frozenset())
    absent = [
        (name, shows)
        for name, _, _, shows in SCRAPERS
        if name not in skipped and not any(group in groups for group in _GROUPS[name])
    ]
    lines = [f"{name}: {shows}" for name, shows in absent]
    names = [name for name, _ in absent]
    if not processes:
        lines.append("process: which process used it")
        names.append("process")
    linux = host.os_type in (None, "linux") and "hostmetrics" in host.sources
    if linux and "memory" in groups and "system.linux.memory.available" not in metrics:
        lines.append("memory: what is really available, shared memory counted")
        names.append("memory")
    if not lines:
        return None
    return NotCollected(missing=lines, config_to_add=scrapers_to_add(names) if _has_collector(host) else None)


def _has_collector(host: Host) -> bool:
    return not host.sources or "hostmetrics" in host.sources
