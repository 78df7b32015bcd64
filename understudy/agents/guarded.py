"""The guard around every single request on the wire. Nothing is ever left unsettled, on cancellation neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from understudy.agents.conversation import bound_of_request
from understudy.agents.failures import failed, too_long
from understudy.agents.flood import expect
from understudy.agents.seam import measured, reserve, to_the_end
from understudy.agents.wire import observing
from understudy.errors import CallFailed
from understudy.tokens import lower_bound
from understudy.types import Candidate, Guard, Hold, Usage, cap_of

COUNT_SECONDS = 5.0  # how long the exact count of tokens may take before the bound must do


class Guarded(WrapperModel):
    """Reserves before, settles after, caps max_tokens. `used` sums what its requests used."""

    def __init__(
        self,
        wrapped: Model,
        guard: Guard,
        candidate: Candidate,
        output_cap: int,
        *,
        count_exactly: bool = False,
    ) -> None:
        super().__init__(wrapped)
        self.guard = guard
        self.candidate = candidate
        self.output_cap = output_cap
        self.cap = output_cap  # of the request in flight
        self.count_exactly = count_exactly
        self.used = Usage()
        self.sent = 0  # requests that were handed to the network

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        capped = self._capped(model_settings)
        hold, bound = await self._reserve(messages, capped, model_request_parameters)
        self.sent += 1
        expect(self.cap)
        try:
            response = await self.wrapped.request(messages, capped, model_request_parameters)
        except BaseException as error:
            await self._settle_failure(hold, error)
            raise
        usage = usage_of(response)
        if lower_bound(written := written_in(response)) > self.cap:
            failure = too_long(self.candidate, written, self.cap, usage.input_tokens if usage else bound)
            await self._settle(hold, larger(usage, failure.usage))
            raise failure
        await self._settle(hold, usage)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        capped = self._capped(model_settings)
        hold, bound = await self._reserve(messages, capped, model_request_parameters)
        self.sent += 1
        expect(self.cap)
        stream: StreamedResponse | None = None
        try:
            async with self.wrapped.request_stream(messages, capped, model_request_parameters, run_context) as stream:
                yield stream
                if lower_bound(written := written_in(stream.get())) > self.cap:
                    raise too_long(self.candidate, written, self.cap, bound)
        except BaseException as error:
            if stream is None:
                await self._settle_failure(hold, error)
            else:  # it had begun: tokens flowed
                await self._settle(hold, error.usage if isinstance(error, CallFailed) else None)
            raise
        response = stream.get()
        await self._settle(hold, usage_of(response) if response.state == "complete" else None)

    def _capped(self, settings: ModelSettings | None) -> ModelSettings:
        capped = ModelSettings(**(settings or {}))
        capped["max_tokens"] = min(capped.get("max_tokens") or self.output_cap, self.output_cap)
        return capped

    async def _reserve(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> tuple[Hold | None, int]:
        """With the tokens of input it was made for. The settings then ask for no more output than was to be had."""
        bound = bound_of_request(messages, parameters)
        if self.count_exactly:
            bound = min(bound, await self._counted(messages, settings, parameters) or bound)
        asked = settings.get("max_tokens", self.output_cap)
        hold = await reserve(self.guard, bound, asked)
        self.cap = settings["max_tokens"] = cap_of(hold, asked)
        return hold, bound

    async def _counted(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> int | None:
        """The provider's own count, which costs no tokens. It carries the text, so the guard is asked for it too."""
        hold = await reserve(self.guard, 0, 0)
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                with observing():  # counting has limits of its own, which are not the candidate's
                    counted = await self.wrapped.count_tokens(messages, settings, parameters)
        except Exception:  # noqa: BLE001  any failure here only means that the bound is used
            return None
        finally:
            await to_the_end(self.guard.unsent(hold))
        # The provider calls its count an estimate: one part in fifty on top.
        return counted.input_tokens + counted.input_tokens // 50 + 8 if counted.input_tokens else None

    async def _settle_failure(self, hold: Hold | None, error: BaseException) -> None:
        if isinstance(error, Exception) and not failed(error, self.candidate).charged:
            await to_the_end(self.guard.unsent(hold))
        else:
            await self._settle(hold, None)

    async def _settle(self, hold: Hold | None, usage: Usage | None) -> None:
        self.used = self.used + (usage or Usage(measured=False))
        await to_the_end(self.guard.after(hold, usage))


def usage_of(response: ModelResponse) -> Usage | None:
    """What the server measured, or None. A reply that failed (Groq's tool_use_failed) reports zeros: not measured."""
    said: RequestUsage = response.usage
    if said.unmeasured_requests:
        return None
    return measured(
        said.input_tokens,
        said.output_tokens,
        said.cache_read_tokens,
        written=written_in(response),
        said=bool(response.parts),
    )


def written_in(response: ModelResponse) -> int:
    """Characters the model wrote, thoughts left aside: not every server counts those, and some summarize them."""
    return sum(len(part.content) for part in response.parts if isinstance(part, TextPart)) + sum(
        len(part.args) for part in response.parts if isinstance(part, ToolCallPart) and isinstance(part.args, str)
    )


def larger(one: Usage | None, other: Usage | None) -> Usage | None:
    return max((usage for usage in (one, other) if usage is not None), key=lambda u: u.total, default=None)
