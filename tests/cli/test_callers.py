"""understudy key: made once, shown once, listed without the secret, revoked by name."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import pytest

from understudy.clock import WallClock
from understudy.director.budget import caller_scope
from understudy.gateway.keys import Keys
from understudy.store.store import Store
from understudy.types import Amount, Caller


def who(home: Path, secret: str) -> Caller:
    async def ask() -> Caller:
        async with await Store.open(home, WallClock()) as store:
            return await Keys(store.callers, WallClock()).who(f"Bearer {secret}", "chat")

    return asyncio.run(ask())


def test_a_key_is_alone_on_standard_output_and_opens(scripted, home: Path) -> None:
    ended = scripted("key", "add", "bot", "--tokens-per-day", "5000", "--requests-per-minute", "9", "--policy", "v1")
    assert ended.code == 0
    secret = ended.out.removesuffix("\n")
    assert re.fullmatch(r"us-[0-9a-f]{12}-[0-9a-f]{64}", secret)
    assert secret[16:] not in ended.err
    caller = who(home, secret)
    assert caller == Caller("bot", secret.split("-")[1], frozenset({"chat", "embeddings"}), "v1", False, 5000, 9)


def test_scopes_and_privacy_are_as_asked_for(scripted, home: Path) -> None:
    told = json.loads(scripted("key", "add", "w", "--scope", "jobs", "--scope", "chat", "--private", "--json").out)
    assert (told["scopes"], told["private"], told["tokens_per_day"]) == (["chat", "jobs"], True, None)
    assert who(home, told["key"]).private


def test_the_list_has_everything_but_the_secret(scripted, home: Path) -> None:
    assert "no keys yet" in scripted("key", "list").out
    made = scripted("key", "add", "bot", "--tokens-per-day", "5000")
    secret = made.out.strip()
    assert "simulated" not in made.err
    scripted("key", "add", "old")
    scripted("key", "revoke", "old")

    async def spend() -> None:
        async with await Store.open(home, WallClock()) as store:
            scope = caller_scope("bot", time.time())
            await store.ledger.allow(scope, tokens=5000, micro_usd=None)
            await store.ledger.settle(await store.ledger.reserve((scope,), Amount(900), lease=60), Amount(700))

    asyncio.run(spend())
    who(home, secret)
    table, told = scripted("key", "list").out, scripted("key", "list", "--json").out
    bot, old = json.loads(told)["keys"]
    assert (bot["name"], bot["used_today"], bot["tokens_per_day"], bot["revoked_at"]) == ("bot", 700, 5000, None)
    assert abs(bot["last_used"] - time.time()) < 60
    assert old["revoked_at"]
    assert re.search(r"bot .* 5,000 +700 ", table)
    assert secret[16:] not in table + told


def test_a_name_is_there_once(scripted, home: Path) -> None:
    first = scripted("key", "add", "bot").out.strip()
    again = scripted("key", "add", "bot")
    assert (again.code, again.out) == (2, "")
    assert "understudy key revoke bot" in again.err
    wrong = scripted("key", "revoke", "bt")
    assert (wrong.code, wrong.out) == (2, "")
    assert "Did you mean bot?" in wrong.err
    told = json.loads(scripted("key", "revoke", "bot", "--json").out)
    assert (told["name"], told["id"]) == ("bot", first.split("-")[1])
    with pytest.raises(Exception, match="revoked"):
        who(home, first)
    assert who(home, scripted("key", "add", "bot").out.strip()).name == "bot"


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "a:b"),
        ("add", "bot", "--scope", "root"),
        ("add", "bot", "--policy", "v9"),
        ("add", "bot", "--tokens-per-day", "-1"),
        ("add", "bot", "--requests-per-minute", "0"),
        ("revoke", "nobody"),
        (),
    ],
)
def test_what_is_wrong_is_two_lines_and_two(arguments: tuple[str, ...], scripted) -> None:
    ended = scripted("key", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 2


def test_a_key_in_place_of_a_name_is_not_repeated(scripted) -> None:
    secret = scripted("key", "add", "bot").out.strip()
    ended = scripted("key", "revoke", secret)
    assert ended.code == 2
    assert secret[16:] not in ended.err + ended.out


def test_as_a_program(program, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text('[providers.g]\nkind = "rehearsal"\nplays = "groq"\n')
    made = program("key", "add", "bot", real=True)
    secret = made.out.strip()
    assert "make the key again" in made.err, "a server with a real provider will not know it"
    assert who(home / "rehearsal", secret).name == "bot", "where a server with this configuration looks"
    left = b"".join(p.read_bytes() for p in home.rglob("*") if p.is_file())
    assert secret[16:].encode() not in left
