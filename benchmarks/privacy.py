"""The privacy gate on labelled texts: recall by kind, false positives, time.

python benchmarks/privacy.py --data DIR [--json] [--operating-point strict]
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
        "operating_point": point,
        "share_called_private": {k: {"rows": n, "share": round(h / n, 4)} for k, (h, n) in sorted(hits.items())},
        "milliseconds": {str(size): _time(gate, body, size) for size in (2_000, 4_000, 200_000)},
    }


def _time(gate: Gate, body: str, size: int) -> dict[str, float]:
    samples: list[float] = []
    for place in range(200 if size < 10_000 else 5):
        begin = place * 991 % max(1, len(body) - size)
        text = body[begin : begin + size]
        started = time.perf_counter()
        gate.judge(Task(text))
        samples.append((time.perf_counter() - started) * 1e3)
    return {"p50": round(statistics.median(samples), 3), "best": round(min(samples), 3)}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--operating-point", choices=("balanced", "strict"), default="balanced")
    chosen = arguments.parse_args()
    try:
        report = measure(chosen.data, chosen.operating_point)
    except (OSError, ValueError, KeyError) as error:
        print(f"{chosen.data} is not the data folder ({type(error).__name__}).", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(report, indent=1))
        return 0
    for name, found in report["share_called_private"].items():
        print(f"{name:70} {found['rows']:5} {found['share']:.3f}")
    print(report["milliseconds"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
