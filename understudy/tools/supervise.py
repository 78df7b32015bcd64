"""A process that runs a command and outlives it by nothing: when it ends, every descendant is gone.

Started by path (`python -I -S supervise.py OPTIONS -- COMMAND`), so it imports the standard library only. It is the
"child subreaper" of Linux (PR_SET_CHILD_SUBREAPER is process-wide, so it cannot be the program itself): descendants
that leave their session or lose their parent come back to it, and are killed. It ends when the command ends, on
SIGTERM, when its starter dies (parent-death signal), or when the control pipe closes, whichever is first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STUCK = 10.0  # seconds after SIGKILL: what is left then waits on a device, and no signal reaches it
STARTED_TOO_LATE = 125


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _descendants() -> list[int]:
    """All processes below this one, by /proc; without /proc, none are known."""
    parents: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()  # the command's name may hold anything
                    parents.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


class _Supervisor:
    def __init__(self, starter: int, control: int, grace: float) -> None:
        self._starter = starter
        self._control = control
        self._grace = grace
        self._wake, writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(writer, False)
        self._told = False  # to stop, by a signal
        self._child = 0
        self._code: int | None = None
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, self._wake_up)

    def _wake_up(self, *_: object) -> None:
        """The descriptor of set_wakeup_fd has been written to: that is all that is wanted."""

    def _stop(self, *_: object) -> None:
        self._told = True

    def run(self, command: list[str]) -> int:
        self._child = self._start(command)
        stop_by: float | None = None
        while self._code is None:
            left = None if stop_by is None else stop_by - time.monotonic()
            if left is not None and left <= 0:
                break
            watched = [self._wake] if stop_by is not None else [self._wake, self._control]
            ready, _, _ = select.select(watched, [], [], left)
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 512)
            closed = self._control in ready and not os.read(self._control, 64)
            self._reap()
            if stop_by is None and (closed or self._told or os.getppid() != self._starter):
                self._signal([self._child], signal.SIGTERM)
                stop_by = time.monotonic() + self._grace
        self._clear()
        return 137 if self._code is None else self._code

    def _start(self, command: list[str]) -> int:
        child = os.fork()
        if child:
            return child
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.setpgid(0, 0)
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # if even the supervisor is killed
            os.execvp(command[0], command)  # noqa: S606
        except OSError as error:
            os.write(2, f"cannot start: {error.strerror}\n".encode())
        finally:
            os._exit(127)

    def _reap(self) -> bool:
        """Collect the dead. True while somebody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                code = os.waitstatus_to_exitcode(status)
                self._code = code if code >= 0 else 128 - code

    def _clear(self) -> None:
        """Nobody is left afterwards: SIGTERM, a short wait, SIGKILL until waitpid has nobody to wait for."""
        started = time.monotonic()
        polite = min(self._grace, 0.5) if self._code is not None else 0.0
        said = False
        while self._reap() and time.monotonic() - started < polite + STUCK:
            if time.monotonic() - started >= polite:
                self._signal(_descendants(), signal.SIGKILL)
                with contextlib.suppress(OSError):
                    os.killpg(self._child, signal.SIGKILL)
            elif not said:
                said = True
                self._signal(_descendants(), signal.SIGTERM)
            select.select([self._wake], [], [], 0.02)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 512)

    def _signal(self, pids: list[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def main(arguments: list[str]) -> int:
    """OPTIONS: the starter's pid, the control descriptor, the grace in seconds, the folder to remove or "", and
    descriptors (comma separated) to hold until the end, such as a lock."""
    starter, control, grace, folder, held = arguments[:5]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)  # sent when the starting *thread* ends: the loop checks who is there
    for descriptor in [control, *filter(None, held.split(","))]:
        os.set_inheritable(int(descriptor), False)
    try:
        if os.getppid() != int(starter):
            return STARTED_TOO_LATE
        return _Supervisor(int(starter), int(control), float(grace)).run(arguments[6:])
    finally:
        if folder:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # Nothing buffered is lost: this process never prints.
    os._exit(main(sys.argv[1:]))
