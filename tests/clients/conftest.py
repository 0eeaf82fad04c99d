"""Real MCP clients against a real server that knows one host and one trace."""

from serve.conftest import server, start

__all__ = ["server", "start"]
