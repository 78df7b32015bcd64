"""Earlier turns of a conversation that go along with a task."""

from __future__ import annotations

from collections.abc import Sequence

from understudy.tokens import estimate
from understudy.types import Turn

HISTORY_TOKENS = 3000  # the newest turns that fit go along; free tiers have windows of 6,000 tokens a minute


def trim(turns: Sequence[Turn], limit: int = HISTORY_TOKENS) -> tuple[Turn, ...]:
    """The newest turns within the limit (tokens), oldest first."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        limit -= estimate(turn.user) + estimate(turn.assistant)
        if limit < 0:
            break
        kept.append(turn)
    return tuple(reversed(kept))
