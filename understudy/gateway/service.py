"""What all requests of a process share: the director, the keys, the audit; and how one request becomes a reply."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from understudy.director.budget import retry_after
from understudy.errors import BudgetRefused, Forbidden, UnderstudyError
from understudy.gateway.asking import Marks, session_of
from understudy.gateway.audit import Audit, Use
from understudy.gateway.dialects.given import Given
from understudy.gateway.dialects.refusals import Refusal, refusal_of
from understudy.gateway.dialects.words import Wanted
from understudy.gateway.jobs import Jobs
from understudy.gateway.keys import Keys, looks_like_ours
from understudy.gateway.loopback import is_here
from understudy.store.callers import SCOPES
from understudy.telemetry.log import log
from understudy.types import Caller, Piece, Reply

if TYPE_CHECKING:
    from understudy.director.director import Director

ANYBODY = Caller("local", scopes=frozenset(SCOPES))  # who needs no key, on this machine, where the user says so


@dataclass(slots=True)
class Service:
    """One per process and configuration. is_open: no key is asked of who comes from this machine."""

    director: Director
    keys: Keys
    audit: Audit
    jobs: Jobs
    is_open: bool = False
    refused: Callable[[Exception], None] | None = None  # told of each error that a client is told of
    under_way: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    async def who(self, headers: Mapping[str, str], client: str, scope: str) -> Caller:
        """Whose request it is. Raises Unauthorized, Forbidden, RateRefused."""
        header = headers.get("authorization") or headers.get("x-api-key")
        if self.is_open and (header is None or not looks_like_ours(header)):  # SDKs send some key whatever happens
            if not is_here(client, headers):
                raise Forbidden("Without a key only programs on this machine may ask.", remedy="Send a key.")
            return ANYBODY
        return await self.keys.who(header, scope)

    async def reply(
        self, caller: Caller, wanted: Wanted, marks: Marks, live: Callable[[Piece], None] | None = None
    ) -> Given:
        """The validated reply. live: told of what may pass on before it is whole. Raises what Director.run does."""
        chat = wanted.task.chat
        if chat is not None:  # a conversation is its caller's own: by the name it has, else by how it began
            chat = replace(chat, live=live, tie=f"{caller.name}\0{marks.session or chat.tie}")
        task = replace(wanted.task, chat=chat, caller=caller, session=session_of(caller, marks))
        reply = await self.director.run(task)
        return Given(reply, wanted.model, int(time.time()), wanted.known)

    def start(self, work: Awaitable[Given]) -> asyncio.Task[Given]:
        """A reply under way, of which the drain knows."""
        running = asyncio.ensure_future(work)
        self.under_way.add(running)
        running.add_done_callback(self.under_way.discard)
        return running

    def refusal(self, error: Exception) -> Refusal:
        """What is told of an error. One that is no typed one is a bug, of which nothing is told but that."""
        if self.refused is not None:
            self.refused(error)
        if isinstance(error, UnderstudyError):
            return refusal_of(error, self._when)
        log().error("bug", error=type(error).__name__)
        return Refusal(500, "api_error", "internal_error", f"This is a bug in understudy ({type(error).__name__}).")

    def _when(self, refused: BudgetRefused) -> float | None:
        return retry_after(refused, self.director.parts.clock.now())

    def note(self, use: Use) -> None:
        with contextlib.suppress(Exception):
            self.audit.note(use)

    @staticmethod
    def tokens_of(reply: Reply) -> int:
        return reply.total_tokens
