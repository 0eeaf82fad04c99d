"""The story from a process of its own, so that making it and storing it use a core each.

The child writes frames to its stdout: signal (1 byte, `m` or `t`), length (uint32 LE), time (int64 LE, ns), body. A
frame with signal `.` says that the story has been told; what follows is the live box, as time passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from typing import BinaryIO

from hosts_mcp.demo.story import Options, Outgoing, Story
from hosts_mcp.timerange import NS

LIVE_SECONDS = 10
_HEADER = struct.Struct("<cIq")
_LETTERS = {"metrics": b"m", "traces": b"t"}


def tell(options: Options, now_ns: int, out: BinaryIO) -> None:
    """Write the story up to `now_ns`, then the live box for as long as somebody reads."""
    story = Story(options, now_ns)
    _write(story.past(now_ns), out)
    out.write(_HEADER.pack(b".", 0, now_ns))
    while True:
        out.flush()
        time.sleep(LIVE_SECONDS)
        _write(story.until(time.time_ns(), LIVE_SECONDS * NS), out)


def _write(sent: Iterable[Outgoing], out: BinaryIO) -> None:
    for one in sent:
        out.write(_HEADER.pack(_LETTERS[one.signal], len(one.body), one.time_ns))
        out.write(one.body)


@contextlib.asynccontextmanager
async def told(options: Options, now_ns: int) -> AsyncIterator[AsyncIterator[Outgoing | None]]:
    """The child's requests, None where the story ends and the live box begins. The child ends with the block."""
    words = [sys.executable, "-m", "hosts_mcp.demo.feed", json.dumps(asdict(options)), str(now_ns)]
    child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        yield _read(child.stdout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _read(pipe: asyncio.StreamReader) -> AsyncIterator[Outgoing | None]:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            letter, size, time_ns = _HEADER.unpack(await pipe.readexactly(_HEADER.size))
            if letter == b".":
                yield None
            else:
                yield Outgoing("metrics" if letter == b"m" else "traces", await pipe.readexactly(size), time_ns)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        tell(Options(**json.loads(sys.argv[1])), int(sys.argv[2]), sys.stdout.buffer)
