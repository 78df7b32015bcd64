"""The project's own written examples: one per line, \\n for a line break, {{name}} for a text of bodies.txt.

{{kind*}} stands for any text of a kind (code, diff, trace, article, tools ...), and makes the line a few examples.
Files named plain_* hold short everyday prompts. The same text stands under several intents: what is asked of it
decides, not what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from understudy.types import Intent

_FOLDER = Path(__file__).parent
_SLOT = re.compile(r"\{\{([a-z0-9-]+)(\*?)\}\}")
_KINDS = {
    "code": ("py", "js", "ts", "java", "go", "c", "cpp", "cs", "rust", "rb", "kt", "php", "sql", "bash"),
    "trace": ("trace", "log"),
}
HELD_OUT = 5  # every fifth line is never trained on
COPIES = 3  # examples made of a line with a {{kind*}}


@dataclass(frozen=True, slots=True)
class Example:
    """A written example; `held_out` ones are for tests only. `copies`: how many were made of its line."""

    text: str = field(repr=False)
    intent: Intent
    held_out: bool
    number: int
    plain: bool = False
    copies: int = 1


def bodies() -> dict[str, str]:
    """Documents, conversations and code, by name."""
    texts: dict[str, str] = {}
    for block in re.split(r"^== ", (_FOLDER / "bodies.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, body = block.partition("\n")
        texts[name.strip()] = body.strip("\n")
    return texts


def read() -> Iterator[Example]:
    """All examples, in the order of the files. Raises KeyError for an unknown {{name}}."""
    texts = bodies()
    for intent in Intent:
        for name in (f"{intent.value}.txt", f"plain_{intent.value}.txt"):
            path = _FOLDER / name
            if not path.exists():
                continue
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            for number, line in enumerate(lines):
                made = tuple(dict.fromkeys(_made(line.replace("\\n", "\n"), number, texts)))
                held_out = number % HELD_OUT == HELD_OUT - 1
                for text in made:
                    yield Example(text, intent, held_out, number, name.startswith("plain_"), len(made))


def _made(line: str, number: int, texts: dict[str, str]) -> Iterator[str]:
    """The line with its slots filled; which bodies a kind stands for goes round with the number of the line."""
    copies = COPIES if "*}}" in line else 1
    for copy in range(copies):
        turn = number * copies + copy

        def fill(slot: re.Match[str], turn: int = turn) -> str:
            if not slot[2]:
                return texts[slot[1]]
            kind = [name for name in texts if name.split("-")[0] in _KINDS.get(slot[1], (slot[1],))]
            # Two slots of one line take different steps, so that they do not always meet the same neighbour.
            return texts[kind[(turn + slot.start() % 7) % len(kind)]]

        yield _SLOT.sub(fill, line)
