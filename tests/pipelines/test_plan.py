"""The plan: the founding plan's figures come out, and where they err it says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.config.load import parse
from understudy.config.settings import Settings
from understudy.errors import ConfigError, UsageError
from understudy.pipelines.plan import plan_campaign
from understudy.pipelines.spec import Gpu, load_spec, parse_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
S0 = {"groups": 4, "runs": 3, "generations": 10, "agents": 8, "scenarios": 60, "turns": 5, "players": 2, "mutations": 6}
TOKENS = {"input": 240, "output": 60}


def planned(table: dict[str, Any], config: dict[str, Any] | None = None, **accounts: int) -> dict[str, Any]:
    spec = parse_spec(table, Path("spec.toml"))
    chosen = parse(config, "config") if config else Settings()
    return plan_campaign(spec, chosen, accounts=accounts, now=NOW).to_dict()


def example(name: str, **changes: Any) -> dict[str, Any]:
    spec = load_spec(EXAMPLES / f"{name}.toml")
    return plan_campaign(spec.model_copy(update=changes), Settings(), now=NOW).to_dict()


def option(plan: dict[str, Any], provider: str, model: str, tier: str, *, claimed: bool = False) -> dict[str, Any]:
    wanted = (provider, model, tier, claimed)
    found = [o for o in plan["options"] if (o["provider"], o["model"], o["plan"], o["claimed"]) == wanted]
    assert len(found) == 1, wanted
    return found[0]


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return example("market_reflective_full")


@pytest.fixture(scope="module")
def minimal() -> dict[str, Any]:
    return example("market_reflective")


def test_volume_and_tokens(full: dict[str, Any], minimal: dict[str, Any]) -> None:
    assert full["volume"] == 576_720 == 48_060 * 12
    assert [s["calls"] for s in full["steps"]] == [4_806, 48_060, 12, 576_720]
    assert sum(full["tokens"].values()) == 576_720 * 300 == 173_016_000
    assert minimal["volume"] == 8_000
    assert sum(minimal["tokens"].values()) == 2_400_000


def test_the_days_of_the_founding_plan(full: dict[str, Any], minimal: dict[str, Any]) -> None:
    groq = ("groq", "llama-3.3-70b-versatile", "free")
    gemini = ("gemini", "gemini-2.0-flash", "free")
    said = option(full, *groq, claimed=True)
    assert (round(said["days"], 2), said["binding"], said["verdict"]) == (40.05, "RPD", "too slow")
    assert round(option(full, *gemini, claimed=True)["days"]) == 173
    assert round(option(minimal, *groq, claimed=True)["days"], 1) == 0.6
    assert option(minimal, *groq, claimed=True)["verdict"] == "fits"
    assert round(option(minimal, *gemini, claimed=True)["days"], 1) == 2.4


def test_the_real_windows_bind_elsewhere(full: dict[str, Any]) -> None:
    small = option(full, "groq", "llama-3.1-8b-instant", "free")
    assert {name: round(days, 1) for name, days in small["windows"].items()} == {
        "RPM": 13.3, "RPD": 40.0, "TPM": 20.0, "TPD": 346.0, "at once": 0.4,
    }  # fmt: skip
    assert (round(small["days"]), small["binding"]) == (346, "TPD")
    large = option(full, "groq", "llama-3.3-70b-versatile", "free")
    assert (round(large["windows"]["RPD"], 1), round(large["days"]), large["binding"]) == (576.7, 1730, "TPD")
    flash = option(full, "gemini", "gemini-2.0-flash", "free")
    assert (round(flash["days"], 1), flash["binding"]) == (384.5, "RPD")


def note(plan: dict[str, Any], begins: str) -> str:
    found = [n for n in plan["notes"] if n.startswith(begins)]
    assert len(found) == 1, (begins, plan["notes"])
    return found[0]


def test_what_errs_is_said_with_the_reason(full: dict[str, Any], minimal: dict[str, Any]) -> None:
    """Dollars counted twice, another model's limit, a window that was not looked at."""
    claude = note(full, "option B, Claude API: $3,114 counts every token twice")
    assert "$519 to $2,595" in claude
    assert "$934.29" in claude
    assert "$102 to $137" in note(full, "option D, Groq paid: $239 counts every token twice")
    groq = note(full, "option D, Groq free: 40 days follow from its RPD of 14,400 calls")
    assert "it is 1,730.2 days, bound by its TPD" in groq
    assert "14,400 requests a day are those of llama-3.1-8b-instant" in groq
    assert "384.5 days, bound by its RPD" in note(full, "option C, Gemini Flash free: 173 days follow")
    night = note(minimal, "option E, Groq free: 0.6 days follow")
    assert "nothing keeps them from being done in 4.4 h" in night
    assert not [n for n in full["notes"] if n.startswith("the options of 2026-02-11")]  # 576,720 and 173M are right


