"""RouteLLM's metrics against cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.classifiers import recovery
from understudy.classifiers.recovery import Curve, Pair

TEN = Pair(np.array([0.0] * 5 + [1.0] * 5), np.ones(10))  # the weak model fails the first half


def test_a_perfect_ranking_recovers_everything_at_half_of_the_calls() -> None:
    curve = recovery.routed(TEN, np.arange(10, 0, -1).astype(float))
    assert curve.recovered.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])
    assert curve.area == pytest.approx(0.75)
    assert curve.reaches(0.5) == pytest.approx(0.25)
    assert curve.reaches(0.8) == pytest.approx(0.4)
    assert curve.area == pytest.approx(recovery.oracle(TEN).area)


def test_the_opposite_ranking_recovers_the_rest() -> None:
    assert recovery.routed(TEN, np.arange(10).astype(float)).area == pytest.approx(0.25)


def test_equal_scores_are_a_random_router() -> None:
    assert recovery.routed(TEN, np.zeros(10)).area == pytest.approx(0.5) == recovery.random(TEN).area


def test_the_oracle_never_takes_a_loss() -> None:
    pair = Pair(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.0]))
    assert recovery.oracle(pair).recovered[-1] == pytest.approx(2.0)  # 2 gained, where all strong gains 1
    assert recovery.routed(pair, np.arange(4).astype(float)).recovered[-1] == pytest.approx(1.0)


def test_what_is_never_reached_has_no_threshold() -> None:
    assert Curve(recovery.STEPS, recovery.STEPS / 2).reaches(0.8) is None


def test_no_gap_is_no_metric() -> None:
    with pytest.raises(ValueError, match="gap"):
        recovery.routed(Pair(np.ones(3), np.ones(3)), np.zeros(3))


def test_over_money_a_router_that_chooses_before_stands_where_it_stands_over_calls() -> None:
    scores = np.arange(10, 0, -1).astype(float)
    assert recovery.routed_by_cost(TEN, scores, ratio=0.1).area == pytest.approx(recovery.routed(TEN, scores).area)


def test_every_sample_is_paid_for() -> None:
    """At a tenth of the price, one sample costs 0.1 a prompt: 0.45 more recovers what 0.45 of the calls do."""
    scores = np.arange(10, 0, -1).astype(float)
    one = recovery.routed_by_cost(TEN, scores, ratio=0.1, samples=1)
    three = recovery.routed_by_cost(TEN, scores, ratio=0.1, samples=3)
    assert one.recovered[5] == pytest.approx(0.9)  # spent 0.55, of it 0.1 on the sample
    assert three.recovered[5] == pytest.approx(0.5)
    assert three.recovered[2] == 0.0  # 0.28 to spend, and the samples cost 0.3
    assert recovery.routed_by_cost(TEN, scores, ratio=0.1, samples=20).area == 0.0


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.floats(-5, 5, allow_nan=False)), min_size=3, max_size=60
    ).filter(lambda rows: sum(s - w for w, s, _ in rows) > 0)
)
def test_no_ranking_beats_the_oracle_and_all_end_where_the_strong_model_is(
    rows: list[tuple[bool, bool, float]],
) -> None:
    weak, strong, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    pair = Pair(weak, strong)
    curve = recovery.routed(pair, scores)
    assert curve.recovered[0] == pytest.approx(0.0)
    assert curve.recovered[-1] == pytest.approx(1.0)
    assert (curve.recovered <= recovery.oracle(pair).recovered + 1e-9).all()
