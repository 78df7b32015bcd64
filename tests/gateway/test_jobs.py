# ruff: noqa: ASYNC110 - what is waited for happens in other tasks and in a store
"""Jobs for those who asked: run once, seen by nobody else, ended in order. The tasks are played, the store is real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from understudy.errors import (
    BudgetRefused,
    NoCandidate,
    NoJob,
    QueueFull,
    StoreError,
    Unauthorized,
    UnderstudyError,
    UsageError,
)
from understudy.gateway import jobs as module
from understudy.gateway.jobs import Jobs
from understudy.gateway.task_record import KEPT, LARGEST, result_of, task_from_json, task_to_json
from understudy.store.jobs import Job
from understudy.store.store import Store
from understudy.types import (
    Amount,
    Attachment,
    Attempt,
    Balance,
    Caller,
    Chat,
    Event,
    Finished,
    Guess,
    Intent,
    Priority,
    Progress,
    Quality,
    Reply,
    Role,
    Sensitivity,
    Stage,
    Task,
    Text,
    Turn,
    Verdict,
)

SCOPES = frozenset({"jobs"})
PATIENT = 20.0  # seconds until a test gives up


class Now:
    """Time that the test moves; waiting is real, and short."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


ATTEMPT = Attempt("groq/a", "groq", "a", "a", Role.WORKER, "ok", input_tokens=7, output_tokens=3)


def reply_to(task: Task) -> Reply:
    return Reply(
        id="r-1",
        text=f"answer to {task.text}",
        data=None,
        session=task.session or "s-1",
        intent=Guess(Intent.QUICK_QA, 1.0, "caller"),
        sensitivity=Verdict(Sensitivity.PUBLIC),
        policy_name="v1",
        policy_hash="h",
        agent="quick",
        attempts=(ATTEMPT, replace(ATTEMPT, role=Role.JUDGE, candidate="groq/judge")),
        skipped=(),
        checks=(),
        director=Balance("d", 100, None, Amount(), Amount()),
        seconds=0.1,
    )


@dataclass
class Stagehand:
    """A director that plays: a task called `wait` waits for `go`, `fail` fails, `bug` raises what nobody expects."""

    store: Store
    go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Task] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # how each came out of stream()

    @property
    def parts(self) -> Stagehand:
        return self

    async def stream(self, task: Task) -> AsyncIterator[Event]:
        self.seen.append(task)
        try:
            yield Stage("gate")
            yield Progress("groq/a", 1)
            yield Progress("groq/a", 2)
            word = task.text.split()[0]
            if word == "wait":
                await self.go.wait()
            elif word == "fail":
                raise NoCandidate("Nobody is there.", remedy="Wait.", retry_after=5.0)
            elif word == "broke":
                raise BudgetRefused(unit="tokens", scope="caller:day:x", limit=1, spent=1, reserved=0, asked=1)
            elif word == "bug":
                raise ZeroDivisionError("canary of a text")
            yield Text("x")
            yield Finished(reply_to(task))
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
async def director(tmp_path: Path, clock: Now) -> AsyncIterator[Stagehand]:
    async with await Store.open(tmp_path, clock) as store:
        yield Stagehand(store)


async def key(director: Stagehand, name: str = "bot", **more: Any) -> Caller:
    return (await director.store.callers.add(Caller(name, scopes=SCOPES, **more)))[0].caller


@asynccontextmanager
async def opened(director: Stagehand, clock: Now, **more: Any) -> AsyncIterator[Jobs]:
    async with Jobs(director, clock, **{"drain": 0.02, **more}) as jobs:  # type: ignore[arg-type]
        yield jobs


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENT):
        while not true():
            await asyncio.sleep(0.01)


async def ended(jobs: Jobs, caller: Caller, job: Job, session: str | None = None) -> Job:
    async with asyncio.timeout(PATIENT):
        while not (found := await jobs.get(caller, job.id, session)).has_ended:
            await asyncio.sleep(0.01)
    return found


