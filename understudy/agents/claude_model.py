"""The claude CLI as a pydantic-ai model: text and JSON, no tools. It imports pydantic-ai, so import it late."""

from __future__ import annotations

from typing import Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from understudy.tools.claude_cli import ClaudeCLI, ClaudeRequest

PROFILE = ModelProfile(
    supports_tools=False,
    supports_json_schema_output=True,  # --json-schema
    supports_json_object_output=False,
    default_structured_output_mode="prompted",
)
OUTPUT_CAP = 1024  # tokens, where the settings name no max_tokens
TIMEOUT = 120.0  # seconds, likewise


class ClaudeCodeModel(Model[Any]):
    """One `claude -p` for each request. Raises UserError for tools and files, CallFailed for what goes wrong."""

    unsupported_settings = frozenset({"temperature", "top_p", "top_k", "seed", "stop_sequences", "parallel_tool_calls"})

    def __init__(self, model: str, cli: ClaudeCLI, *, settings: ModelSettings | None = None) -> None:
        super().__init__(settings=settings, profile=PROFILE)
        self._model = model
        self._cli = cli

    @property
    def model_name(self) -> str:
        return self._model

    @property
    def system(self) -> str:
        return "claude_code"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        prepared, parameters = self.prepare_request(model_settings, model_request_parameters)
        if parameters.function_tools or parameters.output_tools or parameters.native_tools:
            raise UserError("claude_code calls no tools of an agent. Use text, PromptedOutput or NativeOutput.")
        settings: dict[str, Any] = {**(prepared or {})}
        timeout = settings.get("timeout")
        native = parameters.output_object if parameters.output_mode == "native" else None
        result = await self._cli.run(
            ClaudeRequest(
                prompt=_prompt(messages),
                system=_system(messages, parameters),
                model=self._model,
                output_cap=int(settings.get("max_tokens") or OUTPUT_CAP),
                schema=native.json_schema if native else None,
                timeout=float(timeout) if isinstance(timeout, int | float) else TIMEOUT,
            )
        )
        return ModelResponse(
            parts=[TextPart(content=result.text)],
            usage=RequestUsage(input_tokens=result.usage.input_tokens, output_tokens=result.usage.output_tokens),
            model_name=result.model or self._model,
            provider_name=self.system,
            finish_reason="length" if result.stop == "max_tokens" else "stop",
        )


def _system(messages: list[ModelMessage], parameters: ModelRequestParameters) -> str:
    texts = [str(part.content) for message in messages for part in message.parts if isinstance(part, SystemPromptPart)]
    if parameters.instruction_parts:
        texts += [part.content for part in parameters.instruction_parts]
    else:
        last = next((m for m in reversed(messages) if isinstance(m, ModelRequest)), None)
        texts += [last.instructions] if last is not None and last.instructions else []
    return "\n\n".join(texts)


def _prompt(messages: list[ModelMessage]) -> str:
    """The last request is the question; what came before is quoted line by line."""
    spoken = [(message.kind == "request", _words(message)) for message in messages]
    spoken = [(asks, words) for asks, words in spoken if words]
    if not spoken:
        return ""
    *before, (_, question) = spoken
    if not before:
        return question
    lines = ["The conversation so far:"]
    for asks, words in before:
        lines += ["", "User:" if asks else "Assistant:", *(f"> {line}" for line in words.splitlines())]
    return "\n".join([*lines, "", "The user now says:", "", question])


def _words(message: ModelMessage) -> str:
    words: list[str] = []
    for part in message.parts:
        if isinstance(part, UserPromptPart):
            pieces = [part.content] if isinstance(part.content, str) else list(part.content)
            if not all(isinstance(piece, str) for piece in pieces):
                raise UserError("claude_code takes text only: no images, audio or documents.")
            words += [str(piece) for piece in pieces]
        elif isinstance(part, TextPart):
            words.append(part.content)
        elif part.part_kind == "retry-prompt":
            words.append(part.model_response())
    return "\n\n".join(words)
