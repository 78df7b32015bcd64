"""How limits are written in the configuration: single ones by their usual names, or windows of any length."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Limit = int | Literal[False] | None  # False: there is no such limit; None: nothing is said


class LimitTable(BaseModel):
    """Requests and tokens per minute, hour and day; `false` takes one away that the catalogue has."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    rpm: Limit = None
    rph: Limit = None
    rpd: Limit = None
    tpm: Limit = None
    tph: Limit = None
    tpd: Limit = None
    day: str | None = None  # "rolling", or the time zone at whose midnight the day begins anew

    @field_validator("rpm", "rph", "rpd", "tpm", "tph", "tpd")
    @classmethod
    def _positive(cls, value: Limit) -> Limit:
        if value is True or (value is not False and value is not None and value < 1):
            raise ValueError("a limit is a whole number above 0, or false for none")
        return value

    @field_validator("day")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value in (None, "rolling") else known_zone(value)


class WindowTable(BaseModel):
    """One window of any length."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    counts: Literal["requests", "tokens", "input", "output"] = "requests"
    limit: int = Field(gt=0)
    seconds: float = Field(default=60.0, gt=0, le=40 * 86_400)
    zone: str = ""  # a time zone: the window is its calendar day
    name: str = ""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value) if value else value


class QuotaTable(BaseModel):
    """What a provider, a model and an account may say of their limits. The account's word goes first."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    limits: LimitTable | None = None  # single ones, over what is known otherwise
    windows: tuple[WindowTable, ...] | None = None  # in place of all that is known otherwise
    charged: Literal["cap", "used", "input"] | None = None
    shared: Literal["model", "account"] | None = None
    cached_free: bool | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> QuotaTable:
        names = [window.name for window in self.windows or () if window.name]
        if len(names) != len(set(names)):
            raise ValueError("two windows have the same name")
        return self


def known_zone(name: str) -> str:
    """The name of a time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no such time zone; write for example America/Los_Angeles or UTC") from None
    return name
