"""The catalogue: whole, sourced, dated, and of one mind with genai-prices."""

from __future__ import annotations

import re
from datetime import date

import pytest

from understudy.agents.candidates import limits_of
from understudy.agents.catalogue import (
    KINDS,
    SCALE,
    Entry,
    entries,
    entry,
    last_day,
    list_price,
    looked_up,
    pricer,
    rows,
    rules,
)
from understudy.config.settings import Account, Model, Provider
from understudy.types import Limits, Window

ALL = [row for kind in KINDS for row in rows(kind)]
HOSTED = [row for row in ALL if row.kind != "local"]
GROQ = "llama-3.3-70b-versatile llama-3.1-8b-instant qwen3-32b llama-4-maverick-17b llama-4-scout-17b"
GEMINI = "gemini-2.5-flash gemini-2.5-pro gemini-2.0-flash gemini-3-pro-preview gemini-3-flash-preview"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def name_of(row: Entry) -> str:
    return f"{row.host or row.kind} {row.model}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_means_one_model(kind: str) -> None:
    names = [(row.host, name) for row in rows(kind) for name in {row.model.lower(), *row.aliases}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("dated", "last"),
    [
        ("2026-10", date(2026, 10, 31)),
        ("2028-02", date(2028, 2, 29)),
        ("2026-12", date(2026, 12, 31)),
        ("9999-12", date.max),
        ("2026-10-03", date(2026, 10, 3)),
    ],
)
def test_a_date_means_a_day(dated: str, last: date) -> None:
    assert last_day(dated) == last


@pytest.mark.parametrize("row", ALL, ids=name_of)
def test_every_figure_has_a_source_and_a_date(row: Entry) -> None:
    told = {s.figures for s in row.sources}
    for source in row.sources:
        assert source.text
        assert re.fullmatch(r"\d{4}-\d\d(-\d\d)?", source.dated)
        assert last_day(source.dated)
    assert row.dated in {s.dated for s in row.sources}
    stated = {
        "rules": row.kind != "local",
        "context": row.context is not None,
        "capabilities": bool(row.capabilities),
        "limits": bool(row.limits.windows),
        "prices": row.input_usd is not None,
        "quality": row.quality is not None,
        "ratings": bool(row.ratings),
        "benchmarks": bool(row.benchmarks),
        "strengths": bool(row.strengths),
        "size": row.size_gb is not None,
        "vram": row.vram_gb is not None,
    }
    for figures, has in stated.items():
        assert not has or figures in told, figures
    assert row.capabilities <= {"tools", "json", "grounding", "vision", "logprobs", "agentic"}
    assert set(row.modalities) <= {"text", "image", "audio", "video"}
    assert set(row.ratings.values()) <= set(SCALE.values())
    assert all(0 < b <= 100 for b in row.benchmarks.values())


@pytest.mark.parametrize("row", HOSTED, ids=name_of)
def test_a_hosted_model_says_what_a_call_needs(row: Entry) -> None:
    assert row.context is not None
    assert row.output_cap is not None
    assert 0 < row.output_cap <= row.context
    assert 0 < (row.quality or 0) <= 100
    assert 0 < (row.speed or 0) <= 100
    assert (row.input_usd or 0) > 0
    assert (row.output_usd or 0) > 0
    assert "text" in row.modalities
    assert not row.limits.windows or row.free  # only a free plan's limits are the same for everybody


@pytest.mark.parametrize("row", HOSTED, ids=name_of)
def test_prices_are_those_of_genai_prices_where_it_knows(row: Entry) -> None:
    provider = pricer(row.kind, row.host)
    if provider is None:
        return
    said = next((s.text for s in row.sources if s.figures == "prices"), "")
    known = [looked_up(provider, name) for name in (row.model, *row.aliases)]
    if "genai-prices" in said and any(known):
        assert (row.input_usd, row.output_usd) == pytest.approx(next(price for price in known if price))
    elif "genai-prices" in said:
        assert row.host == "api.together.xyz", "a price of genai-prices that it does not know"
    else:
        assert not looked_up(provider, row.model) or not any(known)


def test_the_models_of_the_routing_table_are_there() -> None:
    for model in f"{GROQ} kimi-k2-instruct gpt-oss-120b gpt-oss-20b".split():
        assert entry("groq", model) in entries("groq")
    for model in GEMINI.split():
        assert entry("gemini", model) in entries("gemini")
    assert [e.model for e in entries("claude_code")] == ["opus", "sonnet", "haiku"]
    for model in ("nemotron-12b", "ministral-3b", "qwen3-coder-30b-a3b"):
        assert entry("local", model) is not None
    assert entry("groq", "nobody") is None
    assert entries("llama_cpp") == ()


