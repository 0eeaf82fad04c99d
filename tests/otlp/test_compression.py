"""Content-Encoding as senders really write it: members, frames, padding, cuts, damage, bombs."""

import asyncio
import contextlib
import gzip
import importlib
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts_mcp.otlp import compression, inflation
from hosts_mcp.otlp.admission import Admission
from hosts_mcp.otlp.compression import TooLarge, UnsupportedEncoding, decompressed, encodings, promised_bytes
from hosts_mcp.otlp.transport import Undecodable

zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

MIB = 1 << 20
SKIPPED = struct.pack("<II", 0x184D2A50, 4) + b"skip"


@pytest.fixture(autouse=True, scope="module", params=["isal", "zlib"])
def inflater(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything here holds with ISA-L and, on processors it does not know, with zlib."""
    module = pytest.importorskip("isal.isal_zlib") if request.param == "isal" else zlib
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "decompressobj", module.decompressobj)
        yield


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def inflate(body: bytes, encoding: str, limit: int = 16 * MIB) -> bytes:
    """Through the real way in; what it held is checked to be the body's size."""

    async def run() -> bytes:
        admission = Admission(64 * MIB)
        async with admission.hold() as held:
            await held.take(len(body))
            inflated = await inflation.inflate(body, encoding, limit, held)
            assert admission.in_flight == len(inflated)
        assert admission.in_flight == 0
        return inflated

    return asyncio.run(run())


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZip ", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("zstd", zstd.compress),
    ("identity", bytes),
    ("", bytes),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
@pytest.mark.parametrize("size", [0, 1, 65_536, 3 * MIB + 7])
def test_every_encoding_comes_out_whole(encoding: str, pack: Callable[[bytes], bytes], size: int) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert inflate(pack(body), encoding) == body


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.sampled_from(["gzip", "zstd"]))
def test_members_and_frames_that_follow_each_other_are_one_body(parts: list[bytes], encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zstd.compress
    assert b"".join(decompressed(b"".join(map(pack, parts)), encoding)) == b"".join(parts)


def test_members_of_every_size_and_padding_come_out_whole() -> None:
    parts = [b"", b"a" * 300_000, bytes(range(256)) * 4_000, b"z"]
    body = b"".join(gzip.compress(part, 0) for part in parts)
    assert inflate(body, "gzip") == b"".join(parts)
    assert inflate(body + b"\0" * 512, "gzip") == b"".join(parts)
    frames = b"".join(zstd.compress(part) for part in parts)
    assert inflate(SKIPPED + frames + SKIPPED, "zstd") == b"".join(parts)


@pytest.mark.parametrize(("encoding", "pack"), PACKERS[:6])
@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_a_cut_body_is_never_taken_for_a_whole_one(encoding: str, pack: Callable[[bytes], bytes], size: int) -> None:
    packed = pack(bytes(range(250)) * (size // 250))
    for cut in {1, 2, 4, 8, 9, len(packed) // 2, len(packed) - 1, len(packed)}:
        if 0 < cut <= len(packed):
            with pytest.raises(Undecodable):
                inflate(packed[:-cut], encoding)


@pytest.mark.parametrize(("encoding", "pack"), PACKERS[:6])
@pytest.mark.parametrize("rest", [b"x", b"\0x", b"\x1f", b"garbage" * 99])
def test_bytes_after_the_end_are_refused_and_never_dropped(
    encoding: str, pack: Callable[[bytes], bytes], rest: bytes
) -> None:
    with pytest.raises(Undecodable):
        inflate(pack(b"a body") + rest, encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(garbage=st.binary(max_size=200))
def test_garbage_is_undecodable_or_inflates_and_raises_nothing_else(encoding: str, garbage: bytes) -> None:
    with contextlib.suppress(Undecodable):
        assert sum(map(len, decompressed(garbage, encoding))) < MIB


def test_damage_is_found_by_the_checksum() -> None:
    packed = bytearray(gzip.compress(b"x" * 1000))
    packed[-6] ^= 1
    with pytest.raises(Undecodable, match="damaged"):
        inflate(bytes(packed), "gzip")


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
@pytest.mark.parametrize("limit", [1000, 2 * MIB])
def test_the_limit_is_exact(encoding: str, pack: Callable[[bytes], bytes], limit: int) -> None:
    packed = pack(b"x" * limit)
    assert len(inflate(packed, encoding, limit)) == limit
    with pytest.raises(TooLarge):
        inflate(packed, encoding, limit - 1)


@given(body=st.binary(max_size=40))
def test_what_a_body_promises_is_read_from_any_bytes(body: bytes) -> None:
    for encoding, pack in PACKERS:
        assert promised_bytes(body, encoding) <= 1032 * len(body) or encoding == "zstd"
        promised = promised_bytes(pack(body), encoding)
        assert promised == (len(body) if pack in (gzip.compress, zstd.compress) and encoding != "GZip " else 0)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_empty_members_have_a_limit_of_their_own(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Undecodable, match="members"):
        inflate(pack(b"") * (compression.MOST_MEMBERS + 1), encoding)


def test_a_frame_that_wants_a_huge_window_is_refused_before_it_gets_one() -> None:
    option = zstd.CompressionParameter
    packed = zstd.compress(b"x" * 200 * MIB, options={option.compression_level: 1, option.window_log: 27})
    with pytest.raises(Undecodable, match="memory"):
        inflate(packed, "zstd", 256 * MIB)


@pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, gzip", "lz4"])
def test_an_unknown_encoding_is_told_apart_from_a_damaged_body(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        inflate(b"", encoding)


def test_without_the_module_zstd_is_not_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "zstd" in encodings()
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    compression.zstd_module.cache_clear()
    try:
        assert encodings() == "gzip, deflate"
        with pytest.raises(UnsupportedEncoding):
            inflate(zstd.compress(b""), "zstd")
    finally:
        monkeypatch.undo()
        compression.zstd_module.cache_clear()


def inflating_threads(packed: bytes, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    threads: set[str] = set()

    def watched(body: bytes, encoding: str) -> Iterator[bytes]:
        for piece in decompressed(body, encoding):
            threads.add(threading.current_thread().name)
            yield piece

    monkeypatch.setattr(inflation, "decompressed", watched)
    inflate(packed, "gzip", 64 * MIB)
    return threads


def test_a_large_body_is_inflated_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inflating_threads(gzip.compress(b"x" * 1000), monkeypatch) == {threading.main_thread().name}
    names = inflating_threads(gzip.compress(b"x" * 60 * MIB), monkeypatch)
    assert names - {threading.main_thread().name}
    # A body that gives nothing but costs reading: empty stored blocks.
    idle = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\0\0\0\xff\xff" * MIB + b"\1\0\0\xff\xff" + b"\0" * 8
    assert inflating_threads(idle, monkeypatch) - {threading.main_thread().name}
