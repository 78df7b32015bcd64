"""`run`: a pipeline written in YAML."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

from understudy.cli.render import show_answer
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, say
from understudy.errors import UsageError


async def run(config: str | None, file: str, inputs: Sequence[str], resume: str | None, *, as_json: bool) -> int:
    """Raises UsageError, ConfigError, StepFailed and what a director raises."""
    from understudy.pipelines.written import load_pipeline

    pipeline = load_pipeline(file)
    given = pipeline.checked(dict(map(_input, inputs)))
    name = resume or f"p-{secrets.token_hex(5)}"
    async with open_director(config) as director:
        try:
            result = await pipeline.run(given, director=director, run=name)
        except BaseException:
            hint(f"What is done stays done: understudy run {file} --resume {name}, with the same inputs")
            raise
    if as_json:
        say(json.dumps({"run": name, "pipeline": pipeline.name, "result": result}))
    else:
        show_answer(result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False))
        hint(name)
    return 0


def draw(file: str, form: str) -> int:
    """Raises UsageError, ConfigError."""
    from understudy.pipelines.written import load_pipeline

    if form not in ("mermaid", "svg"):
        raise UsageError(f"There is no drawing {form!r}.", remedy="mermaid, or svg.")
    say(load_pipeline(file).draw("svg" if form == "svg" else "mermaid"))
    return 0


def _input(word: str) -> tuple[str, Any]:
    """k=v; a value that is JSON is read as it, k=@file is the file's text. Raises UsageError."""
    name, given, value = word.partition("=")
    if not given or not name:
        raise UsageError(f"--input {word[:60]!r} names no value.", remedy="Write it so: --input city=Oslo.")
    if value.startswith("@"):
        from understudy.config.reading import read_text_file

        value = read_text_file(value[1:])
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
