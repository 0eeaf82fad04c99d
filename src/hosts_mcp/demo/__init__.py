"""The overnight story: one box over several nights, sent as a real collector and SDKs would send it."""

from __future__ import annotations

from typing import Any


def run(**given: Any) -> None:
    """The command `hosts-mcp demo`; see `command.run`. Imported only now: who wants the box alone needs no server."""
    from hosts_mcp.demo import command

    command.run(**given)
