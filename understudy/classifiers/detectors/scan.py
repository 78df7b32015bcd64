"""One text, prepared once for all detectors.

Detectors are kept linear by two rules: a regex is tried only where a literal hint was found (or at a digit run or a
long token), and every quantifier in it is bounded, so a try costs a constant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from understudy.types import Span

LONG = 14  # characters; no key format in use is shorter
CONTEXT = 48  # characters before a number in which a word may say what it is

_DIGITS = re.compile(r"\d[\d \-./()\xa0\u2010-\u2015]{4,40}(?<=\d)")
_DIGITS_ASCII = re.compile(r"[0-9][0-9 \-./()]{4,40}(?<=[0-9])")
_NUMBER = re.compile(r"\d+")


class Scan:
    """A text, its lower-case twin of the same length, its digit runs and its long tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._known: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def __repr__(self) -> str:
        return f"Scan({len(self.text)} characters)"

    @cached_property
    def low(self) -> str:
        """Lower case with the offsets of the text: letters whose lower case is longer stay as they are."""
        low = self.text.lower()
        if len(low) == len(self.text):
            return low
        return "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Where digits stand, with the separators people put between them; at least six characters."""
        pattern = _DIGITS_ASCII if self.text.isascii() else _DIGITS
        return tuple(m.span() for m in pattern.finditer(self.text))

    @cached_property
    def numbers(self) -> tuple[tuple[int, int], ...]:
        """Where a digit stands, or several."""
        return tuple(m.span() for m in _NUMBER.finditer(self.text))

    def within(self, pattern: re.Pattern[str], *, before: int = 12, behind: int = 40) -> Iterator[re.Match[str]]:
        """Matches of a pattern that needs digits, sought only so many characters around numbers."""
        for start, end in self._regions(before, behind):
            yield from pattern.finditer(self.text, start, end)

    def _regions(self, before: int, behind: int) -> list[tuple[int, int]]:
        cached = self._known.get((before, behind))
        if cached is not None:
            return cached
        merged: list[tuple[int, int]] = []
        here, there = -1, -1
        for start, end in self.numbers:
            if start - before > there:
                if there >= 0:
                    merged.append((here, there))
                here = max(0, start - before)
            there = end + behind
        if there >= 0:
            merged.append((here, there))
        self._known[before, behind] = merged
        return merged

    @cached_property
    def tokens(self) -> tuple[tuple[int, str], ...]:
        """(offset, token) for every run of at least LONG characters without white space."""
        found: list[tuple[int, str]] = []
        cursor = 0
        for word in [w for w in self.text.split() if len(w) >= LONG]:
            cursor = self.text.index(word, cursor)
            found.append((cursor, word))
            cursor += len(word)
        return tuple(found)

    def at(self, *needles: str) -> Iterator[int]:
        """Offsets behind each occurrence of a lower-case needle."""
        low = self.low
        for needle in needles:
            place = low.find(needle)
            while place >= 0:
                place += len(needle)
                yield place
                place = low.find(needle, place)

    def before(self, place: int, reach: int = CONTEXT) -> str:
        """Lower-case text in front of an offset."""
        return self.low[max(0, place - reach) : place]

    def after(self, place: int, reach: int = CONTEXT) -> str:
        return self.low[place : place + reach]

    def around(self, start: int, end: int, words: Iterable[str], reach: int = CONTEXT) -> bool:
        """Whether one of the words stands in front of the span, or close behind it."""
        front, behind = self.before(start, reach), self.after(end, reach // 2)
        return any(w in front or w in behind for w in words)


Detector = Callable[[Scan], Iterator[Span]]
