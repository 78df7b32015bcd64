"""How a wire is spoken: the protocol of this room, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from understudy.agents.relays.reading import Body
from understudy.types import Answer, Chat, Piece


class Listener(Protocol):
    """One answer in pieces."""

    def hear(self, event: Body) -> Piece | None:
        """What this event adds for a reader. Raises ValueError for what cannot be read."""
        ...

    def answer(self) -> Answer | None:
        """All of it; None when its end was never said."""
        ...


class Speech(Protocol):
    """One wire. native: the dialect that needs no translation; what is said in another is turned into it and back."""

    @property
    def native(self) -> Literal["openai", "anthropic"]: ...

    def address(self, chat: Chat, model: str, *, stream: bool) -> str:
        """The path behind the base address."""
        ...

    def headers(self, key: str) -> Mapping[str, str]: ...

    def request(self, chat: Chat, model: str, cap: int, *, stream: bool) -> Body:
        """Raises CallFailed(UNSUITED) for what this wire has no words for."""
        ...

    def whole(self, body: Body) -> Answer:
        """usage is measured=False where the server did not say. Raises ValueError for what is no answer."""
        ...

    def listen(self) -> Listener: ...
