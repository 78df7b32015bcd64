"""Every released policy: what it owes for all facts, what pins it, what it may import."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.agents.specialists import specialists
from understudy.director.validators import validators
from understudy.policies import check, lattice, registry, vocabulary
from understudy.types import Decision, Facts, Intent, Link, Quality, Sensitivity

ROOM = Path(registry.__file__).parent
PINNED = {
    "v1": "45b278632081e972",
    "v2": "0ff83307e598c06c",
    "advisor": "029a3e3da9bf394b",
    "phase1": "2337a948c420b61f",
    "phase2": "8f3315e265d694d9",
    "phase3": "9cada6846eba010a",
    "orchestra": "1bab0bf198c6ec43",
    "control": "cf796ef92466b739",
}


def test_released_policies_never_change() -> None:
    assert {name: registry.load(name).hash for name in registry.RELEASED} == PINNED


def test_what_lies_under_every_table_never_changes() -> None:
    assert registry.source_hash("laid") == "e2eadb215ad6ebaa"


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten seconds of work each, where other work leaves them
@pytest.mark.parametrize("name", registry.RELEASED)
def test_the_whole_fact_space(name: str) -> None:
    """Total, private work local only, nobody twice or unknown, caps positive: for every fact, not for a sample."""
    found, count = check.first_violation(registry.load(name).decide, lattice.walk())
    assert found is None, (found.rule, found.what, check.in_words(found.facts))
    assert count > 60_000


@pytest.mark.parametrize("name", [*registry.RELEASED, registry.NAMED])
def test_the_same_facts_decide_the_same(name: str) -> None:
    decide = registry.load(name).decide
    if name == registry.NAMED:
        assert all(decide(facts) == decide(facts) for facts in lattice.walk(whole=False))
        return
    found, _ = check.first_violation(decide, lattice.walk(whole=False), twice=True)
    assert found is None


def test_a_private_task_leaves_by_no_policy_and_no_agent() -> None:
    for name in registry.RELEASED:
        decide = registry.load(name).decide
        for facts in lattice.walk(whole=False):
            if facts.sensitivity is Sensitivity.PRIVATE:
                local = {c.domain for c in facts.fleet if c.local}
                assert {link.domain for link in decide(facts).chain} <= local, name


@pytest.mark.parametrize(
    "file", [f"{name}.py" for name in (*registry.RELEASED, "named", "handing", "laid") if name not in registry.TABLES]
)
def test_a_policy_imports_the_vocabulary_alone(file: str) -> None:
    allowed = {"__future__", "collections.abc", "dataclasses", "understudy.types"}
    found = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse((ROOM / file).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert found <= allowed


def test_the_words_are_those_of_the_rooms_that_own_them() -> None:
    assert set(vocabulary.AGENTS) == set(specialists())
    assert set(vocabulary.CHECKS) == set(validators())


GOOD = registry.load("v1").decide
CLOUD = Link(lattice.GROQ_8B.domain, "x")


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("private", lambda d, f: replace(d, chain=(*d.chain, CLOUD)) if f.sensitivity == "private" else d),
        ("known", lambda d, f: replace(d, chain=(*d.chain, Link("who/is/this", "x")))),
        ("once", lambda d, f: replace(d, chain=(*d.chain, *d.chain[:1]))),
        ("answered", lambda d, f: replace(d, chain=()) if f.intent is Intent.MEMORY else d),
        ("caps", lambda d, f: replace(d, output_cap=0) if f.quality is Quality.BEST else d),
        ("caps", lambda d, f: replace(d, output_cap=4096)),
        ("caps", lambda d, f: replace(d, max_attempts=0)),
        ("caps", lambda d, f: replace(d, deadline=f.deadline + 1)),
        ("caps", lambda d, f: replace(d, advice=99)),
        ("caps", lambda d, f: replace(d, propensity=0.0)),
        ("checks", lambda d, f: replace(d, checks=("not_empty",))),
        ("checks", lambda d, f: replace(d, checks=(*d.checks, "is_nice"))),
        ("agent", lambda d, f: replace(d, agent="genius")),
        ("agent", lambda d, f: replace(d, agent="quick")),
        ("judge", lambda d, f: replace(d, judge="crowd")),
        ("total", lambda d, f: None),
        ("total", lambda d, f: d.nothing),
    ],
)
def test_a_broken_rule_is_found(rule: str, spoil) -> None:
    found, _ = check.first_violation(lambda facts: spoil(GOOD(facts), facts), lattice.walk(whole=False))
    assert found is not None
    assert found.rule == rule
    assert check.in_words(found.facts)


def test_a_policy_that_remembers_is_found() -> None:
    asked: list[Facts] = []

    def decide(facts: Facts) -> Decision:
        asked.append(facts)
        return replace(GOOD(facts), plan=len(asked) > 1_000)

    found, _ = check.first_violation(decide, lattice.walk(whole=False), twice=True)
    assert found is not None
    assert found.rule == "deterministic"
