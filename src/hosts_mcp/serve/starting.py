"""Find, start or stop the server of a database; of several starters at once only one starts one.

Standard library only: this runs in the bridge.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hosts_mcp import __version__
from hosts_mcp.errors import ConfigurationError, StoreUnusable
from hosts_mcp.serve import presence

START_SECONDS = 30.0
"""A cold start takes one or two; a database to migrate or a loaded machine needs longer."""
_LOOK_SECONDS = 0.02
_LOG_BYTES = 1_000_000


def find_or_start(db: Path, serve_flags: Sequence[str]) -> str:
    """URL of the server of `db`. Raises StoreUnusable or ConfigurationError with the words of a server that failed."""
    if found := presence.find(db):
        return _named(found[0])
    log = presence.beside(db, "log")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with _only_starter(log):
            return _named(_start(db, serve_flags, log))
    except OSError as error:
        raise StoreUnusable(f"{log} cannot be written ({error.strerror}). Give another place by --db.") from None


def _start(db: Path, serve_flags: Sequence[str], log: Path) -> presence.Presence:
    import subprocess  # only a start needs it

    command = [sys.executable, "-P", "-m", "hosts_mcp.cli", "serve", *serve_flags]
    child: subprocess.Popen[bytes] | None = None
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if found := presence.find(db):
            return found[0]
        if child is None and not lock_is_held(db):
            with log.open("ab") as lines:
                words_before = lines.tell()
                child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, cwd=log.parent,
                    start_new_session=True,
                )  # fmt: skip
        elif child is not None and child.poll() is not None:
            if not lock_is_held(db):
                raise ConfigurationError(f"No server could be started. {_last_words(log, words_before)}")
            child = None  # another server was quicker, or one that is stopping still holds the file
        time.sleep(_LOOK_SECONDS)
    raise StoreUnusable(f"The server of {db} did not become ready within {START_SECONDS:.0f} s; see {log}.")


def lock_is_held(db: Path) -> bool:
    """Whether a process holds the database, ready or not."""
    try:
        with presence.beside(db, "lock").open("rb") as file:
            return not _locked(file.fileno(), wait=False)
    except OSError:
        return False


@contextlib.contextmanager
def _only_starter(log: Path) -> Iterator[None]:
    """One starter at a time; the log file serves as the lock, which ends with the process that holds it."""
    with log.open("ab") as file:
        _locked(file.fileno(), wait=True)
        if file.tell() > _LOG_BYTES:
            file.truncate(0)
        yield


def _locked(descriptor: int, *, wait: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _last_words(log: Path, since: int) -> str:
    with log.open("rb") as file:
        file.seek(since)
        words = file.read(4_000).decode("utf-8", "replace").strip().splitlines()
    return words[-1] if words else f"It left no word in {log}."


def _named(found: presence.Presence) -> str:
    if found.version != __version__:
        sys.stderr.write(
            f"hosts-mcp: the server is version {found.version}, this is {__version__}; end it by hosts-mcp stop.\n"
        )
    return found.url


def stop(db: Path, patience_seconds: float = 5.0) -> bool:
    """End the server of `db` and wait until it has let go of the file; False when none was running."""
    import signal

    found = presence.find(db)
    if found is None:
        return False
    os.kill(int(found[1]["pid"]), signal.SIGTERM)
    until = time.monotonic() + patience_seconds
    while lock_is_held(db):
        if time.monotonic() > until:
            raise StoreUnusable(f"The server (pid {found[0].pid}) still runs {patience_seconds:.0f} s after SIGTERM.")
        time.sleep(_LOOK_SECONDS)
    return True
