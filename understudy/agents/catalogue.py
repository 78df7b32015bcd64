"""What is known of the models beforehand: dated figures with their sources, read on first use.

Figures are priors. The user's configuration overrides every one of them, and what a provider answers beats both.
"""

from __future__ import annotations

import tomllib
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from understudy.agents.limits import windows_of
from understudy.types import Limits

# The files of each kind. "local" is no kind of provider: its rows are of models that run on one's own machine.
FILES: dict[str, tuple[str, ...]] = {
    "groq": ("groq",),
    "gemini": ("gemini",),
    "anthropic": ("anthropic",),
    "openai": ("openai",),
    "openai_compatible": ("together", "deepinfra", "cerebras"),
    "claude_code": ("claude_code",),
    "local": ("local",),
}
KINDS = tuple(FILES)
_FIGURES = {
    "prices": "input_usd",
    "size": "size_gb",
    "vram": "vram_gb",
}  # what a source is of, where it is named otherwise
SCALE = {"excellent": 95, "very strong": 85, "strong": 75}  # ours: the words of a comparison as ratings, 0 to 100


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from, and when they were last compared with it: year-month-day, or year-month."""

    figures: str
    text: str
    dated: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How a provider counts. day: "rolling", or the time zone whose midnight ends its day."""

    limits: Limits = field(default_factory=Limits)  # no windows; charged, shared and cached_free
    day: str = "rolling"


@dataclass(frozen=True, slots=True)
class Batch:
    """The provider's lane for work that can wait. price: share of the list price; requests: that may wait at once."""

    price: float
    hours: float
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Spend:
    """What the lowest paid tier may spend in any `seconds`."""

    usd: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. Tokens; ratings 0 to 100; USD per million tokens; GB; limits are those of the free plan.

    paid_limits: of the lowest paid tier, for planning; no call is held to them. No windows: none are published.
    """

    kind: str
    model: str
    aliases: tuple[str, ...]
    host: str  # openai_compatible: whose figures these are
    context: int | None
    output_cap: int | None
    limits: Limits
    capabilities: frozenset[str]
    modalities: tuple[str, ...]
    quality: int | None
    speed: int | None
    ratings: Mapping[str, int]  # reasoning, coding, multilingual, ...
    benchmarks: Mapping[str, float]  # per cent
    strengths: tuple[str, ...]
    size_gb: float | None
    size_4bit_gb: float | None
    vram_gb: float | None
    quantisation: str
    tokens_per_second: float | None
    input_usd: float | None
    output_usd: float | None
    free: bool
    offered: bool  # False: only completes what the user lists
    sources: tuple[Source, ...]
    note: str = ""
    paid_limits: Limits = field(default_factory=Limits)
    batch: Batch | None = None
    spend: Spend | None = None

    def source(self, figures: str) -> Source | None:
        return next((s for s in self.sources if s.figures == figures), None)

    @property
    def dated(self) -> str:
        """Of the figure that was compared longest ago."""
        return min((s.dated for s in self.sources), key=last_day)


@dataclass(frozen=True, slots=True)
class _File:
    host: str
    rules: Rules
    entries: tuple[Entry, ...]
    names: Mapping[str, Entry] = field(repr=False)


def entries(kind: str) -> tuple[Entry, ...]:
    """All models of a kind that are offered unasked, in the order of its files; empty without a catalogue."""
    return tuple(row for row in rows(kind) if row.offered)


def rows(kind: str) -> tuple[Entry, ...]:
    """All models of a kind, also those that only complete what a user lists."""
    return tuple(row for name in FILES.get(kind, ()) for row in _read(kind, name).entries)


def entry(kind: str, model: str, base_url: str | None = None) -> Entry | None:
    """The entry of a model by its id, or by an alias such as qwen3-32b; case does not matter.

    Of the hosts of one model that of the address counts. At an address nobody knows, another host's row stands in for
    what the model is, and its price for an unknown one; its limits and its free tier are its own.
    """
    wanted = model.lower()
    if kind == "claude_code":  # its rows are lines, such as opus for claude-opus-5-5
        return next((line for line in rows(kind) if line.model in wanted), None)
    host = host_of(base_url)
    found = [(f.host, f.names[wanted]) for f in _files(kind) if wanted in f.names]
    own = next((row for name, row in found if name == host or kind != "openai_compatible"), None)
    if own is not None or not found:
        return own
    other = found[0][1]
    return replace(other, limits=replace(other.limits, windows=()), free=False)


def rules(kind: str, base_url: str | None = None) -> Rules:
    """How a kind, or the host at an address, counts what is asked of it."""
    known = _files(kind)
    if kind == "openai_compatible":
        known = tuple(f for f in known if f.host == host_of(base_url))
    return known[0].rules if known else Rules()


def list_price(kind: str, model: str, base_url: str | None = None) -> tuple[float, float] | None:
    """(input, output) in USD per million tokens: the catalogue's, else genai-prices', else None."""
    known = entry(kind, model, base_url)
    if known and known.input_usd is not None and known.output_usd is not None:
        return known.input_usd, known.output_usd
    provider = pricer(kind, host_of(base_url))
    return looked_up(provider, model) if provider else None


def pricer(kind: str, host: str = "") -> str | None:
    """What genai-prices calls a provider; None where it does not know it."""
    hosts = {"api.together.xyz": "together", "api.cerebras.ai": "cerebras"}
    if kind == "openai_compatible":
        return hosts.get(host)
    return {"groq": "groq", "gemini": "google", "anthropic": "anthropic", "openai": "openai"}.get(kind)


@cache
def looked_up(provider: str, model: str) -> tuple[float, float] | None:
    """genai-prices' list price, in USD per million tokens."""
    from genai_prices import Usage, calc_price

    try:
        priced = calc_price(Usage(input_tokens=1000, output_tokens=1000), model, provider_id=provider)
    except LookupError:
        return None
    return float(priced.input_price) * 1000, float(priced.output_price) * 1000