def test_dollars(full: dict[str, Any]) -> None:
    paid = option(full, "groq", "llama-3.3-70b-versatile", "paid")
    assert paid["usd"] == pytest.approx(173.016 * (0.8 * 0.59 + 0.2 * 0.79), rel=1e-6)
    batch = option(full, "groq", "llama-3.3-70b-versatile", "batch")
    assert batch["usd"] == pytest.approx(paid["usd"] / 2)
    assert (batch["days"], batch["binding"], batch["dated"]) == (1.0, "batch", "2026-08-14")
    queue = option(full, "anthropic", "claude-haiku-4-5", "batch")
    assert (round(queue["days"], 2), queue["soonest_days"]) == (5.77, 6.0)  # 100,000 at a time, a day each


def test_the_prices_of_the_strategy() -> None:
    plan = example("self_hosting")
    assert sum(plan["tokens"].values()) == 342_000_000
    for claim, usd in (
        ("Claude Sonnet 4.5:", 3090),
        ("Claude Sonnet 4.5 by the batch API:", 1545),
        ("Claude Haiku 4.5:", 1030),
    ):
        assert note(plan, f"the strategy, {claim} ${usd:,} follows from its prices")
    assert "cost $301 at these prices" in note(plan, "the strategy, Together AI (Llama 70B): $590")
    assert "it is $136.80" in note(plan, "the strategy, DeepInfra (Llama 70B): $108 follows")


def test_break_even_of_the_founding_plans() -> None:
    plan = example("self_hosting")
    rows = {row["name"]: row for row in plan["break_even"]}
    rent = rows["g5.xlarge (A10G, 24 GB)"]
    assert rent["break_even_tokens"] == pytest.approx(730 / 0.18 * 1e6)
    cards = rows["2 x Tesla P40"]
    assert cards["against_usd_per_million"] == 0.88
    # A million tokens, half of them written: 503,000 at 30 a second and 500 W.
    assert cards["usd_per_million"] == pytest.approx(0.503e6 / 30 / 3.6e6 * 500 * 0.15, abs=1e-6)
    assert cards["break_even_tokens"] == pytest.approx(600 / (0.88 - cards["usd_per_million"]) * 1e6, rel=1e-5)
    assert "231 times" in note(plan, "2 x Tesla P40: the founding plan reckons $0.003")
    assert "writes 78.8M a month" in note(plan, "2 x Tesla P40: the founding plan has it pay back")
    said = note(plan, "g5.xlarge (A10G, 24 GB): the founding plan breaks even at 703M")
    assert "$1.75 a million" in said
    assert "twice its own workload of 342M, not 6 times" in said
    assert "$16,060 is rent" in note(plan, "p4d.24xlarge")


