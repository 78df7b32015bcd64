"""The cases beside each policy, and what a wrong case says."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.errors import ConfigError
from understudy.policies import cases, registry


@pytest.mark.parametrize("name", registry.RELEASED)
def test_every_released_policy_has_cases_and_keeps_them(name: str) -> None:
    policy = registry.load(name)
    known = cases.cases_of(policy)
    assert len(known) >= 3
    assert any("private" in case.name for case in known)
    assert {case.name: cases.differences(case, policy.decide) for case in known} == {case.name: () for case in known}


def test_a_case_that_fails_says_where() -> None:
    (case,) = cases.read('[[case]]\nfacts = { intent = "coding" }\nfirst = "gpu/ministral-3b"\nplan = true\n', "x")
    assert cases.differences(case, registry.load("v1").decide) == (
        "first is 'claude_code/opus', expected 'gpu/ministral-3b'",
        "plan is False, expected True",
    )


def test_cases_beside_one_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "house.toml").write_text('base = "v1"\n')
    assert cases.cases_of(registry.load(str(tmp_path / "house.toml"))) == ()
    (tmp_path / "house.cases.toml").write_text('[[case]]\nname = "a"\nfacts = { intent = "coding" }\nadvice = 0\n')
    (case,) = cases.cases_of(registry.load(str(tmp_path / "house.toml")))
    assert case.name == "a"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("case = 5", r"\[\[case\]\]"),
        ("[[case]", "TOML"),
        ("[[case]]", "intent"),
        ('[[case]]\nfacts = { intent = "codin" }', "codin"),
        ('[[case]]\nfacts = { intent = "coding", tokens = 5 }', "no fact tokens"),
        ('[[case]]\nfacts = { intent = "coding" }\nfleet = ["groq/gpt-9"]', "groq/gpt-9 is not in the fleet"),
        ('[[case]]\nfacts = { intent = "coding" }\nfirts = "x"', "unknown key firts"),
        ('[[case]]\nfacts = { intent = "coding" }\nstandings = [{ wait = 5 }]', "candidate"),
    ],
)
def test_a_wrong_case_is_named(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        cases.read(text, "x.cases.toml")