async def heard(jobs: Jobs, caller: Caller, job: Job, session: str | None = None, after: int = 0) -> list[Any]:
    async with asyncio.timeout(PATIENT):
        return [event async for event in jobs.events(caller, job.id, session, after=after)]


async def test_a_job_is_run_and_its_result_fetched(director: Stagehand, clock: Now) -> None:
    bot = await key(director, tokens_per_day=500)
    async with opened(director, clock) as jobs:
        job = await jobs.submit(bot, Task("hello", caller=Caller("somebody else")), "chat")
        assert job.state == "queued"
        done = await ended(jobs, bot, job, "chat")
        assert done.state == "done"
        assert done.result
        assert done.result["text"] == "answer to hello"
        assert (done.result["id"], done.result["candidate"], done.result["policy"]["name"]) == ("r-1", "groq/a", "v1")
        assert done.result["usage"] == {"input_tokens": 14, "output_tokens": 6, "total_tokens": 20}
        assert director.seen[0].caller == bot, "with the key's own limits"
        assert json.loads(json.dumps(done.as_dict()))["result"]["text"] == "answer to hello"
        assert "answer" not in repr(done)


@pytest.mark.parametrize(
    ("text", "type_", "more"),
    [
        ("fail", "NoCandidate", {"retry_after": 5.0, "exit_code": 3}),
        ("broke", "BudgetRefused", {"limit": 1, "exit_code": 4}),
        ("bug", "JobFailed", {"reason": "bug"}),
    ],
)
async def test_a_failure_is_told_as_its_type(
    director: Stagehand, clock: Now, text: str, type_: str, more: dict[str, Any]
) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs:
        failed = await ended(jobs, bot, await jobs.submit(bot, Task(text)))
        assert failed.error
        assert (failed.state, failed.error["type"], failed.result) == ("failed", type_, None)
        assert failed.error.items() >= more.items()
        assert "canary" not in str(failed.error)


