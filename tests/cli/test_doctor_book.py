"""What the doctor says of the quota book: it is looked for where a task would look for it."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.test_doctor import REHEARSAL
from tests.store.conftest import servers  # noqa: F401  the fixture
from understudy.cli import surroundings
from understudy.cli.doctor import Finding, doctor, examine


@pytest.fixture
def book(home: Path):
    async def look(url: str) -> Finding:
        home.mkdir(exist_ok=True, mode=0o700)  # noqa: ASYNC240
        (home / "config.toml").write_text(f'{REHEARSAL}[book]\nurl = "{url}"\n')
        found = await examine(str(home / "config.toml"))
        return next(f for f in found if f.name == "book")

    return look


async def test_in_the_store(book) -> None:
    found = await book("")
    assert found.state == "ok"
    assert "in the store" in found.text


async def test_an_unset_variable(book) -> None:
    found = await book("env:BOOK_SERVER_OF_NOBODY")
    assert (found.state, found.needed) == ("wrong", True)
    assert "$BOOK_SERVER_OF_NOBODY" in found.text
    assert "export BOOK_SERVER_OF_NOBODY" in found.remedy


@pytest.mark.parametrize(("url", "extra"), [("redis://h/0", "redis"), ("postgresql://h/x", "postgres")])
async def test_a_missing_package(book, monkeypatch: pytest.MonkeyPatch, url: str, extra: str) -> None:
    for name in ("redis.asyncio", "psycopg"):
        monkeypatch.setitem(sys.modules, name, None)
    found = await book(url)
    assert found.state == "wrong"
    assert "a package that is not installed" in found.text
    assert f"understudy[{extra}]" in found.remedy


async def test_nobody_there_is_no(book, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("redis")
    found = await book("redis://:canary-word@127.0.0.1:1/0")
    assert found.state == "wrong"
    assert "does not answer" in found.text
    assert "canary" not in f"{found}"
    assert await doctor(str(home / "config.toml"), as_json=False) == 1
    assert "WRONG   book: " in capsys.readouterr().out


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize(("scheme", "package"), [("redis", "redis"), ("postgresql", "psycopg")])
async def test_a_silent_server_is_not_waited_for(silent: int, scheme: str, package: str) -> None:
    pytest.importorskip(package)
    before = time.monotonic()
    found = await surroundings.book_keeper(
        SimpleNamespace(book=SimpleNamespace(url=f"{scheme}://me@127.0.0.1:{silent}/0")),  # type: ignore[arg-type]
        None,
    )
    assert found is not None
    assert found.state == "wrong"
    assert time.monotonic() - before < 4


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_server_with_a_password(book, servers, kind: str) -> None:  # noqa: F811
    server = servers(kind)
    found = await book(server.url)
    assert found.state == "ok"
    assert "***@127.0.0.1" in found.text
    assert "correct-horse" not in f"{found}"
    found = await book(server.url.replace("correct-horse", "wrong-horse"))
    assert found.state == "wrong"
    assert "the password" in found.text
