"""The slash commands of the REPL."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.cli.conversation import Conversation
from understudy.cli.render import plural, table
from understudy.cli.terminal import one_line, say
from understudy.errors import UsageError
from understudy.types import Attachment, Task

if TYPE_CHECKING:
    from understudy.cli.repl import Repl

SHOWN = 20  # conversations listed


@dataclass(frozen=True, slots=True)
class Command:
    """work returns False to leave the REPL. usage is what follows the name."""

    name: str
    usage: str
    about: str
    work: Callable[[Repl, str], Awaitable[bool | None]]


async def run_command(repl: Repl, text: str) -> bool:
    """False: leave. Raises UsageError for an unknown command, with the nearest one."""
    name, _, argument = text[1:].strip().partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        near = difflib.get_close_matches(name.lower(), COMMANDS, n=1, cutoff=0.4)
        guess = f"Did you mean /{near[0]}? " if near else "/help lists them. "
        raise UsageError(
            f"There is no command /{one_line(name)[:40]}.",
            remedy=guess + "A message that begins with a slash needs a space before it.",
        )
    argument = argument.strip()
    if not argument or _may_be_kept(repl, text, argument):
        repl.input.remember(text)
    return await command.work(repl, argument) is not False


def choices(name: str) -> Iterable[str]:
    """What can follow a command."""
    if name == "agent":
        from understudy.agents.specialists import specialists

        return ["auto", *specialists()]
    if name == "policy":
        from understudy.policies.registry import RELEASED

        return list(RELEASED)
    return {"private": ["on", "off", "this"], "cost": ["all"]}.get(name, [])


def _may_be_kept(repl: Repl, text: str, argument: str) -> bool:
    """Whether a command with its argument may enter the history file: a path or an id can be private too."""
    from understudy.cli.repl_turn import is_private

    director = repl.open_director
    if director is None or repl.conversation.is_private:
        return False
    return not is_private(director, Task(text, files=(Attachment(argument, ""),)))


async def _private(repl: Repl, argument: str) -> None:
    talk = repl.conversation
    if argument == "on":
        talk.always_private = True
        say("Private: from now on nothing leaves this machine. What was said before went where it went.")
    elif argument == "this":
        talk.next_private = True
        say("The next task is private; so are the later ones of this conversation, which carry it.")
    elif argument == "off":
        if talk.private:
            raise UsageError(
                "This conversation holds private text, and what follows carries it: it stays private.",
                remedy="/new begins a conversation that is not.",
            )
        talk.always_private = talk.next_private = False
        say("Public again: nothing private was said in this conversation. The gate still watches every task.")
    elif not argument:
        why = "it holds private text" if talk.private else "you said so"
        say(f"private: yes, {why}" if talk.is_private else "private: no; the gate decides for every task")
    else:
        raise UsageError(f"/private takes no {one_line(argument)!r}.", remedy="Write /private on, off or this.")


async def _agent(repl: Repl, argument: str) -> None:
    from understudy.agents.specialists import specialist, specialists

    talk = repl.conversation
    if not argument:
        say(f"agent: {talk.agent or 'auto'}; there are {', '.join(specialists())}")
        return
    talk.agent = None if argument == "auto" else specialist(argument).name
    say(f"agent: {talk.agent or 'auto'}")


async def _policy(repl: Repl, argument: str) -> None:
    from understudy.policies import registry

    talk = repl.conversation
    if argument:
        policy = registry.load(argument)
        talk.policy = policy.source or policy.name  # one's own is found by where it lies
    director = await repl.director()
    policy = registry.load(talk.policy or director.settings.policy)
    say(f"policy: {policy.name} (hash {policy.hash}); released: {', '.join(registry.RELEASED)}")


async def _budget(repl: Repl, _argument: str) -> None:
    from understudy.cli.looking import budget_table, scopes

    say(budget_table(await scopes(await repl.director(), repl.conversation.session)))


async def _fleet(repl: Repl, _argument: str) -> None:
    from understudy.cli.fleet import fleet_table

    parts = (await repl.director()).parts
    say(fleet_table(parts, await parts.book.states(parts.fleet)) if parts.fleet else "There is nobody.")
    for note in parts.notes:
        say(f"note: {note}")


async def _why(repl: Repl, argument: str) -> None:
    from understudy.cli.looking import explanation

    wanted = argument or repl.conversation.last_reply
    if not wanted:
        raise UsageError("There is no reply yet in this conversation.", remedy="/why ID explains an earlier one.")
    say(explanation(await (await repl.director()).explain(wanted)))


async def _cost(repl: Repl, argument: str) -> None:
    from understudy.cli.economics import report

    replies = (await repl.director()).parts.store.replies
    if argument == "all":
        say(report(await replies.economics(), "all conversations"))
        return
    session = repl.conversation.session
    say(report(await replies.economics(session=session), f"conversation {session}"))
    say("\n/cost all sums up every conversation.")


async def _file(repl: Repl, argument: str) -> None:
    from understudy.cli.reading import read_attachment
    from understudy.cli.warm import in_background

    files = repl.conversation.files
    if argument == "clear":
        files.clear()
    elif argument:
        files.append(await in_background(lambda: read_attachment(argument)))  # Ctrl-C ends the wait for a pipe
    listed = ", ".join(f"{f.path} ({plural(len(f.text), 'character')})" for f in files)
    say(f"with the next task: {listed}" if files else "No file goes along with the next task.")


async def _session(repl: Repl, argument: str) -> None:
    from understudy.cli.looking import when
    from understudy.cli.repl import load_session

    director = await repl.director()
    if argument:
        talk = Conversation(argument, named=True, agent=repl.conversation.agent, policy=repl.conversation.policy)
        if not await load_session(director, talk):
            raise UsageError(f"There is no conversation {one_line(argument)!r}.", remedy="/session lists them.")
        repl.conversation = talk
        say(f"conversation {talk.session}: {plural(talk.turns, 'turn')}" + (", private" if talk.private else ""))
        return
    say(f"this conversation: {repl.conversation.session}")
    listed = await director.parts.store.sessions.list(SHOWN)
    rows = [(h.id, when(h.updated), h.turns, "(private)" if h.private else h.title) for h in listed]
    if rows:
        say(table(("conversation", "last turn", "turns", "began with"), rows))


async def _new(repl: Repl, _argument: str) -> None:
    from understudy.cli.repl import new_session

    old = repl.conversation
    repl.conversation = Conversation(new_session(), agent=old.agent, policy=old.policy)
    say(f"conversation {repl.conversation.session} (the old one: /session {old.session})")


async def _help(_repl: Repl, _argument: str) -> None:
    say(table(("command", "what it does"), [(f"/{c.name} {c.usage}".strip(), c.about) for c in COMMANDS.values()]))
    say("\nEnter sends. Alt-Enter or a trailing \\ begins another line. Ctrl-C stops a task, Ctrl-D leaves.")


async def _quit(_repl: Repl, _argument: str) -> bool:
    return False


_ALL = (
    Command("private", "[on|off|this]", "keep tasks on this machine", _private),
    Command("agent", "[NAME|auto]", "choose the specialist", _agent),
    Command("policy", "[NAME]", "choose the policy", _policy),
    Command("budget", "", "what the director has left", _budget),
    Command("fleet", "", "who can work now, who rests and why", _fleet),
    Command("why", "[ID]", "explain the last reply", _why),
    Command("cost", "[all]", "tokens and dollars, and what Opus alone would have cost", _cost),
    Command("file", "[PATH|clear]", "give a text file to the next task", _file),
    Command("session", "[ID]", "list the conversations, or resume one", _session),
    Command("new", "", "begin a new conversation", _new),
    Command("help", "", "this list", _help),
    Command("quit", "", "leave", _quit),
)
COMMANDS: Mapping[str, Command] = {c.name: c for c in _ALL}
