"""One simulated provider without its wire: keys, faults, limits and answers on an injected clock."""

from __future__ import annotations

import heapq
import math
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from understudy.rehearsal.engine import Ask, Said, answer, tool_call
from understudy.rehearsal.limits import Charge, Meter, Refusal
from understudy.rehearsal.script import ERROR_FAULTS, Fault, Script, ScriptedModel
from understudy.types import Clock

_REFUSALS = ("I'm sorry, but I can't help with that.", "upstream error: 502 Bad Gateway")
REMEMBERED = 5_000  # answers
_FORCED = {"minute_quota": ("RPM", 30, 8.0), "day_quota": ("RPD", 1000, 3600.0), "no_quota": ("RPD", 0, math.inf)}


class Trouble(Exception):
    """A request that gets an error instead of an answer. `kind` is one of script.ErrorFault."""

    def __init__(
        self,
        kind: str,
        *,
        model: str = "",
        retry_after: float | None = None,
        status: int | None = None,
        refusal: Refusal | None = None,
        detail: str = "",
        numbers: dict[str, int] | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind, self.model, self.retry_after, self.status = kind, model, retry_after, status
        self.refusal, self.detail, self.numbers = refusal, detail, numbers or {}
        self.meter: Meter | None = None
        self.latency = 0.0  # seconds, as the model that was asked takes them
        self.scripted = False  # by a fault; else it is the truth: a wrong key, a window that is full


@dataclass
class Turn:
    """One admitted request: who answers, what it says, and the fault on its way back, if any."""

    number: int
    model: ScriptedModel
    ask: Ask
    said: Said
    meter: Meter
    charge: Charge
    at: float
    fault: Fault | None = None
    queued: float = 0.0  # seconds until the model begins: it answers `at_once` and no more
    settled: bool = field(default=False)

    @property
    def output_tokens(self) -> int:
        return self.said.tokens

    @property
    def writing(self) -> float:
        """Seconds from the headers to the end of the answer."""
        pace = self.model.pace
        return self.model.first_token + (self.output_tokens / pace if pace else 0.0)


class Stage:
    """Not tied to a thread or loop: every method is quick, and takes the lock where it changes something."""

    def __init__(self, script: Script, clock: Clock) -> None:
        self.script, self.clock = script, clock
        self._meters: dict[tuple[str, str], Meter] = {}
        self._answers: dict[tuple[object, ...], Said] = {}
        self._seen: dict[tuple[str, int], list[int]] = {}  # fault -> [requests seen, requests struck]
        self._busy: dict[str, list[float]] = {}  # model -> when each of its places is free, a heap
        self._turns = 0
        self._lock = threading.Lock()

    def account(self, key: str) -> str:
        """The account of a key. Raises Trouble."""
        name = self.script.account_of(key)
        if name is None:
            raise Trouble("auth")
        return name

    def meter(self, account: str, model: str) -> Meter:
        """The windows of one account and model; they exist from the first request on."""
        with self._lock:
            scripted = self.script.model(model)
            limits = (scripted or ScriptedModel(id=model)).limits
            return self._meters.setdefault((account, model), Meter(limits))

    def open(self, account: str, ask: Ask, fault: Fault | None = None) -> Turn:
        """Admit a request and decide its answer. fault: what goes wrong, else the script says. Raises Trouble."""
        model = self._model(ask.model)
        meter = self.meter(account, model.id)
        try:
            fault = fault or self._fault(model, ask)
            if fault and fault.kind in ERROR_FAULTS:
                raise self._forced(fault, model)
            charge = self._admit(model, ask, meter)
        except Trouble as trouble:
            trouble.meter, trouble.latency = meter, model.latency
            raise
        with self._lock:
            self._turns += 1
            number = self._turns
        said = _marred(self._said(model, ask), fault)
        turn = Turn(number, model, ask, said, meter, charge, self.clock.now(), fault)
        turn.queued = self._take_place(turn)
        return turn

    def _take_place(self, turn: Turn) -> float:
        """Seconds until one of the model's places is free for this turn. A caller who leaves does not free it."""
        model = turn.model
        if not model.at_once:
            return 0.0
        with self._lock:
            places = self._busy.setdefault(model.id, [0.0] * model.at_once)
            begins = max(turn.at, places[0])
            heapq.heapreplace(places, begins + model.latency + turn.writing)
        return begins - turn.at

    def settle(self, turn: Turn) -> None:
        """Charge what was used instead of what was taken up front; once."""
        with self._lock:
            if not turn.settled:
                output = turn.output_tokens if turn.model.limits.charges == "input+max_tokens" else 0
                turn.meter.settle(turn.charge, self.clock.now(), turn.ask.input_tokens + output)
                turn.settled = True

    def _model(self, name: str) -> ScriptedModel:
        model = self.script.model(name)
        if model is None and not any(m.loaded for m in self.script.models):
            raise Trouble("no_models", model=name)
        if model is None:
            raise Trouble("not_found", model=name)
        if not model.loaded:
            raise Trouble("loading" if self.script.flavour == "llama.cpp" else "no_models", model=name)
        return model

    def _fault(self, model: ScriptedModel, ask: Ask) -> Fault | None:
        with self._lock:
            for place, fault in enumerate(model.faults):
                if fault.matching.lower() not in ask.user.lower():
                    continue
                counts = self._seen.setdefault((model.id, place), [0, 0])
                strikes = fault.strikes(*counts)
                counts[0] += 1
                if strikes:
                    counts[1] += 1
                    return fault
        return None

    def _forced(self, fault: Fault, model: ScriptedModel) -> Trouble:
        """The trouble of a scripted error, with numbers as a real refusal has them."""
        refusal = None
        if fault.kind in _FORCED:
            window, limit, wait = _FORCED[fault.kind]
            refusal = Refusal(window, limit, limit, 1, wait if fault.retry_after is None else fault.retry_after)
        elif fault.kind == "too_large":
            limit = model.limits.tpm or 6000
            refusal = Refusal("TPM", limit, 0, limit + 1000, math.inf)
        trouble = Trouble(
            fault.kind,
            model=model.id,
            retry_after=fault.retry_after,
            status=fault.status,
            refusal=refusal,
            detail=fault.text,
            numbers={"input": model.context + 1, "context": model.context},
        )
        trouble.scripted = True
        return trouble

    def _admit(self, model: ScriptedModel, ask: Ask, meter: Meter) -> Charge:
        wanted = ask.input_tokens + (ask.max_tokens or 0)
        if ask.input_tokens >= model.context or (self.script.flavour == "vllm" and wanted > model.context):
            raise Trouble("context", model=model.id, numbers={"input": wanted, "context": model.context})
        with self._lock:
            tokens = wanted if model.limits.charges == "input+max_tokens" else ask.input_tokens
            found = meter.admit(self.clock.now(), tokens)
        if isinstance(found, Charge):
            return found
        if found.limit == 0:
            kind = "no_quota"
        elif math.isinf(found.wait):
            kind = "too_large"
        else:
            kind = "day_quota" if found.window.endswith("D") else "minute_quota"
        wait = None if math.isinf(found.wait) else found.wait
        raise Trouble(kind, model=model.id, retry_after=wait, refusal=found)

    def _said(self, model: ScriptedModel, ask: Ask) -> Said:
        said: Said | None = None
        for reply in (*model.replies, *self.script.replies):
            if ask.results and reply.tool:
                continue  # the tool has answered: saying the same again would go round for ever
            if (text := reply.match(ask.user)) is not None:
                calls = (tool_call(ask, reply.tool, reply.arguments),) if reply.tool else ()
                said = Said(text, calls, "tool_calls" if calls else "stop")
                break
        cap = min(model.output_cap, ask.max_tokens or model.output_cap)
        return (said or self._answer(ask)).capped(cap)

    def _answer(self, ask: Ask) -> Said:
        """The engine's answer; the same question is not thought over again."""
        if ask.tools or ask.schema is not None:
            return answer(ask)
        key = (ask.model, ask.user, ask.system, ask.earlier, ask.results, ask.wants_json, ask.grounding)
        with self._lock:
            if (known := self._answers.get(key)) is None:
                if len(self._answers) >= REMEMBERED:
                    self._answers.clear()
                known = self._answers[key] = answer(ask)
        return known


def _marred(said: Said, fault: Fault | None) -> Said:
    """The answer after a fault of the kinds that come with status 200."""
    if fault is None:
        return said
    text = fault.text
    changes: dict[str, dict[str, Any]] = {
        "empty": {"text": "", "calls": ()},
        "truncated": {"text": said.text[: int(len(said.text) * fault.at)], "calls": (), "finish": "length"},
        "refusal": {"text": text or _REFUSALS[0], "calls": ()},
        "error_text": {"text": text or _REFUSALS[1], "calls": (), "finish": "stop"},
        "content_filter": {"text": "", "calls": (), "finish": "content_filter"},
    }
    return replace(said, **changes.get(fault.kind, {}))
