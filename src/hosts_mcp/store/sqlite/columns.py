"""Columns of numbers as bytes that compress well, lossless bit for bit.

A column is two bytes (form, width) and `width` planes: first the lowest byte of every entry, then the next. Entries are
differences to the one before, zigzag-folded where one of them is negative. What is differenced says the form: whole
numbers, or doubles as whole numbers of hundredths or thousandths where that gives back exactly the same bits (CPU
ticks, milliseconds), else the doubles' bits themselves. Without numpy: the work is done by `array`, slices and `map`.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

_SCALES = (1.0, 100.0, 1000.0)
_BITS = 7
"""The form of doubles that are no whole number of any scale; smaller ones are indices of `_SCALES`."""
_FOLDED = 0x10
_MOST = 2**62
"""Whole numbers below this differ by no more than a word holds."""
_WORD = 2**64


def doubles(little_endian: bytes) -> array[float]:
    """float64 as the file holds them."""
    found = array("d", little_endian)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def pack_doubles(values: array[float]) -> bytes:
    for form, scale in enumerate(_SCALES):
        whole = _whole(values, scale)
        if whole is not None:
            return _pack(form, whole)
    return _pack(_BITS, array("Q", values.tobytes()).tolist())


def unpack_doubles(packed: bytes, at: int, count: int) -> array[float]:
    form, entries = _unpack(packed, at, count)
    if form == _BITS:
        return array("d", array("Q", [entry % _WORD for entry in entries]).tobytes())
    scale = _SCALES[form]
    return array("d", entries if scale == 1.0 else [entry / scale for entry in entries])


def pack_integers(values: Sequence[int]) -> bytes:
    """Integers from 0 up to 2**63 - 1."""
    return _pack(0, values)


def unpack_integers(packed: bytes, at: int, count: int) -> list[int]:
    return _unpack(packed, at, count)[1]


def after(packed: bytes, at: int, count: int) -> int:
    """Where the column behind the one at `at` begins."""
    return at + 2 + packed[at + 1] * count


def _whole(values: array[float], scale: float) -> list[int] | None:
    """The values as whole numbers of 1/scale, None where that would not give back the same bits (fractions, NaN,
    infinities, -0.0, too large)."""
    try:
        if round(values[0] * scale) / scale != values[0]:
            return None
        whole = list(map(round, values if scale == 1.0 else [value * scale for value in values]))
    except (ValueError, OverflowError):
        return None
    if min(whole) <= -_MOST or max(whole) >= _MOST:
        return None
    back = array("d", whole if scale == 1.0 else [number / scale for number in whole])
    return whole if back.tobytes() == values.tobytes() else None


def _pack(form: int, entries: Sequence[int]) -> bytes:
    """Differences of words of bits are taken modulo 2**64 and read as signed."""
    steps = [entries[0], *map(sub, entries[1:], entries)]
    if form == _BITS:
        steps = [(step + 2**63) % _WORD - 2**63 for step in steps]
    if min(steps) < 0:
        form |= _FOLDED
        steps = [step << 1 if step >= 0 else ~(step << 1) for step in steps]
    width = (max(steps).bit_length() + 7) // 8
    whole = _little(array("Q", steps)).tobytes()
    return bytes((form, width)) + b"".join([whole[plane::8] for plane in range(width)])


def _unpack(packed: bytes, at: int, count: int) -> tuple[int, list[int]]:
    form, width = packed[at], packed[at + 1]
    whole = bytearray(8 * count)
    at += 2
    for plane in range(width):
        whole[plane::8] = packed[at : at + count]
        at += count
    steps = _little(array("Q", bytes(whole)))
    if form & _FOLDED:
        return form ^ _FOLDED, list(accumulate([(step >> 1) ^ -(step & 1) for step in steps]))
    return form, list(accumulate(steps))


def _little(words: array[int]) -> array[int]:
    """To or from little-endian, which is what the file holds."""
    if sys.byteorder == "big":
        words.byteswap()
    return words
