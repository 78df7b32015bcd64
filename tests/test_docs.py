"""What the documentation says is tried: configurations, examples, figures, links.

Rules for fenced blocks of docs/*.md and README.md:
- ```toml: a whole configuration; with `# fragment` as its first line only TOML, with `# script: NAME` a script of the
  rehearsal fleet, with `# scenario: NAME` a scenario.
  A block that begins with one of these and a name is also the file of that name in the page's example.
- ```python: a program; the ```text block straight after it is what it prints.
"""

from __future__ import annotations

import json
import os
import re
import shlex
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
from understudy.scenarios import scenario
from understudy.scenarios.scenario import parse_scenario

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PENDING: tuple[str, ...] = ()  # linked before they are written
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
    elif first.startswith("# scenario"):
        assert parse_scenario(without_scripts(table), Path(name)).settings.providers
    elif not first.startswith("# fragment"):
        load.parse(table, name)


def without_scripts(table: dict[str, Any]) -> dict[str, Any]:
    """They stand in another block."""
    for provider in table["config"]["providers"].values():
        provider.pop("script", None)
    return table


def test_every_key_of_a_scenario_is_in_its_page() -> None:
    rows = "\n".join(line.split("|")[1] for line in page("scenarios.md").splitlines() if line.startswith("| "))
    for model in (scenario.File, scenario.Traffic, scenario.Event):
        names = [field.alias or name for name, field in model.model_fields.items()]
        assert not [name for name in names if f"`{name}`" not in rows and f"[{name}]" not in rows], model
    expect = page("scenarios.md").split("`[expect]`:")[1]
    assert all(f"`{name}`" in expect for name in scenario.Expect.model_fields)
    assert all(f"`{name}`" in page("scenarios.md") for name in scenario.HOME)
    assert all(f"\n{name} " in page("scenarios.md") for name in scenario.shipped())


def test_there_are_configurations_to_load() -> None:
    assert len(TOML) > 5


