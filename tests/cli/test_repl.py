"""The REPL as a person sees it, on a terminal of its own."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import SCRIPTED

# The editor draws the blank after it by moving the cursor.
PROMPT = "understudy>"
PRIVATE = "understudy \\(private\\)>"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


class Terminal:
    def __init__(self, *arguments: str, term: str = "xterm", **env: str) -> None:
        environment = {**os.environ, "TERM": term, "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONIOENCODING": "utf-8", **env}
        self.child = pexpect.spawn(
            sys.executable,
            [str(SCRIPTED), *arguments],
            env=environment,
            encoding="utf-8",
            timeout=12,
            dimensions=(40, 160),
        )

    def send(self, text: str) -> None:
        self.child.send(text + "\r")

    def see(self, pattern: str) -> str:
        """Everything up to the pattern, without control codes."""
        self.child.expect(pattern)
        return CODES.sub("", self.child.before)

    def ask(self, text: str, pattern: str = "r-[0-9a-f]+") -> str:
        self.send(text)
        return self.see(pattern) + CODES.sub("", self.child.after)

    def end(self) -> int:
        self.child.sendeof()
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def terminal():
    opened: list[Terminal] = []

    def start(*arguments: str, ready: bool = True, **options: str) -> Terminal:
        opened.append(Terminal(*arguments, **options))
        if ready:
            opened[-1].see("understudy 0")
            opened[-1].see(PROMPT if not options.pop("private", "") else PRIVATE)
        return opened[-1]

    yield start
    for one in opened:
        one.child.close(force=True)


def test_the_first_screen_says_who_there_is(terminal) -> None:
    repl = terminal(ready=False)
    assert "2 models at groq, here" in repl.see("Ctrl-D leaves")
    assert repl.end() == 0


def test_the_first_screen_does_not_land_on_a_live_line(terminal) -> None:
    repl = terminal(ready=False)
    repl.child.send("hello\r")
    repl.child.expect("understudy 0")
    assert re.search(r"starting(?:\x1b\[\d*m)*$", repl.child.before) is None
    assert "You said" in repl.see("r-[0-9a-f]+")
    assert repl.end() == 0


def test_an_answer_is_shown_as_markdown_with_its_footer(terminal) -> None:
    repl = terminal()
    said = repl.ask("hello")
    assert "You said hello (turn 1" in said
    assert "groq/llama-3.1-8b-instant · 2 attempts · 162 tokens" in said
    assert "turn 2" in repl.ask("hello again")
    assert repl.end() == 0


def test_ctrl_c_stops_the_task_and_not_the_program(terminal) -> None:
    repl = terminal()
    repl.send("wait for it")
    repl.see("12 characters")
    repl.child.sendintr()
    repl.see("stopped")
    assert "turn 1" in repl.ask("hello")
    assert repl.end() == 0


def test_ctrl_c_at_the_prompt_clears_the_line(terminal) -> None:
    repl = terminal()
    repl.child.send("half a thou")
    repl.see("half a thou")
    repl.child.sendintr()
    repl.see(PROMPT)
    assert "You said hello (turn 1" in repl.ask("hello")
    assert repl.end() == 0


def test_several_lines_by_alt_enter_backslash_and_paste(terminal) -> None:
    repl = terminal()
    repl.child.send("one\x1b\rtwo")
    assert re.search(r"You said one\s+two", repl.ask(""))
    repl.child.send("three\\\rfour")
    assert re.search(r"You said three\s+four", repl.ask(""))
    repl.child.send("\x1b[200~five\nsix\x1b[201~")
    assert re.search(r"You said five\s+six", repl.ask(""))
    assert repl.end() == 0


def test_a_failure_is_told_and_the_conversation_goes_on(terminal) -> None:
    repl = terminal()
    repl.ask("fail budget", "Raise the limit")
    bug = repl.ask("hello")
    assert "turn 1" in bug
    assert repl.end() == 0


def test_a_bug_is_told_in_one_line_and_the_conversation_goes_on(terminal) -> None:
    repl = terminal()
    said = repl.ask("fail bug", "please report")
    assert "Traceback" not in said
    assert "turn 1" in repl.ask("hello")


def test_conversations_persist_and_resume(terminal, home: Path) -> None:
    first = terminal("--session", "tea")
    assert "turn 1" in first.ask("hello")
    assert first.end() == 0
    second = terminal("--session=tea", ready=False)
    second.see("Resumed: 1 turn")
    assert "turn 2" in second.ask("hello")
    third = terminal()
    third.ask("/session", "tea")
    third.ask("/session tea", "conversation tea: 2 turns")
    assert "turn 3" in third.ask("hello")
    third.ask("/session coffee", "There is no conversation 'coffee'")
    third.ask("/new", "the old one: /session tea")
    assert "turn 1" in third.ask("hello")


def test_private_is_raised_and_lowered_only_while_nothing_private_was_said(terminal) -> None:
    repl = terminal()
    repl.ask("/private on", "nothing leaves this machine")
    repl.see(PRIVATE)
    repl.ask("/private off", "Public again")
    repl.see(PROMPT)
    repl.ask("/private this", "The next task is private")
    repl.see(PRIVATE)
    assert "private" in repl.ask("hello")
    repl.see(PRIVATE)
    repl.ask("/private off", "holds private text")
    repl.ask("/private", "private: yes")
    repl.ask("/private maybe", "Write /private on, off or this")
    repl.ask("/new", "conversation s-")
    repl.see(PROMPT)


def test_what_the_gate_calls_private_keeps_the_conversation_private(terminal) -> None:
    repl = terminal()
    repl.ask("my card is 4111 1111 1111 1111")
    repl.see(PRIVATE)


def test_a_resumed_conversation_is_as_private_as_it_was(terminal) -> None:
    repl = terminal("--session", "told")
    repl.ask("my card is 4111 1111 1111 1111")
    repl.see(PRIVATE)
    repl.end()
    again = terminal("--session", "told", ready=False)
    again.see(PRIVATE)
    again.ask("/private off", "holds private text")
    again.ask("/new", "conversation s-")
    again.see(PROMPT)
    again.ask("/session told", "private")
    again.see(PRIVATE)
    again.ask("/private", "private: yes")


def test_the_history_file_is_mine_alone_and_holds_nothing_private(terminal, home: Path) -> None:
    repl = terminal()
    repl.ask("a public\\\rquestion")
    repl.see(PROMPT)
    repl.ask("/agent coder", "agent: coder")
    repl.ask("canary one: my card is 4111 1111 1111 1111")
    repl.see(PRIVATE)
    repl.ask("canary two")
    repl.ask("/new", "conversation s-")
    repl.ask("/private on", "nothing leaves")
    repl.ask("canary three")
    repl.ask("/file /canary/four", "There is no file")
    assert repl.end() == 0
    kept = home / "history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "canary" not in kept.read_text()
    assert kept.read_text().startswith("+a public\n|question\n")
    again = terminal()
    again.child.send("\x1b[A" * 4)
    again.see("question")


def test_up_brings_back_the_last_message_of_this_sitting_private_or_not(terminal) -> None:
    repl = terminal()
    repl.ask("/private on", "nothing leaves")
    repl.ask("hello")
    repl.see(PRIVATE)
    repl.child.send("\x1b[A")
    assert "turn 2" in repl.ask("")


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ("/help", "/private"),
        ("/agent", "agent: auto"),
        ("/agent auto", "agent: auto"),
        ("/agent codr", "Did you mean coder"),
        ("/policy", "policy: v1"),
        ("/policy v9", "There is no policy 'v9'"),
        ("/budget", "director, this conversation"),
        ("/fleet", "llama-3.1-8b-instant"),
        ("/why", "no reply yet"),
        ("/why r-none", "There is no reply 'r-none'"),
        ("/cost", "Nothing was called yet"),
        ("/file", "No file goes along"),
        ("/file none.txt", "There is no file none.txt"),
        ("/biudget", "Did you mean /budget"),
        ("/", "/help lists them"),
        ("/etc/passwd is what?", "needs a space before it"),
    ],
)
def test_slash_commands(command: str, shows: str, terminal) -> None:
    repl = terminal()
    repl.ask(command, shows)
    assert repl.end() == 0


def test_agent_files_why_and_cost_of_a_turn(terminal, tmp_path: Path) -> None:
    note = tmp_path / "n.txt"
    note.write_text("a note")
    repl = terminal()
    repl.ask("/agent coder", "agent: coder")
    repl.ask(f"/file {note}", "6 characters")
    said = repl.ask("hello")
    assert "agent coder" in said
    assert "n.txt" in said
    assert "files []" in repl.ask("hello")
    why = repl.ask("/why", "tokens: 162")
    assert "minute_quota, 12 s more" in why
    assert "overload" in why
    cost = repl.ask("/cost", "all on Opus")
    assert "director" in cost
    repl.see("25.9% of 324 tokens on free inference")
    repl.send("/quit")
    repl.child.expect(pexpect.EOF)


def test_tab_completes_commands_agents_and_paths(terminal, tmp_path: Path) -> None:
    (tmp_path / "singular.txt").write_text("x")
    repl = terminal()
    repl.child.send("/bud\t")
    repl.see("get")
    repl.ask("", "director, this conversation")
    repl.see(PROMPT)
    repl.child.send("/agent sum\t")
    repl.see("marizer")
    repl.ask("", "agent: summarizer")
    repl.see(PROMPT)
    repl.child.send(f"/file {tmp_path}/sing\t")
    repl.see("ular")
    repl.ask("", "1 character\\)")


def test_a_rest_is_shown_with_its_reason(terminal, home: Path) -> None:
    import asyncio

    from understudy.clock import WallClock
    from understudy.fleet.book import Book, Cost, Tab
    from understudy.fleet.form import PageForm
    from understudy.store.pages import SqlitePages
    from understudy.store.store import Store
    from understudy.types import Candidate, Failure

    async def rest() -> None:
        async with await Store.open(home, WallClock()) as store:
            book = Book(SqlitePages(store.database, PageForm(), WallClock()))
            tab = await book.reserve(Candidate("groq", "groq", "a", "llama-3.1-8b-instant"), Cost(1, 1), seconds=9)
            assert isinstance(tab, Tab)
            await book.close(tab, Failure.DAY_QUOTA, retry_after=600)

    asyncio.run(rest())
    repl = terminal()
    repl.ask("/fleet", r"resting \(day_quota\), (9|10) min more")


def test_a_broken_configuration_ends_it_with_its_exit_code(terminal, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("polcy = 1\n")
    repl = terminal(ready=False)
    repl.see("did you mean policy")
    repl.child.expect(pexpect.EOF)
    repl.child.close()
    assert repl.child.exitstatus == 2


def test_leaving_at_once_is_quick(terminal) -> None:
    repl = terminal(ready=False)
    repl.see("understudy")
    started = time.monotonic()
    assert repl.end() == 0
    assert time.monotonic() - started < 10


def test_an_answer_cannot_write_control_codes(terminal) -> None:
    repl = terminal()
    repl.send("esc")
    repl.child.expect("after")
    assert "\x1b]0;" not in repl.child.before
    assert "\x07" not in repl.child.before


# --- without a terminal ---------------------------------------------------------------------------------------------


def test_lines_from_a_pipe_are_answered_and_the_end_ends_it(program) -> None:
    ended = program(stdin="hello\n\none\\\ntwo\n/agent coder\nlast")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "You said **hello** (turn 1, agent None, files [])",
        "You said **one",
        "two** (turn 2, agent None, files [])",
        "agent: coder",
        "You said **last** (turn 3, agent coder, files [])",
    ]
    assert "\x1b" not in ended.out + ended.err


def test_nothing_on_a_pipe_is_no_failure(program) -> None:
    assert program(stdin="").code == 0


def test_the_exit_code_of_a_pipe_is_that_of_its_last_task(program) -> None:
    assert program(stdin="hello\nfail budget\n").code == 4
    assert program(stdin="fail budget\nhello\n").code == 0


def test_a_broken_configuration_ends_a_pipe(program, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("polcy = 1\n")
    ended = program(stdin="hello\n")
    assert ended.code == 2
    assert len(ended.err.splitlines()) <= 2


def test_a_dumb_terminal_has_a_plain_prompt(terminal) -> None:
    repl = terminal(term="dumb")
    assert "You said **hello**" in repl.ask("hello")
    repl.see(PROMPT)
    repl.send("wait")
    time.sleep(0.5)
    repl.child.sendintr()
    repl.see("stopped")
    repl.see(PROMPT)
    repl.child.sendintr()
    repl.see(PROMPT)
    assert "\x1b" not in (repl.child.before or "")
    assert "turn 2" in repl.ask("hello")
    assert repl.end() == 0


def test_resume_from_a_pipe(program, home: Path) -> None:
    program("--session", "tea", stdin="hello\n")
    ended = program("--session", "tea", stdin="hello\n")
    assert "turn 2" in ended.out
    assert "Resumed: 1 turn." in ended.err
    assert ended.err.count("/help lists the commands") == 1
    assert json.loads(program("ask", "hello", "--session", "tea", "--json").out)["text"].count("turn 3") == 1
