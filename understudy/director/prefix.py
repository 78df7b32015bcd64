"""The beginning of an answer that passes on while it is written: held back while it may be an error in disguise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from understudy.types import Began, Piece

HELD = 400  # characters; an error message that is the whole answer is shorter
# How errors, error pages and notices of providers, proxies and sockets begin; few answers do.
_STARTS = """
{|[|<|(|data:|error|exception|traceback|upstream|http|400|401|402|403|404|408|409|413|422|429|500|502|503|504|520|521
522|523|524|525|529|530|13 |14 |rate limit|rate-limit|rate_limit|rate exceeded|ratelimit|quota|insufficient|credit
out of credit|invalid|unauthor|forbidden|access denied|too many|internal|bad gateway|gateway|service|request|you
the model|the service|the server|the operation|the response|the request|the security token|the credit|the user
this model|this organization|this request|that model|model |sorry|api|claude|5-hour|no healthy|no route|no cluster
no endpoint|no allowed|no model|no deployment|no api|stream |stream_|connect|timeout|timed out|deadline|resource
throttl|rbac|jwt |bedrock|user: |payment|provider|all providers|all models|all deployments|key|free tier|free-
daily limit|daily request|trial tier|please top|please recharge|please add|please run|curl|rpc error|socket|typeerror
getaddrinfo|read econn|cuda|ggml|failed|failure|llama runner|fault filter|fastly|application error|an error|an invalid
an unexpected|local_rate|endpoint|function_invoc|modeltimeout|modelnot|modelerror|accessdenied|validationexc|expired
openai|groq|litellm|anthropic|gemini|azure|overloaded|not logged|missing|incorrect api|prompt is too|context length
network error|unknown error|something went|origin |usage limit|session limit|weekly limit|max retries|billing
loading model|task timed|authentication|account|reset reason|backend|guru|disconnect|net::|not found|not authenticated
"""
_BEGINS = tuple(start for line in _STARTS.split("\n") for start in line.split("|") if start)


def may_be_an_error(text: str) -> bool:
    """Whether an error may begin so, or with more of it: half a word tells nothing yet."""
    begun = text.lstrip(" \t\r\n\"'`*")[:20].lower()
    return any(begun.startswith(start) or start.startswith(begun) for start in _BEGINS)


@dataclass(slots=True)
class Prefix:
    """Between a worker and a reader. What it has let pass cannot be taken back: released says so."""

    told: Callable[[Piece], None]
    began: Began | None = None  # told with the first piece
    released: bool = False
    _held: list[Piece] = field(default_factory=list[Piece])

    def hear(self, piece: Piece) -> None:
        if self.released:
            self.told(piece)
            return
        self._held.append(piece)
        text = "".join(held.text for held in self._held)
        if len(text) >= HELD or (text.strip() and not may_be_an_error(text)):
            self.end()

    def end(self) -> None:
        """What is held back is good: the answer was accepted, or is too long to be an error."""
        self.released = True
        for piece in self._held:
            began, self.began = self.began, None
            self.told(piece if began is None else replace(piece, began=began))
        self._held.clear()

    def forget(self) -> None:
        """The answer it began was none; another's may begin."""
        self._held.clear()
