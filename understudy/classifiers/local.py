"""The local intent scorer: linear, over hashed words and the shape of the text; it abstains where it is not sure.

The weights come from scripts/train_intent.py and are data, checked by their digest. The gate decides privacy and the
length decides long context; the scorer tells the eight other intents apart.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.classifiers import features
from understudy.errors import StoreError
from understudy.tokens import estimate
from understudy.types import Guess, Intent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

LONG_CONTEXT_TOKENS = 32_000  # the routing table's own limit
WEIGHTS = Path(__file__).with_name("data") / "intent.npz"
INTENTS = (
    *(Intent.QUICK_QA, Intent.REASONING, Intent.TOOL_CALLING, Intent.CODING, Intent.CODE_REVIEW),
    *(Intent.SUMMARIZATION, Intent.MEMORY, Intent.WEB_RESEARCH),
)
_REMEDY = "Install understudy again, or run scripts/train_intent.py."


class LocalScorer:
    """Answers in well under a millisecond. `thresholds`: below its own an intent is abstained from."""

    def __init__(self, dense: Floats, hashed: Floats, temperature: float, thresholds: Floats) -> None:
        self._dense, self._hashed = dense, hashed
        self._temperature, self.thresholds = temperature, thresholds

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> LocalScorer:
        """The scorer with the shipped weights. Raises StoreError for a missing, changed or foreign file."""
        import numpy as np

        try:
            content = path.read_bytes()
            digest = path.with_suffix(".sha256").read_text(encoding="ascii").split()[0]
        except (OSError, UnicodeDecodeError, IndexError):
            raise StoreError(f"The intent weights {path.name} are not there.", remedy=_REMEDY) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"The intent weights {path.name} are not the ones that were released.", remedy=_REMEDY)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as table:
                version = int(table["version"])
                dense = table["dense"].astype(np.float32)
                scale = table["scale"].astype(np.float32)
                hashed = table["hashed"].astype(np.float32) * scale
                temperature = float(table["temperature"])
                thresholds = table["thresholds"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise StoreError(f"The intent weights {path.name} cannot be read.", remedy=_REMEDY) from None
        shapes = (dense.shape, hashed.shape, thresholds.shape)
        expected = ((len(features.DENSE), len(INTENTS)), (features.BUCKETS, len(INTENTS)), (len(INTENTS),))
        if version != features.VERSION or shapes != expected:
            raise StoreError(f"The intent weights {path.name} are of another version.", remedy=_REMEDY)
        return cls(dense, hashed, temperature, thresholds)

    def guess(self, text: str, *, tokens: int | None = None) -> Guess:
        """The intent of a text. `tokens`: of the whole task, where the caller counted them (files, history)."""
        size = estimate(text) if tokens is None else tokens
        if size >= LONG_CONTEXT_TOKENS:
            return Guess(Intent.LONG_CONTEXT, 1.0, "length")
        chances = self.probabilities(text)
        best = max(range(len(chances)), key=chances.__getitem__)
        probability = chances[best]
        return Guess(INTENTS[best], probability, "local", abstain=probability < float(self.thresholds[best]))

    def probabilities(self, text: str) -> list[float]:
        """One probability for each of INTENTS."""
        import numpy as np

        dense, buckets = features.extract(text)
        scores = np.asarray(dense, dtype=np.float32) @ self._dense
        if buckets:
            scores = scores + self._hashed[buckets].sum(axis=0) / np.float32(len(buckets) ** 0.5)
        # From here on it is eight numbers, for which each operation of numpy costs more than all of them by hand.
        scaled = [score / self._temperature for score in scores.tolist()]
        highest = max(scaled)
        odds = [math.exp(score - highest) for score in scaled]
        total = sum(odds)
        return [odd / total for odd in odds]
