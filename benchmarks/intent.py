"""The local intent scorer on sources it has not seen: each source scored by weights fitted without it.

python benchmarks/intent.py --data DIR [--json] [--compare]

--compare fits what simpler readers would have made of the same rows, too: five times the time.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from understudy.classifiers import features, remote, training
from understudy.classifiers.local import INTENTS, LocalScorer
from understudy.errors import UnderstudyError
from understudy.tokens import estimate

TARGETS = (0.90, 0.95, training.TARGET + training.MARGIN)
ERRORS = (0.05, 0.10, 0.20)  # of the scripted 8B model
UNUSABLE = 0.02  # of its answers: no JSON, or not sure


def measure(data: Path, *, compare: bool) -> dict[str, Any]:
    rows = [*training.public_rows(data), *training.other_rows(data)]
    memo: training.Memo = {}
    held = training.leave_one_source_out(rows, memo)
    written = training.written_fold(rows, memo)
    temperature, thresholds = training.calibrate([*held, written])
    answers_from = {i.value: round(float(t), 2) for i, t in zip(INTENTS, thresholds, strict=True)}
    report: dict[str, Any] = {"temperature": temperature, "thresholds": answers_from, "sources": {}}
    for h in held:
        trained = any(r.trainable for r in rows if r.source == h.source)
        figures = _figures(h, temperature, thresholds)
        report["sources"][h.source] = {"rows": len(h.truth), "trainable": trained} | figures
    report["all"] = _all(held, temperature, thresholds)
    labelled = {r.source for r in training.public_rows(data)}
    report["routing_sources_only"] = _all([h for h in held if h.source in labelled], temperature, thresholds)
    report["written_fold"] = _figures(written, temperature, thresholds)
    # The thresholds that ship are chosen on the same predictions; these are not: each chosen without the whole origin.
    report["thresholds_from_other_sources"] = {f"{t:.3f}": _nested(held, written, t) for t in TARGETS}
    report["calibration"] = _calibration(held, temperature)
    report["cascade"] = _cascade(rows, held, written)
    if compare:
        report["compared"] = _compared(rows, memo)
    report["microseconds"] = _time([r.text for r in rows])
    return report


def _figures(h: training.Held, temperature: float, thresholds: Any) -> dict[str, Any]:
    chances = training.chances(h.scores, temperature)
    right = chances.argmax(axis=1) == h.truth
    kept = chances.max(axis=1) >= thresholds[chances.argmax(axis=1)]
    return {
        "accuracy": round(float(right.mean()), 4),
        "coverage": round(float(kept.mean()), 4),
        "accuracy_answered": round(float(right[kept].mean()), 4) if kept.any() else None,
    }


def _pooled(held: Sequence[training.Held]) -> training.Held:
    return training.Held(
        "all",
        np.concatenate([h.truth for h in held]),
        np.concatenate([h.scores for h in held]),
    )


def _all(held: Sequence[training.Held], temperature: float, thresholds: Any) -> dict[str, Any]:
    pooled = _pooled(held)
    f1 = training.macro_f1(pooled.truth, pooled.scores.argmax(axis=1))
    return _figures(pooled, temperature, thresholds) | {"f1": {k: round(v, 4) for k, v in f1.items()}}


def _without(held: Sequence[training.Held], written: training.Held, one: training.Held, target: float) -> Any:
    kin = training.family(one.source)
    return training.calibrate([*(h for h in held if training.family(h.source) != kin), written], target)


def _nested(held: Sequence[training.Held], written: training.Held, target: float) -> dict[str, float | None]:
    """Answers by thresholds and temperature that never saw a source of the same origin."""
    kept = right = 0
    shares: list[float] = []
    accuracies: list[float] = []
    for h in held:
        temperature, thresholds = _without(held, written, h, target)
        chances = training.chances(h.scores, temperature)
        answered = chances.max(axis=1) >= thresholds[chances.argmax(axis=1)]
        good = answered & (chances.argmax(axis=1) == h.truth)
        kept, right = kept + int(answered.sum()), right + int(good.sum())
        shares.append(float(answered.mean()))
        if answered.any():
            accuracies.append(float(good.sum() / answered.sum()))
    return {
        "coverage": round(kept / sum(len(h.truth) for h in held), 4),
        "accuracy_answered": round(right / kept, 4) if kept else None,
        "coverage_mean_of_sources": round(statistics.mean(shares), 4),
        "accuracy_answered_mean_of_sources": round(statistics.mean(accuracies), 4) if accuracies else None,
    }


def _calibration(held: Sequence[training.Held], temperature: float) -> dict[str, Any]:
    """How often a stated probability was right, by tenths, and the expected calibration error."""
    pooled = _pooled(held)
    chances = training.chances(pooled.scores, temperature)
    stated, right = chances.max(axis=1), chances.argmax(axis=1) == pooled.truth
    bins: dict[str, Any] = {}
    error = 0.0
    for low in np.arange(0.2, 1.0, 0.1):
        mine = (stated >= low) & (stated < low + 0.1 + (low > 0.85))
        if mine.any():
            said, was = float(stated[mine].mean()), float(right[mine].mean())
            error += abs(said - was) * float(mine.mean())
            bins[f"{low:.1f}"] = {"rows": int(mine.sum()), "stated": round(said, 3), "right": round(was, 3)}
    return {"error": round(error, 4), "bins": bins}


def _cascade(rows: Sequence[training.Row], held: Sequence[training.Held], written: training.Held) -> dict[str, Any]:
    """Local scorer, then a scripted 8B model of a stated error, for each target. Costs are per 100 tasks.

    The 8B's requests are those that would be sent and its answers go through the parser that reads them in use; what it
    says is scripted, seeded. What it leaves open is the director's, counted and not played.
    """
    texts = [row.text for h in held for row in rows if row.source == h.source]
    truth = np.concatenate([h.truth for h in held])
    calls = [remote.compose(text) for text in texts]
    sizes = np.array([estimate(c.prompt + c.instructions) + 20 for c in calls])
    found: dict[str, Any] = {}
    for target in (None, *TARGETS, "8B only"):
        answered = np.zeros(len(truth), bool)
        guessed = np.concatenate([h.scores.argmax(axis=1) for h in held])
        if isinstance(target, float):
            parts: list[Any] = []
            for h in held:
                temperature, thresholds = _without(held, written, h, target)
                chances = training.chances(h.scores, temperature)
                parts.append(chances.max(axis=1) >= thresholds[chances.argmax(axis=1)])
            answered = np.concatenate(parts)
        elif target is None:
            answered[:] = True
        name = "local only" if target is None else target if isinstance(target, str) else f"{target:.3f}"
        line: dict[str, Any] = {
            "8b_calls": round(100 * float((~answered).mean()), 1),
            "8b_tokens": int(100 * float(sizes[~answered].sum()) / len(truth)),
        }
        for error in ERRORS:
            said = _scripted(truth, error)
            final = np.where(answered | (said < 0), guessed, said)
            line[f"accuracy_8b_wrong_{error:.2f}"] = round(float((final == truth).mean()), 4)
        line["left_to_director"] = round(100 * float((~answered & (_scripted(truth, ERRORS[0]) < 0)).mean()), 2)
        found[name] = line
    return found


def _scripted(truth: Any, error: float) -> Any:
    """What the parser makes of the answers: an intent's place, or -1."""
    dice = random.Random(7)
    said: list[int] = []
    for right in truth:
        place = dice.choice([i for i in range(len(INTENTS)) if i != right]) if dice.random() < error else int(right)
        answer = json.dumps({"intent": INTENTS[place].value, "confidence": 0.9})
        guess = remote.parse("I think it is a task." if dice.random() < UNUSABLE else answer)
        said.append(INTENTS.index(guess.intent) if guess else -1)
    return np.array(said)


