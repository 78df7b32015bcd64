"""Fitting the local scorer, and measuring it on sources it has not seen. Used by scripts and benchmarks only."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.classifiers import examples, features
from understudy.classifiers.local import INTENTS
from understudy.errors import UsageError
from understudy.types import Intent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

OWN = "written for the project"
# Licences under which a row may shape shipped weights. "CC BY-" would be a restricted variant.
_FREE = ("MIT", "Apache-2.0", "CC BY 3.0", "CC BY 4.0")
# Problem texts that are not the repository's to license.
_THIRD_PARTY = ("LeetCode weekly",)
# A plain example counts less than one with a document or a call in it: there are many, and they are all alike. Chosen,
# with the decays of `fit`, by accuracy on sources left out; 1.0 costs one point there.
_PLAIN = 0.4
# The share of answers that shall be right on a source never seen, and what is asked of the sources at hand beyond it:
# thresholds chosen on some sources promise a little too much for others.
TARGET, MARGIN = 0.95, 0.025
# No intent may live on the others' accuracy: alone it has to reach this.
EACH = 0.85
_LETTER = {intent: place for place, intent in enumerate(INTENTS)}


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text."""

    text: str = field(repr=False)
    intent: Intent
    source: str
    trainable: bool
    group: str  # what counts as one source when features are chosen
    weight: float = 1.0  # within its intent and source


def family(source: str) -> str:
    """Sources of one origin are one: a model that saw the Python half of a set has seen the Java half."""
    return source.split(" ", 1)[0]


def own_rows(*, held_out: bool) -> list[Row]:
    """The written examples that are, or are not, kept out of training."""
    return [
        Row(e.text, e.intent, OWN, True, f"{OWN} {e.number % 4}", (_PLAIN if e.plain else 1.0) / e.copies**0.5)
        for e in examples.read()
        if e.held_out == held_out and e.intent in _LETTER
    ]


def public_rows(data: Path) -> list[Row]:
    """Rows of DATA/routing/dev.jsonl.gz with an intent the scorer answers. Raises UsageError for a wrong folder."""
    rows: list[Row] = []
    known = {i.value for i in INTENTS}
    for row in _read(data / "routing" / "dev.jsonl.gz", ("text", "label", "source", "licence")):
        if row["label"] in known:
            source = str(row["source"])
            free = str(row["licence"]).startswith(_FREE) and not source.startswith(_THIRD_PARTY)
            rows.append(Row(row["text"], Intent(row["label"]), source, free, family(source)))
    return rows


# Tables made for other ends, whose questions have an intent by what they were made for. They only ever measure.
_OTHERS = (
    ("quality/llmrouter9.jsonl.gz", "dataset", "math", "prompt", "MATH", Intent.REASONING),
    ("quality/llmrouter9.jsonl.gz", "dataset", "openbook_qa", "prompt", "OpenBookQA", Intent.QUICK_QA),
    ("quality/llmrouter9.jsonl.gz", "dataset", "commonsense_qa", "prompt", "CommonsenseQA", Intent.QUICK_QA),
    ("quality/mot_cascade.jsonl.gz", "dataset", "mot/date", "prompt", "BIG-bench dates", Intent.REASONING),
    ("quality/mot_cascade.jsonl.gz", "dataset", "mot/crepe", "prompt", "CREPE", Intent.REASONING),
    ("quality/debugbench.jsonl.gz", "dataset", "debugbench/cpp", "prompt", "DebugBench cpp", Intent.CODE_REVIEW),
)
_MOST = 100  # rows of each


def other_rows(data: Path) -> list[Row]:
    """Questions of the quality tables as sources that are never trained on. Raises UsageError for a wrong folder."""
    rows: list[Row] = []
    for name, field_of, value, text, source, intent in _OTHERS:
        found = [row[text] for row in _read(data / name, (field_of, text)) if row[field_of] == value]
        rows += [Row(one, intent, source, False, family(source)) for one in found[:_MOST]]
    return rows


