"""The isotonic calibration: it rises, stays a probability, and says what the rows say."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.classifiers.calibration import isotonic


@given(st.lists(st.tuples(st.floats(-10, 10, allow_nan=False), st.booleans()), min_size=1, max_size=80))
def test_it_never_falls_and_never_claims_to_be_certain(rows: list[tuple[float, bool]]) -> None:
    chance = isotonic((s, float(r)) for s, r in rows)
    found = [chance(s / 4) for s in range(-44, 45)]
    assert all(a <= b + 1e-9 for a, b in pairwise(found))
    assert 0 < found[0] <= found[-1] < 1


def test_it_says_how_often_such_a_score_was_right() -> None:
    drawn = random.Random(3)
    rows = [(s, float(drawn.random() < s)) for s in (drawn.random() for _ in range(4000))]
    chance = isotonic(rows)
    assert all(abs(chance(s) - s) < 0.08 for s in (0.1, 0.3, 0.5, 0.7, 0.9))


def test_nothing_is_no_calibration() -> None:
    with pytest.raises(ValueError, match="nothing"):
        isotonic([])
