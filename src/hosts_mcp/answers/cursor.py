"""The cursor of a list: opaque text that alone says how to go on (arguments, as-of time, key of the last row)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

from hosts_mcp.errors import BadCursor
from hosts_mcp.text import quote


@dataclass(frozen=True, slots=True)
class Cursor:
    as_of_ns: int
    arguments: tuple[str, ...]
    """The filters and the order of the list it belongs to."""
    after: tuple[str | float | int | None, ...]
    """Sort key of the last row shown."""

    def __str__(self) -> str:
        packed = json.dumps([1, self.as_of_ns, self.arguments, self.after], separators=(",", ":"), ensure_ascii=False)
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    def before(self, key: Sequence[object]) -> bool:
        """Whether a row with this sort key comes after the last one shown. Raises BadCursor when it cannot be told."""
        try:
            return tuple(key) > self.after
        except TypeError:
            raise BadCursor("The cursor was changed on its way. Leave it out to start from the top.") from None

    @classmethod
    def parse(cls, text: str, arguments: Sequence[str], unset: Sequence[str]) -> Cursor:
        """The cursor in `text`. Arguments given beside it must be those it was made with, or left out (`unset`).

        Raises BadCursor.
        """
        try:
            packed = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            version, as_of_ns, own, after = packed
            cursor = cls(int(as_of_ns), tuple(map(str, own)), tuple(after))
        except (binascii.Error, ValueError, TypeError):
            version, cursor = 0, cls(0, (), ())
        if version != 1 or len(cursor.arguments) != len(arguments):
            raise BadCursor(
                f"{quote(text, 40)} is no cursor of this list. Pass next_cursor of the previous answer unchanged, "
                "or leave cursor out to start from the top."
            )
        for given, made_with, default in zip(arguments, cursor.arguments, unset, strict=True):
            if given not in (made_with, default):
                raise BadCursor(
                    f"The cursor belongs to a list made with {quote(made_with, 40)} where {quote(given, 40)} is given "
                    "now. Leave the other arguments out, or leave cursor out to start a new list."
                )
        return cursor
