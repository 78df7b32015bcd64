"""What a stronger model would add on a prompt, guessed from the prompt alone, before anything is called.

The guess is a ridge regression of (strong right) - (weak right) on the prompt's length, its shape and its words. Length
is hardly penalised, so that with few rows the guess falls back to "longest prompt first" or its opposite, whichever
the rows show. It is fitted on rows of the pair and the kind of task it is used for: on kinds it has not seen it does
not beat the length (docs/confidence.md), so no weights are shipped. Used by benchmarks and scripts only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

_TOKENS = re.compile(r"[a-z']+|\d+|[^\sa-z\d]")
_WORDS = re.compile(r"[A-Za-z']+")
_NUMBERS = re.compile(r"\d[\d,]*(?:\.\d+)?")
_OPTIONS = re.compile(r"(?m)^ {0,4}\(?[A-J][.)] +(.{0,400})")
_ENDS = re.compile(r"[.!?](?:\s|$)")
_NEGATED = re.compile(r"\b(?:except|not|never|false|incorrect|least|unlikely|cannot)\b", re.IGNORECASE)
_PASSAGE = re.compile(r"\b(?:passage|excerpt|following information|according to|article|document)\b", re.IGNORECASE)
_PAIRED = re.compile(r"\b(?:both|neither|only|respectively|statement|[iv]+ and [iv]+)\b", re.IGNORECASE)
_CODE = re.compile(r"\b(?:def|class|assert|return|import|function|void|int)\b|[{};]")
_QUANTITIES = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|half|third|quarter|twice|double|triple|"
    r"hundred|thousand)s?\b",
    re.IGNORECASE,
)
_RATES = re.compile(r"\b(?:each|every|per|apiece|times|rate)\b", re.IGNORECASE)
_COMPARED = re.compile(r"\b(?:more|less|fewer|older|younger|longer|shorter|remaining|rest|left|than)\b", re.IGNORECASE)
_UNITS = re.compile(r"\b(?:hour|minute|second|day|week|month|year|cent|inch|feet|foot|mile)s?\b", re.IGNORECASE)
_STEPS = re.compile(r"\b(?:if|then|when|after|before|while|until|first|next|later)\b", re.IGNORECASE)
_PERCENT = re.compile(r"%|\bpercent", re.IGNORECASE)
_SYMBOLS = re.compile(r"[\\^$_=]|\bfrac\b")
_HEAD = 20_000  # characters that are looked at; the length counts whole

TERMS = 1500  # at the most; a term must stand in _ROWS rows
_ROWS = 3
_PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0, 100000.0)
_FOLDS = 4


def shape(text: str) -> list[float]:
    """Figures of a prompt's form; the first is its length. No word of it."""
    head = text[:_HEAD]
    words, numbers, options = _WORDS.findall(head), _NUMBERS.findall(head), _OPTIONS.findall(head)
    size, count, offered = max(len(head), 1), max(len(words), 1), max(len(options), 1)
    sentences = [s for s in _ENDS.split(head) if s.strip()] or [""]
    largest = max((float(n.replace(",", "")[:15]) for n in numbers), default=0.0)
    quantities = len(_QUANTITIES.findall(head))
    counted = [_RATES, _COMPARED, _UNITS, _STEPS, _PERCENT, _SYMBOLS, _CODE, _NEGATED, _PAIRED]
    return [
        math.log1p(len(text)),
        *(math.log1p(len(pattern.findall(head))) for pattern in counted),
        math.log1p(len(numbers)),
        math.log1p(quantities),
        math.log1p(len(numbers) + quantities),
        math.log1p(sum(bool(_NUMBERS.search(s) or _QUANTITIES.search(s)) for s in sentences)),
        len(numbers) / count,
        len(set(numbers)) / max(len(numbers), 1),
        math.log1p(largest),
        math.log(len(sentences)),
        math.log(count / len(sentences)),
        math.log1p(len(sentences[-1])),
        sum(map(len, words)) / count,
        len({w.lower() for w in words}) / count,
        sum(len(w) > 7 for w in words) / count,
        sum(c.isupper() for c in head) / size,
        sum(not c.isalnum() and not c.isspace() for c in head) / size,
        math.log1p(head.count("\n")),
        math.log1p(head.count(",")),
        float(_PASSAGE.search(head) is not None),
        float('"' in head or "“" in head),
        float("__" in head),
        float(bool(options)),
        math.log1p(sum(map(len, options)) / offered),
        sum(any(c.isdigit() for c in o) for o in options) / offered,
        sum("," in o or " and " in o for o in options) / offered,
    ]


def terms(text: str) -> frozenset[str]:
    """Words and pairs of words; every number is the same word, for which number it is says nothing."""
    tokens = ["#" if t[0].isdigit() else t for t in _TOKENS.findall(text[:_HEAD].lower())]
    return frozenset((*tokens, *(f"{a} {b}" for a, b in pairwise(tokens))))


