"""One text, prepared once for all detectors.

Detectors stay linear by two rules: a regex is tried only where something cheap was found (a word, a number, a long
token), and every quantifier in it is bounded, so a try costs a constant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from understudy.types import Span

LONG = 14  # characters; no key format in use is shorter
CONTEXT = 48  # characters before a number in which a word may say what it is
STEM = 4  # letters by which a word is looked up before it is searched for

_DIGITS = re.compile(r"\d[\d \-./()\xa0\u2010-\u2015]{4,40}(?<=\d)")
_DIGITS_ASCII = re.compile(r"[0-9][0-9 \-./()]{4,40}(?<=[0-9])")
_NUMBER = re.compile(r"\d+")
_NUMBER_ASCII = re.compile(r"[0-9]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_LETTERS_ASCII = re.compile(r"[a-z]+")


def listed(words: str) -> tuple[str, ...]:
    """Words written as one text with | between them."""
    return tuple(words.split("|"))


class Needles:
    """Words and phrases to look for, indexed by their first letters: most texts hold none of them."""

    def __init__(self, *needles: str) -> None:
        stems: dict[str, list[str]] = {}
        plain: list[str] = []
        for needle in needles:
            first = _LETTERS_ASCII.match(needle)
            if first is None or not needle.isascii():
                # Scripts without spaces have no word beginnings: these are searched for directly.
                plain.append(needle)
            else:
                stems.setdefault(first.group()[:STEM], []).append(needle)
        self.stems = {stem: tuple(group) for stem, group in stems.items()}
        self.ascii = tuple(n for n in plain if n.isascii())
        self.foreign = tuple(n for n in plain if not n.isascii())


class Scan:
    """A text, its lower-case twin of the same length, its words, its numbers and its long tokens."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Scan({len(self.text)} characters)"

    @cached_property
    def is_ascii(self) -> bool:
        return self.text.isascii()

    @cached_property
    def low(self) -> str:
        """Lower case with the offsets of the text: letters whose lower case is longer stay as they are."""
        low = self.text.lower()
        if len(low) == len(self.text):
            return low
        return "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)

    @cached_property
    def unique(self) -> frozenset[str]:
        """Every run of characters without white space, once."""
        return frozenset(self.text.split())

    @cached_property
    def vocabulary(self) -> str:
        """A text in which every run of the text stands once, in lower case: shorter to search than the text."""
        if len(self.text) < 8000:
            return self.low
        return "\n".join(self.unique).lower()

    @cached_property
    def stems(self) -> frozenset[str]:
        """The first letters of every word."""
        letters = _LETTERS_ASCII if self.is_ascii else _LETTERS
        return frozenset([w[:STEM] for w in letters.findall(self.vocabulary)])

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Where digits stand, with the separators people put between them; at least six characters."""
        pattern = _DIGITS_ASCII if self.is_ascii else _DIGITS
        return tuple([m.span() for m in pattern.finditer(self.text)])

    @cached_property
    def numbers(self) -> tuple[tuple[int, int], ...]:
        """Where one digit stands, or several together."""
        pattern = _NUMBER_ASCII if self.is_ascii else _NUMBER
        return tuple([m.span() for m in pattern.finditer(self.text)])

    @cached_property
    def long_tokens(self) -> tuple[str, ...]:
        """Runs without white space of at least LONG characters that are no plain words, each once."""
        return tuple(sorted([w for w in self.unique if len(w) >= LONG and (len(w) >= 48 or not w.isalpha())]))

    def places(self, token: str) -> Iterator[int]:
        """Offsets of each occurrence of a token as a whole run."""
        text, size = self.text, len(token)
        place = text.find(token)
        while place >= 0:
            if not (place and not text[place - 1].isspace()) and not text[place + size : place + size + 1].strip():
                yield place
            place = text.find(token, place + size)

    def at(self, needles: Needles) -> Iterator[tuple[int, int]]:
        """(start, end) of each needle that begins a word."""
        low, is_ascii = self.low, self.is_ascii
        for stem in needles.stems.keys() & self.stems:
            for needle in needles.stems[stem]:
                for start in self._all(needle):
                    if not start or not low[start - 1].isalnum():
                        yield start, start + len(needle)
        for needle in needles.ascii if is_ascii else (*needles.ascii, *needles.foreign):
            for start in self._all(needle):
                yield start, start + len(needle)

    def anywhere(self, *needles: str) -> Iterator[tuple[int, int]]:
        """(start, end) of each needle, inside of words too; needles hold no white space."""
        for needle in needles:
            if needle in self.vocabulary:
                for start in self._all(needle):
                    yield start, start + len(needle)

    def _all(self, needle: str) -> Iterator[int]:
        low, size = self.low, len(needle)
        place = low.find(needle)
        while place >= 0:
            yield place
            place = low.find(needle, place + size)

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
