"""Who there is: the candidates of every enabled provider, listed at the same time, and a worker for each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from understudy.config.settings import Provider, Settings
from understudy.errors import CallFailed, ConfigError, UnderstudyError
from understudy.types import Candidate, Worker

if TYPE_CHECKING:
    from understudy.agents.keys import KeyRing, Rings

MODULES = {
    kind: f"understudy.agents.providers.{kind}"
    for kind in (
        "groq",
        "gemini",
        "anthropic",
        "openai",
        "openai_compatible",
        "claude_code",
        "llama_cpp",
        "rehearsal",
    )
}


RELAYING = frozenset({"groq", "gemini", "anthropic", "openai", "openai_compatible"})


def hands_on(candidate: Candidate) -> bool:
    """Whether its provider takes a conversation as it is, with tools and images; the others are told it in words."""
    return candidate.kind in RELAYING


class Adapter(Protocol):
    """What every module of providers/ offers."""

    async def candidates(self, name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]: ...

    def worker(
        self, candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None
    ) -> Worker: ...


@dataclass(frozen=True, slots=True)
class Roster:
    """notes: one line for each provider that offers nobody, with the remedy in it."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


async def roster(settings: Settings) -> Roster:
    """Every candidate of every enabled provider, in the order of the configuration. Never raises."""
    enabled = [(name, provider) for name, provider in settings.providers.items() if provider.enabled]
    found = await asyncio.gather(*(_listed(name, provider, settings) for name, provider in enabled))
    return Roster(
        candidates=tuple(candidate for listed, _ in found for candidate in listed),
        notes=tuple(note for _, notes in found for note in notes),
    )


def worker_for(candidate: Candidate, settings: Settings, rings: Rings | None = None) -> Worker:
    """rings: the keys of all accounts, in which workers of one account know of each other's refused keys.

    Raises ConfigError for a candidate the configuration does not know. Keys are read when the worker is loaded.
    """
    provider = settings.providers.get(candidate.provider)
    if provider is None or not provider.enabled:
        raise ConfigError(
            f"There is no provider called {candidate.provider}.", remedy="Add or enable it under [providers]."
        )
    return adapter(provider.kind).worker(candidate, provider, settings, rings)


def ring_of(candidate: Candidate, settings: Settings, rings: Rings) -> KeyRing | None:
    """The keys its worker takes; None where it needs none, or where they are made up."""
    provider = settings.providers.get(candidate.provider)
    if provider is None or provider.kind in ("rehearsal", "llama_cpp") or provider.login == "subscription":
        return None
    from understudy.agents.candidates import accounts_of

    usual: tuple[str, ...] = getattr(adapter(provider.kind), "KEYS", ())
    account = next((a for a in accounts_of(provider, usual) if a.name == candidate.account), None)
    return rings.of(candidate.provider, provider, account, usual) if account is not None else None


def adapter(kind: str) -> Adapter:
    """The module for a kind. Raises ConfigError when a part of it is not installed."""
    try:
        return cast("Adapter", import_module(MODULES[kind]))
    except ImportError as error:
        raise ConfigError(
            f"The provider kind {kind} cannot be loaded ({error.name or 'a package'} is missing).",
            remedy="Install understudy with the extra it needs, e.g. understudy[local].",
        ) from None


async def _listed(name: str, provider: Provider, settings: Settings) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    try:
        found = await adapter(provider.kind).candidates(name, provider, settings)
    except CallFailed as failure:
        return (), (f"{failure.message.rstrip('.')}. {failure.remedy}".strip(),)
    except UnderstudyError as error:
        return (), (f"{name}: {error}",)
    except Exception as error:  # noqa: BLE001  one broken provider must not take the others with it
        return (), (f"{name}: listing its models failed ({type(error).__name__}).",)
    return found, _missing_keys(name, provider)


def _missing_keys(name: str, provider: Provider) -> tuple[str, ...]:
    """A note for each configured account without a readable key, where others have one."""
    from understudy.agents.candidates import check_keys

    notes: list[str] = []
    for account in provider.accounts:
        try:
            check_keys(account)
        except ConfigError as error:
            notes.append(f"{name}: account {account.name} is left out. {error}")
    return tuple(notes)
