"""An answer on its way out: the reply, under the name the client asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from understudy.types import Began, Reply, Usage

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Given:
    """known: ids of the tool calls the conversation has already; no other may have the same."""

    reply: Reply
    model: str
    created: int  # seconds since the epoch
    known: frozenset[str] = frozenset()
    _new: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def candidate(self) -> str:
        """Who gave the answer; the last of several."""
        return next((a.candidate for a in reversed(self.reply.attempts) if a.outcome == "ok"), "")

    @property
    def usage(self) -> Usage:
        """Of the call that gave the answer, as its provider counted it; of a plan, of all of them."""
        good = [a for a in self.reply.attempts if a.outcome == "ok"]
        if self.reply.answer is not None and self.reply.answer.usage.measured:
            return self.reply.answer.usage
        counted = good if self.reply.steps else good[-1:]
        return sum((Usage(a.input_tokens, a.output_tokens) for a in counted), Usage())

    @property
    def told(self) -> dict[str, Any]:
        """Its provenance in short; `understudy explain` has the rest."""
        reply = self.reply
        return {
            "reply_id": reply.id,
            "candidate": self.candidate,
            "policy": reply.policy_name,
            "sensitivity": str(reply.sensitivity.sensitivity),
            "attempts": len(reply.attempts),
            "notes": list(reply.notes),
        }

    @property
    def headers(self) -> dict[str, str]:
        return headers_of(Began(self.reply.id, self.candidate, self.reply.policy_name))

    def renamed(self, calls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same calls, each with an id no other in the conversation has: clients drop what has a known one."""
        return [{**call, "id": self.id_for(str(call.get("id") or ""), n)} for n, call in enumerate(calls)]

    def id_for(self, said: str, place: int) -> str:
        name = f"{place}:{said}"
        if name not in self._new:
            taken = self.known | set(self._new.values())
            self._new[name] = said if said and said not in taken else f"call_{secrets.token_hex(12)}"
        return self._new[name]


def headers_of(began: Began | None) -> dict[str, str]:
    """What an answer says in its head of who gives it."""
    if began is None:
        return {}
    told = {"reply-id": began.reply_id, "candidate": began.candidate, "policy": began.policy}
    return {f"x-understudy-{name}": value for name, value in told.items() if value}


def sse(data: object, event: str = "") -> bytes:
    """One server-sent event."""
    body = data if isinstance(data, bytes) else encode(data)
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + body + b"\n\n"
