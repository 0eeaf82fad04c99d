"""Content-Encoding undone piece by piece, so that a small body that would swell to gigabytes costs nothing.

gzip (several members too), deflate (with and without zlib header) and, where a module for it is installed, zstd.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hosts_mcp.otlp.transport import Undecodable

PIECE_BYTES = 1024 * 1024
"""No step yields more than this."""
_WINDOW_LOG = 23
"""zstd windows up to 8 MiB, what RFC 8878 asks every decoder to support; a larger one is memory for the asking."""


class _Stream(Protocol):
    """One compressed stream, as in `bz2`, `lzma` and `compression.zstd`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Inflater:
    """Fed with the chunks of a body; yields pieces of at most about PIECE_BYTES. Raises Undecodable."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._open = _STREAMS[encoding]
        self._stream: _Stream | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        try:
            yield from self._pieces(chunk)
        except (zlib.error, *_zstd_errors) as error:
            raise Undecodable(f"The body is not valid {self._encoding}: {error}.") from None

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._stream is None:
                self._stream = self._open(chunk)
            stream = self._stream
            yield stream.decompress(chunk, PIECE_BYTES)
            while not stream.eof and not stream.needs_input:
                yield stream.decompress(b"", PIECE_BYTES)
            if not stream.eof:
                return
            chunk = stream.unused_data
            self._stream = _Padding() if self._encoding == "deflate" else None

    def close(self) -> None:
        """At the end of the body. Raises Undecodable when it was cut off."""
        if self._stream is not None and not self._stream.eof:
            raise Undecodable(f"The {self._encoding} body ends too early: it was cut off on its way.")


class _Zlib:
    """`zlib.decompressobj` with the manners of the newer modules."""

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