def last_day(dated: str) -> date:
    """The day a date means; of a year-month its last."""
    year, month, *day = (int(part) for part in dated.split("-"))
    return date(year, month, day[0] if day else monthrange(year, month)[1])


def host_of(base_url: str | None) -> str:
    return (urlsplit(base_url or "").hostname or "").lower()


def _files(kind: str) -> tuple[_File, ...]:
    return tuple(_read(kind, name) for name in FILES.get(kind, ()))


@cache
def _read(kind: str, name: str) -> _File:
    table = tomllib.loads((files("understudy.agents") / "catalogue" / f"{name}.toml").read_text(encoding="utf-8"))
    said = table["rules"]
    how = Limits(charged=said["charged"], shared=said["shared"], cached_free=said["cached_free"])
    host = host_of(table.get("base_url"))
    plans = {
        "batch": Batch(**table["batch"]) if "batch" in table else None,
        "spend": Spend(**table["spend"]) if "spend" in table else None,
    }
    made = tuple(
        replace(_entry(kind, host, row, table["sources"], Rules(how, said["day"])), **plans) for row in table["models"]
    )
    names = {name.lower(): row for row in made for name in (row.model, *row.aliases)}
    return _File(host, Rules(how, said["day"]), made, names)


def _entry(kind: str, host: str, row: dict[str, Any], sources: dict[str, dict[str, str]], how: Rules) -> Entry:
    told = {**sources, **row.get("sources", {})}
    told = {
        figures: said
        for figures, said in told.items()
        if _FIGURES.get(figures, figures) in row or figures in ("rules", "batch", "spend")
    }
    return Entry(
        kind=kind,
        model=row["id"],
        aliases=tuple(alias.lower() for alias in row.get("aliases", ())),
        host=host,
        context=row.get("context"),
        output_cap=row.get("output_cap"),
        limits=replace(how.limits, windows=windows_of(row.get("limits", {}), how.day)),
        capabilities=frozenset(row.get("capabilities", ())),
        modalities=tuple(row.get("modalities", ())),
        quality=row.get("quality"),
        speed=row.get("speed"),
        ratings={name: SCALE[word] for name, word in row.get("ratings", {}).items()},
        benchmarks=row.get("benchmarks", {}),
        strengths=tuple(row.get("strengths", ())),
        size_gb=row.get("size_gb"),
        size_4bit_gb=row.get("size_4bit_gb"),
        vram_gb=row.get("vram_gb"),
        quantisation=row.get("quantisation", ""),
        tokens_per_second=row.get("tokens_per_second"),
        input_usd=row.get("input_usd"),
        output_usd=row.get("output_usd"),
        free=row.get("free", False),
        offered=row.get("offered", True),
        sources=tuple(Source(figures, said["text"], said["dated"]) for figures, said in told.items()),
        note=row.get("note", ""),
        paid_limits=replace(how.limits, windows=windows_of(row.get("paid_limits", {}), how.day)),
    )
