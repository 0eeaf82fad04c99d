"""A Pydantic AI agent, without any model behind it, that asks over stdio, streamable HTTP and SSE."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from serve.conftest import HOSTS_MCP, TRACE_ID, Running, clean_environment

pytest.importorskip("pydantic_ai.mcp", reason="pydantic-ai-slim[mcp] is not installed")

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

pytestmark = pytest.mark.clients

CALLS = [("list_hosts", {}), ("was_it_the_box", {"trace_id": TRACE_ID}), ("host_status", {"host": "nobody"})]


def target(server: Running, transport: str) -> Any:
    command, *arguments = [*HOSTS_MCP, "mcp", "--db", str(server.db)]
    return {
        "http": f"{server.url}/mcp",
        "sse": f"{server.url}/sse",
        "stdio": StdioTransport(command, arguments, env=clean_environment()),
    }[transport]


def results(messages: list[ModelMessage]) -> list[ToolReturnPart | RetryPromptPart]:
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    return [part for part in parts if isinstance(part, ToolReturnPart | RetryPromptPart)]


def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Calls CALLS one after the other, then reports what it saw."""
    done = results(messages)
    if len(done) < len(CALLS):
        return ModelResponse(parts=[ToolCallPart(*CALLS[len(done)])])
    return ModelResponse(parts=[TextPart(json.dumps([str(part.content) for part in done]))])


@pytest.mark.parametrize("transport", ["http", "sse", "stdio"])
def test_an_agent_asks_and_understands_the_answer(server: Running, transport: str) -> None:
    async def run() -> list[str]:
        agent = Agent(
            FunctionModel(script), toolsets=[MCPToolset(target(server, transport), include_instructions=True)]
        )
        async with agent:
            found: list[str] = json.loads((await agent.run("was it the box?")).output)
            return found

    hosts, verdict, error = anyio.run(run)
    assert "web-1" in hosts
    assert TRACE_ID in verdict
    assert "'verdict':" in verdict or '"verdict":' in verdict
    assert "no_such_host" in error


def test_an_agent_can_call_every_tool(server: Running) -> None:
    async def run() -> None:
        model = TestModel(call_tools=["list_hosts", "find_traces", "query"])
        agent = Agent(model, toolsets=[MCPToolset(f"{server.url}/mcp")], retries=3)
        async with agent:
            await agent.run("call everything")

    anyio.run(run)
