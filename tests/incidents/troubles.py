"""Trouble that can be made on a box, safely: each is a context manager that makes it and clears it away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

Trouble = Callable[[Path], "contextlib.AbstractContextManager[None]"]

BURN = "while True: sum(range(50_000))"
HOGS_PER_CPU = 8
QUEUE, BLOCK_BYTES, FILE_BYTES = 256, 256 << 10, 1 << 30
WRITE = f"""
import mmap, os, random, sys, threading
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | getattr(os, 'O_DIRECT', 0))
os.truncate(file, {FILE_BYTES})
block = mmap.mmap(-1, {BLOCK_BYTES})  # direct I/O wants aligned memory
block.write(os.urandom({BLOCK_BYTES}))
def write():
    while True:
        os.pwrite(file, block, random.randrange({FILE_BYTES} // {BLOCK_BYTES}) * {BLOCK_BYTES})
for _ in range({QUEUE}):
    threading.Thread(target=write).start()
"""
MOST_MEMORY_USED = 0.85
"""Memory is filled so far and no further: the box must stay usable."""
TAKE = f"""
import time, psutil
kept = []
while True:
    memory = psutil.virtual_memory()
    if 1 - memory.available / memory.total < {MOST_MEMORY_USED}:
        kept.append(bytes([1]) * (64 << 20))
    else:
        time.sleep(.1)
"""
PORT = "55432"
FILL = "CREATE TABLE orders AS SELECT n, md5(n::text) || repeat('x', 200) AS note FROM generate_series(1, 2000000) AS n"
MAINTENANCE = "UPDATE orders SET note = note || 'y';\nVACUUM FULL orders;\nCHECKPOINT;\n"


@contextlib.contextmanager
def running(*commands: list[str]) -> Iterator[None]:
    """Processes of a session of their own, gone with their children at the end."""
    started = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for command in commands
    ]
    try:
        yield
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def script(room: Path, name: str, text: str) -> str:
    """A program that the process scraper sees under a name of its own."""
    path = room / name
    path.write_text(text)
    return str(path)


@contextlib.contextmanager
def cpu_neighbour(room: Path) -> Iterator[None]:
    hog = [sys.executable, script(room, "crunch.py", BURN)]
    with running(*[hog] * (HOGS_PER_CPU * (psutil.cpu_count() or 1))):
        yield


@contextlib.contextmanager
def busy(room: Path) -> Iterator[None]:
    """All cores are in use, by programs that give way to everybody."""
    hog = ["nice", "-n", "19", sys.executable, script(room, "crunch.py", BURN)]
    with running(*[hog] * (psutil.cpu_count() or 1)):
        yield


@contextlib.contextmanager
def disk_neighbour(room: Path) -> Iterator[None]:
    writer = script(room, "backup.py", WRITE)
    try:
        with running([sys.executable, writer, str(room / "backup.0")]):
            yield
    finally:
        (room / "backup.0").unlink(missing_ok=True)


@contextlib.contextmanager
def mem_neighbour(room: Path) -> Iterator[None]:
    with running([sys.executable, script(room, "compact.py", TAKE)]):
        yield


class NoPostgres(Exception):
    """There is none on this machine."""


def postgres_bin() -> Path:
    """Raises NoPostgres."""
    found = shutil.which("initdb")
    if found is None:
        raise NoPostgres("Postgres (initdb, postgres, psql) is not on this machine.")
    return Path(found).resolve().parent


@contextlib.contextmanager
def pg_vacuum(room: Path) -> Iterator[None]:
    """A real Postgres that rewrites a big table over and over; filled before the trouble begins."""
    bin_, data = postgres_bin(), room / "pg"
    who: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    quiet: dict[str, Any] = {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | who
    data.mkdir()
    if who:  # Postgres refuses to be root
        room.chmod(0o755)
        shutil.chown(data, "postgres")
    client = [bin_ / "psql", "-q", "-h", data, "-p", PORT, "-d", "postgres"]
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={data}", "-c", "max_wal_size=256MB"]
    subprocess.run([bin_ / "initdb", "-D", data, "-A", "trust", "-N"], check=True, **quiet)
    server = subprocess.Popen([bin_ / "postgres", "-D", data, "-p", PORT, *options], **quiet)
    try:
        while subprocess.run([*client, "-c", "SELECT 1"], check=False, **quiet).returncode != 0:
            time.sleep(0.2)
        subprocess.run([*client, "-c", FILL], check=True, **quiet)
        maintenance = room / "vacuum.sql"
        maintenance.write_text(MAINTENANCE * 100)
        maintenance.chmod(0o644)
        job = subprocess.Popen([*client, "-f", maintenance], **quiet)
        try:
            yield
        finally:
            job.kill()
            job.wait()
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait()
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def nothing(_room: Path) -> Iterator[None]:
    yield
