"""The SDKs of openai, anthropic and groq, unchanged, against the gateway: what each of them sends and reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.agents.stub import Reply, Stub
from tests.e2e.gateway_rig import (
    CLOUD,
    HOME,
    OTHER,
    SUM,
    TOP,
    WEATHER,
    Says,
    asked,
    gateway,
    hello,
    plays,
    texts,
    write_config,
)
from tests.e2e.house import open_house, script

PIXEL = base64.b64encode(bytes.fromhex("89504e470d0a1a0a")).decode()
CALL = ("weather", {"city": "Riga"}, "call_1")


class Fruit(BaseModel):
    name: str
    sweet: bool


async def test_openai_chat_whole_and_streamed(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says("Good day.", used=(12, 3)))
        client = server.openai(await server.key())
        whole = await client.chat.completions.with_raw_response.create(model=CLOUD, messages=hello(), seed=7)  # type: ignore[arg-type]
        done = whole.parse()
        assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("Good day.", "stop")
        assert done.usage is not None
        assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (12, 3, 15)
        assert (done.model, done.object) == (CLOUD, "chat.completion")
        assert whole.headers["x-understudy-candidate"] == CLOUD
        assert whole.headers["x-understudy-policy"] == "named"
        assert whole.headers["x-understudy-reply-id"] in done.id
        sent = asked(stub)[-1].json
        assert sent == {"messages": hello(), "seed": 7, "model": "smart-70b", "max_completion_tokens": 4096}

        stream = await client.chat.completions.create(
            model=CLOUD,
            messages=hello(),  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert texts(chunks) == "Good day."
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[0].choices[0].delta.role == "assistant"
        assert not chunks[-1].choices
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 15
        assert {c.id for c in chunks} == {chunks[0].id}
        assert chunks[0].id != done.id


async def test_every_chunk_has_a_choice_for_who_did_not_ask_for_usage(tmp_path: Path) -> None:
    """Half of all scripts say chunk.choices[0]."""
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says("Good day."))
        client = server.openai(await server.key())
        names = set()
        for _ in range(3):
            stream = await client.chat.completions.create(model=CLOUD, messages=hello(), stream=True)  # type: ignore[arg-type]
            chunks = [chunk async for chunk in stream]
            assert all(chunk.choices for chunk in chunks)
            names.add(chunks[0].id)
        assert len(names) == 3, "clients tell answers apart by their ids"


async def test_openai_tools_in_two_turns(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says(calls=[CALL, ("weather", {"city": "Oslo", "days": 2}, "call_2")]), Says("Rain in both."))
        client = server.openai(await server.key())
        messages: list[Any] = hello("What is the weather in Riga and Oslo?")
        tools: list[Any] = [WEATHER, SUM]
        first = (await client.chat.completions.create(model="understudy/auto", messages=messages, tools=tools)).choices[
            0
        ]
        assert first.finish_reason == "tool_calls"
        calls = first.message.tool_calls
        assert calls is not None
        assert [(c.id, json.loads(c.function.arguments)) for c in calls] == [  # type: ignore[union-attr]
            ("call_1", {"city": "Riga"}),
            ("call_2", {"city": "Oslo", "days": 2}),
        ]
        messages += [first.message.model_dump(exclude_none=True)]
        messages += [{"role": "tool", "tool_call_id": c.id, "content": "rain"} for c in calls]
        second = (
            await client.chat.completions.create(model="understudy/auto", messages=messages, tools=tools)
        ).choices[0]
        assert (second.message.content, second.finish_reason) == ("Rain in both.", "stop")
        sent = asked(stub)[-1].json
        assert sent["tools"] == tools
        assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool", "tool"]
        assert [m.get("tool_call_id") for m in sent["messages"][2:]] == ["call_1", "call_2"]
        assert [c["id"] for c in sent["messages"][1]["tool_calls"]] == ["call_1", "call_2"]


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_tool_choices(tmp_path: Path, stream: bool) -> None:
    named = {"type": "function", "function": {"name": "weather"}}
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        client = server.openai(await server.key())
        for choice, parallel in (("auto", None), ("required", False), (named, True), ("none", None)):
            plays(stub, Says("No tool.") if choice == "none" else Says(calls=[CALL]))
            more: dict[str, Any] = {} if parallel is None else {"parallel_tool_calls": parallel}
            asking: Any = client.chat.completions.create
            done = await asking(
                model=CLOUD, messages=hello(), tools=[WEATHER], tool_choice=choice, stream=stream, **more
            )
            if stream:
                chunks = [chunk async for chunk in done]
                deltas = [d for c in chunks for d in (c.choices[0].delta.tool_calls or [] if c.choices else [])]
                assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == (
                    "stop" if choice == "none" else "tool_calls"
                )
                if choice != "none":
                    assert deltas[0].id == "call_1"
                    assert "".join(d.function.arguments for d in deltas) == '{"city": "Riga"}'
            else:
                assert bool(done.choices[0].message.tool_calls) == (choice != "none")
            sent = asked(stub)[-1].json
            assert sent["tool_choice"] == choice
            assert sent.get("parallel_tool_calls") == parallel


async def test_openai_stream_helper_with_tools(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says(calls=[CALL]))
        client = server.openai(await server.key())
        strict = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
        tools: Any = [strict]
        async with client.chat.completions.stream(model=CLOUD, messages=hello(), tools=tools) as stream:  # type: ignore[arg-type]
            events = [event.type async for event in stream]
            final = await stream.get_final_completion()
        assert "tool_calls.function.arguments.done" in events
        calls = final.choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].function.arguments == '{"city": "Riga"}'


async def test_openai_json_schema(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        client = server.openai(await server.key())
        plays(stub, Says('{"name": "apple"}'), Says('{"name": "apple", "sweet": true}'))
        done = await client.chat.completions.parse(model=CLOUD, messages=hello(), response_format=Fruit)  # type: ignore[arg-type]
        assert done.choices[0].message.parsed == Fruit(name="apple", sweet=True)
        first, second = asked(stub)
        assert first.json["response_format"]["json_schema"]["schema"]["required"] == ["name", "sweet"]
        assert "rejected" in second.json["messages"][-1]["content"], "it was told why"
        plays(stub, Says('{"name": "apple", "sweet": true}'))
        plain = await client.chat.completions.parse(
            model="understudy/auto",
            messages=hello(),  # type: ignore[arg-type]
            response_format=Fruit,
        )
        assert plain.choices[0].message.parsed == Fruit(name="apple", sweet=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_logprobs(tmp_path: Path, stream: bool) -> None:
    token = {"token": "Good", "logprob": -0.25, "bytes": None, "top_logprobs": []}
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says("Good", logprobs=[token]))
        client = server.openai(await server.key())
        asking: Any = client.chat.completions.create
        done = await asking(model="understudy/auto", messages=hello(), logprobs=True, top_logprobs=2, stream=stream)
        assert asked(stub)[-1].json["top_logprobs"] == 2
        if not stream:
            assert done.choices[0].logprobs.content[0].logprob == -0.25
            return
        found = [c.choices[0].logprobs async for c in done if c.choices and c.choices[0].logprobs]
        assert [t.logprob for f in found for t in f.content] == [-0.25]


async def test_openai_images(tmp_path: Path) -> None:
    def picture(url: str) -> Any:
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
        return [{"role": "user", "content": parts}]

    from openai import BadRequestError

    async with Stub() as stub, Stub() as home:
        config = write_config(tmp_path, {"groq": stub.url, "local": home.url})
        async with gateway(config, tmp_path) as server:
            plays(stub, Says("A pixel."))
            plays(home, Says("A pixel at home."))
            client = server.openai(await server.key())
            data = f"data:image/png;base64,{PIXEL}"
            done = await client.chat.completions.create(model=CLOUD, messages=picture(data))
            assert done.choices[0].message.content == "A pixel."
            assert asked(stub)[-1].json["messages"] == picture(data)
            away = "https://example.com/a.png"
            await client.chat.completions.create(model="understudy/auto", messages=picture(away))
            assert asked(stub)[-1].json["messages"] == picture(away)
            before = len(asked(stub))
            for bad in (
                "http://127.0.0.1/a.png",
                "http://10.1.2.3/a.png",
                "http://[::1]/a.png",
                "http://169.254.169.254/latest",
                "http://2130706433/a.png",
                "file:///etc/passwd",
                "http://localhost/a.png",
                "ftp://example.com/a.png",
            ):
                with pytest.raises(BadRequestError) as caught:
                    await client.chat.completions.create(model=CLOUD, messages=picture(bad))
                assert caught.value.param == "messages[0].content[1].image_url.url", bad
            with pytest.raises(BadRequestError):
                await client.chat.completions.create(model=HOME, messages=picture(away))
            assert len(asked(stub)) == before
            assert asked(home) == [], "a server at home would fetch what is only meant for this machine"
            done = await client.chat.completions.create(model=HOME, messages=picture(data))
            assert done.choices[0].message.content == "A pixel at home."


async def test_openai_responses(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        client = server.openai(await server.key())
        plays(stub, Says("Good day.", used=(12, 3)))
        done = await client.responses.create(model=CLOUD, input="Hello", instructions="Be brief.")
        assert (done.output_text, done.status) == ("Good day.", "completed")
        assert done.usage is not None
        assert (done.usage.input_tokens, done.usage.output_tokens) == (12, 3)
        assert [m["role"] for m in asked(stub)[-1].json["messages"]] == ["system", "user"]

        async with client.responses.stream(model=CLOUD, input="Hello") as stream:
            events = [event async for event in stream]
            final = await stream.get_final_response()
        assert final.output_text == "Good day."
        kinds = [event.type for event in events]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "Good day."
        assert [e.sequence_number for e in events] == list(range(len(events)))

        parsed = None
        plays(stub, Says('{"name": "apple", "sweet": true}'))
        parsed = await client.responses.parse(model=CLOUD, input="A fruit.", text_format=Fruit)
        assert parsed.output_parsed == Fruit(name="apple", sweet=True)


async def test_openai_responses_with_tools(tmp_path: Path) -> None:
    tool: Any = {"type": "function", **WEATHER["function"], "strict": False}
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        client = server.openai(await server.key())
        plays(stub, Says("Let me look.", calls=[CALL]), Says("Rain."), Says(calls=[CALL]))
        conversation: list[Any] = [{"role": "user", "content": "The weather in Riga?"}]
        first = await client.responses.create(model="understudy/auto", input=conversation, tools=[tool])
        assert [item.type for item in first.output] == ["message", "function_call"]
        call: Any = first.output[1]
        assert (call.name, json.loads(call.arguments), call.call_id) == ("weather", {"city": "Riga"}, "call_1")
        conversation += [item.model_dump(exclude_none=True) for item in first.output]
        conversation += [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
        second = await client.responses.create(model="understudy/auto", input=conversation, tools=[tool])
        assert second.output_text == "Rain."
        sent = asked(stub)[-1].json["messages"]
        assert sent[-1] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
        named: Any = {"type": "function", "name": "weather"}
        async with client.responses.stream(model=CLOUD, input="Hi", tools=[tool], tool_choice=named) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        assert "response.function_call_arguments.done" in kinds
        assert final.output[0].type == "function_call"
        assert asked(stub)[-1].json["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


async def test_what_responses_cannot_do_is_named(tmp_path: Path) -> None:
    from openai import BadRequestError

    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        client = server.openai(await server.key())
        more: Any
        for name, more in (
            ("previous_response_id", {"previous_response_id": "resp_1"}),
            ("background", {"background": True}),
            ("tools[0].type", {"tools": [{"type": "web_search"}]}),
        ):
            with pytest.raises(BadRequestError) as caught:
                await client.responses.create(model=CLOUD, input="Hi", **more)
            assert caught.value.param == name
        with pytest.raises(BadRequestError) as caught:
            await client.chat.completions.create(model=CLOUD, messages=hello(), n=2)  # type: ignore[arg-type]
        assert caught.value.param == "n"


async def test_openai_embeddings(tmp_path: Path) -> None:
    from openai import BadRequestError, UnprocessableEntityError

    def vectors(seen: Any) -> Reply:
        told = seen.json
        assert seen.path == "/v1/embeddings"
        raw = told.get("encoding_format") == "base64"
        one = base64.b64encode(b"\0\0\x80?\0\0\0@").decode() if raw else [1.0, 2.0]
        rows = [{"object": "embedding", "index": n, "embedding": one} for n in range(len(told["input"]))]
        return Reply(body={"object": "list", "data": rows[: count[0]], "model": "e", "usage": {"prompt_tokens": 7}})

    count = [100]
    async with Stub() as stub, Stub() as other:
        config = write_config(tmp_path, {"groq": other.url, "local": stub.url})
        config.write_text(
            config.read_text().replace(
                'id = "tiny-chat", capabilities = ["tools", "json", "vision", "logprobs"]',
                'id = "tiny-chat", capabilities = ["embeddings"]',
            )
        )
        async with gateway(config, tmp_path) as server:
            client = server.openai(await server.key())
            plays(stub, vectors)
            plays(other, Says("Good day."))
            done = await client.embeddings.create(model=HOME, input=["a", "b", "me@example.com"])
            assert [d.embedding for d in done.data] == [[1.0, 2.0]] * 3
            assert done.usage.prompt_tokens == 7
            done = await client.embeddings.create(model=HOME, input="a", encoding_format="float", dimensions=2)
            assert asked(stub)[-1].json == {
                "input": ["a"], "encoding_format": "float", "dimensions": 2, "model": "tiny-chat",
            }  # fmt: skip
            assert (await server.spent()).spent.tokens == 14
            count[0] = 1
            with pytest.raises(UnprocessableEntityError):
                await client.embeddings.create(model=HOME, input=["a", "b"])
            with pytest.raises(BadRequestError):  # who embeds answers nothing
                await client.chat.completions.create(model=HOME, messages=hello())  # type: ignore[arg-type]
            with pytest.raises(BadRequestError):
                await client.embeddings.create(model=CLOUD, input="a")
            with pytest.raises(BadRequestError):
                await client.embeddings.create(model="understudy/auto", input="a")
            assert asked(other) == []
            chat = await client.chat.completions.create(model="understudy/auto", messages=hello())  # type: ignore[arg-type]
            assert chat.choices[0].message.content == "Good day.", "and nobody takes it for one who answers"


async def test_models_in_both_dialects(tmp_path: Path) -> None:
    from openai import NotFoundError

    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        secret = await server.key()
        client = server.openai(secret)
        listed = [m.id async for m in client.models.list()]
        assert {"understudy/auto", "understudy/private", CLOUD} <= set(listed)
        assert (await client.models.retrieve(CLOUD)).owned_by == "groq"
        with pytest.raises(NotFoundError):
            await client.models.retrieve("none/such")
        assert [m.id async for m in server.anthropic(secret).models.list()] == listed
        first = (await server.anthropic(secret).models.list()).data[0]
        assert (first.type, first.display_name) == ("model", first.id)
        assert [m.id for m in (await server.groq(secret).models.list()).data] == listed


async def test_anthropic_messages_whole_and_streamed(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says("Good day.", used=(12, 3)))
        client = server.anthropic(await server.key())
        done = await client.messages.create(model=CLOUD, max_tokens=99, system="Be brief.", messages=hello())  # type: ignore[arg-type]
        assert [(b.type, getattr(b, "text", "")) for b in done.content] == [("text", "Good day.")]
        assert (done.stop_reason, done.usage.input_tokens, done.usage.output_tokens) == ("end_turn", 12, 3)
        sent = asked(stub)[-1].json
        assert [m["role"] for m in sent["messages"]] == ["system", "user"]
        assert sent["max_completion_tokens"] == 99
        for model in (CLOUD, "understudy/auto"):
            async with client.messages.stream(model=model, max_tokens=99, messages=hello()) as stream:  # type: ignore[arg-type]
                said = "".join([text async for text in stream.text_stream])
                final = await stream.get_final_message()
            assert said == "Good day."
            assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 3)
            assert final.usage.input_tokens == 12
        assert (await client.messages.count_tokens(model=CLOUD, messages=hello("word " * 100))).input_tokens > 50  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_tools_in_two_turns(tmp_path: Path, stream: bool) -> None:
    tool: Any = {"name": "weather", "description": "It tells.", "input_schema": WEATHER["function"]["parameters"]}
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        client = server.anthropic(await server.key())

        async def ask(messages: list[Any], **more: Any) -> Any:
            said: dict[str, Any] = {"model": "understudy/auto", "max_tokens": 99, "messages": messages, "tools": [tool]}
            if not stream:
                return await client.messages.create(**said, **more)
            async with client.messages.stream(**said, **more) as streaming:
                return await streaming.get_final_message()

        plays(stub, Says("Let me look.", calls=[CALL, ("weather", {"city": "Oslo"}, "call_2")]), Says("Rain."))
        messages: list[Any] = hello("The weather in Riga?")
        first = await ask(messages)
        assert first.stop_reason == "tool_use"
        assert [b.type for b in first.content] == ["text", "tool_use", "tool_use"]
        assert [(b.id, b.input) for b in first.content[1:]] == [
            ("call_1", {"city": "Riga"}),
            ("call_2", {"city": "Oslo"}),
        ]
        messages += [
            {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "rain"}]},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "no such city", "is_error": True},
                    {"type": "text", "text": "And now?"},
                ],
            },
        ]
        second = await ask(messages, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
        assert second.content[0].text == "Rain."
        sent = asked(stub)[-1].json
        assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool", "tool", "user"]
        assert sent["messages"][3] == {"role": "tool", "tool_call_id": "call_2", "content": "Error: no such city"}
        assert sent["parallel_tool_calls"] is False
        plays(stub, Says(calls=[CALL]))
        for choice, theirs in (
            ({"type": "any"}, "required"),
            ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ):
            assert (await ask(hello(), tool_choice=choice)).stop_reason == "tool_use"
            assert asked(stub)[-1].json["tool_choice"] == theirs


async def test_anthropic_to_anthropic_and_gemini_behind_openai(tmp_path: Path) -> None:
    """Each dialect in front of the others' wires, on servers that were written for the SDKs."""
    tool: Any = {"name": "weather", "input_schema": WEATHER["function"]["parameters"]}
    scripts = {name: script(name) for name in ("groq", "gemini", "anthropic", "openai", "local")}  # type: ignore[arg-type]
    with open_house(tmp_path / "house", scripts, top=TOP) as house:
        house.config.write_text(house.config.read_text().replace("base_url", "enabled = true\nbase_url"))
        async with gateway(house.config, tmp_path) as server:
            secret = await server.key()
            a, o = server.anthropic(secret), server.openai(secret)
            models = [c.name for c in server.director.parts.fleet if "tools" in c.capabilities]
            assert {m.partition("/")[0] for m in models} >= {"groq", "gemini", "anthropic", "openai"}
            for provider in ("groq", "gemini", "anthropic", "openai"):
                model = next(m for m in models if m.startswith(f"{provider}/"))
                text = await o.chat.completions.create(model=model, messages=hello("Name a fruit."))  # type: ignore[arg-type]
                assert "simulated" in (text.choices[0].message.content or ""), model
                asking: Any = {"model": model, "messages": hello("The weather in Riga?"), "tools": [WEATHER]}
                streaming = await o.chat.completions.create(**asking, tool_choice="required", stream=True)
                chunks = [chunk async for chunk in streaming]
                deltas = [d for c in chunks for d in (c.choices[0].delta.tool_calls or [] if c.choices else [])]
                assert [d.function.name for d in deltas] == ["weather"], model
                assert deltas[0].id
                called = await a.messages.create(
                    model=model, max_tokens=500, messages=hello("The weather in Riga?"), tools=[tool],  # type: ignore[arg-type]
                    tool_choice={"type": "any"},
                )  # fmt: skip
                use: Any = called.content[-1]
                assert (use.type, use.name) == ("tool_use", "weather"), model
                result = {"type": "tool_result", "tool_use_id": use.id, "content": "It rains."}
                turns: Any = [
                    *hello("The weather in Riga?"),
                    {"role": "assistant", "content": [use.model_dump(include={"type", "id", "name", "input"})]},
                    {"role": "user", "content": [result]},
                ]
                async with a.messages.stream(model=model, max_tokens=500, messages=turns, tools=[tool]) as stream:
                    final = await stream.get_final_message()
                assert "It rains" in final.content[0].text, model  # type: ignore[union-attr]


