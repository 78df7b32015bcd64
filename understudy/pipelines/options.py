"""Who could answer the calls of a campaign, under which plan, how long it takes and what it costs.

An option is one model of a provider under one plan, at one or several accounts of equal limits. Figures are the
configuration's, else the catalogue's. Nothing is called, and no key is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from understudy.agents.candidates import accounts_of, limits_of
from understudy.agents.catalogue import FILES, Entry, Source, entries, entry, host_of, list_price, rows
from understudy.config.locality import is_local
from understudy.config.quota import DAY
from understudy.config.settings import PAID_KINDS, Account, Model, Provider, Settings
from understudy.config.slips import no_such
from understudy.errors import UsageError
from understudy.pipelines.pace import Gate, Pace, Rate, gate_of, rates_of
from understudy.pipelines.spec import Local, Spec, Tier, Tokens
from understudy.types import Limits

UNSAID = Source("", "", "")
NANO = 1_000_000_000  # nano-dollars in a dollar: whole numbers, so that equal sums are equal


@dataclass(frozen=True, slots=True)
class Option:
    """pool: what shares its windows. at_hand: configured or named, not only known of. nano: dollars of a call x 10^-9.

    lag: seconds from the beginning of a call to its answer, where those are hours. refused: why a call can never pass.
    """

    provider: str
    model: str
    plan: Tier
    accounts: int
    pace: Pace | None  # None: nobody says what its windows are
    nano: int
    pool: str
    at_hand: bool = True
    aliases: tuple[str, ...] = ()
    quality: int = 0
    lag: float = 0.0
    refused: str = ""
    origin: Source = UNSAID
    claimed: bool = False

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def source(self) -> str:
        return self.origin.text

    @property
    def dated(self) -> str:
        return self.origin.dated

    def is_called(self, word: str) -> bool:
        """By its provider, its model, an alias, or provider/model; case does not matter."""
        known = (self.provider, self.model, self.name, *self.aliases, *(f"{self.provider}/{a}" for a in self.aliases))
        return word.lower() in {name.lower() for name in known}

    def usd(self, calls: int) -> float:
        return calls * self.nano / NANO

    def within(self, seconds: float) -> int:
        """Calls that are answered in the first `seconds`."""
        if self.pace is None or self.refused:
            return 0
        return self.pace.within(seconds - self.lag + 1 if self.lag else seconds)

    def soonest(self, calls: int) -> float:
        """Seconds until so many are answered; inf: never, or nobody knows."""
        if self.pace is None or self.refused:
            return float("inf")
        return self.pace.soonest(calls) + self.lag

    def even(self, calls: int) -> tuple[str, float] | None:
        """The binding window and the days at an even pace; None: nobody knows."""
        if self.pace is None or self.refused:
            return None
        name, days = self.pace.binding(calls)
        return ("batch", self.lag / DAY) if days < self.lag / DAY else (name, days)


@dataclass(frozen=True, slots=True)
class _Place:
    """A provider as the configuration has it, or as the catalogue knows it."""

    name: str
    provider: Provider
    accounts: tuple[Account, ...]
    at_hand: bool


def options_of(spec: Spec, settings: Settings, accounts: Mapping[str, int], begins: datetime) -> tuple[Option, ...]:
    """All of them, the reader's own first. Raises UsageError for a provider, model or share nobody is called by."""
    gate = gate_of(spec, begins)
    campaign = _Campaign(spec, settings, gate, begins)
    places = _places(settings, accounts)
    found = [_own_machine(local, spec.tokens, gate) for local in spec.local]
    for place in places:
        for model, known in _models(place):
            found += _plans(place, model, known, campaign)
    # A row of the catalogue that has a speed tells of somebody's machine: it is shown, and not counted on.
    stated = [row for row in rows("local") if row.tokens_per_second]
    found += [
        replace(_own_machine(_as_local(row), spec.tokens, gate), at_hand=False, origin=_of(row)) for row in stated
    ]
    for word in (*spec.models, *spec.shares):
        if not any(option.is_called(word) for option in found):
            known_names = [name for o in found for name in (o.model, o.name, o.provider, *o.aliases)]
            what = no_such("model", word, sorted(set(known_names)))
            raise UsageError(_sentence(f"In the SPEC {what}"), remedy="Name another.")
    if spec.models:
        found = [option for option in found if any(option.is_called(word) for word in (*spec.models, *spec.shares))]
    if not any(option.at_hand for option in found if option.plan != "local"):
        found = [replace(o, at_hand=o.at_hand or o.plan != "local") for o in found]
    return tuple(found)