@pytest.mark.parametrize(
    "model",
    [
        settings.Settings,
        settings.DirectorSettings,
        settings.ClassifierSettings,
        settings.MoneySettings,
        settings.KeySettings,
        settings.ShadowSettings,
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
        ("## `[book]`", settings.BookSettings),
        ("## `[keys]`", settings.KeySettings),
        ("## `[shadow]`", settings.ShadowSettings),
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
        if place.name in PENDING and not place.exists():
            continue
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_no_row_stands_outside_its_table(path: Path) -> None:
    """An empty line ends a table: the rows below it would be shown as text."""
    lines = BLOCK.sub("", path.read_text(encoding="utf-8")).splitlines()
    rows = [number for number, line in enumerate(lines) if line.startswith("|")]
    heads = [n for n in rows if n - 1 not in rows]
    assert [lines[n] for n in heads if not re.fullmatch(r"[|: -]+", "".join(lines[n + 1 : n + 2]))] == []


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


PYTHON = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
EXAMPLES = [(p.name, n, *found) for p in DOCS for n, found in enumerate(PYTHON.findall(p.read_text()))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number", "code", "said"), EXAMPLES, ids=[f"{n}-{i}" for n, i, _, _ in EXAMPLES])
def test_the_examples_in_python_print_what_the_page_says(
    name: str, number: int, code: str, said: str, environment: Path
) -> None:
    (environment / "example.py").write_text(code)
    ended = run(["example.py"], environment, UNDERSTUDY_CONFIG=str(environment / "rehearsal.toml"))
    assert ended.returncode == 0, ended.stderr
    assert said, f"{name}: example {number} has no output"
    assert ended.stdout == said


def test_there_are_examples_to_run() -> None:
    assert len(EXAMPLES) > 6


@pytest.mark.slow
def test_the_scripted_fleet_of_the_rehearsal_page_answers_as_it_says(environment: Path) -> None:
    text = page("rehearsal.md")
    for block in blocks(text, "toml"):
        kind, _, name = block.partition("\n")[0].removeprefix("# ").partition(": ")
        assert kind in ("config", "script")
        (environment / name).write_text(block)
    command = re.search(r"^\$ understudy (ask --config config.toml .*)$", text, re.MULTILINE)
    assert command is not None
    arguments = shlex.split(command[1])
    ended = run(["-m", "understudy", *arguments, "--json"], environment)
    told: dict[str, Any] = json.loads(ended.stdout)
    assert f"\n{told['text']}\n" in text
    said = re.findall(r"^(\S+) \(default\) +worker +(\w+)", text, re.MULTILINE)
    assert [(a["candidate"], a["outcome"]) for a in told["attempts"]] == said
    again = json.loads(run(["-m", "understudy", *arguments, "--json"], environment).stdout)
    assert [s["domain"] for s in again["skipped"]] == ["groq/default/llama-3.1-8b-instant"]


def test_every_fault_is_in_the_rehearsal_page() -> None:
    section = page("rehearsal.md").split("## Faults\n")[1].split("\n## ")[0]
    rows = {
        tuple(re.findall(r"`(\w+)`", c[1])): c[2] for c in (r.split("|") for r in section.splitlines()) if len(c) == 4
    }
    told = {kind: what.strip() for kinds, what in rows.items() for kind in kinds}
    assert set(told) == set(FAULTS)
    assert all(what.removesuffix(" (claude only)") == FAULTS[kind] for kind, what in told.items())


def test_the_simulated_claude_says_what_the_page_says(environment: Path) -> None:
    text = page("rehearsal.md")
    for fault in ("", "not_logged_in"):
        ended = run(
            ["-m", "understudy.rehearsal.claude", "-p"], environment, "What is 2+2?", UNDERSTUDY_REHEARSAL_CLAUDE=fault
        )
        assert f"understudy.rehearsal.claude -p\n{ended.stdout}" in text


def test_the_reactions_are_those_of_the_code() -> None:
    section = page("providers.md").split("## When a call fails\n")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]
    told = {row[0].strip("`"): row[2:] for row in rows}
    assert set(told) == {str(failure) for failure in REACTIONS}
    for failure, reaction in REACTIONS.items():
        rest, spread, again, stop = told[str(failure)]
        assert rest == ("no" if reaction.rest is None else f"{reaction.rest:.0f} s")
        told_as = {
            "account": "the account",
            "domain": "this model at this account",
            "provider": "the provider is put off",
        }
        assert spread == told_as[reaction.spread]
        assert again == ("yes" if reaction.again else "no")
        assert stop == ("yes" if reaction.stop else "no")


def test_the_policy_table_is_that_of_the_command(environment: Path) -> None:
    for words in (["show", "v1"], ["list"]):
        ended = run(["-m", "understudy", "policy", *words], environment, COLUMNS="200")
        assert ended.stdout in page("policies.md")


def test_every_validator_is_in_the_validation_page() -> None:
    from understudy.director.validators import validators

    for name in validators():
        assert f"| `{name}` |" in page("validation.md")


def test_the_limits_of_the_sandbox_are_those_of_the_code() -> None:
    from understudy.tools.sandbox import SandboxLimits

    box, text = SandboxLimits(), page("validation.md").split("## The sandbox\n")[1]
    for said in (
        f"{box.seconds:.0f} s by the clock, {box.cpu_seconds} s of processor time",
        f"{box.memory_mib} MiB",
        f"{box.file_mib} MiB each, {box.disk_mib} MiB together; {box.files} open",
        f"{box.output_chars:,} bytes",
    ):
        assert said in text


def test_the_worst_cases_of_the_claude_cli_are_those_of_the_code() -> None:
    from understudy.config.secrets import Secret
    from understudy.director.acts import DECIDE, JUDGE, PLAN
    from understudy.tools.claude_cli import ClaudeCLI, ClaudeRequest

    english = ("The quarterly report compares three suppliers by price and delivery time. " * 20)[:600]
    chinese = ("请把这份报告里的三个供应商按照价格和交货时间进行比较" * 40)[:600]
    clients = (ClaudeCLI(login="subscription"), ClaudeCLI(key=Secret("none", "env:NONE")))
    for name, instructions, cap in (("decide", DECIDE, 160), ("plan", PLAN, 300), ("judge", JUDGE, 160)):
        worst: list[str] = []
        for client in clients:
            for text in (english, chinese):
                request = ClaudeRequest(prompt=text, system=instructions, output_cap=cap)
                worst.append(f"{client.bound(request) + client.output_bound(request):,}")
        assert f"| {name} | {' | '.join(worst)} |" in page("budget.md")
    with_tools = ClaudeRequest(prompt=english, allowed_tools=("Read",))
    assert f"{clients[0].bound(with_tools):,} input tokens" in page("budget.md")


def test_every_error_has_its_exit_code_in_the_python_page() -> None:
    from understudy import errors

    known = {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.UnderstudyError)}
    for name, kind in known.items():
        assert name == "UnderstudyError" or f"| `{name}` | {kind.exit_code} |" in page("python.md")


def test_every_scope_of_a_key_and_its_age_are_in_the_callers_page() -> None:
    from understudy.gateway.keys import AGE
    from understudy.store.callers import SCOPES

    assert all(f"| `{scope}` |" in page("callers.md") for scope in SCOPES)
    assert f"works for {AGE:.0f} seconds more" in page("callers.md")


def test_the_figures_of_the_jobs_page() -> None:
    from inspect import signature

    from understudy.gateway.jobs import Jobs
    from understudy.gateway.task_record import LARGEST
    from understudy.store.job_queue import _GIVEN_UP, QUEUED, REMEMBERED, RUNNING  # pyright: ignore[reportPrivateUsage]
    from understudy.store.jobs import ENDED, LONGEST_EVENTS

    text = " ".join(page("jobs.md").split())
    default = {name: p.default for name, p in signature(Jobs.__init__).parameters.items()}
    assert all(f"| `{state}` |" in text for state in (QUEUED, RUNNING, *ENDED))
    assert all(f"| `{reason}` |" in text for reason in (*_GIVEN_UP, "revoked", "bug"))
    assert f"{default['most_queued']:,} jobs may wait, {default['most_queued'] // 4} of them of one key" in text
    assert f"A process runs {default['at_once']} at once" in text
    assert f"lease of {default['lease']:.0f} seconds" in text
    assert f"takes nothing over for {default['lease'] / 2:.0f} seconds" in text
    assert f"gives those that run {default['drain']:.0f} seconds" in text
    assert f"{LARGEST:,} characters" in text
    assert f"the last {LONGEST_EVENTS}" in text
    assert (default["keep"], REMEMBERED) == (86_400, 7 * 86_400)


def test_every_field_of_a_task_is_in_the_python_page() -> None:
    from dataclasses import fields

    from understudy.types import Task

    for field in fields(Task):
        assert f"| `{field.name}` |" in page("python.md")
