"""A simulated provider in this process, and what it saw of its callers: the judge of a rehearsed day asks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from understudy.rehearsal.engine import Ask
from understudy.rehearsal.script import ANSWER_FAULTS, Fault, Plays, Script
from understudy.rehearsal.server import wire_of
from understudy.rehearsal.stage import Stage, Trouble, Turn
from understudy.rehearsal.wire import Rendered, Wire
from understudy.types import Clock

OVERDRAWN = frozenset(
    {"minute_quota", "day_quota", "too_large"}
)  # what a caller earns who does not keep to its windows

Weather = Callable[[str, str, str], Fault | None]  # (account, key, model) -> what goes wrong now


def calm(account: str, key: str, model: str) -> Fault | None:
    return None


@dataclass(slots=True)
class Host:
    """Its windows and answers are the server's; only the network is left out.

    earned: its refusals that no fault asked for, by (account, model). spoilt: answers with status 200 that are none.
    watch is shown every request that arrives.
    """

    plays: Plays
    script: Script
    clock: Clock
    weather: Weather = calm
    watch: Callable[[Ask], None] = lambda ask: None
    earned: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    refused: Counter[str] = field(default_factory=Counter[str])  # errors of every kind
    spoilt: set[str] = field(default_factory=set[str], repr=False)
    requests: int = 0
    stage: Stage = field(init=False)
    wire: Wire = field(init=False)

    def __post_init__(self) -> None:
        self.stage = Stage(self.script, self.clock)
        self.wire = wire_of(self.plays, self.script)

    def open(self, key: str, ask: Ask) -> Turn:
        """Admit a request, as Stage.open. Raises Trouble."""
        self.requests += 1
        self.watch(ask)
        account = ""
        try:
            account = self.stage.account(key)
            turn = self.stage.open(account, ask, self.weather(account, key, ask.model))
        except Trouble as trouble:
            self.refused[trouble.kind] += 1
            if not trouble.scripted and trouble.kind in OVERDRAWN:
                self.earned[account, ask.model] += 1
            raise
        if turn.fault is not None and turn.fault.kind in ANSWER_FAULTS and turn.said.text:
            self.spoilt.add(turn.said.text.strip())
        return turn

    def told(self, trouble: Trouble) -> Rendered:
        """The error as it stands on the wire."""
        return self.wire.trouble(trouble, self.clock.now())

    def headers(self, turn: Turn) -> dict[str, str]:
        return self.wire.headers(turn, self.clock.now())
