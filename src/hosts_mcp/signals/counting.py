"""Which devices count towards the whole box: no partition beside its disk, no bridge beside its interface."""

from __future__ import annotations

import re
from collections.abc import Collection

from hosts_mcp.otlp.batch import Slot

_NO_DISK = re.compile(r"^(?:(?:loop|ram|zram|fd|sr)\d+|nvme\d+c\d+n\d+|_Total)$")
_PARTITION = re.compile(r"^(?:(?P<numbered>.*\d)p|(?P<lettered>.*\D))\d+$")
_MAPPED = re.compile(r"^(?:dm-|md)\d+")
_NO_INTERFACE = re.compile(
    r"^(?:lo\d*$|veth|docker\d|br-|cni|cali|flannel|virbr|tunl|kube-ipvs|dummy|ifb|nodelocaldns|all$)", re.IGNORECASE
)
_NO_FILESYSTEM = frozenset(
    ("tmpfs", "squashfs", "overlay", "iso9660", "devtmpfs", "ramfs", "proc", "sysfs", "cgroup", "cgroup2", "autofs",
     "nsfs", "tracefs", "devfs", "erofs", "cd9660", "debugfs", "fusectl", "fuse.lxcfs", "hugetlbfs", "mqueue",
     "efivarfs", "binfmt_misc")
)  # fmt: skip


def disks(names: Collection[str]) -> frozenset[str]:
    """Whole disks. dm and md count only where no underlying disk is seen (they repeat its traffic)."""
    real = {name for name in names if not _NO_DISK.match(name) and not _is_partition(name, names)}
    physical = {name for name in real if not _MAPPED.match(name)}
    return frozenset(physical or real)


def _is_partition(name: str, names: Collection[str]) -> bool:
    """`sda1` beside `sda`, `nvme0n1p2` beside `nvme0n1`; `dm-10` beside `dm-1` is a disk of its own."""
    match = _PARTITION.match(name)
    return match is not None and (match["numbered"] or match["lettered"]) in names


def interfaces(names: Collection[str]) -> frozenset[str]:
    """Interfaces that carry the box's own traffic, none twice: no members of a bond that is present, no VLANs."""
    kept = {name for name in names if not _NO_INTERFACE.match(name)}
    bonds = {name for name in kept if re.match(r"^(?:bond|team)\d", name)}
    if bonds:
        kept -= {name for name in kept if re.match(r"^(?:eth|en[ospx])", name)}
    return frozenset(name for name in kept if not ("." in name and name.partition(".")[0] in kept))


def mount_counts(slot: Slot) -> bool:
    """A file system that can really fill up: writable and not made of memory or images."""
    if (slot.get("system.filesystem.type", "type", "fstype", "filesystem") or "").lower() in _NO_FILESYSTEM:
        return False
    mode = slot.get("system.filesystem.mode", "mode") or ""
    return "ro" not in re.split(r"[,\s]", mode.lower())


def used_share(used: float | None, free: float | None, avail: float | None, size: float | None) -> float | None:
    """used/(used + what users may still take), as `df` counts: blocks kept back for root are in neither.

    From whichever parts a producer sends: used and free, or size with free, avail or used. An empty one has no share.
    """
    if used is None and size is not None and (left := avail if free is None else free) is not None:
        used = size - left
    takeable = free if avail is None else avail
    if takeable is None and size is not None and used is not None:
        takeable = size - used
    return None if used is None or takeable is None else share_of(used, takeable)


def share_of(used: float, takeable: float) -> float | None:
    """As `used_share`, of the two parts that it comes down to."""
    whole = used + takeable
    return used / whole if whole > 0 else None
