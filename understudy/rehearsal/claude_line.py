"""The command line of the simulated claude, read by the real one's rules."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import NoReturn

_FLAGS = frozenset(
    [
        "-p",
        "--print",
        "--bare",
        "--strict-mcp-config",
        "--disable-slash-commands",
        "--no-session-persistence",
        "--verbose",
        "--continue",
        "-c",
        "--include-partial-messages",
        "--dangerously-skip-permissions",
        "--replay-user-messages",
        "--fork-session",
        "--ide",
        "--chrome",
        "--no-chrome",
        "--safe-mode",
        "--restricted",
    ]
)
_VALUES = frozenset(
    [
        "--output-format",
        "--input-format",
        "--setting-sources",
        "--system-prompt",
        "--system-prompt-file",
        "--append-system-prompt",
        "--append-system-prompt-file",
        "--model",
        "--max-turns",
        "--json-schema",
        "--permission-mode",
        "--fallback-model",
        "--settings",
        "--resume",
        "-r",
        "--session-id",
        "--max-budget-usd",
        "--effort",
        "--agents",
        "--agent",
        "--permission-prompt-tool",
        "--debug-file",
        "--rehearsal-script",
        "--rehearsal-record",
        "--name",
        "-n",
    ]
)
_LISTS = frozenset(
    [
        "--tools",
        "--allowedTools",
        "--allowed-tools",
        "--disallowedTools",
        "--disallowed-tools",
        "--add-dir",
        "--mcp-config",
        "--betas",
    ]
)


@dataclass
class Options:
    """The command line. Lists are as given; `print` is -p."""

    flags: set[str] = field(default_factory=set[str])
    values: dict[str, str] = field(default_factory=dict[str, str])
    lists: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    words: list[str] = field(default_factory=list[str])

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)


def parsed(arguments: list[str]) -> Options:
    """The real parser's rules: lists eat every word up to the next switch. An unknown switch ends with exit code 1."""
    options, place = Options(), 0
    while place < len(arguments):
        word = arguments[place]
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        place += 1
        if name in _LISTS:
            found = [value] if equals else []
            while not equals and place < len(arguments) and not arguments[place].startswith("-"):
                found.append(arguments[place])
                place += 1
            options.lists[name] = found
        elif name in _VALUES:
            if not equals and place >= len(arguments):
                refuse(f"error: option '{name} <value>' argument missing")
            options.values[name] = value if equals else arguments[place]
            place += 0 if equals else 1
        elif name in _FLAGS:
            options.flags.add(name)
        elif word.startswith("-") and word != "-":
            refuse(f"error: unknown option '{word}'")
        else:
            options.words.append(word)
    return options


def split(given: list[str]) -> tuple[list[str], list[str]]:
    """The CLI's arguments, and our own, which come first."""
    place = 0
    while place + 1 < len(given) and given[place].startswith("--rehearsal-"):
        place += 2
    return given[place:], given[:place]


def refuse(message: str) -> NoReturn:
    """End as the real one does on a wrong command line: a line on standard error, exit code 1."""
    sys.stderr.write(message + "\n")
    raise SystemExit(1)
