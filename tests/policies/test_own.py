"""A policy of the user's own: found by path or entry point, refused with its line, sealed for facts never tried."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from understudy.errors import ConfigError, UsageError
from understudy.policies import lattice, own, registry
from understudy.types import Facts, Intent, Quality, Sensitivity

GOOD = '''"""The largest first."""
from __future__ import annotations

from dataclasses import dataclass

from understudy.types import Decision, Facts, Link, Sensitivity

NAME = "mine"


@dataclass(frozen=True)
class Cap:
    tokens: int


def decide(facts: Facts) -> Decision:
    fleet = [c for c in facts.fleet if c.local or facts.sensitivity is not Sensitivity.PRIVATE]
    checks = ("not_empty", "not_error", "schema") if facts.has_schema else ("not_empty", "not_error")
    cap = Cap(1000).tokens
    return Decision(
        agent=facts.agent or "quick",
        chain=tuple(Link(c.domain, "mine") for c in sorted(fleet, key=lambda c: -c.quality)),
        checks=checks,
        output_cap=min(cap, facts.max_tokens or cap),
        max_attempts=3,
        deadline=facts.deadline,
    )
'''


@pytest.fixture(autouse=True)
def forget():
    registry.forget()
    yield
    registry.forget()


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    place = folder / name
    place.write_text(text)
    return str(place)


def test_a_module_by_its_path(tmp_path: Path) -> None:
    policy = registry.load(write(tmp_path, GOOD))
    assert (policy.name, policy.own, policy.about) == ("mine", True, "The largest first")
    facts = Facts(Intent.CODING, 1.0, Sensitivity.PUBLIC, 10, fleet=lattice.FLEET)
    assert policy.decide(facts).chain[0].domain == lattice.OPUS.domain
    other = write(tmp_path, GOOD.replace("1000", "1001"))
    registry.forget()
    assert registry.load(other).hash != policy.hash, "the hash is that of the source"


def test_a_handed_conversation_stays_with_who_answered_it(tmp_path: Path) -> None:
    policy = registry.load(write(tmp_path, GOOD))
    facts = Facts(
        Intent.CODING, 1.0, Sensitivity.PUBLIC, 10, fleet=lattice.FLEET, handed=True, sticky=lattice.GROQ_8B.domain
    )
    assert policy.decide(facts).chain[0].domain == lattice.GROQ_8B.domain


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (("from dataclasses import dataclass", "import random"), 4, "imports random"),
        (("from dataclasses import dataclass", "from time import time"), 4, "imports time"),
        (("from dataclasses import dataclass", "from understudy.config import load"), 4, "imports understudy.config"),
        (("from dataclasses import dataclass", "from . import v1"), 4, "imports ."),
        (("cap = Cap(1000).tokens", "cap = int(open('cap').read())"), 19, "open"),
        (("cap = Cap(1000).tokens", "cap = abs(hash(facts.agent))"), 19, "hash"),
        (("cap = Cap(1000).tokens", "cap = facts.__class__"), 19, "__class__"),
        (("cap = Cap(1000).tokens", "global CAP"), 19, "from one decision to the next"),
        (("cap = Cap(1000).tokens", "cap = ("), 1, "not Python"),
        (("cap = Cap(1000).tokens", "cap = 1 // 0"), 19, "ZeroDivisionError"),
        (('NAME = "mine"', "NAME = 5"), 8, "NAME"),
        (('NAME = "mine"', 'NAME = "My Policy"'), 8, "NAME"),
        (('NAME = "mine"', 'NAME = "mine"\nCAP = 1 // 0'), 9, "ZeroDivisionError"),
        (("def decide(", "def decided("), 1, "decide"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, what: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError) as refused:
        registry.load(path)
    assert what in refused.value.message
    assert "mine.py, line " in refused.value.message
    assert line == 1 or f"line {line}:" in refused.value.message
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("if c.local or facts.sensitivity is not Sensitivity.PRIVATE", ""), "private"),
        (("facts.sensitivity is not S", "facts.has_tools or facts.sensitivity is not S"), "private"),
        (("if c.local or facts", "if facts.intent != 'memory' and c.local or facts"), "answered"),
        (('"schema") if facts.has_schema', '"format") if facts.has_schema'), "checks"),
        (("max_attempts=3", "max_attempts=0"), "caps"),
        (("deadline=facts.deadline", "deadline=60.0"), "caps"),
        (("min(cap, facts.max_tokens or cap)", "cap"), "caps"),
        (("facts.agent or", ""), "agent"),
        (("cap = Cap(1000).tokens", "cap = 1000 if facts.input_tokens != 123456 else 0"), "caps"),
        (("cap = Cap(1000).tokens", "cap = 1000 if facts.deadline > 47.5 else 0"), "caps"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_refused_on_loading(tmp_path: Path, change: tuple[str, str], rule: str) -> None:
    """Also behind a threshold that only the source knows."""
    text = GOOD.replace(*change)
    assert text != GOOD
    with pytest.raises(ConfigError, match=rf"\({rule}\)"):
        registry.load(write(tmp_path, text))


def test_one_that_counts_its_calls_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace('NAME = "mine"', 'NAME = "mine"\nSEEN = []').replace(
        "    cap = Cap(1000).tokens", "    SEEN.append(1)\n    cap = 1000 + len(SEEN) % 7"
    )
    with pytest.raises(ConfigError, match="deterministic"):
        registry.load(write(tmp_path, text))


def test_what_was_not_tried_is_sealed_all_the_same(tmp_path: Path) -> None:
    """A private task in a fleet nobody thought of: refused when it is decided, before anything is sent."""
    text = GOOD.replace(
        "facts.sensitivity is not Sensitivity.PRIVATE",
        "facts.sensitivity is not Sensitivity.PRIVATE or c.provider == 'somewhere'",
    )
    policy = registry.load(write(tmp_path, text))
    from dataclasses import replace

    stray = replace(lattice.GROQ_8B, provider="somewhere")
    facts = Facts(Intent.CODING, 1.0, Sensitivity.PRIVATE, 10, fleet=(stray, lattice.MINISTRAL))
    with pytest.raises(ConfigError, match=r"\(private\)"):
        policy.decide(facts)


def test_a_name_that_is_released_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="released"):
        registry.load(write(tmp_path, GOOD.replace('"mine"', '"v2"')))


@pytest.mark.parametrize("path", ["nowhere/mine.py", "/dev/zero.py", "mine.txt/x", "a\0b.py"])
def test_what_is_no_policy_file(path: str) -> None:
    with pytest.raises(ConfigError):
        registry.load(path)


def test_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD, "their_policy.py")
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{own.GROUP}]\nmine = their_policy\ngone = not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.load("mine").source == str(tmp_path / "their_policy.py")
    with pytest.raises(ConfigError, match="not_there"):
        registry.load("gone")
    assert "their_policy" not in sys.modules, "it is read, not imported"
    with pytest.raises(UsageError):
        registry.load("nobodys")


TABLE = """
base = "v1"
[all]
hedge = true
[rows.coding]
primary = ["gemini/*", "free/*"]
fallback = ["local/coder"]
cap = 2000
checks = ["not_empty", "not_error", "python_compiles"]
why = "Gemini codes here"
[agents.tester]
primary = ["local/ministral"]
"""


def test_a_table_over_a_released_one(tmp_path: Path) -> None:
    policy = registry.load(write(tmp_path, TABLE, "house.toml"))
    assert (policy.name, policy.base) == ("house", "v1")
    base = {"probability": 1.0, "sensitivity": Sensitivity.PUBLIC, "input_tokens": 10, "fleet": lattice.FLEET}
    coding = policy.decide(Facts(Intent.CODING, **base))  # type: ignore[arg-type]
    assert [link.domain for link in coding.chain[:2]] == [lattice.PRO.domain, lattice.FLASH.domain]
    assert (coding.output_cap, coding.hedge, coding.why) == (2000, True, "Gemini codes here")
    assert coding.checks == ("not_empty", "not_error", "python_compiles")
    assert {link.domain for link in coding.chain} == {c.domain for c in lattice.FLEET}, "nobody joins, nobody leaves"
    other = Facts(Intent.MEMORY, **base)  # type: ignore[arg-type]
    assert policy.decide(other).chain == registry.load("v1").decide(other).chain
    tests = policy.decide(Facts(Intent.CODING, agent="tester", **base))  # type: ignore[arg-type]
    assert (tests.chain[0].domain, tests.agent) == (lattice.MINISTRAL.domain, "tester")
    fast = policy.decide(Facts(Intent.CODING, quality=Quality.FAST, **base))  # type: ignore[arg-type]
    speeds = {c.domain: c.speed for c in lattice.FLEET}
    assert speeds[fast.chain[0].domain] == max(c.speed for c in lattice.FLEET if c.free)


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (('base = "v1"', 'base = "v0"'), 2, "base"),
        (('base = "v1"', 'base = "phase1"'), 2, "base"),
        (("[rows.coding]", "[rows.codin]"), 5, "Did you mean coding?"),
        (("[rows.coding]", "[rows.private]"), 6, "must be local"),
        (("[agents.tester]", "[agents.testr]"), 11, "Did you mean tester?"),
        (("cap = 2000", "cap = -1"), 8, "whole number"),
        (("cap = 2000", "cap = true"), 8, "whole number"),
        (("cap = 2000", "capp = 1"), 8, "Did you mean cap?"),
        (('["gemini/*", "free/*"]', '"gemini/*"'), 6, "selectors"),
        (('["gemini/*", "free/*"]', '["gemini"]'), 6, "selectors"),
        (('"python_compiles"', '"is_nice"'), 9, "checks must be some of"),
        (("hedge = true", 'judge = "jury"'), 4, "judge must be one of"),
        (("hedge = true", "advice = 99"), 4, "whole number"),
        (("hedge = true", 'live = "yes"'), 4, "true or false"),
        (('base = "v1"', 'base = "v1"\nexplore = 2'), 3, "explore"),
        (('base = "v1"', 'base = "v1"\nname = "A B"'), 3, "name"),
        (("hedge = true", "hedge ="), 4, "TOML"),
        (('checks = ["not_empty", "not_error", "python_compiles"]', 'checks = ["python_compiles"]'), 0, "(checks)"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, what: str) -> None:
    text = TABLE.replace(*change)
    assert text != TABLE
    with pytest.raises(ConfigError) as refused:
        registry.load(write(tmp_path, text, "house.toml"))
    assert what in str(refused.value)
    assert not line or f"line {line}" in refused.value.message


def test_exploring_says_how_likely_it_was(tmp_path: Path) -> None:
    policy = registry.load(write(tmp_path, 'base = "v1"\nexplore = 0.2\n', "curious.toml"))
    fleet = (lattice.GROQ_8B, lattice.FLASH, lattice.MINISTRAL, lattice.OPUS)
    base = {"probability": 1.0, "sensitivity": Sensitivity.PUBLIC, "input_tokens": 10, "fleet": fleet}
    first: dict[str, list[float]] = {}
    draws = 2_000
    for n in range(draws):
        decision = policy.decide(Facts(Intent.QUICK_QA, draw=n / draws, **base))  # type: ignore[arg-type]
        first.setdefault(decision.chain[0].domain, []).append(decision.propensity)
    for domain, said in first.items():
        assert len(set(said)) == 1, domain
        assert len(said) / draws == pytest.approx(said[0], abs=0.001), "the propensity is the share"
    assert set(first) == {c.domain for c in fleet}
    assert max(first, key=lambda d: len(first[d])) == lattice.GROQ_8B.domain


@pytest.mark.parametrize("name", ["house.toml", "mine.py"])
def test_the_examples_of_the_page_are_sound(tmp_path: Path, name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    (text,) = re.findall(rf"```text\n(# {re.escape(name)}\n.*?)```", page, re.DOTALL)
    policy = registry.load(write(tmp_path, text, name))
    assert policy.name == name.partition(".")[0]
