"""The one way a TCP socket comes to listen."""

from __future__ import annotations

import socket

from hosts_mcp.settings import Address

BACKLOG = 1024


def listening(address: Address) -> socket.socket:
    """A socket that listens; port 0 is any free one. Raises OSError, which names the address."""
    try:
        family, *_, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Named TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms for an acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(BACKLOG)  # at once: two sockets may be bound to one port as long as neither listens
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OSError(error.errno, f"{address} cannot be bound: {error.strerror}") from None
    listener.setblocking(False)
    return listener
