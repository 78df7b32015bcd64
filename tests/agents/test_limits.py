"""Whose word counts for the windows of a candidate: the account's, the model's, the provider's, the catalogue's."""

from __future__ import annotations

from typing import Any

import pytest

from understudy.agents.roster import roster
from understudy.config.load import parse
from understudy.errors import ConfigError
from understudy.types import Candidate, Window

LOS_ANGELES = "America/Los_Angeles"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MODEL = "llama-3.1-8b-instant"


async def candidates(**provider: Any) -> tuple[Candidate, ...]:
    accounts = [{"keys": ["env:UNDERSTUDY_TEST_KEY"], **a} for a in provider.pop("accounts", [{}])]
    models = [{"id": MODEL, **m} for m in provider.pop("models", [{}])]
    table = {"kind": "groq", **provider, "accounts": accounts, "models": models}
    found = await roster(parse({"providers": {"p": table}}, "test"))
    assert not found.notes
    return found.candidates


def limits(candidate: Candidate) -> dict[str, int]:
    return {w.name: w.limit for w in candidate.limits.windows}


CATALOGUE = {"RPM": 30, "RPD": 14400, "TPM": 6000, "TPD": 500000}


async def test_the_catalogue_alone() -> None:
    (one,) = await candidates()
    assert limits(one) == CATALOGUE
    assert (one.limits.charged, one.limits.shared, one.limits.cached_free) == ("cap", "model", True)
    assert one.tokens_per_minute == 6000
    assert one.quota == one.domain


async def test_the_nearer_word_counts() -> None:
    one, two = await candidates(
        limits={"rpm": 1, "rpd": 1, "tpm": 100, "rph": 600},
        charged="used",
        models=[{"limits": {"rpd": 2, "tpm": 200}, "charged": "input"}],
        accounts=[{"name": "a"}, {"name": "b", "limits": {"tpm": 300, "rph": False}, "shared": "account"}],
    )
    assert limits(one) == {"RPM": 1, "RPH": 600, "RPD": 2, "TPM": 200, "TPD": 500000}
    assert list(limits(one)) == ["RPM", "RPH", "RPD", "TPM", "TPD"]
    assert limits(two) == {"RPM": 1, "RPD": 2, "TPM": 300, "TPD": 500000}
    assert (one.tokens_per_minute, two.tokens_per_minute) == (200, 300)
    assert (one.limits.charged, two.limits.shared) == ("input", "account")
    assert two.quota == "p/b"


async def test_windows_replace_everything_behind_them() -> None:
    short = {"counts": "requests", "limit": 30, "seconds": 2.0}
    (one,) = await candidates(
        models=[{"windows": [short, {"counts": "tokens", "limit": 9, "zone": "UTC", "name": "X"}]}]
    )
    assert one.limits.windows == (
        Window("requests in 2 s", "requests", 30, 2.0),
        Window("X", "tokens", 9, DAY, "UTC"),
    )
    assert one.tokens_per_minute is None
    (one,) = await candidates(models=[{"windows": [short], "limits": {"tpm": 50}}])
    assert limits(one) == {"TPM": 50, "requests in 2 s": 30}
    (one,) = await candidates(windows=[], models=[{"limits": {"rpd": 5}}])
    assert limits(one) == {"RPD": 5}
    (one,) = await candidates(windows=[])
    assert one.limits.windows == ()


async def test_the_clock_of_a_day() -> None:
    (one,) = await candidates(limits={"day": "UTC"})
    assert {w.name: w.zone for w in one.limits.windows} == {"RPM": "", "RPD": "UTC", "TPM": "", "TPD": "UTC"}
    (one,) = await candidates(kind="gemini", models=[{"id": "gemini-2.5-flash", "limits": {"rpd": 7}}])
    assert one.limits.windows[1] == Window("RPD", "requests", 7, DAY, LOS_ANGELES)
    (one,) = await candidates(kind="gemini", models=[{"id": "gemini-brand-new", "limits": {"rpd": 7}}])
    assert one.limits.windows == (Window("RPD", "requests", 7, DAY, LOS_ANGELES),)
    assert one.limits.charged == "input"
    (one,) = await candidates(kind="gemini", models=[{"id": "gemini-2.5-flash", "limits": {"day": "rolling"}}])
    assert one.limits.windows[1] == Window("RPD", "requests", 250, DAY)


