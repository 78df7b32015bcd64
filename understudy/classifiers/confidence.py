"""How likely it is that an answer is right, from what is at hand: token log-probabilities, more samples, a self-score.

Each estimator turns what it saw into a probability by a rule without parameters of its own; a policy may lay a curve
measured on its own tasks over it (types.Confidence.curves). Nothing here makes a call: director/confidence.py does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from understudy.classifiers.calibration import Isotonic
from understudy.types import Amount, Confidence

ESTIMATORS = ("validators", "logprobs", "self_score", "samples", "second")
# A test of the task's own that an answer has passed; that it compiles, has a form or a language says little of it.
DECISIVE = frozenset({"tests_pass"})
PASSED = 0.95  # tests may test too little
MOST_SAMPLES = 9
ALIKE = 0.6  # share of common words from which two longer answers say the same
SHORT = 12  # words up to which an answer is compared as a whole

_CHOICE = re.compile(r"(?:^|answer(?: is)?:?\s*|option\s+)\(?([A-J])\)?(?=[\s.,:;)]|$)", re.IGNORECASE)
_ONLY_CHOICE = re.compile(r"^\W*([A-J])\W*$", re.IGNORECASE)
_STATED = re.compile(r"(?:####|\\boxed\{|(?:final )?answer(?: is)?\s*[:=]?)\s*\$?(-?\d[\d,]*(?:\.\d+)?)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the", "is", "it", "its", "answer", "of"})
_SCORE = re.compile(r"(?<![\d.])(\d)(?!\d|\.\d|\s*/)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """probability that the answer is right; by: the estimator; cost: of the calls made for it."""

    probability: float
    by: str
    cost: Amount = field(default_factory=Amount)
    calls: int = 0


def key_of(answer: str) -> str | None:
    """What a short, numeric or multiple-choice answer comes down to; None for a longer text."""
    text = answer.strip()
    if found := _ONLY_CHOICE.match(text):
        return f"choice {found[1].upper()}"
    if stated := _STATED.findall(text):
        return f"number {_plain(stated[-1])}"
    if chosen := [c for c in _CHOICE.findall(text) if c.isupper()]:
        return f"choice {chosen[-1]}"
    words = [w for w in _WORD.findall(text.lower()) if w not in _ARTICLES]
    numbers = _NUMBER.findall(text)
    if len(numbers) == 1 and len(words) <= SHORT:
        return f"number {_plain(numbers[0])}"
    return f"words {' '.join(words)}" if len(words) <= SHORT else None


def same(one: str, other: str) -> bool:
    """Whether two answers say the same: by what they come down to, else by most of their words.

    Two texts that agree in most words may differ in the one that matters, so for longer answers this is a weak sign.
    """
    objects = _object(one), _object(other)
    if objects[0] is not None or objects[1] is not None:
        return objects[0] == objects[1]
    keys = key_of(one), key_of(other)
    if keys[0] is not None and keys[1] is not None:
        return keys[0] == keys[1] or _within(keys[0], keys[1])
    first, second = set(_WORD.findall(one.lower())), set(_WORD.findall(other.lower()))
    return bool(first | second) and len(first & second) / len(first | second) >= ALIKE


def agreement(answer: str, others: Sequence[str]) -> float:
    """By the rule of succession, the answer itself a vote: three that agree are 0.8, two of three 0.6."""
    return (1 + sum(same(answer, other) for other in others) + 1) / (1 + len(others) + 2)


def of_logprob(mean: float) -> float:
    """The mean probability of a token, geometrically: exp of the mean log-probability."""
    return math.exp(min(0.0, mean))


def of_self_score(said: str) -> float | None:
    """From the digit a model gives its own answer, 0 to 9, drawn in from the ends; None where there is no digit."""
    found = _SCORE.search(said)
    return None if found is None else (int(found[1]) + 1) / 11


def curved(estimate: Estimate, confidence: Confidence) -> Estimate:
    """With the policy's own curve for this estimator, where it has one."""
    for by, knots in confidence.curves:
        if by == estimate.by and knots:
            curve = Isotonic(tuple(k[0] for k in knots), tuple(k[1] for k in knots))
            return Estimate(curve(estimate.probability), estimate.by, estimate.cost, estimate.calls)
    return estimate


def wrong_with(confidence: Confidence) -> str:
    """What is wrong with a policy's wish, or the empty string."""
    unknown = [e for e in confidence.estimators if e not in ESTIMATORS]
    if unknown:
        return f"There is no estimator {unknown[0]!r}; known: {', '.join(ESTIMATORS)}."
    if not confidence.estimators:
        return "It names no estimator."
    if not 0 < confidence.threshold < 1:
        return f"The threshold {confidence.threshold} is not between 0 and 1."
    if not 2 <= confidence.samples <= MOST_SAMPLES:
        return f"{confidence.samples} samples: it takes 2 to {MOST_SAMPLES}."
    curved_by = {by for by, _ in confidence.curves}
    for name, votes in (("samples", confidence.samples), ("second", 2)):
        most = (votes + 1) / (votes + 2)
        if name in confidence.estimators and name not in curved_by and most < confidence.threshold - 1e-9:
            return f"{votes} answers that agree are {most:.2f}: {confidence.threshold} is never reached by {name}."
    for by, knots in confidence.curves:
        if by not in ESTIMATORS or any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(knots)):
            return f"The curve of {by!r} does not rise, or belongs to no estimator."
    return ""


def _object(text: str) -> object | None:
    """The JSON object or list a text is, in a fence or without."""
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not bare.startswith(("{", "[")):
        return None
    try:
        return json.loads(bare)
    except ValueError:
        return None


def _plain(number: str) -> str:
    value = float(number.replace(",", ""))
    return f"{value:.10g}"


def _within(one: str, other: str) -> bool:
    """Paris; Paris, France: one short answer names the other and adds to it."""
    first, second = one.removeprefix("words ").split(), other.removeprefix("words ").split()
    if not (one.startswith("words ") and other.startswith("words ")) or not first or not second:
        return False
    less, more = sorted((first, second), key=len)
    return " ".join(less) in " ".join(more) and "not" not in more
