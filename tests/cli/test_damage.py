"""Records that lost a part of theirs: shown as damaged, never told as a bug."""

from __future__ import annotations

import pytest

from understudy.cli.looking import explanation, replies_table
from understudy.errors import StoreError

DAMAGED = {
    "attempt": {"id": "r-1", "time": 1.0, "attempts": [{"candidate": "a/b"}]},
    "intent": {"id": "r-1", "time": 1.0, "attempts": [], "intent": {"name": "coding"}},
    "tokens": {"id": "r-1", "time": 1.0, "attempts": [], "tokens": {"total": "many"}},
    "steps": {"id": "r-1", "time": 1.0, "attempts": [], "steps": 5},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_record_without_a_part_is_a_damaged_one(name: str) -> None:
    with pytest.raises(StoreError, match="r-1"):
        explanation(DAMAGED[name])


def test_a_list_shows_the_sound_ones_beside_it() -> None:
    shown = replies_table((DAMAGED["attempt"], {"id": "r-2", "time": 2.0, "attempts": []}))
    assert "damaged" in shown
    assert "r-2" in shown