def _read(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row: dict[str, Any] = json.loads(line)
                if any(name not in row for name in fields):
                    raise ValueError
                yield row
    except (OSError, ValueError, TypeError):
        raise UsageError(
            f"{path} is not a file of labelled rows.", remedy="Pass the data folder with --data."
        ) from None


Memo = dict[str, tuple[list[float], list[int]]]


def fill(rows: Iterable[Row], memo: Memo) -> None:
    """Reads all texts once; a changed copy of the memo then trains a scorer that sees less."""
    for row in rows:
        _extract(row.text, memo)


def _extract(text: str, memo: Memo) -> tuple[list[float], list[int]]:
    if text not in memo:
        dense, buckets = features.extract(text)
        memo[text] = dense, sorted(buckets)
    return memo[text]


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear scorer: (dense features x intents), (buckets x intents)."""

    dense: Floats = field(repr=False)
    hashed: Floats = field(repr=False)

    def scores(self, texts: Iterable[str], memo: Memo) -> Floats:
        rows: list[Floats] = []
        for text in texts:
            dense, buckets = _extract(text, memo)
            row = np.asarray(dense, dtype=np.float32) @ self.dense
            if buckets:
                row = row + self.hashed[buckets].sum(axis=0) / len(buckets) ** 0.5
            rows.append(row)
        return np.array(rows).reshape(-1, len(INTENTS))


@dataclass(frozen=True, slots=True)
class Sparse:
    """Rows of hashed features, kept by row and by column: a product either way is one gather and one sum."""

    values: Floats = field(repr=False)
    columns: NDArray[np.int64] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    height: int
    width: int

    def times(self, weights: Floats) -> Floats:
        return _sum_by(self.rows, weights[self.columns] * self.values[:, None], self.height)

    def transposed(self) -> Sparse:
        order = np.argsort(self.columns, kind="stable")
        return Sparse(self.values[order], self.rows[order], self.columns[order], self.width, self.height)


def _sum_by(keys: NDArray[np.int64], values: Floats, size: int) -> Floats:
    """Sums of the values of each key; the keys ascend."""
    total = np.zeros((size, values.shape[1]), dtype=np.float32)
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    if len(starts):
        total[keys[starts]] = np.add.reduceat(values, starts, axis=0)
    return total


def fit(
    rows: Sequence[Row],
    memo: Memo,
    *,
    rounds: int = 90,
    dense_decay: float = 1e-3,
    hashed_decay: float = 5e-5,
    share: float = 0.9,
) -> Weights:
    """Multinomial logistic regression by full-batch Adam. Deterministic: no randomness, no shuffling.

    A bucket takes part only when it occurs in two groups of sources: what one source alone says is its own habit. Every
    intent weighs the same; within it the written examples weigh `share`, and the public sources the rest, each alike.
    """
    extracted = [_extract(row.text, memo) for row in rows]
    seen: dict[int, set[str]] = {}
    counts: dict[int, int] = {}
    for row, (_, buckets) in zip(rows, extracted, strict=True):
        for bucket in set(buckets):
            seen.setdefault(bucket, set()).add(row.group)
            counts[bucket] = counts.get(bucket, 0) + 1
    chosen = sorted(b for b, groups in seen.items() if len(groups) >= 2 and counts[b] >= 3)
    column = {bucket: place for place, bucket in enumerate(chosen)}
    cells = [
        (place, column[b], 1 / len(buckets) ** 0.5)
        for place, (_, buckets) in enumerate(extracted)
        for b in buckets
        if b in column
    ]
    sparse = Sparse(
        np.array([c[2] for c in cells], dtype=np.float32),
        np.array([c[1] for c in cells], dtype=np.int64),
        np.array([c[0] for c in cells], dtype=np.int64),
        len(rows),
        len(chosen),
    )
    dense = np.array([d for d, _ in extracted], dtype=np.float32)
    target = np.zeros((len(rows), len(INTENTS)), dtype=np.float32)
    target[np.arange(len(rows)), [_LETTER[row.intent] for row in rows]] = 1.0
    decay = np.concatenate([np.full((dense.shape[1], 1), dense_decay), np.full((len(chosen), 1), hashed_decay)]).astype(
        np.float32
    )
    solution = _descend(dense, sparse, target, _balance(rows, share), decay=decay, rounds=rounds)
    hashed = np.zeros((features.BUCKETS, len(INTENTS)), dtype=np.float32)
    hashed[chosen] = solution[dense.shape[1] :]
    return Weights(solution[: dense.shape[1]], hashed)


def _balance(rows: Sequence[Row], share: float) -> Floats:
    sizes: dict[tuple[Intent, str], float] = {}
    for row in rows:
        sizes[row.intent, row.source] = sizes.get((row.intent, row.source), 0) + row.weight
    weights: list[float] = []
    for row in rows:
        sources = [s for i, s in sizes if i == row.intent]
        public = len([s for s in sources if s != OWN])
        written = share if public else 1.0
        part = written if row.source == OWN else (1 - share if OWN in sources else 1.0) / public
        weights.append(part * row.weight / sizes[row.intent, row.source])
    found = np.array(weights, dtype=np.float32)
    return found / found.sum()


def _descend(dense: Floats, sparse: Sparse, target: Floats, weights: Floats, *, decay: Floats, rounds: int) -> Floats:
    size = dense.shape[1]
    columns = sparse.transposed()
    solution: Floats = np.zeros((len(decay), target.shape[1]), dtype=np.float32)
    first: Floats = np.zeros_like(solution)
    second: Floats = np.zeros_like(solution)
    for step in range(1, rounds + 1):
        scores = dense @ solution[:size] + sparse.times(solution[size:])
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        miss = (odds / odds.sum(axis=1, keepdims=True) - target) * weights[:, None]
        slope = np.concatenate([dense.T @ miss, columns.times(miss)]) + decay * solution
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope**2
        rate = 0.15 * (1 - step / (rounds + 1))
        solution -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-6)
    return solution


@dataclass(frozen=True, slots=True)
class Held:
    """Predictions for one source by weights that have never seen it."""

    source: str
    truth: NDArray[np.int64] = field(repr=False)
    scores: Floats = field(repr=False)


def leave_one_source_out(rows: Sequence[Row], memo: Memo, **settings: Any) -> list[Held]:
    """Each public source, scored by weights fitted on the written examples and trainable sources of other origin."""
    own = own_rows(held_out=False)
    held: list[Held] = []
    shared: Weights | None = None
    fitted: dict[str, Weights] = {}
    for source in sorted({row.source for row in rows}):
        mine = [row for row in rows if row.source == source]
        kin = mine[0].group
        if any(row.trainable and row.group == kin for row in rows):
            if kin not in fitted:
                fitted[kin] = fit([*own, *(r for r in rows if r.trainable and r.group != kin)], memo, **settings)
            weights = fitted[kin]
        else:
            shared = shared or fit([*own, *(r for r in rows if r.trainable)], memo, **settings)
            weights = shared
        truth = np.array([_LETTER[row.intent] for row in mine])
        held.append(Held(source, truth, weights.scores((row.text for row in mine), memo)))
    return held


def written_fold(rows: Sequence[Row], memo: Memo, **settings: Any) -> Held:
    """A quarter of the written examples that are trained on, scored by weights fitted without it.

    People write otherwise than data sets do: a threshold chosen on data sets alone is too trusting.
    """
    fold = f"{OWN} 0"
    own = own_rows(held_out=False)
    mine = [row for row in own if row.group == fold]
    weights = fit([*(r for r in own if r.group != fold), *(r for r in rows if r.trainable)], memo, **settings)
    truth = np.array([_LETTER[r.intent] for r in mine])
    return Held(OWN, truth, weights.scores((r.text for r in mine), memo))


def chances(scores: Floats, temperature: float) -> Floats:
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    return odds / odds.sum(axis=1, keepdims=True)


def calibrate(held: Sequence[Held], target: float = TARGET + MARGIN) -> tuple[float, Floats]:
    """(temperature, a threshold for each intent) on held-out sources; every intent of a source weighs the same.

    The temperature has the least log loss. One threshold for all is the lowest from which on `target` of the answers
    are right; an intent that alone falls below EACH there gets a higher one of its own. Thresholds chosen for each
    intent by itself fit the sources at hand: on one left out they are right less often (see benchmarks/intent.py).
    """
    scores = np.concatenate([h.scores for h in held])
    truth = np.concatenate([h.truth for h in held])
    parts = 1 / _cell_sizes(held)
    grid = np.round(np.arange(0.5, 6.01, 0.1), 2)
    losses = [-(np.log(chances(scores, t)[np.arange(len(truth)), truth] + 1e-9) * parts).sum() for t in grid]
    temperature = float(grid[int(np.argmin(losses))])
    probability = chances(scores, temperature)
    guessed, best = probability.argmax(axis=1), probability.max(axis=1)
    right = guessed == truth
    base = _lowest(best, right, parts, target)
    own = [_lowest(best[guessed == i], right[guessed == i], parts[guessed == i], EACH) for i in range(len(INTENTS))]
    return temperature, np.array([max(base, one) for one in own], dtype=np.float32)


_GRID = np.round(np.arange(0.4, 0.991, 0.01), 2)


def _lowest(best: Floats, right: NDArray[np.bool_], parts: Floats, target: float) -> float:
    """The lowest threshold from which on every higher one keeps the target, too; 0.99 where none does."""
    found = 0.99
    for threshold in _GRID[::-1]:
        kept = best >= threshold
        if kept.any() and (parts * right)[kept].sum() < target * parts[kept].sum():
            break
        found = float(threshold)
    return found


def _cell_sizes(held: Sequence[Held]) -> Floats:
    sizes: list[float] = []
    for h in held:
        counts = np.bincount(h.truth, minlength=len(INTENTS))
        sizes.extend(float(counts[t]) for t in h.truth)
    return np.array(sizes)


def pack(weights: Weights, temperature: float, thresholds: Floats) -> dict[str, Any]:
    """The arrays of the file: hashed weights as bytes with a scale for each intent, the others as float32.

    Rounding also makes the file the same where the last bits of a matrix product differ.
    """
    scale: Floats = np.maximum(np.abs(weights.hashed).max(axis=0), np.float32(1e-9)) / np.float32(127)
    dense: Floats = np.round(weights.dense, 3)
    hashed: Floats = np.round(weights.hashed / scale)
    return {
        "version": np.int64(features.VERSION),
        "dense": dense.astype(np.float32),
        "hashed": hashed.astype(np.int8),
        "scale": np.round(scale, 5).astype(np.float32),
        "temperature": np.float32(temperature),
        "thresholds": np.round(thresholds, 2).astype(np.float32),
    }


def write(path: Path, table: dict[str, Any]) -> str:
    """Writes the file and its digest beside it; the same table gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        np.savez_compressed(out, **table)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return digest


def macro_f1(truth: NDArray[np.int64], guessed: NDArray[np.int64]) -> dict[str, float]:
    """F1 of each intent, and their mean as "macro"."""
    found: dict[str, float] = {}
    for place, intent in enumerate(INTENTS):
        hits = int(((truth == place) & (guessed == place)).sum())
        total = int((truth == place).sum() + (guessed == place).sum())
        found[intent.value] = 2 * hits / total if total else 0.0
    found["macro"] = sum(found.values()) / len(INTENTS)
    return found
