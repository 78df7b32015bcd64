"""Values compare as values, whatever shortcut they take."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from understudy.types import Candidate, Limits

ONE = Candidate("p", "groq", "a", "m", limits=Limits())
OTHER = {"capabilities": frozenset({"tools"}), "limits": Limits(charged="input"), "tokens_per_minute": 5}


@pytest.mark.parametrize("name", [field.name for field in fields(Candidate)])
def test_candidates_that_differ_in_one_field_differ(name: str) -> None:
    value = getattr(ONE, name)
    changed = OTHER[name] if name in OTHER else not value if isinstance(value, bool) else value * 2 + type(value)(1)
    other = replace(ONE, **{name: changed})
    assert other != ONE
    assert replace(other, **{name: value}) == ONE
    assert hash(replace(other, **{name: value})) == hash(ONE)


def test_a_candidate_is_nothing_else() -> None:
    assert ONE != "p/a/m"
