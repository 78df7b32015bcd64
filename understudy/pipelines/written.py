"""A pipeline written in YAML.

    name: review
    inputs: { files: list, style: str }
    steps:
      remarks:
        map: file in files
        prompt: "Review this file in the style of {style}:\\n{file}"
        agent: reviewer
        models: [llama-3.3-70b-versatile, gpt-oss-120b]
        keep: majority
      report:
        prompt: "One report of these remarks:\\n{remarks}"
        depends_on: []

A prompt names inputs and other steps in {braces}; {{ and }} are braces. Everything else of a step is as in Python.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from understudy.config.pasted import shown
from understudy.config.plain import read_plain
from understudy.errors import ConfigError, UsageError
from understudy.pipelines.pipeline import Pipeline
from understudy.pipelines.step import Step, step

LARGEST = 1_000_000  # bytes
KINDS: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
    "any": Any,
}
OPTIONS = frozenset(inspect.signature(step).parameters) - {"function", "name", "ask"}
_FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}")


def load_pipeline(named: str | Path) -> Pipeline:
    """Raises ConfigError for a file that is none, UsageError for steps that cannot work."""
    import yaml

    path = Path(named)
    try:
        path = path.expanduser()
        if not path.is_file():
            raise ConfigError(f"There is no pipeline {shown(path)}.", remedy="Name a YAML file.")
        table: Any = yaml.safe_load(read_plain(path, LARGEST).decode("utf-8-sig"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{shown(path)} is not YAML{where}.", remedy="Mend it.") from None
    except (OSError, ValueError, RecursionError, RuntimeError) as error:
        raise ConfigError(f"{shown(path)} cannot be read ({type(error).__name__}).", remedy="Check it.") from None
    return parse_pipeline(table, path.stem)


def parse_pipeline(table: Any, name: str) -> Pipeline:
    """Raises ConfigError, UsageError."""
    whole = _table(table, "the pipeline", {"name", "inputs", "steps"})
    inputs = _table(whole.get("inputs") or {}, "inputs", None)
    if strange := next((kind for kind in inputs.values() if kind not in KINDS), None):
        raise ConfigError(f"inputs: there is no type {strange!r}.", remedy=f"There are {', '.join(KINDS)}.")
    steps = _table(whole.get("steps") or {}, "steps", None)
    made = [_step(title, _table(one, title, OPTIONS | {"prompt"})) for title, one in steps.items()]
    return Pipeline(str(whole.get("name", name)), *made, inputs={n: KINDS[kind] for n, kind in inputs.items()})


def _step(title: str, options: dict[str, Any]) -> Step:
    prompt = options.pop("prompt", None)
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigError(f"{title}: there is no prompt.", remedy='Write one: prompt: "Summarize {text}".')
    if not title.isidentifier():
        raise ConfigError(f"{title!r} is no name of a step.", remedy="Use letters, digits and _.")
    names = dict.fromkeys(found[1] for found in _FIELD.finditer(prompt) if found[1])

    def ask(**values: Any) -> str:
        return _FIELD.sub(lambda found: found[0][0] if found[1] is None else _text(values[found[1]]), prompt)

    parameters = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
    ask.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    try:
        return cast(Step, step(name=title, **options)(ask))
    except TypeError as error:
        raise UsageError(f"{title}: {error}.", remedy="docs/pipelines.md lists what a step takes.") from None


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n\n".join(map(_text, cast("list[Any]", value)))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(value: Any, where: str, keys: set[str] | frozenset[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in cast("dict[Any, Any]", value)):
        raise ConfigError(f"{where}: this is no table.", remedy="docs/pipelines.md shows one.")
    table = cast("dict[str, Any]", value)
    if keys is not None and (strange := sorted(set(table) - keys)):
        raise ConfigError(f"{where}: there is no key {strange[0]!r}.", remedy=f"There are {', '.join(sorted(keys))}.")
    return dict(table)