def test_break_even_of_the_readers_own() -> None:
    table = {"shape": {"scenarios": 100_000}, "tokens": {"input": 500, "output": 500}}
    gpu = {"price_usd": 1600, "watts": 350, "tokens_per_second": 60, "electricity_usd": 0.30, "rent_usd": 0.5}
    against = {"against": "together/meta-llama/Llama-3.1-70B"}
    own, rent = planned({**table, "gpu": {**gpu, **against}})["break_even"][:2]
    electricity = 500_000 / 60 / 3600 * 0.35 * 0.30
    assert own["usd_per_million"] == pytest.approx(electricity, abs=1e-6)
    assert own["break_even_tokens"] == pytest.approx(1600 / (0.88 - electricity) * 1e6, rel=1e-5)
    assert own["days"] == pytest.approx(100_000 * 500 / 60 / 86_400)
    assert rent["usd_per_million"] == pytest.approx(500_000 / 60 / 3600 * 0.5, abs=1e-6)
    assert rent["verdict"] == "dearer than paying per token"
    assert planned({**table, "gpu": {**gpu, **against, "electricity_usd": 5}})["break_even"][0]["verdict"].startswith(
        "never"
    )
    with pytest.raises(UsageError, match="Nobody sells gpt-9"):
        planned({**table, "gpu": {"against": "gpt-9"}})


def test_accounts_multiply_windows_and_keys_do_not() -> None:
    table = {"shape": S0, "tokens": TOKENS, "models": ["llama-3.1-8b-instant"]}
    three = planned(table, groq=3)
    found = option(three, "groq", "llama-3.1-8b-instant", "free")
    assert (found["accounts"], round(found["windows"]["RPD"], 2)) == (3, 13.35)  # 43,200 a day
    assert [n for n in three["notes"] if "break the terms" in n]
    keys = {"providers": {"groq": {"kind": "groq", "accounts": [{"name": "a", "keys": ["env:A", "env:B", "env:C"]}]}}}
    assert option(planned(table, keys), "groq", "llama-3.1-8b-instant", "free")["accounts"] == 1
    two = {"providers": {"groq": {"kind": "groq", "accounts": [{"name": "a", "keys": ["env:A"]}, {"name": "b"}]}}}
    assert option(planned(table, two), "groq", "llama-3.1-8b-instant", "free")["accounts"] == 2
    assert option(planned(table, two, groq=5), "groq", "llama-3.1-8b-instant", "free")["accounts"] == 5
    with pytest.raises(UsageError, match=r"no provider grok; did you mean groq\? Name"):
        planned(table, grok=2)


def test_the_configuration_has_the_word() -> None:
    """Its limits, its prices, its plans; what others offer is shown and not counted on."""
    table = {"shape": S0, "tokens": TOKENS, "usd": 1000}
    groq = {"kind": "groq", "limits": {"rph": 600, "tpd": False}, "models": [{"id": "llama-3.1-8b-instant"}]}
    plan = planned(table, {"providers": {"groq": groq}})
    found = option(plan, "groq", "llama-3.1-8b-instant", "free")
    assert (found["binding"], round(found["days"], 2), found["at_hand"]) == ("RPH", 40.05, True)
    assert "TPD" not in found["windows"]
    assert not option(plan, "gemini", "gemini-2.0-flash", "free")["at_hand"]
    assert {part["provider"] for part in plan["best_mix"]["parts"]} == {"groq"}
    upgraded = option(plan, "groq", "llama-3.1-8b-instant", "paid")
    assert "RPH" not in upgraded["windows"]  # those are limits of the plan it is on
    paid = {**groq, "free": False, "limits": {"rpm": 100}}
    plan = planned(table, {"providers": {"groq": paid}})
    assert [o["plan"] for o in plan["options"] if o["provider"] == "groq"] == ["paid", "batch"]
    assert set(option(plan, "groq", "llama-3.1-8b-instant", "paid")["windows"]) == {"RPM", "at once"}


