"""JSON in an answer, and whether it is what was asked for."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from understudy.director.validators.text import fences, spoken
from understudy.errors import UsageError
from understudy.types import Answer, Task

MAX_CHARS = 2_000_000  # of the answer
MAX_DEPTH = 100  # of a schema; an answer's depth is bounded by the parser
MAX_NODES = 20_000  # of a schema
MAX_COST = 50_000  # sub-schemas visited when every reference is followed once
_MAX_PATTERN = 500  # characters
_CHILD_SECONDS = 5.0
_ROOT = str(Path(__file__).parents[3])  # the folder the package is in
_DATA = ("const", "enum", "default", "examples")  # keywords whose value is data, not a schema


def parse_json(text: str) -> Any:
    """The one JSON value of an answer: the whole text, else a fenced block, else the largest value in the prose.

    NaN and Infinity are no JSON. Of a key given twice the last counts. Raises ValueError when there is none.
    """
    text = spoken(text)
    if len(text) > MAX_CHARS:
        raise ValueError(f"the answer is longer than {MAX_CHARS:,} characters")
    try:
        return _load(text)
    except ValueError as error:
        problem = str(error)
    found, outside = fences(text)
    for fence in sorted(found, key=lambda f: f.tag not in ("json", "jsonc", "")):
        try:
            return _load(fence.body.strip())
        except ValueError as error:
            problem = str(error)
    values = sorted(_values_in(outside if found else text), key=lambda v: -v[0])
    if values:
        return values[0][1]
    raise ValueError(f"there is no JSON in the answer ({problem})")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _load(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _values_in(text: str) -> Iterator[tuple[int, Any]]:
    """(length, value) of objects and arrays inside prose. A bounded number of starts, so that "[[[[" stays cheap."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    at = 0
    for _ in range(200):
        starts = [i for i in (text.find("{", at), text.find("[", at)) if i >= 0]
        if not starts:
            return
        start = min(starts)
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield end - start, value
        at = end


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises UsageError when a schema cannot be used: invalid, too large, or with references to elsewhere."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    if not isinstance(cast(Any, schema), Mapping):
        raise _bad("it is no object")
    try:
        plain = json.loads(json.dumps(schema))
    except (TypeError, ValueError, RecursionError):
        raise _bad("it is no JSON") from None
    for place, key, value in _walk(plain):
        if key in ("$ref", "$dynamicRef") and isinstance(value, str):
            _check_ref(plain, value, place)
        elif key == "pattern" and isinstance(value, str):
            _check_pattern(value, place)
        elif key == "patternProperties" and isinstance(value, dict):
            for pattern in cast(dict[str, Any], value):
                _check_pattern(pattern, place)
    try:
        if cost_of(plain) > MAX_COST:
            raise _bad("it is too large when its references are followed")
        _class_for(plain).check_schema(plain)
        explain_mismatch(plain, {})  # a reference that goes round without getting anywhere shows on any value
    except SchemaError as error:
        where = "/".join(str(p) for p in error.absolute_path)
        raise _bad(f"{error.message[:200]}{f' at {where}' if where else ''}") from None
    except (RecursionError, re.error):
        raise _bad("it is nested too deeply, or refers to itself without an end") from None
    except Unresolvable:
        raise _bad("one of its references leads nowhere") from None


