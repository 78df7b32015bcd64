"""What is wrong with a table somebody wrote, in words: the key, the nearest known one, what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from understudy.config.pasted import shown

MOST = 5  # slips told at once
MANY = 16  # words from which a list of all of them helps nobody


def slips(error: ValidationError, shape: type[BaseModel]) -> str:
    """The first few, each with its place. No value but a mistaken word is repeated: others may be secrets."""
    return "; ".join(_slip(dict(e), shape) for e in error.errors(include_url=False)[:MOST])


def no_such(noun: str, word: str, known: Sequence[str]) -> str:
    """There is no fault overlod; did you mean overload?"""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    there = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    return f"there is no {noun} {shown(word)}" + (f"; {there}" if near or len(known) <= MANY else "")


def _slip(error: dict[str, Any], shape: type[BaseModel]) -> str:
    place = ".".join(str(p) for p in error["loc"] if p != "[key]") or "the table"
    if error["type"] == "extra_forbidden":
        fields = _shape_at(shape, error["loc"][:-1]).model_fields.items()
        known = sorted(f.alias or name for name, f in fields)
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.5)
        return f"unknown key {place}" + (f", did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")
    if error["type"] == "literal_error":
        return f"{place}: {_no_such_word(error, shape)}"
    return f"{place}: {str(error['msg']).removeprefix('Value error, ')}"


def _no_such_word(error: dict[str, Any], shape: type[BaseModel]) -> str:
    """Of one of several words; the field says what they are names of."""
    *above, name = error["loc"]
    fields = _shape_at(shape, tuple(above)).model_fields.items()
    noun = next((f.title for known, f in fields if name in (known, f.alias)), None)
    noun = noun or str(name)
    if not isinstance(error["input"], str):
        return f"write the name of a {noun}"
    return no_such(noun, error["input"], re.findall(r"'([^']*)'", error["ctx"]["expected"]))


def _shape_at(shape: type[BaseModel], place: tuple[Any, ...]) -> type[BaseModel]:
    """The model that stands at a place of another; numbers and names of a list's or a mapping's items are passed by."""
    for part in place:
        field = next((f for name, f in shape.model_fields.items() if part in (name, f.alias)), None)
        if field is not None and (inner := _model_in(field.annotation)) is not None:
            shape = inner
    return shape


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)
