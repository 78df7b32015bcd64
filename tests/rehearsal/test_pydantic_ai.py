"""pydantic-ai's models and agents against the simulated providers: the path the adapters take."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, PromptedOutput
from pydantic_ai.exceptions import ModelHTTPError

from tests.rehearsal.conftest import Play
from understudy.rehearsal.server import Server


class City(BaseModel):
    city: str
    score: float


def model_of(server: Server, client: httpx.AsyncClient) -> Any:
    """The model over an HTTP client of the test, which closes it."""
    if server.plays == "groq":
        from pydantic_ai.models.groq import GroqModel
        from pydantic_ai.providers.groq import GroqProvider

        return GroqModel("m", provider=GroqProvider(api_key="k", base_url=server.url, http_client=client))
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    sdk = AsyncOpenAI(api_key="k", base_url=server.base_url, http_client=client)
    return OpenAIChatModel("m", provider=OpenAIProvider(openai_client=sdk))


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


PLAYS = ["groq", "openai", "local"]


@pytest.mark.parametrize("plays", PLAYS)
async def test_an_agent_gets_text_prompted_output_and_tool_output(play: Play, client: httpx.AsyncClient, plays: str):
    model = model_of(play(plays), client)
    plain = await Agent(model).run("What is 12*7?")
    assert plain.output == "(simulated m) 84"
    assert plain.usage.output_tokens > 0
    prompted = await Agent(model, output_type=PromptedOutput(City)).run("Where? In Oslo.")
    assert (prompted.output.city, prompted.output.score) == ("Oslo", 0.9)
    by_tool = await Agent(model, output_type=City).run("Where? In Oslo.")
    assert by_tool.output.city == "Oslo"


@pytest.mark.parametrize("plays", PLAYS)
async def test_an_agent_goes_through_its_tool(play: Play, client: httpx.AsyncClient, plays: str):
    agent: Agent[None, str] = Agent(model_of(play(plays), client))
    asked: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    answer = await agent.run("What is the weather in Oslo?")
    assert asked == ["Oslo"]
    assert "get_weather says" in answer.output


@pytest.mark.parametrize("plays", PLAYS)
async def test_max_retries_0_sends_one_request(play: Play, client: httpx.AsyncClient, plays: str):
    server = play(plays, faults=[{"kind": "minute_quota"}])
    with pytest.raises(ModelHTTPError) as caught:
        await Agent(model_of(server, client)).run("x", model_settings={"max_retries": 0})  # type: ignore[typeddict-unknown-key]
    assert caught.value.status_code == 429
    assert len(server.requests) == 1
