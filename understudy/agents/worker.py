"""The one Worker for everything that speaks HTTP: a Call becomes messages, a response becomes an Answer."""

from __future__ import annotations

import asyncio
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from understudy.agents import failures
from understudy.agents.conversation import bound_of_call, instructions_of, messages_of
from understudy.agents.readings import aged, readings
from understudy.agents.wire import Observed, Wire, observing
from understudy.errors import CallFailed, UnderstudyError
from understudy.tokens import lower_bound
from understudy.types import Answer, Call, Candidate, Guard, Reading, Role, Sensitivity, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

    from understudy.agents.guarded import Guarded
    from understudy.agents.relays.relay import Relay

CHECK_SECONDS = 5.0
SHORT_ANSWER = 1024  # tokens; below this a reasoning model would think its whole cap away
NETWORK_TOOLS = frozenset({"fetch", "grounding"})
# Reasoning a server left in the text: a block at the head, ended or not, or one whose opening the template wrote.
_THOUGHT = re.compile(
    r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|\A(?:(?!<think).)*?\n</think(?:ing)?>[ \t]*\n", re.DOTALL
)
# pydantic-ai would split at tags anywhere, also within an answer about such tags, and keep an unended thought.
NO_TAGS = ("\x00think\x00", "\x00/think\x00")


