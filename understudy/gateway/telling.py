"""What the tools of MCP tell, made to fit: beyond 16,000 characters clients cut results, or move them, as they like."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from understudy.gateway.delegation import Done, Refusal

MOST = 15_000  # characters of one result, in either of its forms
BESIDE = 1_000  # of those, for what is told beside the text of an answer
BESIDE_EACH = 260  # likewise, of each answer of several

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
    beside = {k: v for k, v in done.as_dict().items() if k not in ("text", "data")}
    answer = {"text": text} if done.data is None or rest else {"data": done.data}
    told = {**answer, **beside, **({"cut": rest} if rest else {})}
    return Telling("\n\n".join(part for part in (text, rest, done.footer) if part), told)


def tell_many(ended: Sequence[Done | Refusal], keep: Keep) -> Telling:
    """Several in their order; what all of them note is said once."""
    answers = [one for one in ended if isinstance(one, Done)]
    common = [note for note in answers[0].notes if all(note in one.notes for one in answers)] if answers else []
    room = MOST - BESIDE - BESIDE_EACH * len(ended)
    lengths = [len(whole_text(one)) if isinstance(one, Done) else len(one.words()) for one in ended]
    entries: list[dict[str, Any]] = []
    for one, share in zip(ended, shares(lengths, room), strict=True):
        if isinstance(one, Refusal):
            entries.append({"refused": {k: v for k, v in one.as_dict().items() if v not in (None, "")}})
            continue
        text, rest = _fitted(one, share, keep)
        entry: dict[str, Any] = {"text": text} if one.data is None or rest else {"data": one.data}
        entry |= {"reply_id": one.reply_id, "candidate": one.candidate, "tokens": one.tokens}
        notes = [note for note in one.notes if note not in common]
        entries.append(entry | ({"cut": rest} if rest else {}) | ({"notes": notes} if notes else {}))
    told = {
        "results": entries,
        "answered": len(answers),
        "refused": len(ended) - len(answers),
        "tokens": sum(one.tokens for one in answers),
        "director_tokens": sum(one.director_tokens for one in answers),
        "cost_usd": round(sum(one.cost_usd for one in answers), 6),
        "notes": common,
    }
    return Telling(json.dumps(told, ensure_ascii=False), told, failed=not answers)


def tell_object(told: dict[str, Any]) -> Telling:
    """What is one object anyway; a very large one loses its ends."""
    words = json.dumps(told, ensure_ascii=False, default=str)
    if len(words) <= MOST:
        return Telling(words, told)
    cut = f"{words[: MOST - BESIDE]}\n\n[Cut: these are {MOST - BESIDE:,} of {len(words):,} characters.]"
    return Telling(cut, {"cut": cut})


def tell_rest(reply_id: str, whole: str, offset: int) -> Telling:
    """A further piece of a long answer."""
    piece = whole[offset : offset + MOST - BESIDE]
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


def _fitted(done: Done, room: int, keep: Keep) -> tuple[str, str]:
    """(as much of it as there is room for, what is said of the rest)."""
    text = whole_text(done)
    if len(text) <= room:
        return text, ""
    where = keep(done.reply_id, text)
    found = f"the whole is in {where} for a day" if where else "the rest could not be kept: make smaller tasks"
    further = f", and explain {done.reply_id} with offset {room} goes on from here" if where else ""
    return text[:room], f"[Cut: {room:,} of {len(text):,} characters; {found}{further}.]"
