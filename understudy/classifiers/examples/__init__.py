"""The project's own written examples: one per line, \\n for a line break, {{name}} for a text of bodies.txt.

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
_SLOT = re.compile(r"\{\{([a-z0-9-]+)\}\}")
HELD_OUT = 5  # every fifth example is never trained on


@dataclass(frozen=True, slots=True)
class Example:
    """A written example; `held_out` ones are for tests only."""

    text: str = field(repr=False)
    intent: Intent
    held_out: bool
    number: int
    plain: bool = False


def bodies() -> dict[str, str]:
    """Documents, conversations and code, by name."""
    texts: dict[str, str] = {}
    for block in (_FOLDER / "bodies.txt").read_text(encoding="utf-8").split("== ")[1:]:
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
                text = _SLOT.sub(lambda m: texts[m[1]], line.replace("\\n", "\n"))
                yield Example(text, intent, number % HELD_OUT == HELD_OUT - 1, number, name.startswith("plain_"))