def _compared(rows: Sequence[training.Row], memo: training.Memo) -> dict[str, Any]:
    """The same rows through readers that see less, each left-one-source-out with its own thresholds."""
    place = {name: at for at, name in enumerate(features.DENSE)}
    training.fill(rows, memo)

    def less(dense: set[str] | None, buckets: bool) -> training.Memo:
        kept = [1.0 if dense is None or name in dense else 0.0 for name in place]
        return {t: ([v * k for v, k in zip(d, kept, strict=True)], b if buckets else []) for t, (d, b) in memo.items()}

    bias = {"bias"}
    readers: dict[str, training.Memo] = {
        "length only": {t: (_length(t) + [0.0] * (len(place) - 4), list[int]()) for t in memo},
        "bag of words": {t: (d, _bag(t)) for t, (d, _) in less(bias, False).items()},
        "hashed words and pairs": less(bias, True),
        "form and word lists": less(None, False),
        "all of it (shipped)": memo,
    }
    found: dict[str, Any] = {}
    for name, seen in readers.items():
        held = training.leave_one_source_out(rows, seen)
        written = training.written_fold(rows, seen)
        pooled = _pooled(held)
        macro = training.macro_f1(pooled.truth, pooled.scores.argmax(axis=1))["macro"]
        found[name] = {"macro_f1": round(macro, 4)} | _nested(held, written, TARGETS[-1])
    return found


def _length(text: str) -> list[float]:
    return [1.0, math.log1p(len(text)) / 10, min(len(text) / 2000, 1.0), min(text.count("\n") / 20, 1.0)]


def _bag(text: str) -> list[int]:
    words = set("".join(c.lower() if c.isalnum() else " " for c in text).split())
    return sorted({crc32(w.encode("utf-8", "surrogatepass")) & (features.BUCKETS - 1) for w in words})


def _time(texts: list[str]) -> dict[str, float]:
    scorer = LocalScorer.load()
    body = "\n".join(texts)
    samples: list[float] = []
    for place in range(300):
        text = body[place * 977 : place * 977 + 2000]
        begin = time.perf_counter()
        scorer.guess(text)
        samples.append((time.perf_counter() - begin) * 1e6)
    ordered = sorted(samples)
    return {"p50_2000_chars": round(statistics.median(ordered), 1), "p99_2000_chars": round(ordered[-4], 1)}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--compare", action="store_true")
    chosen = arguments.parse_args()
    try:
        report = measure(chosen.data, compare=chosen.compare)
    except UnderstudyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.json:
        print(json.dumps(report, indent=1))
        return 0
    for name, figures in report.items():
        print(name)
        for key, value in figures.items() if name != "temperature" else [("", figures)]:
            print(f"  {key[:60]:60} {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