def test_the_registry_of_the_founding_plans() -> None:
    assert entry("anthropic", "claude-3-opus") not in entries("anthropic")
    opus, mini = entry("anthropic", "Claude-3-Opus"), entry("local", "mistral-large-q4")
    assert opus
    assert dict(opus.ratings) == {"reasoning": 95, "coding": 85, "multilingual": 75}
    assert mini
    assert (mini.size_gb, mini.vram_gb, mini.quantisation, mini.tokens_per_second) == (22, 22.5, "4-bit", 50)
    assert len(rows("local")) > 40


def windows(kind: str, model: str) -> dict[str, tuple[int, float, str]]:
    found = entry(kind, model)
    assert found
    return {w.name: (w.limit, w.seconds, w.zone) for w in found.limits.windows}


def test_limits_and_their_clocks() -> None:
    assert windows("groq", "llama-3.1-8b-instant") == {
        "RPM": (30, MINUTE, ""), "RPD": (14400, DAY, ""), "TPM": (6000, MINUTE, ""), "TPD": (500000, DAY, ""),
    }  # fmt: skip
    assert windows("gemini", "gemini-2.5-flash") == {
        "RPM": (10, MINUTE, ""), "RPD": (250, DAY, "America/Los_Angeles"), "TPM": (250000, MINUTE, ""),
    }  # fmt: skip
    assert (
        windows("anthropic", "claude-opus-5-5") == windows("openai", "gpt-4o") == windows("claude_code", "opus") == {}
    )
    how = {kind: rules(kind).limits for kind in KINDS}
    assert how["groq"] == Limits(charged="cap", cached_free=True)
    assert how["gemini"].charged == "input"
    assert how["claude_code"].shared == "account"
    assert rules("gemini").day == "America/Los_Angeles"


CEREBRAS, TOGETHER, DEEPINFRA = "https://api.cerebras.ai/v1", "https://api.together.xyz/v1", "https://api.deepinfra.com"


def test_a_host_has_its_own_row() -> None:
    cerebras = entry("openai_compatible", "gpt-oss-120b", CEREBRAS)
    assert cerebras
    assert {w.name for w in cerebras.limits.windows} == {"RPM", "RPH", "RPD", "TPM", "TPH", "TPD"}
    assert (cerebras.limits.charged, cerebras.free, cerebras.input_usd) == ("cap", True, 0.35)
    together = entry("openai_compatible", "gpt-oss-120b", TOGETHER)
    assert together
    assert (together.limits.windows, together.free, together.input_usd) == ((), False, 0.15)
    prices = [list_price("openai_compatible", "meta-llama/Llama-3.1-70B", url) for url in (TOGETHER, DEEPINFRA)]
    assert prices == [(0.88, 0.88), (0.40, 0.40)]
    assert rules("openai_compatible", CEREBRAS).limits.charged == "cap"
    assert rules("openai_compatible", "https://elsewhere.example").limits.charged == "used"


def test_at_an_unknown_address_a_row_tells_only_what_the_model_is() -> None:
    found = entry("openai_compatible", "qwen-3-32b", "https://elsewhere.example/v1")
    assert found
    assert (found.limits.windows, found.free, found.context) == ((), False, 65536)
    provider = Provider(kind="openai_compatible", base_url="https://elsewhere.example/v1")
    assert limits_of(provider, Account(), Model(id="qwen-3-32b")) == Limits()


def test_prices_beyond_the_catalogue_come_from_genai_prices() -> None:
    assert list_price("openai", "gpt-4o-mini") == (0.15, 0.60)
    assert list_price("openai", "gpt-4-turbo") == pytest.approx((10.0, 30.0))
    assert list_price("openai_compatible", "zai-glm-4.7", CEREBRAS) == pytest.approx((2.25, 2.75))
    assert list_price("openai", "no-such-model") is None
    assert list_price("openai_compatible", "no-such-model") is None


def test_a_month_means_its_last_day() -> None:
    assert last_day("2026-02") == date(2026, 2, 28)
    assert last_day("2026-12") == date(2026, 12, 31)
    assert last_day("2026-12-03") == date(2026, 12, 3)


def test_a_window_is_named_as_everybody_names_it() -> None:
    found = entry("groq", "gpt-oss-20b")
    assert found
    assert found.limits.windows[0] == Window("RPM", "requests", 30, 60.0)