async def test_events_go_on_where_the_reader_left_off(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        reading = asyncio.create_task(heard(jobs, bot, job))
        await until(lambda: director.store.jobs.since(job.id, 0)[1][-1]["type"] == "progress")
        director.go.set()
        events = await reading
        assert [e["n"] for e in events] == sorted({e["n"] for e in events})
        assert [e.get("state") or e.get("name") or e["chars"] for e in events] == [
            "queued",
            "running",
            "gate",
            2,
            "done",
        ]
        assert events[-1]["job"]["result"]["text"] == "answer to wait"
        assert all("job" not in e for e in events[:-1])
        for event in events:
            assert await heard(jobs, bot, job, after=event["n"]) == events[event["n"] :]
        assert await heard(jobs, bot, job, after=10_000) == []
    assert await heard(jobs, bot, job) == events, "also when the server is closing"


async def test_events_of_a_job_that_another_process_runs(director: Stagehand, clock: Now, tmp_path: Path) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs, await Store.open(tmp_path, clock) as store:
        other = Jobs(Stagehand(store), clock)  # type: ignore[arg-type]  # another process: it takes none
        job = await other.submit(bot, Task("wait"))
        reading = asyncio.create_task(heard(other, bot, job))
        await until(lambda: director.seen)
        director.go.set()
        assert (await reading)[-1]["job"]["state"] == "done"
        assert await ended(jobs, bot, job)


async def test_nobody_else_learns_of_a_job(director: Stagehand, clock: Now) -> None:
    bot, spy = await key(director), await key(director, "spy")
    admin = replace(await key(director, "root"), scopes=frozenset({"admin", "jobs"}))
    async with opened(director, clock) as jobs:
        for number, text in enumerate(("hello", "wait")):
            job = await jobs.submit(bot, Task(text), "mine")
            await until(lambda: len(director.seen) > number)  # noqa: B023 - called at once
            strangers = [
                *((c, job.id, s) for c in (spy, admin) for s in ("mine", None, "other")),
                *((bot, job.id, s) for s in (None, "other", "mine ", "\udc80")),
                (Caller("bot"), job.id, "mine"),  # somebody without a key, by that name
                (bot, "j-" + "0" * 24, "mine"),
                (bot, job.id + "0", "mine"),
                (bot, "\udc80' OR 1=1", "mine"),
            ]
            said = set()
            for caller, name, session in strangers:
                for ask in (
                    jobs.get(caller, name, session),
                    jobs.cancel(caller, name, session),
                    anext(jobs.events(caller, name, session)),
                ):
                    with pytest.raises(NoJob) as caught:
                        await ask
                    said.add(str(caught.value))
            assert len(said) == 1, "and nobody learns which of it is the case"
        assert (await jobs.get(bot, job.id, "mine")).state == "running", "nobody else could end it"


async def test_a_new_key_of_the_name_sees_its_jobs(director: Stagehand, clock: Now) -> None:
    old = await key(director)
    async with opened(director, clock) as jobs:
        job = await ended(jobs, old, await jobs.submit(old, Task("hello")))
        await director.store.callers.revoke("bot")
        assert await jobs.get(await key(director), job.id) == job


async def test_a_job_of_a_revoked_key_is_not_sent(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock, at_once=1) as jobs:
        first, second = await jobs.submit(bot, Task("wait")), await jobs.submit(bot, Task("hello"))
        await until(lambda: director.seen)
        await director.store.callers.revoke("bot")
        director.go.set()
        failed = await ended(jobs, bot, second)
        assert failed.error
        assert (failed.error["reason"], failed.error["message"]) == (
            "revoked",
            "The key bot was revoked before the job's turn came.",
        )
        assert (await ended(jobs, bot, first)).state == "done"
    assert [t.text for t in director.seen] == ["wait"]


async def test_a_key_that_allows_no_jobs_any_more(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    jobs = Jobs(director, clock)  # type: ignore[arg-type]
    job = await jobs.submit(bot, Task("hello"))
    await director.store.callers.revoke("bot")
    await director.store.callers.add(Caller("bot", scopes=frozenset({"chat"})))
    async with jobs:
        failed = await ended(jobs, bot, job)
    assert failed.error
    assert failed.error["type"] == "Forbidden"
    assert not director.seen


async def test_a_task_of_a_private_key_stays_private_under_the_next_one(director: Stagehand, clock: Now) -> None:
    bot = await key(director, private=True)
    jobs = Jobs(director, clock)  # type: ignore[arg-type]
    job = await jobs.submit(bot, Task("hello"))
    await director.store.callers.revoke("bot")
    open_to_all = await key(director)
    async with jobs:
        await ended(jobs, open_to_all, job)
    assert Sensitivity(director.seen[0].sensitivity) is Sensitivity.PRIVATE


async def test_events_end_with_the_key(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        reading = asyncio.create_task(heard(jobs, bot, job))
        await until(lambda: director.seen)
        await director.store.callers.revoke("bot")
        clock.time += module.AGE
        with pytest.raises(Unauthorized):
            await reading


async def test_without_a_key_where_that_is_allowed(director: Stagehand, clock: Now) -> None:
    here = Caller("loopback")
    async with opened(director, clock, keyless=here) as jobs:
        job = await ended(jobs, here, await jobs.submit(here, Task("hello")))
        assert job.state == "done"
        assert director.seen[0].caller == here
    async with opened(director, clock) as jobs:
        failed = await ended(jobs, here, await jobs.submit(here, Task("hello")))
        assert failed.error
        assert failed.error["reason"] == "revoked"
    assert len(director.seen) == 1


async def test_cancelled_in_each_state(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock, at_once=1) as jobs:
        running, queued = await jobs.submit(bot, Task("wait 1")), await jobs.submit(bot, Task("wait 2"))
        await until(lambda: director.seen)
        assert (await jobs.cancel(bot, queued.id)).state == "cancelled"
        reading = asyncio.create_task(heard(jobs, bot, running))
        assert (await jobs.cancel(bot, running.id)).state == "cancelled"
        assert (await reading)[-1]["state"] == "cancelled"
        assert director.ended == ["CancelledError"]
        done = await ended(jobs, bot, await jobs.submit(bot, Task("hello")))
        for job in (done, await jobs.get(bot, running.id), await jobs.get(bot, queued.id)):
            assert await jobs.cancel(bot, job.id) == job
    assert [t.text for t in director.seen] == ["wait 1", "hello"]


async def test_one_that_runs_in_another_process_notices(director: Stagehand, clock: Now, tmp_path: Path) -> None:
    bot = await key(director)
    async with opened(director, clock), await Store.open(tmp_path, clock) as store:
        other = Jobs(Stagehand(store), clock)  # type: ignore[arg-type]
        job = await other.submit(bot, Task("wait"))
        await until(lambda: director.seen)
        assert (await other.cancel(bot, job.id)).cancelling
        assert (await ended(other, bot, job)).state == "cancelled"
        assert director.ended == ["CancelledError"]


async def test_closing_gives_back_what_does_not_end_in_time(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    for _ in range(3):
        async with opened(director, clock) as jobs:
            job = await jobs.submit(bot, Task("wait"))
            await until(lambda: director.seen)
            reading = asyncio.create_task(heard(jobs, bot, job))
            await asyncio.sleep(0)
        assert "job" not in (await reading)[-1], "it goes on elsewhere"
        found = await jobs.get(bot, job.id)
        assert (found.state, found.attempts) == ("queued", 0)
        director.seen.clear()
    director.go.set()
    async with opened(director, clock) as jobs:
        assert (await ended(jobs, bot, job)).state == "done"


async def test_closing_waits_for_what_ends_in_time(director: Stagehand, clock: Now) -> None:
    bot = await key(director)

    class Slow(Now):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(PATIENT if seconds == 7.0 else 0.02)

    async with opened(director, Slow(), drain=7.0) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        await until(lambda: director.seen)
        asyncio.get_running_loop().call_later(0.2, director.go.set)
    assert (await jobs.get(bot, job.id)).state == "done"
    late = await jobs.submit(bot, Task("hello"))
    await asyncio.sleep(0.1)
    assert (await jobs.get(bot, late.id)).state == "queued", "a closed one takes none"


async def test_a_job_whose_lease_another_took_is_let_go(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        await until(lambda: director.seen)
        await director.store.database.write(lambda db: db.execute("UPDATE jobs SET owner = 'other'"))
        await until(lambda: director.ended)
        assert director.ended == ["CancelledError"]
        assert (await jobs.get(bot, job.id)).state == "running"
        assert await director.store.jobs.end("other", job.id, "done", result={"text": "theirs"})
        assert (await jobs.get(bot, job.id)).result == {"text": "theirs"}


async def test_leases_are_renewed(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        await until(lambda: director.seen)
        for _ in range(10):
            clock.time += 10.0
            then = clock.time
            await until(lambda: lease(director) >= then + 20.0)  # noqa: B023 - called at once
            assert await director.store.jobs.take("other", 1, 30.0, over=clock.time) == ()
        assert (await jobs.get(bot, job.id)).state == "running"


def lease(director: Stagehand) -> float:
    return director.store.database.glance(lambda db: db.execute("SELECT lease FROM jobs").fetchone()[0])


async def test_a_machine_that_slept_takes_nothing_from_the_living(
    director: Stagehand, clock: Now, tmp_path: Path
) -> None:
    bot = await key(director)
    async with (
        await Store.open(tmp_path, clock) as store,
        opened(director, clock),
        opened(Stagehand(store), clock) as other,
    ):
        job = await other.submit(bot, Task("wait"))
        await until(lambda: store.jobs.counts()["running"])
        clock.time += 3600.0
        await until(lambda: lease(director) > clock.time)
        await asyncio.sleep(0.2)
        assert (await other.get(bot, job.id)).attempts == 1
        await other.cancel(bot, job.id)


async def test_a_dead_ones_jobs_are_taken_over(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    jobs = Jobs(director, clock)  # type: ignore[arg-type]
    job = await jobs.submit(bot, Task("hello"))
    await director.store.jobs.take("dead", 1, 30.0, over=None)
    async with jobs:
        await asyncio.sleep(0.1)
        assert (await jobs.get(bot, job.id)).state == "running"
        for _ in range(4):  # as seconds pass, not at once: see the machine that slept
            clock.time += 10.0
            await asyncio.sleep(0.1)
        assert (await ended(jobs, bot, job)).attempts == 2


async def test_a_deadline_begins_when_the_job_is_asked_for(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    jobs = Jobs(director, clock)  # type: ignore[arg-type]
    late = await jobs.submit(bot, Task("late", deadline=10.0))
    early = await jobs.submit(bot, Task("early", deadline=100.0))
    open_ended = await jobs.submit(bot, Task("open"))
    clock.time += 30.0
    async with jobs:
        failed = await ended(jobs, bot, late)
        assert failed.error
        assert failed.error["reason"] == "late"
        await ended(jobs, bot, early)
        await ended(jobs, bot, open_ended)
    assert {t.text: t.deadline for t in director.seen} == {"early": 70.0, "open": None}


async def test_results_expire(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock, keep=50.0) as jobs:
        job = await ended(jobs, bot, await jobs.submit(bot, Task("hello")))
        clock.time += 49.0
        await asyncio.sleep(0.1)
        assert await jobs.get(bot, job.id) == job
        clock.time += 2.0
        await until(lambda: (director.store.jobs.find(job.id) or job).state == "expired")
        gone = await jobs.get(bot, job.id)
        assert (gone.result, gone.error) == (None, None)
        (last,) = await heard(jobs, bot, job)
        assert last["job"]["state"] == "expired"


async def test_a_full_queue_refuses_with_a_time(director: Stagehand, clock: Now) -> None:
    bot, other = await key(director), await key(director, "other")
    async with opened(director, clock, most_queued=8, at_once=1) as jobs:
        first = await jobs.submit(bot, Task("wait"))
        await until(lambda: director.seen)
        waiting = [await jobs.submit(bot, Task("wait")) for _ in range(2)]
        clock.time += 40.0
        with pytest.raises(QueueFull, match="of the key bot") as caught:
            await jobs.submit(bot, Task("hello"))
        assert caught.value.retry_after == pytest.approx(40.0), "in vain for 40 s, so for as long again"
        await jobs.submit(other, Task("hello"))
        await jobs.cancel(bot, waiting[0].id)
        await jobs.submit(bot, Task("hello"))
        assert (await jobs.get(bot, first.id)).state == "running"
        assert jobs.counts() == {"queued": 3, "running": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "  "},
        {"deadline": 0.0},
        {"deadline": float("nan")},
        {"max_tokens": 0},
        {"session": "a b"},
        {"schema": {"type": "no such type"}},
        {"schema": {"x": {1, 2}}},
        {"priority": "urgent"},
        {"text": "x" * (LARGEST + 1)},
    ],
)
async def test_what_can_be_no_task_is_refused_at_once(
    director: Stagehand, clock: Now, wrong: dict[str, object]
) -> None:
    bot = await key(director)
    jobs = Jobs(director, clock)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        await jobs.submit(bot, replace(Task("hello"), **wrong))
    with pytest.raises(UsageError):
        await jobs.submit(bot, Task("hello"), "no session\n")
    assert jobs.counts()["queued"] == 0


async def test_a_store_that_fails_for_a_while_loses_nothing(
    director: Stagehand, clock: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = await key(director)
    write, struck = director.store.database.write, 0

    async def failing(*args: Any, **more: Any) -> Any:
        nonlocal struck
        if director.seen and struck < 5:
            struck += 1
            raise StoreError("The disk is full.", remedy="Free some space.")
        return await write(*args, **more)

    monkeypatch.setattr(director.store.database, "write", failing)
    async with opened(director, clock) as jobs:
        job = await ended(jobs, bot, await jobs.submit(bot, Task("hello")))
        assert (job.state, job.attempts, struck) == ("done", 1, 5)


async def test_a_hundred_at_once_each_run_once(director: Stagehand, clock: Now, tmp_path: Path) -> None:
    bot = await key(director)
    async with await Store.open(tmp_path, clock) as store:
        hand = Stagehand(store)
        async with opened(director, clock, at_once=7) as one, opened(hand, clock, at_once=7) as two:
            asked = [await (one, two)[n % 2].submit(bot, Task(f"number {n}")) for n in range(100)]
            done = [await ended(two, bot, job) for job in asked]
    assert {job.result["text"] for job in done if job.result} == {f"answer to number {n}" for n in range(100)}
    texts = [t.text for t in director.seen + hand.seen]
    assert len(texts) == len(set(texts)) == 100


WHOLE = Task(
    "text \udc80",
    session="s",
    sensitivity=Sensitivity.PRIVATE,
    intent=Intent.CODING,
    policy="v1",
    agent="coder",
    quality=Quality.BEST,
    schema={"type": "object"},
    files=(Attachment("a.py", "pass"),),
    max_tokens=5,
    deadline=9.5,
    history=(Turn("u", "a"),),
    plan=False,
    priority=Priority.BATCH,
    patience=1.5,
    instructions="Be brief.",
    remember=False,
    candidate="groq/m",
    chat=Chat("openai", {"messages": []}, 5, 9, frozenset({"tools"}), ("said",), remote=True, tie="t"),
    among=("groq/m",),
    checks=("not_empty",),
    scopes=("campaign:c",),
)


def test_a_task_comes_back_as_it_was() -> None:
    plain = Task("")
    assert all(getattr(WHOLE, name) != getattr(plain, name) for name in KEPT), "every field of a task is tried"
    assert set(KEPT) == {f.name for f in fields(Task)} - {"caller"}
    assert task_from_json(task_to_json(replace(WHOLE, caller=Caller("bot")))) == WHOLE
    assert task_from_json('{"text": "of an older version"}') == Task("of an older version")


@pytest.mark.parametrize(
    "wrong", ["", "[]", "5", "{}", '{"text": 5}', '{"text": "x", "new": 1}', '{"text": "x", "files": [1]}']
)
def test_a_task_that_cannot_be_read_is_told(wrong: str) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        task_from_json(wrong)
    assert isinstance(caught.value, UnderstudyError)


def test_a_result_is_json_whatever_a_model_wrote() -> None:
    strange = replace(reply_to(Task("x")), data={"x": float("nan")}, attempts=())
    told = result_of(strange)
    json.dumps(told, allow_nan=False)
    assert (told["data"], told["candidate"]) == (None, None)


async def test_a_reader_that_leaves_is_forgotten(director: Stagehand, clock: Now) -> None:
    bot = await key(director)
    async with opened(director, clock) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        async with aclosing(jobs.events(bot, job.id)) as events:
            assert (await anext(events))["state"] == "queued"
            assert jobs._news._waiting
        assert not jobs._news._waiting


@pytest.mark.parametrize("wrong", [{"most_queued": 0}, {"at_once": 0}, {"keep": 0}, {"lease": 0}, {"lease": 1000.0}])
def test_jobs_without_room(director: Stagehand, clock: Now, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Jobs(director, clock, **wrong)  # type: ignore[arg-type]


async def test_time_that_passes_before_the_turn_to_write_takes_nothing_from_the_living(
    director: Stagehand, clock: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = await key(director)
    write = director.store.database.write

    async def sleepy(*args: Any, **more: Any) -> Any:
        if director.seen:
            clock.time += 100.0
        return await write(*args, **more)

    monkeypatch.setattr(director.store.database, "write", sleepy)
    async with opened(director, clock, at_once=2) as jobs:
        job = await jobs.submit(bot, Task("wait"))
        await until(lambda: director.seen)
        await asyncio.sleep(0.2)
        assert (await ended(jobs, bot, await jobs.submit(bot, Task("hello")))).attempts == 1
        assert (await jobs.get(bot, job.id)).attempts == 1
        await jobs.cancel(bot, job.id)
