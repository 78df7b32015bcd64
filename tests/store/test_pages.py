"""The same promises wherever the pages are kept: memory, a file, Redis, PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.store.servers import PASSWORD, Server
from understudy.errors import ConfigError, StoreError
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.depth import NOBODY, Depth, Queue
from understudy.fleet.form import PageForm
from understudy.fleet.page import Page, Wait
from understudy.store.database import Database
from understudy.store.pages import MemoryPages, Pages, SqlitePages
from understudy.store.patience import at_most
from understudy.store.server_faults import masked
from understudy.store.shelves import open_pages, resolve
from understudy.store.turnstile import Turnstile
from understudy.types import Candidate, Limits, Usage, Window


@dataclass(slots=True)
class Sum:
    total: int = 0
    seen: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])


class SumForm:
    """Adds numbers up to 100; refuses what would go beyond."""

    def blank(self) -> Sum:
        return Sum()

    def asks(self, entry: int) -> bool:
        return entry > 0

    def passes(self, entry: int) -> bool:
        return False

    def apply(self, page: Sum, entry: int, now: float) -> tuple[Any, bool]:
        if page.total + entry > 100:
            return "full", False
        page.total += entry
        page.seen.append((now, entry))
        del page.seen[:-8]
        return page.total, True

    def pack(self, page: Sum) -> bytes:
        return b"s" + json.dumps([page.total, page.seen]).encode()

    def unpack(self, body: bytes) -> Sum:
        if body[:1] != b"s":
            return Sum()
        total, seen = json.loads(body[1:])
        return Sum(total, [(at, amount) for at, amount in seen])

    def pack_entry(self, entry: int) -> bytes:
        return str(entry).encode()

    def unpack_entry(self, body: bytes) -> int:
        return int(body)


Open = Callable[..., Awaitable[Pages[Any]]]
KINDS = [
    "memory",
    "sqlite",
    pytest.param("redis", marks=[pytest.mark.server, pytest.mark.xdist_group("servers")]),
    pytest.param("postgres", marks=[pytest.mark.server, pytest.mark.xdist_group("servers")]),
]
SHARED = KINDS[1:]
REMOTE = KINDS[2:]


@pytest.fixture
async def kind(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> str:
    if request.param in ("redis", "postgres"):
        await wipe(request.param, servers(request.param).url)
    return request.param


async def wipe(kind: str, url: str) -> None:
    if kind == "redis":
        from redis.asyncio import Redis

        client: Any = Redis.from_url(url)
        await client.flushall()
        await client.aclose()
    else:
        import psycopg

        async with await psycopg.AsyncConnection.connect(url) as db:
            await db.execute("DROP TABLE IF EXISTS understudy_pages")


@pytest.fixture
async def opener(kind: str, servers: Callable[[str], Server], tmp_path: Path, clock: FakeClock) -> AsyncIterator[Open]:
    """Opens the same pages once more, as another process would."""
    opened: list[Any] = []

    async def open_again(form: Any = None, *, own_time: bool = True) -> Pages[Any]:
        form = form or SumForm()
        if kind == "memory":
            pages: Any = MemoryPages(form, clock)
        elif kind == "sqlite":
            database = await Database.open(tmp_path / "store" / "book.db")
            opened.append(database)
            pages = SqlitePages(database, form, clock)
        elif kind == "redis":
            from understudy.store.redis_pages import RedisPages

            pages = await RedisPages.open(servers("redis").url, form, clock=clock if own_time else None)
        else:
            from understudy.store.postgres_pages import PostgresPages

            pages = await PostgresPages.open(servers("postgres").url, form, clock=clock if own_time else None)
        opened.append(pages)
        return pages

    yield open_again
    for one in reversed(opened):
        await one.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_page_is_begun_turned_and_looked_at(opener: Open, clock: FakeClock) -> None:
    pages = await opener()
    assert (await pages.look())[0].get("a") is None
    assert await pages.turn("a", 10) == 10
    clock.time += 5
    assert await pages.turn("a", 20) == 30
    assert await pages.turn("b", 1) == 1
    found, now = await pages.look()
    assert (found["a"].total, found["b"].total) == (30, 1)
    assert now == clock.time
    assert [at for at, _ in found["a"].seen] == [clock.time - 5, clock.time]


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_refusal_changes_nothing(opener: Open) -> None:
    pages = await opener()
    assert await pages.turn("a", 90) == 90
    for _ in range(5):
        assert await pages.turn("a", 20) == "full"
    assert await pages.turn("a", -30) == 60
    assert await pages.turn("a", 20) == 80
    assert (await pages.look())[0]["a"].total == 80


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_many_tasks_at_once_each_get_their_own_outcome(opener: Open) -> None:
    pages = await opener()
    outcomes = await asyncio.gather(*(pages.turn("a", 1) for _ in range(150)))
    assert sorted(o for o in outcomes if o != "full") == list(range(1, 101))
    assert outcomes.count("full") == 50


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_caller_that_goes_away_harms_nobody(opener: Open) -> None:
    pages = await opener()
    tasks = [asyncio.ensure_future(pages.turn("a", 1)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(r, int | asyncio.CancelledError) for r in results)
    assert await pages.turn("a", 1) <= 21


@pytest.mark.parametrize("kind", SHARED, indirect=True)
async def test_what_one_writes_the_others_see(opener: Open) -> None:
    one, two, three = await opener(), await opener(), await opener()
    assert await one.turn("a", 10) == 10
    assert await two.turn("a", 10) == 20
    assert (await three.look())[0]["a"].total == 20
    assert await one.turn("a", 80) == 100
    assert await two.turn("a", 1) == "full"
    assert await two.turn("a", 1) == "full"
    assert await three.turn("a", -50) == 50
    assert await two.turn("a", 1) == 51
    pages = [(await each.look())[0]["a"] for each in (one, two, three)]
    assert pages[0] == pages[1] == pages[2]
    late = await opener()
    assert (await late.look())[0]["a"] == pages[0]


@pytest.mark.parametrize("kind", SHARED, indirect=True)
async def test_several_at_once_never_go_over(opener: Open) -> None:
    several = [await opener() for _ in range(3)]
    for pages in several:
        await pages.turn("b", 1)

    async def spend(pages: Pages[Any]) -> int:
        got = 0
        for _ in range(60):
            got += await pages.turn("a", 1) != "full"
        return got

    assert sum(await asyncio.gather(*(spend(pages) for pages in several))) == 100
    found = [(await pages.look())[0]["a"] for pages in several]
    assert found[0].total == 100
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", SHARED, indirect=True)
async def test_a_long_history_is_folded_and_read_by_those_who_come_late(opener: Open) -> None:
    one, two = await opener(), await opener()
    await two.turn("a", 0)
    for _ in range(300):
        await one.turn("a", 1)
        await one.turn("a", -1)
    assert await one.turn("a", 7) == 7
    assert await two.turn("a", 1) == 8, "one who had slept meanwhile"
    assert await (await opener()).turn("a", 1) == 9


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_the_book_itself(opener: Open, clock: FakeClock) -> None:
    """Two hosts share one window of thirty."""
    books = [Book(await opener(PageForm())) for _ in range(2)]
    if books[0].pages.__class__ is MemoryPages:
        books[1] = books[0]
    window = Window("RPM", "requests", 30, 60.0)
    candidate = Candidate("g", "groq", "a", "m", limits=Limits((window,), "cap"))
    got = 0
    for number in range(80):
        tab = await books[number % 2].reserve(candidate, Cost(10, 10), seconds=5)
        clock.time += 0.01
        if isinstance(tab, Wait):
            assert 0 < tab.seconds <= 60
            continue
        got += 1
        await books[number % 2].settle(tab, Usage(10, 10))
    assert got == 30
    states = [(await book.states([candidate]))[candidate.domain] for book in books]
    assert [state.levels[0].used for state in states] == [30, 30]
    clock.time += 61
    assert isinstance(await books[1].reserve(candidate, Cost(10, 10), seconds=5), Tab)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_who_waits_is_told_to_all(opener: Open, clock: FakeClock) -> None:
    books = [Book(await opener(PageForm())) for _ in range(2)]
    if books[0].pages.__class__ is MemoryPages:
        books[1] = books[0]
    one, twin = (Candidate("g", "groq", account, "m") for account in "ab")

    async def seen() -> list[Queue]:
        return [(await book.states([one, twin]))[twin.domain].queue for book in books]

    await books[0].tell(one, Depth("mine", one.name, 3, 2.0))
    await books[1].tell(twin, Depth("yours", one.name, 2, 5.0))
    clock.time += 1
    assert await seen() == [Queue(5, 6.0)] * 2, "its accounts have one line"
    await books[1].tell(twin, Depth("yours", one.name, 0, 0.0))
    assert await seen() == [Queue(3, 3.0)] * 2
    clock.time += 10
    assert await seen() == [NOBODY] * 2, "its process is dead"


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
@pytest.mark.server
@pytest.mark.xdist_group("servers")
async def test_a_log_grows_by_what_is_told_and_no_more(opener: Open, servers: Callable[[str], Server]) -> None:
    from redis.asyncio import Redis

    book = Book(await opener(PageForm()))
    candidate = Candidate("g", "groq", "a", "m", limits=Limits((Window("RPM", "requests", 1, 60.0),), "cap"))
    assert isinstance(await book.reserve(candidate, Cost(1, 1), seconds=5), Tab)
    for number in range(20):
        assert isinstance(await book.reserve(candidate, Cost(1, 1), seconds=5), Wait)
        await book.tell(candidate, Depth("mine", candidate.name, 1, float(number)))
    client: Any = Redis.from_url(servers("redis").url)
    (log,) = await client.keys("*:log")
    assert await client.llen(log) == 1 + 2 + 20, "the room, the first refusals, and what was told"
    await client.aclose()


@pytest.mark.parametrize("kind", REMOTE, indirect=True)
async def test_looking_ages_nobodys_page_but_the_lookers(opener: Open) -> None:
    one, two = await opener(), await opener()
    await one.turn("a", 5)
    (await one.look())[0]["a"].seen.clear()
    (await two.look())[0]["a"].seen.clear()
    if type(one).__name__ == "RedisPages":
        assert len((await (await opener()).look())[0]["a"].seen) == 1
        await one.turn("a", 1)
        assert len((await one.look())[0]["a"].seen) == 2


@pytest.mark.parametrize("kind", REMOTE, indirect=True)
async def test_the_time_is_the_servers(opener: Open) -> None:
    import time

    pages = await opener(own_time=False)
    await pages.turn("a", 1)
    found, now = await pages.look()
    assert abs(now - time.time()) < 5
    assert abs(found["a"].seen[0][0] - time.time()) < 5
    assert abs(pages.ahead) < 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
@pytest.mark.server
@pytest.mark.xdist_group("servers")
async def test_a_log_does_not_grow_by_those_who_wait(opener: Open, servers: Callable[[str], Server]) -> None:
    from redis.asyncio import Redis

    several = [await opener() for _ in range(2)]
    await several[0].turn("a", 100)
    for _ in range(100):
        for pages in several:
            assert await pages.turn("a", 1) == "full"
    client: Any = Redis.from_url(servers("redis").url)
    length = await client.llen("{understudy:book:s}:a:log")
    for _ in range(200):
        await several[0].turn("a", -1)
        await several[0].turn("a", 1)
    assert await client.llen("{understudy:book:s}:a:log") < 300
    await client.aclose()
    assert length <= 1 + 2, "at most one refusal of each"


@pytest.mark.parametrize("kind", REMOTE, indirect=True)
async def test_a_wrong_password_is_said_and_not_shown(kind: str, servers: Callable[[str], Server]) -> None:
    url = servers(kind).url.replace(PASSWORD, "wrong-pony")
    with pytest.raises(StoreError) as caught:
        await open_pages(url, None, SumForm(), FakeClock())  # type: ignore[arg-type]
    assert "password" in caught.value.message
    assert "wrong-pony" not in str(caught.value.as_dict())
    assert caught.value.__cause__ is None
    assert caught.value.remedy


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_a_server_that_is_not_there_is_said(scheme: str) -> None:
    pytest.importorskip({"redis": "redis", "postgresql": "psycopg_pool"}[scheme])
    with pytest.raises(StoreError) as caught:
        await open_pages(f"{scheme}://u:secret@127.0.0.1:1/x", None, SumForm(), FakeClock())  # type: ignore[arg-type]
    assert "does not answer" in caught.value.message
    assert "secret" not in str(caught.value.as_dict())


@pytest.mark.parametrize(("module", "constant"), [("redis_pages", (99, 0)), ("postgres_pages", 99)])
@pytest.mark.server
@pytest.mark.xdist_group("servers")
async def test_a_server_that_is_too_old_is_said(
    module: str, constant: Any, servers: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"understudy.store.{module}.OLDEST", constant)
    with pytest.raises(StoreError, match="newer is needed"):
        await open_pages(servers(module.split("_", maxsplit=1)[0]).url, None, SumForm(), FakeClock())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:1/0", "redis://***@host:1/0"),
        ("postgresql://me:secret@host/db?sslmode=require&password=secret", "postgresql://me:***@host/db"),
        ("rediss://me@host", "rediss://me@host"),
        ("redis://me:sec@ret@host/0", "redis://me:***@host/0"),
        ("redis://h:port/", "(an address that cannot be read)"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_an_address_comes_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOK", "redis://h/0")
    assert resolve("env:BOOK") == "redis://h/0"
    monkeypatch.setenv("BOOK", "mysql://u:secret@h/0")
    for url in ("env:BOOK", "env:NOT_THERE", "mysql://u:secret@h/0", "secret"):
        with pytest.raises(ConfigError) as caught:
            resolve(url)
        assert "secret" not in str(caught.value.as_dict())


async def test_without_an_address_the_pages_are_in_the_file(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "store" / "book.db")
    pages = await open_pages("", database, PageForm(), FakeClock())
    assert isinstance(pages, SqlitePages)
    await database.close()


async def test_a_page_of_another_version_costs_only_what_it_had_learned(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "store" / "book.db")
    await database.write(lambda db: db.execute("INSERT INTO pages VALUES ('a', 3, ?)", (b"0old",)))
    pages: SqlitePages[Page] = SqlitePages(database, PageForm(), FakeClock())
    assert (await pages.look())[0]["a"] == Page()
    await database.close()


async def test_room_that_was_given_up_while_the_file_was_locked_is_not_taken(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "store" / "book.db")
    book = Book(SqlitePages(database, PageForm(), FakeClock()))
    candidate = Candidate("g", "groq", "a", "m")
    tab = await book.reserve(candidate, Cost(1, 1), seconds=5)
    assert isinstance(tab, Tab)
    with Turnstile(database.path), at_most(0):
        with pytest.raises(StoreError, match="lock"):
            await book.reserve(candidate, Cost(1, 1), seconds=5)
        with pytest.raises(StoreError, match="lock"):
            await book.settle(tab, Usage(1, 1))
    await database.write(lambda db: None)
    assert (await book.states([candidate]))[candidate.domain].in_flight == 0, "what has ended is counted all the same"
    await database.close()
