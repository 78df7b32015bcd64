"""The control arm: the same work through v1, v2, advisor and control, on a fleet whose qualities and prices are stated.

python benchmarks/economics.py [--json] [--tasks N] [--seed N] [--data DIR]

The director, the gate, the local scorer, the dispatcher, the quota book, the budgets and the validators are the real
ones, in virtual time. What models do is stated here: how often they are right (HARD), how fast they are, what they
cost, and what a wrong answer costs whoever gets it (KINDS). A validator sees a share of the errors (SEEN); the others
pass. Whether a model is right on a task is drawn once: every policy meets the same luck.

--data DIR adds real outcomes: tables of who solved which task (quality/*.jsonl.gz), with these in place of the draws.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import logging
import math
import random
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from understudy import Task
from understudy.classifiers.gate import Gate
from understudy.classifiers.local import LocalScorer
from understudy.config.load import parse
from understudy.director.advising import ADVISE
from understudy.director.director import Director
from understudy.director.parts import Parts
from understudy.director.validators import validators
from understudy.errors import UnderstudyError
from understudy.fleet.book import Book
from understudy.fleet.form import PageForm
from understudy.rehearsal.virtual import LoopClock, run_virtually
from understudy.store.memory_store import MemoryStore
from understudy.store.pages import MemoryPages
from understudy.tokens import estimate
from understudy.types import Answer, Attempt, Call, Candidate, Guard, Intent, Quality, Role, Usage

POLICIES = ("v1", "v2", "advisor", "control")
APART = 30.0  # seconds between two tasks: nobody's minute runs short, so that only the policies differ
MARK = re.compile(r"item (\d{5})")
STEP = re.compile(r"part (\d) of item (\d{5})")

# Stated: a model of quality q is right on a task of difficulty d with a chance of 1 / (1 + exp(-(q - d) / STEEP)).
STEEP = 15.0
SPREAD = 12.0  # a task's difficulty lies so far from its type's at the most
HARD = {
    Intent.QUICK_QA: 0.0,
    Intent.SUMMARIZATION: 0.0,
    Intent.TOOL_CALLING: 20.0,
    Intent.REASONING: 35.0,
    Intent.CODING: 42.0,
    Intent.CODE_REVIEW: 45.0,
}
SEEN = {Intent.CODING: 0.5, Intent.TOOL_CALLING: 0.3}  # of the errors, those a validator sees
SEEN_ELSE = 0.15
MENDS = 0.5  # of what it lacks to the adviser, an advised executor gains
AGAIN = 0.25  # the same, when it is only told what was wrong
EASIER = 12.0  # a part of a task than the whole
JUDGES = 0.8  # of wrong answers a judge of the best quality finds; it refuses 3% of right ones
REFUSES = 0.03


@dataclass(frozen=True, slots=True)
class Model:
    """quality: 0 to 100. first: seconds to the first token. pace: tokens a second. Dollars per million tokens."""

    name: str
    kind: str
    quality: int
    first: float
    pace: float
    input_usd: float
    output_usd: float
    free: bool = True
    local: bool = False

    def candidate(self) -> Candidate:
        provider, _, model = self.name.partition("/")
        return Candidate(
            provider, self.kind, "a", model, local=self.local, free=self.free, simulated=True, context=131_072,
            output_cap=8_192, capabilities=frozenset({"tools", "json"}), quality=self.quality,
            speed=min(99, int(self.pace / 5)), input_price=round(self.input_usd * 1e6),
            output_price=round(self.output_usd * 1e6),
        )  # fmt: skip


OPUS = Model("anthropic/claude-opus-5-5", "anthropic", 99, 1.5, 60, 4.0, 20.0, free=False)
FREE = (
    Model("groq/llama-3.1-8b-instant", "groq", 35, 0.2, 500, 0.05, 0.08),
    Model("groq/qwen3-32b", "groq", 66, 0.3, 400, 0.29, 0.59),
    Model("groq/llama-4-scout-17b", "groq", 54, 0.3, 450, 0.11, 0.34),
    Model("groq/gpt-oss-120b", "groq", 72, 0.3, 400, 0.15, 0.60),
    Model("gemini/gemini-2.5-flash", "gemini", 68, 0.6, 200, 0.30, 2.50),
    Model("gpu/ministral-3b", "llama_cpp", 38, 0.3, 90, 0.0, 0.0, local=True),
    Model("gpu/qwen3-coder-30b-a3b", "llama_cpp", 60, 0.8, 60, 0.0, 0.0, local=True),
)
WEAK = (
    Model("gpu/ministral-3b", "llama_cpp", 38, 0.6, 25, 0.0, 0.0, local=True),
    Model("gpu/nemotron-12b", "llama_cpp", 52, 1.2, 12, 0.0, 0.0, local=True),
)
# Who is there beside the frontier model, which is paid for everywhere.
FLEETS: Mapping[str, tuple[Model, ...]] = {
    "free tiers and a GPU": FREE,
    "everything is paid for": tuple(replace(m, free=False) for m in FREE if not m.local),
    "two small local models": WEAK,
    "executors nearly as dear": (
        Model("openai/gpt-4o", "openai", 80, 0.8, 90, 2.5, 10.0, free=False),
        Model("gemini/gemini-2.5-pro", "gemini", 84, 1.5, 90, 3.0, 15.0, free=False),
    ),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work. share of all; output: tokens of an answer; wrong_usd: what a wrong one, or none, costs."""

    name: str
    intent: Intent
    share: float
    asks: str
    output: int
    wrong_usd: float
    quality: Quality = Quality.BALANCED
    padding: int = 0  # words of material behind the question
    told: bool = True  # the caller says what kind of task it is


