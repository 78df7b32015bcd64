"""[calls] of a SPEC: how each call is made, and what happens to one that fails."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from understudy.config.quota import Strict
from understudy.config.settings import UserPath


class Calls(Strict):
    """Every field may be left out. Seconds; shares."""

    intent: str | None = None
    agent: str | None = None
    policy: str | None = None
    quality: str | None = None
    instructions: str = Field(default="", max_length=100_000, repr=False)
    schema_file: UserPath | None = None  # a JSON schema: each answer is an object of it
    private: bool = False
    deadline: float = Field(default=600.0, gt=0, le=86_400)  # of one call, its wait for quota included
    retries: int = Field(default=2, ge=0, le=100)  # of a call that fails; then it is set aside with the reason
    errors: float = Field(default=0.5, gt=0, le=1)  # share of the last 200 tries; above it the campaign stops
    chunk: Annotated[int, Field(ge=1, le=1_000)] = 500  # calls that a worker takes at a time
    group_by: str = ""  # a field of the items: those that share it are asked one after another, for prompt caches
