"""How busy a disk was and how many operations waited, where the kernel's own accounting can be believed."""

from __future__ import annotations

from collections.abc import Sequence

_NEAR = 0.1
_HARDLY = 0.1


def believable(
    busy: Sequence[float | None], queue: Sequence[float | None], serving: Sequence[float | None]
) -> tuple[list[float | None], list[float | None]]:
    """(busy ratio, queue) from io time, weighted io time and operation time, each in seconds per second.

    Kernels 4.17 to 4.20 count an idle NVMe disk as always busy with one operation while hardly any time is spent on
    operations: there both are what was spent.
    """
    shares: list[float | None] = []
    queues: list[float | None] = []
    for share, waiting, spent in zip(busy, queue, serving, strict=True):
        if spent is not None and spent < _HARDLY and _is_one(share) and _is_one(waiting):
            shares.append(spent)
            queues.append(spent)
        else:
            shares.append(None if share is None else min(1.0, share))
            queues.append(waiting)
    return shares, queues


def _is_one(value: float | None) -> bool:
    return value is not None and abs(value - 1) <= _NEAR
