"""Rows as aligned text, one line each."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> list[str]:
    """Left-aligned columns two blanks apart; None is `-`; a column in which no row has anything is left out."""
    if not rows:
        return []
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    cells = [[header[i] for i in kept], *([row[i] or UNKNOWN for i in kept] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells]
