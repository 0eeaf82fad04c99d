"""Which devices count towards the whole box: no partition beside its disk, no bridge beside its interface."""

from __future__ import annotations

import re
from collections.abc import Collection

from hosts_mcp.otlp.batch import Slot

_NO_DISK = re.compile(r"^(?:loop|ram|zram|fd|sr)\d+$")
_PARTITION = re.compile(r"^p?\d+$")
_MAPPED = re.compile(r"^(?:dm-|md)\d+")
_NO_INTERFACE = re.compile(
    r"^(?:lo\d*$|veth|docker\d|br-|cni|cali|flannel|virbr|tunl|kube-ipvs|dummy|ifb|nodelocaldns)", re.IGNORECASE
)
_NO_FILESYSTEM = frozenset(
    ("tmpfs", "squashfs", "overlay", "iso9660", "devtmpfs", "ramfs", "proc", "sysfs", "cgroup", "cgroup2", "autofs",
     "nsfs", "tracefs", "devfs", "erofs")
)  # fmt: skip


def disks(names: Collection[str]) -> frozenset[str]:
    """Whole disks. dm and md count only where no underlying disk is seen (they repeat its traffic)."""
    real = {name for name in names if not _NO_DISK.match(name) and not _is_partition(name, names)}
    physical = {name for name in real if not _MAPPED.match(name)}
    return frozenset(physical or real)


def _is_partition(name: str, names: Collection[str]) -> bool:
    return any(other != name and name.startswith(other) and _PARTITION.match(name[len(other) :]) for other in names)


def interfaces(names: Collection[str]) -> frozenset[str]:
    """Interfaces that carry the box's own traffic; members of a bond that is present do not count twice."""
    kept = {name for name in names if not _NO_INTERFACE.match(name)}
    bonds = {name for name in kept if re.match(r"^(?:bond|team)\d", name)}
    if bonds:
        kept -= {name for name in kept if re.match(r"^(?:eth|en[ospx])", name)}
    return frozenset(kept)


def mount_counts(slot: Slot) -> bool:
    """A file system that can really fill up: writable and not made of memory or images."""
    if (slot.get("system.filesystem.type", "type", "fstype") or "").lower() in _NO_FILESYSTEM:
        return False
    mode = slot.get("system.filesystem.mode", "mode") or ""
    return "ro" not in re.split(r"[,\s]", mode.lower())
