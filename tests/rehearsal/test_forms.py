"""Simulated models obey the form they are asked for: whoever tries understudy without a key is not refused for it."""

from __future__ import annotations

import pytest

from understudy.director.validators import validate
from understudy.rehearsal.engine import Ask, answer
from understudy.types import Answer, Task

CHECKS = ("not_empty", "not_error", "not_truncated", "not_refusal", "language", "format", "length")


@pytest.mark.parametrize(
    "request_",
    [
        "Explain quantum computing in 3 bullet points",
        "List the planets as a numbered list",
        "Give me five bullets on tea",
        "Compare cats and dogs in a table",
        "Explain rain in two sentences.",
        "What is the colour of the sky? Answer in one word",
        "Is water wet? Answer yes or no",
        "Describe the sea in about 50 words",
        "Write a 100-word story about a fox",
        "Explain gravity",
        "hello",
        "Erkläre mir die Schwerkraft in drei Stichpunkten",
        "Tell me a joke",
        "Translate good morning into French",
        "Write a haiku about the sea",
    ],
)
async def test_the_form_is_kept(request_: str) -> None:
    said = answer(Ask("opus", request_)).text
    checks = await validate(Answer(said), Task(request_), CHECKS)
    assert [c for c in checks if not c.passed] == [], said
