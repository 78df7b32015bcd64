"""The sandbox's own process: it confines a child, runs the code in it, watches it, and leaves nobody behind.

Started as `python -I -S warden.py`. Standard input brings one line of JSON (the job) and then stays open: its end means
that the parent is gone or has changed its mind. Standard output takes one line of JSON (the result).

With a PID namespace the child's init is PID 1 of it: whatever way it ends, the kernel kills every process of the
namespace. Without one the filter refuses fork, so there is nobody but the child itself.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import types
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_SLASH_TMP = "/tmp"  # noqa: S108  the name inside the mount namespace, where it is the sandbox's own folder
_ROOT = os.path.dirname(os.path.dirname(_HERE))


def _borrow_packages() -> None:
    """Make `understudy.tools.box` importable without running a line of the packages above it."""
    for name, path in (("understudy", _ROOT), ("understudy.tools", os.path.dirname(_HERE))):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package


def main() -> None:
    _borrow_packages()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, by closing the pipe
    job: dict[str, Any] = json.loads(_line(0))
    try:
        result = _watch(job)
    except OSError as error:
        result = {"refused": f"{error.strerror}"}
    finally:
        shutil.rmtree(job["folder"], ignore_errors=True)
    rest = json.dumps(result).encode() + b"\n"
    while rest:
        rest = rest[os.write(1, rest) :]


def _line(handle: int) -> bytes:
    """One line, read byte-exactly so that poll keeps seeing what comes after it."""
    got = bytearray()
    while not got.endswith(b"\n"):
        chunk = os.read(handle, 65536)
        if not chunk:
            os._exit(0)  # the parent went before it said what to do
        got += chunk
    return bytes(got)


def _watch(job: dict[str, Any]) -> dict[str, Any]:
    # All of it now: a confined child can read none of these files.
    for name in ("landlock", "suite", "syscalls"):
        importlib.import_module(f"understudy.tools.box.{name}")
    from understudy.tools.box import confine

    separation = confine.separate(job["folder"], job["readable"], wanted=job["namespaces"])
    out, err, report, status = (os.pipe() for _ in range(4))
    mine = os.getpid()
    first = os.fork()
    if first == 0:
        try:
            for end in (0, 1, out[0], err[0], report[0], status[0]):
                os.close(end)
            _init(job, separation, (out[1], err[1], report[1]), status[1], mine)
        finally:
            os._exit(70)
    for end in (out[1], err[1], report[1], status[1]):
        os.close(end)
    return _Watch(job, first, {out[0]: "stdout", err[0]: "stderr", report[0]: "report", status[0]: "status"}).run()


def _init(job: dict[str, Any], separation: Any, pipes: tuple[int, int, int], status: int, warden: int) -> None:
    """PID 1 of the namespace: starts the code, reaps, and tells how the code ended. Without one: is the code."""
    from understudy.tools.box import confine

    if not separation.namespaces:
        os.close(status)
        _confined(job, _reachable(job, separation), pipes, warden, alone=False)
        return
    place = confine.mount_alone(job["folder"], job["readable"])
    separation = separation if place == _SLASH_TMP else _reachable(job, separation)
    job["folder"] = place or job["folder"]
    confine.become_nobody(separation.uid)
    waiting = select.poll()
    waiting.register(status, 0)
    if waiting.poll(0):
        os._exit(70)  # the warden died before it could be told to take us with it
    child = os.fork()
    if child == 0:
        os.close(status)
        try:
            _confined(job, separation, pipes, 1, alone=bool(place))
        finally:
            os._exit(70)
    for end in pipes:
        os.close(end)
    while True:
        pid, how = os.wait()
        if pid == child:
            os.write(status, str(how).encode())
            os._exit(0)


def _reachable(job: dict[str, Any], separation: Any) -> Any:
    """Without the throwaway identity if that could not reach its own folder (a /tmp that is closed to others)."""
    from understudy.tools.box import confine

    if separation.uid is None or confine.open_to_all(os.path.dirname(job["folder"]), 0o001):
        return separation
    os.chown(job["folder"], os.getuid(), os.getgid())
    return confine.Separation(separation.namespaces, None)


def _confined(job: dict[str, Any], separation: Any, pipes: tuple[int, int, int], parent: int, *, alone: bool) -> None:
    """Take everything away, then run the code. What cannot be taken away is reported and nothing is run."""
    from understudy.tools.box import confine, landlock, syscalls

    out, err, report = pipes
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    report = _above(report, 10)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.closerange(3, report)
    os.closerange(report + 1, 65536)
    os.set_inheritable(report, False)
    os.umask(0o077)
    processes = job["processes"] if separation.countable and job["processes"] > 1 else None
    try:
        if not separation.namespaces:
            confine.become_nobody(separation.uid)
        if os.getppid() != parent:
            os._exit(70)  # it died before it could be told to take us with it
        # Init is counted too, and the warden where it has the same identity in the same user namespace.
        confine.limit(
            seconds=job["cpu_seconds"],
            memory=job["memory"],
            file_bytes=job["file_bytes"],
            files=job["files"],
            processes=None if processes is None else processes + (2 if separation.uid is None else 1),
        )
        if landlock.version() or job["hide_files"]:
            landlock.restrict(readable=job["readable"], devices=job["devices"], writable=[job["folder"]])
        confine.drop_capabilities()
        syscalls.install(
            processes=processes is not None,
            metadata=alone or separation.uid is not None,
            pid=None if separation.namespaces else os.getpid(),
        )
    except OSError as error:
        os.write(report, f"{error.strerror}: {os.strerror(error.errno or 0)}".encode())
        os._exit(70)
    os.write(report, b"confined\n")
    _run(job, report)


def _run(job: dict[str, Any], report: int) -> None:
    """The code and its tests, in this process, which ends here."""
    from understudy.tools.box import suite

    nonce, code, tests, folder = job["nonce"], job["code"], job["tests"], job["folder"]
    job.clear()
    for name in [n for n in sys.modules if n.split(".")[0] == "understudy"]:
        del sys.modules[name]
    sys.argv = [suite.SOLUTION]
    os.environ.update(HOME=folder, TMPDIR=folder)
    code_of_exit, mine = 0, os.getpid()
    try:
        found = suite.run(code, tests, folder)
        if os.getpid() == mine:  # a fork of the code comes out here too
            os.write(report, json.dumps({**found, "nonce": nonce, "failed": found["failed"][:20]}).encode()[:60_000])
        code_of_exit = 1 if found["failed"] or found["error"] else 0
    except SystemExit as error:
        if error.code is not None and not isinstance(error.code, int):
            os.write(2, f"{error.code}\n".encode()[:4000])
        code_of_exit = error.code if isinstance(error.code, int) else int(error.code is not None)
        if os.getpid() == mine:
            os.write(report, json.dumps({"nonce": nonce, "script": code_of_exit}).encode())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
        os._exit(code_of_exit & 0xFF)


def _above(handle: int, least: int) -> int:
    import fcntl

    return fcntl.fcntl(handle, fcntl.F_DUPFD, least)


class _Watch:
    """The loop around a running child: output, wall clock, memory of all processes together, disk, the parent."""

    def __init__(self, job: dict[str, Any], child: int, pipes: dict[int, str]) -> None:
        self.job, self.child, self.pipes = job, child, pipes
        self.got: dict[str, bytearray] = {name: bytearray() for name in pipes.values()}
        self.killed = ""
        self.began = time.monotonic()

    def run(self) -> dict[str, Any]:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        for end in self.pipes:
            poll.register(end, select.POLLIN)
        open_ends = set(self.pipes)
        done = False
        while not done:
            ready = poll.poll(50)
            for end, _ in ready:
                if end == 0:
                    self._kill("cancelled")
                    done = True
                elif not self._take(end):
                    poll.unregister(end)
                    open_ends.discard(end)
            if not self.killed:
                self.killed = self._excess()
                if self.killed:
                    self._kill(self.killed)
            if self.killed or not open_ends or self._ended():
                done = True
        self._kill(self.killed)
        _, how = os.waitpid(self.child, 0)  # returns when every process of its namespace is gone
        seconds = time.monotonic() - self.began
        for end in open_ends:
            os.set_blocking(end, False)
            while self._take(end):
                pass
        if self.got["status"]:
            how = int(self.got["status"])
        return self._result(how, seconds)

    def _ended(self) -> bool:
        """The child is dead but not yet reaped: a descendant may hold its pipes open for ever."""
        return os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _take(self, end: int) -> bool:
        name = self.pipes[end]
        try:
            chunk = os.read(end, 65536)
        except BlockingIOError:
            return False
        room = self.job["output"] - len(self.got[name])
        self.got[name] += chunk[: max(0, room)]
        if len(chunk) > room and not self.killed:
            self._kill("output")
        return bool(chunk)

    def _excess(self) -> str:
        if time.monotonic() - self.began > self.job["seconds"]:
            return "seconds"
        if _resident(self.child, self.job["memory"]) > self.job["memory"]:
            return "memory"
        if _disk(self.job["folder"]) > self.job["disk"]:
            return "disk"
        return ""

    def _kill(self, why: str) -> None:
        self.killed = self.killed or why
        try:
            os.kill(self.child, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _result(self, how: int, seconds: float) -> dict[str, Any]:
        _, confined, said = bytes(self.got["report"]).partition(b"confined\n")
        report: dict[str, Any] = {}
        try:
            report.update(json.loads(said or b"{}"))
        except (ValueError, TypeError):
            report = {}  # the code wrote into the pipe, or was killed while the report was written
        if not confined and not self.killed:
            reason = bytes(self.got["report"]).decode("utf-8", "replace")
            return {"refused": reason or "the process cannot be confined"}
        return {
            "exit": os.waitstatus_to_exitcode(how),
            "killed": self.killed,
            "seconds": seconds,
            "report": report if report.get("nonce") == self.job["nonce"] else {},
            "stdout": self.got["stdout"].decode("utf-8", "replace"),
            "stderr": self.got["stderr"].decode("utf-8", "replace"),
        }


def _resident(first: int, most: int) -> int:
    """Bytes in memory of a process and all its descendants; pages they share count once if that is near the limit."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    family: list[int] = []
    todo = [first]
    while todo:
        family.append(todo.pop())
        todo += children.get(family[-1], [])
    total = sum(_pages(pid) for pid in family) * resource.getpagesize()
    return total if total <= most else sum(_share(pid) for pid in family)


def _pages(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _share(pid: int) -> int:
    """Its proportional share of what it has in memory, which is dear to ask for; all of it where that is not told."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:"))
    except (OSError, ValueError, StopIteration):
        return _pages(pid) * resource.getpagesize()


def _disk(folder: str) -> int:
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                continue
    return total


if __name__ == "__main__":
    main()