async def test_a_paid_plan_has_limits_of_its_own() -> None:
    (one,) = await candidates(free=False)
    assert (one.limits.windows, one.tokens_per_minute, one.limits.charged) == ((), None, "cap")
    (one,) = await candidates(models=[{"free": False, "limits": {"rpm": 1000}}])
    assert limits(one) == {"RPM": 1000}


async def test_tokens_per_minute_is_the_short_way_to_say_tpm() -> None:
    (one,) = await candidates(models=[{"tokens_per_minute": 77}])
    assert limits(one) == {**CATALOGUE, "TPM": 77}
    assert one.tokens_per_minute == 77


async def test_a_local_model_never_runs_out_unless_told() -> None:
    local = {"kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "models": [{"id": "ministral-3b"}]}
    (one,) = await candidates(**local)
    assert (one.limits.windows, one.tokens_per_minute, one.context) == ((), None, 8192)
    assert (one.quality, one.speed) == (38, 75)
    (one,) = await candidates(**local, limits={"rpm": 5})
    assert limits(one) == {"RPM": 5}


async def test_cerebras_by_its_address() -> None:
    (one,) = await candidates(
        kind="openai_compatible", base_url="https://api.cerebras.ai/v1", models=[{"id": "llama3.1-8b"}]
    )
    assert limits(one) == {"RPM": 30, "RPH": 900, "RPD": 14400, "TPM": 60000, "TPH": 1000000, "TPD": 1000000}
    assert (one.limits.charged, one.free, one.tokens_per_minute) == ("cap", True, 60000)


async def test_a_login_is_one_domain_and_a_key_is_not() -> None:
    import sys

    table = {"kind": "claude_code", "command": [sys.executable]}
    found = await roster(parse({"providers": {"c": table}}, "test"))
    assert {c.quota for c in found.candidates} == {"c/default"}
    keyed = {**table, "accounts": [{"keys": ["env:UNDERSTUDY_TEST_KEY"]}]}
    found = await roster(parse({"providers": {"c": keyed}}, "test"))
    assert {c.quota for c in found.candidates} == {f"c/default/{m}" for m in ("opus", "sonnet", "haiku")}


WRONG = [
    ({"limits": {"rpm": 0}}, "limits.rpm", "above 0, or false"),
    ({"limits": {"rpm": -5}}, "limits.rpm", "above 0, or false"),
    ({"limits": {"tpd": True}}, "limits.tpd", "whole number"),
    ({"limits": {"tpd": "none"}}, "limits.tpd", "whole number"),
    ({"windows": [{"counts": "tokens", "limit": 1, "seconds": float("inf")}]}, "windows.0.seconds", ""),
    ({"limits": {"tpd": 1.5}}, "limits.tpd", "whole number"),
    ({"limits": {"tpd": 10**13}}, "limits.tpd", "whole number"),
    ({"limits": {"tpd": "lots"}}, "limits.tpd", "whole number"),
    ({"limits": {"rps": 5}}, "unknown key", "did you mean rp"),
    ({"limits": {"day": "Mars/Olympus"}}, "limits.day", "no time zone is called Mars/Olympus; write rolling, UTC"),
    ({"windows": [{"counts": "words", "limit": 1, "seconds": 1}]}, "windows.0.counts", "'requests', 'tokens'"),
    ({"windows": [{"counts": "tokens", "limit": 0, "seconds": 1}]}, "windows.0.limit", "greater than 0"),
    ({"windows": [{"counts": "tokens", "limit": 1}]}, "windows.0", "seconds is missing"),
    ({"windows": [{"counts": "tokens", "limit": 1, "zone": "Nowhere"}]}, "windows.0", "no time zone is called Nowhere"),
    ({"windows": [{"counts": "tokens", "limit": 1, "zone": "UTC", "seconds": 60}]}, "windows.0", "belongs to a day"),
    ({"windows": [{"counts": "tokens", "limit": 1, "seconds": 1, "name": "x"}] * 2}, "", "two have the same name"),
    ({"charged": "maybe"}, "charged", "'cap', 'used'"),
    ({"shared": "world"}, "shared", "'model' or 'account'"),
]  # fmt: skip


@pytest.mark.parametrize("where", ["provider", "model", "account"])
@pytest.mark.parametrize(("said", "key", "remedy"), WRONG, ids=lambda v: str(v)[:40])
def test_a_wrong_word_is_named_with_what_to_do(where: str, said: dict[str, Any], key: str, remedy: str) -> None:
    provider: dict[str, Any] = {"kind": "groq", "models": [{"id": MODEL}], "accounts": [{"name": "a"}]}
    {"provider": provider, "model": provider["models"][0], "account": provider["accounts"][0]}[where].update(said)
    with pytest.raises(ConfigError) as caught:
        parse({"providers": {"p": provider}}, "test")
    assert key in caught.value.message
    assert remedy in caught.value.message


def test_tpm_is_said_once() -> None:
    model = {"id": MODEL, "tokens_per_minute": 5, "limits": {"tpm": 6}}
    with pytest.raises(ConfigError, match="are the same"):
        parse({"providers": {"p": {"kind": "groq", "models": [model]}}}, "test")


def test_an_environment_variable_may_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_PROVIDERS__P__LIMITS__RPM", "12")
    settings = parse({"providers": {"p": {"kind": "groq"}}}, "test")
    assert settings.providers["p"].limits
    assert settings.providers["p"].limits.rpm == 12


SCRIPT = '[accounts]\nx = ["k"]\ny = ["k2"]\n[[models]]\nid = "llama-3.1-8b-instant"\nlimits = {limits}\n'


@pytest.mark.parametrize(
    ("script", "own", "expected"),
    [
        ("{ rpm = 30, tpm = 900, rpd = 50 }", {}, {"RPM": 30, "RPD": 50, "TPM": 900}),
        ("{}", {}, {}),
        ("{ rpm = 30, minute_seconds = 5 }", {}, {"RPM": 30}),
        ("{ rpm = 30 }", {"limits": {"rpm": 60}}, {"RPM": 60}),
        ("{ rpm = 30 }", {"windows": [{"counts": "requests", "limit": 3, "seconds": 1, "name": "w"}]}, {"w": 3}),
    ],
)  # fmt: skip
async def test_what_is_rehearsed_has_the_limits_that_are_played(
    tmp_path: Any, script: str, own: dict[str, Any], expected: dict[str, int]
) -> None:
    (tmp_path / "s.toml").write_text(SCRIPT.replace("{limits}", script))
    for place in ("provider", "model"):
        table: dict[str, Any] = {"kind": "rehearsal", "plays": "groq", "script": str(tmp_path / "s.toml")}
        model = {"id": MODEL}
        (table if place == "provider" else model).update(own)
        settings = parse({"providers": {"g": {**table, "models": [model]}}}, "test")
        found = (await roster(settings)).candidates
        assert [c.account for c in found] == ["x", "y"]
        assert [limits(c) for c in found] == [expected] * 2
        assert found[0].tokens_per_minute == expected.get("TPM")
        assert found[0].limits.charged == "cap"
        assert "minute_seconds" not in script or found[0].limits.windows[0].seconds == 5


async def test_a_rehearsed_day_ends_where_the_script_says() -> None:
    settings = parse({"providers": {"g": {"kind": "rehearsal", "plays": "gemini"}}}, "test")
    flash = (await roster(settings)).candidates[0]
    assert flash.limits.windows[1] == Window("RPD", "requests", 250, DAY, LOS_ANGELES)
    assert (flash.limits.charged, flash.simulated) == ("input", True)
