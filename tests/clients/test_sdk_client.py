"""The SDK's own client over stdio, streamable HTTP and SSE, in every protocol revision we serve."""

from __future__ import annotations

import http.client
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client

from hosts_mcp import __version__
from hosts_mcp.serve.questions import QUESTIONS
from serve.conftest import HOSTS_MCP, TRACE_ID, Running, clean_environment

NONE = "f" * 32
WAYS = [("http", "auto"), ("http", "legacy"), ("stdio", "auto"), ("stdio", "legacy"), ("sse", "legacy")]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_hosts", {}), ("host_status", {"host": "web-1"}), ("host_metrics", {"host": "web-1"}),
    ("was_it_the_box", {"trace_id": TRACE_ID}), ("was_it_the_box", {"service": "reports"}), ("blame_report", {}),
    ("find_traces", {}), ("show_trace", {"trace_id": TRACE_ID}),
    ("query", {}), ("query", {"sql": "select 1 as one"}),
    ("host_metrics", {"host": "web-1", "detail": "full", "range": "24h", "points": 200}),
    ("was_it_the_box", {"trace_id": TRACE_ID, "detail": "full"}),
    ("show_trace", {"trace_id": TRACE_ID, "detail": "full"}),
    ("list_hosts", {"status": "down"}), ("find_traces", {"status": "unfinished"}),
]  # fmt: skip


def client(server: Running, transport: str, mode: Any) -> Client:
    match transport:
        case "http":
            return Client(f"{server.url}/mcp", mode=mode)
        case "sse":
            return Client(sse_client(f"{server.url}/sse"), mode=mode)
    command, *arguments = [*HOSTS_MCP, "mcp", "--db", str(server.db)]
    parameters = StdioServerParameters(command=command, args=arguments, env=clean_environment())
    return Client(stdio_client(parameters), mode=mode)


def talk(server: Running, transport: str, mode: str, about: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        with anyio.fail_after(60):
            async with client(server, transport, mode) as connected:
                await about(connected)

    anyio.run(run)


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


def test_every_tool_answers_in_both_channels_and_keeps_its_schema(server: Running, way: tuple[str, str]) -> None:
    async def about(c: Client) -> None:
        schemas = {tool.name: tool.output_schema for tool in (await c.list_tools()).tools}
        for name, arguments in CALLS:
            result = await c.call_tool(name, arguments)
            assert not result.is_error, result.content
            found = result.structured_content
            assert found is not None
            assert next(iter(found)) == "summary"
            jsonschema.validate(found, schemas[name] or {})
            assert [block.type for block in result.content] == ["text"]
            text = result.content[0].text  # type: ignore[union-attr]
            assert found["summary"] in text
            structured = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
            assert len(text.encode()) + len(structured.encode()) <= 24_000
            if "detail" not in arguments:
                assert max(len(text.encode()), len(structured.encode())) < 8_000

    talk(server, *way, about)


def test_the_server_says_who_it_is_and_which_tool_comes_first(server: Running, way: tuple[str, str]) -> None:
    async def about(c: Client) -> None:
        assert c.server_info.name == "hosts-mcp"
        assert c.server_info.version == __version__
        instructions = c.instructions or ""
        assert len(instructions.encode()) <= 2_048
        assert all(question.tool in instructions for question in QUESTIONS)
        assert c.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[way[1]]

    talk(server, *way, about)


def test_tools_are_titled_sorted_and_truly_read_only(server: Running, way: tuple[str, str]) -> None:
    async def about(c: Client) -> None:
        tools = (await c.list_tools()).tools
        assert [t.name for t in tools] == sorted(q.tool for q in QUESTIONS)
        for tool in tools:
            assert tool.title
            assert tool.annotations is not None
            hints = tool.annotations
            assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint) == (True, False, True)
            assert hints.open_world_hint is False
            assert (tool.output_schema or {})["type"] == "object"
            assert next(iter((tool.output_schema or {})["properties"])) == "summary"
        loaded = {t.name for t in tools if (t.meta or {}).get("anthropic/alwaysLoad")}
        assert loaded == {"list_hosts", "was_it_the_box"}
        listed = [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in tools]
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": listed}}, separators=(",", ":"))
        assert len(line.encode()) <= 24_000

    talk(server, *way, about)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [("host_status", {"host": "nobody"}, "no_such_host: "), ("was_it_the_box", {"trace_id": NONE}, "no_such_trace: "),
     ("host_metrics", {"host": "web-1", "range": "soon"}, "bad_range: "),
     ("list_hosts", {"cursor": "x"}, "bad_cursor: "), ("query", {"sql": "delete from hosts"}, "bad_query: "),
     ("host_status", {"hostname": "web-1"}, "Did you mean host"), ("host_status", {}, "needs host"),
     ("find_traces", {"limit": "lots"}, "whole number from 1 to 500"), ("no_such", {}, "Tools: blame_report")],
)  # fmt: skip
def test_errors_are_sentences_with_a_code(server: Running, tool: str, arguments: dict[str, Any], said: str) -> None:
    async def about(c: Client) -> None:
        result = await c.call_tool(tool, arguments)
        assert result.is_error
        text = result.content[0].text  # type: ignore[union-attr]
        assert said in text
        assert text.split(":")[0].replace("_", "").isalpha()
        assert "Error executing" not in text
        assert "Traceback" not in text

    for way in (("http", "auto"), ("http", "legacy")):
        talk(server, *way, about)


def test_what_a_client_adds_is_ignored_and_said_in_both_channels(server: Running) -> None:
    async def about(c: Client) -> None:
        quiet = await c.call_tool("list_hosts", {"wait_for_previous": True})
        assert not (quiet.structured_content or {}).get("notes")
        said = await c.call_tool("list_hosts", {"verbosity": "high"})
        assert "Ignored `verbosity`" in (said.structured_content or {})["notes"][-1]
        assert "Ignored `verbosity`" in said.content[0].text  # type: ignore[union-attr]

    talk(server, "http", "auto", about)


def test_all_faces_give_the_same_verdict(server: Running) -> None:
    verdicts: list[dict[str, Any]] = [server.get(f"/api/v1/traces/{TRACE_ID}/was-it-the-box").json()]

    async def about(c: Client) -> None:
        found = (await c.call_tool("was_it_the_box", {"trace_id": TRACE_ID})).structured_content
        assert found is not None
        verdicts.append(found)

    for way in WAYS:
        talk(server, *way, about)
    for verdict in verdicts:
        verdict.pop("evaluated_at", None)
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_the_oldest_revision_we_promise_is_spoken(server: Running) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
    accept = {"Accept": "application/json, text/event-stream", "Content_Type": "application/json"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/mcp", json.dumps(message), {k.replace("_", "-"): v for k, v in accept.items()})
    body = connection.getresponse().read().decode()
    assert '"protocolVersion":"2025-06-18"' in body
    # A session id of a server that is long gone does no harm: there are no sessions.
    stale = {"Mcp-Session-Id": "gone", "MCP-Protocol-Version": "2025-06-18"}
    headers = {k.replace("_", "-"): v for k, v in accept.items()} | stale
    connection.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}), headers)
    assert '"was_it_the_box"' in connection.getresponse().read().decode()
