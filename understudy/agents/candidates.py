"""From a provider's table in the configuration to its candidates: models times accounts."""

from __future__ import annotations

from understudy.agents.catalogue import Entry, Rules, entry, list_price, rules
from understudy.agents.limits import stated, tokens_per_minute
from understudy.config.locality import is_local
from understudy.config.quota import LimitTable, QuotaTable
from understudy.config.secrets import Secret, check_key, no_key, read_key
from understudy.config.settings import PAID_KINDS, Account, Model, Provider, Settings
from understudy.errors import CallFailed, ConfigError
from understudy.types import Candidate, Failure, Limits

PLAIN_CONTEXT = 8192  # tokens, where nobody knows better: what small servers are started with
PLAIN_OUTPUT = 4096


def accounts_of(provider: Provider, sources: tuple[str, ...] = ()) -> tuple[Account, ...]:
    """The configured accounts, else one that reads the kind's usual environment variables."""
    return provider.accounts or (Account(name="default", keys=sources),)


def check_keys(account: Account, sources: tuple[str, ...] = ()) -> None:
    """Whether the account has a key, as far as it can be known without a network; one without sources needs none.

    Raises ConfigError, which names the sources and never a value.
    """
    keys = account.keys or sources
    refused: list[ConfigError] = []
    for source in keys:
        try:
            check_key(source)
        except ConfigError as error:
            refused.append(error)
        else:
            return
    if refused:
        raise no_key(keys, refused)


def readable(account: Account) -> tuple[Secret, ...]:
    """The keys of the account that can be read, each read anew. Raises ConfigError when it has keys and none can."""
    found: list[Secret] = []
    errors: list[ConfigError] = []
    for source in account.keys:
        try:
            found.append(read_key(source))
        except ConfigError as error:
            errors.append(error)
    if errors and not found:
        raise no_key(account.keys, errors)
    return tuple(found)


def account_named(provider: Provider, name: str, sources: tuple[str, ...]) -> Account:
    for account in accounts_of(provider, sources):
        if account.name == name:
            return account
    raise ConfigError(f"There is no account called {name}.", remedy="Name it under accounts.")


def with_keys(name: str, provider: Provider, sources: tuple[str, ...]) -> tuple[Account, ...]:
    """The accounts that have a key. Raises CallFailed(UNAVAILABLE) with the remedy when there is none."""
    usable: list[Account] = []
    missing: list[ConfigError] = []
    for account in accounts_of(provider, sources):
        try:
            check_keys(account, sources)
            usable.append(account)
        except ConfigError as error:
            missing.append(error)
    if not usable:
        raise CallFailed(Failure.UNAVAILABLE, f"{name}: {missing[0].message}", remedy=missing[0].remedy, charged=False)
    return tuple(usable)


def build(
    name: str, provider: Provider, settings: Settings, accounts: tuple[Account, ...], models: tuple[Model, ...]
) -> tuple[Candidate, ...]:
    """Every model at every account, in the order of the configuration."""
    return tuple(_candidate(name, provider, settings, account, model) for model in models for account in accounts)


def _candidate(name: str, provider: Provider, settings: Settings, account: Account, model: Model) -> Candidate:
    local = is_local(provider, model.id, settings.local_hosts)
    known = entry("local", model.id) if local else entry(provider.kind, model.id, provider.base_url)
    prices = _prices(provider, model, known, local)
    # What a local server was started with, it alone knows: a row of the catalogue tells what the model could do.
    context = _first(model.context, None if local else known and known.context, PLAIN_CONTEXT)
    capabilities = model.capabilities if model.capabilities is not None else (known.capabilities if known else ())
    free = _free(provider, model, known, local)
    limits = limits_of(provider, account, model, known if free and not local else None, local=local)
    return Candidate(
        provider=name,
        kind=provider.kind,
        account=account.name,
        model=_wire_name(provider.kind, model.id, known),
        local=local,
        free=free,
        context=context,
        output_cap=min(_first(model.output_cap, known and known.output_cap, PLAIN_OUTPUT), context),
        tokens_per_minute=tokens_per_minute(limits),
        capabilities=frozenset(capabilities),
        quality=_first(model.quality, known and known.quality, 50),
        speed=_first(model.speed, known and known.speed, 50),
        input_price=round(prices[0] * 1_000_000),
        output_price=round(prices[1] * 1_000_000),
        limits=limits,
    )


def limits_of(
    provider: Provider, account: Account, model: Model, known: Entry | None = None, *, local: bool = False
) -> Limits:
    """What the account says, else the model, else the provider's table, else the catalogue.

    `known` is None where the catalogue's windows do not hold: they are those of a free plan.
    """
    how = Rules() if local else rules(provider.kind, provider.base_url)
    return stated(known.limits if known else how.limits, how.day, layers(provider, account, model))


def layers(provider: Provider, account: Account, model: Model) -> tuple[QuotaTable, ...]:
    """Who may speak of the windows of a candidate, the last with the last word."""
    short = (QuotaTable(limits=LimitTable(tpm=model.tokens_per_minute)),) if model.tokens_per_minute else ()
    return (provider, *short, model, account)


def _wire_name(kind: str, id_: str, known: Entry | None) -> str:
    """Groq and Gemini have one name for a model, which its short name stands for; hosts of open models differ."""
    return known.model if known and kind not in ("openai_compatible", "llama_cpp") else id_


def _free(provider: Provider, model: Model, known: Entry | None, local: bool) -> bool:
    for said in (model.free, provider.free):
        if said is not None:
            return said
    if provider.kind in PAID_KINDS:
        return False
    if provider.kind == "openai_compatible":
        return local or (known is not None and known.free)
    return known.free if known else True


def _prices(provider: Provider, model: Model, known: Entry | None, local: bool) -> tuple[float, float]:
    """USD per million tokens. A local model has no list price."""
    found = None
    if known and not local and known.input_usd is not None and known.output_usd is not None:
        found = known.input_usd, known.output_usd
    if found is None and not local and (model.input_usd is None or model.output_usd is None):
        found = list_price(provider.kind, model.id, provider.base_url)
    said = found or (0.0, 0.0)
    return (
        said[0] if model.input_usd is None else model.input_usd,
        said[1] if model.output_usd is None else model.output_usd,
    )


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
