"""Waiting for what another process does, in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

PATIENCE_SECONDS = 60.0


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns once it is true. Raises AssertionError when that takes too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


def is_ready(health: str) -> bool:
    """Whether a server answers at this address."""
    try:
        return httpx.get(health).status_code == 200
    except httpx.HTTPError:
        return False
