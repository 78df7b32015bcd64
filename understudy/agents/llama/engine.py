"""One loaded model. Lives in the child process only: llama.cpp aborts on a second thread and on failed assertions.

llama_cpp is reached through `Any` on purpose: its types are partial, and this module is its only caller.
"""

from __future__ import annotations

import codecs
import ctypes
import functools
import importlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from understudy.agents.llama.controls import Controls, mended

Message = dict[str, str]  # role and content
FRAME_SECONDS = 0.02  # progress is told at most this often
_PIECE = 4096  # bytes; the longest token of a vocabulary in use has 256
_ATTR_UNKNOWN, _ATTR_CONTROL, _ATTR_USER_DEFINED = 1, 8, 16


class Refused(Exception):
    """The request cannot be worked on. `kind` is context, schema, template or load; the text holds no prompt."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class Job:
    """One request, as it comes through the pipe. `seconds` is how long it may take from now."""

    id: int
    messages: Sequence[Message] = field(repr=False)
    cap: int
    seconds: float
    temperature: float = 0.0
    seed: int = 0
    top_p: float = 0.95
    top_k: int = 40
    schema: dict[str, Any] | None = field(default=None, repr=False)
    json: bool = False  # any JSON value, when there is no schema
    stop: tuple[str, ...] = ()


@dataclass(slots=True)
class Written:
    """The outcome. finish: stop, length, cancelled or deadline."""

    text: str = field(default="", repr=False)
    input_tokens: int = 0
    output_tokens: int = 0
    finish: str = "length"
    logprob: float | None = None


class Engine:
    """A model in memory. One request at a time; `cancel` may be set from another thread."""

    def __init__(self, path: str, context: int, threads: int, batch: int) -> None:
        """Raises Refused("load") with llama.cpp's own last word on why."""
        self._lib: Any = importlib.import_module("llama_cpp")
        said: list[str] = []
        # The callback replaces the one that prints: while a model runs nothing of llama.cpp reaches any stream.
        self._log = self._lib.llama_log_callback(functools.partial(_keep_errors, said))
        self._lib.llama_log_set(self._log, ctypes.c_void_p(0))
        gpu = bool(self._lib.llama_supports_gpu_offload())
        try:
            self._llama: Any = self._lib.Llama(
                path,
                n_ctx=context,
                n_batch=512 if gpu else batch,  # a batch on a GPU cannot be aborted and takes milliseconds
                n_ubatch=512 if gpu else batch,
                n_threads=threads,
                n_threads_batch=threads,
                n_gpu_layers=-1 if gpu else 0,
                verbose=False,
            )
        except (ValueError, RuntimeError, AssertionError) as error:
            raise Refused("load", said[0] if said else type(error).__name__) from None
        self._vocab: Any = self._llama._model.vocab
        self._n_vocab = int(self._llama.n_vocab())
        self.context = min(context, int(self._llama.n_ctx()))
        self.cancelled = 0  # the id of the job that was told to stop
        self._job = 0
        self._end = 0.0
        self._logprobs: list[float] = []
        self._template: str | None = self._llama.metadata.get("tokenizer.chat_template")
        self._controls = Controls(self._control_texts())
        self._render: Any = self._formatter()
        self._counted: tuple[str, list[int]] | None = None
        self._mend = False  # whether the conversation at hand had control tokens to break
        self._abort = self._lib.ggml_abort_callback(self._asked_to_stop)
        self._lib.llama_set_abort_callback(self._llama.ctx, self._abort, None)
        self._watch_sampler()
        said.extend([""] * 8)  # from here on nothing is kept: prompts are about to arrive

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation up to where the answer begins. Control tokens come from the template only."""
        key = json.dumps(messages)
        if self._counted is None or self._counted[0] != key:
            safe = [{"role": m["role"], "content": self._controls.broken(m["content"])} for m in messages]
            self._mend = any(a["content"] != b["content"] for a, b in zip(safe, messages, strict=True))
            tokens = self.tokenize(self._rendered(safe))
            bos = int(self._llama.token_bos())
            if self._lib.llama_vocab_get_add_bos(self._vocab) and tokens[:1] != [bos]:
                tokens.insert(0, bos)
            self._counted = key, tokens
        return list(self._counted[1])

    def tokenize(self, text: str) -> list[int]:
        """Tokens with control tokens on: for rendered prompts."""
        return list(self._llama.tokenize(text.encode("utf-8", "replace"), add_bos=False, special=True))

    def write(self, job: Job, tell: Callable[[int, str], None]) -> Written:
        """Answer. `tell` gets the number of characters so far and the new ones. Raises Refused."""
        tokens = self.encode(job.messages)
        out = Written(input_tokens=len(tokens))
        room = self.context - len(tokens)
        if room <= 0:
            raise Refused("context", f"{len(tokens):,} tokens of prompt, {self.context:,} of context")
        self._job, self._end = job.id, time.monotonic() + job.seconds
        self._logprobs.clear()
        self._llama.set_seed(job.seed)
        text = _Text(job.stop, tell, self._mend)
        steps = self._steps(tokens, job)
        try:
            for token in steps:
                if self._lib.llama_vocab_is_eog(self._vocab, token):
                    out.finish = "stop"
                    break
                out.output_tokens += 1
                if text.add(self._piece(token)):
                    out.finish = "stop"
                    break
                if self._must_stop() or out.output_tokens >= min(job.cap, room):
                    break
        except RuntimeError:
            if not self._must_stop():
                raise
            self._llama.reset()
            self._llama._ctx.kv_cache_clear()
        finally:
            steps.close()
            out.finish = self._ended_early() if out.finish == "length" else out.finish
            self._job, self._end = 0, 0.0
        out.text = text.close()
        out.logprob = sum(self._logprobs) / len(self._logprobs) if self._logprobs else None
        return out

    def _steps(self, tokens: list[int], job: Job) -> Any:
        return self._llama.generate(
            tokens,
            temp=job.temperature,
            top_p=job.top_p,
            top_k=job.top_k,
            repeat_penalty=1.0,
            grammar=self._grammar(job),
        )

    def _must_stop(self) -> bool:
        return bool(self._job) and (self.cancelled == self._job or time.monotonic() > self._end)

    def _asked_to_stop(self, _data: object) -> bool:
        return self._must_stop()  # called by llama.cpp in the middle of a decode

    def _ended_early(self) -> str:
        if self.cancelled == self._job:
            return "cancelled"
        return "deadline" if time.monotonic() > self._end else "length"

    def _grammar(self, job: Job) -> Any:
        """The sampler's grammar. llama.cpp's "json_schema" response format is ignored in process, so it is built here.

        A schema beyond what a grammar can say falls back to any JSON: the answer is validated against it anyway.
        """
        if job.schema is None and not job.json:
            return None
        grammars: Any = importlib.import_module("llama_cpp.llama_grammar")
        rules = "root ::= object" + _JSON
        if job.schema is not None:
            try:
                rules = str(grammars.json_schema_to_gbnf(json.dumps(job.schema)))
            except Exception:  # noqa: BLE001  the converter raises what it likes on schemas it does not know
                rules = "root ::= value" + _JSON
        return grammars.LlamaGrammar.from_string(rules, verbose=False)

    def _watch_sampler(self) -> None:
        """Keep the log-probability of every sampled token: the row the sampler read is still in the context.

        `logits_all=True` would cost context x vocabulary floats (18 GiB at 32k x 152k) and a sort in Python.
        """
        numpy: Any = importlib.import_module("numpy")
        sample = self._llama.sample

        def watched(*args: Any, **kwargs: Any) -> int:
            token = int(sample(*args, **kwargs))
            row = self._lib.llama_get_logits_ith(self._llama.ctx, -1)
            if row:
                logits = numpy.ctypeslib.as_array(ctypes.cast(row, ctypes.POINTER(ctypes.c_float)), (self._n_vocab,))
                shifted = logits - logits.max()
                self._logprobs.append(float(shifted[token]) - float(numpy.log(numpy.exp(shifted).sum())))
            return token

        self._llama.sample = watched

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(_PIECE)
        length = int(self._lib.llama_token_to_piece(self._vocab, token, buffer, _PIECE, 0, False))
        return buffer.raw[:length] if length > 0 else b""

    def _control_texts(self) -> Iterator[str]:
        """What the tokeniser would turn into one token of structure.

        Tokens a user may have defined count only when the chat template uses them: Gemma defines "<table>" and the
        like, which are ordinary text.
        """
        for token in range(self._n_vocab):
            kind = int(self._lib.llama_vocab_get_attr(self._vocab, token))
            if kind & (_ATTR_CONTROL | _ATTR_UNKNOWN | _ATTR_USER_DEFINED):
                text = bytes(self._lib.llama_vocab_get_text(self._vocab, token)).decode("utf-8", "replace")
                used = bool(text.strip()) and text in (self._template or "")
                if not kind & _ATTR_USER_DEFINED or used:
                    yield text

    def _formatter(self) -> Any:
        if self._template is None:
            return None
        formats: Any = importlib.import_module("llama_cpp.llama_chat_format")
        marks = [self._token_text(self._llama.token_eos()), self._token_text(self._llama.token_bos())]
        return formats.Jinja2ChatFormatter(self._template, eos_token=marks[0], bos_token=marks[1])

    def _token_text(self, token: int) -> str:
        if token < 0:
            return ""
        return bytes(self._lib.llama_vocab_get_text(self._vocab, token)).decode("utf-8", "replace")

    def _rendered(self, messages: list[Message]) -> str:
        if self._render is None:  # a base model without a template: the plainest form it may have seen
            lines = [f"{m['role'].capitalize()}: {m['content']}" for m in messages]
            return "\n\n".join([*lines, "Assistant:"])
        try:
            return self._apply(messages)
        except Exception:  # noqa: BLE001  templates raise what they like: some know no system role
            try:
                return self._apply(_without_system(messages))
            except Exception as error:  # noqa: BLE001
                raise Refused("template", f"its chat template fails ({type(error).__name__})") from None

    def _apply(self, messages: list[Message]) -> str:
        # Models that think aloud by template (Qwen3) would spend the whole cap on it.
        return str(self._render(messages=messages, enable_thinking=False).prompt)


_JSON = r"""
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,3})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


