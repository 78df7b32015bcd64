"""A worker over several keys: turns, refusals, rotation, and the guard asked for every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agents.wires import Ledger
from understudy.agents.handover import Handover
from understudy.agents.keyed import KeyedWorker
from understudy.agents.keys import KeyRing, Rings
from understudy.config.secrets import Secret
from understudy.config.settings import Account, Provider
from understudy.errors import CallFailed, ConfigError, PrivacyRefused
from understudy.store.memory_keys import MemoryKeys
from understudy.types import Amount, Answer, Call, Candidate, Failure, Guard, Hold, Usage

CANDIDATE = Candidate("groq", "groq", "a", "m")
CALL = Call("hello", timeout=5.0)


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Fake:
    """Answers with its key; refuses as told: key -> (status, charged)."""

    def __init__(self, key: Secret | None, refusing: dict[str, Any], asked: list[str]) -> None:
        self.candidate, self.closed = CANDIDATE, False
        self.key = key.reveal() if key else ""
        self.refusing, self.asked = refusing, asked

    def load(self, call: Call) -> None: ...

    def bound(self, call: Call) -> int:
        return 7

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        assert not self.closed
        hold = await guard.before(7, call.output_cap)
        self.asked.append(self.key)
        refusal = self.refusing.get(self.key)
        if isinstance(refusal, asyncio.Event):
            await refusal.wait()
        elif refusal is not None:
            failure, status, charged = refusal
            await (guard.after(hold, None) if charged else guard.unsent(hold))
            raise CallFailed(failure, "no", status=status, charged=charged)
        await guard.after(hold, Usage(7, 1))
        return Answer(self.key)

    async def check(self) -> str:
        if self.key in self.refusing:
            raise CallFailed(Failure.AUTH, "no", status=401, charged=False)
        return "answers"

    async def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, *sources: str, memory: MemoryKeys | None = None) -> None:
        self.clock, self.memory = Clock(), memory or MemoryKeys()
        self.refusing: dict[str, Any] = {}
        self.asked: list[str] = []
        self.made: list[Fake] = []
        self.ring = KeyRing("groq/a", "groq", sources, self.memory, self.clock)
        self.worker = self.over(CANDIDATE)

    def over(self, candidate: Candidate) -> KeyedWorker:
        def make(key: Secret | None) -> Fake:
            self.made.append(Fake(key, self.refusing, self.asked))
            return self.made[-1]

        return KeyedWorker(candidate, self.ring, make)

    def refuse(self, key: str, status: int = 401, *, charged: bool = False) -> None:
        self.refusing[key] = (Failure.AUTH, status, charged)

    async def ask(self) -> str:
        return (await self.worker.work(CALL, Ledger())).text


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ABC":
        monkeypatch.setenv(f"KEY_{name}", f"value-{name}")


SOURCES = ("env:KEY_A", "env:KEY_B", "env:KEY_C")
pytestmark = pytest.mark.usefixtures("env")


async def test_keys_take_turns() -> None:
    rig = Rig(*SOURCES)
    assert [await rig.ask() for _ in range(4)] == ["value-A", "value-B", "value-C", "value-A"]
    assert len(rig.made) == 4  # one for each key, and one that never connects


async def test_a_refused_key_is_set_aside_alone_and_for_everyone() -> None:
    rig = Rig(*SOURCES)
    rig.refuse("value-A")
    assert {await rig.ask() for _ in range(6)} == {"value-B", "value-C"}
    assert rig.asked.count("value-A") == 1
    other = Rig(*SOURCES, memory=rig.memory)
    other.refuse("value-A")
    for _ in range(4):
        await other.ask()
    assert "value-A" not in other.asked


async def test_after_a_day_it_is_tried_again() -> None:
    rig = Rig(*SOURCES[:2])
    rig.refuse("value-A")
    await rig.ask()
    rig.refusing.clear()
    rig.clock.time += 23 * 3600
    assert {await rig.ask() for _ in range(3)} == {"value-B"}
    rig.clock.time += 2 * 3600
    assert {await rig.ask() for _ in range(3)} == {"value-A", "value-B"}


async def test_all_refused_is_auth_with_every_source_in_it() -> None:
    rig = Rig(*SOURCES, "env:KEY_MISSING")
    for name, status in (("A", 401), ("B", 403), ("C", 401)):
        rig.refuse(f"value-{name}", status)
    for again in (False, True):
        with pytest.raises(ConfigError if again else CallFailed) as caught:
            await rig.ask()
        failure = caught.value
        if isinstance(failure, CallFailed):
            assert failure.failure is Failure.AUTH
            assert not failure.charged
        assert all(source in failure.message for source in (*SOURCES, "env:KEY_MISSING"))
        assert ("set aside" if again else "HTTP 403") in failure.message
        assert "value-" not in f"{failure}{failure.as_dict()}{failure.__cause__}{rig.worker!r}{rig.ring!r}"
    assert len(rig.asked) == 3  # the second time nothing was sent


async def test_403_is_about_the_model_and_401_about_the_key() -> None:
    rig = Rig(*SOURCES[:2])
    rig.refuse("value-A", 403)
    await rig.ask()
    other = rig.over(Candidate("groq", "groq", "a", "another"))
    rig.refusing.clear()
    assert {(await other.work(CALL, Ledger())).text for _ in range(2)} == {"value-A", "value-B"}
    rig.refuse("value-A", 401)
    await other.work(CALL, Ledger())
    await other.work(CALL, Ledger())
    rig.refusing.clear()
    assert {await rig.ask() for _ in range(3)} == {"value-B"}


@pytest.mark.parametrize(("failure", "status"), [(Failure.PAYMENT, 402), (Failure.AUTH, 407), (Failure.OVERLOAD, 503)])
async def test_other_failures_stay_with_the_account(failure: Failure, status: int) -> None:
    rig = Rig(*SOURCES)
    rig.refusing["value-A"] = (failure, status, False)
    with pytest.raises(CallFailed) as caught:
        await rig.ask()
    assert caught.value.failure is failure
    assert rig.asked == ["value-A"]
    assert not rig.ring.aside("m")


async def test_what_was_charged_is_not_done_again() -> None:
    rig = Rig(*SOURCES)
    rig.refuse("value-A", charged=True)
    with pytest.raises(CallFailed):
        await rig.ask()
    assert rig.asked == ["value-A"]
    assert await rig.ask() == "value-B"


async def test_the_guard_is_asked_for_every_request() -> None:
    class Counting:
        def __init__(self) -> None:
            self.said: list[str] = []
            self.no_more = False

        async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
            if self.no_more:
                raise PrivacyRefused("no")
            self.said.append(f"before {input_tokens}")
            return Hold(f"h{len(self.said)}", Amount(input_tokens), ())

        async def after(self, hold: Hold | None, usage: Usage | None) -> None:
            self.said.append(f"after {hold and hold.id}")

        async def unsent(self, hold: Hold | None) -> None:
            self.said.append(f"unsent {hold and hold.id}")

    rig, guard = Rig(*SOURCES[:2]), Counting()
    rig.refuse("value-A")
    await rig.worker.work(CALL, guard)
    # What was reserved for the refused request serves the second one; the guard is asked about that one too.
    assert guard.said == ["before 7", "before 0", "unsent h2", "after h1"]
    rig, guard = Rig(*SOURCES[:2]), Counting()
    rig.refuse("value-A")
    rig.refuse("value-B")
    with pytest.raises(CallFailed):
        await rig.worker.work(CALL, guard)
    assert guard.said == ["before 7", "before 0", "unsent h2", "unsent h1"]
    handover = Handover(guard := Counting())
    await handover.unsent(await handover.before(7, 9))
    guard.no_more = True
    with pytest.raises(PrivacyRefused):
        await handover.before(7, 9)
    await handover.close()
    assert guard.said == ["before 7", "unsent h1"]


async def test_a_new_key_in_the_file_is_used_at_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("value-old")
    rig = Rig(f"file:{file}")
    rig.refuse("value-old")
    with pytest.raises(CallFailed):
        await rig.ask()
    file.write_text("value-new")
    assert await rig.ask() == "value-new"


async def test_a_rotation_takes_effect_without_a_restart_and_breaks_no_call(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("value-old")
    rig = Rig(f"file:{file}")
    blocked = rig.refusing["value-old"] = asyncio.Event()
    running = asyncio.create_task(rig.ask())
    while not rig.asked:  # noqa: ASYNC110  a thread reads the key first
        await asyncio.sleep(0.001)
    file.write_text("value-new")
    rig.clock.time += 301
    assert await rig.ask() == "value-new"
    old = next(fake for fake in rig.made if fake.key == "value-old")
    assert not old.closed
    blocked.set()
    assert await running == "value-old"
    assert old.closed
    file.unlink()
    rig.clock.time += 301
    with pytest.raises(ConfigError):
        await rig.ask()


async def test_an_outage_of_the_vault_takes_no_key_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def read(source: str) -> Secret:
        reads.append(source)
        if len(reads) == 2:
            raise ConfigError("Vault is sealed.", remedy="Unseal it.")
        return Secret("value-A" if len(reads) < 4 else "value-B", source)

    monkeypatch.setattr("understudy.agents.keys.read_key", read)
    rig = Rig("vault:secret/groq#key")
    for _ in range(3):
        assert await rig.ask() == "value-A"
    assert len(reads) == 1
    rig.clock.time += 301
    assert await rig.ask() == "value-A"
    assert await rig.ask() == "value-A"
    assert len(reads) == 2
    rig.clock.time += 11  # it is looked for again soon, not at every call
    assert await rig.ask() == "value-A"
    assert len(reads) == 3
    rig.refuse("value-A")  # a refused key is read anew at once: it may have been replaced
    assert await rig.ask() == "value-B"


async def test_many_at_once_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def read(source: str) -> Secret:
        reads.append(source)
        return Secret("value", source)

    monkeypatch.setattr("understudy.agents.keys.read_key", read)
    rig = Rig("vault:secret/groq#key")
    assert set(await asyncio.gather(*(rig.ask() for _ in range(20)))) == {"value"}
    assert len(reads) == 1


async def test_the_check_asks_all_and_takes_back_what_works() -> None:
    rig = Rig(*SOURCES[:2])
    rig.refuse("value-A")
    await rig.ask()
    assert await rig.worker.check() == "answers, refused: env:KEY_A (HTTP 401)"
    rig.refusing.clear()
    assert await rig.worker.check() == "answers"
    assert not rig.ring.aside("m")
    rig.refuse("value-A")
    rig.refuse("value-B")
    with pytest.raises(CallFailed) as caught:
        await rig.worker.check()
    assert caught.value.failure is Failure.AUTH


def test_without_keys_of_its_own_an_account_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(kind="gemini")
    ring = Rings().of("g", provider, Account(), ("env:KEY_B", "env:KEY_A"))
    assert ring is not None
    ring.read()
    assert [key.source for key in ring.keys] == ["env:KEY_B"]  # GEMINI_API_KEY, else GOOGLE_API_KEY
    monkeypatch.delenv("KEY_B")
    ring = Rings().of("g", provider, Account(), ("env:KEY_B", "env:KEY_A"))
    assert ring is not None
    ring.read()
    assert [key.source for key in ring.keys] == ["env:KEY_A"]
    assert Rings().of("g", provider, Account()) is None


def test_the_models_of_an_account_share_a_ring() -> None:
    rings, account = Rings(), Account(keys=("env:KEY_A",))
    assert rings.of("g", Provider(kind="groq"), account) is rings.of("g", Provider(kind="groq"), account)
    assert rings.of("g", Provider(kind="groq"), account) is not rings.of("h", Provider(kind="groq"), account)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 1), (0o604, 1), (0o400, 0)])
async def test_a_key_file_that_others_may_read_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, warned: int
) -> None:
    from understudy.agents import keys
    from understudy.cli.aging import key_findings

    told: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **fields: Any) -> None:
            told.append({"event": event, **fields})

    monkeypatch.setattr(keys, "log", Log)
    file = tmp_path / "my key"
    file.write_text("gsk-whatever-it-is")
    file.chmod(mode)
    clock = Clock()
    rings = Rings(clock=clock)
    provider = Provider(kind="groq", accounts=(Account(name="a", keys=(f"file:{file}",)),))
    ring = rings.of("groq", provider, provider.accounts[0])
    assert ring is not None
    for _ in range(3):
        assert await ring.take("m") is not None
        clock.time += 10_000
    assert [line["event"] for line in told] == ["key_file_readable_by_others"] * warned
    (finding,) = key_findings(rings, 0, clock.now())
    assert (finding.remedy == f"chmod 600 '{file}'") is bool(warned)
    assert finding.state == ("note" if warned else "ok")
    assert "whatever" not in repr(told) + repr(finding)
