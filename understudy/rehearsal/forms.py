"""The form an answer was asked for: simulated models obey it, as real ones mostly do."""

from __future__ import annotations

import re

_NUMBER = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_N = rf"(?P<n>\d{{1,2}}|{'|'.join(_NUMBER)})"
_BULLETS = re.compile(
    rf"(?i)\b(?:{_N}\s+(?:\w+\s+)?)?(?:bullets?|bullet(?:ed)?[- ]points?)\b|\b(?:numbered|bulleted) list\b"
)
_TABLE = re.compile(
    r"(?i)\b(?:in|as|into|make|create|give me|draw) (?:a |an )?(?:markdown |comparison |small |short )*table\b"
)
_SENTENCES = re.compile(rf"(?i)\bin (?:exactly |only |just |at most )?{_N} (?:\w+ )?sentences?\b")
_ONE_WORD = re.compile(
    r"(?i)\b(?:in|with|using|answer|reply|respond|give me)(?: only| just)? (?:one|a single|1) word\b|one-word"
)
_YES_NO = re.compile(r"(?i)\b(?:answer|reply|respond)(?: with)?(?: only| just)?:? (yes or no|true or false)\b")
_WORDS = re.compile(
    r"(?i)\b(?:in|about|around|exactly|at least|at most|under|within|up to|a)\s+(?P<n>\d{1,4})[- ]words?\b"
)
_ITEMS = 3


def shaped(request: str, mark: str, answer: str) -> str:
    """The answer in the form the request asks for; without one, the mark and the answer."""
    if found := _YES_NO.search(request):
        return found.group(1).split()[0].capitalize()
    if _ONE_WORD.search(request):
        return "simulated"
    if found := _BULLETS.search(request):
        marker = "{}." if "numbered" in found.group(0).lower() else "-"
        points = [f"{marker.format(i + 1)} {p}" for i, p in enumerate(_parts(answer, _count(found)))]
        return mark.strip() + "\n" + "\n".join(points)
    if _TABLE.search(request):
        rows = "\n".join(f"| {i + 1} | {p} |" for i, p in enumerate(_parts(answer, _ITEMS)))
        return f"{mark.strip()}\n\n| # | stand-in |\n|---|---|\n{rows}"
    if found := _SENTENCES.search(request):
        count = _count(found)
        return mark + " ".join(["This sentence stands in for one of a real model."] * count)
    if found := _WORDS.search(request):
        count = max(1, int(found.group("n")) - len(mark.split()))
        said = answer.split() or ["stand-in"]
        return mark + " ".join((said * (count // len(said) + 1))[:count])
    return mark + answer


def _count(found: re.Match[str]) -> int:
    said = found.group("n")
    return _ITEMS if said is None else _NUMBER.get(said.lower()) or max(1, min(int(said), 50))


def _parts(answer: str, count: int) -> list[str]:
    """The answer cut into so many pieces, the last ones filled up."""
    pieces = [p.strip() for p in re.split(r"(?<=[.:;,])\s+", answer) if p.strip()]
    return [pieces[i] if i < len(pieces) else f"stand-in {i + 1}" for i in range(count)]
