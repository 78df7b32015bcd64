"""What to shrink, against every smaller shape there is."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.pipelines.reduction import counted_of, reductions
from understudy.pipelines.spec import DIMENSIONS, Shape
from understudy.pipelines.volume import counted

S0 = Shape(groups=4, runs=3, generations=10, agents=8, scenarios=60, turns=5, players=2, mutations=6)

shapes = st.builds(
    Shape,
    **{d: st.integers(1, 4) for d in DIMENSIONS if d != "mutations"},
    mutations=st.integers(0, 3),
)


@given(shape=shapes, share=st.floats(0.01, 1.2))
@settings(max_examples=200, deadline=None)
def test_none_that_fits_is_larger(shape: Shape, share: float) -> None:
    whole = counted(shape).calls
    most = max(1, int(whole * share))
    found = reductions(shape, most, {})
    if whole <= most:
        assert found == ()
        return
    floors = [
        n if d in ("turns", "players", "mutations") else min(2, n) if d == "groups" else 1
        for d, n in ((d, getattr(shape, d)) for d in DIMENSIONS)
    ]
    ranges = (range(low, getattr(shape, d) + 1) for d, low in zip(DIMENSIONS, floors, strict=True))
    fitting = [n for values in product(*ranges) if (n := counted_of(values)) <= most]
    assert max((r.calls for r in found), default=0) == max(fitting, default=0)
    for reduction in found:
        assert reduction.calls <= most
        small = {d: reduction.changes.get(d, (0, getattr(shape, d)))[1] for d in DIMENSIONS}
        assert counted_of(tuple(small.values())) == reduction.calls
        assert all(low <= small[d] for d, low in zip(DIMENSIONS, floors, strict=True))


def test_the_volume_of_the_founding_plan() -> None:
    volume = counted(S0)
    assert [calls for _, _, calls in volume.steps] == [4806, 48_060, 12, 576_720]
    assert volume.calls == 576_720


def test_the_minimal_campaign_fits_where_it_is_the_smallest_allowed() -> None:
    small = {"groups": 2, "generations": 5, "agents": 4, "scenarios": 20, "mutations": 0}
    found = reductions(S0, 8_000, small)
    changes = {d: new for d, (_, new) in found[0].changes.items()}
    assert (found[0].calls, changes) == (8_000, {**small, "runs": 1})
    assert reductions(S0, 7_999, small) == ()


def test_one_dimension_alone() -> None:
    alone = {r.how: r for r in reductions(S0, 300_000, {})}
    assert dict(alone["scenarios alone"].changes) == {"scenarios": (60, 31)}
    assert dict(alone["groups alone"].changes) == {"groups": (4, 2)}
    assert "players alone" not in alone


def test_a_large_shape_does_not_take_long() -> None:
    huge = Shape(groups=50, runs=40, generations=500, agents=300, scenarios=1_000)
    found = reductions(huge, 10**9, {})
    assert found[0].calls > 0.99 * 10**9
