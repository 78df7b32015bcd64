"""The rules by which an answer is thought right: what agrees with what, and what a sign is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.classifiers.confidence import (
    Estimate,
    agreement,
    curved,
    of_logprob,
    of_self_score,
    same,
    wrong_with,
)
from understudy.types import Confidence


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "The answer is 42."),
        ("So 6 x 7 = 42.\n#### 42", "6 times 7 gives 42, so the answer is 42."),
        ("$1,250", "1250"),
        ("B", "The answer is (B)."),
        ("(c)", "C"),
        ("Paris", "Paris, France"),
        ("It is the Eiffel Tower.", "The Eiffel Tower"),
        ('{"a": 1, "b": 2}', '```json\n{"b": 2, "a": 1}\n```'),
    ],
)
def test_the_same_answer_in_other_words(one: str, other: str) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "The answer is 41."),
        ("So 6 x 7 = 42.\n#### 42", "6 times 7 gives 42, so the answer is 43."),
        ("B", "The answer is (C)."),
        ("Paris", "Lyon"),
        ("It is true.", "It is not true."),
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', "a is 1"),
    ],
)
def test_another_answer(one: str, other: str) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_three_that_agree_are_surer_than_two() -> None:
    assert agreement("7", ["7", "7"]) == pytest.approx(0.8)
    assert agreement("7", ["7", "8"]) == pytest.approx(0.6)
    assert agreement("7", ["8", "9"]) == pytest.approx(0.4)
    assert agreement("7", ["7"]) == pytest.approx(0.75)


def test_the_gate_of_the_small_model_of_the_rehearsal() -> None:
    """Mean log-probability -0.2 keeps what it knows; of what it does not know the surest was -0.34."""
    assert of_logprob(-0.001) > of_logprob(-0.2) > 0.8 > of_logprob(-0.34)


@pytest.mark.parametrize(("said", "chance"), [("9", 10 / 11), (" 0.", 1 / 11), ("Score: 5", 6 / 11)])
def test_a_digit_is_drawn_in_from_the_ends(said: str, chance: float) -> None:
    assert of_self_score(said) == pytest.approx(chance)


@pytest.mark.parametrize("said", ["", "very sure", "100", "0.9", "9.5"])
def test_what_is_no_digit_says_nothing(said: str) -> None:
    assert of_self_score(said) is None


def test_a_policys_own_curve_is_laid_over_its_estimator_alone() -> None:
    wish = Confidence(("logprobs", "samples"), curves=(("logprobs", ((0.5, 0.1), (1.0, 0.5))),))
    assert curved(Estimate(0.75, "logprobs"), wish).probability == pytest.approx(0.3)
    assert curved(Estimate(0.75, "samples"), wish).probability == 0.75
    assert not wrong_with(wish)


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=5))
def test_any_text_gives_a_probability(answer: str, others: list[str]) -> None:
    assert 0 < agreement(answer, others) < 1
    assert same(answer, answer) or not answer.strip(" \t\r\n\f\v") or not any(c.isalnum() for c in answer)
