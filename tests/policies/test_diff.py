"""Where two policies differ, in words."""

from __future__ import annotations

import json
from dataclasses import replace

from understudy.policies import lattice, registry
from understudy.policies.diff import changes, compare, for_which, group_to_dict
from understudy.types import Decision, Facts, Intent, Link, Sensitivity

V1 = registry.load("v1").decide
FACTS = Facts(Intent.CODING, 1.0, Sensitivity.PUBLIC, 10, fleet=lattice.FLEET)


def test_a_policy_does_not_differ_from_itself() -> None:
    for name in registry.RELEASED:
        decide = registry.load(name).decide
        found = compare(decide, decide, lattice.walk(whole=False))
        assert (found.differ, found.groups) == (0, ())
        assert found.looked > 1_000


def test_what_changes_is_said_and_words_that_explain_are_not() -> None:
    before = V1(FACTS)
    assert changes(before, replace(before, why="because"), FACTS) == ()
    links = tuple(Link(link.domain, "x") for link in before.chain)
    assert changes(before, replace(before, chain=links), FACTS) == ()
    swapped = (links[1], links[0], *links[2:])
    assert changes(before, replace(before, chain=swapped), FACTS) == (
        "first claude_code/opus -> groq/openai/gpt-oss-120b",
    )
    assert changes(before, replace(before, chain=(links[0], *links[:0:-1])), FACTS) == (
        "the same first, another order",
    )
    assert changes(before, replace(before, chain=links[:3]), FACTS) == ("the same first, others behind it",)
    assert changes(before, replace(before, chain=()), FACTS)[0] == "first claude_code/opus -> nobody"
    assert changes(before, replace(before, advice=2, checks=(*before.checks, "schema")), FACTS) == (
        "advice 0 -> 2",
        "checks with schema",
    )


def test_groups_say_for_which_facts() -> None:
    def other(facts: Facts) -> Decision:
        decision = V1(facts)
        if facts.intent is Intent.MEMORY and facts.has_schema:
            return replace(decision, output_cap=1)
        return decision

    found = compare(V1, other, lattice.walk(whole=False))
    told = {for_which(group, found.everywhere) for group in found.groups}
    assert all("memory" in words and "has_schema" in words for words in told)
    assert sum(group.count for group in found.groups) == found.differ > 0
    json.dumps([group_to_dict(group, found.everywhere) for group in found.groups])
    group = found.groups[0]
    assert other(group.example) == group.after != group.before == V1(group.example), "the example shows it"
