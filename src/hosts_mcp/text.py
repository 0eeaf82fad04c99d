"""Text of others made safe to show: telemetry names and values are data, never instructions."""

from __future__ import annotations

import math
import re
import unicodedata

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_LONGEST_READ = 4096


def clean(value: object, limit: int = 120) -> str:
    """One printable line of at most `limit` characters: no control, format or bidi characters, no escapes."""
    text = str(value)[:_LONGEST_READ]
    if not text.isprintable():
        text = _ANSI.sub("", text)
        text = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quote(value: object, limit: int = 120) -> str:
    """`clean` between backquotes, so that a reader sees where somebody else's text begins and ends."""
    return "`" + clean(value, limit).replace("`", "'") + "`"


_BYTE_STEPS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def human_bytes(value: float) -> str:
    """1610612736 -> '1.5 GiB' (IEC steps, three significant digits)."""
    size = float(value)
    for unit in _BYTE_STEPS:
        if abs(size) < 1024 or unit == _BYTE_STEPS[-1]:
            return f"{significant(size)} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def human_seconds(value: float) -> str:
    """0.0021 -> '2.1 ms', 75 -> '75 s', 4000 -> '1 h 7 min'."""
    if value < 0:
        return "-" + human_seconds(-value)
    if value < 1e-3:
        return f"{significant(value * 1e6)} µs"
    if value < 1:
        return f"{significant(value * 1e3)} ms"
    if value < 120:
        return f"{significant(value)} s"
    minutes = round(value / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def human_ratio(value: float) -> str:
    """0.934 -> '93 %'; below ten per cent one decimal: 0.042 -> '4.2 %'."""
    percent = value * 100
    return f"{percent:.1f} %" if 0 < abs(percent) < 9.95 else f"{percent:.0f} %"


def significant(value: float, digits: int = 3) -> str:
    """A number in `digits` significant digits, without exponent or trailing zeros."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")
