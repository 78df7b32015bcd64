"""What the REPL remembers between two lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.types import Attachment  # the prompt does not wait for the whole vocabulary


class Cleared(Exception):
    """Ctrl-C at the prompt: the line is given up, and nothing else."""


@dataclass(slots=True)
class Conversation:
    """session is its id; the turns themselves are in the store."""

    session: str
    named: bool = False  # by the user: it is resumed if it exists
    turns: int = 0
    private: bool = False  # something private was said: what follows carries it
    always_private: bool = False  # /private on
    next_private: bool = False  # /private this
    agent: str | None = None
    policy: str | None = None
    files: list[Attachment] = field(default_factory=list["Attachment"])
    last_reply: str | None = None

    @property
    def is_private(self) -> bool:
        """Whether the next task is private whatever it says."""
        return self.private or self.always_private or self.next_private
