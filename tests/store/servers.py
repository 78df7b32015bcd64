"""A real Redis and a real PostgreSQL on the loopback address, for one test session. Nothing is left behind.

scripts/install_servers.sh unpacks them where the machine has none. Where there are none the tests skip and say so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

UNPACKED = Path(__file__).parents[2] / ".tools" / "servers"
PASSWORD = "correct-horse"
NOBODY = 65534
_INITIAL = ("-U", "book", "-A", "scram-sha-256", "-N", "--no-locale", "-E", "UTF8")


def find(name: str) -> Path | None:
    """A program of the machine, or of the unpacked packages."""
    if found := shutil.which(name):
        return Path(found).resolve()
    places = [UNPACKED / "usr/bin" / name]
    for root in (Path("/"), UNPACKED):
        places += sorted((root / "usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return next((place for place in places if place.exists()), None)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """Starts on construction; `stop` and `start` make an outage. `url` has the password in it."""

    url: str
    scheme: str

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="understudy-server-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ)
        libraries = [str(path) for path in (UNPACKED / "usr/lib").glob("*-linux-*")]
        if libraries:
            self.environment["LD_LIBRARY_PATH"] = ":".join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")])
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None: ...

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        return {}

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment, stdout=log, stderr=log, **self.identity()
            )
        end = time.monotonic() + 30
        while not self.ready():
            said = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisServer(Server):
    scheme = "redis"

    def command(self) -> list[str]:
        program = find("redis-server")
        assert program
        # Everything in the log at once, so that an outage loses nothing a client was told.
        durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [str(program), *place, "--requirepass", PASSWORD, *durable]

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as wire:
            wire.sendall(f"AUTH {PASSWORD}\r\nPING\r\n".encode())
            time.sleep(0.01)
            return b"PONG" in wire.recv(200)
        return False


class PostgresServer(Server):
    scheme = "postgresql"

    def prepare(self) -> None:
        self.data = self.folder / "data"
        self.programs = self._programs()
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, secret):
                os.chown(path, NOBODY, NOBODY)
        subprocess.run(
            [str(self.programs / "initdb"), "-D", str(self.data), f"--pwfile={secret}", *_INITIAL],
            check=True,
            capture_output=True,
            cwd=self.folder,
            env=self.environment,
            **self.identity(),
        )

    def _programs(self) -> Path:
        found = find("initdb")
        assert found
        if os.geteuid() == 0 and any(not parent.stat().st_mode & 0o001 for parent in found.parents):
            # PostgreSQL refuses to run as root, and nobody else can get at it here.
            root = self.folder / "programs"
            shutil.copytree(UNPACKED / "usr", root / "usr", symlinks=True)
            return root / found.parent.relative_to(UNPACKED)
        return found.parent

    def command(self) -> list[str]:
        place = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder)]
        return [str(self.programs / "postgres"), "-D", str(self.data), *place]

    def identity(self) -> dict[str, Any]:
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(3)  # at once: its children too, which a kill would leave behind
            self.process.wait(20)
            self.process = None

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"postgresql://book:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def ready(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url, connect_timeout=1).close()
            return True
        return False


SERVERS: dict[str, tuple[str, Callable[[], Server]]] = {
    "redis": ("redis-server", RedisServer),
    "postgres": ("initdb", PostgresServer),
}
