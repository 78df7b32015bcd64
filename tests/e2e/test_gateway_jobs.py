"""Jobs over HTTP: asked for, polled, followed, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agents.stub import Reply, Stub
from tests.e2e.gateway_rig import Gateway, Says, asked, frames, gateway, hello, plays, until, write_config

JOBS = "/v1/jobs"
FRUIT = {"task": "Name a fruit.", "intent": "quick_qa"}
ENDED = ("done", "failed", "cancelled")


@asynccontextmanager
async def served(tmp_path: Path, **more: Any) -> AsyncGenerator[tuple[Gateway, Stub, httpx.AsyncClient]]:
    async with Stub() as stub, gateway(write_config(tmp_path, {"groq": stub.url}), tmp_path, **more) as server:
        plays(stub, Says("An apple."))
        yield server, stub, server.http(await server.key())


async def ended(http: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    while True:
        job = (await http.get(f"{JOBS}/{id_}")).json()
        if job["state"] not in ("queued", "running"):
            return job
        await asyncio.sleep(0.05)


async def test_submit_poll_and_follow(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _, http):
        made = await http.post(JOBS, json=FRUIT)
        assert made.status_code == 202
        job = made.json()
        assert made.headers["location"] == f"{JOBS}/{job['id']}"
        async with asyncio.timeout(30):
            done = await ended(http, job["id"])
        assert done["state"] == "done", done
        assert "An apple." in str(done)
        events = await http.get(f"{JOBS}/{job['id']}/events")
        assert events.headers["content-type"].startswith("text/event-stream")
        told = frames(events.content)
        assert [data["n"] for _, data in told] == sorted({data["n"] for _, data in told})
        assert told[-1][1]["job"]["state"] == "done"
        assert told[0][0] == told[0][1]["type"] == "state"
        middle = told[len(told) // 2][1]["n"]
        later = await http.get(f"{JOBS}/{job['id']}/events", headers={"last-event-id": str(middle)})
        assert [data["n"] for _, data in frames(later.content)] == [d["n"] for _, d in told if d["n"] > middle]
        seen = await http.get(f"{JOBS}/{job['id']}/events", headers={"last-event-id": str(told[-1][1]["n"])})
        assert (seen.status_code, seen.content) == (204, b""), "a browser would ask again for ever"
        bad = await http.get(f"{JOBS}/{job['id']}/events", headers={"last-event-id": "x"})
        assert bad.status_code == 400
        assert (await http.get(f"{JOBS}/j-{'0' * 24}")).status_code == 404
        assert (await http.get(f"{JOBS}/nonsense")).status_code == 404


async def test_a_conversation_as_a_job(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, stub, http):
        made = await http.post(JOBS, json={"messages": hello("Name a fruit."), "model": "groq/smart-70b", "seed": 3})
        assert made.status_code == 202, made.text
        async with asyncio.timeout(30):
            assert (await ended(http, made.json()["id"]))["state"] == "done"
        assert asked(stub)[-1].json["seed"] == 3


@pytest.mark.parametrize("form", [{"task": "Name a fruit."}, {"messages": hello("Name a fruit.")}])
@pytest.mark.parametrize("says", ["field", "metadata", "header"])
async def test_a_private_job_stays_here_however_it_is_said(tmp_path: Path, form: dict[str, Any], says: str) -> None:
    label = {"sensitivity": "private"}
    body = {**form, **{"field": label, "metadata": {"metadata": label}, "header": {}}[says]}
    async with served(tmp_path) as (_, stub, http):
        headers = {"x-understudy-sensitivity": "private"} if says == "header" else {}
        made = await http.post(JOBS, json=body, headers=headers)
        async with asyncio.timeout(30):
            done = await ended(http, made.json()["id"])
        assert (done["state"], done["error"]["type"]) == ("failed", "PrivacyRefused")
        assert asked(stub) == []


async def test_what_can_never_work_makes_no_job(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _, http):
        for body, status, says in (
            ({**FRUIT, "private": True}, 400, "private: a job has no such field"),
            ({**FRUIT, "model": "groq/none"}, 404, "There is no candidate"),
            ({"messages": hello(), "model": "groq/none"}, 404, "There is no candidate"),
        ):
            answer = await http.post(JOBS, json=body)
            assert (answer.status_code, says in answer.json()["error"]["message"]) == (status, True), answer.text


async def test_followed_while_it_runs_and_cancelled(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, stub, http):
        plays(stub, Reply(hang=60))
        job = (await http.post(JOBS, json=FRUIT)).json()
        raw = bytearray()

        async def follow() -> None:
            async with http.stream("GET", f"{JOBS}/{job['id']}/events") as response:
                async for piece in response.aiter_bytes():
                    raw.extend(piece)

        following = asyncio.create_task(follow())
        await until(lambda: asked(stub))
        gone = await http.delete(f"{JOBS}/{job['id']}")
        assert gone.status_code == 200
        async with asyncio.timeout(30):
            assert (await ended(http, job["id"]))["state"] == "cancelled"
            await following
        assert frames(bytes(raw))[-1][1]["job"]["state"] == "cancelled"
        await until(stub.hung_up.is_set)
        spent = await server.spent()
        assert (spent.reserved.tokens, spent.spent.tokens > 0) == (0, True)


async def test_a_full_queue_says_when(tmp_path: Path) -> None:
    async with served(tmp_path, most_queued=20) as (_, stub, http):
        plays(stub, Reply(hang=60))
        answers = [await http.post(JOBS, json=FRUIT) for _ in range(60)]
        refused = [a for a in answers if a.status_code == 429]
        assert refused
        assert {a.status_code for a in answers} == {202, 429}
        assert all(int(a.headers["retry-after"]) >= 1 for a in refused)
        await asyncio.gather(*(http.delete(f"{JOBS}/{a.json()['id']}") for a in answers if a.status_code == 202))


async def test_what_can_be_no_job(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, stub, http):
        for body in ({}, {"task": ""}, {"task": 3}, {"messages": []}, {**FRUIT, "schema": {"type": "nonsense"}}):
            answer = await http.post(JOBS, json=body)
            assert answer.status_code == 400, body
        for name, value in (("intent", "x"), ("quality", []), ("deadline", -1), ("priority", "x"), ("max_tokens", 0)):
            answer = await http.post(JOBS, json={**FRUIT, name: value})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
        assert asked(stub) == []