def test_models_of_one_account_share_its_windows() -> None:
    gateway = {
        "kind": "openai_compatible", "base_url": "https://gateway.example/v1", "free": True, "shared": "account",
        "limits": {"rpd": 1000}, "models": [{"id": "large"}, {"id": "small"}],
    }  # fmt: skip
    table = {"shape": {"scenarios": 3000}, "tokens": TOKENS}
    plan = planned(table, {"providers": {"gw": gateway}})
    assert plan["best_mix"]["days"] == pytest.approx(2.0, abs=0.01)
    halves = planned({**table, "shares": {"large": 0.5, "small": 0.5}}, {"providers": {"gw": gateway}})
    assert halves["best_mix"]["days"] == pytest.approx(2.0, abs=0.01)
    assert {p["model"]: p["calls"] for p in halves["best_mix"]["parts"]} == {"large": 1500, "small": 1500}


def test_a_subscription_says_nothing_of_its_windows() -> None:
    plan = planned({"shape": S0}, {"providers": {"claude_code": {"kind": "claude_code"}}})
    found = option(plan, "claude_code", "opus", "subscription")
    assert (found["days"], found["verdict"], found["usd"]) == (None, "unknown", 0.0)
    assert plan["best_mix"] is None
    assert [n for n in plan["notes"] if "undisclosed" in n]
    stated = {"kind": "claude_code", "limits": {"rpd": 500}}
    plan = planned({"shape": {"scenarios": 1000}}, {"providers": {"claude_code": stated}})
    assert option(plan, "claude_code", "opus", "subscription")["binding"] == "RPD"


def test_a_machine_of_ones_own_at_its_measured_speed() -> None:
    local = [{"name": "qwen3-30b", "tokens_per_second": 60, "prompt_tokens_per_second": 600}]
    plan = planned({"shape": S0, "tokens": TOKENS, "private": True, "local": local})
    found = option(plan, "local", "qwen3-30b", "local")
    assert found["days"] == pytest.approx(576_720 * (60 / 60 + 240 / 600) / 86_400, abs=1e-3)
    assert [p["model"] for p in plan["best_mix"]["parts"]] == ["qwen3-30b"]
    assert option(plan, "groq", "llama-3.1-8b-instant", "free")["verdict"] == "not allowed"
    seen = option(plan, "local", "llama3.1-70b-q4", "local")
    assert not seen["at_hand"]  # the founding plan's card, not the reader's


def test_a_server_nobody_measured_is_noticed() -> None:
    server = {"kind": "openai_compatible", "base_url": "http://127.0.0.1:1234/v1", "models": [{"id": "qwen3-30b"}]}
    plan = planned({"shape": S0}, {"providers": {"lmstudio": server}})
    assert [n for n in plan["notes"] if n.startswith("How fast lmstudio is, nobody measured")]
    assert not [o for o in plan["options"] if o["provider"] == "lmstudio"]


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ({"input": 5900, "output": 100, "max_output": 200}, "a call asks for 6,100 tokens, and its TPM is 6,000"),
        ({"input": 7000, "output": 100}, "a call is larger than its TPM"),
        ({"input": 10, "output": 9000}, "an answer has 9,000 tokens, and it writes 8,192 at the most"),
        ({"input": 130_000, "output": 2000}, "a call has 132,000 tokens, and its context 131,072"),
    ],
)
def test_a_call_that_can_never_pass_is_refused(tokens: dict[str, int], why: str) -> None:
    plan = planned({"shape": S0, "tokens": tokens})
    found = option(plan, "groq", "llama-3.1-8b-instant", "free")
    assert (found["verdict"], found["why"], found["days"]) == ("cannot", why, None)
    assert "llama-3.1-8b-instant" not in str((plan["best_mix"] or {}).get("parts"))


def test_cached_tokens_cost_no_window_where_they_are_free() -> None:
    groq = ("groq", "llama-3.1-8b-instant", "free")
    plain, cached = (
        option(planned({"shape": S0, "tokens": {**TOKENS, "cached": n}}), *groq)["windows"]["TPD"] for n in (0, 200)
    )
    assert cached == pytest.approx(plain / 3)


