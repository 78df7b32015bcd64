"""The local scorer: shipped figures, files that are not what they should be, time."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.classifiers import examples, features, training
from understudy.classifiers.local import INTENTS, WEIGHTS, LocalScorer
from understudy.errors import StoreError, UsageError
from understudy.types import Intent

HALF = np.full(len(INTENTS), 0.5, np.float32)
HELD = [e for e in examples.read() if e.held_out]


@pytest.fixture(scope="module")
def scorer() -> LocalScorer:
    return LocalScorer.load()


def test_there_are_written_examples_of_every_intent() -> None:
    counts = {i: sum(e.intent is i for e in examples.read()) for i in INTENTS}
    assert min(counts.values()) >= 120
    texts = [e.text for e in examples.read()]
    assert len(texts) == len(set(texts))


def test_figures_on_examples_kept_out_of_training(scorer: LocalScorer) -> None:
    guesses = [(scorer.guess(e.text), e.intent) for e in HELD]
    answered = [(g, i) for g, i in guesses if not g.abstain]
    assert sum(g.intent is i for g, i in guesses) / len(guesses) >= 0.72
    assert len(answered) / len(guesses) >= 0.3
    assert sum(g.intent is i for g, i in answered) / len(answered) >= training.TARGET


def test_the_words_matter(scorer: LocalScorer) -> None:
    """Unplugged once: without the hashed words the same examples are told apart worse."""
    blind = LocalScorer(scorer._dense, np.zeros_like(scorer._hashed), 1.0, scorer.thresholds)  # pyright: ignore[reportPrivateUsage]
    right = [sum(s.guess(e.text).intent is e.intent for e in HELD) for s in (scorer, blind)]
    assert right[0] > right[1]


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("set an alarm for 7", Intent.TOOL_CALLING),
        ("write a python function that reverses a list", Intent.CODING),
        ("What is the latest news about the strike today?", Intent.WEB_RESEARCH),
        ("Summarize this article in three bullets:\n\nThe council met on Monday.", Intent.SUMMARIZATION),
        ("What did I tell you about my sister?", Intent.MEMORY),
        ("Who wrote Don Quixote?", Intent.QUICK_QA),
        ("Tom has 12 apples, gives away a third and buys 5 more. How many has he now?", Intent.REASONING),
        ("Fix the bug:\n\ndef f(x):\n    retrun x\n\nSyntaxError: invalid syntax", Intent.CODE_REVIEW),
    ],
)
def test_plain_cases(scorer: LocalScorer, text: str, intent: Intent) -> None:
    assert scorer.guess(text).intent is intent


def test_length_is_a_fact(scorer: LocalScorer) -> None:
    guess = scorer.guess("word " * 25_600)
    assert (guess.intent, guess.probability, guess.by, guess.abstain) == (Intent.LONG_CONTEXT, 1.0, "length", False)
    assert scorer.guess("word " * 25_500).by == "local"
    assert scorer.guess("hi", tokens=32_000).intent is Intent.LONG_CONTEXT
    assert scorer.guess("word " * 30_000, tokens=31_999).by == "local"


def test_it_never_answers_privacy(scorer: LocalScorer) -> None:
    assert Intent.PRIVATE not in INTENTS


def test_noise_is_abstained_from(scorer: LocalScorer) -> None:
    assert scorer.guess("").abstain
    assert scorer.guess("ok").abstain


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(codec=None), max_size=400))
def test_any_text_gets_a_probability(text: str) -> None:
    dense, buckets = features.extract(text)
    assert len(dense) == len(features.DENSE)
    assert all(0 <= v <= 2 for v in dense)
    assert all(0 <= b < features.BUCKETS for b in buckets)


def test_probabilities_are_a_distribution(scorer: LocalScorer) -> None:
    for example in HELD[:40]:
        assert sum(scorer.probabilities(example.text)) == pytest.approx(1, abs=1e-5)


def test_the_same_text_gets_the_same_guess(scorer: LocalScorer) -> None:
    assert [scorer.guess(e.text) for e in HELD] == [LocalScorer.load().guess(e.text) for e in HELD]


@pytest.mark.parametrize("unit", ["a", "a ", "1", "1 ", "{", "\n", "A: x\n", "密", ". ", "é", "a_b("])
def test_only_a_window_is_read(scorer: LocalScorer, unit: str) -> None:
    def cost(size: int) -> float:
        text = (unit * size)[:size]
        best = float("inf")
        for _ in range(5):
            begin = time.process_time()
            scorer.guess(text, tokens=1)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(200_000) < 8 * cost(2_000) + 0.005


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 3_000_000


def _copy(folder: Path) -> Path:
    for name in (WEIGHTS, WEIGHTS.with_suffix(".sha256")):
        shutil.copy(name, folder / name.name)
    return folder / WEIGHTS.name


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = _copy(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError) as caught:
        LocalScorer.load(path)
    assert caught.value.remedy


@pytest.mark.parametrize("missing", [WEIGHTS.name, WEIGHTS.with_suffix(".sha256").name])
def test_a_missing_file_is_refused(tmp_path: Path, missing: str) -> None:
    path = _copy(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(StoreError):
        LocalScorer.load(path)


@pytest.mark.parametrize("content", [b"", b"not a table", b"PK\x03\x04 truncated"])
def test_a_foreign_file_is_refused_even_with_its_digest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "intent.npz"
    path.write_bytes(content)
    path.with_suffix(".sha256").write_text(hashlib.sha256(content).hexdigest())
    with pytest.raises(StoreError):
        LocalScorer.load(path)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "intent.npz"
    training.write(path, {"version": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(StoreError):
        LocalScorer.load(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    weights = training.Weights(
        np.zeros((len(features.DENSE), len(INTENTS)), np.float32),
        np.zeros((features.BUCKETS, len(INTENTS)), np.float32),
    )
    table = training.pack(weights, 1.0, HALF)
    path = tmp_path / "intent.npz"
    training.write(path, table)
    LocalScorer.load(path)
    training.write(path, table | {"version": np.int64(features.VERSION - 1)})
    with pytest.raises(StoreError):
        LocalScorer.load(path)


def test_training_is_deterministic_and_learns(tmp_path: Path) -> None:
    rows = training.own_rows(held_out=False)
    digests = []
    for name in ("a.npz", "b.npz"):
        weights = training.fit(rows, {}, rounds=8)
        digests.append(training.write(tmp_path / name, training.pack(weights, 1.0, HALF)))
    assert digests[0] == digests[1]
    scorer = LocalScorer.load(tmp_path / "a.npz")
    assert sum(scorer.guess(e.text).intent is e.intent for e in HELD) / len(HELD) > 0.5


def test_rows_without_a_free_licence_train_nothing(tmp_path: Path) -> None:
    import gzip
    import json

    (tmp_path / "routing").mkdir()
    licences = {
        "MIT": True,
        "CC BY-NC 4.0 upstream": False,
        "repo GPL-3.0": False,
        "Apache-2.0 (x)": True,
        "none": False,
    }
    with gzip.open(tmp_path / "routing" / "dev.jsonl.gz", "wt") as out:
        for licence in licences:
            row = {"text": "x", "label": "coding", "source": licence, "licence": licence}
            out.write(json.dumps(row) + "\n")
    assert {r.source: r.trainable for r in training.public_rows(tmp_path)} == licences


def test_a_wrong_data_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        training.public_rows(tmp_path)
