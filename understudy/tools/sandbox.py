"""Run Python that a model wrote, in a process from which the kernel has taken everything it does not need.

What holds, on Linux on x86_64 and aarch64 (elsewhere run_python refuses):
- no network: no socket can be made (seccomp); in its own empty network namespace where the kernel grants one;
- only the interpreter, system libraries and its own folder can be opened (Landlock), nothing else can be changed;
- no process is left: its own PID namespace, or no fork at all where there is none; it dies with this process;
- CPU and wall-clock time, memory, file sizes, disk, processes, open files and output are bounded;
- no environment, no home, no standard input, no site-packages, no rights that exec could bring back.
What does not: the existence, size and times of files elsewhere can be asked for, though not their contents or lists;
what is below /usr can be read; the code can lie about its own tests if it means to (both run in one interpreter);
and it is the same kernel, so a hole in the kernel is a hole in the sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy.errors import ToolFailed

_WARDEN = Path(__file__).with_name("box") / "warden.py"
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/nix/store")
_ETC = ("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_GRACE = 5.0  # seconds for the warden to start and to clean up, beside the time of the code
_WHY = {
    "seconds": "it took longer than {seconds:g} s",
    "memory": "it took more than {memory_mib} MiB of memory",
    "output": "it wrote more than {output_chars:,} bytes of output",
    "disk": "it wrote more than {disk_mib} MiB of files",
}


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """seconds: wall clock. cpu_seconds and memory_mib: each process (memory in use also of all together).

    processes: threads and processes together; 1 refuses fork, and so does a machine that cannot count or end them all
    (no namespaces; root whose interpreter is in its own home). hide_files: refuse to run where Landlock is missing.
    """

    seconds: float = 10.0
    cpu_seconds: int = 10
    memory_mib: int = 512
    file_mib: int = 16
    disk_mib: int = 64
    processes: int = 32
    files: int = 64
    output_chars: int = 200_000
    hide_files: bool = True


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """passed: the tests ran and held; without tests, the program ended with 0. exit: its code, or minus the signal.

    why: one line, empty when passed. missing: a module that is not in the standard library and stopped the run, so
    nothing was learnt about the code. tests: how many ran. stdout and stderr: their ends.
    """

    passed: bool
    exit: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)
    why: str = field(repr=False)
    seconds: float
    tests: int = 0
    missing: str = ""


async def run_python(code: str, *, tests: str | None = None, limits: SandboxLimits | None = None) -> SandboxResult:
    """Run code, and its tests (functions test_*, classes Test*, unittest cases, bare asserts) if there are any.

    With tests, the code is a module and its `if __name__ == "__main__"` part does not run. Tests inside the code count.
    Raises ToolFailed where this machine cannot confine it; cancelling ends every process before it returns.
    """
    limits = limits or SandboxLimits()
    if not sys.platform.startswith("linux"):
        raise _refusal("the sandbox needs Linux")
    folder = tempfile.mkdtemp(prefix="understudy-box-")
    try:
        told = await _ask_warden(_job(code, tests, limits, folder), folder, limits)
    finally:
        await asyncio.to_thread(_remove, folder)
    if "refused" in told:
        raise _refusal(str(told["refused"]))
    return _result(told, limits, with_tests=tests is not None)


def _job(code: str, tests: str | None, limits: SandboxLimits, folder: str) -> dict[str, Any]:
    return {
        "code": code,
        "tests": tests,
        "folder": folder,
        "nonce": secrets.token_hex(8),
        "readable": [p for p in (*_SYSTEM, *_interpreter(), *_ETC) if os.path.exists(p)],
        "devices": _DEVICES,
        "seconds": limits.seconds,
        "cpu_seconds": limits.cpu_seconds,
        "memory": limits.memory_mib << 20,
        "file_bytes": limits.file_mib << 20,
        "disk": limits.disk_mib << 20,
        "files": limits.files,
        "processes": limits.processes,
        "output": limits.output_chars,
        "hide_files": limits.hide_files,
        "namespaces": True,  # where the kernel grants them; tests run without, too
    }


def _python() -> str:
    """The interpreter behind a virtual environment, so that the environment's files stay out of reach."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def _interpreter() -> list[str]:
    """Folders the interpreter needs. Never a whole prefix: it may be a home."""
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}  # not those of a virtual environment
    paths = [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")]
    paths.append(str(sysconfig.get_config_var("LIBDIR")))
    paths += [os.path.join(sys.base_prefix, name) for name in ("lib", "lib64", "bin")]
    return [p for p in dict.fromkeys(os.path.realpath(p) for p in paths) if os.path.isdir(p) and p != "/"]


async def _ask_warden(job: dict[str, Any], folder: str, limits: SandboxLimits) -> dict[str, Any]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",  # a set's order must not decide whether a test holds
        "MALLOC_ARENA_MAX": "1",  # an arena reserves 128 MiB of addresses for each thread, which the limit counts
    }
    try:
        warden = await asyncio.create_subprocess_exec(
            _python(),
            "-I",
            "-S",
            "-B",
            "-X",
            "utf8",
            str(_WARDEN),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise _refusal(f"the interpreter does not start ({error.strerror})") from None
    try:
        async with asyncio.timeout(limits.seconds + _GRACE):
            said = await _exchange(warden, json.dumps(job).encode() + b"\n", 12 * limits.output_chars + 200_000)
    except TimeoutError:
        said = b""
    finally:
        await asyncio.shield(_end(warden))
    try:
        told: dict[str, Any] = json.loads(said)
    except ValueError:
        raise _refusal("the sandbox's own process ended without a result") from None
    return told


async def _exchange(warden: asyncio.subprocess.Process, job: bytes, most: int) -> bytes:
    assert warden.stdin is not None  # noqa: S101  both were asked for
    assert warden.stdout is not None  # noqa: S101
    with contextlib.suppress(ConnectionError):
        warden.stdin.write(job)
        await warden.stdin.drain()
    said = bytearray()
    while len(said) < most and (chunk := await warden.stdout.read(65536)):
        said += chunk
    return bytes(said)


async def _end(warden: asyncio.subprocess.Process) -> None:
    """Close its standard input, which makes it end everything; kill it if that takes long (its child dies with it)."""
    if warden.stdin is not None:
        warden.stdin.close()
    try:
        async with asyncio.timeout(_GRACE):
            await _drained(warden)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(warden.pid, signal.SIGKILL)
        await warden.wait()


async def _drained(warden: asyncio.subprocess.Process) -> None:
    while warden.stdout is not None and await warden.stdout.read(65536):
        pass
    await warden.wait()


def _remove(folder: str) -> None:
    """The folder and all in it, also what the code has locked. Its links are not followed, nor its parent touched."""
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
    for where, inner, _ in os.walk(folder):
        for path in (os.path.join(where, name) for name in inner):
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _result(told: dict[str, Any], limits: SandboxLimits, *, with_tests: bool) -> SandboxResult:
    report: dict[str, Any] = told["report"]
    ran, skipped = int(report.get("ran", 0)), int(report.get("skipped", 0))
    why = _why(told, report, limits, with_tests=with_tests)
    return SandboxResult(
        passed=not why,
        exit=told["exit"],
        stdout=told["stdout"][-4000:],
        stderr=told["stderr"][-4000:],
        why=why,
        seconds=told["seconds"],
        tests=ran - skipped,
        missing=str(report.get("missing", "")),
    )


def _why(told: dict[str, Any], report: dict[str, Any], limits: SandboxLimits, *, with_tests: bool) -> str:
    """Why it did not pass, in one line; empty when it did."""
    ended = int(told["exit"])
    failed: list[list[str]] = report.get("failed", [])
    script = "script" in report or report.get("kind") == "script"
    if told["killed"]:
        pattern = _WHY.get(told["killed"], "it was ended from outside")
        why = pattern.format(**{name: getattr(limits, name) for name in SandboxLimits.__dataclass_fields__})
    elif report.get("error"):
        why = str(report["error"])
    elif failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        why = f"{failed[0][0]}: {failed[0][1]}{more}"
    elif ended < 0:
        why = _signalled(-ended, limits)
    elif (not report or script) and (with_tests or not script):
        why = f"it ended with exit code {ended} before its tests did"
    elif not script and not report["ran"]:
        why = "no tests were found"
    elif not script and report["ran"] <= report["skipped"]:
        why = "every test was skipped"
    else:
        why = f"it ended with exit code {ended}" if ended else ""
    return why


def _signalled(number: int, limits: SandboxLimits) -> str:
    if number == signal.SIGXCPU:
        return f"it took more than {limits.cpu_seconds} s of processor time"
    try:
        return f"it was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"it was ended by signal {number}"


def _refusal(reason: str) -> ToolFailed:
    return ToolFailed(
        f"Code cannot be run safely here: {reason}.",
        remedy="It needs Linux 5.13 or newer with seccomp and Landlock, on x86_64 or aarch64.",
    )
