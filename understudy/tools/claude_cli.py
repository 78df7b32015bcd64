"""`claude -p` as a tool: one request in, one result out, every failure in its class, nothing left behind.

What is written here about the CLI was measured with Claude Code 2.1.328 against a loopback Messages API.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy.config.places import home
from understudy.config.secrets import Secret
from understudy.errors import CallFailed
from understudy.tokens import MESSAGE_OVERHEAD, upper_bound
from understudy.tools import claude_environment
from understudy.tools.claude_events import ClaudeResult, Events
from understudy.tools.processes import GRACE, Ended, run_supervised
from understudy.tools.turns import turn
from understudy.types import Failure

MEASURED_VERSION = "2.1.328"
# Input tokens the CLI adds to ours, in the two lean modes. Measured, as text: with a key 62 characters of system
# prompt; with a login about 1,090 (working directory, platform, advice on untrusted files, model, date) and, where
# the CLI knows the account, 540 more about the user's e-mail address: 399 to 449 tokens in six public vocabularies of
# 32k and more. Taken is a token for 2.1 characters. The working directory is counted apart.
KEY_OVERHEAD = 48
LOGIN_OVERHEAD = 780
SCHEMA_OVERHEAD = 80  # --json-schema adds a tool of about 90 bytes and the schema, and the API its own tool prompt
TOOL_PROMPT = 346  # the API's own system prompt for tools, Anthropic's documentation
CONTEXT = 1_000_000  # tokens: with tools nothing but the model's context bounds a request
RECOVERIES = 3  # further requests after an answer that hit max_tokens; --max-turns does not count them
ONE_CALL_USD = "0.000000001"  # below the price of any answer: see _arguments
MOST_INPUT = 10_000_000  # bytes the CLI takes on standard input
SAFE_MODEL = re.compile(r"[A-Za-z0-9][\w.:@/\[\]-]*\Z")


@dataclass(frozen=True, slots=True)
class ClaudeRequest:
    """One use of the CLI. output_cap in tokens, timeout in seconds (waiting for a turn counts)."""

    prompt: str = field(repr=False)
    system: str = field(default="", repr=False)
    model: str = "opus"
    output_cap: int = 1024
    schema: Mapping[str, Any] | None = field(default=None, repr=False)  # an object; visible among process arguments
    directory: Path | None = None  # where it works; None: a fresh empty folder
    allowed_tools: tuple[str, ...] = ()  # such as Read, Edit, Bash(pytest *); none: one question, one answer
    timeout: float = 60.0
    turns: int = 30  # requests with tools, at most

    @property
    def one_call(self) -> bool:
        return not self.allowed_tools


class ClaudeCLI:
    """Runs the CLI. With a key it is used as an API client and never sees the login; without, the login is used."""

    def __init__(
        self,
        command: tuple[str, ...] = ("claude",),
        *,
        login: str = "auto",
        key: Secret | None = None,
        base_url: str | None = None,
        concurrency: int = 1,
        state: Path | None = None,
        grace: float = GRACE,
        environ: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._command = command
        self._key = key
        self._base_url = base_url
        self._concurrency = concurrency
        self._state = state
        self._grace = grace
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._now = now
        self.with_key = login == "key" or (login == "auto" and key is not None)

    def calls_allowed(self, request: ClaudeRequest) -> int:
        """Requests that can be charged for, at most, with the switches of this request.

        Without tools it is one: the CLI looks at its money budget before each request it makes on its own, and the
        first answer has used it up. Measured with both lean modes on max_tokens (4 requests otherwise), empty and
        blank answers (2), refusals, a full context (4), structured output. A server that counts no tokens defeats it;
        then the usage is unknown and the whole reservation is charged. Refused requests (404, and 401 with a
        login) are sent twice and never charged.
        """
        return 1 if request.one_call else request.turns * (1 + RECOVERIES)

    def bound(self, request: ClaudeRequest) -> int:
        """Input tokens, at most, over all calls allowed."""
        if not request.one_call:
            return self.calls_allowed(request) * CONTEXT
        tokens = KEY_OVERHEAD if self.with_key else LOGIN_OVERHEAD + upper_bound(str(request.directory or ""))
        for text in (request.system, request.prompt):
            tokens += upper_bound(text) + MESSAGE_OVERHEAD
        if request.schema is not None:
            tokens += upper_bound(_compact(request.schema)) + SCHEMA_OVERHEAD + TOOL_PROMPT
        return tokens

    def output_bound(self, request: ClaudeRequest) -> int:
        """Output tokens, at most, over all calls allowed."""
        return self.calls_allowed(request) * request.output_cap

    async def run(self, request: ClaudeRequest, progress: Callable[[int], None] | None = None) -> ClaudeResult:
        """Raises CallFailed; progress is told the characters received so far. Cancelling stops every process."""
        executable = self.executable()
        self._refuse_nonsense(request)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout_at(deadline):
                    place = await stack.enter_async_context(turn(self._turns(), self._concurrency))
            except TimeoutError:
                raise CallFailed(
                    Failure.OVERLOAD,
                    f"Other calls kept claude busy for {request.timeout:g} s.",
                    remedy="Wait, or raise concurrency in the provider's table.",
                    charged=False,
                ) from None
            except OSError as error:
                raise _unavailable(f"The state folder cannot be used ({type(error).__name__}).") from None
            return await self._run(executable, request, deadline - loop.time(), place, progress)

    async def version(self) -> str:
        """Such as 2.1.328. Raises CallFailed(UNAVAILABLE). Takes 15 ms, asks no server."""
        ended = await self._ask("--version")
        found = re.match(rb"\s*(\d[\w.+-]*)", ended.stdout)
        if ended.code != 0 or not found:
            raise _unavailable(f"{self._command[0]} does not answer to --version as Claude Code does.")
        return found[1].decode("ascii")

    async def logged_in(self) -> str:
        """How it is logged in, such as "claude.ai max". Raises CallFailed(UNAVAILABLE). 0.3 s, no token, no request."""
        ended = await self._ask("auth", "status")
        try:
            status: dict[str, Any] = json.loads(ended.stdout)
            known = bool(status["loggedIn"])
        except (ValueError, KeyError, TypeError):
            raise _unavailable("This claude cannot say whether it is logged in.", "Update it: claude update") from None
        if not known:
            raise _unavailable("claude is not logged in.", "Run claude and log in, or configure a key.")
        return " ".join(str(status[k]) for k in ("authMethod", "subscriptionType") if status.get(k))

    def executable(self) -> str:
        """The path of the command. Raises CallFailed(UNAVAILABLE)."""
        found = shutil.which(os.path.expanduser(self._command[0]), path=self._environ.get("PATH", os.defpath))
        if found is None:
            raise _unavailable(
                f"There is no command {self._command[0]}.",
                "Install Claude Code (npm install -g @anthropic-ai/claude-code), or set command.",
            )
        return os.path.abspath(found)

    async def _ask(self, *arguments: str) -> Ended:
        executable = self.executable()
        with tempfile.TemporaryDirectory(prefix="us-") as folder:
            environment = claude_environment.build(self._environ, self._key if self.with_key else None, None, folder)
            try:
                return await run_supervised(
                    [executable, *self._command[1:], *arguments],
                    environment=environment,
                    directory=Path(folder),
                    seconds=10.0,
                    grace=1.0,
                )
            except OSError as error:
                raise _unavailable(f"claude cannot be run here ({type(error).__name__}).") from None

    async def _run(
        self,
        executable: str,
        request: ClaudeRequest,
        seconds: float,
        place: int,
        progress: Callable[[int], None] | None,
    ) -> ClaudeResult:
        events = Events(progress)
        folder = Path(tempfile.mkdtemp(prefix="us-"))  # 0700; a short name, because a login's request repeats it
        try:
            system = folder / "s"
            system.touch(0o600)
            system.write_text(request.system.strip() or "Answer the request.", "utf-8", "replace")
            empty = folder / "w"
            empty.mkdir()
            environment = claude_environment.build(
                self._environ, self._key if self.with_key else None, self._base_url, str(folder)
            )
            ended = await run_supervised(
                self._arguments(executable, request, system, progress is not None),
                environment=environment | claude_environment.switches(request.output_cap, request.timeout),
                directory=request.directory or empty,
                seconds=seconds,
                stdin=disarmed(request.prompt).encode("utf-8", "replace"),
                grace=self._grace,
                remove=folder,
                hold=(place,),
                on_output=events.feed,
            )
        except OSError as error:
            raise _unavailable(f"claude cannot be run here ({type(error).__name__}).") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return events.result(ended, request.schema, one_call=request.one_call, seconds=request.timeout, now=self._now())

    def _arguments(self, executable: str, request: ClaudeRequest, system: Path, partial: bool) -> list[str]:
        """The lean command line. Nothing in it is private: any user of the machine can read it."""
        line = [executable, *self._command[1:], "-p", "--output-format", "stream-json", "--verbose"]
        # A project's or user's settings could send the request and the key to another address, even with --bare.
        line += ["--setting-sources", "", "--strict-mcp-config", "--disable-slash-commands", "--no-session-persistence"]
        line += ["--system-prompt-file", str(system), "--model", request.model]
        if self.with_key:
            line.append("--bare")  # a login is never read with it
        if partial:
            line.append("--include-partial-messages")
        if request.schema is not None:
            line += ["--json-schema", _compact(request.schema)]
        if request.one_call:
            # The CLI stops with error_max_budget_usd after the first answer, which it has told us by then.
            return [*line, "--tools", "", "--max-turns", "1", "--max-budget-usd", ONE_CALL_USD]
        names = dict.fromkeys(rule.partition("(")[0].strip() for rule in request.allowed_tools)
        line += ["--tools", ",".join(names), "--restricted", "--max-turns", str(max(1, request.turns))]
        return [*line, "--allowed-tools", *request.allowed_tools]

    def _refuse_nonsense(self, request: ClaudeRequest) -> None:
        if not SAFE_MODEL.match(request.model):
            raise _unavailable("The name of the model is none.", "Use opus, sonnet, haiku or a model's full name.")
        if not request.prompt.strip():
            raise CallFailed(Failure.MALFORMED, "The prompt is empty.", remedy="Ask something.", charged=False)
        if len(request.prompt.encode("utf-8", "replace")) > MOST_INPUT:
            raise CallFailed(
                Failure.CONTEXT, "claude takes 10 MB of prompt at most.", remedy="Send less.", charged=False
            )
        if request.directory is not None and not request.directory.is_dir():
            raise _unavailable(f"There is no working directory {request.directory}.", "Create it, or set another.")
        if any(rule.startswith("-") or not rule.strip() for rule in request.allowed_tools):
            raise _unavailable("A rule of allowed_tools is none.", "Write tools such as Read or Bash(pytest *).")
        if self.with_key and self._key is None:
            raise _unavailable('login = "key" needs a key.', 'Add accounts = [ { keys = ["env:ANTHROPIC_API_KEY"] } ].')

    def _turns(self) -> Path:
        """One queue for each login: it is the login that concurrent use can break."""
        name = "key" if self.with_key else "login"
        return (self._state or home()) / "turns" / f"claude-{name}"


def disarmed(prompt: str) -> str:
    """The prompt as text to the CLI: with a newline first, `/help` is no command. `@file` is switched off by
    CLAUDE_CODE_DISABLE_FILE_MENTIONS, and by CLAUDE_CODE_DISABLE_ATTACHMENTS once more: the text stays as it is."""
    return f"\n{prompt}"


def _compact(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, separators=(",", ":"))


def _unavailable(message: str, remedy: str = "Check the provider's table in the configuration.") -> CallFailed:
    return CallFailed(Failure.UNAVAILABLE, message, remedy=remedy, charged=False)
