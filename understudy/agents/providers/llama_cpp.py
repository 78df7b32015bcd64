"""kind = "llama_cpp": GGUF files on this machine, each in a process of its own. No task leaves the machine here."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from understudy import tokens
from understudy.agents.candidates import limits_of
from understudy.agents.catalogue import entry
from understudy.agents.keys import Rings
from understudy.agents.limits import tokens_per_minute
from understudy.agents.llama.controls import Controls
from understudy.agents.llama.gguf import Header, read_header
from understudy.agents.llama.process import INSTALL, Message, ModelSpec, Order, Written
from understudy.agents.llama.shelf import GIB, Shelf
from understudy.config.locality import is_local
from understudy.config.settings import Account, Model, Provider, Settings
from understudy.errors import CallFailed
from understudy.types import Answer, Call, Candidate, Failure, Guard, Hold, Usage, cap_of

DEFAULT_CONTEXT = 8192  # tokens, where the configuration says nothing: a model's own 128k would take gigabytes
DEFAULT_OUTPUT = 4096  # tokens
_CAPABILITIES = frozenset({"json", "logprobs"})
_SMALL_VOCABULARY = 32_000  # below it no rule but bytes bounds the tokens of a text
_FRAME, _FRAME_A_MESSAGE = 64, 16  # tokens of a chat template around the texts
_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)\s*", re.DOTALL)

# The workers of one provider in one event loop share a shelf for as long as one of them lives, and its memory budget
# with it. Nothing is kept here: the shelf goes with its last worker.
_shelves: weakref.WeakValueDictionary[tuple[int, int], _SharedShelf] = weakref.WeakValueDictionary()


class _SharedShelf(Shelf):
    """A shelf that keeps what its key is made of, so that no other object can take over their identities."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(int(provider.memory_gib * GIB))
        self.owner = (provider, loop)


def shelf_of(provider: Provider) -> Shelf:
    """The shelf of this provider in the running event loop."""
    loop = asyncio.get_running_loop()
    key = (id(provider), id(loop))
    shelf = _shelves.get(key)
    if shelf is None:
        shelf = _shelves[key] = _SharedShelf(provider, loop)
    return shelf


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """One candidate a model. A broken file among good ones stays listed, so that the doctor can name it.

    Raises CallFailed(UNAVAILABLE) when llama-cpp-python is not installed, or when no file at all is usable.
    """
    _check_installed()
    found: list[Candidate] = []
    broken: list[CallFailed] = []
    for model in provider.models:
        header: Header | None = None
        try:
            header = await asyncio.to_thread(read_header, _path(model))
        except CallFailed as error:
            broken.append(error)
        found.append(_candidate(name, provider, settings, model, header))
    if broken and len(broken) == len(found):
        raise broken[0]
    return tuple(found)


def worker(candidate: Candidate, provider: Provider, settings: Settings, _rings: Rings | None = None) -> LlamaCppWorker:
    """The candidate made callable; nothing is loaded before its first call. Raises CallFailed(UNAVAILABLE)."""
    model = next((m for m in provider.models if m.id == candidate.model), None)
    if model is None:
        raise CallFailed(
            Failure.UNAVAILABLE,
            f"{candidate.provider} lists no model {candidate.model}.",
            remedy="Add it to the provider's models in the configuration.",
            charged=False,
        )
    threads = provider.threads or ModelSpec.default_threads()
    spec = ModelSpec(candidate.name, _path(model), candidate.context, threads)
    return LlamaCppWorker(candidate, spec, lambda: shelf_of(provider), int(provider.memory_gib * GIB))


