"""What is known of the models beforehand: dated figures with their sources, read on first use.

Figures are priors. The user's configuration overrides every one of them, and what a provider answers beats both.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from understudy.agents.limits import limits_from, tokens_per_minute
from understudy.types import Limits

KINDS = ("groq", "gemini", "anthropic", "openai", "openai_compatible")


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. Tokens; ratings 0 to 100; prices in USD per million tokens; tokens_per_minute of the free plan."""

    kind: str
    model: str
    aliases: tuple[str, ...]
    context: int
    output_cap: int
    tokens_per_minute: int | None
    capabilities: frozenset[str]
    quality: int
    speed: int
    input_usd: float
    output_usd: float
    free: bool
    sources: tuple[str, ...]
    dated: str  # year-month
    limits: Limits  # of the free plan


def entries(kind: str) -> tuple[Entry, ...]:
    """All models of a kind, in the order of the file; empty for a kind without a catalogue."""
    return _read(kind) if kind in KINDS else ()


def entry(kind: str, model: str) -> Entry | None:
    """The entry of a model by its id, or by an alias such as qwen3-32b; case does not matter."""
    wanted = model.lower()
    for known in entries(kind):
        if wanted == known.model.lower() or wanted in known.aliases:
            return known
    return None


def list_price(kind: str, model: str) -> tuple[float, float] | None:
    """(input, output) in USD per million tokens: the catalogue's, else genai-prices', else None."""
    if known := entry(kind, model):
        return known.input_usd, known.output_usd
    provider = {"groq": "groq", "gemini": "google", "anthropic": "anthropic", "openai": "openai"}.get(kind)
    return _looked_up(provider, model) if provider else None


@cache
def _looked_up(provider: str, model: str) -> tuple[float, float] | None:
    from genai_prices import Usage, calc_price

    try:
        priced = calc_price(Usage(input_tokens=1000, output_tokens=1000), model, provider_id=provider)
    except LookupError:
        return None
    return float(priced.input_price) * 1000, float(priced.output_price) * 1000


@cache
def _read(kind: str) -> tuple[Entry, ...]:
    table = tomllib.loads((files("understudy.agents") / "catalogue" / f"{kind}.toml").read_text(encoding="utf-8"))
    sources = tuple(f"{name}: {text}" for name, text in table["sources"].items())
    rules = table.get("rules", {})
    return tuple(_entry(kind, row, sources, table["dated"], rules) for row in table["models"])


def _entry(kind: str, row: dict[str, Any], sources: tuple[str, ...], dated: str, rules: dict[str, Any]) -> Entry:
    rules = {**rules, **row.get("rules", {})}
    limits = Limits(
        windows=limits_from(row.get("limits", {}), day=rules.get("day", "rolling")),
        charged=rules.get("charged", "used"),
        shared=rules.get("shared", "model"),
        cached_free=rules.get("cached_free", False),
    )
    return Entry(
        kind=kind,
        model=row["id"],
        aliases=tuple(alias.lower() for alias in row.get("aliases", ())),
        context=row["context"],
        output_cap=row["output_cap"],
        tokens_per_minute=tokens_per_minute(limits),
        capabilities=frozenset(row["capabilities"]),
        quality=row["quality"],
        speed=row["speed"],
        input_usd=float(row["input_usd"]),
        output_usd=float(row["output_usd"]),
        free=row["free"],
        sources=(*sources, *((f"note: {row['note']}",) if "note" in row else ())),
        dated=row.get("dated", dated),
        limits=limits,
    )