async def test_groq_sdk(tmp_path: Path) -> None:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says("Good day."))
        client = server.groq(await server.key())
        done = await client.chat.completions.create(model=CLOUD, messages=hello())  # type: ignore[arg-type]
        assert done.choices[0].message.content == "Good day."
        stream = await client.chat.completions.create(model=CLOUD, messages=hello(), stream=True)  # type: ignore[arg-type]
        assert texts([chunk async for chunk in stream]) == "Good day."
        plays(stub, Says(calls=[CALL]))
        called = await client.chat.completions.create(model=CLOUD, messages=hello(), tools=[WEATHER])  # type: ignore[arg-type]
        calls = called.choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].function.name == "weather"


@pytest.mark.parametrize("stream", [False, True])
async def test_ids_of_tool_calls_are_unique_whatever_comes(tmp_path: Path, stream: bool) -> None:
    same = [
        ("weather", {"city": "Riga"}, "call_1"),
        ("weather", {"city": "Oslo"}, "call_1"),
        ("weather", {"city": "Bonn"}, ""),
    ]
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path) as server:
        plays(stub, Says(calls=same))
        client = server.openai(await server.key())
        function = {"name": "weather", "arguments": "{}"}
        messages: Any = [
            *hello(),
            {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        ]
        asking: Any = client.chat.completions.create
        done = await asking(model=CLOUD, messages=messages, tools=[WEATHER], stream=stream)
        if stream:
            calls = [d for c in [c async for c in done] if c.choices for d in c.choices[0].delta.tool_calls or []]
        else:
            calls = done.choices[0].message.tool_calls
        ids = [c.id for c in calls]
        assert len({*ids, "call_1", ""}) == 5
        assert [json.loads(c.function.arguments)["city"] for c in calls] == ["Riga", "Oslo", "Bonn"]


async def test_a_wrong_tool_call_is_repaired_once_and_else_another_is_asked(tmp_path: Path) -> None:
    from openai import UnprocessableEntityError

    wrong, right = Says(calls=[("weather", {"town": "Riga"}, "call_1")]), Says(calls=[CALL])
    async with Stub() as first, Stub() as second:
        config = write_config(tmp_path, {"groq": first.url, "openai": second.url})
        async with gateway(config, tmp_path) as server:
            client = server.openai(await server.key())
            asking: Any = client.chat.completions.create

            async def ask(model: str, text: str = "Hello") -> Any:
                return (await asking(model=model, messages=hello(text), tools=[WEATHER])).choices[0].message.tool_calls

            plays(first, wrong, right)
            assert (await ask(CLOUD))[0].function.arguments == '{"city": "Riga"}'
            remark = asked(first)[1].json["messages"][-1]
            assert remark["role"] == "user"
            assert "city" in remark["content"]
            others = Says(calls=[("nothing_there", {}, "c")]), Says(calls=[("weather", "{not json", "c")])
            for number, bad in enumerate((wrong, *others)):
                first.seen.clear()
                second.seen.clear()
                plays(first, bad)
                plays(second, right)
                made = await ask("understudy/auto", f"Hello {number}")
                assert made[0].function.arguments == '{"city": "Riga"}'
                assert (len(asked(first)), len(asked(second))) == (2, 1), "once more, then the next"
            plays(first, wrong)
            plays(second, wrong)
            with pytest.raises(UnprocessableEntityError) as caught:
                await ask(OTHER)
            assert caught.value.code == "validation_failed"


@pytest.mark.parametrize("small", ["context = 9000", "context = 100000, tokens_per_minute = 9000"])
async def test_what_nobody_can_ever_hold_is_no_matter_of_waiting(tmp_path: Path, small: str) -> None:
    """Claude Code asks ten times more after a 503."""
    async with Stub() as stub:
        plays(stub, Says("Hello."))
        config = write_config(tmp_path, {"groq": stub.url})
        config.write_text(config.read_text().replace("context = 100000", small))
        async with gateway(config, tmp_path) as server:
            http = server.http(await server.key())
            for model in (CLOUD, "understudy/auto"):
                asked_ = {"model": model, "messages": hello("word " * 30_000)}
                answer = await http.post("/v1/chat/completions", json=asked_)
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded"), (
                    answer.text
                )
                assert "prompt is too long" in answer.text, "by which Claude Code knows"
            assert (
                await http.post("/v1/chat/completions", json={"model": CLOUD, "messages": hello()})
            ).status_code == 200
        assert len(asked(stub)) == 1


async def test_a_tool_conversation_stays_where_it_is(tmp_path: Path) -> None:
    async with Stub() as first, Stub() as second:
        config = write_config(tmp_path, {"groq": first.url, "openai": second.url})
        async with gateway(config, tmp_path) as server:
            client = server.openai(await server.key())
            asking: Any = client.chat.completions.create
            plays(second, Says("From the second."))

            async def turn(messages: list[dict[str, Any]], **more: Any) -> str:
                done = await asking(model="understudy/auto", messages=messages, tools=[WEATHER], **more)
                return done.choices[0].message.content

            plays(first, Says(), Says())
            long = [*hello("A long story."), {"role": "assistant", "content": "So."}, *hello("And?")]
            assert await turn(hello("A long story.")) == "From the second."
            plays(first, Says("From the first."))
            before = len(asked(first))
            assert await turn(long) == "From the second.", "who began it goes on"
            assert len(asked(first)) == before
            told = await server.director.explain((await server.director.parts.store.replies.recent(1))[0]["id"])
            assert "gave the last answer" in json.dumps(told)
            assert await turn(hello("Another story.")) == "From the first."
