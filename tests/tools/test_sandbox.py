"""Code that means harm, in the real sandbox. Each test fails when the protection it is named for is taken out."""
# ruff: noqa: ASYNC110, ASYNC220, ASYNC240

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from understudy.errors import ToolFailed
from understudy.tools import sandbox
from understudy.tools.box import confine, landlock, syscalls
from understudy.tools.sandbox import SandboxLimits, SandboxResult, run_python

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
# The kernel does not count root's processes, and root cannot be somebody else when the interpreter is in root's home.
FORKS = os.getuid() != 0 or all(confine.open_to_all(p) for p in sandbox._interpreter())
needs_fork = pytest.mark.skipif(not FORKS, reason="root's own interpreter: fork is denied")


@pytest.fixture(autouse=True)
def boxes_apart(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test sees its own boxes only, whoever else runs tests on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("boxes")))


@pytest.fixture(params=["namespaces", "plain"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With everything the kernel has, and as in a container that grants no namespaces."""
    if request.param == "plain":
        real = sandbox._job

        def without(*values: object) -> dict[str, object]:
            return {**real(*values), "namespaces": False}  # type: ignore[arg-type]

        monkeypatch.setattr(sandbox, "_job", without)
    return str(request.param)


async def run(code: str, tests: str | None = None, **limits: object) -> SandboxResult:
    chosen = {"seconds": 10.0, "cpu_seconds": 8, "memory_mib": 256, **limits}
    return await run_python(
        textwrap.dedent(code), tests=tests and textwrap.dedent(tests), limits=SandboxLimits(**chosen)
    )


def boxes() -> list[str]:
    return [p.name for p in Path(tempfile.gettempdir()).glob("understudy-box-*")]


@pytest.fixture(autouse=True)
def _others() -> Iterator[None]:
    """What other tests of this run have begun, such as database servers, is none of ours."""
    _before.update(p.pid for p in psutil.Process().children(recursive=True))
    yield
    _before.clear()


_before: set[int] = set()


def children() -> list[psutil.Process]:
    """Of this process, since the test began."""
    return [p for p in psutil.Process().children(recursive=True) if p.pid not in _before]


async def test_code_without_tests_is_a_program(kernel: str) -> None:
    result = await run("print(sum(range(10)))\n")
    assert (result.passed, result.exit, result.stdout, result.why) == (True, 0, "45\n", "")
    assert 0 < result.seconds < 10


@pytest.mark.parametrize(
    ("code", "exit_code", "why"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("raise SystemExit('no')", 1, "exit code 1"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero (line 1: 1 / 0)"),
        ("def f(:", 1, "SyntaxError"),
        ("import os; os._exit(0)", 0, "before its tests"),
        ("import os; os.abort()", -6, "SIGABRT"),
        ("input()", 1, "EOFError"),
        ("import ctypes; ctypes.string_at(0)", -11, "SIGSEGV"),
        ("def f(): f()\nf()", 1, "RecursionError"),
        ("import sys; sys.exit()", 0, ""),
        ("print('x'); import sys; sys.stdout.close()", 0, ""),
    ],
)
async def test_how_a_program_ends(code: str, exit_code: int, why: str) -> None:
    result = await run(code)
    assert result.exit == exit_code
    assert why in result.why
    assert result.passed is (why == "")


async def test_functions_classes_and_unittest_are_tests(kernel: str) -> None:
    code = "def add(a, b):\n    return a + b\n"
    tests = """
        import unittest, asyncio, pytest
        from calculator.core import add
        import calculator

        def test_plain():
            assert add(1, 2) == 3

        @pytest.mark.parametrize("a, b, c", [(1, 1, 2), pytest.param(0, 0, 0, id="zero")])
        def test_table(a, b, c):
            assert add(a, b) == c

        @pytest.fixture
        def three():
            yield 3

        class TestAdd:
            def setup_method(self):
                self.one = 1
            def test_method(self, three, tmp_path, monkeypatch, capsys):
                (tmp_path / "x").write_text("y")
                monkeypatch.setenv("A", "b")
                print("hi")
                assert capsys.readouterr().out == "hi\\n"
                assert add(self.one, 2) == three

        class Case(unittest.TestCase):
            def test_case(self):
                self.assertEqual(calculator.add(2, 2), 4)
            @unittest.skip("not now")
            def test_skipped(self):
                self.fail()

        async def test_later():
            await asyncio.sleep(0)

        def test_raises():
            with pytest.raises(TypeError, match="unsupported") as caught:
                add(1, None)
            assert isinstance(caught.value, TypeError)
            assert 0.1 + 0.2 == pytest.approx(0.3)

        @pytest.mark.skip(reason="no")
        def test_not_now():
            assert False

        if __name__ == "__main__":
            raise RuntimeError
    """
    result = await run(code, tests)
    assert result.passed, result.why
    assert result.tests == 7


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("def test_a():\n    assert add(1, 2) == 4", "test_a: AssertionError (line 2: assert add(1, 2) == 4)"),
        ("def test_a():\n    assert add(1, 2) == 4, 'sum'", "test_a: AssertionError: sum"),
        ("def test_a():\n    raise SystemExit(0)", "test_a: SystemExit"),
        ("import os\ndef test_a():\n    os._exit(0)", "before its tests did"),
        ("import sys\nsys.exit(0)", "SystemExit"),
        ("from m import sub\ndef test_a(): pass", "No module named 'm'"),
        ("x = 1", "no tests were found"),
        ("def helper(): assert False", "no tests were found"),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass", "every test was skipped"),
        ("def test_a(nothing): pass", "the fixture nothing is not known"),
        ("import unittest\nclass T(unittest.TestCase):\n  def test_x(self): self.assertEqual(add(1, 1), 3)", "2 != 3"),
        ("assert add(1, 1) == 3", "AssertionError"),
        ("import pytest\ndef test_a():\n  with pytest.raises(ValueError): add(1, 1)", "DID NOT RAISE"),
    ],
)
async def test_what_does_not_hold_is_said(tests: str, why: str) -> None:
    result = await run("def add(a, b):\n    return a + b\n\nif __name__ == '__main__':\n    input()\n", tests)
    assert not result.passed
    assert why in result.why


async def test_bare_asserts_are_a_test() -> None:
    result = await run("def add(a, b):\n    return a + b", "for n in range(3):\n    assert add(n, 1) == n + 1")
    assert (result.passed, result.tests) == (True, 1)


async def test_a_missing_library_is_named() -> None:
    result = await run("import numpy as np\n", "def test_a(): pass")
    assert (result.passed, result.missing) == (False, "numpy")
    assert (await run("import jsn\n", "def test_a(): pass")).missing == "jsn"
    assert (await run("def f(): pass", "def test_a():\n    import pandas")).missing == "pandas"


# --- time, memory, output, disk


async def test_an_endless_loop_ends(kernel: str) -> None:
    began = time.monotonic()
    result = await run("while True: pass", seconds=1)
    assert not result.passed
    assert result.why == "it took longer than 1 s"
    assert time.monotonic() - began < 5


async def test_sleeping_is_no_way_out() -> None:
    assert (await run("import time; time.sleep(100)", seconds=0.5)).why == "it took longer than 0.5 s"


async def test_processor_time_is_bounded_of_its_own(kernel: str) -> None:
    assert (await run("while True: pass", seconds=20, cpu_seconds=1)).why == "it took more than 1 s of processor time"


async def test_signals_are_no_way_out(kernel: str) -> None:
    code = """
        import signal, time
        for n in range(1, 65):
            try: signal.signal(n, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    """
    assert "longer than" in (await run(code, seconds=1)).why
    result = await run(code, seconds=20, cpu_seconds=1)
    assert result.exit == -signal.SIGKILL


async def test_memory_is_bounded(kernel: str) -> None:
    result = await run("x = bytearray(1 << 30)")
    assert "MemoryError" in result.why
    result = await run("x = []\nwhile True: x.append(bytearray(1 << 20))")
    assert not result.passed


@needs_fork
async def test_memory_of_all_processes_together_is_bounded() -> None:
    code = """
        import os, time
        for _ in range(12):
            if os.fork() == 0:
                x = bytearray(60 << 20)
                time.sleep(60)
        time.sleep(60)
    """
    result = await run(code, memory_mib=128)
    assert result.why == "it took more than 128 MiB of memory"
    assert result.seconds < 8


async def test_output_is_bounded(kernel: str) -> None:
    began = time.monotonic()
    for stream in ("stdout", "stderr"):
        result = await run(f"import sys\nwhile True: sys.{stream}.write('x' * 10000)", output_chars=50_000)
        assert result.why == "it wrote more than 50,000 bytes of output"
        assert len(getattr(result, stream)) <= 4000
    assert time.monotonic() - began < 10


async def test_the_end_of_the_output_is_kept() -> None:
    result = await run("print('a' * 9000 + 'end')")
    assert result.passed
    assert result.stdout.endswith("end\n")
    assert len(result.stdout) == 4000


async def test_a_big_file_cannot_be_written(kernel: str) -> None:
    result = await run("open('x', 'wb').write(b'x' * (20 << 20))", file_mib=16)
    assert "OSError: [Errno 27] File too large" in result.why


async def test_many_files_cannot_fill_the_disk(kernel: str) -> None:
    code = "n = 0\nwhile True:\n    open(f'x{n}', 'wb').write(b'x' * (1 << 20))\n    n += 1"
    result = await run(code, disk_mib=20)
    assert result.why == "it wrote more than 20 MiB of files"


# --- network


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.create_connection(('127.0.0.1', {port}))",
        "socket.gethostbyname('example.com')",
        "urllib.request.urlopen('http://127.0.0.1:{port}/')",
        "asyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
        "ctypes.CDLL(None, use_errno=True).syscall(425, 8, 0) == 0 or (_ for _ in ()).throw(OSError(38, 'io_uring'))",
    ],
)
async def test_there_is_no_network(code: str, kernel: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        code = code.replace("{port}", str(server.getsockname()[1]))
        result = await run(f"import socket, asyncio, urllib.request, ctypes\n{code}")
        assert not result.passed
        assert "error" in result.why.lower()
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_asyncio_works_without_a_network(kernel: str) -> None:
    code = """
        import asyncio, threading, tempfile, random, datetime, os, shutil, mimetypes, socket
        async def main():
            return await asyncio.to_thread(lambda: 7)
        assert asyncio.run(main()) == 7
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/a", "w").write("x")
        socket.socketpair()
        mimetypes.guess_type("a.html")
        threads = [threading.Thread(target=lambda: None) for _ in range(8)]
        [t.start() for t in threads]
        print(random.random(), datetime.datetime.now(), os.path.expanduser("~"), os.cpu_count())
    """
    result = await run(code)
    assert result.passed, result.why


# --- files


async def test_the_users_files_cannot_be_read(kernel: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key = home / ".ssh" / "id_ed25519"
    key.write_text("PRIVATE KEY")
    tmp_path.chmod(0o755)  # so that only the sandbox stands between
    result = await run(f"print(open({str(key)!r}).read())")
    assert not result.passed
    assert "PRIVATE" not in result.stdout
    listing = await run(f"import os; print(os.listdir({str(home)!r}))")
    assert not listing.passed
    for path in ("/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/1/cmdline", __file__, sandbox.__file__):
        result = await run(f"open({path!r}).read()")
        assert "PermissionError" in result.why or "FileNotFoundError" in result.why, path


async def test_nothing_outside_can_be_changed(kernel: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    file = tmp_path / "precious"
    file.write_text("x")
    file.chmod(0o666)
    before = file.stat()
    for act in (
        "open({f}, 'w')",
        "os.remove({f})",
        "os.rename({f}, {f} + 'x')",
        "os.chmod({f}, 0)",
        "os.utime({f}, (0, 0))",
        "os.truncate({f}, 0)",
        "os.mkdir({f} + 'd')",
        "os.symlink('a', {f} + 's')",
        "os.link({f}, 'here')",
        "os.setxattr({f}, 'user.a', b'b')",
        "os.chown({f}, os.getuid(), os.getgid())",
    ):
        result = await run("import os\n" + act.replace("{f}", repr(str(file))))
        assert not result.passed, act
    after = file.stat()
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]
    assert (before.st_mode, before.st_mtime, before.st_uid, before.st_size) == (
        after.st_mode,
        after.st_mtime,
        after.st_uid,
        after.st_size,
    )


async def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/x")
    result = await run("import os, sys; print(dict(os.environ), sys.argv, [p for p in sys.path if 'packages' in p])")
    assert result.passed
    assert "gsk_secret" not in result.stdout
    assert "site-packages" not in result.stdout
    assert str(Path.home()) not in result.stdout.replace("/tmp", "")


async def test_nothing_of_understudy_is_in_reach() -> None:
    code = """
        import sys
        assert not [m for m in sys.modules if m.startswith("understudy")]
        try:
            import understudy
        except ImportError:
            pass
        else:
            raise AssertionError
    """
    assert (await run(code)).passed


async def test_there_are_no_rights_to_take(kernel: str) -> None:
    code = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(0x10000000) != 0
        assert libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) != 0
        assert libc.ptrace(16, os.getppid(), 0, 0) != 0
        assert libc.setuid(0) != 0 or os.getuid() == 0
        assert libc.prctl(1, 0) != 0
        assert libc.prctl(39, 0, 0, 0, 0) == 1
        try: os.chroot(".")
        except PermissionError: pass
        else: raise AssertionError
    """
    result = await run(code)
    assert result.passed, result.why


# --- processes


async def test_a_fork_bomb_is_bounded(kernel: str) -> None:
    code = """
        import os, time
        born = 0
        try:
            while True:
                if os.fork() == 0:
                    time.sleep(30)
                born += 1
        except OSError as error:
            print(born, type(error).__name__)
    """
    result = await run(code, processes=20)
    assert result.passed, result.why
    assert int(result.stdout.split()[0]) < 20
    assert ("BlockingIOError" in result.stdout) is (kernel == "namespaces" and FORKS)
    assert children() == []


async def test_a_bomb_that_doubles_is_bounded() -> None:
    result = await run("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", seconds=2)
    assert not result.passed
    assert children() == []


async def test_one_process_means_no_fork() -> None:
    assert "PermissionError" in (await run("import os; os.fork()", processes=1)).why
    assert "PermissionError" in (await run("import subprocess; subprocess.run(['true'])", processes=1)).why


@needs_fork
async def test_a_program_may_start_another() -> None:
    result = await run(
        "import subprocess\nprint(subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout)"
    )
    assert result.stdout.strip() == "hi", result.why


@needs_fork
async def test_a_child_left_behind_ends_with_it() -> None:
    nap = f"299.{os.getpid()}"
    code = f"""
        import os, subprocess
        subprocess.Popen(["sleep", "{nap}"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                import time
                time.sleep(300)
            os._exit(0)
        import time; time.sleep(0.2)
    """
    began = time.monotonic()
    result = await run(code)
    assert result.passed, result.why
    assert time.monotonic() - began < 5
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", nap]]
    assert children() == []


async def test_other_processes_cannot_be_signalled(kernel: str) -> None:
    victim = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        code = f"""
            import os, signal, ctypes
            for pid in ({victim.pid}, {os.getpid()}, -1, os.getppid()):
                try: os.kill(pid, signal.SIGKILL)
                except (PermissionError, ProcessLookupError): pass
            import fcntl
            r, w = os.pipe()
            try: fcntl.fcntl(r, fcntl.F_SETOWN, {victim.pid})
            except PermissionError: pass
            else: raise AssertionError
            print("still here")
        """
        result = await run(code)
        assert result.stdout == "still here\n", result.why
        await asyncio.sleep(0)
        assert victim.returncode is None
        assert psutil.Process(victim.pid).is_running()
    finally:
        victim.kill()
        await victim.wait()


async def test_a_lie_about_the_tests_is_not_believed() -> None:
    lie = json.dumps({"ran": 3, "failed": [], "skipped": 0, "error": "", "nonce": ""})
    code = f"""
        import os
        for handle in range(3, 100):
            try: os.write(handle, {lie.encode()!r})
            except OSError: pass
        os._exit(0)
    """
    assert not (await run(code, "def test_a(): assert False")).passed


# --- ways out


async def test_nothing_is_left_after_any_end(kernel: str) -> None:
    for code, seconds in (("x = 1", 5), ("1 / 0", 5), ("while True: pass", 0.3), ("import os; os.abort()", 5)):
        await run(code + "\nimport os; os.mkdir('a'); os.chmod('a', 0)" if seconds == 5 else code, seconds=seconds)
    assert boxes() == []
    assert children() == []


async def test_cleaning_up_touches_nothing_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    parent = Path(tempfile.gettempdir())
    parent.chmod(0o1777)
    code = f"""
        import os
        os.symlink({str(tmp_path)!r}, "link")
        os.makedirs("a/b/c")
        os.symlink({str(tmp_path)!r}, "a/b/link")
        for name in ("a/b/c", "a/b", "a", "."): os.chmod(name, 0)
    """
    await run(code)
    assert boxes() == []
    assert tmp_path.stat().st_mode & 0o7777 == 0o755
    assert parent.stat().st_mode & 0o7777 == 0o1777


@needs_fork
async def test_a_fork_of_a_program_does_not_speak_for_it() -> None:
    for _ in range(5):
        result = await run("import os\nif os.fork() == 0: raise SystemExit(3)\nos.wait()")
        assert result.passed, result.why
        assert (await run("import os; os.fork()")).passed


async def test_cancelling_ends_everything(kernel: str) -> None:
    task = asyncio.create_task(run("import time\nprint('on', flush=True)\ntime.sleep(60)", seconds=60))
    async with asyncio.timeout(10):
        while len(children()) < 2:
            await asyncio.sleep(0.02)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 3
    assert boxes() == []
    assert children() == []


@pytest.mark.parametrize("who", ["parent", "warden"])
async def test_killing_the_parent_or_the_warden_ends_everything(who: str) -> None:
    script = (
        "import asyncio\nfrom understudy.tools.sandbox import *\n"
        "asyncio.run(run_python('import time; time.sleep(120)', limits=SandboxLimits(seconds=120)))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(sandbox.__file__).parents[2]),
            "TMPDIR": tempfile.gettempdir(),
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        family: list[psutil.Process] = []
        async with asyncio.timeout(20):
            while len(family) < 3:
                await asyncio.sleep(0.05)
                family = psutil.Process(parent.pid).children(recursive=True)
        await asyncio.sleep(0.3)
        os.kill(parent.pid if who == "parent" else family[0].pid, signal.SIGKILL)
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 5)
        assert alive == []
    finally:
        parent.kill()
        parent.wait()
    async with asyncio.timeout(5):
        while boxes():
            await asyncio.sleep(0.05)


async def test_several_at_once() -> None:
    results = await asyncio.gather(*(run(f"print({n})") for n in range(6)))
    assert [r.stdout for r in results] == [f"{n}\n" for n in range(6)]


# --- refusing


@pytest.mark.parametrize("missing", ["install", "version"])
async def test_without_protection_nothing_is_run(missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The warden runs from a copy in which the kernel says no."""
    import shutil

    copy = tmp_path / "understudy"
    shutil.copytree(Path(sandbox.__file__).parents[1] / "tools", copy / "tools")
    file = copy / "tools" / "box" / ("syscalls.py" if missing == "install" else "landlock.py")
    text = file.read_text()
    if missing == "install":
        text = text.replace('"x86_64": (0,', '"other": (0,').replace('"aarch64": (1,', '"another": (1,')
    else:
        text = text.replace("return max(0, int(", "return 0 * max(0, int(")
    file.write_text(text)
    monkeypatch.setattr(sandbox, "_WARDEN", copy / "tools" / "box" / "warden.py")
    with pytest.raises(ToolFailed) as caught:
        await run("print('ran')")
    assert "cannot be run safely" in caught.value.message
    assert caught.value.remedy
    assert boxes() == []


async def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ToolFailed, match="Linux"):
        await run("print(1)")


async def test_a_broken_interpreter_is_a_typed_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_python", lambda: "/nowhere/python")
    with pytest.raises(ToolFailed, match="does not start"):
        await run("print(1)")
    monkeypatch.setattr(sandbox, "_python", lambda: "/bin/false")
    with pytest.raises(ToolFailed, match="without a result"):
        await run("print(1)")
    assert boxes() == []


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("options", [(True, True, None), (False, False, 1234)])
def test_the_filter_is_well_formed(machine: str, options: tuple[bool, bool, int | None]) -> None:
    """An interpreter of classic BPF runs the filter over every number; jumps stay inside, what must be refused is."""
    import errno
    import struct

    processes, metadata, pid = options
    code = syscalls.program(machine, processes=processes, metadata=metadata, pid=pid)
    ops = list(struct.iter_unpack("=HBBI", code))
    assert len(ops) < 4096
    arch = syscalls._MACHINES[machine][1]

    def decide(number: int, *arguments: int, on: int = arch) -> int:
        data = struct.pack("=IIQ6Q", number, on, 0, *(arguments + (0,) * 6)[:6])
        at = accumulator = 0
        while True:
            op, yes, no, k = ops[at]
            at += 1
            if op == syscalls._LD:
                (accumulator,) = struct.unpack_from("=I", data, k)
            elif op == syscalls._RET:
                return k
            else:
                holds = {
                    syscalls._JEQ: accumulator == k,
                    syscalls._JGE: accumulator >= k,
                    syscalls._JSET: bool(accumulator & k),
                }[op]
                at += yes if holds else no

    column = syscalls._MACHINES[machine][0]
    refused = syscalls._ERRNO | errno.EPERM
    for numbers in syscalls._NUMBERS.values():
        if numbers[column] is not None:
            assert decide(numbers[column]) == refused
    for numbers in syscalls._METADATA.values():
        if numbers[column] is not None:
            assert decide(numbers[column]) == (syscalls._ALLOW if metadata else refused)
    read, clone, kill = ((0, 56, 62), (63, 220, 129))[column]
    assert decide(read) == syscalls._ALLOW
    assert decide(read, on=arch + 1) == syscalls._KILL
    assert decide(435) == syscalls._ERRNO | errno.ENOSYS
    assert decide(clone, 0x3D0F00) == syscalls._ALLOW  # a thread
    assert decide(clone, 17) == (syscalls._ALLOW if processes else refused)
    assert decide(clone, 17 | 0x10000000) == refused
    assert decide(kill, 1) == (syscalls._ALLOW if pid is None else refused)
    assert decide(kill, 1234) == syscalls._ALLOW
    assert decide(kill, 2**64 - 1) == (syscalls._ALLOW if pid is None else refused)
