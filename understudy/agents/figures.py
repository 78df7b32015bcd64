"""What a candidate is and where its figures come from: the catalogue's row, with what the configuration says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from understudy.agents.catalogue import Entry, Source, entry, last_day
from understudy.config.settings import Model, Provider, Settings
from understudy.types import Candidate

STALE = timedelta(days=90)
_AGEING = frozenset({"rules", "limits", "prices", "context", "output_cap", "capabilities"})  # what providers change


@dataclass(frozen=True, slots=True)
class Figures:
    """Ratings 0 to 100, benchmarks in per cent, sizes in GB. dated: of the figure in use that is oldest."""

    modalities: tuple[str, ...] = ()
    ratings: Mapping[str, int] | None = None
    benchmarks: Mapping[str, float] | None = None
    strengths: tuple[str, ...] = ()
    size_gb: float | None = None
    size_4bit_gb: float | None = None
    vram_gb: float | None = None
    quantisation: str = ""
    tokens_per_second: float | None = None
    note: str = ""
    sources: tuple[Source, ...] = ()
    dated: str | None = None


def figures_of(candidate: Candidate, settings: Settings) -> Figures:
    """Everything but what the candidate itself carries."""
    provider = settings.providers.get(candidate.provider)
    base_url = provider.base_url if provider else None
    row = entry("local" if candidate.local else candidate.kind, candidate.model, base_url)
    model = _listed(candidate, provider, row)
    ratings = dict(row.ratings) if row else {}
    ratings |= model.ratings.model_dump(exclude_none=True) if model.ratings else {}
    sources = _sources(candidate, provider, model, row)
    ageing = [s.dated for s in sources if s.dated and s.figures in _AGEING]
    return Figures(
        modalities=model.modalities or (row.modalities if row else ()),
        ratings=ratings,
        benchmarks=dict(row.benchmarks) if row else {},
        strengths=model.strengths if model.strengths is not None else row.strengths if row else (),
        size_gb=model.size_gb or (row.size_gb if row else None),
        size_4bit_gb=row.size_4bit_gb if row else None,
        vram_gb=model.vram_gb or (row.vram_gb if row else None),
        quantisation=model.quantisation or (row.quantisation if row else ""),
        tokens_per_second=row.tokens_per_second if row else None,
        note=row.note if row else "",
        sources=sources,
        dated=model.dated or min(ageing, key=last_day, default=None),
    )


def grown_old(fleet: Iterable[Candidate], settings: Settings, today: date) -> dict[str, str]:
    """{provider/model: date} of those in use whose figures nobody has compared for more than 90 days.

    Models on this machine and simulated ones have no figures that others change.
    """
    hosted = (c for c in fleet if not c.local and not c.simulated)
    dates = {c.name: figures_of(c, settings).dated for c in hosted}
    return {name: dated for name, dated in dates.items() if dated and today - last_day(dated) > STALE}


def _listed(candidate: Candidate, provider: Provider | None, row: Entry | None) -> Model:
    """The configuration's own row, which may go by an alias."""
    names = {candidate.model.lower(), *((row.model.lower(), *row.aliases) if row else ())}
    same = (m for m in (provider.models if provider else ()) if m.id.lower() in names)
    return next(same, Model(id=candidate.model))


def _sources(candidate: Candidate, provider: Provider | None, model: Model, row: Entry | None) -> tuple[Source, ...]:
    own = {
        "context": model.context,
        "output_cap": model.output_cap,
        "capabilities": model.capabilities,
        "prices": (model.input_usd is not None and model.output_usd is not None) or None,
        "quality": (model.quality is not None and model.speed is not None) or None,
    }
    account = next((a for a in (provider.accounts if provider else ()) if a.name == candidate.account), None)
    speakers = [q for q in (provider, model, account) if q is not None]
    own["limits"] = model.tokens_per_minute or any(q.limits or q.windows is not None for q in speakers) or None
    said = {name for name, value in own.items() if value is not None}
    played = {"limits", "rules", "context", "output_cap"} if candidate.simulated else set[str]()
    # Windows the candidate does not have (a paid plan, another host) come from nowhere.
    gone = {"limits"} if not candidate.limits.windows else set[str]()
    told = [s for s in (row.sources if row else ()) if s.figures not in said | played | gone]
    told += [Source(name, "the rehearsal's script", "") for name in sorted(played - said - gone)]
    return (*told, *(Source(name, "the configuration", model.dated or "") for name in sorted(said)))
