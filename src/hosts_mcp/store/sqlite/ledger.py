"""Ids handed out by the writer, remembered in memory and forgotten again when their transaction is undone."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


class Ledger:
    """Journals what was put into caches since `begin` and since the last `mark`."""

    def __init__(self) -> None:
        self._entries: list[tuple[dict[Any, Any], Hashable]] = []
        self._mark = 0

    def remember(self, cache: dict[Any, Any], key: Hashable, value: Any) -> None:
        cache[key] = value
        self._entries.append((cache, key))

    def mark(self) -> None:
        self._mark = len(self._entries)

    def undo(self) -> None:
        """Forget what came since `mark`."""
        for cache, key in self._entries[self._mark :]:
            cache.pop(key, None)
        del self._entries[self._mark :]

    def void(self) -> None:
        """Forget everything that was not kept."""
        self._mark = 0
        self.undo()

    def keep(self) -> None:
        """The transaction is committed: its ids are real."""
        self._entries.clear()
        self._mark = 0
