"""A call with tools: pydantic-ai's Agent runs the loop, every request of which passes the guard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from understudy.agents.conversation import (
    TOOL_REQUESTS,
    TOOL_RESULT_TOKENS,
    cut_to_tokens,
    instructions_of,
    messages_of,
)
from understudy.agents.failures import content_filtered, malformed, unavailable
from understudy.errors import ToolFailed
from understudy.types import Call

if TYPE_CHECKING:
    from pydantic_ai.settings import ModelSettings

    from understudy.agents.guarded import Guarded

Tool = Callable[[str], Awaitable[str]]


async def answer_with_tools(
    model: Guarded, call: Call, tools: tuple[str, ...], settings: ModelSettings
) -> tuple[str, str, str, tuple[str, ...]]:
    """(text, finish, model as the server names it, sources). Raises CallFailed and what the model raises."""
    from pydantic_ai import Agent
    from pydantic_ai.usage import UsageLimits

    sources: dict[str, None] = {}
    agent = Agent(
        model,
        instructions=instructions_of(call) or None,
        tools=[_tool(name, model, sources) for name in tools],
        retries=1,
    )
    *history, _ = messages_of(call)
    result = await agent.run(
        call.prompt,
        message_history=history,
        model_settings=settings,
        usage_limits=UsageLimits(request_limit=TOOL_REQUESTS),
    )
    last = result.response
    if last.finish_reason == "content_filter":
        raise content_filtered(model.candidate)
    if last.finish_reason == "error":
        raise malformed(model.candidate, "the provider reported a failed generation")
    return result.output, last.finish_reason or "error", last.model_name or "", tuple(sources)


def _tool(name: str, model: Guarded, sources: dict[str, None]) -> Tool:
    if name != "fetch":
        raise unavailable(model.candidate, f"there is no tool called {name}", "Take it out of the agent's tools.")
    read: Callable[[str], Awaitable[Any]] = import_module("understudy.tools.fetch").fetch

    async def fetch(url: str) -> str:
        """Read a public web page as text.

        Args:
            url: The full address, beginning with https://.
        """
        try:
            page = await read(url)
        except ToolFailed as refusal:
            return f"The page could not be read: {refusal.message}"
        sources.setdefault(str(getattr(page, "url", url)))
        return cut_to_tokens(str(getattr(page, "text", page)), TOOL_RESULT_TOKENS)

    return fetch
