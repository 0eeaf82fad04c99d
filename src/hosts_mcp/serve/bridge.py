"""`hosts-mcp mcp`: carries JSON-RPC lines between stdin/stdout and the server of a database, over HTTP.

An assistant starts one of these per session, so it is small and quick: standard library only. It finds the server
(see `presence`) or starts one, and starts one again when it is lost. Nothing but JSON-RPC goes to stdout.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from hosts_mcp.errors import HostsMcpError
from hosts_mcp.serve import presence

LAST_WORDS_SECONDS = 1.5
"""After stdin has ended, requests in flight may still answer for so long."""
PRESENCE_SECONDS = 60.0
"""How often a quiet bridge shows itself, so that its server does not take itself for idle."""

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PARSE_ERROR, _INVALID_REQUEST, _SERVER_ERROR = -32700, -32600, -32000
_LOST = (OSError, http.client.HTTPException)

Message = dict[str, Any]


class Bridge:
    """`find` returns the URL of a live server, starting one when there is none; raises HostsMcpError."""

    def __init__(self, find: Callable[[], str], token: Callable[[], str | None], out: BinaryIO) -> None:
        self._find = find
        self._token = token
        self._out = out
        self._writing = threading.Lock()
        self._finding = threading.Lock()
        self._url: str | None = None
        self._version: str | None = None
        self._open: dict[str, http.client.HTTPConnection] = {}
        self._cancelled: set[str] = set()
        self._calls: set[threading.Thread] = set()

    def run(self, lines: BinaryIO) -> None:
        """Carry messages until `lines` ends, then wait a moment for what is in flight."""
        threading.Thread(target=self._show_presence, daemon=True).start()
        for line in iter(lines.readline, b""):
            if line.strip():
                self._take(line)
        until = time.monotonic() + LAST_WORDS_SECONDS
        for call in list(self._calls):
            call.join(max(0.0, until - time.monotonic()))

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return self._fail(None, _PARSE_ERROR, "This line is no JSON.")
        if not isinstance(message, dict):
            return self._fail(None, _INVALID_REQUEST, "A message is one JSON object.")
        if message.get("method") == "notifications/cancelled":
            return self._cancel(message)
        if message.get("method") == "initialize":
            self._version = (message.get("params") or {}).get("protocolVersion")
        if "id" not in message or "method" not in message or message["method"] == "initialize":
            return self._carry(message)  # in order
        call = threading.Thread(target=self._call, args=(message,), daemon=True)
        self._calls.add(call)
        call.start()
        return None

    def _call(self, message: Message) -> None:
        try:
            self._carry(message)
        finally:
            self._calls.discard(threading.current_thread())

    def _carry(self, message: Message) -> None:
        """Post a message and emit what comes back. Every call only reads, so one that got lost is sent once more."""
        key = json.dumps(message.get("id"))
        try:
            for last_attempt in (False, True):
                try:
                    return self._post(message, key)
                except _LOST as error:
                    if key in self._cancelled:
                        return None
                    if last_attempt:
                        raise
                    self._lost(error)
        except HostsMcpError as error:
            self._fail(message.get("id"), _SERVER_ERROR, error.message)
        except _LOST as error:
            self._fail(message.get("id"), _SERVER_ERROR, f"The hosts-mcp server went away ({error!r}). Ask again.")
        finally:
            self._cancelled.discard(key)
        return None

    def _post(self, message: Message, key: str) -> None:
        connection = presence.connect(self._server(), None)
        self._open[key] = connection
        try:
            connection.request("POST", "/mcp", json.dumps(message).encode(), self._headers(message))
            response = connection.getresponse()
            if response.status >= 400:
                self._refused(message, response)
            elif response.headers.get_content_type() == "text/event-stream":
                self._stream(message, response)
            elif body := response.read():
                self._emit(body)
        finally:
            self._open.pop(key, None)
            connection.close()

    def _stream(self, message: Message, response: http.client.HTTPResponse) -> None:
        """Emit each event; a stream that ends before the reply was cut off."""
        replied = "id" not in message
        for data in _events(response):
            self._emit(data)
            replied = replied or _is_reply(data)
        if not replied:
            raise ConnectionError("the stream ended before the reply")

    def _refused(self, message: Message, response: http.client.HTTPResponse) -> None:
        """A JSON-RPC error as it is, but under the id of this request; anything else as a sentence."""
        body = response.read()
        found = _json_object(body)
        if isinstance(found.get("error"), dict) and "id" in message:
            self._emit(json.dumps(found | {"id": message["id"]}).encode())
        else:
            self._fail(message.get("id"), _SERVER_ERROR, f"HTTP {response.status}: {_detail(body, found)}")

    def _headers(self, message: Message) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        meta = params.get("_meta")
        method = message.get("method")
        if isinstance(meta, dict) and isinstance(version := meta.get(_VERSION_KEY), str):  # 2026-07-28 and later
            headers |= {"MCP-Protocol-Version": version, "Mcp-Method": str(method)}
            if isinstance(name := params.get(_NAMED.get(str(method), "")), str):
                headers["Mcp-Name"] = _header_value(name)
        elif isinstance(self._version, str) and method != "initialize":
            headers["MCP-Protocol-Version"] = self._version
        return headers

    def _server(self) -> str:
        with self._finding:
            if self._url is None:
                self._url = self._find()
            return self._url

    def _lost(self, error: Exception) -> None:
        """Look again, unless another call has done so already or the server still lives."""
        _say(f"Lost the server ({error!r}), looking again.")
        with self._finding:
            if self._url is not None and not presence.healthz(self._url):
                self._url = None

    def _cancel(self, message: Message) -> None:
        """Cutting the connection of a request cancels it, in every protocol revision."""
        key = json.dumps((message.get("params") or {}).get("requestId"))
        connection = self._open.get(key)
        if connection is None:
            return
        self._cancelled.add(key)
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _emit(self, data: bytes) -> None:
        """One message, one line. A client that is gone ends the bridge."""
        line = b" ".join(data.split(b"\n")).replace(b"\r", b" ") + b"\n"
        with self._writing:
            try:
                self._out.write(line)
                self._out.flush()
            except OSError:
                os._exit(0)

    def _fail(self, request_id: Any, code: int, text: str) -> None:
        if request_id is None and code == _SERVER_ERROR:
            return _say(text)  # a notification has no reply
        error = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}
        self._emit(json.dumps(error).encode())
        return None

    def _show_presence(self) -> None:
        while True:
            time.sleep(PRESENCE_SECONDS)
            if self._url is not None:
                presence.healthz(self._url)


def run(find: Callable[[], str], token: Callable[[], str | None]) -> None:
    """Bridge stdin and stdout until stdin ends or the client dies. Does not return."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # a stray print must not break the wire
    with contextlib.suppress(KeyboardInterrupt):
        Bridge(find, token, out).run(sys.stdin.buffer)
    with contextlib.suppress(OSError):
        out.flush()
    os._exit(0)  # threads that wait for a stream are not waited for


def _events(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The data of each server-sent event; comments and empty keep-alives are skipped."""
    data: list[bytes] = []
    while line := response.readline():
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            if any(data):
                yield b"\n".join(data)
            data = []


def _is_reply(data: bytes) -> bool:
    found = _json_object(data)
    return "id" in found and ("result" in found or "error" in found)


def _json_object(body: bytes) -> Message:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(body)
        if isinstance(found, dict):
            return found
    return {}


def _detail(body: bytes, found: Message) -> str:
    """The sentence of a problem document, else the beginning of the body."""
    return str(found.get("detail") or body[:200].decode("utf-8", "replace").strip() or "no explanation")


def _header_value(name: str) -> str:
    """As the specification encodes a name that is not plain printable ASCII."""
    if name.isascii() and name.isprintable() and name == name.strip() and not name.startswith("=?base64?"):
        return name
    import base64

    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


def _say(text: str) -> None:
    sys.stderr.write(f"hosts-mcp mcp: {text}\n")
