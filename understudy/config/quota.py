"""How much a provider lets through, as the user may state it: for a provider, a model, or an account."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

DAY = 86_400.0  # seconds
LARGEST = 10**12  # of anything in a window; more is a slip of the pen


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


def _amount(value: object) -> int | bool:
    """A whole number above 0, or False. Text comes from environment variables."""
    if value is False or value == "false":
        return False
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if text.isascii() and text.isdigit() and 0 < int(text[:20]) <= LARGEST:
        return int(text)
    raise ValueError("give a whole number above 0, or false for no such limit")


Amount = Annotated[int | Literal[False], BeforeValidator(_amount)]


@cache
def known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return name == "UTC" or not available_timezones()  # a machine without time zone data cannot judge
    return True


def today() -> date:
    return datetime.now(UTC).date()


def _dated(value: str) -> str:
    """A day or a month that was. One to come would keep its figures fresh for ever; clocks differ."""
    meant = _first_day(value) if re.fullmatch(r"\d{4}-\d\d(-\d\d)?", value, re.ASCII) else None
    if meant is None:
        raise ValueError("write a day or a month: 2026-11-20, or 2026-11")
    if meant.replace(day=1) > today().replace(day=1) + timedelta(days=31):
        raise ValueError("this is in the future; write when the figures were compared")
    return value


def _first_day(value: str) -> date | None:
    try:
        return date.fromisoformat(value if len(value) > len("2026-11") else f"{value}-01")
    except ValueError:
        return None


class LimitTable(Strict):
    """One limit of a window each: requests or tokens in a minute, an hour, a day. False: there is no such limit."""

    rpm: Amount | None = None
    rph: Amount | None = None
    rpd: Amount | None = None
    tpm: Amount | None = None
    tph: Amount | None = None
    tpd: Amount | None = None
    day: str | None = None  # "rolling", or the time zone whose midnight ends the day

    @field_validator("day")
    @classmethod
    def _is_a_day(cls, value: str | None) -> str | None:
        if value is not None and value != "rolling" and not known_zone(value):
            raise ValueError(f"no time zone is called {value[:40]}; write rolling, UTC, or one such as Europe/Berlin")
        return value


class WindowTable(Strict):
    """A window of any length: so much in any `seconds`, or, with a zone, in each of its days."""

    counts: Literal["requests", "tokens", "input", "output"]
    limit: int = Field(gt=0, le=LARGEST)
    seconds: float = Field(default=DAY, gt=0, le=400 * DAY)
    zone: str = ""
    name: str = Field(default="", max_length=40)

    @model_validator(mode="after")
    def _is_a_window(self) -> WindowTable:
        if "seconds" not in self.model_fields_set and not self.zone:
            raise ValueError("seconds is missing: how long the window is, or give the zone of a day")
        if self.zone and self.seconds != DAY:
            raise ValueError("a zone belongs to a day: leave out seconds, or the zone")
        if self.zone and not known_zone(self.zone):
            raise ValueError(f"no time zone is called {self.zone[:40]}; write UTC, or one such as Europe/Berlin")
        return self


class QuotaTable(Strict):
    """What an account, a model or a provider may say of quota. Left out: whoever stands behind it says so."""

    limits: LimitTable | None = None  # single ones, in place of what is known
    windows: tuple[WindowTable, ...] | None = None  # all of them, in place of all that is known
    charged: Literal["cap", "used", "input"] | None = None
    shared: Literal["model", "account"] | None = None
    cached_free: bool | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> QuotaTable:
        names = [w.name for w in self.windows or () if w.name]
        if len(names) != len(set(names)):
            raise ValueError("windows: two have the same name")
        return self


class Ratings(Strict):
    """How good a model is at something, 0 to 100."""

    reasoning: int | None = Field(default=None, ge=0, le=100)
    coding: int | None = Field(default=None, ge=0, le=100)
    multilingual: int | None = Field(default=None, ge=0, le=100)
    tools: int | None = Field(default=None, ge=0, le=100)
    testing: int | None = Field(default=None, ge=0, le=100)


class Described(Strict):
    """What a model is, beyond what a call needs to know. Sizes in GB."""

    modalities: tuple[Literal["text", "image", "audio", "video"], ...] | None = None
    ratings: Ratings | None = None
    strengths: tuple[str, ...] | None = None
    size_gb: float | None = Field(default=None, gt=0)
    vram_gb: float | None = Field(default=None, gt=0)
    quantisation: str | None = None
    dated: Annotated[str, AfterValidator(_dated)] | None = None
