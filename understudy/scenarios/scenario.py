"""A scenario: who there is, what is asked of them in a day, and what goes wrong. Read from TOML.

about = "What this day is about, in a sentence."
seed = 1                              # the same seed gives the same day
requests = 100_000                    # tasks
hours = 24                            # how long it takes
homes = 1                             # installations that share the tasks, each with all of [config] for itself; on a
                                      # machine with several cores they run side by side
begins = 2026-03-02T00:00:00Z         # in the years 1971 to 2199

[traffic]
shape = "working_day"                 # flat | working_day | bursts (everything in the first minute of each hour)
private = 0.05                        # share of the tasks that must not leave the machine
batch = 0.2                           # share that nobody waits for at a terminal
conversations = 0.3                   # share that is a turn of a conversation
best = 0.02                           # share that wants the best quality: a judge is asked
unclear = 0.02                        # share nobody can put a name to: the classifiers are asked
schema = 0.05                         # share that wants JSON
deadline = 60                         # seconds, at a terminal
batch_deadline = 600
[traffic.tasks]                       # how often each task type comes, as weights
quick_qa = 5
coding = 1

[config]                              # an ordinary configuration; every provider is of kind "rehearsal"
[config.providers.groq]
kind = "rehearsal"
plays = "groq"
script = "scripts/groq.toml"          # relative to this file; see rehearsal/script.py

[[events]]                            # what goes wrong, and when
what = "overload"                     # a fault of rehearsal/script.py, or one of HOME below
provider = "groq"                     # left out: all of them; so with account, model and key (1: the first)
from = 9.0                            # hours since the day began
until = 12.0                          # left out: to the end
share = 1.0                           # of the requests
retry_after = 30                      # seconds; left out: the provider gives none
text = ""                             # error_text, refusal: what the answer says instead

[expect]                              # what the day is held to; rehearse says so and ends with code 5 if it is not
answered = 0.999                      # at least this share
earned = 0                            # refusals for quota at the most
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from understudy.config.load import parse
from understudy.config.pasted import shown
from understudy.config.plain import read_plain
from understudy.config.settings import Settings
from understudy.config.slips import no_such, slips
from understudy.errors import ConfigError
from understudy.rehearsal.script import ERROR_FAULTS, FaultKind
from understudy.scenarios.aim import check_aim, targets
from understudy.types import Intent

LARGEST = 1_000_000  # bytes of a scenario
MOST = 2_000_000  # tasks; a day of them is an hour of work
MANY = 64  # homes
YEARS = range(1971, 2200)  # of a day's beginning: 0 seconds since the epoch mean "not known", and clocks grow coarse
SHIPPED = Path(__file__).parent / "shipped"

HomeFault = Literal["book_gone", "book_damaged", "queue_broken", "store_gone"]
HOME: dict[str, str] = {
    "book_gone": "the server that keeps the quota book cannot be reached",
    "book_damaged": "the pages of the quota book can no longer be read, and are begun anew (at `from`)",
    "queue_broken": "nobody can wait in line: a task goes to who has room now, or on",
    "store_gone": "the store takes no records: replies and conversations cannot be kept",
}
# What only the program claude does, and what comes to the same: a rehearsed day starts no program.
INSTEAD: dict[str, str] = {
    "not_logged_in": "auth",
    "error_exit_0": "error_text",
    "hang": "silence",
    "ignores_sigterm": "silence",
    "leaves_child": "stall",
    "no_structured_output": "malformed",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


def _asked(value: object) -> object:
    """A task type that can be asked for."""
    if value == Intent.PRIVATE:
        raise ValueError("private is a share of the traffic, not a task type")
    known = [str(intent) for intent in Intent if intent is not Intent.PRIVATE]
    if isinstance(value, str) and value not in known:
        raise ValueError(no_such("task type", value, known))
    return value


class Traffic(_Strict):
    """What is asked. Shares run from 0 to 1, deadlines are in seconds."""

    shape: Literal["flat", "working_day", "bursts"] = "working_day"
    private: float = Field(default=0.05, ge=0, le=1)
    batch: float = Field(default=0.2, ge=0, le=1)
    conversations: float = Field(default=0.3, ge=0, le=1)
    best: float = Field(default=0.02, ge=0, le=1)
    unclear: float = Field(default=0.02, ge=0, le=1)
    json_share: float = Field(default=0.05, ge=0, le=1, alias="schema")
    deadline: float = Field(default=60.0, gt=0, le=24 * 3600)
    batch_deadline: float = Field(default=600.0, gt=0, le=24 * 3600)
    tasks: Mapping[Annotated[Intent, BeforeValidator(_asked)], float] = Field(
        default_factory=lambda: {Intent.QUICK_QA: 1.0}
    )

    @model_validator(mode="after")
    def _something_is_asked(self) -> Traffic:
        if any(weight < 0 for weight in self.tasks.values()) or not 0 < sum(self.tasks.values()) < math.inf:
            raise ValueError("tasks are weights of 0 or more, one of them above 0, and together a number")
        return self


class Event(_Strict):
    """Something that goes wrong. Hours since the day began; see the module's docstring."""

    what: Literal[FaultKind, HomeFault] = Field(title="fault")
    provider: str = ""
    account: str = ""
    model: str = ""
    key: int = Field(default=0, ge=0)
    begins: float = Field(default=0.0, ge=0, alias="from")
    ends: float = Field(default=1e9, gt=0, alias="until")
    share: float = Field(default=1.0, ge=0, le=1)
    retry_after: float | None = Field(default=None, ge=0)
    text: str = ""

    @model_validator(mode="after")
    def _is_possible(self) -> Event:
        if self.ends <= self.begins:
            raise ValueError("until comes after from")
        if self.at_home and any((self.provider, self.account, self.model, self.key)):
            raise ValueError(f"{self.what} happens here, and not at a provider")
        return self

    @property
    def at_home(self) -> bool:
        return self.what in get_args(HomeFault)

    @property
    def where(self) -> str:
        """groq/a/llama-3.1-8b-instant, key 1: whom it strikes, as far as it is said."""
        if self.at_home:
            return "at home"
        place = "/".join((self.provider or "*", self.account or "*", self.model or "*"))
        while place.endswith("/*"):
            place = place.removesuffix("/*")
        named = "everywhere" if place == "*" else f"at {place}"
        return f"{named}, key {self.key}" if self.key else named


