"""One text, prepared once for all detectors.

Detectors stay linear by two rules: a regex is tried only where something cheap was found (a word, a number, a long
run), and every quantifier in it is bounded, so a try costs a constant. All words of all detectors are looked for in
one pass (Aho-Corasick), whatever their number.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Set
from functools import cache, cached_property

from ahocorasick_rs import BytesAhoCorasick, Implementation

from understudy.types import Span

CONTEXT = 48  # characters before a number in which a word may say what it is
LARGE = 20_000  # characters from which the dearer automaton, which reads faster, is worth its 10 ms to build
LONG = 20  # characters of a run that may be a key

_NUMBER = re.compile(rb"00*")  # begins with a letter and not with a repetition, which re would try at every byte
_CLUSTER = re.compile(rb"0[0 .()/\-]{4,60}(?<=0)")
_RUN = bytes(120 if c < 128 and (chr(c).isalnum() or chr(c) in "+/_-") else 32 for c in range(256))
# Digits as 0, letters as a and A, what is beyond ASCII (a question mark by then) as U, the rest as it is.
_SHAPE = bytes(
    48 if chr(c).isdigit() else 97 if chr(c).islower() else 65 if chr(c).isupper() else 85 if c == 63 else c
    for c in range(256)
)
_ONE_RUN = b"x" * LONG

_ESCAPED = ("\\n", "\\t", "\\r")

Found = tuple[int, int]


def listed(words: str) -> tuple[str, ...]:
    """Words written as one text with | between them."""
    return tuple(words.split("|"))


class Needles:
    """Words and phrases to look for: at the beginning of a word, or inside of words too.

    Scripts without spaces have no word beginnings: what is written in one is found anywhere.
    """

    def __init__(self, *needles: str, inside: bool = False, strict: bool = False) -> None:
        self.words = tuple(dict.fromkeys(needles))
        self.inside = inside
        self.strict = strict  # looked for in a pass of their own, when somebody asks
        _made.append(self)


_made: list[Needles] = []
# A needle in the automaton: the word, then for each list that has it whether it is found inside of words.
_Entry = tuple[str, tuple[tuple[Needles, bool], ...]]


@cache
def _entries(_: int, ascii_only: bool, strict: bool) -> tuple[_Entry, ...]:
    owners: dict[str, list[tuple[Needles, bool]]] = {}
    for needles in _made:
        for word in needles.words:
            if needles.strict == strict and (word.isascii() or not ascii_only):
                owners.setdefault(word, []).append((needles, needles.inside or not "a" <= word[0] <= "z"))
    return tuple((word, tuple(lists)) for word, lists in owners.items())


@cache
def _automaton(made: int, ascii_only: bool, strict: bool, large: bool) -> BytesAhoCorasick:
    """Built when the first text of its kind comes: in 2 ms for short texts, in 10 ms for long ones."""
    which = Implementation.DFA if large else Implementation.ContiguousNFA
    return BytesAhoCorasick([_bytes(word) for word, _ in _entries(made, ascii_only, strict)], implementation=which)


def _bytes(text: str) -> bytes:
    """One byte for each character, so that offsets stay: the low one. What is found is compared in full."""
    return text.encode() if text.isascii() else text.encode("utf-32-le", "surrogatepass")[::4]


class Scan:
    """A text, its lower-case twin of the same length, where the needles stand in it, its numbers and long runs."""

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
    def flat(self) -> bytes:
        """One byte for each character; what is beyond ASCII is a question mark."""
        return self.text.encode("ascii", "replace")

    @cached_property
    def shape(self) -> bytes:
        """The text with every digit as 0, letters as a or A, what is beyond ASCII as U."""
        return self.flat.translate(_SHAPE)

    @cached_property
    def numbers(self) -> list[Found]:
        """Where one digit stands, or several together."""
        return [m.span() for m in _NUMBER.finditer(self.shape)]

    @cached_property
    def runs(self) -> list[Found]:
        """Where digits stand, with the separators people put between them; at least six characters."""
        return [m.span() for m in _CLUSTER.finditer(self.shape)]

    @cached_property
    def long_runs(self) -> list[Found]:
        """Runs of letters, digits and + / _ - of at least LONG characters."""
        classes, found = self.flat.translate(_RUN), list[Found]()
        begin = classes.find(_ONE_RUN)
        while begin >= 0:
            end = classes.find(b" ", begin)
            end = len(classes) if end < 0 else end
            found.append((begin, end))
            begin = classes.find(_ONE_RUN, end)
        return found

    @cached_property
    def _codes(self) -> bytes:
        return _bytes(self.low)

    @cached_property
    def _hits(self) -> dict[Needles, list[Found]]:
        return self._search(strict=False)

    @cached_property
    def _strict_hits(self) -> dict[Needles, list[Found]]:
        return self._search(strict=True)

    def _search(self, strict: bool) -> dict[Needles, list[Found]]:
        low, is_ascii, size = self.low, self.is_ascii, len(_made)
        entries, hits = _entries(size, is_ascii, strict), dict[Needles, list[Found]]()
        automaton = _automaton(size, is_ascii, strict, len(low) >= LARGE)
        for which, start, end in automaton.find_matches_as_indexes(self._codes, overlapping=True):
            word, owners = entries[which]
            if not is_ascii and not low.startswith(word, start):
                continue
            begins = not start or not low[start - 1].isalnum() or low[start - 2 : start] in _ESCAPED
            for owner, anywhere in owners:
                if begins or anywhere:
                    hits.setdefault(owner, []).append((start, end))
        return hits

    @property
    def found(self) -> Set[Needles]:
        """The lists of which something stands in the text."""
        return self._hits.keys()

    def at(self, needles: Needles) -> list[Found]:
        """(start, end) of each of the needles, in the order of their ends."""
        return (self._strict_hits if needles.strict else self._hits).get(needles, [])

    def follows(self, needles: Needles, place: int, reach: int = CONTEXT) -> bool:
        """Whether one of the needles stands whole in the text in front of an offset."""
        ends = self._ends(needles)
        which = bisect_right(ends, place)
        return which > 0 and ends[which - 1] > place - reach

    def _ends(self, needles: Needles) -> list[int]:
        found = self._sorted.get(needles)
        if found is None:
            found = self._sorted[needles] = sorted([end for _, end in self.at(needles)])
        return found

    @cached_property
    def _sorted(self) -> dict[Needles, list[int]]:
        return {}

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