def _class_for(schema: Any) -> Any:
    """The validator of the draft the schema names; 2020-12 where it names none."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return cast(Any, validator_for)(schema, default=Draft202012Validator)


def _walk(schema: Any) -> Iterator[tuple[str, str, Any]]:
    """(place, key, value) of every key of every object that can be a schema; `const`, `enum`, `default` hold data."""
    todo: list[tuple[str, Any, int]] = [("", schema, 0)]
    seen = 0
    while todo:
        place, node, depth = todo.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise _bad("it is too large")
        if isinstance(node, dict):
            for key, value in cast(dict[str, Any], node).items():
                yield place or "/", key, value
                if key not in _DATA:
                    todo.append((f"{place}/{key}", value, depth + 1))
        elif isinstance(node, list):
            todo += [(f"{place}/{n}", value, depth + 1) for n, value in enumerate(cast(list[Any], node))]


def _check_ref(schema: Any, ref: str, place: str) -> None:
    if not ref.startswith("#"):
        raise _bad(f"$ref at {place} is not local; only references that begin with # are followed")
    if not ref.startswith("#/"):
        return  # the root, or an anchor, which the validator looks up
    try:
        _target(schema, ref)
    except (LookupError, ValueError, TypeError):
        raise _bad(f"$ref at {place} names {ref[:100]}, which is not there") from None


def _target(schema: Any, ref: str) -> Any:
    """What a local JSON pointer points at."""
    node: Any = schema
    for part in ref[2:].split("/"):
        step = _unquoted(part)
        node = cast(list[Any], node)[int(step)] if isinstance(node, list) else node[step]
    return node


def _unquoted(part: str) -> str:
    from urllib.parse import unquote

    return unquote(part).replace("~1", "/").replace("~0", "~")


def _check_pattern(pattern: str, place: str) -> None:
    if len(pattern) > _MAX_PATTERN:
        raise _bad(f"the pattern at {place} is longer than {_MAX_PATTERN} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise _bad(f"the pattern at {place} is no regular expression") from None


def cost_of(schema: Any) -> int:
    """How many sub-schemas one value can make a validator visit; references are followed, a cycle once round."""
    known: dict[int, int] = {}

    def visit(node: Any) -> int:
        key = id(node)
        if key in known:
            return known[key]
        known[key] = 1  # while it is under way: a cycle ends here
        total = 1
        if isinstance(node, dict):
            table = cast(dict[str, Any], node)
            ref = table.get("$ref")
            if isinstance(ref, str) and ref.startswith("#/"):
                total += visit(_target(schema, ref))
            total += sum(visit(v) for k, v in table.items() if k not in (*_DATA, "$defs", "definitions"))
        elif isinstance(node, list):
            total += sum(visit(v) for v in cast(list[Any], node))
        known[key] = total
        return total

    return visit(schema)


def _explosive(pattern: str) -> bool:
    """Whether matching may take exponential or high polynomial time: a repeat or a choice inside a repeat, or many."""
    from re import _parser  # pyright: ignore  # the standard library's own reading of the pattern

    repeats = 0

    def visit(node: Any, inside: bool) -> bool:
        nonlocal repeats
        for op, value in node:
            name = str(op)
            if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                low, high, body = value
                loose = high - low > 10
                repeats += loose
                if (loose and inside) or visit(body, inside or high > 1):
                    return True
            elif name == "BRANCH":
                if inside or any(visit(branch, inside) for branch in value[1]):
                    return True
            elif name == "SUBPATTERN":
                if visit(value[3], inside):
                    return True
            elif name in ("ASSERT", "ASSERT_NOT") and visit(value[1], inside):
                return True
        return False

    tree: Any = cast(Any, _parser).parse(pattern)
    return visit(tree, False) or repeats > 3


def may_take_long(schema: Any, data: Any) -> bool:
    """Whether checking this value could take more than a moment, so that it has to happen where it can be stopped."""
    patterns: list[str] = []
    recursive = False
    for _, key, value in _walk(schema):
        if key == "pattern" and isinstance(value, str):
            patterns.append(value)
        elif key == "patternProperties" and isinstance(value, dict):
            patterns += cast(dict[str, Any], value)
        elif key in ("$ref", "$dynamicRef"):
            recursive = True
    nodes, depth, longest = _measure(data)
    if nodes > 10_000 or (recursive and depth > 12):
        return True
    return bool(patterns) and (longest > 500 or any(_explosive(p) for p in patterns))


def _measure(data: Any) -> tuple[int, int, int]:
    """(values, depth, longest string) of a JSON value."""
    todo: list[tuple[Any, int]] = [(data, 0)]
    nodes = deepest = longest = 0
    while todo:
        node, depth = todo.pop()
        nodes, deepest = nodes + 1, max(deepest, depth)
        if isinstance(node, str):
            longest = max(longest, len(node))
        elif isinstance(node, dict):
            for key, value in cast(dict[str, Any], node).items():
                longest = max(longest, len(key))
                todo.append((value, depth + 1))
        elif isinstance(node, list):
            todo += [(value, depth + 1) for value in cast(list[Any], node)]
    return nodes, deepest, longest


def explain_mismatch(schema: Any, data: Any) -> str:
    """Where the value breaks the schema, in one line; empty where it does not. Fetches nothing."""
    import referencing
    from jsonschema import exceptions

    empty: Any = cast(Any, referencing).Registry()  # knows no way to the network; jsonschema's own default does
    error = cast(Any, exceptions).best_match(_class_for(schema)(schema, registry=empty).iter_errors(data))
    if error is None:
        return ""
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
    message = " ".join(str(error.message).split())
    return f"${place}: {message if len(message) <= 200 else message[:120] + ' ... ' + message[-60:]}"


def matches_schema(answer: Answer, task: Task) -> str | Awaitable[str]:
    """The answer holds JSON, and it is what the schema says. No schema: nothing to check."""
    if task.schema is None:
        return ""
    try:
        data = parse_json(answer.text)
    except ValueError as error:
        return str(error)
    return mismatch(json.loads(json.dumps(task.schema)), data)


def mismatch(schema: Any, data: Any) -> str | Awaitable[str]:
    """Why the value is not what a sound schema says; empty where it is. Never takes long: a hard one is stopped."""
    if may_take_long(schema, data):
        return _elsewhere(schema, data)
    try:
        return explain_mismatch(schema, data)
    except RecursionError:
        return "the JSON is nested too deeply to be checked"


async def _elsewhere(schema: Any, data: Any) -> str:
    """The same in a child process, which can be stopped in the middle of a match; a regular expression cannot."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {_ROOT!r}); from {__name__} import answer_parent; answer_parent()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(_CHILD_SECONDS):
            said, _ = await child.communicate(json.dumps([schema, data]).encode())
    except TimeoutError:
        return f"checking it against the schema takes longer than {_CHILD_SECONDS:g} s"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        return "it could not be checked against the schema"
    return said.decode("utf-8", "replace").strip()


def answer_parent() -> None:
    """The child: [schema, data] in, the mismatch out; it ends by itself if the parent does not live to stop it."""
    import resource

    seconds = int(_CHILD_SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    schema, data = json.loads(sys.stdin.read())
    sys.stdout.write(explain_mismatch(schema, data))


def _bad(why: str) -> UsageError:
    return UsageError(f"The schema cannot be used: {why}.", remedy="Mend the schema, or ask without one.")
