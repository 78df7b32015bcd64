"""Run a command so that nothing of it is left afterwards: not on success, error, cancel, deadline or our own death."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
OUTPUT_LIMIT = 32 * 2**20  # bytes
STDERR_KEPT = 64 * 2**10  # bytes
_SUPERVISOR = Path(__file__).with_name("supervise.py")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is 128 + n when signal n ended it. `cut`: "", "deadline" or "output"."""

    code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    cut: str = ""


async def run_supervised(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    seconds: float,
    stdin: bytes = b"",
    grace: float = GRACE,
    output_limit: int = OUTPUT_LIMIT,
    remove: Path | None = None,
    hold: Sequence[int] = (),
    on_output: Callable[[bytes], None] | None = None,
) -> Ended:
    """Run until it ends, `seconds` are over, or it has written more than `output_limit` bytes.

    stdin is written and closed. `remove`: a folder that is deleted when every descendant is gone, even if this process
    is killed meanwhile. `hold`: descriptors (locks) kept open as long. `on_output` sees the pieces of stdout as they
    come. Raises OSError when nothing could be started, and CancelledError after everything has been stopped.
    """
    control, stopper = os.pipe()
    options = [str(os.getpid()), str(control), str(grace), str(remove or ""), ",".join(map(str, hold))]
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", str(_SUPERVISOR)),
            *options,
            "--",
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, not the command's
            pass_fds=(control, *hold),
        )
    except BaseException:
        os.close(stopper)
        raise
    finally:
        os.close(control)
    traffic = _Traffic(process, output_limit, on_output)
    everything = asyncio.create_task(traffic.carry(stdin))
    too_much = asyncio.create_task(traffic.too_much.wait())
    cut = ""
    try:
        await asyncio.wait({everything, too_much}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not everything.done():
            cut = "output" if traffic.too_much.is_set() else "deadline"
    finally:
        os.close(stopper)  # the supervisor sees it and stops what is still running
        too_much.cancel()
        await _finish(everything, process, grace)
    code = process.returncode if process.returncode is not None else 137
    return Ended(code if code >= 0 else 128 - code, bytes(traffic.stdout), bytes(traffic.stderr), cut)


async def _finish(everything: asyncio.Task[None], process: asyncio.subprocess.Process, grace: float) -> None:
    """Wait for the end, whoever cancels us meanwhile. A supervisor that does not end is killed, its child with it."""
    waiting = asyncio.create_task(asyncio.wait({everything}, timeout=grace + 12.0))
    cancelled = False
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancelled = True
    if not everything.done():
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait({everything}, timeout=2.0)
        everything.cancel()
    elif (error := everything.exception()) is not None:
        raise error
    if cancelled:
        raise asyncio.CancelledError


class _Traffic:
    """The three pipes. Beyond the limit output is read on and thrown away, so that nobody blocks while stopping."""

    def __init__(
        self, process: asyncio.subprocess.Process, limit: int, on_output: Callable[[bytes], None] | None
    ) -> None:
        self._process = process
        self._limit = limit
        self._on_output = on_output
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.too_much = asyncio.Event()

    async def carry(self, stdin: bytes) -> None:
        await asyncio.gather(self._feed(stdin), self._read(), self._read_errors())
        await self._process.wait()

    async def _feed(self, stdin: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101  asked for above
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pipe.write(stdin)
            await pipe.drain()
        pipe.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await pipe.wait_closed()

    async def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101
        while piece := await pipe.read(65536):
            if len(self.stdout) + len(piece) > self._limit:
                self.too_much.set()
            if self.too_much.is_set():
                continue
            self.stdout += piece
            if self._on_output is not None:
                self._on_output(piece)

    async def _read_errors(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None  # noqa: S101
        while piece := await pipe.read(65536):
            self.stderr += piece[: STDERR_KEPT - len(self.stderr)]
