"""The process of one model: python -m understudy.agents.llama.child, spoken to through its pipes in frames.

In: load (first), then count, write, cancel. Out: ready or failed, then told, counted, written or failed, each with the
id of what it answers. It dies with its parent: the kernel kills it when the parent's thread ends, and the end of its
input ends it too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import resource
import signal
import sys
import threading
from typing import Any, NoReturn

from understudy.agents.llama.frames import Frame, Frames, pack

_PR_SET_PDEATHSIG = 1


def main() -> None:
    pipe_in, pipe_out = _take_pipes()
    _die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the terminal stops a task, not the model
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the prompts
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")  # when memory runs out the model goes first, not understudy
    inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    seat = _Seat(pipe_out)
    threading.Thread(target=_listen, args=(pipe_in, inbox, seat), daemon=True).start()
    seat.load(inbox.get())
    while True:
        seat.serve(inbox.get())


class _Seat:
    """The model and the pipe its answers go into."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self.engine: Any = None  # an engine.Engine: importing it here would load numpy before the environment is set

    def load(self, frame: Frame) -> None:
        try:
            from understudy.agents.llama.engine import Engine, Refused
        except ImportError as error:
            self._fail(0, "missing", f"{error.name or error}")
            sys.exit(1)
        try:
            self.engine = Engine(frame["path"], frame["context"], frame["threads"], frame["batch"])
        except ImportError as error:
            self._fail(0, "missing", f"{error.name or error}")
            sys.exit(1)
        except Refused as error:
            self._fail(0, error.kind, error.message)
            sys.exit(1)
        except Exception as error:  # noqa: BLE001  whatever it is, the parent must hear of it, and without its text
            self._fail(0, "load", type(error).__name__)
            sys.exit(1)
        self._send({"id": 0, "ready": True, "context": self.engine.context})

    def serve(self, frame: Frame) -> None:
        from understudy.agents.llama.engine import Refused

        number = int(frame["id"])
        try:
            if frame["do"] == "count":
                self._send({"id": number, "counted": len(self.engine.encode(frame["messages"]))})
            elif frame["do"] == "tokenize":
                self._send({"id": number, "tokens": self.engine.encode(frame["messages"])})
            elif frame["do"] == "write":
                self._write(number, frame["job"])
        except Refused as error:
            self._fail(number, error.kind, error.message)
        except Exception as error:  # noqa: BLE001  texts of llama-cpp-python's errors quote prompts: the type must do
            self._fail(number, "broken", type(error).__name__)

    def _write(self, number: int, job: dict[str, Any]) -> None:
        from understudy.agents.llama.engine import Job

        def tell(chars: int, text: str) -> None:
            self._send({"id": number, "told": chars, "text": text})

        written = self.engine.write(Job(id=number, **job), tell)
        self._send(
            {
                "id": number,
                "written": {
                    "text": written.text,
                    "input_tokens": written.input_tokens,
                    "output_tokens": written.output_tokens,
                    "finish": written.finish,
                    "logprob": written.logprob,
                },
            }
        )

    def _fail(self, number: int, kind: str, message: str) -> None:
        self._send({"id": number, "failed": kind, "message": message[:300]})

    def _send(self, frame: Frame) -> None:
        data = pack(frame)
        try:
            while data:
                data = data[os.write(self._pipe, data) :]
        except OSError:
            os._exit(0)  # nobody reads any more


def _listen(pipe: int, inbox: queue.SimpleQueue[Frame], seat: _Seat) -> NoReturn:
    """Take orders while the model works: llama.cpp lets other threads run during a decode."""
    frames = Frames()
    try:
        while piece := os.read(pipe, 1 << 16):
            for frame in frames.feed(piece):
                if frame.get("do") == "cancel":
                    if seat.engine is not None:
                        seat.engine.cancelled = int(frame["id"])
                else:
                    inbox.put(frame)
    finally:
        os._exit(0)  # the parent is gone, or speaks no sense: no clean-up may hold the memory


def _take_pipes() -> tuple[int, int]:
    """Keep the two pipes to ourselves; what libraries print goes nowhere and cannot get between the frames."""
    pipe_in, pipe_out = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return pipe_in, pipe_out


def _die_with_parent(parent: int) -> None:
    """Linux kills us when the thread that started us ends; elsewhere the end of the pipe must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main()