def catalogued(spec: Spec, begins: datetime, provider: str, model: str, plan: Tier) -> Option | None:
    """One account of a provider as the catalogue knows it; None: it does not know it, or not under this plan."""
    campaign = _Campaign(spec, Settings.model_construct(local_hosts=()), gate_of(spec, begins), begins)
    places = _places(Settings.model_construct(providers={}), {})
    place = next((p for p in places if p.name == provider), None)
    known = entry(place.provider.kind, model, place.provider.base_url) if place else None
    if place is None or known is None:
        return None
    return next((o for o in _plans(place, Model(id=known.model), known, campaign) if o.plan == plan), None)


def _sentence(words: str) -> str:
    return words if words.endswith("?") else f"{words}."


@dataclass(frozen=True, slots=True)
class _Campaign:
    """What every option is reckoned for."""

    spec: Spec
    settings: Settings
    gate: Gate
    begins: datetime


def _places(settings: Settings, accounts: Mapping[str, int]) -> list[_Place]:
    configured = {
        name: p for name, p in settings.providers.items() if p.enabled and p.kind not in ("rehearsal", "llama_cpp")
    }
    known = {k: Provider.model_construct(kind=k) for k in ("groq", "gemini", "anthropic", "openai", "claude_code")}
    for file in FILES["openai_compatible"]:
        host = next(row.host for row in rows("openai_compatible") if file in row.host)
        known[file] = Provider.model_construct(kind="openai_compatible", base_url=f"https://{host}/v1")
    taken = {(p.kind, host_of(p.base_url) if p.kind == "openai_compatible" else "") for p in configured.values()}
    others = {
        name: p
        for name, p in known.items()
        if (p.kind, host_of(p.base_url) if p.kind == "openai_compatible" else "") not in taken
    }
    every = {**others, **configured}
    for name in accounts:
        if name not in every:
            what = no_such("provider", name, sorted(every))
            raise UsageError(_sentence(f"In the accounts {what}"), remedy="Name one, such as --accounts groq=3.")
    return [
        _Place(name, p, _accounts(p, accounts.get(name)), name in configured or name in accounts)
        for name, p in {**configured, **{n: p for n, p in others.items() if n not in configured}}.items()
    ]


def _accounts(provider: Provider, number: int | None) -> tuple[Account, ...]:
    """As many as are asked for: those of the configuration, then others like the last of them."""
    have = accounts_of(provider)
    return have if number is None else (have + (have[-1],) * number)[:number]


def _models(place: _Place) -> Iterator[tuple[Model, Entry | None]]:
    provider = place.provider
    listed = provider.models or tuple(Model(id=row.model) for row in entries(provider.kind) if _is_of(row, provider))
    for model in listed:
        yield model, entry(provider.kind, model.id, provider.base_url)


def _is_of(row: Entry, provider: Provider) -> bool:
    return provider.kind != "openai_compatible" or row.host == host_of(provider.base_url)


def _plans(
    place: _Place,
    model: Model,
    known: Entry | None,
    campaign: _Campaign,
) -> Iterator[Option]:
    """Every plan under which this model of this provider can be had."""
    provider, tokens = place.provider, campaign.spec.tokens
    if is_local(provider, model.id, campaign.settings.local_hosts):
        return  # its speed is the machine's: [[local]] says it
    said = next((f for f in (model.free, provider.free) if f is not None), None)
    prices = _prices(provider, model)
    nano = cost_of(tokens, *prices) if prices else None
    refused = _refusal(model, known, tokens)
    base = Option(
        provider=place.name,
        model=known.model if known and provider.kind != "openai_compatible" else model.id,
        plan="free",
        accounts=1,
        pace=None,
        nano=0,
        pool="",
        at_hand=place.at_hand,
        aliases=_short_names(model, known),
        quality=(known.quality if known else None) or 50,
        refused=refused,
        origin=_of(known),
    )
    flat = provider.kind == "claude_code"
    if flat or (said is not False and provider.kind not in PAID_KINDS and (said or (known is not None and known.free))):
        plan: Tier = "subscription" if flat else "free"
        for limits, number in _alike(limits_of(provider, a, model, known) for a in place.accounts):
            yield _paced(replace(base, plan=plan), limits, number, campaign, known=bool(limits.windows))
    if flat or said is True or nano is None or (nano == 0 and said is not False):
        return
    # What is configured for an account holds for the plan it is on, not for one it might go over to.
    pays = provider if said is False else Provider.model_construct(kind=provider.kind, base_url=provider.base_url)
    stated = [limits_of(pays, a if said is False else Account(), model) for a in place.accounts]
    for limits, number in _alike(stated):
        own = bool(limits.windows)
        paid = limits if own or known is None else replace(limits, windows=known.paid_limits.windows)
        yield _paced(replace(base, plan="paid", nano=nano), paid, number, campaign, spend=None if own else known)
    if known is not None and known.batch is not None:
        lane, number = known.batch, len(place.accounts)
        queue = Rate("batch queue", lane.requests or float("inf"), lane.hours * 3600)
        yield replace(
            base,
            plan="batch",
            accounts=number,
            pace=Pace((queue,), number),
            nano=round(nano * lane.price),
            pool=f"{place.name}/{base.model}/batch",
            lag=lane.hours * 3600,
            origin=_of(known, "batch"),
        )