class _Text:
    """Bytes of tokens becoming text: characters cut in two by tokens, stop strings, progress."""

    def __init__(self, stop: Sequence[str], tell: Callable[[int, str], None], mend: bool) -> None:
        self._mend = mend
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = [s for s in stop if s]
        self._held_back = max((len(s) - 1 for s in self._stop), default=0)
        self._tell = tell
        self._told = 0
        self._at = time.monotonic()
        self._text = ""

    def add(self, piece: bytes) -> bool:
        """True when a stop string is complete; the text then ends before it."""
        start = max(0, len(self._text) - self._held_back)
        self._take(piece)
        ends = [at for s in self._stop if (at := self._text.find(s, start)) >= 0]
        if ends:
            self._text = self._text[: min(ends)]
            return True
        if time.monotonic() - self._at >= FRAME_SECONDS:
            self._say(len(self._text) - self._held_back)
        return False

    def close(self) -> str:
        self._take(b"", True)
        self._say(len(self._text))
        return self._text

    def _take(self, piece: bytes, last: bool = False) -> None:
        text = self._decoder.decode(piece, last)
        self._text += mended(text) if self._mend else text

    def _say(self, until: int) -> None:
        if until > self._told:
            self._tell(until, self._text[self._told : until])
            self._told, self._at = until, time.monotonic()


def _without_system(messages: list[Message]) -> list[Message]:
    """The same conversation for templates that know no system role: its text leads the first user message."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    rest = [dict(m) for m in messages if m["role"] != "system"]
    if system and rest:
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
    return rest


def _keep_errors(said: list[str], level: int, text: bytes, _data: object) -> None:
    if (
        level == 4 and len(said) < 8
    ):  # ggml.h: GGML_LOG_LEVEL_ERROR = 4; the first is the cause, the rest follow from it
        said.append(text.decode("utf-8", "replace").strip()[:300])
