"""A model in a process of its own, seen from the parent: start, count, write, cancel, end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from understudy.agents.llama.frames import Frame, Frames, pack
from understudy.agents.llama.gguf import BATCH
from understudy.errors import CallFailed, install
from understudy.types import Failure

Message = dict[str, str]  # role (system, user, assistant) and content
INSTALL = install("local")

# What a model's process may see of the environment: no key of anybody is among it.
_ENVIRONMENT = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"})
_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "GGML_", "VK_", "SYCL_", "ONEAPI_")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What to load: `context` in tokens (prompt and answer together), `threads` of the processor."""

    name: str
    path: Path
    context: int
    threads: int

    @staticmethod
    def default_threads() -> int:
        """Half of the processors this process may use: a second thread on a hyper-thread only slows the first down."""
        return max(1, len(os.sched_getaffinity(0)) // 2) if hasattr(os, "sched_getaffinity") else 1


@dataclass(frozen=True, slots=True)
class Order:
    """One request. `seconds` is how long it may take; `schema` becomes the sampler's grammar."""

    messages: Sequence[Message] = field(repr=False)
    cap: int
    seconds: float
    temperature: float = 0.0  # greedy: the same prompt gives the same text
    seed: int = 0
    top_p: float = 0.95
    top_k: int = 40
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    json: bool = False
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it. finish: stop, length, cancelled or deadline. logprob: mean over the tokens, natural log."""

    text: str = field(repr=False)
    input_tokens: int
    output_tokens: int
    finish: str
    logprob: float | None


class ModelProcess:
    """One loaded model. Its owner lets one exchange in at a time; a second one waits for the first."""

    def __init__(self, spec: ModelSpec, child: asyncio.subprocess.Process, grace: float) -> None:
        self.spec = spec
        self.pid = child.pid
        self.context = spec.context
        if child.stdin is None or child.stdout is None:
            raise ValueError("the child needs both pipes")
        self._child = child
        self._into, self._out_of = child.stdin, child.stdout
        self._grace = grace
        self._frames = Frames()
        self._arrived: list[Frame] = []
        self._turn = asyncio.Lock()
        self._number = 0
        self._lost = False

    @classmethod
    async def start(cls, spec: ModelSpec, *, seconds: float = 600.0, grace: float = 1.0) -> ModelProcess:
        """Load a model. `grace`: seconds a child may take to obey before it is killed.

        Raises CallFailed(UNAVAILABLE): not installed, not loadable, ended, or not ready after `seconds`.
        """
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working folder is no place to import from
            "-m",
            "understudy.agents.llama.child",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # prompts may be quoted there
            env=_environment(),
            start_new_session=True,
        )
        process = cls(spec, child, grace)
        try:
            async with asyncio.timeout(seconds):
                path = str(spec.path)
                load = {"path": path, "context": spec.context, "threads": spec.threads, "batch": BATCH}
                reply = await process._exchange({"do": "load", "id": 0, **load})
        except BaseException as error:
            process.kill()
            await process.close()
            if isinstance(error, TimeoutError):
                raise CallFailed(
                    Failure.UNAVAILABLE,
                    f"{spec.name} was not loaded after {seconds:g} s.",
                    remedy="Choose a smaller model, or a faster disk.",
                    charged=False,
                ) from None
            raise
        if "failed" in reply:
            await process.close()
            raise _not_loaded(spec, reply)
        process.context = int(reply["context"])
        return process

    @property
    def alive(self) -> bool:
        return not self._lost and self._child.returncode is None

    async def count(self, messages: Sequence[Message], *, seconds: float = 60.0) -> int:
        """Tokens of the prompt, exactly as it will be written to the model. Raises CallFailed."""
        reply = await self._settled({"do": "count", "messages": list(messages)}, seconds, None)
        return int(reply["counted"])

    async def tokenize(self, messages: Sequence[Message], *, seconds: float = 60.0) -> list[int]:
        """The prompt's token ids. Raises CallFailed."""
        reply = await self._settled({"do": "tokenize", "messages": list(messages)}, seconds, None)
        return [int(t) for t in reply["tokens"]]

    async def write(
        self,
        order: Order,
        *,
        told: Callable[[int, str], None] | None = None,
        spent: Callable[[Written], None] | None = None,
    ) -> Written:
        """Answer. `told` gets the characters so far and the new ones; `spent` the outcome even when cancelled.

        When the caller is cancelled the model stops in the middle of a decode and keeps its memory. Raises
        CallFailed: CONTEXT before any work, TRANSPORT when the process ended or had to be killed.
        """
        job = asdict(replace(order, messages=(), schema=None))
        job |= {"messages": list(order.messages), "schema": order.schema, "stop": list(order.stop)}
        reply = await self._settled({"do": "write", "job": job}, order.seconds, told, spent)
        return Written(**reply["written"])

    def kill(self) -> None:
        self._lost = True
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def close(self) -> None:
        """End the process and give its memory back: first by the end of its input, then by force."""
        self._lost = True
        self._into.close()
        try:
            async with asyncio.timeout(self._grace):
                await self._child.wait()
        except TimeoutError:
            self.kill()
            await self._child.wait()
        except BaseException:
            self.kill()
            raise

    async def _settled(
        self,
        frame: Frame,
        seconds: float,
        told: Callable[[int, str], None] | None,
        spent: Callable[[Written], None] | None = None,
    ) -> Frame:
        """One exchange, finished whatever happens to the caller: the next one must find the pipe empty."""
        async with self._turn:
            self._number += 1
            number = self._number
            task = asyncio.create_task(self._bounded({**frame, "id": number}, seconds, told))
            try:
                reply = await asyncio.shield(task)
            except asyncio.CancelledError:
                reply = await self._stopped(task, number)
                if spent is not None and reply is not None and "written" in reply:
                    spent(Written(**reply["written"]))
                raise
            except CallFailed:
                raise
            except Exception:  # the caller's own `told` failed: the model must not go on for nobody
                self._send({"do": "cancel", "id": number})
                raise
        if "failed" in reply:
            raise self._refused(reply)
        if spent is not None and "written" in reply:
            spent(Written(**reply["written"]))
        return reply

    async def _stopped(self, task: asyncio.Task[Frame], number: int) -> Frame | None:
        """Tell the child to stop and wait for its last word; kill it when none comes."""
        try:
            self._send({"do": "cancel", "id": number})
            async with asyncio.timeout(self._grace):
                return await asyncio.shield(task)
        except BaseException as error:
            self.kill()
            task.cancel()
            if isinstance(error, TimeoutError | CallFailed):
                return None
            raise

    async def _bounded(self, frame: Frame, seconds: float, told: Callable[[int, str], None] | None) -> Frame:
        try:
            async with asyncio.timeout(seconds + self._grace):  # the child keeps the deadline itself if it can
                return await self._exchange(frame, told)
        except TimeoutError:
            self.kill()
            raise CallFailed(
                Failure.TRANSPORT,
                f"{self.spec.name} did not answer within {seconds:g} s and was ended.",
                remedy="It is loaded again on the next call.",
            ) from None

    async def _exchange(self, frame: Frame, told: Callable[[int, str], None] | None = None) -> Frame:
        """Send, and read up to the answer."""
        self._send(frame)
        with contextlib.suppress(ConnectionError):
            await self._into.drain()
        while True:
            for answer in self._drained():
                if answer.get("id") != frame["id"]:
                    continue
                if "told" not in answer:
                    return answer
                if told is not None:
                    told(int(answer["told"]), str(answer["text"]))
            piece = await self._out_of.read(1 << 16)
            if not piece:
                raise await self._ended()
            try:
                self._arrived += self._frames.feed(piece)
            except ValueError:
                self.kill()
                raise CallFailed(Failure.TRANSPORT, f"The process of {self.spec.name} spoke no sense.") from None

    def _drained(self) -> list[Frame]:
        arrived, self._arrived = self._arrived, []
        return arrived

    def _send(self, frame: Frame) -> None:
        if self._into.is_closing():
            return
        try:
            data = pack(frame)
        except ValueError as error:
            raise CallFailed(Failure.CONTEXT, f"The prompt for {self.spec.name}: {error}.", charged=False) from None
        with contextlib.suppress(ConnectionError):
            self._into.write(data)

    async def _ended(self) -> CallFailed:
        self._lost = True
        code = await self._child.wait()
        how = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
        return CallFailed(
            Failure.TRANSPORT,
            f"The process of {self.spec.name} ended in the middle of its work ({how}).",
            remedy="It is loaded again on the next call; SIGKILL usually means that the machine ran out of memory.",
        )

    def _refused(self, reply: Frame) -> CallFailed:
        kind, message, name = str(reply["failed"]), str(reply["message"]), self.spec.name
        if kind == "context":
            return CallFailed(
                Failure.CONTEXT, f"{name}: {message}.", remedy="Shorten the input, or raise its context.", charged=False
            )
        if kind == "template":
            return CallFailed(
                Failure.UNAVAILABLE, f"{name}: {message}.", remedy="Use another GGUF of this model.", charged=False
            )
        return CallFailed(Failure.MALFORMED, f"{name} failed inside llama.cpp ({message}).")


def _not_loaded(spec: ModelSpec, reply: Frame) -> CallFailed:
    if reply["failed"] == "missing":
        return CallFailed(
            Failure.UNAVAILABLE,
            f"{spec.name} needs llama-cpp-python, which is not installed ({reply['message']}).",
            remedy=f"Install it: {INSTALL}",
            charged=False,
        )
    return CallFailed(
        Failure.UNAVAILABLE,
        f"llama.cpp cannot load {spec.path}: {reply['message']}.",
        remedy="Update llama-cpp-python, choose a smaller context, or download another version of the model.",
        charged=False,
    )


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in _ENVIRONMENT or k.startswith(_PREFIXES)}
    # Waiting threads must sleep: spinning ones took three quarters of the speed. And no debugger on an abort.
    kept |= {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    root = Path(__file__).resolve().parents[3]
    if root.name not in ("site-packages", "dist-packages"):  # a checkout that is run without being installed
        kept["PYTHONPATH"] = os.pathsep.join(p for p in (kept.get("PYTHONPATH"), str(root)) if p)
    return kept
