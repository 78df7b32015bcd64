"""Redaction: what the detectors saw goes out as placeholders, and comes back into the answer on this machine.

Off unless the user turns it on. The values live in memory, as long as their task. A task with a secret in it, or with
something that no placeholder can stand for, is not redacted: it stays on this machine.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from understudy.classifiers.detectors.scan import listed
from understudy.classifiers.gate import Gate
from understudy.types import Check, Sensitivity, Span, Task, Verdict

# What a placeholder can stand for: values. Secrets never go, and words about health or pay are no values.
REPLACED = frozenset(
    listed(
        "address|age|bank_account|card|date|date_of_birth|email|iban|identity_paper|ip|location|mac|name|national_id|"
        "phone|place|plate"
    )
)
BY_OTHERS = frozenset(("label", "session", "path"))  # reasons that are somebody's word: no detector may overrule it
SHORT = 6  # characters below which a value is looked for as a whole word only
_NUMBER = re.compile(r"\+?\(?\d[\d ().\-/]{4,40}\d")


@dataclass(frozen=True, slots=True)
class Redaction:
    """A task as it may be sent, and what its placeholders stand for."""

    task: Task  # with placeholders
    original: Task
    verdict: Verdict  # of the original
    values: Mapping[str, str] = field(repr=False)  # by placeholder without its brackets

    @property
    def told(self) -> Verdict:
        """For the provenance: private, with the kinds that were replaced and how many of each."""
        return replace(self.verdict, reasons=(*self.verdict.reasons, f"redacted:{self.summary}"))

    @property
    def summary(self) -> str:
        kinds = Counter(name.rpartition("_")[0].lower() for name in self.values)
        return ",".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))

    def restored(self, text: str) -> str:
        """The text with the values in the places of their placeholders; inside of JSON, written as JSON does."""
        as_json = self.original.schema is not None

        def value(match: re.Match[str]) -> str:
            found = self.values[(match[1] or match[2]).upper()]
            return json.dumps(found, ensure_ascii=False)[1:-1] if as_json else found

        return self._placeholders.sub(value, text)

    def hidden(self, check: Check) -> Check:
        """A check whose reason goes back to who answered: it may quote what was restored."""
        return replace(check, reason=_replace_all({v: k for k, v in self.values.items()})(check.reason))

    @property
    def _placeholders(self) -> re.Pattern[str]:
        names = "|".join(sorted(self.values, key=len, reverse=True))
        return re.compile(rf"\\?\[ ?({names}) ?\\?\]|(?<![A-Za-z0-9_])({names})(?![0-9])", re.IGNORECASE)


def redact(gate: Gate, task: Task, verdict: Verdict) -> Redaction | None:
    """The task as it may be sent; None when it may not be, and stays on this machine."""
    if task.chat is not None or not verdict.reasons or BY_OTHERS & set(verdict.reasons):
        return None
    texts = list(_texts(task))
    kinds: dict[str, str] = {}
    for text in texts:
        for span in _merged(gate.look(text)):
            if span.type not in REPLACED:
                return None
            kinds.setdefault(text[span.start : span.end].strip(), span.type)
    kinds.pop("", None)
    if not kinds:
        return None
    names = _named(kinds, texts)
    sent = _mapped(task, _replace_all(names))
    left = list(_texts(sent))
    if any(value in text for value in names if len(value) >= SHORT for text in left) or _has_parts(names, left):
        return None
    # Whatever the detectors see in the words that are left keeps all of it here.
    if gate.judge(sent).sensitivity is Sensitivity.PRIVATE:
        return None
    return Redaction(replace(sent, plan=False), task, verdict, {name: value for value, name in names.items()})


def _has_parts(names: Mapping[str, str], texts: list[str]) -> bool:
    """Whether a number is left that holds one of the values' own, or is a part of it."""
    whole = [digits for digits in map(_digits, names) if len(digits) >= SHORT]
    if not whole:
        return False
    numbers = {_digits(match.group()) for text in texts for match in _NUMBER.finditer(text)}
    return any(n in digits or digits in n for n in numbers if len(n) >= SHORT for digits in whole)


def _named(kinds: Mapping[str, str], texts: list[str]) -> dict[str, str]:
    """A name for each value that stands nowhere in the task, by value."""
    whole = "\n".join(texts).upper()
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for value, kind in kinds.items():
        while True:
            counts[kind] += 1
            name = f"{kind.upper()}_{counts[kind]}"
            if name not in whole:
                names[value] = name
                break
    return names


def _replace_all(names: Mapping[str, str]) -> Callable[[str], str]:
    """Puts placeholders for the values, wherever they stand; numbers also where they are written in other groups."""
    by_digits = {_digits(value): name for value, name in names.items() if len(_digits(value)) >= SHORT + 1}
    whole = re.compile("|".join(map(_pattern, sorted(names, key=len, reverse=True)))) if names else None

    def number(match: re.Match[str]) -> str:
        # Which group it was written in does not come back: the value that was seen first does.
        name = by_digits.get(_digits(match.group()))
        return f"[{name}]" if name is not None else match.group()

    def placed(text: str) -> str:
        if whole is None:
            return text
        text = whole.sub(lambda m: f"[{names[m.group()]}]", text)
        return _NUMBER.sub(number, text) if by_digits else text

    return placed


def _pattern(value: str) -> str:
    bare = re.escape(value)
    return bare if len(value) >= SHORT else rf"(?<![^\W_]){bare}(?![^\W_])"


def _digits(value: str) -> str:
    return "".join(c for c in value if c.isdecimal()) if not any(c.isalpha() for c in value) else ""


def _merged(spans: tuple[Span, ...]) -> Iterator[Span]:
    """Spans that overlap or touch as one; a kind that cannot be replaced prevails."""
    group: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if group and span.start >= max(s.end for s in group):
            yield _joined(group)
            group = []
        group.append(span)
    if group:
        yield _joined(group)


def _joined(group: list[Span]) -> Span:
    kept = [s for s in group if s.type not in REPLACED]
    kind = kept[0].type if kept else max(group, key=lambda s: s.end - s.start).type
    return Span(group[0].start, max(s.end for s in group), kind)


def _texts(task: Task) -> Iterator[str]:
    """Every string of the task that a request would carry."""
    yield task.text
    yield task.instructions
    for attachment in task.files:
        yield attachment.path
        yield attachment.text
    for turn in task.history:
        yield turn.user
        yield turn.assistant
    if task.schema is not None:
        yield json.dumps(task.schema, default=str, ensure_ascii=False)


def _mapped(task: Task, change: Callable[[str], str]) -> Task:
    return replace(
        task,
        text=change(task.text),
        instructions=change(task.instructions),
        files=tuple(replace(file, path=change(file.path), text=change(file.text)) for file in task.files),
        history=tuple(replace(turn, user=change(turn.user), assistant=change(turn.assistant)) for turn in task.history),
        schema=None if task.schema is None else cast("Mapping[str, Any]", _in_strings(task.schema, change)),
    )


def _in_strings(value: object, change: Callable[[str], str]) -> object:
    """The same data with every string in it changed, names of fields too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {_in_strings(key, change): _in_strings(inner, change) for key, inner in pairs}
    if isinstance(value, list | tuple):
        return [_in_strings(inner, change) for inner in cast("list[object]", value)]
    return value
