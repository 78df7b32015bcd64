"""Several serving processes behind one socket: started, watched, replaced when they die, told what we are told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

AGAIN = 1.0  # seconds until one that died is replaced
GRACE = 45.0  # seconds to drain; longer than a process gives itself


@dataclass(slots=True)
class Workers:
    """command: that of one process, which takes the socket by its number."""

    command: Callable[[int, int], Sequence[str]]  # of the socket, and of which worker it is, from 0 on
    count: int
    told: Callable[[str], None]
    died: Callable[[int], None] = lambda place: None
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict[int, "subprocess.Popen[bytes]"])
    _ending: bool = False

    def run(self, listening: socket.socket) -> int:
        """Until SIGTERM or SIGINT; SIGHUP goes to all of them. The worst exit code of the first start, else 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._reload)
        for place in range(self.count):
            self._start(place, listening)
        began = time.monotonic()
        while not self._ending:
            for place, process in list(self.running.items()):
                code = process.poll()
                if code is None:
                    continue
                if time.monotonic() - began < 2 * AGAIN and code > 0:
                    self._finish()  # it cannot start at all, and has said why
                    return code
                if not self._ending:
                    self.died(place)
                    self.told(f"Worker {place + 1} ended ({code}); another takes its place.")
                    time.sleep(AGAIN)
                    self._start(place, listening)
            time.sleep(0.1)
        listening.close()
        self._finish()
        return 0

    def _start(self, place: int, listening: socket.socket) -> None:
        fd = listening.fileno()
        self.running[place] = subprocess.Popen(
            list(self.command(fd, place)),
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            process_group=0,  # a terminal's Ctrl-C is for us alone: we tell them, once, in words that drain
        )

    def _end(self, *_: object) -> None:
        self._ending = True

    def _reload(self, *_: object) -> None:
        self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: int) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(number)

    def _finish(self) -> None:
        self._pass_on(signal.SIGTERM)
        until = time.monotonic() + GRACE
        for process in self.running.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(arguments: Sequence[str], count: int) -> Callable[[int, int], Sequence[str]]:
    """This program once more, as a worker."""

    def made(fd: int, place: int) -> Sequence[str]:
        own = ["--fd", str(fd), "--parent", str(os.getpid()), "--place", f"{place + 1}/{count}"]
        return [sys.executable, "-m", "understudy", *arguments, *own]

    return made
