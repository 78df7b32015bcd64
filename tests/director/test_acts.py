"""What the director writes may be anything: it is read, or it is nothing."""

from __future__ import annotations

import pytest

from understudy.director.acts import read_guess, read_judgement, read_plan

HUGE = "1" + "0" * 400
HOSTILE = [
    "",
    "[" * 20_000,
    '{"a":' * 5_000,
    "{" * 20_000,
    f'{{"intent": "coding", "confidence": {HUGE}, "verdict": {HUGE}, "reason": {HUGE}, "steps": {HUGE}}}',
    '{"intent": "coding", "confidence": NaN, "verdict": [], "steps": [null]}',
    '{"intent": ["coding"], "confidence": "0.9x", "steps": {"a": 1}}',
    '{"intent": "private", "steps": [{"id": "a", "task": "x", "needs": ["a"]}, {"id": "b", "task": "y"}]}',
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_are_nothing(text: str) -> None:
    assert read_guess(text, "director") is None
    assert read_judgement(text).verdict == "unsure"
    assert read_plan(text) == ()
