"""Train the local intent scorer and write its weights: the same data and examples give the same bytes.

python scripts/train_intent.py --data DIR --out understudy/classifiers/data/intent.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from understudy.classifiers import training
from understudy.classifiers.local import WEIGHTS
from understudy.errors import UnderstudyError


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder with routing/dev.jsonl.gz")
    arguments.add_argument("--out", type=Path, default=WEIGHTS)
    chosen = arguments.parse_args()
    try:
        public = [*training.public_rows(chosen.data), *training.other_rows(chosen.data)]
    except UnderstudyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    memo: training.Memo = {}
    # Temperature and threshold come from sources the weights in question have not seen.
    unseen = [*training.leave_one_source_out(public, memo), training.written_fold(public, memo)]
    temperature, thresholds = training.calibrate(unseen)
    weights = training.fit([*training.own_rows(held_out=False), *(row for row in public if row.trainable)], memo)
    digest = training.write(chosen.out, training.pack(weights, temperature, thresholds))
    size = chosen.out.stat().st_size
    print(f"{chosen.out}: {size} bytes, temperature {temperature}, thresholds {thresholds.tolist()}, {digest}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
