from __future__ import annotations

import threading
from pathlib import Path

from understudy.store.turnstile import Turnstile


def test_one_at_a_time(tmp_path: Path) -> None:
    inside = most = 0
    guard = threading.Lock()

    def pass_through() -> None:
        nonlocal inside, most
        turnstile = Turnstile(tmp_path / "x")
        for _ in range(200):
            with turnstile:
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1
        turnstile.close()

    threads = [threading.Thread(target=pass_through) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1


def test_whoever_had_it_lets_the_waiting_go_first(tmp_path: Path) -> None:
    """Someone who takes it in a loop cannot keep out someone who waits."""
    order: list[str] = []
    mine, theirs = Turnstile(tmp_path / "x"), Turnstile(tmp_path / "x")
    waiting = Turnstile(tmp_path / "x")  # to see, from outside, that the other stands in the queue

    def wait() -> None:
        with theirs:
            order.append("theirs")

    with mine:
        thread = threading.Thread(target=wait)
        thread.start()
        while not _queued(waiting):
            pass
        order.append("mine")
    with mine:
        order.append("mine again")
    thread.join(30)
    assert order == ["mine", "theirs", "mine again"]


def _queued(turnstile: Turnstile) -> bool:
    import fcntl

    queue = turnstile._queue  # pyright: ignore[reportPrivateUsage]
    try:
        fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(queue, fcntl.LOCK_UN)
    return False
