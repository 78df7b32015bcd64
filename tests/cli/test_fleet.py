"""The table of who can work now, in words."""

from __future__ import annotations

import math

import pytest

from understudy.cli.fleet import in_words
from understudy.fleet.book import State
from understudy.fleet.depth import Queue


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State("d"), "ready"),
        (State("d", 8.0, "RPM: 30 of 30 used"), "RPM: 30 of 30 used, 8.0 s more"),
        (State("d", math.inf, "too large: TPM can never hold it"), "too large: TPM can never hold it"),
        (State("d", 8.0, "full", queue=Queue(1200, 90.0)), "full, 8.0 s more, 1,200 waiting for 90 s"),
        (State("d", queue=Queue(1, 2.0)), "ready, 1 waiting for 2.0 s"),
    ],
)  # fmt: skip
def test_a_state_in_words(state: State, words: str) -> None:
    assert in_words(state) == words
