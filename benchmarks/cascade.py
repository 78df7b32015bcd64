"""Cascades replayed on tables of who was right: which prompts need the strong model, by what is known before and after.

python benchmarks/cascade.py --data DIR [--json] [--part folds|half|dataset] [--only NAME] [--ratio R]

Reads DIR/quality/*.jsonl.gz (benchmarks/cascade_tables.py says what a row has). Everything is chosen on one part of the
rows and reported on the other: five folds by the hash of the prompt (each reported with what the four others chose),
one half by the other, or one dataset by the others of its file.

Rankings, each beside `random` and `oracle` (understudy/classifiers/recovery.py defines the metrics):
  longest_prompt  the longest first; nothing is fitted
  prompt          understudy/classifiers/gain.py: length, shape and words, fitted on the choosing part
  votes:NAME      1 - the share of the weak model's samples that agree, where a table has such signals
  signals         ridge over all votes, their validity, whether the ways of asking agree, and the prompt's shape
  cascade         `prompt`, or whichever of the votes and signals beat it on the choosing part: the figure to judge by

`calls`: RouteLLM's axis, the share of prompts sent to the strong model; samples cost nothing there, and the weak
answer is the table's own `correct`. `money`: 0 is the weak model once for all, 1 the strong one for all; every sample
is paid, an escalated prompt pays for both models, and the weak model's quality is that of a single sample.
`rule`: how well the rule of succession, which understudy uses for samples, says how often such an answer is right.
`accepting`: with the ranking that `money` chose, the weak answer is kept where its calibrated probability is at least
the strong model's accuracy on the choosing part.
What cannot be known from such tables: how agreement of two different models ranks (they say who was right, not what
was said), token logprobs, self-scores. Votes of fewer samples (`k5`) are drawn from the recorded shares, where an
answer that is not the most frequent one counts as wrong: a bound from below.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cascade_tables import SMALLEST, Table, price_ratio, read

from understudy.classifiers import gain, recovery
from understudy.classifiers.calibration import isotonic
from understudy.classifiers.recovery import Curve, Pair
from understudy.errors import UnderstudyError, UsageError

FEWER = (3, 5)
SMALLEST_GAP = 0.03  # below it every PGR is a quotient of two noises
INNER = 4


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores of rows, higher: to the strong model; and what is known when they are there."""

    scores: Any = field(repr=False)
    samples: int = 0  # calls of the weak model before it is known; 0: none
    kept: Any = field(default=None, repr=False)  # what the answer is worth that is kept then
    trust: Any = field(default=None, repr=False)  # higher: the weak answer is right; else the scores, turned round


def measure(data: Path, part: str, only: str, ratio: float | None) -> dict[str, Any]:
    report: dict[str, Any] = {"part": part, "published": _published(data), "tables": {}}
    for table in read(data):
        if only not in table.name:
            continue
        splits = list(_splits(table, part))
        if not splits:
            continue
        report["tables"][table.name] = _table(table, splits, data, ratio)
        print(f"{table.name}: {len(table.ids)} rows", file=sys.stderr)
    if not report["tables"]:
        raise UsageError("No table can be split this way.", remedy="Choose another --part, or another --only.")
    return report


