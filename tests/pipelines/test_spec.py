"""SPEC files: those that come with the project are read, and a slip is named."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from understudy.errors import ConfigError
from understudy.pipelines.items import items_of
from understudy.pipelines.spec import COSTLESS, TIERS, load_spec, parse_spec, seconds_of

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda p: p.name)
def test_an_example_is_read_and_its_calls_can_be_made(path: Path) -> None:
    spec = load_spec(path)
    assert spec.about
    assert spec.name
    if spec.template and not (spec.items and spec.items.path.name == "items.jsonl"):  # which its script writes
        assert next(items_of(spec)).text


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "give either [shape] or [items]"),
        ({"shape": {}, "items": {"path": "a.csv"}}, "give either [shape] or [items]"),
        ({"shape": {"group": 2}}, "unknown key shape.group, did you mean groups?"),
        ({"shape": {}, "dedline": "3 days"}, "unknown key dedline, did you mean deadline?"),
        ({"shape": {}, "tokens": {"inputs": 3}}, "unknown key tokens.inputs, did you mean input?"),
        ({"shape": {}, "claims": [{"day": 3}]}, "unknown key claims.0.day, did you mean days?"),
        ({"shape": {"groups": 0}}, "shape.groups"),
        ({"shape": {"groups": 2.5}}, "shape.groups"),
        ({"shape": {"groups": True}}, "shape.groups"),
        ({"shape": {"groups": 2, "names": {"groups": ["one"]}}}, "groups has 2 values and 1 names"),
        ({"shape": {"names": {"grups": ["one"]}}}, "no dimension is called grups"),
        ({"shape": {}, "smallest": {"round": 1}}, "no dimension is called round"),
        ({"shape": {}, "deadline": "3 fortnights"}, "write a length of time"),
        ({"shape": {}, "deadline": 0}, "above 0"),
        ({"shape": {}, "deadline": float("nan")}, "above 0"),
        ({"shape": {}, "usd": -1}, "usd"),
        ({"shape": {}, "usd": float("inf")}, "usd"),
        ({"shape": {}, "tiers": ["fre"]}, "did you mean free?"),
        ({"shape": {}, "tiers": []}, "name one tier at least"),
        ({"shape": {}, "shares": {"a": 0.7, "b": 0.7}}, "shares are more than the whole"),
        ({"shape": {}, "hours": ["3-6"]}, "write hours such as 03:00-06:00"),
        ({"shape": {}, "hours": ["24:30-06:00"]}, "write hours such as 03:00-06:00"),
        ({"shape": {}, "zone": "Mars/Olympus"}, "no time zone is called"),
        ({"shape": {}, "tokens": {"input": 5, "cached": 6}}, "a part of the input"),
        ({"shape": {}, "tokens": {"output": 5, "max_output": 4}}, "max_output is at least output"),
        ({"shape": {}, "accounts": {"groq": 0}}, "accounts.groq"),
        ({"shape": {}, "template": "a", "template_file": "b"}, "either template or template_file"),
        ({"items": {"path": "rows.xls"}}, "say format"),
        ({"items": {"path": "rows.csv", "sample": 2.5}}, "a whole number of rows"),
        ({"shape": {}, "claims": [{"by": "me"}]}, "a claim says calls, tokens, days or usd"),
        ({"shape": {}, "claims": [{"days": 3}]}, "give those it assumes"),
        ({"shape": {}, "claims": [{"usd": 3}]}, "give those it assumes"),
        ({"shape": {}, "name": "../up"}, "name"),
        ({"shape": {}, "begins": datetime(1, 1, 1, tzinfo=UTC)}, "in the years 1971 to 2199"),
        ({"shape": {"groups": 10**7, "runs": 10**7}}, "this makes more than"),
        ({"shape": {}, "validators": ["not_emty"]}, "there is no validator not_emty; did you mean not_empty?"),
    ],
)
def test_a_slip_is_named(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_spec(table, Path("spec.toml"))
    assert fault in caught.value.message
    assert caught.value.message.startswith("spec.toml: ")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"name = ", "is not TOML"),
        (b"\xff", "cannot be read"),
        (b"a = " + b"[" * 50_000, "cannot be read"),
        (None, "no SPEC"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None, fault: str) -> None:
    path = tmp_path / "spec.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=fault):
        load_spec(path)
    with pytest.raises(ConfigError, match="no SPEC"):
        load_spec(tmp_path)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90 s", 90),
        ("90s", 90),
        ("5 min", 300),
        ("8h", 28_800),
        ("8 hours", 28_800),
        ("2 weeks", 1_209_600),
        (7, 7),
        ("1.5 days", 129_600),
        ("1 day", 86_400),
        ("3 minutes", 180),
        ("30 seconds", 30),
    ],
)
def test_lengths_of_time(said: object, seconds: float) -> None:
    assert seconds_of(said) == seconds


def test_a_number_of_tokens_is_both_together() -> None:
    tokens = parse_spec({"shape": {}, "tokens": 300}, Path("x")).tokens
    assert (tokens.input, tokens.output) == (240, 60)


def test_money_opens_the_tiers_that_cost() -> None:
    assert parse_spec({"shape": {}}, Path("x")).allowed == COSTLESS
    assert parse_spec({"shape": {}, "usd": 5}, Path("x")).allowed == TIERS
    assert parse_spec({"shape": {}, "usd": 0}, Path("x")).allowed == COSTLESS
    assert parse_spec({"shape": {}, "usd": 5, "tiers": ["local"]}, Path("x")).allowed == ("local",)


def test_the_page_lists_every_key() -> None:
    from understudy.pipelines import spec

    page = (EXAMPLES.parent / "docs" / "campaigns.md").read_text(encoding="utf-8")
    for model in (spec.Spec, spec.Tokens, spec.Shape, spec.Items, spec.Local, spec.Gpu, spec.Claim):
        missing = [n for n in model.model_fields if f"`{n}`" not in page and f"[{n}]" not in page]
        assert not missing, (model.__name__, missing)


def test_the_examples_are_toml_alone() -> None:
    for path in EXAMPLES.glob("*.toml"):
        assert tomllib.loads(path.read_text(encoding="utf-8"))