def _paced(
    option: Option,
    limits: Limits,
    number: int,
    campaign: _Campaign,
    *,
    known: bool = True,
    spend: Entry | None = None,
) -> Option:
    """With its rates; `known` is False where nobody says what the windows are, and they are not those of time alone."""
    spec = campaign.spec
    rates = rates_of(limits, spec.tokens, campaign.begins)
    if spend is not None and spend.spend is not None and option.nano:
        rates += (Rate("spend", spend.spend.usd * NANO / option.nano, spend.spend.seconds),)
    small = next((r for r in rates if r.whole < 1), None)
    refused = option.refused or (f"a call is larger than its {small.name}" if small else "")
    if limits.charged == "cap" and not refused:
        asked = spec.tokens.input + spec.tokens.cap
        tight = next((w for w in limits.windows if w.counts == "tokens" and w.limit < asked), None)
        refused = f"a call asks for {asked:,} tokens, and its {tight.name} is {tight.limit:,}" if tight else ""
    at_once = Rate("at once", spec.at_once, spec.seconds)
    shared = limits.shared == "account"
    return replace(
        option,
        accounts=number,
        pace=Pace((*rates, at_once), number, campaign.gate) if known or option.plan == "free" else None,
        refused=refused,
        pool=f"{option.provider}/{'*' if shared else option.model}/{option.plan}/{hash_of(limits)}",
        origin=_paid_source(option, spend) if option.plan == "paid" and option.dated else option.origin,
    )


def hash_of(limits: Limits) -> str:
    """Accounts of other limits are another pool."""
    return ",".join(f"{w.name}={w.limit}" for w in limits.windows)


def _paid_source(option: Option, known: Entry | None) -> Source:
    if known is None:
        return Source("limits", "the configuration", "")
    return _of(known, "spend" if known.spend else "paid_limits" if known.paid_limits.windows else "prices")


def _alike(limits: Iterable[Limits]) -> list[tuple[Limits, int]]:
    """Accounts of equal limits, counted."""
    ordered = sorted(limits, key=repr)
    return [(group, len(list(same))) for group, same in groupby(ordered)]


def _prices(provider: Provider, model: Model) -> tuple[float, float] | None:
    found = list_price(provider.kind, model.id, provider.base_url)
    if model.input_usd is not None and model.output_usd is not None:
        return model.input_usd, model.output_usd
    return found


def cost_of(tokens: Tokens, input_usd: float, output_usd: float) -> int:
    """Nano-dollars of one call. Prices are for a million tokens."""
    return round((tokens.input * input_usd + tokens.output * output_usd) * NANO / 1_000_000)


def _refusal(model: Model, known: Entry | None, tokens: Tokens) -> str:
    context = model.context or (known.context if known else None)
    most = model.output_cap or (known.output_cap if known else None)
    if context is not None and tokens.input + tokens.cap > context:
        return f"a call has {tokens.input + tokens.cap:,} tokens, and its context {context:,}"
    if most is not None and tokens.cap > most:
        return f"an answer has {tokens.cap:,} tokens, and it writes {most:,} at the most"
    return ""


def _short_names(model: Model, known: Entry | None) -> tuple[str, ...]:
    names = {model.id, model.id.rpartition("/")[2], *(known.aliases if known else ())}
    return tuple(sorted(names))


def _of(known: Entry | None, figures: str = "limits") -> Source:
    """The source and its date, for the figures that count most."""
    order = (figures, "limits", "prices", "tokens_per_second", "rules")
    return next((s for f in order if known and (s := known.source(f))), UNSAID)


def _as_local(row: Entry) -> Local:
    return Local(name=row.model, tokens_per_second=row.tokens_per_second or 1)


def _own_machine(local: Local, tokens: Tokens, gate: Gate) -> Option:
    seconds = tokens.output / local.tokens_per_second
    if local.prompt_tokens_per_second:
        seconds += (tokens.input - tokens.cached) / local.prompt_tokens_per_second
    return Option(
        provider="local",
        model=local.name,
        plan="local",
        accounts=1,
        pace=Pace((Rate("speed", 1, seconds),), 1, gate),
        nano=0,
        pool=f"local/{local.name}",
        origin=Source("tokens_per_second", "the SPEC", local.dated),
    )
