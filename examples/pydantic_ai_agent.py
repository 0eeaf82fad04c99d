"""A Pydantic AI agent that asks hosts-mcp whether a trace failed because of its box.

    make demo                                              # in another terminal; prints a trace id
    python examples/pydantic_ai_agent.py TRACE_ID          # no key needed: a scripted model asks and reads out
    PYDANTIC_AI_MODEL=anthropic:claude-sonnet-4-5 python examples/pydantic_ai_agent.py TRACE_ID

The model is any that Pydantic AI knows, with its key in the environment. Needs `pip install "pydantic-ai-slim[mcp]"`
and, for a real model, that provider's extra.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re

from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

INSTRUCTIONS = "Answer from the tools' evidence alone, and say how sure it is. Name one argument against."


def scripted(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """What a model would do, without one: call the tool with the trace id of the question, read out its summary."""
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    for part in parts:
        if isinstance(part, ToolReturnPart):
            told = part.model_response_object()
            return ModelResponse([TextPart(str(told.get("summary", told)))])
    found = re.search(r"[0-9a-f]{8,32}", " ".join(str(getattr(part, "content", "")) for part in parts))
    return ModelResponse([ToolCallPart("was_it_the_box", {"trace_id": found.group() if found else ""})])


async def ask(trace_id: str, url: str, model: Model | str) -> str:
    hosts = MCPToolset(url, include_instructions=True)
    agent = Agent(model, instructions=INSTRUCTIONS, toolsets=[hosts])
    async with agent:
        result = await agent.run(f"Trace {trace_id} failed. Was it the box?")
    return str(result.output)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask an agent whether it was the box.")
    parser.add_argument("trace_id")
    parser.add_argument("--url", default="http://127.0.0.1:8787/mcp", help="MCP over HTTP of hosts-mcp")
    given = parser.parse_args()
    model: Model | str = os.environ.get("PYDANTIC_AI_MODEL") or FunctionModel(scripted)
    print(asyncio.run(ask(given.trace_id, given.url, model)))


if __name__ == "__main__":
    main()