@dataclass(frozen=True, slots=True)
class Prompts:
    """Features of many prompts, made once: (rows x figures), and the terms of each row."""

    shapes: Floats = field(repr=False)
    terms: tuple[frozenset[str], ...] = field(repr=False)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Prompts:
        return cls(np.array([shape(t) for t in texts], dtype=np.float64), tuple(terms(t) for t in texts))

    def at(self, places: NDArray[np.intp]) -> Prompts:
        return Prompts(self.shapes[places], tuple(self.terms[int(p)] for p in places))


@dataclass(frozen=True, slots=True)
class Gain:
    """The fitted guess for several pairs of models.

    held: (rows x pairs), for each row it was fitted on the guess of a fit without that row's fold. With it one can
    choose between this guess and another without looking at any other row.
    """

    vocabulary: dict[str, int] = field(repr=False)
    middle: Floats = field(repr=False)
    spread: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    mean: Floats
    penalties: tuple[float, ...]
    held: Floats = field(repr=False)

    def guess(self, prompts: Prompts) -> Floats:
        """(rows x pairs): the expected gain in right answers, about -1 to 1. Higher: ask the stronger model."""
        return _matrix(prompts, self.vocabulary, self.middle, self.spread) @ self.weights + self.mean


def fit(prompts: Prompts, gains: Floats) -> Gain:
    """gains: (rows x pairs), (strong right) - (weak right). Each pair's penalty is chosen on left-out rows.

    Any other figure of a row between -1 and 1 can be guessed the same way, as whether the weak model is right.
    """
    seen = Counter[str]()
    for row in prompts.terms:
        seen.update(row)
    common = sorted((t for t, n in seen.items() if n >= _ROWS), key=lambda t: (-seen[t], t))[:TERMS]
    vocabulary = {t: place for place, t in enumerate(sorted(common))}
    middle, spread = prompts.shapes.mean(axis=0), prompts.shapes.std(axis=0) + 1e-9
    table = _matrix(prompts, vocabulary, middle, spread)
    rows, pairs = gains.shape
    folds = [row * 7919 % 104729 % _FOLDS for row in range(rows)]
    guesses = np.zeros((len(_PENALTIES), rows, pairs))
    for left_out in range(_FOLDS):
        kept = np.array([f != left_out for f in folds], dtype=np.bool_)
        held = np.array([f == left_out for f in folds], dtype=np.bool_)
        mean = gains[kept].mean(axis=0)
        for place, weights in enumerate(_solve(table[kept], gains[kept] - mean, _PENALTIES)):
            guesses[place, held] = table[held] @ weights + mean
    best = [_modest((guesses[:, :, pair] - gains[:, pair]) ** 2) for pair in range(pairs)]
    penalties = tuple(_PENALTIES[b] for b in best)
    mean = gains.mean(axis=0)
    weights = np.zeros((table.shape[1], pairs))
    for penalty, found in zip(sorted(set(penalties)), _solve(table, gains - mean, sorted(set(penalties))), strict=True):
        chosen = [p == penalty for p in penalties]
        weights[:, chosen] = found[:, chosen]
    held = guesses[np.array(best), :, np.arange(pairs)].T
    return Gain(vocabulary, middle, spread, weights, mean, penalties, held)


def _modest(errors: Floats) -> int:
    """Of (penalties x rows), the highest penalty whose error is within one standard error of the least one.

    On the tables at hand the least error alone follows noise: with 300 rows it lost up to 0.1 APGR to the length.
    """
    least = int(errors.mean(axis=1).argmin())
    for place in range(len(errors) - 1, least, -1):
        above = errors[place] - errors[least]
        if above.mean() <= above.std() / len(above) ** 0.5:
            return place
    return least


def _matrix(prompts: Prompts, vocabulary: dict[str, int], middle: Floats, spread: Floats) -> Floats:
    """Shapes standardised, then terms scaled so that a row's words together weigh as much as ten figures."""
    figures = prompts.shapes.shape[1]
    table = np.zeros((len(prompts.terms), figures + len(vocabulary)), dtype=np.float64)
    table[:, :figures] = np.clip((prompts.shapes - middle) / spread, -4, 4)
    for row, found in enumerate(prompts.terms):
        places = [vocabulary[t] + figures for t in found if t in vocabulary]
        if places:
            table[row, places] = (10 / len(places)) ** 0.5
    return table


def _solve(table: Floats, targets: Floats, penalties: Sequence[float]) -> list[Floats]:
    """Ridge weights (columns x targets) for each penalty, by the smaller of the two normal equations."""
    height, width = table.shape
    found: list[Floats] = []
    if width <= height:
        square, right = table.T @ table, table.T @ targets
        for penalty in penalties:
            scale = np.full(width, penalty)
            scale[0] = 1.0  # the length: hardly any
            found.append(np.linalg.solve(square + np.diag(scale), right))
        return found
    rest, length = table[:, 1:] @ table[:, 1:].T, np.outer(table[:, 0], table[:, 0])
    for penalty in penalties:
        dual = np.linalg.solve(rest / penalty + length + np.eye(height), targets)
        weights = table.T @ dual
        weights[1:] /= penalty
        found.append(weights)
    return found
