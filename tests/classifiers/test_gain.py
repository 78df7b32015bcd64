"""The guess from a prompt alone, and the replay of a table nobody has seen before."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from understudy.classifiers import gain

ROOT = Path(__file__).parent.parent.parent


def rows(count: int, seed: int) -> tuple[list[str], list[float]]:
    """Prompts of one length, of which those about law need the strong model."""
    drawn = random.Random(seed)
    topics = [drawn.choice(("law", "art")) for _ in range(count)]
    prompts = [f"A question about {t} of {drawn.choice(('old', 'new'))} times, number {drawn.random()}" for t in topics]
    return prompts, [float(t == "law" if drawn.random() < 0.8 else drawn.random() < 0.5) for t in topics]


def test_words_are_learned_where_the_length_says_nothing() -> None:
    prompts, gains = rows(300, 1)
    fitted = gain.fit(gain.Prompts.of(prompts), np.array(gains)[:, None])
    fresh, truth = rows(200, 2)
    guess = fitted.guess(gain.Prompts.of(fresh))[:, 0]
    assert np.corrcoef(guess, truth)[0, 1] > 0.5
    assert np.corrcoef(fitted.held[:, 0], gains)[0, 1] > 0.5


def test_any_text_has_a_shape() -> None:
    shapes = gain.Prompts.of(["", "\n", "7" * 5000, "A. x\nB. y, z", "é" * 30_000, "1,,2.. 3"]).shapes
    assert np.isfinite(shapes).all()


def replay(data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/cascade.py", "--data", str(data), "--json"]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


def test_a_table_of_the_same_shape_is_replayed(tmp_path: Path) -> None:
    prompts, gains = rows(200, 3)
    (tmp_path / "quality").mkdir()
    with gzip.open(tmp_path / "quality" / "unseen.jsonl.gz", "wt", encoding="utf-8") as lines:
        for number, (prompt, lost) in enumerate(zip(prompts, gains, strict=True)):
            row = {"id": f"u{number}", "prompt": prompt, "correct": {"small": not lost, "large": True}}
            lines.write(json.dumps(row) + "\n")
    done = replay(tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["tables"]["unseen"]
    assert list(found["pairs"]) == ["small / large"]
    assert found["mean_APGR_calls"]["random"] == 0.5
    assert found["mean_APGR_calls"]["cascade"] > found["mean_APGR_calls"]["longest_prompt"] + 0.1


def test_what_is_no_table_is_said_in_words(tmp_path: Path) -> None:
    assert "has no *.jsonl.gz" in replay(tmp_path).stderr
    (tmp_path / "quality").mkdir()
    with gzip.open(tmp_path / "quality" / "bad.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.write('{"id": 1, "prompt": "x"}\n')
    done = replay(tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
