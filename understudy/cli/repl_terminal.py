"""The line editor: history, several lines, completion."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from understudy.cli.conversation import Cleared, Conversation
from understudy.cli.terminal import ERASE, hint, say

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent

KEPT = 1_000  # messages read back from the history file


class KeptHistory(History):
    """In memory everything; in the file (0600) only what is handed to keep()."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """The newest first, as the editor wants them."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return []
        messages: list[list[str]] = []
        for line in lines:
            if line.startswith("+"):
                messages.append([line[1:]])
            elif line.startswith("|") and messages:
                messages[-1].append(line[1:])
        return ["\n".join(m) for m in reversed(messages[-KEPT:])]

    def store_string(self, string: str) -> None: ...

    def keep(self, text: str) -> None:
        """Append a message; a file that cannot be written is no reason to stop."""
        first, *rest = text.encode("utf-8", "replace").decode("utf-8").split("\n")
        data = "\n".join([f"+{first}", *(f"|{line}" for line in rest)]) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            file = os.open(self._path, flags, 0o600)
            try:
                os.write(file, data.encode())
            finally:
                os.close(file)
        except OSError:
            return


class Words(Completer):
    """Slash commands, and after them agents, policies, switches or paths."""

    def __init__(self) -> None:
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        from understudy.cli.repl_commands import COMMANDS, choices

        name, space, argument = text.partition(" ")
        if not space:
            for command in COMMANDS.values():
                if command.name.startswith(name[1:]):
                    yield Completion(f"/{command.name}", start_position=-len(name), display_meta=command.about)
        elif name == "/file":
            yield from self._paths.get_completions(Document(argument, len(argument)), complete_event)
            if "clear".startswith(argument):
                yield Completion("clear", start_position=-len(argument))
        else:
            for choice in choices(name[1:]):
                if choice.startswith(argument):
                    yield Completion(choice, start_position=-len(argument))


class TerminalInput:
    """Enter sends; Alt-Enter, a trailing backslash or a paste make more lines."""

    def __init__(self, *, on_first_prompt: Callable[[], None]) -> None:
        from understudy.config.places import home

        self._history = KeptHistory(home() / "history")
        self._session: PromptSession[str] = PromptSession(
            history=self._history,
            completer=Words(),
            complete_while_typing=False,
            multiline=True,
            prompt_continuation=lambda _width, _line, _wrap: "... ",
            key_bindings=_keys(),
            bottom_toolbar="waking the fleet ...",
            interrupt_exception=Cleared,
        )
        self._first = on_first_prompt
        self._session.app.after_render += self._drawn
        self._modes = _keep_keys(sys.stdin.fileno())

    def _drawn(self, _app: Any) -> None:
        self._session.app.after_render -= self._drawn
        self._first()

    async def read(self, conversation: Conversation) -> str:
        # Asked at each drawing: that a resumed conversation is private is only known once the store is read.
        return await self._session.prompt_async(
            lambda: "understudy (private)> " if conversation.is_private else "understudy> "
        )

    async def announce(self, lines: list[str]) -> None:
        self._session.bottom_toolbar = None

        def show() -> None:
            for line in lines:
                hint(line)

        if self._session.app.is_running:
            await run_in_terminal(show)
        else:  # a message was typed already, and its live line is being drawn
            say(ERASE, end="")
            show()

    def remember(self, text: str) -> None:
        self._history.keep(text)

    async def close(self) -> None:
        with suppress(termios.error):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._modes)


def _keep_keys(descriptor: int) -> list[Any]:
    """Keys pressed between two prompts wait for the next one as they are, Ctrl-D too; the modes there were before."""
    before = termios.tcgetattr(descriptor)
    quiet = termios.tcgetattr(descriptor)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    return before


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _more(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