class Expect(_Strict):
    """What the day is held to. Leaks, overspending, spoilt answers and crashes are never allowed."""

    answered: float = Field(default=0.0, ge=0, le=1)
    earned: int | None = Field(default=None, ge=0)


class File(_Strict):
    """The whole file."""

    about: str = ""
    seed: int = 1
    requests: int = Field(default=10_000, ge=1, le=MOST)
    hours: float = Field(default=24.0, gt=0, le=24 * 366)
    homes: int = Field(default=1, ge=1, le=MANY)
    begins: datetime = datetime(2026, 3, 2, tzinfo=UTC)
    traffic: Traffic = Traffic()
    config: dict[str, Any] = Field(default_factory=dict)
    events: tuple[Event, ...] = ()
    expect: Expect = Expect()

    @field_validator("begins")
    @classmethod
    def _is_within_reach(cls, value: datetime) -> datetime:
        if value.year not in YEARS:
            raise ValueError(f"give a date and time in the years {YEARS[0]} to {YEARS[-1]}")
        return value if value.tzinfo else value.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scenario:
    """begins: seconds since the epoch."""

    name: str
    about: str
    seed: int
    requests: int
    hours: float
    begins: float
    traffic: Traffic
    settings: Settings
    events: tuple[Event, ...]
    expect: Expect
    homes: int = 1
    home: int = 0  # which of them

    @property
    def chance(self) -> str:
        """What chance is drawn from."""
        return f"{self.seed}/{self.home}" if self.home else f"{self.seed}"

    def dealt(self) -> tuple[Scenario, ...]:
        """The day of each home."""
        each, more = divmod(self.requests, self.homes)
        parts = (replace(self, homes=1, home=n, requests=each + (n < more)) for n in range(self.homes))
        return tuple(part for part in parts if part.requests)


