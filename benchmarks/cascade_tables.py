"""Reading tables of who was right: one JSON object a line with id, prompt, correct {model: bool}, perhaps signals."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from understudy.errors import UsageError

FOLDS = 5
SMALLEST = 60  # rows a table must have, to be split and still say something
GAP = 0.08  # between two of many models; a smaller one makes every PGR a quotient of two noises
ASSUMED_RATIO = 0.1  # price of the weak model over the strong one's, where nobody states a price


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that are shared out between the same models."""

    name: str
    ids: tuple[str, ...] = field(repr=False)
    prompts: tuple[str, ...] = field(repr=False)
    datasets: tuple[str, ...] = field(repr=False)
    correct: tuple[dict[str, float], ...] = field(repr=False)
    signals: tuple[dict[str, dict[str, Any]], ...] = field(repr=False)
    pairs: tuple[tuple[str, str], ...]  # (weak, strong)

    def of(self, model: str) -> Any:
        return np.array([row[model] for row in self.correct], dtype=np.float64)

    def at(self, rows: list[int], name: str) -> Table:
        columns = (
            tuple(c[r] for r in rows) for c in (self.ids, self.prompts, self.datasets, self.correct, self.signals)
        )
        return Table(name, *columns, pairs=self.pairs)

    def folds(self) -> Any:
        """The fold of each row by its prompt alone: the same in every run, and two rows of one prompt never part."""
        return np.array([int(hashlib.sha256(p.strip().encode()).hexdigest()[:8], 16) % FOLDS for p in self.prompts])


def read(data: Path) -> list[Table]:
    """All tables of DATA/quality. Raises UsageError for a folder without one, and for a row that is none."""
    files = sorted((data / "quality").glob("*.jsonl.gz"))
    if not files:
        raise UsageError(f"{data / 'quality'} has no *.jsonl.gz.", remedy="Pass the data folder with --data.")
    return [table for path in files for table in _tables(path)]


def _tables(path: Path) -> list[Table]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                row: dict[str, Any] = json.loads(line)
                row["correct"] = {str(m): float(c) for m, c in row["correct"].items()}
                row["prompt"], row["id"] = str(row["prompt"]), str(row.get("id", number))
                if not row.get("contaminated"):  # left out, as RouteLLM's authors do
                    groups[str(row.get("weak", "")), str(row.get("strong", ""))].append(row)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{path} is not a table of answers.", remedy="Each line: id, prompt, correct {model: true or false}."
        ) from None
    stem = path.name.removesuffix(".jsonl.gz")
    tables: list[Table] = []
    for (weak, strong), rows in sorted(groups.items()):
        pairs = _pairs(rows, weak, strong)
        kept = [r for r in rows if all(m in r["correct"] for pair in pairs for m in pair)]
        if pairs and len(kept) >= SMALLEST:
            table = Table(
                f"{stem} {weak}".strip(),
                tuple(r["id"] for r in kept),
                tuple(r["prompt"] for r in kept),
                tuple(str(r.get("dataset", stem)) for r in kept),
                tuple(r["correct"] for r in kept),
                tuple(_signals(r) for r in kept),
                pairs,
            )
            tables += _parted(table)
    return tables


def _signals(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, Any] = row.get("signals") or {}
    return {name: s for name, s in found.items() if isinstance(s, dict) and "agree" in s and "top_correct" in s}


def _parted(table: Table) -> list[Table]:
    """The whole table, and each of its datasets that is large enough."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, dataset in enumerate(table.datasets):
        places[dataset].append(place)
    if len(places) == 1:
        return [table]
    parts = [table.at(rows, f"{table.name}: {name}") for name, rows in sorted(places.items()) if len(rows) >= SMALLEST]
    return [table, *parts]


def _pairs(rows: list[dict[str, Any]], weak: str, strong: str) -> tuple[tuple[str, str], ...]:
    """Of stated models those (a strong one asked in several ways counts by its first); else the best and all below."""
    models = sorted({m for r in rows for m in r["correct"]})
    if weak and strong:
        asked = [m for m in models if m == strong or m.startswith(f"{strong}:")]
        return ((weak, asked[0]),) if asked and weak in models else ()
    quality = {m: float(np.mean([r["correct"].get(m, 0.0) for r in rows])) for m in models}
    best = max(models, key=lambda m: (quality[m], m), default="")
    gap = 0.0 if len(models) == 2 else GAP
    return tuple((m, best) for m in models if quality[best] - quality[m] > gap)


def price_ratio(data: Path, weak: str, strong: str) -> tuple[float, str]:
    """Price of the weak model over the strong one's, and who says so. Input and output weigh the same."""
    try:
        stated: dict[str, Any] = json.loads((data / "quality" / "prices.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stated = {}
    strong = strong.partition(":")[0]
    for source, table in stated.items():
        if isinstance(table, dict) and weak in table and strong in table:
            return _mean(table[weak]) / _mean(table[strong]), source
    listed = (_listed(weak), _listed(strong))
    if listed[0] and listed[1]:
        return listed[0] / listed[1], "genai-prices"
    return ASSUMED_RATIO, "assumed"


def _mean(price: Any) -> float:
    return (price["in"] + price["out"]) / 2 if isinstance(price, dict) else float(price)


def _listed(model: str) -> float | None:
    from genai_prices import Usage, calc_price

    name = {"gpt-35-turbo": "gpt-3.5-turbo"}.get(model, model)
    try:
        price = calc_price(Usage(input_tokens=1_000_000, output_tokens=1_000_000), name, provider_id="openai")
    except LookupError:
        return None
    return float(price.total_price) / 2
