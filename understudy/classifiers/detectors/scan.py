"""One text, prepared once for all detectors.

Detectors stay linear by two rules: a regex is tried only where something cheap was found (a word, a number, a long
token), and every quantifier in it is bounded, so a try costs a constant.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from understudy.types import Span

LONG = 14  # characters; no key format in use is shorter
CONTEXT = 48  # characters before a number in which a word may say what it is
STEM = 4  # letters by which a word is looked up before it is searched for
LARGE = 8000  # characters from which shorter extracts of a text are made to search in
REACH = 120  # characters before a number that belong to it; the longest needle and its pattern are below 100

_DIGITS = re.compile(r"\d[\d \-./()\xa0\u2010-\u2015]{4,40}(?<=\d)")
_NUMBER = re.compile(r"\d+")
# Written so that it begins with a letter and not with a repetition, which re would try at every byte.
_ZEROS = re.compile(rb"00*")
_LETTERS = re.compile(r"[a-z]+")
_RUN = re.compile(r"\S+")
# Every byte as a blank, but letters as themselves; every byte as a blank, but digits as 0.
_ONLY_LETTERS = bytes(c if chr(c).isalpha() and chr(c).islower() else 32 for c in range(128)) + b" " * 128
_ONLY_DIGITS = bytes(48 if chr(c).isdigit() else 32 for c in range(128)) + b" " * 128
# Full-width forms as the characters they stand for, one for one, so that offsets stay.
_FOLD = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def listed(words: str) -> tuple[str, ...]:
    """Words written as one text with | between them."""
    return tuple(words.split("|"))


class Needle:
    """A word or phrase with what must be in a text that holds it: whole words, a beginning of a word, other letters."""

    __slots__ = ("beginning", "foreign", "pieces", "stem", "text", "whole")

    def __init__(self, text: str) -> None:
        self.text = text
        ascii_ends = text.isascii()
        words = list(_LETTERS.finditer(text)) if ascii_ends and _LETTERS.match(text) else []
        self.foreign = frozenset(c for c in text if not c.isascii())
        self.whole = frozenset(w.group() for w in words if w.end() < len(text))
        self.beginning = words[-1].group() if words and words[-1].end() == len(text) else ""
        self.pieces = tuple(p for p in text.split() if not (p.isascii() and p.isalpha()) and p != text)
        self.stem = words[0].group()[:STEM] if words else ""


class Needles:
    """Words and phrases to look for, indexed by their first letters: most texts hold none of them."""

    def __init__(self, *needles: str) -> None:
        stems: dict[str, list[Needle]] = {}
        plain: list[Needle] = []
        for needle in map(Needle, needles):
            if needle.stem:
                stems.setdefault(needle.stem, []).append(needle)
            else:
                # Scripts without spaces have no word beginnings: these are searched for directly.
                plain.append(needle)
        self.stems = {stem: tuple(group) for stem, group in stems.items()}
        self.ascii = tuple(n for n in plain if not n.foreign)
        self.foreign = tuple(n for n in plain if n.foreign)

    @staticmethod
    def is_foreign(first: str) -> bool:
        """Whether a needle that begins so may stand inside of a word."""
        return not ("a" <= first <= "z")


class Scan:
    """A text, its lower-case twin of the same length, its words, its numbers and its long tokens."""

    def __init__(self, text: str) -> None:
        self.text = text if text.isascii() else text.translate(_FOLD)

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
        if len(self.text) < LARGE:
            return self.low
        return "\n".join(self.unique).lower()

    @cached_property
    def words(self) -> frozenset[str]:
        """Every run of the letters a to z, in lower case, once; other letters part words here."""
        letters = self.vocabulary.encode("ascii", "replace").translate(_ONLY_LETTERS)
        return frozenset(letters.decode("ascii").split())

    @cached_property
    def stems(self) -> frozenset[str]:
        """The first letters of every word."""
        return frozenset([w[:STEM] for w in self.words])

    @cached_property
    def lexicon(self) -> str:
        """The words again, each behind a line break: shows whether one begins so."""
        return "\n" + "\n".join(self.words)

    @cached_property
    def foreign(self) -> frozenset[str]:
        """The characters beyond ASCII."""
        return frozenset() if self.is_ascii else frozenset([c for c in set(self.vocabulary) if c > "\x7f"])

    @cached_property
    def numbers(self) -> tuple[tuple[int, int], ...]:
        """Where one digit stands, or several together."""
        if any(c.isdecimal() for c in self.foreign):
            return tuple([m.span() for m in _NUMBER.finditer(self.text)])
        # One byte for each character, so offsets stay; a search for one letter runs at the speed of memory.
        digits = self.text.encode("ascii", "replace").translate(_ONLY_DIGITS)
        return tuple([m.span() for m in _ZEROS.finditer(digits)])

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Where digits stand, with the separators people put between them; at least six characters."""
        found: list[tuple[int, int]] = []
        done = 0
        for start, end in self.numbers:
            place = max(start, done)
            while place < end:
                if match := _DIGITS.match(self.text, place):
                    found.append(match.span())
                    place = done = match.end()
                else:
                    place += 1
        return tuple(found)

    @cached_property
    def long_tokens(self) -> tuple[str, ...]:
        """Runs without white space of at least LONG characters that are no plain words, each once."""
        return tuple(sorted([w for w in self.unique if len(w) >= LONG and (len(w) >= 48 or not w.isalpha())]))

    def places(self, token: str) -> tuple[int, ...]:
        """Offsets of each occurrence of a token as a whole run."""
        return tuple(self._places.get(token, ()))

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Where each run without white space begins. Looking for them one by one would take a pass for each."""
        places: dict[str, list[int]] = {}
        for match in _RUN.finditer(self.text):
            places.setdefault(match.group(), []).append(match.start())
        return places

    def at(self, needles: Needles) -> Iterator[tuple[int, int]]:
        """(start, end) of each needle that begins a word."""
        low, is_ascii = self.low, self.is_ascii
        for stem in needles.stems.keys() & self.stems:
            for needle in needles.stems[stem]:
                if self._may_hold(needle):
                    for start in self._all(needle.text):
                        if not start or not low[start - 1].isalnum():
                            yield start, start + len(needle.text)
        for needle in needles.ascii if is_ascii else (*needles.ascii, *needles.foreign):
            if needle.foreign <= self.foreign and self._may_hold(needle):
                for start in self._all(needle.text):
                    yield start, start + len(needle.text)

    def at_numbers(self, needles: Needles) -> Iterator[tuple[int, int]]:
        """As `at`, but in a large text only those that stand at most REACH characters before a number."""
        if len(self.text) < LARGE:
            yield from self.at(needles)
            return
        fronts, places, begins = self._fronts
        for start, end in fronts.at(needles):
            window = bisect_right(places, start) - 1
            begin = begins[window] + start - places[window]
            if not begin or needles.is_foreign(fronts.low[start]) or not self.low[begin - 1].isalnum():
                yield begin, begin + end - start

    @cached_property
    def _fronts(self) -> tuple[Scan, list[int], list[int]]:
        """The text in front of the numbers, where each piece stands in it, and where it stood in the text."""
        pieces: list[str] = []
        places, begins = [0], [0]
        begin, until, size = 0, 0, 0
        for start, end in (*self.numbers, (len(self.text) + REACH + 1, 0)):
            if start - REACH > until:
                pieces.append(self.low[begin:until])
                size += until - begin + 1
                begin = start - REACH
                places.append(size)
                begins.append(begin)
            until = end
        return Scan("\n".join(pieces)), places, begins

    def _may_hold(self, needle: Needle) -> bool:
        return (
            needle.whole <= self.words
            and (not needle.beginning or "\n" + needle.beginning in self.lexicon)
            and all(piece in self.vocabulary for piece in needle.pieces)
        )

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
