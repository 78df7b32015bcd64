"""A Call as messages, and how many tokens it can cost at most. No SDK is needed to count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from understudy.tokens import MESSAGE_OVERHEAD, estimate, upper_bound
from understudy.types import Call, Chat

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import ModelRequestParameters

TOOL_REQUESTS = 5  # requests one call with tools may make: enough for two look-ups and an answer
TOOL_RESULT_TOKENS = 6000  # a tool's result is cut to this
TOOL_DEFINITION_TOKENS = 400  # name, description and schema of one tool, as our own tools have them
GROUNDING_TOKENS = 8000  # what a provider's own search may add to the input


def instructions_of(call: Call) -> str:
    """The instructions with the schema in words: prompted output works with every provider."""
    if call.schema is None:
        return call.instructions
    asked = (
        "Answer with one JSON value that is valid against this JSON schema, and with nothing else: "
        "no explanation, no code fence.\n" + json.dumps(call.schema, ensure_ascii=False, separators=(",", ":"))
    )
    return f"{call.instructions}\n\n{asked}".strip()


def messages_of(call: Call) -> list[ModelMessage]:
    """History and prompt. An earlier turn without an answer is left out: providers reject empty messages."""
    from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

    messages: list[ModelMessage] = []
    for turn in call.history:
        if turn.user.strip() and turn.assistant.strip():
            messages.append(ModelRequest(parts=[UserPromptPart(content=turn.user)]))
            messages.append(ModelResponse(parts=[TextPart(content=turn.assistant)]))
    messages.append(ModelRequest(parts=[UserPromptPart(content=call.prompt)]))
    return messages


def with_remark(chat: Chat, text: str) -> Chat:
    """The same with one more word of the user's, which both dialects say alike."""
    messages = [*chat.body.get("messages", ()), {"role": "user", "content": text}]
    more = upper_bound(text) + MESSAGE_OVERHEAD
    return replace(
        chat, body={**chat.body, "messages": messages}, tokens=chat.tokens + estimate(text), most=chat.most + more
    )


def bound_of_call(call: Call, tools: Iterable[str]) -> int:
    """Tokens, over all the requests `tools` allow: each request of a loop sends everything before it again."""
    texts = [instructions_of(call), call.prompt]
    for turn in call.history:
        texts += [turn.user, turn.assistant]
    once = sum(upper_bound(text) + MESSAGE_OVERHEAD for text in texts)
    named = tuple(tools)
    if "grounding" in named:
        return once + GROUNDING_TOKENS
    if not named:
        return once
    once += TOOL_DEFINITION_TOKENS * len(named)
    growth = call.output_cap + TOOL_RESULT_TOKENS + 2 * MESSAGE_OVERHEAD
    return sum(once + i * growth for i in range(TOOL_REQUESTS))


def bound_of_request(messages: list[ModelMessage], parameters: ModelRequestParameters) -> int:
    """Tokens of one request as it will be sent."""
    texts: list[str] = [part.content for part in parameters.instruction_parts or []]
    for message in messages:
        if not parameters.instruction_parts and message.kind == "request" and message.instructions:
            texts.append(message.instructions)
        texts.extend(_text_of(part) for part in message.parts)
    bound = sum(upper_bound(text) + MESSAGE_OVERHEAD for text in texts)
    for tool in parameters.function_tools:
        definition = f"{tool.name}{tool.description or ''}{json.dumps(tool.parameters_json_schema)}"
        bound += upper_bound(definition) + MESSAGE_OVERHEAD
    return bound + GROUNDING_TOKENS * len(parameters.native_tools)


def cut_to_tokens(text: str, tokens: int) -> str:
    """The longest head of `text` that surely costs no more than `tokens`."""
    while text and upper_bound(text) > tokens:
        text = text[: max(0, min(len(text) - 1, len(text) * tokens // upper_bound(text)))]
    return text


def _text_of(part: Any) -> str:
    pieces: list[str] = []
    for name in ("content", "args", "tool_name"):
        value: Any = getattr(part, name, None)
        if isinstance(value, str):
            pieces.append(value)
        elif isinstance(value, Mapping | list | tuple):
            pieces.append(json.dumps(value, ensure_ascii=False, default=str))
    return "".join(pieces)
