"""The examples run, on the rehearsal fleet."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.pipelines.stand import open_stand
from understudy import Director
from understudy.pipelines.begin import items_of, orders_of
from understudy.pipelines.spec import load_spec
from understudy.pipelines.written import load_pipeline

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_map_reduce_over_a_long_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    said = await example("map_reduce").main("Budgets are hard. " * 700, "What of budgets?", rehearsal=True)
    assert isinstance(said, str)
    assert said


async def test_the_code_review_has_two_reviewers_and_a_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path))
    pipeline = load_pipeline(EXAMPLES / "code_review.yaml")
    async with Director.from_config(rehearsal=True) as director:
        said = await pipeline.run({"files": ["def f(x): return x"]}, director=director)
    assert said


async def test_a_folder_is_summarized(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.txt").write_text(f"The tide of day {n} was high.")
    (tmp_path / "items.jsonl").write_text("\n".join(example("summarize_folder").rows(folder)))
    (tmp_path / "spec.toml").write_text((EXAMPLES / "summarize_folder.toml").read_text())
    spec = load_spec(tmp_path / "spec.toml")
    async with open_stand(tmp_path / "home") as stand:
        campaign = await stand.campaigns.begin(orders_of(spec), items_of(spec))
        ended = await stand.campaigns.crew(campaign).work()
        told = [row async for row in stand.campaigns.results(campaign.id)]
    assert ended.state == "done"
    assert [row["fields"]["path"] for row in told] == ["0.txt", "1.txt", "2.txt"]
    assert json.dumps(told)


async def test_the_founding_campaign_begins(tmp_path: Path) -> None:
    """8,000 calls; a few of them are made here."""
    spec = load_spec(EXAMPLES / "market_reflective.toml")
    async with open_stand(tmp_path) as stand:
        items = items_of(spec)
        campaign = await stand.campaigns.begin(orders_of(spec), (next(items) for _ in range(20)))
        ended = await stand.campaigns.crew(campaign).work()
        progress = await stand.campaigns.progress(campaign.id)
    assert ended.state == "done"
    assert progress.done == 20
    assert sum(1 for _ in items) == 8_000 - 20
