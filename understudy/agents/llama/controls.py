"""Control tokens typed by a user: broken before the prompt is tokenised, mended in the answer.

llama.cpp tokenises a rendered prompt with control tokens on, so that "<|im_end|>" in a message would end the message
and let its author write the next one in anybody's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

JOINER = "\u2060"  # word joiner: no width, no break, in no control token known


class Controls:
    """The control-token texts of one vocabulary."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = frozenset(t for t in texts if t)
        self._lengths = sorted({len(t) for t in self._texts}, reverse=True)
        first = "".join(re.escape(c) for c in sorted({t[0] for t in self._texts}))
        self._first = re.compile(f"[{first}]") if first else None

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def broken(self, text: str) -> str:
        """The text with a joiner after the first character of every control token in it, overlapping ones too."""
        if self._first is None:
            return text
        pieces: list[str] = []
        done = 0
        for match in self._first.finditer(text):
            at = match.start()
            longest = next((len(t) for n in self._lengths if (t := text[at : at + n]) in self._texts), 0)
            if longest == 1:  # nothing can be put inside one character
                pieces += [text[done:at], "\ufffd"]
                done = at + 1
            elif longest:
                pieces += [text[done : at + 1], JOINER]
                done = at + 1
        pieces.append(text[done:])
        return "".join(pieces)


def mended(text: str) -> str:
    """An answer without the joiners it may have copied from a broken prompt."""
    return text.replace(JOINER, "")
