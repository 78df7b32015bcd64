"""I2 with redaction turned on: the values stay here, searched byte by byte in what real servers were sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.classifiers import frames
from tests.classifiers.test_redaction import OWN
from tests.e2e.house import House, open_house, script
from understudy import Attachment, Reply, Sensitivity, Task
from understudy.classifiers.gate import Gate
from understudy.classifiers.redaction import Redaction, redact
from understudy.director import way
from understudy.errors import PrivacyRefused, UnderstudyError
from understudy.types import Turn, Verdict

MAIL, PHONE = "lena.vogt@posteo.de", "+49 170 1234567"
CLOUD = ("groq", "gemini", "anthropic")
ON = '[privacy]\non_private = "redact"\n[director]\ncandidate = "anthropic/opus"\n'
SAYS = (
    {"pattern": r"(?s)Return JSON.*(\[EMAIL_1\])", "text": '{"mail": "\\1"}'},
    {"pattern": r"(?s)(\[EMAIL_1\]).*(\[PHONE_1\])", "text": "Dear \\1, we call \\2 tomorrow."},
    {"pattern": r"(\[EMAIL_1\])", "text": "Written to \\1."},
)
EVERYONE = {name: script(name, replies=SAYS) for name in CLOUD}  # type: ignore[arg-type]
LETTER = Task(f"Write a letter to {MAIL} and say that we call {PHONE}.", intent="quick_qa")


def leaks(house: House, *values: str) -> list[str]:
    return [n for n in house.servers for value in values if value.lower().encode() in house.bytes_at(n).lower()]


async def ask(tmp_path: Path, task: Task, *, top: str = ON, local: bool = False) -> tuple[Reply, House]:
    scripts = {**EVERYONE, "local": script("local")} if local else EVERYONE
    with open_house(tmp_path, scripts, top=top) as house:
        async with house.director() as director:
            return await director.run(task), house


async def test_the_values_stay_here_and_come_back_into_the_answer(tmp_path: Path) -> None:
    with open_house(tmp_path, EVERYONE, top=ON) as house:
        async with house.director() as director:
            reply = await director.run(LETTER)
            record = repr(await director.explain(reply.id))
    assert reply.text == f"Dear {MAIL}, we call {PHONE} tomorrow."
    assert leaks(house, MAIL, PHONE, "posteo", "1234567") == []
    assert b"[EMAIL_1]" in house.bytes_at("groq")
    assert "redacted:1 email,1 phone" in reply.sensitivity.reasons
    assert reply.sensitivity.sensitivity is Sensitivity.PRIVATE
    assert "redacted:1 email,1 phone" in record
    for value in (MAIL, PHONE):
        assert value not in record
        assert value not in repr(reply)


async def test_off_by_default(tmp_path: Path) -> None:
    with open_house(tmp_path, EVERYONE) as house:
        async with house.director() as director:
            with pytest.raises(PrivacyRefused):
                await director.run(LETTER)
        assert sum(map(house.received, CLOUD)) == 0


async def test_unplugged_the_values_would_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests are worth: with placeholders that nobody puts in, leaks() sees the values."""

    def careless(gate: Gate, task: Task, verdict: Verdict) -> Redaction | None:
        done = redact(gate, task, verdict)
        return done and replace(done, task=task)

    monkeypatch.setattr(way, "redact", careless)
    _, house = await ask(tmp_path, LETTER)
    assert leaks(house, MAIL) == ["groq"]


KEPT = {
    "secret": Task(f"to {MAIL}: password=Tr0ub4dor&3x"),
    "label": Task(f"to {MAIL}", sensitivity="private"),
    "agent": Task(f"to {MAIL}", agent="private"),
    "path": Task(f"to {MAIL}", files=(Attachment("a.pem", "x"),)),
    "health": Task(f"to {MAIL}: I was diagnosed with lupus"),
    "secret in a file": Task(f"to {MAIL}", files=(Attachment("a.env", "API_TOKEN=9f8e7d6c5b4a3f2e1d0c"),)),
    "secret in a turn": Task(f"to {MAIL}", history=(Turn("my password is swordfish99", "ok"),)),
}