@dataclass(frozen=True, slots=True)
class Traits:
    """In what a provider differs from the others, as far as a Call can tell."""

    json_mode: bool = False  # its JSON mode can be relied on
    streams_json: bool = True  # its JSON mode also streams
    counts_exactly: bool = False  # it has a free endpoint that counts tokens
    invents_finish: bool = False  # pydantic-ai reports "stop" for a stream that never said so
    thinking_switch: bool = True  # thinking can be turned down for short answers
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ModelWorker:
    """Implements types.Worker. `connect` builds the SDK client and the model, once, at the first use."""

    def __init__(
        self,
        candidate: Candidate,
        connect: Callable[[], Wire],
        traits: Traits,
        relay: Callable[[], Relay] | None = None,
    ) -> None:
        self.candidate = candidate
        self._connect = connect
        self._traits = traits
        self._wire: Wire | None = None
        self._make_relay = relay
        self._relay: Relay | None = None

    def __repr__(self) -> str:
        return f"ModelWorker({self.candidate.domain})"

    def load(self, call: Call) -> None:
        if call.chat is not None and self._make_relay is not None:
            import_module("aiohttp")
            return
        import_module("understudy.agents.guarded")  # pydantic-ai takes half a second of CPU to import

        self._connected()

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        """Answer within call.timeout seconds, or raise CallFailed. Whatever the guard raises passes through."""
        if call.chat is not None and self._make_relay is not None:
            self._relay = self._relay or self._make_relay()
            return await self._relay.hand_on(self.candidate, call, call.chat, guard, progress)
        tools = self._tools(call)
        from understudy.agents.guarded import Guarded

        model = Guarded(
            self._connected().model,
            guard,
            self.candidate,
            min(call.output_cap, self.candidate.output_cap),
            count_exactly=self._traits.counts_exactly and call.role in (Role.DIRECTOR, Role.JUDGE),
        )
        limit = asyncio.timeout(call.timeout)
        failure: CallFailed
        seen = Observed()
        try:
            with observing() as seen:
                async with limit:
                    answer = await self._answer(model, call, tools, progress)
                return replace(answer, readings=self._said(seen))
        except CallFailed as error:
            failure = error
        except UnderstudyError:
            raise
        except Exception as error:  # noqa: BLE001  SDKs raise what they like on a reply they do not expect
            if isinstance(error, TimeoutError) and limit.expired():
                failure = failures.timed_out(self.candidate, call.timeout, sent=model.sent > 0)
            else:
                failure = failures.failed(error, self.candidate)
        if failure.usage is None and model.used.total:
            failure.usage = model.used
        failure.readings = failure.readings or self._said(seen)
        raise failure  # outside the except block: the cause would carry the provider's body along

    def bound(self, call: Call) -> int:
        """Tokens of input at most, over all requests the call's tools allow."""
        if call.chat is not None and self._make_relay is not None:
            return call.chat.most
        return bound_of_call(call, self._tools(call))

    async def check(self) -> str:
        """Ask the server for its models. Raises CallFailed with the remedy."""
        failure: CallFailed
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._connected().probe()
            return f"{self.candidate.name} answers"
        except UnderstudyError:
            raise
        except Exception as error:  # noqa: BLE001  as in work
            failure = failures.failed(error, self.candidate)
        raise failure

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        relay, self._relay = self._relay, None
        for open_one in (wire, relay):
            if open_one is not None:
                await open_one.close()

    def _connected(self) -> Wire:
        if self._wire is None:
            os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")  # it would write to the user's terminal
            # A model that takes no temperature is given none, and nobody needs to hear of it.
            warnings.filterwarnings("ignore", "Sampling parameters .* not supported", UserWarning)
            self._wire = self._connect()
        return self._wire

    def _said(self, seen: Observed) -> tuple[Reading, ...]:
        """What the last reply's headers said, as it reads now: a long stream ends well after its headers came."""
        if not seen.headers:
            return ()
        return aged(readings(self.candidate.kind, seen.headers, None, seen.at, None), time.time() - seen.at)

    def _tools(self, call: Call) -> tuple[str, ...]:
        """The tools this candidate gets. A private call gets none that reaches the network: a URL carries text."""
        asked = set(call.tools)
        if call.sensitivity is Sensitivity.PRIVATE:
            asked -= NETWORK_TOOLS
        if "grounding" in asked and "grounding" in self.candidate.capabilities:
            return ("grounding",)  # Gemini takes its own search or function tools, not both
        if "grounding" in asked and "fetch" not in asked:
            raise failures.unavailable(self.candidate, "it has no search of its own", "Use a Gemini model.")
        named = tuple(sorted(asked - {"grounding"}))
        if named and "tools" not in self.candidate.capabilities:
            raise failures.unavailable(self.candidate, "it cannot call tools", "Use a model that can.")
        return named

    async def _answer(
        self, model: Guarded, call: Call, tools: tuple[str, ...], progress: Callable[[int], None] | None
    ) -> Answer:
        if tools and tools != ("grounding",):
            from understudy.agents.toolwork import answer_with_tools

            text, finish, name, sources = await answer_with_tools(model, call, tools, self._settings(call))
            if progress is not None:
                progress(len(text))
            return self._checked(Answer(text, model.used, finish, name, sources=sources))
        settings, parameters = self._settings(call), self._parameters(call, tools)
        messages = model.prepare_messages(messages_of(call), parameters)
        json_mode = parameters.output_mode == "prompted"
        if progress is None or (json_mode and not self._traits.streams_json):
            response = await model.request(messages, settings, parameters)
        else:
            response = await self._stream(model, messages, settings, parameters, progress)
        return self._read(response, model.used)

    async def _stream(
        self,
        model: Guarded,
        messages: list[Any],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
        progress: Callable[[int], None],
    ) -> ModelResponse:
        from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta, ThinkingPartDelta

        chars = written = 0
        async with model.request_stream(messages, settings, parameters) as stream:
            async for event in stream:
                piece, thought = "", False
                if isinstance(event, PartStartEvent):
                    piece = getattr(event.part, "content", "")
                    thought = not isinstance(event.part, TextPart)
                elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta | ThinkingPartDelta):
                    piece = event.delta.content_delta or ""
                    thought = not isinstance(event.delta, TextPartDelta)
                if isinstance(piece, str) and piece:
                    chars += len(piece)
                    written += 0 if thought else len(piece)
                    progress(chars)
                if lower_bound(written) > model.cap:
                    break  # the guarded request refuses it, before the rest of it is received
        response = stream.get()
        ended = response.finish_reason is not None
        if self._traits.invents_finish and response.finish_reason == "stop":
            ended = "finish_reason" in (response.provider_details or {})
        if response.state != "complete" or not ended:
            raise failures.cut_off(self.candidate)
        return response

    def _settings(self, call: Call) -> ModelSettings:
        """No max_retries: our clients are made with none, and for a setting pydantic-ai copies the client each time."""
        from pydantic_ai.settings import ModelSettings

        settings: dict[str, Any] = {"timeout": call.timeout, **self._traits.settings}
        if call.temperature is not None:
            settings["temperature"] = call.temperature
        if self._traits.thinking_switch and call.output_cap < SHORT_ANSWER:
            settings["thinking"] = False
        if "logprobs" in self.candidate.capabilities:
            settings["openai_logprobs"] = True
        return ModelSettings(**settings)

    def _parameters(self, call: Call, tools: tuple[str, ...]) -> ModelRequestParameters:
        from pydantic_ai.messages import InstructionPart
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.native_tools import WebSearchTool

        text = instructions_of(call)
        # JSON modes answer with an object: a schema for a list or a number is asked for in words alone.
        as_object = call.schema is not None and call.schema.get("type", "object") == "object"
        return ModelRequestParameters(
            instruction_parts=[InstructionPart(content=text)] if text else None,
            native_tools=[WebSearchTool()] if tools == ("grounding",) else [],
            output_mode="prompted" if as_object and self._traits.json_mode and not tools else "text",
            allow_text_output=True,
        )

    def _read(self, response: ModelResponse, used: Usage) -> Answer:
        from pydantic_ai.messages import TextPart, ToolCallPart

        if response.finish_reason == "content_filter":
            raise failures.content_filtered(self.candidate)
        if response.finish_reason == "error":
            raise failures.malformed(self.candidate, "the provider reported a failed generation")
        if any(isinstance(part, ToolCallPart) for part in response.parts):
            raise failures.malformed(self.candidate, "it called a tool it was not given")
        text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
        return self._checked(
            Answer(
                text,
                used,
                finish=response.finish_reason or "error",
                model=response.model_name or "",
                logprob=_mean_logprob(response),
                sources=_sources(response),
            )
        )

    def _checked(self, answer: Answer) -> Answer:
        text = (_THOUGHT.sub("", answer.text) if "think" in answer.text else answer.text).strip()
        if answer.finish not in ("stop", "length"):
            raise failures.malformed(self.candidate, "it stopped for a reason that is not an end")
        if not text and answer.finish == "stop":
            raise failures.malformed(self.candidate, "the answer is empty")
        return replace(answer, text=text, model=answer.model or self.candidate.model)


def _mean_logprob(response: ModelResponse) -> float | None:
    tokens = (response.provider_details or {}).get("logprobs")
    if not isinstance(tokens, list):
        return None
    values = [
        float(token["logprob"])
        for token in cast("list[dict[str, Any]]", tokens)
        if isinstance(token.get("logprob"), int | float)
    ]
    return sum(values) / len(values) if values else None


def _sources(response: ModelResponse) -> tuple[str, ...]:
    """Addresses a provider's own search used, in their order."""
    from pydantic_ai.messages import NativeToolReturnPart

    found: dict[str, None] = {}
    for part in response.parts:
        if isinstance(part, NativeToolReturnPart):
            for address in _addresses(part.content):
                found.setdefault(address)
    return tuple(found)


def _addresses(content: object) -> list[str]:
    if isinstance(content, dict):
        table = cast("dict[str, object]", content)
        own = [v for k, v in table.items() if k in ("uri", "url") and isinstance(v, str)]
        return own + [a for v in table.values() if isinstance(v, dict | list) for a in _addresses(cast("object", v))]
    if isinstance(content, list):
        return [address for item in cast("list[object]", content) for address in _addresses(item)]
    return []
