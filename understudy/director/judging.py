"""Judging an answer: a cheap model first, the director when that one is unsure."""

from __future__ import annotations

from understudy.director.acts import JUDGE, read_judgement
from understudy.director.brain import ask, ask_director, question
from understudy.director.decided import Decided
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.types import Candidate, Check, Role


async def judge(
    parts: Parts, trail: Trail, decided: Decided, answer: str, author: Candidate | None
) -> tuple[Check, ...]:
    """A cheap model first, the director when that one is unsure. Nobody sure: nothing is claimed."""
    text = f"TASK:\n{decided.task.text}\n\nANSWER:\n{answer}"
    call = question(JUDGE, text, parts, decided.verdict.sensitivity, Role.JUDGE)
    cheap = cheap_judge(parts, decided, author)
    said = await ask(parts, trail, cheap, call, directs=False) if cheap else None
    judgement = read_judgement(said or "")
    by = "judge"
    if judgement.verdict == "unsure" and decided.decision.judge == "director":
        judgement = read_judgement(await ask_director(parts, trail, call) or "")
        by = "director"
    if judgement.verdict == "unsure":
        return ()
    return (Check(by, judgement.verdict == "accept", judgement.reason),)


def cheap_judge(parts: Parts, decided: Decided, author: Candidate | None) -> Candidate | None:
    """The fastest free candidate that did not write the answer and may see the task."""
    private = decided.private
    director = parts.find(parts.settings.director.candidate)
    able = [
        c
        for c in parts.fleet
        if c.free and (c.local or not private) and c not in (author, director) and c.kind != "claude_code"
    ]
    return max(able, key=lambda c: c.speed, default=None)
