"""The sockets of MCP and REST, and of OTLP over HTTP."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from hosts_mcp.otlp.http import _bound
from hosts_mcp.serve.run import listening
from hosts_mcp.settings import Address

ANY_PORT = Address("127.0.0.1", 0)


@contextmanager
def of_questions() -> Iterator[socket.socket]:
    with listening(ANY_PORT) as (listener, _):
        yield listener


@pytest.mark.parametrize("of", [of_questions, lambda: closing(_bound(ANY_PORT))], ids=["questions", "otlp"])
def test_an_answer_is_sent_at_once_and_not_kept_for_an_acknowledgement(of) -> None:  # type: ignore[no-untyped-def]
    """asyncio turns Nagle's algorithm off only for sockets that say they are TCP."""

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with of() as listener:
            server = await asyncio.start_server(met, sock=listener)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            async with server:
                return await found

    assert asyncio.run(accepted())
