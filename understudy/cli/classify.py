"""understudy classify: what the gate and the local scorer say of texts. No network, no key, no configuration."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from understudy.cli.ending import USAGE
from understudy.cli.reading import read_task_text
from understudy.cli.render import plural, table
from understudy.cli.terminal import hint, one_line, say
from understudy.config.reading import LARGEST
from understudy.errors import UsageError
from understudy.types import Intent, Sensitivity

if TYPE_CHECKING:
    from understudy.classifiers.gate import Gate, OperatingPoint
    from understudy.classifiers.local import LocalScorer

LONGEST = 4 * LARGEST  # bytes of a line: a text of LARGEST may be written with escapes
REMEDY = 'Write {"id": ..., "text": "..."}.'
Record = dict[str, Any]


def classify(words: Sequence[str], jsonl: str | None, operating_point: str, *, as_json: bool) -> int:
    """One text, or one for each line of a file of {id, text}. Exit code 2 when a line was no such object."""
    if words and jsonl is not None:
        raise UsageError("There are a text and a file.", remedy="Give one of them.")
    if not words and jsonl is None:
        raise UsageError("There is nothing to classify.", remedy="Give a text, - for standard input, or --jsonl FILE.")
    reader = Reader.open(operating_point)
    if jsonl is None:
        found = reader.read(read_task_text(words))
        say(json.dumps({"id": None, **found}) if as_json else _sheet(found))
        return 0
    bad = lines = 0
    with _open(jsonl) as file:
        for number, line in _lines(file, jsonl):
            lines += 1
            record: Record = {"id": None, "line": number}
            try:
                fields = _object(line)
                record["id"] = _name(fields)
                record = {"id": record["id"], **reader.read(_text(fields))}
            except UsageError as error:
                bad += 1
                told = {"type": "UsageError", "message": f"Line {number} {error.message}", "remedy": error.remedy}
                record["error"] = told
            # The line and its end are one write: an interrupt leaves whole lines.
            say((json.dumps(record) if as_json else _brief(record)) + "\n", end="")
    if bad:
        hint(f"understudy: {bad} of {plural(lines, 'line')} could not be read.")
    return USAGE if bad else 0


class Reader:
    """Gate and scorer, once for many texts."""

    def __init__(self, gate: Gate, scorer: LocalScorer) -> None:
        self._gate, self._scorer = gate, scorer
        scorer.guess("warm")  # numpy's first product loads its threads: not the time of the first text

    @classmethod
    def open(cls, operating_point: str) -> Reader:
        """Raises ConfigError for an unknown operating point, StoreError without the weights."""
        from understudy.classifiers.gate import Gate
        from understudy.classifiers.local import LocalScorer

        return cls(Gate(operating_point=cast("OperatingPoint", operating_point)), LocalScorer.load())

    def read(self, text: str) -> Record:
        """As a task's way would have it: what the gate calls private is `private`, whatever the scorer guesses."""
        begin = time.perf_counter_ns()
        spans = self._gate.look(text)
        guess = self._scorer.guess(text)
        took = time.perf_counter_ns() - begin
        own: Record = {"intent": guess.intent, "probability": round(guess.probability, 4), "abstain": guess.abstain}
        private = {"intent": Intent.PRIVATE, "probability": 1.0, "abstain": False}
        return {
            **(private if spans else own),
            "sensitivity": Sensitivity.PRIVATE if spans else Sensitivity.PUBLIC,
            "spans": [{"start": s.start, "end": s.end, "type": s.type} for s in spans],
            "guess": own,
            "microseconds": took // 1000,
        }


def _open(path: str) -> BinaryIO:
    """The file, or standard input for "-". Raises UsageError naming it."""
    if path == "-":
        if sys.stdin is None or sys.stdin.closed:  # pyright: ignore[reportUnnecessaryComparison]
            raise UsageError("There is no standard input.", remedy="Give a file.")
        return sys.stdin.buffer
    try:
        return Path(path).expanduser().open("rb")
    except FileNotFoundError:
        raise UsageError(f"There is no file {path[:200]}.", remedy="Check its name.") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(name: str, error: Exception) -> UsageError:
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a path"
    return UsageError(f"{name[:200]!r} cannot be read ({why}).", remedy="Give another file.")


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1. What is longer than LONGEST comes cut off."""
    number = 0
    while line := _next(file, name):
        number += 1
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = _next(file, name)
        if line.strip():
            yield number, line


def _next(file: BinaryIO, name: str) -> bytes:
    try:
        return file.readline(LONGEST + 1)
    except OSError as error:
        raise _unreadable(name, error) from None


def _object(line: bytes) -> Record:
    """Raises UsageError, whose words repeat nothing of the line."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    if len(line) > LONGEST:
        raise UsageError(f"is longer than {LONGEST // 1_000_000} MB.", remedy="Give a part of it.")
    try:
        found: Any = json.loads(line.decode("utf-8-sig"), parse_constant=refuse)
    except UnicodeDecodeError:
        raise UsageError("is no UTF-8 text.", remedy="Convert the file.") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"is not JSON: {error.msg} at column {error.colno}.", remedy=REMEDY) from None
    except (ValueError, RecursionError):
        raise UsageError("is not JSON.", remedy=REMEDY) from None
    if not isinstance(found, dict):
        raise UsageError("is no object.", remedy=REMEDY)
    return cast("Record", found)


def _name(fields: Record) -> str | int | float | None:
    name = fields.get("id")
    if isinstance(name, bool) or not isinstance(name, str | int | float | None):
        raise UsageError("has an id that is neither a string nor a number.", remedy=REMEDY)
    return name


def _text(fields: Record) -> str:
    text = fields.get("text")
    if not isinstance(text, str):
        raise UsageError("has no text." if text is None else "has a text that is no string.", remedy=REMEDY)
    return text


def _sheet(found: Record) -> str:
    guess = found["guess"]
    own = "" if guess["intent"] == found["intent"] else f"the scorer alone says {_sure(guess)}"
    rows = [
        ("intent", _sure(found), own),
        ("sensitivity", found["sensitivity"], _spans(found)),
        ("time", f"{found['microseconds']:,} µs", ""),
    ]
    return table(("what", "it is", "seen"), rows)


def _brief(record: Record) -> str:
    if "error" in record:
        return f"line {record['line']}  error  {one_line(record['error']['message'])}"
    name = "-" if record["id"] is None else one_line(str(record["id"]))
    return "  ".join(part for part in (name, _sure(record), record["sensitivity"], _spans(record)) if part)


def _sure(guess: Record) -> str:
    return f"{guess['intent']} {guess['probability']:.2f}" + (" (abstains)" if guess["abstain"] else "")


def _spans(found: Record) -> str:
    return ", ".join(f"{span['type']} {span['start']}-{span['end']}" for span in found["spans"])
