"""The words of a verdict: few, and each of one meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Word = Literal["yes", "partly", "no", "cannot_tell"]
BLAMED: tuple[Word, ...] = ("yes", "partly")
"""The verdicts that lay it on the box."""
OriginWord = Literal["neighbour", "own_workload", "hypervisor", "unknown"]
Scope = Literal["host", "container", "process", "storage", "hypervisor"]
ResourceWord = Literal[
    "cpu", "memory", "disk", "filesystem", "network", "steal", "file_descriptors", "restart", "suspend", "none"
]
SymptomClass = Literal[
    "killed", "err_mem", "err_space", "err_fd", "err_timeout", "err_conn", "err_app", "slow", "unknown", "none",
    "running",
]  # fmt: skip
WORDS: Mapping[str, tuple[ResourceWord, Scope]] = {
    "memory": ("memory", "host"),
    "cpu": ("cpu", "host"),
    "steal": ("steal", "hypervisor"),
    "disk": ("disk", "host"),
    "filesystem": ("filesystem", "host"),
    "network": ("network", "host"),
    "restart": ("restart", "host"),
    "c_mem": ("memory", "container"),
    "c_cpu": ("cpu", "container"),
    "fd": ("file_descriptors", "process"),
    "suspend": ("suspend", "host"),
}
"""Internal resource key -> the words of the answer."""
