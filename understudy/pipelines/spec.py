"""SPEC of a campaign: what is asked, how often, by when, for how much. Read from TOML.

name = "market-reflective"
deadline = "14 days"                  # s, min, h, days, weeks; a number is seconds
usd = 20.0                            # the money limit
tiers = ["local", "free", "paid"]     # of TIERS; left out: those that cost nothing, with usd above 0 all
shares = { "llama-3.1-8b-instant" = 0.5 }  # of the calls, which that model and nobody else answers
hours = ["03:00-06:00"]               # calls begin only then, in `zone`
template = "Summarise: {text}"        # the task; fields are those of a row, or the coordinates of a shape
[tokens]                              # of one call
input = 240
output = 60
[shape]                               # the volume is the product, with the mutations of each generation
groups = 4
[items]                               # or: one call for each row of a file
path = "rows.jsonl"

docs/campaigns.md lists every key.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator

from understudy.config.pasted import shown
from understudy.config.plain import read_plain
from understudy.config.quota import DAY, LimitTable, Strict, known_zone
from understudy.config.settings import MOST_USD, UserPath
from understudy.config.slips import no_such, slips
from understudy.errors import ConfigError

Tier = Literal["local", "free", "subscription", "paid", "batch"]
TIERS: tuple[Tier, ...] = get_args(Tier)
COSTLESS: tuple[Tier, ...] = ("local", "free", "subscription")
Format = Literal["jsonl", "csv", "parquet"]
LARGEST = 1_000_000  # bytes of a SPEC
MOST = 10**12  # of anything counted; more is a slip of the pen
YEARS = range(1971, 2200)
UNITS = {"s": 1, "min": 60, "h": 3600, "day": DAY, "week": 7 * DAY}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|day|week)(?:s|ours?|utes?|econds?)?", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)

DIMENSIONS = ("groups", "runs", "generations", "agents", "scenarios", "turns", "players", "mutations")
Count = Annotated[int, Field(ge=1, le=MOST, strict=True)]


def seconds_of(value: object) -> float:
    """A length of time in seconds: 3600, "8 h", "14 days". Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        length = float(value)
    elif isinstance(value, str) and (read := _LENGTH.fullmatch(value.strip())):
        length = float(read[1]) * UNITS[read[2]]
    else:
        raise ValueError('write a length of time such as "90 min", "8 h" or "14 days"')
    if not 0 < length <= 4000 * DAY:
        raise ValueError("a length of time is above 0 and at most 4,000 days")
    return length


def _hours(value: str) -> str:
    read = _HOURS.fullmatch(value)
    if not read or any(e > DAY for e in span(value)) or span(value)[0] == span(value)[1]:
        raise ValueError("write hours such as 03:00-06:00")
    return value


def span(hours: str) -> tuple[int, int]:
    """03:00-06:00 as seconds since midnight; 22:00-04:00 ends on the next day, and its end is the smaller one."""
    begins, ends = (part.split(":") for part in hours.split("-"))
    return int(begins[0]) * 3600 + int(begins[1]) * 60, int(ends[0]) * 3600 + int(ends[1]) * 60


def _zone(value: str) -> str:
    if not known_zone(value):
        raise ValueError(f"no time zone is called {value[:40]}; write UTC, or one such as Europe/Berlin")
    return value


Length = Annotated[float, BeforeValidator(seconds_of)]
Hours = Annotated[str, AfterValidator(_hours)]
Zone = Annotated[str, AfterValidator(_zone)]
Usd = Annotated[float, Field(ge=0, le=MOST_USD)]
Share = Annotated[float, Field(gt=0, le=1)]


