"""A body without its compression, within its limit and its room: small ones here, large ones beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO

from hosts_mcp.otlp.admission import Held
from hosts_mcp.otlp.compression import FED_BYTES, PIECE_BYTES, TooLarge, decompressed, promised_bytes

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
    pieces = decompressed(body, encoding)
    if (promised := promised_bytes(body, encoding)) > limit:
        raise TooLarge  # or it lies, which is no reason to inflate it
    # Closed at the end: the traceback of a refusal would keep what was inflated.
    with BytesIO() as out:
        # As much as it promises at once: bodies that are half inflated when there is no more room help nobody. The end
        # is only seen by asking for one piece more.
        await held.take(len(body) + max(STEP_BYTES, promised + PIECE_BYTES))
        ended = _step(pieces, out, limit, STEP_BYTES)
        while not ended:
            room = held.size - len(body) - out.tell()
            if room < PIECE_BYTES:
                room = STEP_BYTES
                await held.take(len(body) + out.tell() + room)
            ended = await asyncio.to_thread(_step, pieces, out, limit, min(room, STEP_BYTES))
        inflated = out.getvalue()
    held.settle(len(inflated))
    return inflated


def _step(pieces: Iterator[bytes], out: BytesIO, limit: int, most: int) -> bool:
    """At most so many bytes more onto `out`, at least a piece; True at the end of the body."""
    spent = 0
    for piece in pieces:
        out.write(piece)
        if out.tell() > limit:
            raise TooLarge
        spent += max(len(piece), FED_BYTES)  # reading costs too where nothing comes out
        if spent > most - PIECE_BYTES:
            return False
    return True