@pytest.mark.slow
@given(
    deadline=st.one_of(st.none(), st.floats(600, 60 * 86_400)),
    usd=st.one_of(st.none(), st.floats(0, 50)),
    scenarios=st.integers(1, 200),
)
@settings(max_examples=12, deadline=None)
def test_what_is_proposed_keeps_deadline_and_money(deadline: float | None, usd: float | None, scenarios: int) -> None:
    table: dict[str, Any] = {"shape": {**S0, "scenarios": scenarios}, "tokens": TOKENS}
    table |= {k: v for k, v in (("deadline", deadline), ("usd", usd)) if v is not None}
    plan = planned(table)
    proposals = [*plan["reduced"], *([plan["best_mix"]] if plan["best_mix"]["verdict"] == "fits" else [])]
    for proposal in proposals:
        assert deadline is None or proposal["days"] <= deadline / 86_400 + 1e-4
        assert usd is None or proposal["usd"] <= usd + 1e-4
    if plan["best_mix"]["verdict"] == "fits":
        assert not plan["reduced"]
        assert sum(p["calls"] for p in plan["best_mix"]["parts"]) == plan["volume"]
    assert all(r["volume"] < plan["volume"] for r in plan["reduced"])
    for found in plan["options"]:
        if found["verdict"] in ("fits", "too dear") and deadline is not None and not found["claimed"]:
            assert found["soonest_days"] <= deadline / 86_400 + 1e-4
    json.dumps(plan, allow_nan=False)


def test_a_reduced_campaign_fits_a_night() -> None:
    """14 hours, no money: which part of 576,720 calls can be done?"""
    night = {"shape": S0, "tokens": TOKENS, "deadline": "14 h", "models": ["groq/llama-3.1-8b-instant"]}
    plan = planned({**night, "smallest": {"groups": 2, "generations": 5, "agents": 4, "scenarios": 5}}, groq=3)
    assert plan["best_mix"]["verdict"] == "too slow"
    assert plan["reduced"]
    # A day's 500,000 tokens are 1,666 calls of 300 at each of the three accounts.
    assert 0 < plan["reduced"][0]["volume"] <= 3 * 1666
    assert plan["reduced"][0]["days"] <= 14 / 24


def test_off_hours() -> None:
    table = {"shape": S0, "tokens": TOKENS, "models": ["groq/llama-3.1-8b-instant"], "tiers": ["free"]}
    whole = option(planned(table), "groq", "llama-3.1-8b-instant", "free")
    night = option(planned({**table, "hours": ["03:00-06:00"]}), "groq", "llama-3.1-8b-instant", "free")
    assert night["windows"]["RPM"] == pytest.approx(8 * whole["windows"]["RPM"], abs=1e-3)
    assert night["days"] == whole["days"]  # a day's tokens are used up within the three hours
    assert night["soonest_days"] > whole["soonest_days"]


def test_items(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(5000)))
    table = {"items": {"path": "rows.jsonl"}, "template": "{n}", "tokens": TOKENS, "deadline": "1 h"}
    spec = parse_spec({**table, "models": ["groq/llama-3.1-8b-instant"]}, tmp_path / "spec.toml")
    plan = plan_campaign(spec, Settings(), now=NOW).to_dict()
    assert (plan["volume"], plan["steps"]) == (5000, [])
    assert plan["reduced"] == [
        {"changes": {"items": {"from": 5000, "to": 1200}}, "volume": 1200, "usd": 0.0, "how": "a sample by the seed"}
        | {"days": plan["reduced"][0]["days"]}
    ]
    missing = parse_spec({**table, "items": {"path": "gone.csv"}}, tmp_path / "spec.toml")
    with pytest.raises(ConfigError, match="no file of items"):
        plan_campaign(missing, Settings(), now=NOW)


