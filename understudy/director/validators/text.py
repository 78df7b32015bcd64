"""What several checks ask of a text: its fences, its words, without its code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: the word after the fence, lower case, and what is inside. closed: its end was there."""

    tag: str
    body: str = field(repr=False)
    closed: bool


def spoken(text: str) -> str:
    """The answer without the reasoning some models print before it."""
    return _THINKING.sub("", text, count=1).strip()


def fences(text: str) -> tuple[list[Fence], str]:
    """The fenced blocks by the rules of CommonMark, and the text outside of them. Linear time."""
    found: list[Fence] = []
    outside: list[str] = []
    mark, tag, indent, body = "", "", 0, [""]
    for line in text.splitlines():
        match = _FENCE.match(line)
        if not mark:
            if match:
                mark, tag, indent, body = match.group(2), match.group(3).strip().lower(), len(match.group(1)), []
            else:
                outside.append(line)
        elif match and match.group(2).startswith(mark) and not match.group(3).strip():
            found.append(Fence(tag, "\n".join(body), closed=True))
            mark = ""
        else:
            body.append(line[min(indent, len(line) - len(line.lstrip(" "))) :])
    if mark:
        found.append(Fence(tag, "\n".join(body), closed=False))
    return found, "\n".join(outside)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text)
