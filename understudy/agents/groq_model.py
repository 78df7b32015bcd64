"""Groq's model, which asks a plain question itself. It imports pydantic-ai, so import it late.

Three quarters of what the SDK costs beside its HTTP client is comparing each message with every type of message there
is, and building a tree of objects of which four fields are read. Whatever is more than a plain question is its work.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters, check_allow_model_requests
from pydantic_ai.models.groq import GroqModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from understudy.agents.failures import refused
from understudy.types import Candidate

if TYPE_CHECKING:
    import httpx
    from pydantic_ai.profiles import ModelProfileSpec
    from pydantic_ai.providers.groq import GroqProvider

PATH = "/openai/v1/chat/completions"
_PLAIN = frozenset({"max_tokens", "temperature", "timeout"})
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}


class PlainGroqModel(GroqModel):
    """Over the HTTP client that its SDK uses too. Raises CallFailed for a refusal, and what the client raises."""

    def __init__(
        self, candidate: Candidate, http: httpx.AsyncClient, *, provider: GroqProvider, profile: ModelProfileSpec
    ) -> None:
        super().__init__(candidate.model, provider=provider, profile=profile)
        self._candidate = candidate
        self._http = http
        self._url = str(provider.client.base_url).rstrip("/") + PATH
        self._headers = {**provider.client.auth_headers, "content-type": "application/json"}

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        settings: dict[str, Any] = {**(model_settings or {})}
        spoken = self._spoken(messages, settings, model_request_parameters)
        if spoken is None:
            return await super().request(messages, model_settings, model_request_parameters)
        check_allow_model_requests()
        body: dict[str, Any] = {"model": self.model_name, "messages": spoken}
        body |= {name: settings[name] for name in ("max_tokens", "temperature") if name in settings}
        if model_request_parameters.output_mode == "prompted":
            body["response_format"] = {"type": "json_object"}
        reply = await self._http.post(
            self._url,
            content=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            headers=self._headers,
            timeout=settings.get("timeout"),
        )
        if reply.status_code != 200:
            raise refused(reply.status_code, dict(reply.headers), reply.content, self._candidate)
        return _response(json.loads(reply.content))

    def _spoken(
        self, messages: list[ModelMessage], settings: dict[str, Any], parameters: ModelRequestParameters
    ) -> list[dict[str, str]] | None:
        """The messages on the wire. None: this is more than a plain question."""
        thinks = "thinking" in settings and self.profile.get("supports_thinking", False)
        tools = parameters.function_tools or parameters.native_tools or parameters.output_tools
        if thinks or tools or self.settings or not settings.keys() - {"thinking"} <= _PLAIN:
            return None
        if parameters.output_mode not in ("text", "prompted") or parameters.output_object is not None:
            return None
        spoken = [{"role": "system", "content": part.content} for part in parameters.instruction_parts or ()]
        for message in messages:
            role = "user" if message.kind == "request" else "assistant"
            for part in message.parts:
                content = part.content if isinstance(part, UserPromptPart | TextPart) else None
                if not isinstance(content, str):
                    return None
                spoken.append({"role": role, "content": content})
        return spoken


def _response(body: dict[str, Any]) -> ModelResponse:
    """What a chat completion says. Raises KeyError, TypeError and the like for a body that is none."""
    choice = body["choices"][0]
    message = choice["message"]
    parts: list[ModelResponsePart] = []
    if message.get("reasoning"):
        parts.append(ThinkingPart(content=message["reasoning"]))
    if message.get("content"):
        parts.append(TextPart(content=message["content"]))
    parts += [ToolCallPart(tool_name=call["function"]["name"]) for call in message.get("tool_calls") or ()]
    return ModelResponse(
        parts=parts,
        usage=_usage(body.get("usage")),
        model_name=body.get("model"),
        finish_reason=_FINISH.get(choice.get("finish_reason")),
    )


def _usage(said: Any) -> RequestUsage:
    try:
        details: dict[str, Any] = said.get("prompt_tokens_details") or {}
        return RequestUsage(
            input_tokens=int(said["prompt_tokens"]),
            output_tokens=int(said["completion_tokens"]),
            cache_read_tokens=int(details.get("cached_tokens") or 0),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return RequestUsage(unmeasured_requests=1)
