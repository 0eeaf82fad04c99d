"""A body without its compression, within its limit and its room: small ones here, large ones beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO

from hosts_mcp.otlp.admission import Held
from hosts_mcp.otlp.compression import FED_BYTES, PIECE_BYTES, TooLarge, decompressed

STEP_BYTES = 1024 * 1024
"""Inflated at a time, and as much as is inflated in the event loop (a few milliseconds) before a thread goes on."""


async def inflate(body: bytes, encoding: str, limit: int, held: Held) -> bytes:
    """The inflated body, settled in `held`, which holds `body` already.

    Raises TooLarge, UnsupportedEncoding, Undecodable, and Busy where there is no room to inflate.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        if len(body) > limit:
            raise TooLarge
        held.settle(len(body))
        return body
    pieces, out = decompressed(body, encoding), BytesIO()
    await held.take(len(body) + STEP_BYTES)
    ended = _step(pieces, out, limit)
    while not ended:
        await held.take(len(body) + out.tell() + STEP_BYTES)
        ended = await asyncio.to_thread(_step, pieces, out, limit)
    inflated = out.getvalue()
    held.settle(len(inflated))
    return inflated


def _step(pieces: Iterator[bytes], out: BytesIO, limit: int) -> bool:
    """At most STEP_BYTES more onto `out`; True at the end of the body."""
    spent = 0
    for piece in pieces:
        out.write(piece)
        if out.tell() > limit:
            raise TooLarge
        spent += max(len(piece), FED_BYTES)  # reading costs too where nothing comes out
        if spent > STEP_BYTES - PIECE_BYTES:
            return False
    return True
