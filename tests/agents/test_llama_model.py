"""The pydantic-ai Model: through Agents, streamed or not, and without tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import BinaryContent, ModelRequest
from pydantic_ai.models import ModelRequestParameters

from tests.agents.llama_setup import CHORES, needs_llama
from understudy.agents.llama.model import LlamaCppModel
from understudy.errors import CallFailed
from understudy.types import Failure

pytestmark = needs_llama


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
async def model() -> AsyncGenerator[LlamaCppModel]:
    made = LlamaCppModel.from_file(CHORES)
    yield made
    await made.close()


async def test_an_agent_answers(model: LlamaCppModel) -> None:
    result = await Agent(model, instructions="Be brief.").run("upper: hello")
    assert result.output == "HELLO"
    assert result.usage.output_tokens == 5
    assert result.response.finish_reason == "stop"
    assert result.response.provider_details is not None
    assert result.response.provider_details["logprob"] > -0.2
    again = await Agent(model).run("add: 3+4", message_history=result.all_messages())
    assert again.output == "7"


@pytest.mark.parametrize("mode", [NativeOutput, PromptedOutput])
async def test_structured_output_is_a_grammar(model: LlamaCppModel, mode: type) -> None:
    agent = Agent(model, output_type=mode(Person), model_settings={"max_tokens": 300})
    person = (await agent.run("json: name=bob age=7")).output
    assert isinstance(person, Person)


async def test_a_stream_brings_the_text_and_the_figures(model: LlamaCppModel) -> None:
    async with Agent(model).run_stream("echo: hello") as stream:
        text = [t async for t in stream.stream_text(delta=True, debounce_by=None)]
    assert "".join(text) == "hello"
    assert stream.usage.output_tokens == 5
    assert stream.response.finish_reason == "stop"


async def test_leaving_a_stream_stops_the_model(model: LlamaCppModel) -> None:
    endless = {"max_tokens": 1900, "temperature": 3.0, "top_p": 1.0, "top_k": 0}
    request = [ModelRequest.user_text_prompt("poem: the sea")]
    async with model.request_stream(request, endless, ModelRequestParameters()):  # type: ignore[arg-type]
        pass
    response = await model_request(model, [ModelRequest.user_text_prompt("add: 3+4")])
    assert response.text == "7"


async def test_settings_reach_the_sampler(model: LlamaCppModel) -> None:
    request = [ModelRequest.user_text_prompt("upper: abcdef")]
    assert (await model_request(model, request, model_settings={"max_tokens": 2})).text == "AB"
    assert (await model_request(model, request, model_settings={"stop_sequences": ["CD"]})).text == "AB"
    hot = [ModelRequest.user_text_prompt("poem: x")]
    texts = {
        (await model_request(model, hot, model_settings={"temperature": 1.5, "seed": s, "max_tokens": 9})).text
        for s in (1, 1, 2, 3)
    }
    assert 1 < len(texts) < 4
    with pytest.raises(CallFailed) as caught:
        await model_request(model, hot, model_settings={"timeout": 0.0001})
    assert caught.value.failure in (Failure.OVERLOAD, Failure.TRANSPORT)


async def test_tokens_are_counted(model: LlamaCppModel) -> None:
    request = [ModelRequest.user_text_prompt("upper: hello", instructions="Be brief.")]
    counted = await model.count_tokens(list(request), None, ModelRequestParameters())
    response = await model_request(model, request)
    assert counted.input_tokens == response.usage.input_tokens > 31


async def test_tools_and_files_are_refused_clearly(model: LlamaCppModel) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def clock() -> str:
        return "noon"

    with pytest.raises(UserError, match="cannot use tools"):
        await agent.run("What time is it?")
    with pytest.raises(UserError, match="reads text only"):
        await Agent(model).run(["see", BinaryContent(b"x", media_type="image/png")])


async def test_eight_agents_at_once(model: LlamaCppModel) -> None:
    agent = Agent(model)
    results = await asyncio.gather(*(agent.run(f"add: {i}+{i}") for i in range(8)))
    assert [r.output for r in results] == [str(2 * i) for i in range(8)]
