"""The local intent scorer on sources it has not seen: each source scored by weights fitted without it.

python benchmarks/intent.py --data DIR [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from understudy.classifiers import training
from understudy.classifiers.local import INTENTS, LocalScorer
from understudy.errors import UnderstudyError


def measure(data: Path) -> dict[str, Any]:
    rows = training.public_rows(data)
    memo: training.Memo = {}
    held = training.leave_one_source_out(rows, memo)
    written = training.written_fold(rows, memo)
    temperature, thresholds = training.calibrate([*held, written])
    truth, fresh = np.concatenate([h.truth for h in held]), np.concatenate([h.fresh for h in held])
    chances = training.chances(np.concatenate([h.scores for h in held]), temperature)
    answers_from = {i.value: round(float(t), 2) for i, t in zip(INTENTS, thresholds, strict=True)}
    report: dict[str, Any] = {"temperature": temperature, "thresholds": answers_from, "sources": {}}
    report["all"] = _figures(truth, fresh, chances, thresholds) | {
        "f1": training.macro_f1(truth, chances.argmax(axis=1))
    }
    for h in held:
        trained = any(r.trainable for r in rows if r.source == h.source)
        figures = _figures(h.truth, h.fresh, training.chances(h.scores, temperature), thresholds)
        report["sources"][h.source] = {"rows": len(h.truth), "trainable": trained} | figures
    report["written_fold"] = _figures(
        written.truth, written.fresh, training.chances(written.scores, temperature), thresholds
    )
    # The shipped threshold is chosen on the same held-out predictions; this one is not: chosen on the other sources.
    nested = [_figures(h.truth, h.fresh, *_calibrated_without([*held, written], h)) for h in held]
    answered = sum(n["coverage"] * len(h.truth) for n, h in zip(nested, held, strict=True))
    report["threshold_from_other_sources"] = {"coverage": round(answered / len(truth), 4)}
    for name in ("accuracy_answered", "right_or_mild_answered"):
        right = sum(n["coverage"] * (n[name] or 0) * len(h.truth) for n, h in zip(nested, held, strict=True))
        report["threshold_from_other_sources"][name] = round(right / max(answered, 1), 4)
    report["microseconds"] = _time([r.text for r in rows])
    return report


def _calibrated_without(held: list[training.Held], one: training.Held) -> tuple[Any, Any]:
    temperature, thresholds = training.calibrate([h for h in held if h.source != one.source])
    return training.chances(one.scores, temperature), thresholds


def _figures(truth: Any, fresh: Any, chances: Any, thresholds: Any) -> dict[str, Any]:
    """Strict figures, and beside them the share of answers that are right or wrong in the mild way only."""
    right = chances.argmax(axis=1) == truth
    tolerable = right | training.mild(truth, chances.argmax(axis=1), fresh)
    kept = chances.max(axis=1) >= thresholds[chances.argmax(axis=1)]
    return {
        "accuracy": round(float(right.mean()), 4),
        "coverage": round(float(kept.mean()), 4),
        "accuracy_answered": round(float(right[kept].mean()), 4) if kept.any() else None,
        "right_or_mild_answered": round(float(tolerable[kept].mean()), 4) if kept.any() else None,
    }


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
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    try:
        report = measure(chosen.data)
    except UnderstudyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.json:
        print(json.dumps(report, indent=1))
        return 0
    for source, figures in report["sources"].items():
        print(f"{source[:60]:60} {figures}")
    print({k: v for k, v in report.items() if k != "sources"})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
