"""What the documentation says is tried: configurations, examples, figures, links.

Rules for fenced blocks of docs/*.md and README.md:
- ```toml: a whole configuration. One whose first line is `# fragment` is only TOML, `# script: NAME` a rehearsal script.
  A block that begins with `# config: NAME` or `# script: NAME` is also the file of that name in the page's example.
- ```python in python.md: runs; a ```text block straight after it is what it prints.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from understudy.config import load, settings
from understudy.fleet.reactions import REACTIONS
from understudy.rehearsal.script import FAULTS, parse_script

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
REHEARSAL = """\
[providers.groq]
kind = "rehearsal"
plays = "groq"
models = [ { id = "llama-3.1-8b-instant" } ]
"""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No key, no configuration and no state of this machine."""
    for name in list(os.environ):
        if name.startswith("UNDERSTUDY_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    (tmp_path / "rehearsal.toml").write_text(REHEARSAL)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [body for tag, body in BLOCK.findall(text) if tag == language]


TOML = [(p.name, number, block) for p in PAGES for number, block in enumerate(blocks(p.read_text(), "toml"))]


@pytest.mark.parametrize(("name", "number", "block"), TOML, ids=[f"{n}-{i}" for n, i, _ in TOML])
def test_every_configuration_loads(name: str, number: int, block: str) -> None:
    table, first = tomllib.loads(block), block.partition("\n")[0]
    if first.startswith("# script"):
        parse_script(table, name)
    elif not first.startswith("# fragment"):
        load.parse(table, name)


def test_there_are_configurations_to_load() -> None:
    assert len(TOML) > 5


@pytest.mark.parametrize(
    "model",
    [
        settings.Settings,
        settings.DirectorSettings,
        settings.ClassifierSettings,
        settings.MoneySettings,
        settings.Provider,
        settings.Account,
        settings.Model,
    ],
)
def test_every_key_is_in_the_configuration_page(model: type[BaseModel]) -> None:
    rows = "\n".join(line.split("|")[1] for line in page("configuration.md").splitlines() if line.startswith("| "))
    missing = [name for name in model.model_fields if f"`{name}`" not in rows]
    assert not missing


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## Top level", settings.Settings),
        ("## `[director]`", settings.DirectorSettings),
        ("## `[classifier]`", settings.ClassifierSettings),
        ("## `[money]`", settings.MoneySettings),
        ("## `[providers.NAME]`", settings.Provider),
        ("### `accounts`", settings.Account),
    ],
)
def test_the_defaults_are_those_of_the_code(heading: str, model: type[BaseModel]) -> None:
    section = page("configuration.md").split(f"{heading}\n")[1].split("\n#")[0]
    rows = {cells[1].strip(): cells[3] for line in section.splitlines() if len(cells := line.split("|")) == 6}
    checked = 0
    for name, field in model.model_fields.items():
        if f"`{name}`" in rows and isinstance(field.default, int | float | str):
            assert json.loads(rows[f"`{name}`"].strip().strip("`")) == field.default, name
            checked += 1
    assert checked


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *DOCS], ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if place.name == "classifiers.md" and not place.exists():
            continue  # written apart from this
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_index_links_every_page() -> None:
    index = page("index.md")
    for path in DOCS:
        assert path.name == "index.md" or f"]({path.name})" in index


def run(arguments: list[str], folder: Path, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
        check=False,
    )


EXAMPLES = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", page("python.md"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_in_python_print_what_the_page_says(number: int, environment: Path) -> None:
    code, said = EXAMPLES[number]
    (environment / "example.py").write_text(code)
    ended = run(["example.py"], environment, UNDERSTUDY_CONFIG=str(environment / "rehearsal.toml"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == said
