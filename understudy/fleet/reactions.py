"""One reaction per failure class (I7), as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from understudy.types import Failure


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a failure means for the rest of the task, and for the tasks after it.

    rest: seconds the domain rests when the provider names no time; None: it does not rest.
    spread: what else it says something of, for the remainder of this task: an account is passed over, a provider is
    put off until the others were asked.
    again: the same candidate may be tried once more, after all the others, when time is left and it is worth waiting
    for; so may any that names the time.
    stop: no other candidate is asked.
    """

    rest: float | None = None
    spread: Literal["domain", "account", "provider"] = "domain"
    again: bool = False
    stop: bool = False


REACTIONS: Mapping[Failure, Reaction] = {
    Failure.AUTH: Reaction(spread="account"),
    Failure.PAYMENT: Reaction(spread="account"),
    Failure.MINUTE_QUOTA: Reaction(rest=60.0, again=True),
    Failure.DAY_QUOTA: Reaction(rest=3600.0, again=True),
    Failure.TOO_LARGE: Reaction(),
    Failure.CONTEXT: Reaction(),
    Failure.UNSUITED: Reaction(),
    # Another model may answer what this one would not; but the filter is the provider's word on the task, and a
    # router that shops around for a laxer one is a way round it.
    Failure.CONTENT_FILTER: Reaction(stop=True),
    Failure.OVERLOAD: Reaction(again=True, spread="provider"),
    Failure.TRANSPORT: Reaction(again=True, spread="provider"),
    Failure.MALFORMED: Reaction(spread="provider"),
    Failure.UNAVAILABLE: Reaction(spread="provider"),
    Failure.CANCELLED: Reaction(stop=True),
}
LONGEST_REST = (
    26 * 3600.0
)  # no window in use is longer than a day at a time zone's edge, but a broken header may say so
