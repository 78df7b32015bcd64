"""`understudy serve` as a program: signals, several workers, and what becomes of requests under way."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agents.stub import Stub
from tests.e2e.gateway_rig import (
    CLOUD,
    Program,
    Says,
    asked,
    environment,
    gateway,
    hello,
    key_at,
    plays,
    program,
    texts,
    until,
    write_config,
)
from tests.e2e.raw_server import RawServer
from tests.e2e.test_gateway_streams import MODEL, TEXT, held, read, text_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CHAT = "/v1/chat/completions"


async def test_an_sdk_against_the_program(tmp_path: Path) -> None:
    async with Stub() as stub:
        plays(stub, Says("Good day."))
        config = write_config(tmp_path, {"groq": stub.url})
        secret = await key_at(config, tmp_path)
        async with program(config, tmp_path) as server:
            client = server.openai(secret)
            done = await client.chat.completions.create(model=CLOUD, messages=hello())  # type: ignore[arg-type]
            assert done.choices[0].message.content == "Good day."
            stream = await client.chat.completions.create(model=CLOUD, messages=hello(), stream=True)  # type: ignore[arg-type]
            assert texts([chunk async for chunk in stream]) == "Good day."
            assert (await server.http().get("/readyz")).json() == {"status": "ready"}
        assert secret not in server.said()


def raw_config(folder: Path, url: str) -> Path:
    (folder / "a").write_text("key-a")
    (folder / "a").chmod(0o600)
    config = folder / "config.toml"
    config.write_text(
        '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
        f'[providers.groq]\nkind = "groq"\nbase_url = "{url}"\n'
        f'accounts = [ {{ name = "a", keys = ["file:{folder / "a"}"] }} ]\n'
        'models = [ { id = "openai/gpt-oss-20b" } ]\n'
    )
    return config


STREAMED = {"model": MODEL, "messages": hello(), "stream": True}


async def test_sigterm_lets_a_stream_end(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with RawServer("groq", TEXT, held(gate, 2)) as upstream:
        config = raw_config(tmp_path, upstream.url)
        secret = await key_at(config, tmp_path)
        async with program(config, tmp_path) as server:
            http, raw = server.http(secret), bytearray()
            async with http.stream("POST", CHAT, json=STREAMED) as response:
                reading = asyncio.create_task(read(response, raw))
                await until(lambda: text_in(CHAT, bytes(raw)))
                server.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(1)
                assert server.process.poll() is None, "it waits"
                gate.set()
                await reading
            assert text_in(CHAT, bytes(raw)) == TEXT
            assert b"[DONE]" in raw
            assert await server.ended() == 0


async def test_a_reload_drops_nobody_and_a_bad_configuration_changes_nothing(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with RawServer("groq", TEXT, held(gate, 2)) as upstream, Stub() as stub:
        plays(stub, Says("From the new one."))
        config = raw_config(tmp_path, upstream.url)
        secret = await key_at(config, tmp_path)
        old = config.read_text()
        async with program(config, tmp_path) as server:
            http, raw = server.http(secret), bytearray()

            async def listed() -> list[str]:
                return [m["id"] for m in (await http.get("/v1/models")).json()["data"]]

            async with http.stream("POST", CHAT, json=STREAMED) as response:
                reading = asyncio.create_task(read(response, raw))
                await until(lambda: text_in(CHAT, bytes(raw)))
                config.write_text("this is no TOML [")
                server.process.send_signal(signal.SIGHUP)
                await until(lambda: "not taken over" in server.said())
                assert MODEL in await listed()
                write_config(tmp_path, {"groq": stub.url})
                server.process.send_signal(signal.SIGHUP)
                await until(lambda: "Reloaded" in server.said())
                names = await listed()
                assert CLOUD in names
                assert MODEL not in names
                answer = await http.post(CHAT, json={"model": CLOUD, "messages": hello()})
                assert answer.json()["choices"][0]["message"]["content"] == "From the new one."
                gate.set()
                await reading
            assert text_in(CHAT, bytes(raw)) == TEXT, "it was begun by the old one, and ended by it"
            config.write_text(old)
            for _ in range(3):  # one behind the other
                server.process.send_signal(signal.SIGHUP)
            await until(lambda: server.said().count("Reloaded") >= 2)
            assert MODEL in await listed()


def workers(parent: int) -> list[psutil.Process]:
    return [c for c in psutil.Process(parent).children() if "--fd" in c.cmdline()]


async def test_two_workers_share_a_budget_and_are_replaced(tmp_path: Path) -> None:
    async with Stub() as stub:
        plays(stub, Says("Good day."))  # 15 tokens
        config = write_config(tmp_path, {"groq": stub.url})
        secret = await key_at(config, tmp_path, tokens_per_day=100 * 15)
        body = {"model": CLOUD, "messages": hello(), "max_tokens": 5}

        async def ask(server: Any) -> int:
            async with server.http(secret) as http:  # a connection of its own, so that both workers get some
                return (await http.post(CHAT, json=body)).status_code

        async with program(config, tmp_path, "--workers", "2") as server:
            await until(lambda: len(workers(server.process.pid)) == 2)
            found = [s for _ in range(15) for s in await asyncio.gather(*(ask(server) for _ in range(10)))]
            assert set(found) <= {200, 429}, found
            assert 80 <= found.count(200) <= 100
            assert len(asked(stub)) == found.count(200)
            first, second = workers(server.process.pid)
            os.kill(first.pid, signal.SIGKILL)
            await until(lambda: "another takes its place" in server.said())
            await until(lambda: len(workers(server.process.pid)) == 2)
            now = {w.pid for w in workers(server.process.pid)}
            assert second.pid in now
            assert first.pid not in now
            assert await ask(server) == 429
        assert not any(psutil.pid_exists(pid) for pid in now)
        async with gateway(config, tmp_path) as beside:
            spent = await beside.spent()
        assert spent.spent.tokens == 15 * found.count(200)


async def test_workers_without_their_parent_end(tmp_path: Path) -> None:
    async with Stub() as stub:
        config = write_config(tmp_path, {"groq": stub.url})
        async with program(config, tmp_path, "--workers", "2", "--no-key") as server:
            await until(lambda: len(workers(server.process.pid)) == 2)
            assert (await server.http().get("/v1/models")).status_code == 200
            left = [w.pid for w in workers(server.process.pid)]
            server.process.kill()
            await until(lambda: not any(psutil.pid_exists(pid) for pid in left))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--host", "0.0.0.0", "--no-key"), "only this machine"),
        (
            (
                "--host",
                "no.such.host.invalid",
            ),
            "cannot be had",
        ),
        (("--port", "70000"), "port"),
    ],
)
async def test_what_cannot_be_served_is_told(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    import sys

    config = write_config(tmp_path, {"groq": "http://127.0.0.1:9"})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "understudy", "serve", "--config", str(config), *arguments,
        stdout=-1, stderr=-1, stdin=-3, env=environment(tmp_path),
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode not in (0, None)
    assert says in err.decode()
    assert b"Traceback" not in err
    assert out == b""


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_NOFILE"), reason="limits of another process: Linux alone")
async def test_more_clients_than_files_cost_no_provider_its_name(tmp_path: Path) -> None:
    async with Stub() as stub:
        plays(stub, Says("Good day."))
        config = write_config(tmp_path, {"groq": stub.url})
        secret = await key_at(config, tmp_path)
        async with program(config, tmp_path) as server:
            _, hard = psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_NOFILE)
            psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_NOFILE, (100, hard))
            body = {"model": CLOUD, "messages": hello()}
            crowd = [server.http(secret) for _ in range(150)]
            answers = await asyncio.gather(*(c.post(CHAT, json=body) for c in crowd), return_exceptions=True)
            told = [a.status_code for a in answers if not isinstance(a, BaseException)]
            assert 0 < len(told) < 150, "who finds no place is sent away"
            assert set(told) == {200}, "and who finds one is served"
            for client in crowd:
                await client.aclose()
            await until(lambda: psutil.Process(server.process.pid).num_fds() < 80)
            assert (await server.http(secret).post(CHAT, json=body)).status_code == 200


async def test_a_key_is_printed_for_each_port_and_ends_with_the_next_of_it(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"groq": "http://127.0.0.1:9"})

    async def opens(server: Program) -> int:
        return (await server.http(server.told["key"]).get("/v1/models")).status_code

    async with program(config, tmp_path, "--print-key") as one, program(config, tmp_path, "--print-key") as other:
        assert [await opens(one), await opens(other)] == [200, 200], "another server's key stays one"
        port = str(one.told["url"]).rpartition(":")[2]
    async with program(config, tmp_path, "--print-key", "--port", port) as again:
        assert await opens(again) == 200
        assert "is revoked" in again.said()
        assert (await again.http(one.told["key"]).get("/v1/models")).status_code == 401


async def test_control_c_ends_workers_without_a_word(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    async with program(config, tmp_path, "--workers", "2") as server:
        await until(lambda: "note: " in server.said())  # what a single process tells, too
        os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does
        assert await server.ended() == 0
        assert "interrupted" not in server.said()
