"""The sockets of MCP, REST and OTLP over HTTP."""

import asyncio
import socket

from hosts_mcp import sockets
from hosts_mcp.settings import Address

ANY_PORT = Address("127.0.0.1", 0)


def test_an_answer_is_sent_at_once_and_not_kept_for_an_acknowledgement() -> None:
    """asyncio turns Nagle's algorithm off only for sockets that say they are TCP."""

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with sockets.listening(ANY_PORT) as listener:
            server = await asyncio.start_server(met, sock=listener)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            async with server:
                return await found

    assert asyncio.run(accepted())
