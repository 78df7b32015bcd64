"""What the tools of MCP tell, made to fit: beyond 16,000 characters clients cut results, or move them, as they like."""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from understudy.gateway.delegation import Done, Refusal

MOST = 15_000  # characters of one result, in either of its forms
BESIDE = 1_000  # of those, for what is told beside the text of an answer
BESIDE_EACH = 260  # likewise, of each answer of several
SHORTEST = 100  # of why one of several was refused

Keep = Callable[[str, str], str | None]  # (reply id, whole text) -> where it is kept, if it is


@dataclass(frozen=True, slots=True)
class Telling:
    """In both forms a client may use: words, and an object."""

    words: str = field(repr=False)
    object: dict[str, Any] = field(repr=False)
    failed: bool = False


def tell_refusal(refusal: Refusal) -> Telling:
    return Telling(refusal.words(), {"refused": refusal.as_dict()}, failed=True)


def tell_done(done: Done, keep: Keep) -> Telling:
    """One answer; of a long one the beginning, and where the rest is."""
    text, rest = _fitted(done, MOST - BESIDE, keep)
    told = _entry(done, text, rest, done.notes)
    return Telling("\n\n".join(part for part in (text, rest, done.footer) if part), told)


def tell_many(ended: Sequence[Done | Refusal], keep: Keep) -> Telling:
    """Several in their order; what all of them note is said once."""
    answers = [one for one in ended if isinstance(one, Done)]
    common = [note for note in answers[0].notes if all(note in one.notes for one in answers)] if answers else []
    room = MOST - BESIDE - BESIDE_EACH * len(ended)
    lengths = [_size(whole_text(one) if isinstance(one, Done) else one.message) for one in ended]
    entries: list[dict[str, Any]] = []
    for one, share in zip(ended, shares(lengths, room), strict=True):
        if isinstance(one, Refusal):
            why = {**one.as_dict(), "message": _head(one.message, max(share, SHORTEST))}
            entries.append({"refused": {k: v for k, v in why.items() if v not in (None, "")}})
            continue
        text, rest = _fitted(one, share, keep)
        entries.append(_entry(one, text, rest, [note for note in one.notes if note not in common]))
    told = {
        "results": entries,
        "answered": len(answers),
        "refused": len(ended) - len(answers),
        "tokens": sum(one.tokens for one in answers),
        **({"notes": common} if common else {}),
    }
    return Telling(json.dumps(told, ensure_ascii=False), told, failed=not answers)


def _entry(done: Done, text: str, rest: str, notes: Sequence[str]) -> dict[str, Any]:
    """An answer as an object. A frontier model reads it and pays by the character: what is not so is left out."""
    told: dict[str, Any] = {"text": text} if done.data is None or rest else {"data": done.data}
    told |= {"reply_id": done.reply_id, "candidate": done.candidate, "tokens": done.tokens}
    beside = {
        "director_tokens": done.director_tokens,
        "cost_usd": round(done.cost_usd, 6),
        "private": done.private,
        "notes": list(notes),
        "cut": rest,
    }
    return told | {name: value for name, value in beside.items() if value}


def tell_object(told: dict[str, Any]) -> Telling:
    """What is one object anyway; a very large one loses its ends."""
    words = json.dumps(told, ensure_ascii=False, default=str)
    if len(words) <= MOST:
        return Telling(words, told)
    head = _head(words, MOST - BESIDE)
    cut = f"{head}\n\n[Cut: these are {len(head):,} of {len(words):,} characters.]"
    return Telling(cut, {"cut": cut})


def tell_rest(reply_id: str, whole: str, offset: int) -> Telling:
    """A further piece of a long answer."""
    piece = _head(whole[offset : offset + MOST], MOST - BESIDE)
    after = offset + len(piece)
    left = len(whole) - after
    more = f"{left:,} characters are left: explain {reply_id} with offset {after}." if left > 0 else "That is all."
    return Telling(f"{piece}\n\n[{more}]", {"text": piece, "reply_id": reply_id, "left": max(0, left)})


def whole_text(done: Done) -> str:
    """An answer as one text: its object as JSON, where there was a schema."""
    return done.text if done.data is None else json.dumps(done.data, ensure_ascii=False)


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each may stay: the short ones whole, the rest of the room divided evenly among the long ones."""
    given = [0] * len(lengths)
    left = max(0, room)
    for taken, index in enumerate(sorted(range(len(lengths)), key=lambda n: lengths[n])):
        given[index] = min(lengths[index], left // (len(lengths) - taken))
        left -= given[index]
    return given


def _size(text: str) -> int:
    """Its characters as JSON, which is the longer of the two forms."""
    return len(json.dumps(text, ensure_ascii=False)) - 2


def _head(text: str, room: int) -> str:
    """As much of its beginning as takes no more room."""
    head = text[:room]
    if _size(head) <= room:
        return head
    return head[: bisect(range(len(head) + 1), room, key=lambda length: _size(head[:length])) - 1]


def _fitted(done: Done, room: int, keep: Keep) -> tuple[str, str]:
    """(as much of it as there is room for, what is said of the rest)."""
    text = whole_text(done)
    head = _head(text, room)
    if head == text:
        return text, ""
    where = keep(done.reply_id, text)
    found = f"the whole is in {where} for a day" if where else "the rest could not be kept: make smaller tasks"
    further = f", and explain {done.reply_id} with offset {len(head)} goes on from here" if where else ""
    return head, f"[Cut: {len(head):,} of {len(text):,} characters; {found}{further}.]"