class LlamaCppWorker:
    """types.Worker over a model's process. The guard is asked when the exact size of the prompt is known."""

    def __init__(self, candidate: Candidate, spec: ModelSpec, shelf: Callable[[], Shelf], budget: int) -> None:
        self.candidate = candidate
        self._spec = spec
        self._shelf_here = shelf
        self._shelf: Shelf | None = None
        self._budget = budget
        self._counted: tuple[list[Message], int] | None = None

    def load(self, call: Call) -> None:
        """Nothing is imported here; the process starts within the call."""

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        """Answer, or raise CallFailed. call.timeout covers the waiting, the loading and the writing."""
        if call.tools:
            raise CallFailed(
                Failure.UNAVAILABLE,
                f"{self.candidate.name} cannot use tools ({', '.join(call.tools)}).",
                remedy="Serve the model with llama.cpp's server and configure it as openai_compatible.",
                charged=False,
            )
        clock = asyncio.get_running_loop().time
        end = clock() + call.timeout
        messages = conversation(call)
        self._shelf = self._shelf_here()
        async with self._shelf.borrow(self._spec, call.timeout) as process:
            size = await process.count(messages, seconds=max(0.001, end - clock()))
            self._counted = messages, size
            if size >= process.context:
                raise CallFailed(
                    Failure.CONTEXT,
                    f"{self.candidate.name}: {size:,} tokens of prompt, {process.context:,} of context.",
                    remedy="Shorten the input, or raise the model's context in the configuration.",
                    charged=False,
                )
            cap = min(call.output_cap, self.candidate.output_cap, process.context - size)
            hold = await guard.before(size, cap)
            order = Order(
                messages=messages,
                cap=cap_of(hold, cap),
                seconds=max(0.001, end - clock()),
                temperature=call.temperature or 0.0,
                schema=call.schema,
            )
            outcome: list[Written] = []
            try:
                written = await process.write(
                    order,
                    told=None if progress is None else lambda chars, _text: progress(chars),
                    spent=outcome.append,
                )
            except CallFailed as error:
                await _settle(guard, hold, outcome, charged=error.charged)
                raise
            except BaseException:
                await _settle(guard, hold, outcome, charged=True)
                raise
            await _settle(guard, hold, outcome, charged=True)
        if written.finish not in ("stop", "length"):
            raise CallFailed(
                Failure.TRANSPORT,
                f"{self.candidate.name} was not ready within {call.timeout:g} s.",
                remedy="Raise the deadline, ask for less, or choose a smaller model.",
            )
        return Answer(
            text=_THOUGHT.sub("", written.text, count=1),
            usage=Usage(written.input_tokens, written.output_tokens),
            finish=written.finish,
            model=self.candidate.model,
            logprob=written.logprob,
        )

    async def count(self, call: Call) -> int:
        """The exact number of input tokens; loads the model if need be. Raises CallFailed."""
        messages = conversation(call)
        self._shelf = self._shelf_here()
        async with self._shelf.borrow(self._spec, call.timeout) as process:
            size = await process.count(messages, seconds=call.timeout)
        self._counted = messages, size
        return size

    def bound(self, call: Call) -> int:
        """Exact for the call counted last; else bounded by its texts and the usual frame around them.

        `work` counts exactly before it asks the guard: no reservation rests on this number.
        """
        messages = conversation(call)
        if self._counted is not None and self._counted[0] == messages:
            return self._counted[1]
        header = read_header(self._spec.path)
        controls = Controls(header.control_tokens)
        texts = [controls.broken(m["content"]) for m in messages]
        if header.vocab_size < _SMALL_VOCABULARY:
            size = sum(len(t.encode("utf-8", "replace")) for t in texts)
        else:
            size = sum(tokens.upper_bound(t) for t in texts)
        return size + _FRAME + _FRAME_A_MESSAGE * len(messages)

    async def check(self) -> str:
        """What the file says and whether it fits, without loading it. Raises CallFailed(UNAVAILABLE)."""
        _check_installed()
        header = await asyncio.to_thread(read_header, self._spec.path)
        need = header.memory(self._spec.context)
        if need > self._budget:
            raise CallFailed(
                Failure.UNAVAILABLE,
                f"{self.candidate.name} needs {need / GIB:.2f} GiB and memory_gib allows {self._budget / GIB:.2f}.",
                remedy="Raise memory_gib, or choose a smaller model or context.",
                charged=False,
            )
        loaded = self._shelf is not None and self._spec in self._shelf.loaded
        return (
            f"{header.architecture}, {header.size / GIB:.2f} GiB, context {self._spec.context:,} of "
            f"{header.context:,}, takes {need / GIB:.2f} GiB, {'loaded' if loaded else 'loads on first use'}"
        )

    async def close(self) -> None:
        if self._shelf is not None:
            await self._shelf.drop(self._spec)


def conversation(call: Call) -> list[Message]:
    """The call as chat messages; a schema is named in the instructions besides being the sampler's grammar."""
    system = call.instructions
    if call.schema is not None:
        asked = "Answer with JSON that matches this schema, and nothing else:\n" + json.dumps(dict(call.schema))
        system = f"{system}\n\n{asked}" if system else asked
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for turn in call.history:
        messages.append({"role": "user", "content": turn.user})
        messages.append({"role": "assistant", "content": turn.assistant})
    return [*messages, {"role": "user", "content": call.prompt}]


async def _settle(guard: Guard, hold: Hold | None, outcome: list[Written], *, charged: bool) -> None:
    if outcome:
        await guard.after(hold, Usage(outcome[-1].input_tokens, outcome[-1].output_tokens))
    elif charged:
        await guard.after(hold, None)
    else:
        await guard.unsent(hold)


def _candidate(name: str, provider: Provider, settings: Settings, model: Model, header: Header | None) -> Candidate:
    limits = limits_of(provider, Account(), model, local=True)
    listed = entry("local", model.id)
    context = model.context or DEFAULT_CONTEXT
    if header is not None:
        context = min(context, header.context)
    known = Candidate(
        provider=name,
        kind="llama_cpp",
        account="default",
        model=model.id,
        local=is_local(provider, model.id, settings.local_hosts),
        free=True if model.free is None else model.free,
        context=context,
        output_cap=min(model.output_cap or DEFAULT_OUTPUT, context),
        tokens_per_minute=tokens_per_minute(limits),
        capabilities=_CAPABILITIES if model.capabilities is None else _CAPABILITIES & frozenset(model.capabilities),
        quality=listed.quality if listed and listed.quality is not None else _quality(header),
        speed=30,
        limits=limits,
    )
    wishes = {k: v for k in ("quality", "speed") if (v := getattr(model, k)) is not None}
    return replace(known, **wishes)


def _quality(header: Header | None) -> int:
    """A coarse order by size, below the free cloud models; the configuration knows better."""
    gib = header.size / GIB if header is not None else 0.0
    return 10 if gib < 0.5 else 25 if gib < 3 else 35 if gib < 8 else 45


def _path(model: Model) -> Path:
    if model.path is None:  # the configuration refuses this; a Provider made by hand may not
        raise CallFailed(
            Failure.UNAVAILABLE,
            f"Model {model.id} has no path.",
            remedy="Give the path of its GGUF file.",
            charged=False,
        )
    return model.path.expanduser()


def _check_installed() -> None:
    if importlib.util.find_spec("llama_cpp") is None:
        raise CallFailed(
            Failure.UNAVAILABLE,
            "Local GGUF models need llama-cpp-python, which is not installed.",
            remedy=f"Install it: {INSTALL}",
            charged=False,
        )
