"""How slowly a body may come before its sender is cut off: nobody holds room for ever."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """A body must be whole after `seconds`, and after `grace_seconds` have come at `bytes_per_second` ever since.

    Only time that is spent waiting for the sender counts.
    """

    seconds: float
    bytes_per_second: int
    grace_seconds: float = 10.0

    def patience_seconds(self, received: int, waited_seconds: float) -> float:
        """How long to wait for the next bytes of a body of which so many have come."""
        earned = self.grace_seconds + received / self.bytes_per_second
        return min(self.seconds, earned) - waited_seconds
