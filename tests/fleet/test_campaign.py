"""The book against servers that enforce their windows: no 429 of our own making, and no time lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet.servers import Campaign

SHAPES = ("fixed", "bucket", "rolling")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("catalogue", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("used", [0, 20])
def test_with_headers_nothing_is_refused_and_no_time_is_lost(shape: str, catalogue: float, used: int) -> None:
    campaign = Campaign(shape=shape, catalogue=catalogue, used=used).run()  # type: ignore[arg-type]
    assert campaign.answered == 600
    assert campaign.refused == 0
    assert campaign.span <= 1.05 * campaign.least


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("headers", ["left", "none"])
def test_without_a_reset_the_right_catalogue_is_enough(shape: str, headers: str) -> None:
    campaign = Campaign(shape=shape, headers=headers).run()  # type: ignore[arg-type]
    assert campaign.refused == 0


@pytest.mark.parametrize("shape", ["fixed", "rolling"])
def test_without_headers_a_wrong_catalogue_costs_one_refusal_a_domain(shape: str) -> None:
    for catalogue in (0.5, 2.0):
        assert Campaign(shape=shape, headers="none", catalogue=catalogue).run().refused <= 3  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    headers=st.sampled_from(["full", "left"]),
    phase=st.floats(0, 0.99),
    seconds=st.sampled_from([5.0, 10.0, 60.0]),
    latency=st.sampled_from([0.02, 0.1, 0.5]),
    at_once=st.sampled_from([1, 8, 48]),
    used=st.integers(0, 25),
    seed=st.integers(0, 1000),
)
def test_whatever_the_server_it_is_never_overrun(
    *,
    shape: str,
    headers: str,
    phase: float,
    seconds: float,
    latency: float,
    at_once: int,
    used: int,
    seed: int,
) -> None:
    campaign = Campaign(
        shape=shape,  # type: ignore[arg-type]
        headers=headers,
        phase=phase,
        seconds=seconds,
        latency=latency,
        at_once=at_once,
        used=used,
        seed=seed,
        calls=240,
    ).run()
    assert campaign.answered == 240
    assert campaign.refused <= 1  # one example in about a thousand earns one
