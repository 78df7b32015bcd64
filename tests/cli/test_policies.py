"""understudy policy list, show, diff, test, replay."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Ended
from tests.fakes import FakeClock
from understudy.cli.main import run
from understudy.cli.policies import moment
from understudy.director.provenance import record_of
from understudy.director.trail import Trail
from understudy.errors import UsageError
from understudy.policies import lattice, registry
from understudy.policies.record import fleet_hash, fleet_to_list
from understudy.store.store import Store
from understudy.types import Facts, Intent, Sensitivity


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    registry.forget()
    return call


def test_list_has_every_released_one(call) -> None:
    told = json.loads(call("policy", "list", "--json").out)["policies"]
    assert [(p["name"], p["hash"]) for p in told] == [(n, registry.load(n).hash) for n in registry.RELEASED]
    assert all(p["about"] and p["released"] for p in told)
    assert "orchestra" in call("policy", "list").out


@pytest.mark.parametrize("name", registry.RELEASED)
def test_show_knows_every_intent(call, name: str) -> None:
    told = json.loads(call("policy", "show", name, "--json").out)
    assert told["hash"] == registry.load(name).hash
    assert {r["intent"] for r in told["rows"] if r["intent"]} == set(Intent)
    private = next(r for r in told["rows"] if r["intent"] == "private")
    assert all(p.startswith(("local/", "gpu/")) for p in (*private["primary"], *private["fallback"]))
    shown = call("policy", "show", name).out
    assert registry.load(name).hash in shown
    assert "--agent tester" in shown


def test_show_a_table_of_ones_own(call, tmp_path: Path) -> None:
    (tmp_path / "house.toml").write_text('base = "v1"\n[rows.coding]\nprimary = ["gemini/*"]\ncap = 99\n')
    told = json.loads(call("policy", "show", str(tmp_path / "house.toml"), "--json").out)
    coding = next(r for r in told["rows"] if r["intent"] == "coding")
    assert (coding["primary"], coding["output_cap"], told["base"]) == (["gemini/*"], 99, "v1")


def test_diff(call) -> None:
    same = json.loads(call("policy", "diff", "v1", "v1", "--json").out)
    assert (same["differ"], same["groups"]) == (0, [])
    told = json.loads(call("policy", "diff", "v1", "control", "--json").out)
    assert told["differ"] == sum(g["facts"] for g in told["groups"]) > 100
    assert any("first groq/llama-3.1-8b-instant -> claude_code/opus" in g["changes"] for g in told["groups"])
    shown = call("policy", "diff", "v1", "control").out
    assert "first groq/llama-3.1-8b-instant -> claude_code/opus" in shown
    wrong = call("policy", "diff", "v1", "contrl")
    assert (wrong.code, "Did you mean control?" in wrong.err) == (2, True)


def test_test(call, tmp_path: Path) -> None:
    done = call("policy", "test", "v2", "--quick")
    assert done.code == 0
    assert "private work stays here" in done.out
    told = json.loads(call("policy", "test", "v2", "--quick", "--json").out)
    assert (told["broken"], told["failed"], told["cases"] > 20, told["facts"] > 1_000) == (None, [], True, True)
    (tmp_path / "house.toml").write_text('base = "v1"\n')
    (tmp_path / "house.cases.toml").write_text('[[case]]\nname = "no"\nfacts = { intent = "coding" }\nadvice = 3\n')
    failed = call("policy", "test", str(tmp_path / "house.toml"), "--quick")
    assert (failed.code, "advice is 0, expected 3" in failed.out) == (5, True)
    (tmp_path / "bad.toml").write_text('base = "v1"\n[all]\nchecks = ["format"]\n')
    refused = call("policy", "test", str(tmp_path / "bad.toml"))
    assert (refused.code, "(checks)" in refused.err) == (2, True)


async def fill(home: Path, count: int) -> None:
    store = await Store.open(home, FakeClock())
    base = Facts(Intent.QUICK_QA, 1.0, Sensitivity.PUBLIC, 20, fleet=lattice.FLEET, director=lattice.OPUS.domain)
    name = fleet_hash(base.fleet)
    await store.replies.keep_fleet(name, fleet_to_list(base.fleet))
    v1 = registry.load("v1")
    for n in range(count):
        facts = replace(base, rotation=n, intent=Intent.CODING if n % 4 == 0 else Intent.QUICK_QA)
        trail = Trail(f"r-{n:010x}", "s-1", time.time() - 3_600, 0.0)
        trail.policy, trail.policy_hash = v1.name, v1.hash
        decision = v1.decide(facts)
        who = next(c for c in lattice.FLEET if c.domain == decision.chain[0].domain)
        attempt = {
            "candidate": who.name, "role": "worker", "outcome": "ok", "seconds": 2.0, "list_usd": 0.01, "cost_usd": 0.0,
            "input_tokens": 20, "output_tokens": 30, "directs": False, "free": True,
        }  # fmt: skip
        await store.replies.save(record_of(trail, facts, decision, {}, name) | {"attempts": [attempt]})
    await store.close()


async def test_replay(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    await fill(home / "rehearsal", 20)

    async def told(*arguments: str) -> tuple[int, dict]:
        code = await asyncio.to_thread(run, ["policy", "replay", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, same = await told("v1", "--since", "1d")
    assert (code, same["tasks"], same["same"], same["broken"], same["undecided"]) == (0, 20, 20, [], 0)
    code, other = await told("control", "--since", "1d")
    assert (code, other["tasks"], other["same"], other["differ"], other["unknown"]) == (0, 20, 0, 20, 15)
    assert other["was"]["seconds"] == 2.0
    code, coding = await told("control", "--where", "intent=coding, policy=v1")
    assert (coding["tasks"], coding["unknown"]) == (5, 0)
    assert (await told("control", "--since", "30m"))[1]["tasks"] == 0
    assert (await told("control", "--where", "quality=best"))[1]["tasks"] == 0
    assert await asyncio.to_thread(run, ["policy", "replay", "control"]) == 0
    shown = capsys.readouterr().out
    assert "unknown: what 15 tasks would have come to" in shown
    assert "first groq/llama-3.1-8b-instant -> claude_code/opus" in shown
    assert await asyncio.to_thread(run, ["policy", "replay", "v1", "--where", "intnt=coding"]) == 2
    assert "names no fact" in capsys.readouterr().err


def test_moments() -> None:
    now = 1_800_000_000.0
    assert moment("90m", now) == now - 5_400
    assert moment("24h", now) == now - 86_400
    assert moment("2d", now) == now - 172_800
    assert moment("2026-11-20T15:00+00:00", now) == 1_795_186_800.0
    for wrong in ("yesterday", "5", "-3h", "9999999d", ""):
        with pytest.raises(UsageError):
            moment(wrong, now)
