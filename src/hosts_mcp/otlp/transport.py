"""What a transport hands over and gets back; the only thing that gRPC and HTTP know about the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Signal(StrEnum):
    METRICS = "metrics"
    TRACES = "traces"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Request:
    """One export request, inflated but not decoded."""

    signal: Signal
    body: bytes
    encoding: Literal["protobuf", "json"]
    peer: str
    """The sender's address without its port: '127.0.0.1', '::1'."""
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An acknowledgement, given only after the commit. `rejected` items were refused, with `message` saying why."""

    rejected: int = 0
    message: str = ""


class Undecodable(Exception):
    """The body is not OTLP: HTTP 400, gRPC INVALID_ARGUMENT. Never retried by a client."""


class Busy(Exception):
    """Not now: HTTP 503 with Retry-After, gRPC UNAVAILABLE with RetryInfo. The client keeps its data and retries."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


Accept = Callable[[Request], Awaitable[Reply]]
"""Raises Undecodable or Busy; anything else is a defect, which a transport answers as Busy (never 500/UNKNOWN)."""
