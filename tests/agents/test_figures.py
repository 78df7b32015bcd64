"""What is told of a candidate, and from where."""

from __future__ import annotations

from typing import Any

from understudy.agents.figures import Figures, figures_of
from understudy.agents.roster import roster
from understudy.config.load import parse
from understudy.types import Candidate


async def told(**provider: Any) -> tuple[Candidate, Figures]:
    settings = parse({"providers": {"p": provider}}, "test")
    candidate = (await roster(settings)).candidates[0]
    return candidate, figures_of(candidate, settings)


KEYS = [{"keys": ["env:UNDERSTUDY_TEST_KEY"]}]


def source(figures: Figures, of: str) -> tuple[str, str]:
    return next(((s.text, s.dated) for s in figures.sources if s.figures == of), ("", ""))


async def test_the_catalogues_word() -> None:
    _, said = await told(kind="gemini", accounts=KEYS, models=[{"id": "gemini-2.5-pro"}])
    assert said.modalities == ("text", "image", "audio", "video")
    assert said.ratings == {"reasoning": 95, "coding": 95, "multilingual": 75}
    assert said.dated == "2026-10"
    assert "free tier" in source(said, "limits")[0]
    assert "genai-prices" in source(said, "prices")[0]


async def test_the_users_word_goes_before_it() -> None:
    model = {
        "id": "qwen3-32b",
        "ratings": {"coding": 7},
        "strengths": ["patience"],
        "modalities": ["text", "image"],
        "limits": {"rpm": 5},
        "input_usd": 1,
        "output_usd": 2,
        "context": 9000,
        "dated": "2026-01-02",
    }
    candidate, said = await told(kind="groq", accounts=KEYS, models=[model])
    assert candidate.model == "qwen/qwen3-32b"
    assert said.ratings == {"coding": 7}
    assert (said.strengths, said.modalities) == (("patience",), ("text", "image"))
    for figures in ("limits", "prices", "context"):
        assert source(said, figures) == ("the configuration", "2026-01-02")
    assert "Groq" in source(said, "capabilities")[0]
    assert said.dated == "2026-01-02"


async def test_windows_a_paid_plan_does_not_have_have_no_source() -> None:
    _, said = await told(kind="groq", accounts=KEYS, free=False, models=[{"id": "qwen3-32b"}])
    assert source(said, "limits") == ("", "")


async def test_what_is_rehearsed_is_the_scripts_word() -> None:
    _, said = await told(kind="rehearsal", plays="groq")
    assert source(said, "limits") == ("the rehearsal's script", "")
    _, said = await told(kind="rehearsal", plays="local", models=[{"id": "ministral-3b", "vram_gb": 3}])
    assert (said.vram_gb, said.strengths) == (3, ("summarization", "memory"))


async def test_a_claude_model_belongs_to_its_line() -> None:
    import sys

    candidate, said = await told(kind="claude_code", command=[sys.executable], models=[{"id": "claude-haiku-5-5"}])
    assert candidate.quality == 82
    assert "CLI" in source(said, "prices")[0]


async def test_nothing_is_known_of_a_stranger() -> None:
    _, said = await told(kind="groq", accounts=KEYS, models=[{"id": "brand-new"}])
    assert (said.sources, said.dated, said.ratings) == ((), None, {})
