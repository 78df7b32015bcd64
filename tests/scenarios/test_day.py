"""Days of every kind end as they should; and when a safety is unplugged, the report says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from understudy.config.load import parse
from understudy.director import validators
from understudy.errors import ConfigError
from understudy.fleet.page import Granted, Page, Reserve
from understudy.scenarios import day, rehearsal
from understudy.scenarios.day import live_through
from understudy.scenarios.home import RememberingGate
from understudy.scenarios.rehearsal import rehearse_day
from understudy.scenarios.report import Report
from understudy.scenarios.scenario import Event, Scenario, load_scenario, shipped
from understudy.store import ledger_rules
from understudy.types import Amount, Balance, Sensitivity, Verdict

DENSE = 100_000 / 24  # tasks an hour, as the whole day has on average


def busy(name: str, requests: int = 500, *, times: float = 1.0, **changes: Any) -> Scenario:
    """Some minutes of a scenario, as busy as its whole day is on average, or so many times as busy."""
    scenario = load_scenario(name)
    traffic = scenario.traffic.model_copy(update={"shape": "flat", **changes})
    return replace(scenario, requests=requests, hours=requests / DENSE / times, traffic=traffic, homes=1)


@pytest.mark.parametrize("name", shipped())
def test_a_thin_day_of_each_kind(name: str) -> None:
    scenario = replace(load_scenario(name), requests=500, homes=1)
    report = rehearse_day(scenario)
    assert report.broken(scenario.expect) == ()
    assert report.requests == 500
    assert report.answered + sum(report.failed.values()) == 500
    assert report.told_when == report.failed.get("NoCandidate", 0), "whoever is not answered is told when to come back"


def test_a_busy_hour_earns_no_refusal_and_uses_what_is_free() -> None:
    report = rehearse_day(busy("normal", 1_500, times=5))
    assert report.broken(load_scenario("normal").expect) == ()
    assert report.tiers["free"] > 0.2
    assert report.tiers["local"] > 0.2


def test_the_same_again_also_with_another_order_of_sets() -> None:
    code = (
        "from dataclasses import replace\n"
        "from understudy.scenarios.rehearsal import rehearse_day\n"
        "from understudy.scenarios.scenario import load_scenario\n"
        "if __name__ == '__main__':\n"
        "    print(rehearse_day(replace(load_scenario('weather'), requests=300, hours=0.1, homes=1)).digest)\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    other = rehearse_day(replace(load_scenario("weather"), requests=300, hours=0.1, seed=2, homes=1))
    assert other.digest not in said.pop()


def unplugged(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, *cuts: tuple[object, str, Callable[..., Any]]
) -> Report:
    for owner, name, instead in cuts:
        monkeypatch.setattr(owner, name, instead)
    return rehearse_day(scenario)


def test_without_the_gate_the_leaks_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(self: object, task: object, session_private: bool = False) -> Verdict:
        return Verdict(Sensitivity.PUBLIC)

    report = unplugged(monkeypatch, busy("normal", 200, private=0.3), (RememberingGate, "judge", blind))
    assert report.leaks > 0
    assert any("private" in what for what in report.broken(load_scenario("normal").expect))


def test_without_the_book_the_refusals_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(self: Page, entry: Reserve, now: float) -> Granted:
        return Granted(entry.hold)

    report = unplugged(monkeypatch, busy("normal", 400, times=5), (Page, "_reserve", generous))
    assert sum(report.earned.values()) > 10


def test_without_the_ledger_the_overspending_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(balance: Balance, asked: Amount) -> None:
        return None

    scenario = busy("normal", 300, unclear=1.0, conversations=0.0)
    director = scenario.settings.director.model_copy(update={"tokens_per_day": 1_500})
    classifier = scenario.settings.classifier.model_copy(update={"enabled": False})
    settings = scenario.settings.model_copy(update={"director": director, "classifier": classifier})
    held = rehearse_day(replace(scenario, settings=settings))
    assert held.overspent == ()
    assert 0 < held.director_tokens <= 1_500
    report = unplugged(monkeypatch, replace(scenario, settings=settings), (ledger_rules, "refusal", generous))
    assert report.overspent


def test_without_the_checks_the_spoilt_answers_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def credulous(*_: object) -> tuple[()]:
        return ()

    assert rehearse_day(busy("weather", 300)).spoilt == 0
    report = unplugged(monkeypatch, busy("weather", 300), (validators, "validate", credulous))
    assert report.spoilt > 0


def test_a_crash_of_ours_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, task: object, session_private: bool = False) -> Verdict:
        raise RuntimeError("a bug")

    report = unplugged(monkeypatch, busy("normal", 20), (RememberingGate, "judge", broken))
    assert report.crashed == {"RuntimeError": 20}
    assert report.answered == 0


def test_money_is_counted_and_kept_to() -> None:
    openai = {"kind": "rehearsal", "plays": "openai", "free": False, "models": [{"id": "gpt-4.1"}]}
    settings = parse({"money": {"usd_per_day": 0.05}, "providers": {"openai": openai}}, "the test")
    report = rehearse_day(replace(busy("normal", 200, private=0.0), settings=settings))
    assert 0.02 < report.paid_usd <= 0.05
    assert report.overspent == ()
    assert 0 < report.answered < 200
    assert report.failed == {"BudgetRefused": 200 - report.answered}


def test_homes_share_the_tasks_and_nothing_else() -> None:
    scenario = replace(load_scenario("weather"), requests=301, hours=0.1, homes=2)
    seen: list[tuple[int, int]] = []
    report = rehearse_day(scenario, lambda done, of, hours: seen.append((done, of)))
    assert (report.requests, report.homes) == (301, 2)
    alone = [live_through(part) for part in scenario.dealt()]
    assert [home.ended for home in alone] == [151, 150]
    assert report.answered == sum(home.answered for home in alone)
    assert report.calls == sum(sum(home.calls.values()) for home in alone)
    assert alone[0].digest != alone[1].digest, "another day at each home"
    assert rehearse_day(scenario).digest == report.digest


def test_a_home_whose_process_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_live", _die)
    with pytest.raises(ConfigError) as caught:
        rehearse_day(replace(load_scenario("normal"), requests=10))
    assert "code 9" in caught.value.message


def _die(scenario: Scenario, connection: object) -> None:
    os._exit(9)


def events(*tables: dict[str, Any]) -> tuple[Event, ...]:
    return tuple(Event.model_validate(table) for table in tables)


def test_each_event_says_how_often_it_struck() -> None:
    told = events(
        {"what": "overload", "provider": "groq", "share": 0.2},
        {"what": "auth", "provider": "groq", "account": "a", "key": 1},
        {"what": "store_gone"},
        {"what": "overload", "model": "no-such-model"},
    )
    report = rehearse_day(replace(busy("normal", 200), events=told, homes=2))
    where = [(e.what, e.where) for e in report.events]
    assert where == [
        ("overload", "at groq"),
        ("auth", "at groq/a, key 1"),
        ("store_gone", "at home"),
        ("overload", "at */*/no-such-model"),
    ]
    assert [e.struck > 0 for e in report.events] == [True, True, True, False]
    assert report.events[0].struck == report.outcomes["overload"]
    assert report.to_dict()["events"][3]["struck"] == 0
    assert [n for n in report.notes if "struck nobody" in n] == [
        "overload at */*/no-such-model struck nobody: without it the day would have been the same."
    ]


@pytest.mark.parametrize(
    ("what", "times"), [("queue_broken", 20), ("book_gone", 1), ("book_damaged", 1), ("store_gone", 1)]
)
def test_what_goes_wrong_at_home_is_noticed(what: str, times: float) -> None:
    scenario = busy("normal", 400, times=times)
    begins = scenario.hours / 2
    report = rehearse_day(replace(scenario, events=events({"what": what, "from": begins})))
    assert report.events[0].struck > 0
    assert not report.notes


def test_nobody_waits_in_a_line_so_a_broken_one_strikes_nobody() -> None:
    calm, broken = busy("normal", 30), events({"what": "queue_broken"})
    report = rehearse_day(replace(calm, events=broken, hours=24.0))
    assert report.events[0].struck == 0
    assert report.digest == rehearse_day(replace(calm, hours=24.0)).digest


def test_a_provider_that_cannot_be_set_up_is_no_other_day(tmp_path: Path) -> None:
    (tmp_path / "groq.toml").write_text("[[models]]\nid = 3\n")
    table = {
        "groq": {"kind": "rehearsal", "plays": "groq", "script": str(tmp_path / "groq.toml")},
        "here": {"kind": "rehearsal", "plays": "local"},
    }
    settings = parse({"providers": table}, "the test")
    with pytest.raises(ConfigError, match="the provider groq offers no model") as caught:
        rehearse_day(replace(busy("normal", 10), settings=settings))
    assert "models.0.id" in caught.value.remedy
    del table["groq"]
    table["here"]["enabled"] = False  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="every provider is switched off"):
        rehearse_day(replace(busy("normal", 10), settings=parse({"providers": table}, "the test")))


def test_seconds_are_those_of_tasks_that_were_there() -> None:
    report = rehearse_day(busy("normal", 40, private=0.0, batch=0.0))
    assert report.interactive is not None
    assert (report.batch, report.given_up) == (None, None)
    nobody = events({"what": "overload"})
    report = rehearse_day(replace(busy("normal", 20, private=0.0), events=nobody))
    assert (report.interactive, report.answered) == (None, 0)
    assert report.given_up is not None
    assert report.to_dict()["interactive"] is None


@pytest.mark.parametrize("homes", [1, 2])
def test_an_interrupted_day_tells_what_it_came_to(homes: int) -> None:
    def stop(done: int, of: int, hours: float) -> None:
        if done >= 60:
            signal.raise_signal(signal.SIGINT)

    scenario = replace(busy("normal", 4_000), homes=homes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day, "AGAIN", 60)
        report = rehearse_day(scenario, stop)
    assert report.interrupted
    assert 60 <= report.requests <= 1_000
    assert report.answered > 0
    assert 0 < report.lived < scenario.hours or homes == 2
    assert report.digest == ""
    assert not rehearse_day(busy("normal", 20)).interrupted


def test_no_process_of_a_home_outlives_ctrl_c() -> None:
    command = [sys.executable, "-m", "understudy", "rehearse", "--scenario", "normal"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(homes := [pid for pid in children.read_text().split() if _is_home(pid)]) < 2:
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert not [pid for pid in homes if _is_home(pid)]


def _is_home(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