def test_the_length_of_a_call_is_looked_at_where_nobody_says_it(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"word": "{"x" * 400}"}}\n' for _ in range(30)))
    spec = parse_spec({"items": {"path": "rows.jsonl"}, "template": "{word}"}, tmp_path / "spec.toml")
    plan = plan_campaign(spec, Settings(), now=NOW).to_dict()
    assert plan["tokens"] == {"input": 30 * 100, "output": 30 * 300}
    assert "estimated at 100 tokens from the first 30" in note(plan, "The input of a call is estimated")
    assert "700 tokens in and 300 out" in note(planned({"shape": {}}), "A call is taken for")


def test_a_provider_may_be_called_as_another_kind_is() -> None:
    named = {"groq": {"kind": "gemini", "models": [{"id": "gemini-2.0-flash"}]}}
    plan = planned({"shape": S0}, {"providers": named})
    assert {o["model"] for o in plan["options"] if o["provider"] == "groq"} == {"gemini-2.0-flash"}


def test_a_name_nobody_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no model llama-3.1-8b-instnt; did you mean"):
        planned({"shape": {}, "models": ["llama-3.1-8b-instnt"]})
    with pytest.raises(UsageError, match="no model"):
        planned({"shape": {}, "shares": {"qwertz": 0.5}})


def test_figures_that_have_grown_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime(2027, 6, 1, tzinfo=UTC)
    spec = parse_spec({"shape": {}, "models": ["groq/llama-3.1-8b-instant"], "tiers": ["free"]}, Path("x"))
    notes = plan_campaign(spec, Settings(), now=later).notes
    assert [n for n in notes if n.endswith("nobody has compared for 90 days: 2026-10.")]
    assert not [n for n in plan_campaign(spec, Settings(), now=NOW).notes if "90 days" in n]


def test_the_page_tells_the_figures_that_come_out(full: dict[str, Any], minimal: dict[str, Any]) -> None:
    rows = (EXAMPLES.parent / "docs" / "campaigns.md").read_text(encoding="utf-8").split("## The figures")[1]
    groq, gemini = ("groq", "llama-3.1-8b-instant", "free"), ("gemini", "gemini-2.0-flash", "free")
    large = option(full, "groq", "llama-3.3-70b-versatile", "free")
    haiku = example("self_hosting", gpu=Gpu(against="claude-haiku-4-5"))["break_even"]
    price = next(row["against_usd_per_million"] for row in haiku)
    told = {
        f"make it {option(full, *gemini)['days']:.1f}",
        f"500,000 tokens a day make it {option(full, *groq)['days']:.0f}",
        f"100,000 tokens: {large['days']:,.0f}",
        f"make it {option(minimal, *groq)['days']:.1f} and {option(minimal, *gemini)['days']:.1f}",
        f"{1230 / price:.0f}M against Haiku, {1230 / 0.18 / 1000:.1f}B against a hired 8B model",
        f"{14_400 * 3:,} a day | {576_720 / 43_200:.2f} days",
        f"make it {8_000 + 2 * 5 * 6:,}",
        f"today it is ${342 * 0.40:.0f}",
        f"| ${22 * 730:,} | the rent",
        f"${1e6 / 30 / 3600 * 0.5 * 0.15:.2f} a million",
        f"they write {30 * 3600 * 730 / 1e6:.0f}M a month",
        f"{600 / 70:.1f}-{600 / 30:.0f} months",
    }
    assert not [words for words in told if words not in rows]


def test_the_same_question_has_the_same_answer(full: dict[str, Any]) -> None:
    assert example("market_reflective_full") == full


def test_the_plan_needs_no_key_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    config = {"providers": {"groq": {"kind": "groq", "accounts": [{"name": "a", "keys": ["env:NO_SUCH_KEY"]}]}}}
    assert planned({"shape": S0}, config)["volume"] == 576_720
