"""The REPL: a conversation at the terminal, or line by line where there is no terminal."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from understudy.cli.conversation import Cleared, Conversation
from understudy.cli.ending import INTERRUPTED, end
from understudy.cli.running import run_async
from understudy.cli.terminal import hint, is_plain
from understudy.errors import UsageError

if TYPE_CHECKING:
    from understudy.director.director import Director

T = TypeVar("T")


class Input(Protocol):
    """Where lines come from."""

    async def read(self, conversation: Conversation) -> str:
        """One message, which may hold several lines. Raises EOFError at the end, Cleared for a cleared line."""
        ...

    async def announce(self, lines: list[str]) -> None:
        """Show lines for the reader, above the line being written."""
        ...

    def remember(self, text: str) -> None:
        """Keep a message in the history file; only ever called with what is not private."""
        ...

    async def close(self) -> None: ...


def start(config: str | None, session: str | None) -> int:
    """Until the end of input, /quit or Ctrl-D. The exit code is that of the last task where nobody watches, else 0."""
    return run_async(converse(config, session))


async def converse(config: str | None, session: str | None) -> int:
    conversation = Conversation(session or new_session(), named=session is not None)
    repl = Repl(config, conversation)
    if is_plain():
        from understudy.cli.repl_plain import PlainInput

        repl.input = PlainInput()
        await repl.open()
    else:
        from understudy.cli.repl_terminal import TerminalInput

        repl.input = TerminalInput(on_first_prompt=repl.open_soon)
    try:
        return await repl.loop()
    finally:
        await repl.close()


def new_session() -> str:
    return f"s-{secrets.token_hex(5)}"


class Repl:
    """One person, one conversation at a time, one task at a time."""

    input: Input

    def __init__(self, config: str | None, conversation: Conversation) -> None:
        self.config = config
        self.conversation = conversation
        self._stack = AsyncExitStack()
        self._director: Director | None = None
        self._opening: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._code = 0  # of the last message
        self._stopped = 0  # INTERRUPTED when it was stopped

    async def director(self) -> Director:
        """The open director; waits until it is."""
        self.open_soon()
        if self._opening is not None:
            await asyncio.shield(self._opening)
        if self._director is None:
            raise UsageError("The director is not open.", remedy="Start again.")
        return self._director

    @property
    def open_director(self) -> Director | None:
        """The director if it is open already."""
        return self._director

    def open_soon(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())

    async def open(self) -> None:
        """Raises what the opening raises."""
        await self.director()

    async def _open(self) -> None:
        """Imports in a thread, so that the prompt stays alive; then the first screen."""
        from understudy.cli import warm
        from understudy.cli.render import plural

        director = await warm.in_background(lambda: warm.make_director(self.config))
        self._director = await self._stack.enter_async_context(director)
        lines = first_screen(self._director, self.conversation)
        if self.conversation.named and await load_session(self._director, self.conversation):
            lines.append(
                f"Resumed: {plural(self.conversation.turns, 'turn')}{', private' * self.conversation.private}."
            )
        await self.input.announce(lines)
        fleet = self._director.parts.fleet
        self._warming = asyncio.create_task(warm.in_background(lambda: warm.load_workers(fleet)))

    async def loop(self) -> int:
        while True:
            try:
                text = await self._next()
            except EOFError:
                return self._code if is_plain() else 0
            except Cleared:
                continue
            if text.strip():
                self._stopped = 0
                try:
                    if not await self._take(text):
                        return 0
                except BrokenPipeError:
                    raise
                except Exception as error:  # noqa: BLE001  one task's end is not the conversation's
                    self._code = end(error)
                else:
                    self._code = self._stopped

    async def _next(self) -> str:
        """The next message; a failure to open ends the program with that error, not with a bare prompt."""
        reading = asyncio.ensure_future(self.input.read(self.conversation))
        try:
            while not reading.done():
                opening = self._opening
                if opening is not None and opening.done():
                    opening.result()
                    return await reading
                waiting = {reading} if opening is None else {reading, opening}
                # The first prompt starts the opening from within: until then there is nothing else to wait for.
                await asyncio.wait(waiting, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            return reading.result()
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _take(self, text: str) -> bool:
        """Do what a message says. False: leave."""
        if text.startswith("/"):
            from understudy.cli.repl_commands import run_command

            stay = await self.stoppable(run_command(self, text))
            return stay is not False
        from understudy.cli.repl_turn import take_turn

        await self.stoppable(take_turn(self, text))
        return True

    async def stoppable(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run it; Ctrl-C stops it and not the program. None when it was stopped."""
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        stopped = False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        before = signal.getsignal(signal.SIGINT)
        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            return await task
        except asyncio.CancelledError:
            if not stopped:
                raise
            self._stopped = INTERRUPTED
            hint("stopped")
            return None
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)

    async def close(self) -> None:
        for task in (self._opening, self._warming):
            if task is not None and not task.done():
                task.cancel()
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        await self.input.close()
        await self._stack.aclose()


def first_screen(director: Director, conversation: Conversation) -> list[str]:
    """Two lines: who there is; and what to do when it is only simulated."""
    import understudy
    from understudy.cli.render import plural
    from understudy.cli.repl_turn import simulated_only

    parts = director.parts
    fleet = parts.fleet
    providers = ", ".join(dict.fromkeys(c.provider for c in fleet)) or "nobody"
    simulated = simulated_only(director)
    chief = parts.find(parts.settings.director.candidate)
    led = f"{chief.name} directs with" if chief else "no director, so it spends none of its"
    tokens = f"{parts.settings.director.tokens_per_conversation:,} tokens"
    models = plural(len(fleet), "simulated model" if simulated else "model")
    first = f"understudy {understudy.__version__}: {models} at {providers}; {led} {tokens} a conversation."
    if simulated:
        return [
            first,
            "Nothing here is a real answer. For one: export GROQ_API_KEY=... (free), or see understudy doctor. "
            "/help lists the commands.",
        ]
    if not fleet:
        return [first, "There is nobody to ask yet: understudy doctor says what is missing."]
    private = "" if any(c.local for c in fleet) else " No local model: private tasks are refused."
    return [first, f"/help lists the commands, Ctrl-D leaves. Conversation {conversation.session}.{private}"]


async def load_session(director: Director, talk: Conversation) -> bool:
    """Fill in what the store knows of it. False: nothing."""
    known = await director.parts.store.sessions.get(talk.session)
    if known is None:
        return False
    talk.turns, talk.private = len(known.turns), known.private
    said = await director.parts.store.replies.recent(1, talk.session)
    talk.last_reply = said[0]["id"] if said else None
    return True
