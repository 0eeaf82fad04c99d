"""What the text of an error says about its kind: one table, first match wins."""

from __future__ import annotations

from collections.abc import Iterable

from hosts_mcp.diagnosis.words import SymptomClass

CLASSES: tuple[tuple[SymptomClass, tuple[str, ...]], ...] = (
    ("killed", ("oomkilled",)),
    (
        "err_mem",
        (
            "memoryerror", "out of memory", "cannot allocate memory", "enomem", "bad_alloc", "outofmemoryerror",
        ),
    ),
    (
        "killed",
        (
            "sigkill", "signal 9", "exit code 137", "exit status 137", "exitcode 137", "exit code: 137",
            "workerlosterror", "worker exited prematurely",
        ),
    ),
    (
        "err_space",
        (
            "no space left", "enospc", "disk full", "disk is full", "could not extend file", "quota exceeded",
        ),
    ),
    ("err_fd", ("too many open files", "emfile", "enfile", "can't start new thread")),
    ("err_timeout", ("timeout", "timed out", "deadline exceeded", "canceling statement")),
    (
        "err_conn",
        (
            "refused", "reset", "broken pipe", "name resolution", "name or service not known", "no route to host",
            "unavailable", "getaddrinfo",
        ),
    ),
)  # fmt: skip
EXIT_ATTRIBUTES = ("process.exit.code", "exit.code", "exit_code", "k8s.container.exit_code")
KILLED_EXIT = "137"


def classify(texts: Iterable[str]) -> tuple[SymptomClass, str | None]:
    """Texts of one failure (type, message, status, attribute values) -> its class and the words that decided it."""
    joined = "\n".join(texts).lower()
    for kind, needles in CLASSES:
        for needle in needles:
            if needle in joined:
                return kind, needle
    return "err_app", None


def paths_in(text: str) -> list[str]:
    """Absolute paths in an error text, longest first."""
    words = (word.strip("'\"`:,;()[]{}<>") for word in text.split())
    return sorted((w for w in words if w.startswith("/") and len(w) > 1), key=len, reverse=True)
