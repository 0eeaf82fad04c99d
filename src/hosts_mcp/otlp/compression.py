"""Inflating request bodies piece by piece, never beyond a limit: a bomb costs no more than an honest request."""

from __future__ import annotations

import importlib
import zlib
from typing import Any

from hosts_mcp.otlp.transport import Undecodable

_PIECE = 1024 * 1024
_FED = 64 * 1024
"""Compressed bytes given to zlib at a time: it copies what it leaves over, at every piece and every member."""
MOST_MEMBERS = 1024
"""gzip members in one body; empty ones cost time and never reach the limit of bytes."""


class TooLarge(Exception):
    """The body is larger than the limit: HTTP 413, gRPC RESOURCE_EXHAUSTED."""


class UnsupportedEncoding(Exception):
    """A Content-Encoding that is not understood: HTTP 415."""


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` without its Content-Encoding. Raises TooLarge, UnsupportedEncoding, Undecodable."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        if len(body) > limit:
            raise TooLarge
        return body
    if encoding in ("gzip", "x-gzip"):
        return _members(body, limit, 31)
    if encoding == "deflate":
        # Some senders mean the bare format: no zlib header in front.
        raw = not (len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] * 256 + body[1]) % 31 == 0)
        return _members(body, limit, -15 if raw else 15)
    if encoding == "zstd" and (zstd := _zstandard()) is not None:
        return _zstd(zstd, body, limit)
    raise UnsupportedEncoding(encoding)


def encodings() -> str:
    return "gzip, deflate" + (", zstd" if _zstandard() is not None else "")


def _members(body: bytes, limit: int, window: int) -> bytes:
    out = bytearray()
    at, end = 0, len(body.rstrip(b"\0"))  # some writers pad with zeros
    for _ in range(MOST_MEMBERS):
        at = _member(body, at, out, limit, zlib.decompressobj(window))
        if at >= end:
            return bytes(out)
    raise Undecodable(f"The compressed body has more than {MOST_MEMBERS} members.")


def _member(body: bytes, at: int, out: bytearray, limit: int, inflater: Any) -> int:
    """Inflates the member that starts at `at` onto `out`; where the next one starts."""
    rest = b""
    while not inflater.eof:
        if not rest:
            rest = body[at : at + _FED]
            at += len(rest)
        ended = not rest
        try:
            piece = inflater.decompress(rest, _PIECE)
        except zlib.error as error:
            raise Undecodable(f"The compressed body is damaged: {error}.") from None
        rest = inflater.unconsumed_tail
        out += piece
        if len(out) > limit:
            raise TooLarge
        if ended and not piece and not inflater.eof:
            raise Undecodable("The compressed body is cut off.")
    return at - len(inflater.unused_data)


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        return None


def _zstd(zstandard: Any, body: bytes, limit: int) -> bytes:
    out = bytearray()
    try:
        with zstandard.ZstdDecompressor().stream_reader(body) as reader:
            while piece := reader.read(_PIECE):
                out += piece
                if len(out) > limit:
                    raise TooLarge
    except zstandard.ZstdError as error:
        raise Undecodable(f"The compressed body is damaged: {error}.") from None
    return bytes(out)