class Tokens(Strict):
    """Of one call. max_output: the cap it asks for, where that is more than the answer; cached: of the input.

    A number alone is both together, a fifth of it output.
    """

    input: int = Field(default=700, ge=1, le=10**8)
    output: int = Field(default=300, ge=1, le=10**8)
    max_output: int | None = Field(default=None, ge=1, le=10**8)
    cached: int = Field(default=0, ge=0, le=10**8)

    @model_validator(mode="before")
    @classmethod
    def _both(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"input": value - value // 5, "output": value // 5}
        return value

    @model_validator(mode="after")
    def _fit(self) -> Tokens:
        if self.cached > self.input:
            raise ValueError("cached tokens are a part of the input")
        if self.max_output is not None and self.max_output < self.output:
            raise ValueError("max_output is at least output")
        return self

    @property
    def total(self) -> int:
        return self.input + self.output

    @property
    def cap(self) -> int:
        return self.max_output or self.output


class Shape(Strict):
    """groups x runs x generations x (agents x scenarios x turns x players + mutations).

    names: what the values of a dimension are called, where a number does not say it.
    """

    groups: Count = 1
    runs: Count = 1
    generations: Count = 1
    agents: Count = 1
    scenarios: Count = 1
    turns: Count = 1
    players: Count = 1
    mutations: Annotated[int, Field(ge=0, le=MOST, strict=True)] = 0  # of each generation
    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_within_reason(self) -> Shape:
        each = self.agents * self.scenarios * self.turns * self.players + self.mutations
        if self.groups * self.runs * self.generations * each > MOST:
            raise ValueError(f"this makes more than {MOST:,} calls")
        return self

    @model_validator(mode="after")
    def _names_are_as_many(self) -> Shape:
        for dimension, names in self.names.items():
            if dimension not in DIMENSIONS:
                raise ValueError(f"no dimension is called {shown(dimension)}; there are {', '.join(DIMENSIONS)}")
            if len(names) != getattr(self, dimension):
                raise ValueError(f"{dimension} has {getattr(self, dimension):,} values and {len(names):,} names")
        return self


class Items(Strict):
    """One call for each row. sample: how many of them, chosen by the seed; a share below 1, or a number of rows."""

    path: UserPath  # "-": standard input
    format: Format | None = None  # None: by the file's name
    key: str = ""  # the column that names a row; empty: all of the row does
    sample: float | None = Field(default=None, gt=0, le=MOST)

    @model_validator(mode="after")
    def _are_readable(self) -> Items:
        if self.sample is not None and self.sample >= 1 and not self.sample.is_integer():
            raise ValueError("sample is a share below 1, or a whole number of rows")
        if self.format is None and self.kind is None:
            raise ValueError("say format: jsonl, csv or parquet; the name of the file does not tell")
        return self

    @property
    def kind(self) -> Format | None:
        ending = self.path.suffix.lower().lstrip(".")
        known: dict[str, Format] = {"jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "parquet": "parquet"}
        return self.format or known.get(ending)


class Local(Strict):
    """A model on a machine of the reader's, at the speed it was measured there: all answers at once together."""

    name: str = Field(min_length=1, max_length=80)
    tokens_per_second: float = Field(gt=0, le=1e9)  # of output
    prompt_tokens_per_second: float | None = Field(default=None, gt=0, le=1e9)  # None: no time to speak of
    watts: float | None = Field(default=None, gt=0, le=1e6)
    dated: str = ""


class Gpu(Strict):
    """The reader's own figures for owning and renting. Dollars; electricity for a kWh; rent for an hour."""

    electricity_usd: Usd = 0.15
    price_usd: Usd | None = None
    watts: float | None = Field(default=None, gt=0, le=1e6)
    rent_usd: Usd | None = None
    tokens_per_second: float | None = Field(default=None, gt=0, le=1e9)
    against: str = ""  # the model whose price it is compared with; empty: the cheapest that is paid


class Claim(Strict):
    """What somebody reckoned: a provider and plan with the limits and prices they assumed, and what came out."""

    by: str = ""  # whose words they are
    provider: str = ""
    model: str = ""
    plan: Tier = "free"
    accounts: int = Field(default=1, ge=1, le=1000)
    limits: LimitTable | None = None
    input_usd: Usd | None = None
    output_usd: Usd | None = None
    calls: Count | None = None
    tokens: Count | None = None
    days: float | None = Field(default=None, gt=0, le=1e6)
    usd: Usd | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Claim:
        if all(v is None for v in (self.calls, self.tokens, self.days, self.usd)):
            raise ValueError("a claim says calls, tokens, days or usd")
        if self.days is not None and self.limits is None:
            raise ValueError("days follow from limits: give those it assumes")
        if self.usd is not None and (self.input_usd is None or self.output_usd is None) and self.usd > 0:
            raise ValueError("usd follows from input_usd and output_usd: give those it assumes")
        return self


class Spec(Strict):
    """A whole campaign. Everything but the shape or the items has a default."""

    name: str = Field(default="campaign", pattern=r"^[A-Za-z0-9_.-]{1,80}$")
    about: str = Field(default="", max_length=2000)
    template: str = Field(default="", max_length=1_000_000, repr=False)
    template_file: UserPath | None = None
    mutation_template: str = Field(default="", max_length=1_000_000, repr=False)  # of a shape's mutations
    version: str = Field(default="1", max_length=80)  # of the templates: another one makes other keys
    deadline: Length | None = None  # seconds
    usd: Usd | None = None
    tiers: tuple[Tier, ...] | None = None
    private: bool = False  # nothing of it may leave the machine: the tier is local, whatever else is said
    models: tuple[str, ...] = ()  # only these; by id, alias, provider or provider/model
    shares: dict[str, Share] = Field(default_factory=dict)
    validators: tuple[str, ...] = ()
    seed: int = Field(default=1, ge=0, le=2**63)
    hours: tuple[Hours, ...] = ()
    zone: Zone = "UTC"  # of the hours
    begins: datetime | None = None  # None: now
    at_once: int = Field(default=32, ge=1, le=10_000)  # calls under way together, at one provider
    seconds: float = Field(default=2.0, gt=0, le=3600)  # that one call takes; the founding plan says 1 to 3
    accounts: dict[str, Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=dict)
    tokens: Tokens = Tokens()
    shape: Shape | None = None
    smallest: dict[str, Annotated[int, Field(ge=0, le=MOST)]] = Field(default_factory=dict)
    items: Items | None = None
    local: tuple[Local, ...] = ()
    gpu: Gpu = Gpu()
    claims: tuple[Claim, ...] = ()

    @field_validator("begins")
    @classmethod
    def _is_near(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.year not in YEARS:
            raise ValueError(f"give a date and time in the years {YEARS[0]} to {YEARS[-1]}")
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)

    @field_validator("tiers")
    @classmethod
    def _some(cls, value: tuple[Tier, ...] | None) -> tuple[Tier, ...] | None:
        if value is not None and not value:
            raise ValueError("name one tier at least")
        return value

    @field_validator("validators")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            from understudy.director.validators import validators

            known = list(validators())
            if strange := [name for name in value if name not in known]:
                raise ValueError(no_such("validator", strange[0], known))
        return value

    @field_validator("smallest")
    @classmethod
    def _are_dimensions(cls, value: dict[str, int]) -> dict[str, int]:
        if strange := set(value) - set(DIMENSIONS):
            raise ValueError(f"no dimension is called {shown(min(strange))}; there are {', '.join(DIMENSIONS)}")
        return value

    @model_validator(mode="after")
    def _is_one_campaign(self) -> Spec:
        if (self.shape is None) == (self.items is None):
            raise ValueError("give either [shape] or [items]: what is to be asked")
        if self.template and self.template_file is not None:
            raise ValueError("give either template or template_file")
        if math.fsum(self.shares.values()) > 1 + 1e-9:
            raise ValueError("shares are more than the whole together")
        return self

    @property
    def allowed(self) -> tuple[Tier, ...]:
        """The tiers its calls may go to."""
        if self.private:
            return ("local",)
        if self.tiers is not None:
            return self.tiers
        return TIERS if self.usd else COSTLESS


def load_spec(named: str | Path) -> Spec:
    """The SPEC in a file; paths in it are meant beside it. Raises ConfigError naming the file and the key."""
    path = Path(named)
    try:
        path = path.expanduser()
        if not path.is_file():
            raise ConfigError(f"There is no SPEC {shown(named)}.", remedy="Name a TOML file; examples/ has some.")
        table = tomllib.loads(read_plain(path, LARGEST).decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown(named)} is not TOML: {shown(error)}.", remedy="Mend that line.") from None
    except (OSError, ValueError, RecursionError, RuntimeError) as error:  # the last: ~name, and nobody is called so
        what = f"The SPEC {shown(named)} cannot be read ({type(error).__name__})."
        raise ConfigError(what, remedy="Check the file.") from None
    return parse_spec(table, path)


def parse_spec(table: Mapping[str, Any], path: Path) -> Spec:
    """A SPEC from a table; `path` is its file, beside which others are looked for. Raises ConfigError."""
    try:
        spec = Spec.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(f"{path}: {slips(error, Spec)}.", remedy="docs/campaigns.md lists the keys.") from None
    if spec.template_file is not None:
        spec = spec.model_copy(update={"template_file": path.parent / spec.template_file.expanduser()})
    if spec.items is not None and str(spec.items.path) != "-":
        found = spec.items.model_copy(update={"path": path.parent / spec.items.path.expanduser()})
        spec = spec.model_copy(update={"items": found})
    return spec
