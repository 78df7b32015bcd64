"""The default fleet, for whoever has no key and no model: every provider of the routing table, simulated.

Limits are those of the free plans, autumn 2026; contexts and caps those the providers publish.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.rehearsal.script import DEFAULT_KEY, ModelLimits, Plays, Script, ScriptedModel


def _groq(name: str, rpd: int, tpm: int, tpd: int, *, rpm: int = 30, cap: int = 8_192, wire: str = "") -> ScriptedModel:
    limits = ModelLimits(rpm=rpm, rpd=rpd, tpm=tpm, tpd=tpd)
    aliases = (wire,) if wire else ()
    return ScriptedModel(
        id=name, aliases=aliases, context=131_072, output_cap=cap, first_token=0.02, pace=400, limits=limits
    )


def _gemini(name: str, rpm: int, tpm: int, rpd: int) -> ScriptedModel:
    limits = ModelLimits(rpm=rpm, rpd=rpd, tpm=tpm, charges="input", day="America/Los_Angeles")
    return ScriptedModel(id=name, context=1_048_576, output_cap=8_192, first_token=0.03, pace=300, limits=limits)


def _plain(name: str, context: int, cap: int = 8_192, aliases: tuple[str, ...] = ()) -> ScriptedModel:
    return ScriptedModel(id=name, aliases=aliases, context=context, output_cap=cap, first_token=0.02, pace=300)


def default_models(plays: Plays) -> tuple[ScriptedModel, ...]:
    """The models of one simulated provider. Groq's go by their short names and by those of its wire."""
    match plays:
        case "groq":
            return (
                _groq("llama-3.3-70b-versatile", 1_000, 12_000, 100_000, cap=32_768),
                _groq("llama-3.1-8b-instant", 14_400, 6_000, 500_000),
                _groq("qwen3-32b", 1_000, 6_000, 500_000, rpm=60, cap=40_960, wire="qwen/qwen3-32b"),
                _groq("llama-4-maverick-17b", 1_000, 6_000, 500_000, wire="meta-llama/llama-4-maverick-17b*"),
                _groq("llama-4-scout-17b", 1_000, 30_000, 500_000, wire="meta-llama/llama-4-scout-17b*"),
                _groq("kimi-k2-instruct", 1_000, 10_000, 300_000, rpm=60, cap=16_384, wire="moonshotai/kimi-k2-*"),
                _groq("gpt-oss-120b", 1_000, 8_000, 200_000, cap=32_768, wire="openai/gpt-oss-120b"),
                _groq("gpt-oss-20b", 1_000, 8_000, 200_000, cap=32_768, wire="openai/gpt-oss-20b"),
            )
        case "gemini":
            return (
                _gemini("gemini-2.5-flash", 10, 250_000, 250),
                _gemini("gemini-2.5-pro", 5, 250_000, 100),
                _gemini("gemini-2.0-flash", 15, 1_000_000, 1_500),
                _gemini("gemini-3-pro-preview", 5, 250_000, 100),
                _gemini("gemini-3-flash-preview", 10, 250_000, 250),
            )
        case "local":
            named = (("nemotron-12b", 131_072), ("ministral-3b", 131_072), ("qwen3-coder-30b-a3b", 262_144))
            return tuple(_plain(name, context) for name, context in named)
        case "openai":
            return _plain("gpt-4.1", 1_047_576, 32_768), _plain("gpt-4.1-mini", 1_047_576, 32_768)
        case "anthropic":
            named = (("opus", 32_000), ("sonnet", 64_000), ("haiku", 64_000))
            return tuple(_plain(f"claude-{n}-5-5", 200_000, cap, (n, f"claude-{n}-*")) for n, cap in named)
        case "claude_code":
            named = (("opus", 32_000), ("sonnet", 64_000), ("haiku", 64_000))
            return tuple(_plain(n, 200_000, cap, (f"claude-{n}-*",)) for n, cap in named)


def default_script(plays: Plays, accounts: Mapping[str, tuple[str, ...]] | None = None) -> Script:
    """The script of one simulated provider when the configuration names none. A local server asks for no key."""
    if plays == "local":
        return Script(models=default_models(plays), accounts=accounts)
    return Script(models=default_models(plays), accounts=accounts or {"default": (DEFAULT_KEY,)})


def rehearsal_table() -> dict[str, Any]:
    """A configuration table with every provider simulated: what runs when nothing real is found."""
    plays: tuple[Plays, ...] = ("groq", "gemini", "claude_code", "local")
    return {
        "director": {"candidate": "claude_code/opus"},
        "providers": {
            name: {"kind": "rehearsal", "plays": name, "models": [{"id": m.id} for m in default_models(name)]}
            for name in plays
        },
    }
