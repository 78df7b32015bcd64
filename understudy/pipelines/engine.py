"""The durable queue of chunks: DBOS behind a small port. What a chunk does, and whether it is done, is ours to know.

One workflow per chunk, its id names campaign, chunk and round: the same id asked for twice is one row, and a finished
one never runs again. On SQLite its file is one campaign's, and one process at a time may open it; on PostgreSQL any
number of workers on any number of hosts may.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.errors import StoreError, UsageError

if TYPE_CHECKING:
    from dbos import DBOSConfig

VERSION = "1"  # of the chunk's workflow: left to DBOS, an upgrade of the code would strand what waits
POLLING = 0.1  # seconds between two looks at the queue
AT_ONCE = 2  # chunks of a worker: the next begins while the last calls of one are under way
SCHEMA = "understudy_engine"
NOT_ENDED = frozenset({"PENDING", "ENQUEUED", "DELAYED"})

Run = Callable[[str, int], Awaitable[None]]  # (campaign, chunk)

_open_in_this_process: list[str] = []  # DBOS is one per process


class Engine:
    """`async with Engine(address, campaign, worker, run) as engine:` inside a running loop.

    address: a file or postgresql://...; worker: a name no other worker ever had. Raises UsageError when this process
    has another one open, StoreError when the address cannot be used.
    """

    def __init__(self, address: str | Path, campaign: str, worker: str, run: Run) -> None:
        self._address, self._campaign, self._worker, self._run = address, campaign, worker, run
        self._chunk: Any = None

    async def __aenter__(self) -> Engine:
        if _open_in_this_process:
            raise UsageError(
                f"This process works on the campaign {_open_in_this_process[0]} already.",
                remedy="One at a time in a process: await the first one, or start another process.",
            )
        _open_in_this_process.append(self._campaign)
        try:
            await self._launch()
        except BaseException as error:
            await self._shut()
            if isinstance(error, Exception) and not isinstance(error, UsageError):
                raise StoreError(
                    f"The queue of the campaign {self._campaign} cannot be opened ({type(error).__name__}).",
                    remedy="Look whether its file, or its server, may be written to; the log has the details.",
                ) from error
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._shut()

    async def enqueue(self, rounds: Mapping[int, int]) -> None:
        """Chunks in the order given, each with its round. One that is there already stays as it is."""
        from dbos import DBOS, SetWorkflowID

        for chunk, number in rounds.items():
            with SetWorkflowID(f"{self._campaign}/{chunk}/{number}"):
                await DBOS.enqueue_workflow_async(self._campaign, self._chunk, self._campaign, chunk)

    async def rounds(self) -> Mapping[int, tuple[int, str, str]]:
        """Of each chunk that was ever asked for: its last round, how it stands, and with which worker."""
        from dbos import DBOS

        found: dict[int, tuple[int, str, str]] = {}
        for flow in await DBOS.list_workflows_async(
            workflow_id_prefix=f"{self._campaign}/", load_input=False, load_output=False
        ):
            _, chunk, number = flow.workflow_id.split("/")
            if int(chunk) not in found or found[int(chunk)][0] < int(number):
                found[int(chunk)] = int(number), flow.status, flow.executor_id or ""
        return found

    async def take_over(self, chunks: Mapping[int, int]) -> None:
        """Chunks, with their rounds, that a dead worker had begun: whoever is free takes them from the queue again."""
        from dbos import DBOS

        names = [f"{self._campaign}/{chunk}/{number}" for chunk, number in chunks.items()]
        if names:
            await DBOS.resume_workflows_async(names, queue_name=self._campaign)

    async def _launch(self) -> None:
        from dbos import DBOS

        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # it prints; what matters reaches us as an exception
        DBOS(config=_config(self._address, self._worker))
        run = self._run

        async def chunk(campaign: str, number: int) -> None:
            await run(campaign, number)

        self._chunk = DBOS.workflow(name="campaign_chunk", max_recovery_attempts=1_000_000)(chunk)
        DBOS.listen_queues([self._campaign])
        DBOS.launch()
        await DBOS.register_queue_async(
            self._campaign, worker_concurrency=AT_ONCE, polling_interval_sec=POLLING, on_conflict="always_update"
        )

    async def _shut(self) -> None:
        from dbos import DBOS

        with contextlib.suppress(Exception):
            DBOS.destroy(destroy_registry=True)
        # It has put a pool of its own in the place of the loop's, and closed it.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="understudy"))
        _open_in_this_process.clear()


def _config(address: str | Path, worker: str) -> DBOSConfig:
    own: DBOSConfig = {
        "name": "understudy",
        "application_version": VERSION,
        "executor_id": worker,
        "log_level": "CRITICAL",
        "enable_otlp": False,
    }
    if isinstance(address, Path):
        address.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(address, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connect: dict[str, Any] = {"connect_args": {"factory": _Connection}}
        return {**own, "system_database_url": f"sqlite:///{address}", "db_engine_kwargs": connect}
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", address)
    return {**own, "system_database_url": url, "dbos_system_schema": SCHEMA, "sys_db_pool_size": 5}


class _Connection(sqlite3.Connection):
    """With a write-ahead log, which is five times quicker, and what a library before 3.42 lacks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = NORMAL")
        if sqlite3.sqlite_version_info < (3, 42):
            self.create_function("unixepoch", -1, _unixepoch)


def _unixepoch(*words: Any) -> float:
    """As unixepoch('subsec') of SQLite 3.42; no other use is made of it."""
    return time.time()
