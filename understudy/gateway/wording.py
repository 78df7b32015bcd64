"""Remedies in the words of whoever asked: an option of the command line is no help to a program behind a wire."""

from __future__ import annotations

from typing import Literal

Wire = Literal["http", "tool"]

# What a terminal is told; over HTTP; to a model that calls a tool.
_PHRASES = (
    ("more time: --deadline.", "more time: X-Understudy-Deadline, in seconds.", "more time: deadline, in seconds."),
    ("more time (--deadline)", "more time (X-Understudy-Deadline)", "more time (deadline)"),
    ("tokens: --max-tokens.", "tokens: max_tokens.", "tokens: say in the task that the answer is to be shorter."),
    ("ask for --quality best.", "name another model: GET /v1/models lists them.", "do this part yourself."),
    ("understudy models lists them.", "GET /v1/models lists them.", "fleet lists them."),
    ("GET /v1/models and understudy models say", "GET /v1/models says", "fleet says"),
    ("understudy explain with no id lists the last ones.", "Each answer has its id.", "Each answer names its id."),
)


def worded(remedy: str, wire: Wire) -> str:
    """The same advice, for who is at the other end of this wire."""
    place = 1 if wire == "http" else 2
    for phrase in _PHRASES:
        remedy = remedy.replace(phrase[0], phrase[place])
    return remedy
