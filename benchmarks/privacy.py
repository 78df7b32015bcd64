"""The privacy gate on labelled texts at both operating points: recall by kind, false positives, time.

python benchmarks/privacy.py --data DIR [--json] [--operating-point balanced|strict]
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from understudy.classifiers.gate import Gate
from understudy.types import Sensitivity, Task


def measure(data: Path, point: Any) -> dict[str, Any]:
    gate = Gate(operating_point=point)
    hits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with gzip.open(data / "private" / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        private = gate.judge(Task(row["text"])).sensitivity is Sensitivity.PRIVATE
        names = [f"{row['has_private']}: {row['kind']}", f"{row['has_private']}"]
        if row["has_private"] and row["kind"].startswith("pii"):
            names += [f"True: {kind}" for kind in row["meta"]["strong"]]
        for name in names:
            hits[name][0] += private
            hits[name][1] += 1
    body = "\n".join(row["text"] for row in rows)
    return {
        "share_called_private": {k: {"rows": n, "share": round(h / n, 4)} for k, (h, n) in sorted(hits.items())},
        "milliseconds": {str(size): _time(point, body, size) for size in (2_000, 4_000, 200_000)},
    }


def _time(point: Any, body: str, size: int) -> dict[str, float]:
    """Milliseconds for a judgement, and for all spans of the text. Each text is new to its gate, and seen once.

    The texts are those of the data one after the other: far more that is private than any task has.
    """
    judged: list[float] = []
    looked: list[float] = []
    body = body * (size // max(1, len(body)) + 1)
    for place in range(200 if size < 10_000 else 5):
        begin = place * 991 % max(1, len(body) - size)
        text = body[begin : begin + size]
        for gate, times, work in ((Gate((), point), judged, "judge"), (Gate((), point), looked, "look")):
            task = Task(text)
            started = time.perf_counter()
            gate.judge(task) if work == "judge" else gate.look(text)
            times.append((time.perf_counter() - started) * 1e3)
    return {
        "p50": round(statistics.median(judged), 3),
        "best": round(min(judged), 3),
        "all_spans_p50": round(statistics.median(looked), 3),
        "all_spans_best": round(min(looked), 3),
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--operating-point", choices=("balanced", "strict"), help="only this one")
    chosen = arguments.parse_args()
    try:
        points = (chosen.operating_point,) if chosen.operating_point else ("balanced", "strict")
        report = {point: measure(chosen.data, point) for point in points}
    except (OSError, ValueError, KeyError) as error:
        print(f"{chosen.data} is not the data folder ({type(error).__name__}).", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(report, indent=1))
        return 0
    for point, measured in report.items():
        print(point)
        for name, found in measured["share_called_private"].items():
            print(f"{name:70} {found['rows']:5} {found['share']:.3f}")
        print(measured["milliseconds"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
