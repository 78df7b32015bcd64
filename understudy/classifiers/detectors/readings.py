"""Other readings of a text, in which private data shows that does not in the letters as they stand.

Folded: characters as what they look like (full-width forms, digits of other scripts, no zero-width ones). Unescaped:
HTML entities, percent signs and backslashes. Joined: strings put together over quotes and lines. Decoded: base64 and
hex that hold text. Every reading knows where in the text its characters come from.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from understudy.classifiers.detectors.scan import Needles, Scan
from understudy.types import Span

MARGIN = 160  # characters around a place that is read differently

# Where a piece of a reading begins, and the place in the text that it stands for.
_Piece = tuple[int, int, int]


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """A reading. A piece as long as what it stands for goes character by character, any other as a whole."""

    text: str
    pieces: tuple[_Piece, ...] = ()

    def back(self, span: Span) -> Span:
        """The span in the text that was read."""
        if not self.pieces:
            return span
        return Span(self._place(span.start)[0], self._place(span.end - 1)[1], span.type)

    def _place(self, at: int) -> tuple[int, int]:
        which = bisect_right(self.pieces, at, key=lambda piece: piece[0]) - 1
        begin, start, end = self.pieces[max(0, which)]
        until = self.pieces[which + 1][0] if which + 1 < len(self.pieces) else len(self.text)
        if until - begin != end - start:
            return start, end
        return start + at - begin, start + at - begin + 1


_Substitute = Callable[[re.Match[str]], str]


def _replaced(text: str, matches: list[re.Match[str]], substitute: _Substitute, margin: int | None) -> View:
    """The text with the matches replaced; with a margin, only what stands near them."""
    parts: list[str] = []
    pieces: list[_Piece] = []
    size = place = 0

    def take(piece: str, start: int, end: int) -> None:
        nonlocal size
        if piece:
            parts.append(piece)
            pieces.append((size, start, end))
            size += len(piece)

    for match in matches:
        start, end = match.span()
        if margin is not None and start - place > 2 * margin:
            if place:
                take(text[place : place + margin], place, place + margin)
                take("\n\n\n", place + margin, place + margin)
            place = start - margin
        take(text[place:start], place, start)
        take(substitute(match), start, end)
        place = end
    until = len(text) if margin is None else min(len(text), place + margin)
    take(text[place:until], place, until)
    return View("".join(parts), tuple(pieces))


@cache
def _folded(character: str) -> str:
    """What a character beyond ASCII stands for, or itself."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf" or character in "\u034f\u115f\u1160\u17b4\u17b5\u3164" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp"):
        return "\n"
    if category == "Pd" or character in "\u2212\u2043":
        return "-"
    if character in "“”„‟«»":
        return '"'
    if character in "‘’‚‛":
        return "'"
    plain = unicodedata.normalize("NFKC", character)
    return plain if plain.isascii() and plain.isprintable() and category != "No" else character


# Letters that look like digits, between digits.
_LOOKALIKE = re.compile(r"(?<=\d)[ \-]?[OОΟοоlІӀ](?=[ \-]?\d)|(?<=\d\d)[OОΟοоlІӀ](?![^\W\d_])")


_ASCII = bytes(range(128))


def fold(text: str) -> View:
    """The text with every character as what it stands for."""
    if text.isascii():
        return View(text)
    gone: list[str] = []
    for character in set(
        text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    ):
        if (plain := _folded(character)) != character:
            if len(plain) == 1:
                text = text.replace(character, plain)
            else:
                gone.append(character)
    if not gone:
        return View(text)
    pattern = re.compile("[" + re.escape("".join(gone)) + "]+")
    return _replaced(text, list(pattern.finditer(text)), lambda m: "".join(map(_folded, m.group())), None)


_ESCAPE = re.compile(
    r"&(?:#\d{2,6}|#[xX][0-9A-Fa-f]{2,5}|amp;(?:lt|gt|amp|quot)|amp|lt|gt|quot|apos|nbsp|commat|period|colon|lowbar|"
    r"hyphen|shy|num|plus|equals);|%[2-7][0-9A-Fa-f]|\\u00[2-7][0-9A-Fa-f]|\\x[2-7][0-9A-Fa-f]"
)
_JOINT = re.compile(
    r"[\"'`]\s{0,8}(?:\+|\.|&|\|\||\\|\.\.|<<|~)\s{0,60}[\"'`]|[\"'`][ \t]{0,8}\n[ \t]{0,60}[\"'`]"
    r"|(?<=[\w+/=\-])\\\n[ \t]{0,60}(?=[\w+/=\-])"
)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){10,}")


# Where two strings may be put together.
_JOINTS = Needles(
    *(
        q + between
        for q in "\"'`"
        for between in ("+", " +", " .", " &", " |", " \\", "\n", " \n", "\r\n", "\\\n", " <<", '."', ".'")
    ),
    "\\\n",
    inside=True,
)


def views(scan: Scan) -> Iterator[View]:
    """The other readings of a text."""
    text = scan.text
    if "&" in text or "%" in text or "\\u" in text or "\\x" in text:
        matches = list(_ESCAPE.finditer(text))
        if matches:
            yield _replaced(text, matches, lambda m: _unescaped(m.group()), MARGIN)
    matches: list[re.Match[str]] = []
    done = 0
    for start, _ in sorted(scan.at(_JOINTS)):
        if start >= done and (match := _JOINT.match(text, start)):
            matches.append(match)
            done = match.end()
    if matches:
        yield _replaced(text, matches, lambda _: "", MARGIN)
    for start, end in scan.long_runs:
        if (plain := decoded(text[start:end])) is not None:
            yield View(plain, ((0, start, end),))


def _unescaped(escape: str) -> str:
    if escape[0] == "&":
        plain = html.unescape(html.unescape(escape))
        return "".join(c if c < "\x80" else _folded(c) for c in plain)
    return chr(int(escape[-2:], 16))


def decoded(run: str) -> str | None:
    """The text that base64 or hex stands for, if it is one."""
    if _HEX.fullmatch(run):
        return _text(bytes.fromhex(run))
    if run.isalpha() and (run.islower() or run.isupper()):
        return None
    run = run.replace("-", "+").replace("_", "/")
    run = run[: len(run) - len(run) % 4] if len(run) % 4 == 1 else run + "=" * (-len(run) % 4)
    try:
        if _text(base64.b64decode(run[:16])) is None:
            return None
        return _text(base64.b64decode(run))
    except (binascii.Error, ValueError):
        return None


def _text(data: bytes) -> str | None:
    """Printable text of at least eight characters, or None; a character cut in two at the end does not matter."""
    plain = data.decode("utf-8", "ignore")
    if len(plain) < 8 or len(plain.encode()) < len(data) - 3:
        return None
    return plain if plain.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else None
