"""Decompressing request bodies piece by piece: a bomb is stopped long before it is inflated."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hosts_mcp.otlp.transport import Undecodable

try:
    from isal.isal_zlib import decompressobj  # the same in a quarter of the time
except ImportError:  # not on this kind of processor
    from zlib import decompressobj  # type: ignore[assignment]

PIECE_BYTES = 256 * 1024
FED_BYTES = 64 * 1024
"""Compressed bytes given to a decoder at a time: it copies what it leaves over, at every piece and every member."""
MOST_MEMBERS = 1024
"""gzip members or zstd frames in one body; empty ones cost time and never reach the limit of bytes."""
_DEFLATE_RATIO = 1032
"""No deflate stream inflates to more times its size (zlib's technical notes)."""
_ZSTD_WINDOW_LOG = 25
"""32 MiB, the largest window of the encoder that collectors use at its best level; RFC 8878 asks for 8 MiB."""


class TooLarge(Exception):
    """The body is larger than the limit: HTTP 413, gRPC RESOURCE_EXHAUSTED."""


class UnsupportedEncoding(Exception):
    """A Content-Encoding that is not understood: HTTP 415."""


class _Decoder(Protocol):
    """One member, frame or stream, as zstd's decompressor has it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib's decompressor with the interface of zstd's: it keeps what it could not yet use."""

    def __init__(self, window: int) -> None:
        self._inner = decompressobj(window)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # A full piece may have more behind it although every byte of input is used.
        self.needs_input = len(piece) < max_length and not self._inner.unconsumed_tail
        return piece


def decompressed(body: bytes, encoding: str) -> Iterator[bytes]:
    """`body` without its Content-Encoding, in pieces of at most PIECE_BYTES, some of them empty.

    gzip members and zstd frames may follow each other; after a gzip member zeros may, as some writers pad. Raises
    UnsupportedEncoding at once, and Undecodable from the iterator: damage, an end too early, bytes after the end.
    """
    if encoding in ("gzip", "x-gzip"):
        return _members(body, lambda: _Zlib(31), MOST_MEMBERS, padded=True)
    if encoding == "deflate":
        # Some senders mean the bare format: no zlib header in front. A bare stream never begins like one.
        bare = not (len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] * 256 + body[1]) % 31 == 0)
        return _members(body, lambda: _Zlib(-15 if bare else 15), 1)
    if encoding == "zstd" and (zstd := zstd_module()) is not None:
        return _members(body, functools.partial(_zstd_decoder, zstd), MOST_MEMBERS)
    raise UnsupportedEncoding(encoding)


def promised_bytes(body: bytes, encoding: str) -> int:
    """What the body says it inflates to; 0 where it does not say. Only a promise: of its last member, modulo 4 GiB."""
    if encoding in ("gzip", "x-gzip"):
        return min(int.from_bytes(body[-4:], "little"), _DEFLATE_RATIO * len(body))
    if encoding == "zstd" and (zstd := zstd_module()) is not None:
        try:
            return zstd.get_frame_info(body).decompressed_size or 0
        except zstd.ZstdError:
            return 0
    return 0


def encodings() -> str:
    """What `decompressed` understands here, as Accept-Encoding lists it."""
    return "gzip, deflate" + (", zstd" if zstd_module() is not None else "")


def _members(body: bytes, new: Callable[[], _Decoder], most: int, *, padded: bool = False) -> Iterator[bytes]:
    at = 0
    for _ in range(most):
        decoder = new()
        while not decoder.eof:
            fed = body[at : at + FED_BYTES] if decoder.needs_input else b""
            if decoder.needs_input and not fed:
                raise Undecodable("The compressed body is cut off.")
            at += len(fed)
            yield _decompress(decoder, fed)
        at -= len(decoder.unused_data)
        if at == len(body) or (padded and body[at] == 0 and not body[at:].strip(b"\0")):
            return
    if most == 1:
        raise Undecodable("The compressed body goes on after its end.")
    raise Undecodable(f"The compressed body has more than {most} members.")


def _decompress(decoder: _Decoder, fed: bytes) -> bytes:
    try:
        return decoder.decompress(fed, PIECE_BYTES)
    except Exception as error:  # zlib.error, ZstdError: each module has its own
        raise Undecodable(f"The compressed body is damaged: {error}.") from None


@functools.cache
def zstd_module() -> Any:
    """Python's own module from 3.14 on, the same one for older Pythons, or None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    return None


def _zstd_decoder(zstd: Any) -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})
