"""Whom an event can strike. One that can strike nobody would be passed over in silence: it is a slip, and is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.agents.providers.rehearsal import script_of
from understudy.config.pasted import shown
from understudy.config.settings import Provider, Settings
from understudy.errors import ConfigError
from understudy.rehearsal.script import Script

if TYPE_CHECKING:
    from understudy.scenarios.scenario import Event


@dataclass(frozen=True, slots=True)
class Target:
    """A provider as its server sees who asks. keys: how many each account has, by its name at the server."""

    provider: str
    keys: Mapping[str, int]
    models: frozenset[str]  # ids of the script
    script: Script

    def keys_of(self, account: str) -> list[tuple[str, int]]:
        """Of this account, or of all."""
        return [(name, count) for name, count in self.keys.items() if account in ("", name)]

    def has_model(self, name: str) -> bool:
        model = self.script.model(name)
        return model is not None and model.id in self.models


def targets(settings: Settings) -> tuple[Target, ...]:
    """Raises ConfigError for a broken script."""
    return tuple(_target(name, provider) for name, provider in settings.providers.items())


def check_aim(event: Event, among: Sequence[Target], where: str) -> None:
    """Raises ConfigError that says what there is, if nobody has all that the event names."""

    def narrowed(what: str, has: Callable[[Target], bool], there: Callable[[Target], Iterable[str]]) -> list[Target]:
        left = [target for target in among if has(target)]
        if not left:
            known = ", ".join(dict.fromkeys(name for target in among for name in there(target))) or "none"
            at = f" at {among[0].provider}" if len(among) == 1 else ""
            raise ConfigError(f"{where}: an event names {what}, and there is none{at}.", remedy=f"There are: {known}.")
        return left

    if event.provider:
        among = narrowed(
            f"the provider {shown(event.provider)}", lambda t: t.provider == event.provider, lambda t: [t.provider]
        )
    if event.model:
        among = narrowed(
            f"the model {shown(event.model)}", lambda t: t.has_model(event.model), lambda t: sorted(t.models)
        )
    if event.account:
        among = narrowed(f"the account {shown(event.account)}", lambda t: event.account in t.keys, lambda t: t.keys)
    if event.key:
        narrowed(
            f"key {event.key}",
            lambda t: any(count >= event.key for _, count in t.keys_of(event.account)),
            lambda t: (f"{name} ({_counted(count)})" for name, count in t.keys_of(event.account)),
        )


def _counted(keys: int) -> str:
    return "any key" if keys == 0 else "1 key" if keys == 1 else f"{keys} keys"


def _target(name: str, provider: Provider) -> Target:
    script = script_of(provider)
    offered = [script.model(m.id) for m in provider.models] if provider.models else script.models
    return Target(name, _keys(provider, script), frozenset(m.id for m in offered if m is not None), script)


def _keys(provider: Provider, script: Script) -> Mapping[str, int]:
    """As workers are given them: see agents/providers/rehearsal.py."""
    if script.accounts is None:
        return {"default": 0}  # any key will do, and all are one account
    known = {name: len(keys) for name, keys in script.accounts.items() if keys}
    first = next(iter(known), "")
    if provider.plays == "claude_code":  # one login
        return {first: 1} if first else {}
    wanted = {account.name for account in provider.accounts} or set(known)
    seen = {name: n for name, n in known.items() if name in wanted}
    # An account the script does not know asks with the first key of all.
    return seen if wanted <= set(known) or not first else {first: 1} | seen