@pytest.mark.parametrize("name", KEPT)
async def test_what_may_not_be_redacted_is_refused_and_nothing_is_sent(tmp_path: Path, name: str) -> None:
    with open_house(tmp_path, EVERYONE, top=f'private_paths = ["*.pem"]\n{ON}') as house:
        async with house.director() as director:
            with pytest.raises(PrivacyRefused):
                await director.run(KEPT[name])
        assert sum(map(house.received, CLOUD)) == 0


async def test_a_conversation_that_was_redacted_stays_here_from_then_on(tmp_path: Path) -> None:
    with open_house(tmp_path, {**EVERYONE, "local": script("local")}, top=ON) as house:
        async with house.director() as director:
            await director.run(replace(LETTER, session="one"))
            later = await director.run(Task("And now?", session="one", intent="quick_qa"))
        assert {a.provider for a in later.attempts} == {"local"}
        assert leaks(house, MAIL)[:1] == ["local"]
        assert [n for n in leaks(house, MAIL) if n != "local"] == []


async def test_an_answer_is_checked_as_its_caller_gets_it(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["mail"], "properties": {"mail": {"pattern": "^[a-z.]+@[a-z.]+$"}}}
    reply, house = await ask(tmp_path, Task(f"Return JSON with the mail {MAIL}", schema=schema, intent="quick_qa"))
    assert reply.data == {"mail": MAIL}
    assert leaks(house, MAIL) == []


async def test_the_reason_of_a_rejection_that_goes_back_holds_no_value(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["mail"], "properties": {"mail": {"pattern": "^never$"}}}
    with open_house(tmp_path, EVERYONE, top=ON) as house:
        async with house.director() as director:
            with pytest.raises(UnderstudyError) as caught:
                await director.run(Task(f"Return JSON with the mail {MAIL}", schema=schema, intent="quick_qa"))
    assert sum(map(house.received, CLOUD)) > 1
    assert leaks(house, MAIL) == []
    assert MAIL not in repr([a.error for a in caught.value.attempts])


async def test_neither_the_cloud_classifier_nor_the_director_nor_the_judge_sees_a_value(tmp_path: Path) -> None:
    """Without an intent of the caller's, of best quality, in several steps."""
    task = Task(
        f"First look up what {MAIL} wants, then compare it with {PHONE}, and finally write a report of it.",
        quality="best",
    )
    _, house = await ask(tmp_path, task)
    assert leaks(house, MAIL, PHONE) == []


@pytest.mark.parametrize("on_private", ["redact", "local"])
async def test_of_five_hundred_invented_tasks_no_byte_leaves(tmp_path: Path, on_private: str) -> None:
    rng, tasks, values = Random(11), list[Task](), list[str]()
    lines = [*frames.PERSONAL.strip().splitlines(), *frames.SECRETS.strip().splitlines()]
    gate = Gate()
    while len(tasks) < 500:
        put: list[tuple[str, str]] = []
        text = frames.filled(rng.choice(lines), rng, put)
        if not gate.look(text):
            continue
        values += [value for name, value in put if name in OWN]
        files = (Attachment("a.txt", text),) if rng.random() < 0.3 else ()
        history = (Turn(text, "yes"),) if not files and rng.random() < 0.3 else ()
        tasks.append(Task("Go on." if files or history else text, files=files, history=history, intent="quick_qa"))
    seats = asyncio.Semaphore(16)
    with open_house(tmp_path, EVERYONE, top=ON.replace("redact", on_private)) as house:
        async with house.director() as director:

            async def one(task: Task) -> bool:
                async with seats:
                    try:
                        await director.run(task)
                    except UnderstudyError:
                        return False
                    return True

            done = await asyncio.gather(*map(one, tasks))
        sent = b"\n".join(house.bytes_at(n).lower() for n in house.servers)
    assert [value for value in values if value.lower().encode() in sent] == []
    assert (sum(done) > 150) == (on_private == "redact")
    assert (sent.strip() == b"") == (on_private == "local")
