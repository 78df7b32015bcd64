"""Thresholds ask for their target on what they are chosen from; written examples with a kind are several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.classifiers import examples, training
from understudy.classifiers.local import INTENTS


def predictions(seed: int, rows: int = 240, sources: int = 3) -> list[training.Held]:
    """Scores that are right more often the surer they are."""
    dice = np.random.default_rng(seed)
    held = []
    for source in range(sources):
        truth = dice.integers(0, len(INTENTS), rows)
        scores = dice.normal(0, 1, (rows, len(INTENTS))).astype(np.float32)
        scores[np.arange(rows), truth] += dice.exponential(2.5, rows).astype(np.float32)
        held.append(training.Held(f"source{source}", truth, scores))
    return held


def answered(held: list[training.Held], temperature: float, thresholds: np.ndarray) -> tuple[float, float]:
    truth = np.concatenate([h.truth for h in held])
    chances = training.chances(np.concatenate([h.scores for h in held]), temperature)
    guessed = chances.argmax(axis=1)
    kept = chances.max(axis=1) >= thresholds[guessed]
    parts = 1 / training._cell_sizes(held)  # pyright: ignore[reportPrivateUsage]
    right = float((parts * (guessed == truth))[kept].sum() / parts[kept].sum())
    return float(kept.mean()), right


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.8, 0.9, 0.95]))
def test_what_is_answered_reaches_the_target(seed: int, target: float) -> None:
    held = predictions(seed)
    share, right = answered(held, *training.calibrate(held, target))
    assert right >= target - 1e-6
    assert share > 0.1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_a_higher_target_answers_less(seed: int) -> None:
    held = predictions(seed)
    low, high = training.calibrate(held, 0.85), training.calibrate(held, 0.97)
    assert low[0] == high[0]
    assert (low[1] <= high[1]).all()


def test_no_intent_lives_on_the_others_accuracy() -> None:
    """One intent is always guessed wrong with great certainty: alone it is held back."""
    held = predictions(3)
    bad = INTENTS.index(INTENTS[0])
    scores = held[0].scores.copy()
    wrong = held[0].truth != bad
    scores[np.flatnonzero(wrong)[:12]] = 0
    scores[np.flatnonzero(wrong)[:12], bad] = 9
    held[0] = training.Held("source0", held[0].truth, scores)
    _, thresholds = training.calibrate(held, 0.7)
    assert thresholds[bad] == thresholds.max() > thresholds.min()


def test_the_temperature_mends_scores_that_are_too_sure() -> None:
    held = predictions(5)
    loud = [training.Held(h.source, h.truth, h.scores * 3) for h in held]
    assert training.calibrate(loud)[0] > 2 * training.calibrate(held)[0]


def test_a_kind_makes_a_line_several_examples() -> None:
    made = [e for e in examples.read() if e.copies > 1]
    assert made
    lines: dict[tuple[object, ...], set[str]] = {}
    for example in made:
        lines.setdefault((example.intent, example.plain, example.number), set()).add(example.text)
        assert "{{" not in example.text
    assert all(1 < len(texts) <= examples.COPIES for texts in lines.values())
    assert len({e.held_out for e in made}) == 2


def test_copies_of_a_line_weigh_less_than_as_many_lines() -> None:
    weights = {row.weight for row in training.own_rows(held_out=False)}
    assert min(weights) == pytest.approx(examples.COPIES**-0.5) or min(weights) < 1
