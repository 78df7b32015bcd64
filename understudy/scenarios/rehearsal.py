"""The day of all homes: one in this process, several in a process each, side by side."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Generator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, cast

from understudy.errors import ConfigError, UnderstudyError
from understudy.scenarios.day import live_through
from understudy.scenarios.report import Report, Tally, sum_up
from understudy.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

ALLOCATIONS = (
    50_000  # between two collections: a day leaves hardly any cycles, and looking for them takes a tenth of it
)

Progress = Callable[[int, int, float], None]  # (tasks ended, tasks in all, hours of the day that have passed)


def rehearse_day(scenario: Scenario, progress: Progress = lambda done, of, hours: None) -> Report:
    """Run the whole day, until Ctrl-C at the longest. Raises ConfigError for a scenario that cannot be set up.

    A crash is in the report.
    """
    parts = scenario.dealt()

    def tell(done: int, hours: float) -> None:
        progress(done, scenario.requests, hours)

    if len(parts) == 1:
        return sum_up(scenario, [live_through(parts[0], lambda sofar: tell(sofar.ended, sofar.hours))])
    return sum_up(scenario, _side_by_side(parts, tell))


def _side_by_side(parts: tuple[Scenario, ...], tell: Callable[[int, float], None]) -> list[Tally]:
    """Each home in a process of its own, as many at a time as there are cores. None of them outlives this call.

    After Ctrl-C it is what they have told last.
    """
    spawn = get_context("spawn")
    waiting = list(enumerate(parts))[::-1]
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    tallies = [Tally(interrupted=True) for _ in parts]
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                number, part = waiting.pop()
                ours, theirs = spawn.Pipe(duplex=False)
                process = spawn.Process(target=_live, args=(part, theirs), daemon=True)
                with _deaf():
                    process.start()
                    running[ours] = number, process
                theirs.close()
            for ready in cast("list[Connection]", wait(list(running))):
                number, process = running[ready]
                said = _heard(ready, process)
                if isinstance(said, UnderstudyError):
                    raise said
                tallies[number] = said
                if said.interrupted:  # it goes on
                    tell(sum(home.ended for home in tallies), min(home.hours for home in tallies if home.interrupted))
                    continue
                process.join()
                del running[ready]
    except KeyboardInterrupt:
        pass
    finally:
        for connection, (_, process) in running.items():
            process.terminate()
            process.join()
            connection.close()
    return tallies


@contextlib.contextmanager
def _deaf() -> Generator[None]:
    """A process begun in here never hears Ctrl-C, which is its parent's business; the parent hears it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heard(connection: Connection, process: SpawnProcess) -> Tally | UnderstudyError:
    try:
        return connection.recv()
    except EOFError:
        process.join()
        what = f"The process of one home of the rehearsal has ended (code {process.exitcode})."
        raise ConfigError(
            what, remedy="Look whether the machine is short of memory, or ask for fewer --requests."
        ) from None


def _live(scenario: Scenario, connection: Connection) -> None:
    """What a home's process does."""
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, 20, 100)
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        try:
            said: Tally | UnderstudyError = live_through(scenario, connection.send)
        except UnderstudyError as error:
            said = error
        connection.send(said)