def _splits(table: Table, part: str) -> Iterator[tuple[Any, Any]]:
    """(rows that choose, rows that are reported); every row is reported once at most."""
    if part == "dataset":
        names = np.array(table.datasets)
        parts = [names == name for name in sorted(set(table.datasets))]
        yield from ((np.flatnonzero(~p), np.flatnonzero(p)) for p in parts if min(p.sum(), (~p).sum()) >= SMALLEST)
        return
    fold = table.folds()
    if part == "half":
        yield np.flatnonzero(fold % 2 == 0), np.flatnonzero(fold % 2 == 1)
        return
    yield from ((np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in sorted(set(fold.tolist())))


def _table(table: Table, splits: list[tuple[Any, Any]], data: Path, asked: float | None) -> dict[str, Any]:
    prompts = gain.Prompts.of(table.prompts)
    gains = [table.of(strong) - table.of(weak) for weak, strong in table.pairs]
    targets = np.stack([*gains, *(table.of(weak) for weak, _ in table.pairs)], axis=1)
    fitted = [gain.fit(prompts.at(choosing), targets[choosing]) for choosing, _ in splits]
    guessed = [g.guess(prompts.at(reported)) for g, (_, reported) in zip(fitted, splits, strict=True)]
    found: dict[str, Any] = {"rows": len(table.ids), "pairs": {}}
    for place, (weak, strong) in enumerate(table.pairs):
        pair = Pair(table.of(weak), table.of(strong))
        if pair.gap < SMALLEST_GAP:
            found["pairs"][f"{weak} / {strong}"] = {"weak": _round(pair.weak.mean()), "gap": _round(pair.gap)}
            continue
        ratio, source = price_ratio(data, weak, strong) if asked is None else (asked, "--ratio")
        both = [place, place + len(table.pairs)]  # the gain, and whether the weak model is right
        sides = [(g.held[:, both], s[:, both]) for g, s in zip(fitted, guessed, strict=True)]
        figures = _pair(table, pair, splits, sides, prompts.shapes, ratio)
        money = {"price_ratio": _round(ratio), "price_from": source}
        found["pairs"][f"{weak} / {strong}"] = money | figures
    measured = [f for f in found["pairs"].values() if "calls" in f]
    for axis in ("calls", "money"):
        names = sorted({n for f in measured for n in f[axis]})
        found[f"mean_APGR_{axis}"] = {n: _round(np.mean([f[axis][n]["APGR"] for f in measured])) for n in names}
    return found


def _pair(table: Table, pair: Pair, splits: Any, sides: Any, shapes: Any, ratio: float) -> dict[str, Any]:
    once = Pair(_once(table, pair), pair.strong)
    merged: dict[str, list[Ranking]] = {}
    chosen: dict[str, list[str]] = {"calls": [], "money": []}
    kept: list[tuple[float, float, bool, float, int]] = []
    for (choosing, reported), (held, guess) in zip(splits, sides, strict=True):
        there = _rankings(table, pair, shapes, choosing, choosing, held)
        here = _rankings(table, pair, shapes, choosing, reported, guess)
        calls, money = _areas(pair.at(choosing), there), _areas(once.at(choosing), there, ratio)
        for axis, areas in (("calls", calls), ("money", money)):
            best = max(sorted(areas), key=areas.__getitem__)
            chosen[axis].append(best)
            merged.setdefault(f"cascade {axis}", []).append(here[best])
            if axis == "money":
                kept += _calibrated(pair, once, there[best], here[best], choosing, reported)
        for name, ranking in here.items():
            merged.setdefault(name, []).append(ranking)
    rows = np.concatenate([reported for _, reported in splits])
    seen, seen_once = pair.at(rows), once.at(rows)
    figures: dict[str, Any] = {
        "weak": _round(seen.weak.mean()),
        "weak_once": _round(seen_once.weak.mean()),
        "strong": _round(seen.strong.mean()),
        "chosen": {axis: {n: names.count(n) for n in sorted(set(names))} for axis, names in chosen.items()},
        "calls": {"random": _figures(recovery.random(seen)), "oracle": _figures(recovery.oracle(seen))},
        "money": {},
    }
    for name, parts in merged.items():
        whole = name.removesuffix(" calls").removesuffix(" money")
        if name != "cascade money" and _comparable(whole):
            scores = np.concatenate([p.scores for p in parts])
            figures["calls"][whole] = _figures(recovery.routed(seen, scores))
            if whole == "cascade":
                longest = np.concatenate([p.scores for p in merged["longest_prompt"]])
                figures["cascade_above_longest_se"] = _round(recovery.spread(seen, scores, longest))
        if name != "cascade calls":
            figures["money"][whole] = _figures(_by_cost(once, parts, splits, ratio), ratio, seen_once)
        if not _comparable(whole):
            said, truth = np.concatenate([p.trust for p in parts]), np.concatenate([p.kept for p in parts])
            figures.setdefault("rule", {})[whole] = _error(list(zip(said.tolist(), truth.tolist(), strict=True)))
    figures["money"]["random"] = _figures(recovery.random(seen_once), ratio, seen_once)
    figures["calibration"] = _error([k[:2] for k in kept])
    figures["accepting"] = _accepting(kept, ratio)
    return figures


def _areas(pair: Pair, rankings: dict[str, Ranking], ratio: float | None = None) -> dict[str, float]:
    """What there is to choose from. Where there is hardly a gap to recover, nothing can be chosen by it."""
    offered = {n: r for n, r in rankings.items() if n != "longest_prompt" and (ratio is not None or _comparable(n))}
    if len(offered) == 1 or pair.gap < SMALLEST_GAP / 2:
        return {"prompt": 0.0}
    if ratio is None:
        return {n: recovery.routed(pair, r.scores).area for n, r in offered.items()}
    return {n: _money(pair, r, ratio).area for n, r in offered.items()}


def _comparable(name: str) -> bool:
    """Not a vote of fewer samples: the answer it keeps is not the table's."""
    return ":k" not in name


def _rankings(table: Table, pair: Pair, shapes: Any, choosing: Any, rows: Any, guess: Any) -> dict[str, Ranking]:
    """All rankings of `rows`, with what was learned on `choosing`; of choosing itself, by inner folds."""
    length = np.array([float(len(table.prompts[r])) for r in rows])
    found = {"longest_prompt": Ranking(_ranks(length)), "prompt": Ranking(_ranks(guess[:, 0]), trust=guess[:, 1])}
    names = sorted(set.intersection(*(set(s) for s in table.signals)))
    for name in names:
        found |= _votes(table, name, rows)
    if names:
        features = _signal_features(table, names, shapes)
        gains = pair.strong - pair.weak
        if rows is choosing:
            fold = np.arange(len(rows)) % INNER
            scores = np.zeros(len(rows))
            for f in range(INNER):
                scores[fold == f] = _ridge(features, gains, rows[fold != f], rows[fold == f])
        else:
            scores = _ridge(features, gains, choosing, rows)
        samples = [int(table.signals[0][n]["n"]) for n in names]
        whole = max(samples) if "mixed" in names else sum(samples)
        found["signals"] = Ranking(_ranks(scores), whole, pair.weak[rows])
    return found


def _votes(table: Table, name: str, rows: Any) -> dict[str, Ranking]:
    recorded = [table.signals[r][name] for r in rows]
    count = int(recorded[0]["n"])
    agree = np.array([float(s["agree"] or 0.0) for s in recorded])
    right = np.array([float(s["top_correct"]) for s in recorded])
    found = {f"votes:{name}": Ranking(_ranks(-agree), count, right)}
    for k in FEWER:
        if k < count:
            drawn = [np.random.default_rng([int(r), k]) for r in rows]  # the same draw whoever asks
            top = np.clip(np.round(agree * count), 0, count).astype(int)
            hits = np.array([g.hypergeometric(t, count - t, k) for g, t in zip(drawn, top, strict=True)])
            found[f"votes:{name}:k{k}"] = Ranking(_ranks(-hits / k), k, right * (hits * 2 > k), (hits + 1) / (k + 2))
    return found


def _signal_features(table: Table, names: list[str], shapes: Any) -> Any:
    columns: list[list[float]] = []
    for signals in table.signals:
        agree = [float(signals[n]["agree"] or 0.0) for n in names]
        valid = [float(signals[n].get("valid", signals[n]["n"])) / float(signals[n]["n"]) for n in names]
        tops = [str(signals[n].get("top")) for n in names]
        columns.append([*agree, min(agree), max(agree), *valid, len(set(tops)) / len(tops)])
    return np.hstack([np.array(columns), shapes[:, :1]])


def _ridge(features: Any, gains: Any, choosing: Any, rows: Any) -> Any:
    middle, spread = features[choosing].mean(axis=0), features[choosing].std(axis=0) + 1e-9
    table = (features[choosing] - middle) / spread
    square = table.T @ table + 10.0 * np.eye(table.shape[1])
    weights = np.linalg.solve(square, table.T @ (gains[choosing] - gains[choosing].mean()))
    return (features[rows] - middle) / spread @ weights


def _once(table: Table, pair: Pair) -> Any:
    """How often one sample of the weak model is right; the table's own figure where only that is known."""
    found = pair.weak.copy()
    for place, signals in enumerate(table.signals):
        first = [float(s["first_correct"]) for s in signals.values() if s.get("first_correct") is not None]
        if first:
            found[place] = np.mean(first)
    return found


def _money(once: Pair, ranking: Ranking, ratio: float) -> Curve:
    return recovery.routed_by_cost(once, ranking.scores, ratio=ratio, kept=ranking.kept, samples=ranking.samples)


def _by_cost(once: Pair, parts: list[Ranking], splits: Any, ratio: float) -> Curve:
    """The parts' curves, weighed by their gaps: each part may have chosen another number of samples."""
    curves, weights = [], []
    for ranking, (_, reported) in zip(parts, splits, strict=True):
        here = once.at(reported)
        if abs(here.gap) > 1e-9:
            curves.append(_money(here, ranking, ratio).recovered)
            weights.append(here.gap * len(reported))
    return Curve(recovery.STEPS, np.average(curves, axis=0, weights=weights))


def _calibrated(pair: Pair, once: Pair, there: Ranking, here: Ranking, choosing: Any, reported: Any) -> Any:
    """Of each reported row: probability that the answer kept is right, whether it is, accepted, strong's, samples."""
    weak = (pair if there.samples else once).weak
    known = weak[choosing] if there.kept is None else there.kept
    truth = weak[reported] if here.kept is None else here.kept
    trusted, trust = (-r.scores if r.trust is None else r.trust for r in (there, here))
    chance = isotonic(zip(trusted.tolist(), known.tolist(), strict=True))
    enough, strong = pair.strong[choosing].mean(), pair.strong[reported]
    chances = [chance(float(t)) for t in trust]
    return [(c, float(t), c >= enough, float(s), here.samples) for c, t, s in zip(chances, truth, strong, strict=True)]


def _error(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Brier score beside that of always saying the base rate, and the expected calibration error over ten bins."""
    chance, truth = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    bins = np.minimum((chance * 10).astype(int), 9)
    error = sum(abs(chance[bins == b].sum() - truth[bins == b].sum()) for b in range(10)) / len(pairs)
    brier, base = ((chance - truth) ** 2).mean(), ((truth.mean() - truth) ** 2).mean()
    return {"brier": _round(brier), "brier_of_base_rate": _round(base), "expected_error": _round(error)}


def _accepting(kept: list[tuple[float, float, bool, float, int]], ratio: float) -> dict[str, Any]:
    """Cost in calls of the strong model, per prompt. A router that chose before pays for one model only."""
    accepted = [k for k in kept if k[2]]
    cost = sum((k[4] or k[2]) * ratio + (not k[2]) for k in kept) / len(kept)
    return {
        "share": _round(len(accepted) / len(kept)),
        "accuracy_of_accepted": _round(np.mean([k[1] for k in accepted])) if accepted else None,
        "accuracy": _round(np.mean([k[1] if k[2] else k[3] for k in kept])),
        "cost": _round(cost),
    }


def _figures(curve: Curve, ratio: float | None = None, pair: Pair | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"APGR": _round(curve.area)}
    for share in (50, 80):
        at = curve.reaches(share / 100)
        found[f"CPT{share}"] = None if at is None else round(at * 100, 1)
    found["PGR"] = [_round(v) for v in curve.recovered]
    if ratio is not None and pair is not None:
        found["accuracy_at_cost"] = {
            f"{ratio + x * (1 - ratio):.3f}": _round(pair.weak.mean() + v * pair.gap)
            for x, v in zip(curve.places, curve.recovered, strict=True)
        }
    return found


def _ranks(scores: Any) -> Any:
    """Share of rows below, ties in the middle: comparable between folds."""
    ordered = np.sort(scores)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / 2 / len(scores)


def _round(value: Any) -> float:
    return round(float(value), 4)


def _published(data: Path) -> list[dict[str, Any]]:
    try:
        figures = json.loads((data / "quality" / "published_figures.json").read_text(encoding="utf-8"))["figures"]
        return [{k: f[k] for k in ("system", "benchmark", "APGR", "CPT50", "CPT80")} for f in figures if "CPT50" in f]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--part", choices=("folds", "half", "dataset"), default="folds")
    arguments.add_argument("--only", default="", help="only tables with this in their name")
    arguments.add_argument("--ratio", type=float, help="price of the weak model over the strong one's, for all tables")
    chosen = arguments.parse_args()
    try:
        if chosen.ratio is not None and not 0 < chosen.ratio < 1:
            raise UsageError(f"--ratio {chosen.ratio} is not between 0 and 1.", remedy="A twentieth is 0.05.")
        report = measure(chosen.data, chosen.part, chosen.only, chosen.ratio)
    except UnderstudyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.json:
        print(json.dumps(report, indent=1))
        return 0
    for name, found in report["tables"].items():
        print(f"{name} ({found['rows']} rows, {len(found['pairs'])} pairs), mean APGR")
        for axis in ("calls", "money"):
            print(f"  {axis:6}", "  ".join(f"{n} {v:.3f}" for n, v in found[f"mean_APGR_{axis}"].items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
