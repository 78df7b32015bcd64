"""LlamaCppModel: a model of the shelf as a pydantic-ai Model, for Agents and for whatever wraps Models.

Text and JSON output (native and prompted: the schema becomes the sampler's grammar either way); no tools. The mean
token log-probability is in `provider_details["logprob"]`. Failures are CallFailed, as everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponseStreamEvent,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from understudy.agents.llama.gguf import read_header
from understudy.agents.llama.process import Message, ModelSpec, Order, Written
from understudy.agents.llama.shelf import GIB, Shelf
from understudy.errors import CallFailed
from understudy.types import Failure

PROFILE = ModelProfile(
    supports_tools=False,
    supports_json_schema_output=True,
    supports_json_object_output=True,
    default_structured_output_mode="prompted",  # a grammar alone does not tell a small model what is wanted
)
_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class LlamaCppModel(Model):
    """One GGUF file. `shelf` gives the shelf of the running event loop; models on one shelf share its memory."""

    def __init__(
        self,
        spec: ModelSpec,
        shelf: Callable[[], Shelf],
        *,
        output_cap: int = 1024,
        timeout: float = 60.0,
        settings: ModelSettings | None = None,
    ) -> None:
        super().__init__(settings=settings, profile=PROFILE)
        self._spec = spec
        self._shelf = shelf
        self._output_cap = output_cap
        self._timeout = timeout

    @classmethod
    def from_file(cls, path: str | Path, *, context: int = 8192, memory_gib: float = 16.0) -> LlamaCppModel:
        """A model with a shelf of its own, for a single event loop. Raises CallFailed(UNAVAILABLE)."""
        header = read_header(path)
        shelf = Shelf(int(memory_gib * GIB))
        threads = ModelSpec.default_threads()
        return cls(ModelSpec(header.path.stem, header.path, min(context, header.context), threads), lambda: shelf)

    @property
    def model_name(self) -> str:
        return self._spec.name

    @property
    def system(self) -> str:
        return "llama_cpp"

    @property
    def provider(self) -> None:
        return None

    async def close(self) -> None:
        """End the model's process."""
        await self._shelf().drop(self._spec)

    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        """Exact: the prompt is rendered and tokenised as it will be. Raises CallFailed."""
        order = self._order(messages, model_settings, model_request_parameters)
        async with self._shelf().borrow(self._spec, order.seconds) as process:
            return RequestUsage(input_tokens=await process.count(order.messages, seconds=order.seconds))

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Raises CallFailed, and UserError for tools and files."""
        order = self._order(messages, model_settings, model_request_parameters)
        async with self._shelf().borrow(self._spec, order.seconds) as process:
            written = self._in_time(await process.write(order), order)
        return ModelResponse(
            parts=[TextPart(written.text)],
            usage=RequestUsage(input_tokens=written.input_tokens, output_tokens=written.output_tokens),
            model_name=self.model_name,
            provider_name=self.system,
            provider_details={"logprob": written.logprob},
            finish_reason=_FINISH.get(written.finish),
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Text as it is written. Leaving the context early stops the model. Raises CallFailed and UserError."""
        order = self._order(messages, model_settings, model_request_parameters)
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        async def write() -> Written:
            try:
                async with self._shelf().borrow(self._spec, order.seconds) as process:
                    return self._in_time(await process.write(order, told=lambda _n, s: pieces.put_nowait(s)), order)
            finally:
                pieces.put_nowait(None)

        task = asyncio.create_task(write())
        try:
            yield _Stream(model_request_parameters, pieces, task, self.model_name, self.system)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _in_time(self, written: Written, order: Order) -> Written:
        if written.finish in _FINISH:
            return written
        raise CallFailed(
            Failure.TRANSPORT,
            f"{self._spec.name} was not ready within {order.seconds:g} s.",
            remedy="Raise the timeout, ask for less, or choose a smaller model.",
        )

    def _order(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> Order:
        if parameters.function_tools or parameters.native_tools or parameters.output_mode == "tool":
            raise UserError(
                f"{self._spec.name} cannot use tools. For structured output use PromptedOutput or NativeOutput."
            )
        settings, parameters = self.prepare_request(settings, parameters)
        wanted = settings or ModelSettings()
        timeout = wanted.get("timeout")
        target = parameters.output_object if parameters.output_mode in ("native", "prompted") else None
        return Order(
            messages=_chat(messages, parameters),
            cap=wanted.get("max_tokens", self._output_cap),
            seconds=float(timeout) if isinstance(timeout, int | float) else self._timeout,
            temperature=wanted.get("temperature", 0.0),
            seed=wanted.get("seed", 0),
            top_p=wanted.get("top_p", 0.95),
            top_k=wanted.get("top_k", 40),
            schema=target.json_schema if target is not None else None,
            stop=tuple(wanted.get("stop_sequences") or ()),
        )


@dataclass
class _Stream(StreamedResponse):
    """Text events from the queue of pieces; the figures come with the end."""

    _pieces: asyncio.Queue[str | None]
    _task: asyncio.Task[Written]
    _model: str
    _provider: str
    _at: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        while (piece := await self._pieces.get()) is not None:
            for event in self._parts_manager.handle_text_delta(vendor_part_id="text", content=piece):
                yield event
        written = await self._task
        self._usage = RequestUsage(input_tokens=written.input_tokens, output_tokens=written.output_tokens)
        self.provider_details = {"logprob": written.logprob}
        self.finish_reason = _FINISH.get(written.finish)

    async def close_stream(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def get_stream_cancel_errors(self) -> tuple[type[BaseException], ...]:
        return (asyncio.CancelledError,)

    @property
    def model_name(self) -> str:
        return self._model

    @property
    def provider_name(self) -> str:
        return self._provider

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self._at


def _chat(messages: list[ModelMessage], parameters: ModelRequestParameters) -> list[Message]:
    """Chat messages with one system message in front; neighbours of one role are joined, as templates want it."""
    system: list[str] = []
    turns: list[Message] = []
    for message in messages:
        if isinstance(message, ModelRequest):
            for part in message.parts:
                if isinstance(part, SystemPromptPart):
                    system.append(part.content)
                elif isinstance(part, UserPromptPart):
                    _say(turns, "user", _text(part))
                else:
                    raise UserError(f"llama_cpp cannot take a {type(part).__name__}: it has text turns only.")
        else:
            for part in message.parts:
                if isinstance(part, TextPart):
                    _say(turns, "assistant", part.content)
                elif not isinstance(part, ThinkingPart):
                    raise UserError(f"llama_cpp cannot take a {type(part).__name__}: it has text turns only.")
    last = next((m for m in reversed(messages) if isinstance(m, ModelRequest)), None)
    instructions = [p.content for p in parameters.instruction_parts or ()]
    if last is not None and last.instructions and last.instructions not in "\n\n".join(instructions):
        instructions.insert(0, last.instructions)
    system += instructions
    return ([{"role": "system", "content": "\n\n".join(system)}] if system else []) + turns


def _say(turns: list[Message], role: str, text: str) -> None:
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += "\n\n" + text
    else:
        turns.append({"role": role, "content": text})


def _text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    texts: list[str] = []
    for piece in part.content:
        if isinstance(piece, str):
            texts.append(piece)
        elif isinstance(piece, TextContent):
            texts.append(piece.content)
        else:
            raise UserError(f"llama_cpp cannot take a {type(piece).__name__}: it reads text only.")
    return "\n".join(texts)