KINDS = (
    Kind("questions", Intent.QUICK_QA, 0.2, "What is the capital named in the record?", 60, 0.01, told=False),
    Kind("summaries", Intent.SUMMARIZATION, 0.15, "Summarize the record for a newcomer.", 150, 0.01, padding=600),
    Kind("tool calls", Intent.TOOL_CALLING, 0.1, "State the call that books the room in the record.", 60, 0.015),
    Kind("reasoning", Intent.REASONING, 0.15, "Why does the second plan of the record cost less?", 350, 0.03),
    Kind("code", Intent.CODING, 0.15, "Write a Python function as the record describes.", 500, 0.05, padding=150),
    Kind("reviews", Intent.CODE_REVIEW, 0.1, "Review the change in the record.", 350, 0.05, padding=500),
    Kind("small, the best wanted", Intent.REASONING, 0.07, "Which is more, 0.9 or 0.11? Why?", 60, 0.03, Quality.BEST),
    Kind(
        "small, several steps", Intent.SUMMARIZATION, 0.08,
        "First list the names in the record, then sort the list, and finally write a sentence about it.", 120, 0.01,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One task. solved: by candidate's name where outcomes are real; else they are drawn."""

    number: int
    kind: Kind
    difficulty: float
    solved: Mapping[str, bool] | None = None

    @property
    def text(self) -> str:
        material = "the harbour keeps a book of ships and cargo. " * (self.kind.padding // 9)
        return f"[item {self.number:05d}] {self.kind.asks}" + (f"\n\n{material}" if material else "")


def workload(count: int, seed: int) -> list[Item]:
    chance = random.Random(f"work {seed}")
    kinds = chance.choices(KINDS, [k.share for k in KINDS], k=count)
    return [Item(n, k, HARD[k.intent] + chance.uniform(-SPREAD, SPREAD)) for n, k in enumerate(kinds)]


@dataclass
class Stated:
    """types.Worker of a stated model."""

    model: Model
    candidate: Candidate
    items: Mapping[int, Item]
    frontier: Model
    right: dict[str, bool]  # by the text of an answer
    seed: int

    def load(self, call: Call) -> None: ...

    def bound(self, call: Call) -> int:
        return estimate(call.prompt + call.instructions) + 20

    async def check(self) -> str:
        return "stated"

    async def close(self) -> None: ...

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        hold = await guard.before(self.bound(call), call.output_cap)
        text, finish, tokens = self._said(call)
        await asyncio.sleep(min(call.timeout, self.model.first + tokens / self.model.pace))
        usage = Usage(estimate(call.prompt + call.instructions), tokens)
        await guard.after(hold, usage)
        return Answer(text, usage, finish)

    def _said(self, call: Call) -> tuple[str, str, int]:
        """Text, finish, tokens of output."""
        found = MARK.search(call.prompt)
        item = self.items[int(found[1])] if found else None
        if call.role is Role.CLASSIFIER:
            intent = item.kind.intent if item else Intent.QUICK_QA
            return json.dumps({"intent": intent.value, "confidence": 0.9}), "stop", 20
        if call.role is Role.JUDGE:
            return self._judged(call)
        if call.role is Role.DIRECTOR:
            return self._directed(call, item)
        assert item is not None, call.prompt[:200]
        return self._worked(call, item)

    def _judged(self, call: Call) -> tuple[str, str, int]:
        """By the digest's end, which has the answer's; a weaker judge sees less."""
        answer = next((told for text, told in self.right.items() if text[-60:] in call.prompt), True)
        finds = JUDGES * self.model.quality / 99
        wrong = self._draw("judge", call.prompt) < (REFUSES if answer else finds)
        verdict = {"verdict": "reject" if wrong else "accept", "reason": "it does not answer what was asked"}
        return json.dumps(verdict), "stop", 25

    def _directed(self, call: Call, item: Item | None) -> tuple[str, str, int]:
        if call.instructions == ADVISE:
            return json.dumps({"advice": "Mind the second column. " * 8}), "stop", 70
        if '"steps"' in call.instructions and item is not None:
            steps = [
                {"id": c, "task": f"Do part {n} of item {item.number:05d}.", "needs": ["a"] if c == "b" else []}
                for n, c in enumerate("ab", 1)
            ]
            return json.dumps({"steps": steps}), "stop", 110
        intent = item.kind.intent if item else Intent.QUICK_QA
        return json.dumps({"intent": intent.value, "confidence": 0.9}), "stop", 20

    def _worked(self, call: Call, item: Item) -> tuple[str, str, int]:
        part = STEP.search(call.prompt)
        chance = self._chance(item, easier=EASIER if part else 0.0)
        best = self._chance(item, model=self.frontier, easier=EASIER if part else 0.0)
        told = "\n\nAdvice: " in call.prompt
        again = told or "Your last answer was rejected" in call.prompt
        if item.solved is None and again:
            chance += (MENDS if told else AGAIN) * max(0.0, best - chance)
        luck = self._draw("right", f"{item.number} {part[1] if part else ''} {again} {told}")
        right = luck < chance
        if item.solved is not None:
            right = item.solved[self.candidate.name]
            if told and not right:  # as often as it would close half the gap
                right = item.solved[self.frontier.name] and self._draw("mended", str(item.number)) < MENDS
        seen = SEEN.get(item.kind.intent, SEEN_ELSE)
        if not right and self._draw("seen", f"{item.number} {again}") < seen:
            return self._broken(item), "stop", item.kind.output
        return self._whole(item, right, f"{part[1] if part else 0}{again:d}{told:d}"), "stop", item.kind.output

    def _whole(self, item: Item, right: bool, mark: str) -> str:
        sign = f"{item.number:05d}.{mark}.{self.candidate.model}"
        text = f"The record answers it: the matter stands as in line {sign}, with all that follows from it there."
        if item.kind.intent is Intent.CODING:
            text = f'```python\ndef answer():\n    """As in line {sign}."""\n    return {item.number}\n```'
        self.right[text] = right
        return text

    def _broken(self, item: Item) -> str:
        if item.kind.intent is Intent.CODING:
            return f"```python\ndef answer(:\n    return {item.number}\n```"
        return "I'm sorry, but I can't help with that."

    def _chance(self, item: Item, *, model: Model | None = None, easier: float = 0.0) -> float:
        quality = (model or self.model).quality
        return 1 / (1 + math.exp(-(quality - item.difficulty + easier) / STEEP))

    def _draw(self, what: str, of: str) -> float:
        return random.Random(f"{self.seed} {what} {self.candidate.name} {of}").random()


@dataclass
class Sums:
    """What came of some tasks."""

    tasks: int = 0
    right: int = 0
    wrong_usd: float = 0.0
    failed: int = 0  # nobody's answer was accepted
    paid: float = 0.0
    listed: float = 0.0
    tokens: int = 0
    director: int = 0  # tokens of its acts
    frontier: int = 0  # tokens of the frontier model, whatever it did
    seconds: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        ordered = sorted(self.seconds) or [0.0]
        return {
            "tasks": self.tasks,
            "success": round(self.right / max(1, self.tasks), 4),
            "failed": self.failed,
            "paid_usd": round(self.paid, 4),
            "list_usd": round(self.listed, 4),
            "usd_per_success": round(self.paid / max(1, self.right), 6),
            "usd_with_errors": round((self.paid + self.wrong_usd) / max(1, self.tasks), 6),
            "director_share": round(self.director / max(1, self.tokens), 4),
            "frontier_share": round(self.frontier / max(1, self.tokens), 4),
            "p50_s": round(statistics.median(ordered), 2),
            "p95_s": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
        }


async def run(policy: str, fleet: tuple[Model, ...], frontier: Model, items: list[Item], seed: int) -> dict[str, Any]:
    models = (*fleet, frontier)
    candidates = tuple(m.candidate() for m in models)
    providers = {m.name.partition("/")[0]: {"kind": "rehearsal", "plays": "local"} for m in models}
    settings = parse(
        {
            "policy": policy,
            "director": {"candidate": frontier.name, "tokens_per_day": 10**9},
            "money": {"usd_per_day": 1e6},
            "deadline": 300.0,
            "providers": providers,
        },
        "benchmarks/economics.py",
    )
    clock = LoopClock()
    parts = Parts(
        settings=settings,
        store=cast("Any", MemoryStore(clock)),
        gate=Gate(()),
        scorer=LocalScorer.load(),
        validators=validators(),
        fleet=candidates,
        notes=(),
        clock=clock,
        book=Book(MemoryPages(PageForm(), clock), random.Random(f"book {seed}")),
    )
    right: dict[str, bool] = {}
    by_number = {item.number: item for item in items}
    for model, candidate in zip(models, candidates, strict=True):
        parts.workers[candidate.domain] = Stated(model, candidate, by_number, frontier, right, seed)
    director = Director.over(parts)
    sums: dict[str, Sums] = {}
    for item in items:
        await clock.sleep(APART)
        began = clock.now()
        task = Task(item.text, intent=item.kind.intent if item.kind.told else None, quality=item.kind.quality)
        text = None
        attempts: tuple[Attempt, ...]
        try:
            reply = await director.run(task)
            attempts, text = reply.attempts, reply.text
        except UnderstudyError as error:
            attempts = error.attempts
        told = [was for answer, was in right.items() if text is not None and answer in text]
        for name in ("all", item.kind.name):
            took, cost = clock.now() - began, item.kind.wrong_usd
            _count(sums.setdefault(name, Sums()), attempts, frontier, took, told, cost, failed=text is None)
    await director.parts.close()
    return {name: s.to_dict() for name, s in sums.items()}


def _count(
    sums: Sums,
    attempts: tuple[Attempt, ...],
    frontier: Model,
    took: float,
    told: list[bool],
    cost: float,
    *,
    failed: bool,
) -> None:
    right = bool(told) and all(told)  # of a planned task every part counts
    sums.tasks += 1
    sums.failed += failed
    sums.right += right
    sums.wrong_usd += 0.0 if right else cost
    sums.seconds.append(took)
    for a in attempts:
        used = a.input_tokens + a.output_tokens
        sums.tokens += used
        sums.paid += a.cost_usd
        sums.listed += a.list_usd
        sums.director += used * a.directs
        sums.frontier += used * (a.candidate == frontier.name)


def losses(told: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kinds of work for which a task costs 2% more than under control, the stated cost of wrong answers counted in."""
    found: list[dict[str, Any]] = []
    for policy, kinds in told.items():
        for kind, sums in kinds.items():
            bare = told["control"].get(kind)
            if policy == "control" or bare is None:
                continue
            times = round(sums["usd_with_errors"] / max(1e-9, bare["usd_with_errors"]), 2)
            if times > 1.02:
                told_of = {"times": times, "success": sums["success"], "control": bare["success"]}
                found.append({"policy": policy, "kind": kind, **told_of})
    return found


# Real outcomes: file, data sets, intent, who executes, who directs; prices as in quality/prices.json where it has them.
TABLES = (
    ("llmrouter9", ("gsm8k",), Intent.REASONING, "llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"),
    ("llmrouter9", ("math",), Intent.REASONING, "llama-3.1-8b-instruct", "llama-3.3-nemotron-super-49b-v1"),
    ("llmrouter9", ("mbpp",), Intent.CODING, "llama-3.1-8b-instruct", "llama-3.3-nemotron-super-49b-v1"),
    ("debugbench", (), Intent.CODE_REVIEW, "gpt-35-turbo", "gpt-4"),
    ("mot_cascade", ("mot/date",), Intent.REASONING, "llama2-13b", "gpt-4:cot1"),
)
PRICES = {
    "llama-3.1-8b-instruct": (35, 0.2, 0.2),
    "llama-3.1-nemotron-51b-instruct": (66, 0.9, 0.9),
    "llama-3.3-nemotron-super-49b-v1": (66, 0.9, 0.9),
    "gpt-35-turbo": (55, 0.5, 1.5),
    "gpt-4": (85, 30.0, 60.0),
    "gpt-4:cot1": (85, 30.0, 60.0),
    "llama2-13b": (30, 0.2, 0.2),
}


def real(data: Path, most: int) -> dict[str, tuple[Model, Model, list[Item]]]:
    """Executor, frontier model and tasks of each table. The executor is paid for, too."""
    found: dict[str, tuple[Model, Model, list[Item]]] = {}
    for file, sets, intent, weak, strong in TABLES:
        with gzip.open(data / "quality" / f"{file}.jsonl.gz", "rt") as lines:
            rows = [json.loads(line) for line in lines]
        rows = [r for r in rows if not sets or r["dataset"] in sets][:most]
        rows = [r for r in rows if weak in r["correct"] and strong in r["correct"]]
        models = [
            Model(f"{who}/{name}", "openai_compatible", PRICES[name][0], 0.5, 80, *PRICES[name][1:], free=False)
            for who, name in (("executor", weak), ("frontier", strong))
        ]
        kind = Kind(sets[0] if sets else file, intent, 1.0, "Solve the record's task.", 250, 0.05, padding=80)
        items = [
            Item(n, kind, 0.0, {m.name: bool(r["correct"][m.name.partition("/")[2]]) for m in models})
            for n, r in enumerate(rows)
        ]
        found[kind.name] = (models[0], models[1], items)
    return found


def measure(tasks: int, seed: int, data: Path | None) -> dict[str, Any]:
    items = workload(tasks, seed)
    report: dict[str, Any] = {"tasks": tasks, "seed": seed, "fleets": {}}
    for name, fleet in FLEETS.items():
        told = {policy: run_virtually(run(policy, fleet, OPUS, items, seed)) for policy in POLICIES}
        report["fleets"][name] = {"policies": told, "loses": losses(told)}
    if data is not None:
        report["real"] = {}
        for name, (executor, frontier, rows) in real(data, tasks).items():
            told = {p: run_virtually(run(p, (executor,), frontier, rows, seed))["all"] for p in POLICIES}
            report["real"][name] = told
    return report


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--tasks", type=int, default=400)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--data", type=Path)
    chosen = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    report = measure(chosen.tasks, chosen.seed, chosen.data)
    if chosen.json:
        print(json.dumps(report))
        return
    columns = ("paid_usd", "usd_with_errors", "success", "failed", "director_share", "frontier_share", "p50_s", "p95_s")
    print("policy".ljust(10), *(c.rjust(16) for c in columns))
    tables = {name: {p: k["all"] for p, k in fleet["policies"].items()} for name, fleet in report["fleets"].items()}
    for name, told in {**tables, **report.get("real", {})}.items():
        print(f"\n{name}")
        for policy, sums in told.items():
            print(policy.ljust(10), *(str(sums[c]).rjust(16) for c in columns))
        for loss in report["fleets"].get(name, {}).get("loses", ()):
            print("  loses:", *(f"{key} {value}" for key, value in loss.items()))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