def shipped() -> tuple[str, ...]:
    """The names of the scenarios that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load_scenario(named: str) -> Scenario:
    """The scenario of a shipped name, or of a file. Raises ConfigError naming the file, and the key that is wrong."""
    known = shipped()
    try:
        path = SHIPPED / f"{named}.toml" if named in known else Path(named).expanduser()
        if not path.is_file():
            what = f"There is no scenario {shown(named)}."
            raise ConfigError(what, remedy=f"Name a TOML file, or one of: {', '.join(known)}.")
        return parse_scenario(tomllib.loads(read_plain(path, LARGEST).decode("utf-8-sig")), path)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown(named)} is not TOML: {error}.", remedy="Mend that line.") from None
    except (OSError, ValueError, RecursionError, RuntimeError) as error:  # the last: ~name, and nobody is called so
        what = f"The scenario {shown(named)} cannot be read ({type(error).__name__})."
        raise ConfigError(what, remedy="Check the file.") from None


def parse_scenario(table: Mapping[str, Any], path: Path) -> Scenario:
    """A scenario from a table; scripts are looked for beside `path`. Raises ConfigError naming the key."""
    try:
        file = File.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(f"{path}: {slips(error, File)}", remedy="docs/scenarios.md describes the format.") from None
    settings = parse(_with_scripts(file.config, path.parent), f"{path}: config")
    for number, event in enumerate(file.events):
        _check_effect(event, f"{path}: events.{number}", file.hours)
    if settings.book.url and "book" in file.config:
        what = f"{path}: config.book: a rehearsed day keeps its book in memory, on no server."
        raise ConfigError(what, remedy="Take it out; book_gone and book_damaged are events.")
    real = [name for name, provider in settings.providers.items() if provider.kind != "rehearsal"]
    if real or not settings.providers:
        what = f"the provider {real[0]} is real" if real else "there is no provider"
        raise ConfigError(f"{path}: {what}.", remedy='Write kind = "rehearsal" and what it plays.')
    whom = targets(settings) if file.events else ()
    for event in file.events:
        check_aim(event, whom, str(path))
    return Scenario(
        name=path.stem,
        about=file.about,
        seed=file.seed,
        requests=file.requests,
        hours=file.hours,
        begins=file.begins.timestamp(),
        traffic=file.traffic,
        settings=settings,
        events=file.events,
        expect=file.expect,
        homes=file.homes,
    )


def _with_scripts(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The configuration with its scripts' paths made whole."""
    whole = dict(config)
    providers = whole.get("providers")
    if isinstance(providers, dict):
        whole["providers"] = {name: _beside(table, folder) for name, table in cast("dict[str, Any]", providers).items()}
    return whole


def _beside(table: object, folder: Path) -> object:
    if not isinstance(table, dict):
        return table
    provider = cast("dict[str, Any]", table)
    script = provider.get("script")
    return provider | {"script": str(folder / Path(script).expanduser())} if isinstance(script, str) else provider


def _check_effect(event: Event, where: str, hours: float) -> None:
    """An event that could change nothing is a slip. Raises ConfigError."""
    if event.begins >= hours:
        what = f"{where}.from: the day has {hours:g} hours, and {event.begins:g} is beyond them."
        raise ConfigError(what, remedy="Begin the event earlier, or make the day longer: hours.")
    if event.what in INSTEAD:
        what = f"{where}.what: {event.what} happens to the program claude, and a rehearsed day starts none."
        raise ConfigError(what, remedy=f"Write {INSTEAD[event.what]}, which comes to the same here.")
    idle = ["share", "retry_after", "text"] if event.at_home else []
    if not event.at_home and event.what not in ERROR_FAULTS:
        idle = ["retry_after"] if event.what in ("error_text", "refusal") else ["retry_after", "text"]
    if written := [key for key in idle if key in event.model_fields_set]:
        happens = "happens at home, as a whole" if event.at_home else "is not an error that a server sends"
        raise ConfigError(f"{where}.{written[0]}: {event.what} {happens}.", remedy=f"Take {written[0]} out.")
