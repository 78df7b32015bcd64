"""A stand-in for the claude CLI: `python -m understudy.rehearsal.claude -p --output-format json ... < prompt`.

It takes the real one's switches, reads the prompt from standard input and answers with one JSON line and the same exit
codes. What goes wrong comes from $UNDERSTUDY_REHEARSAL_CLAUDE (a fault's name, or the path of a script) or from
`--rehearsal-script PATH` before the other switches; faults that strike a number of times are counted in PATH.state.
`--rehearsal-record PATH` appends one JSON line for each call: arguments, prompt, system prompt, names of the environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from understudy.rehearsal.engine import Ask, Said, answer
from understudy.tokens import estimate

VERSION = "2.1.328"
FAULT_VARIABLE = "UNDERSTUDY_REHEARSAL_CLAUDE"
_FLAGS = frozenset(
    "-p --print --bare --strict-mcp-config --disable-slash-commands --no-session-persistence --verbose --continue -c "
    "--include-partial-messages --dangerously-skip-permissions --replay-user-messages --fork-session --ide --chrome "
    "--no-chrome --safe-mode".split()
)
_VALUES = frozenset(
    "--output-format --input-format --setting-sources --system-prompt --system-prompt-file --append-system-prompt "
    "--append-system-prompt-file --model --max-turns --json-schema --permission-mode --fallback-model --settings "
    "--resume -r --session-id --max-budget-usd --effort --agents --agent --permission-prompt-tool --debug-file "
    "--rehearsal-script --rehearsal-record --name -n".split()
)
_LISTS = frozenset(
    "--tools --allowedTools --allowed-tools --disallowedTools --disallowed-tools --add-dir --mcp-config --betas".split()
)
_PRICES = {"opus": (5.0, 25.0), "sonnet": (3.0, 15.0), "haiku": (1.0, 5.0)}  # USD per million tokens, list
_STATUS = {  # fault -> (API status, what the CLI says)
    "auth": (401, "Invalid API key · Fix external API key"),
    "payment": (402, 'API Error: 402 {"type":"error","error":{"type":"billing_error","message":"There is an issue with your billing or payment information."}}'),
    "insufficient_quota": (400, "Credit balance is too low"),
    "forbidden": (403, 'API Error: 403 {"type":"error","error":{"type":"permission_error","message":"Your account does not have access to Claude Code."}}'),
    "not_found": (404, "There's an issue with the selected model. It may not exist or you may not have access to it. Run --model to pick a different model."),
    "too_large": (413, "Request too large. Try with a smaller file."),
    "minute_quota": (429, 'API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account\'s rate limit. Please try again later."}}'),
    "day_quota": (429, "You've hit your session limit · resets 3pm (UTC)"),
    "context": (400, "Prompt is too long"),
    "content_policy": (400, "API Error: 400 Output blocked by content filtering policy"),
    "server_error": (500, 'API Error: 500 {"type":"error","error":{"type":"api_error","message":"Internal server error"}}'),
    "overload": (529, 'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
    "reset": (None, "API Error: Connection error."),
    "cut": (None, "API Error: Connection closed mid-response. The response above may be incomplete."),
    "bad_request": (400, "API Error: 400 invalid_request_error"),
}  # fmt: skip


@dataclass
class Options:
    """The command line. Lists are as given; `print` is -p."""

    flags: set[str] = field(default_factory=set[str])
    values: dict[str, str] = field(default_factory=dict[str, str])
    lists: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    words: list[str] = field(default_factory=list[str])

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)


def main(arguments: list[str] | None = None) -> int:
    """The exit code, after one JSON line on standard output."""
    given = sys.argv[1:] if arguments is None else arguments
    if "--version" in given or "-v" in given:
        return _say(f"{VERSION} (Claude Code)")
    if "--help" in given or "-h" in given:
        return _say("Usage: claude [options] [command] [prompt]\n\nA simulated claude, for rehearsals.")
    options = _parsed(given)
    signal.signal(signal.SIGTERM, lambda *_: _leave(143))
    signal.signal(signal.SIGINT, lambda *_: _leave(0))
    if not options.flags & {"-p", "--print"}:
        _refuse("Error: the simulated claude answers with -p only.")
    system = options.get("--system-prompt") + _read(options.get("--system-prompt-file"), "System prompt")
    system += options.get("--append-system-prompt") + _read(options.get("--append-system-prompt-file"), "Append system prompt")
    schema = _schema(options.get("--json-schema"))
    prompt = _prompt(options)
    _record(options, given, prompt, system)
    if not prompt.strip():
        _refuse("Error: Input must be provided either through stdin or as a prompt argument when using --print")
    return _run(options, prompt, system, schema)


def _run(options: Options, prompt: str, system: str, schema: dict[str, Any] | None) -> int:
    model = options.get("--model", "opus")
    fault, text, seconds = _fault(options, model, prompt)
    if prompt.startswith("/"):
        return _result(options, model, prompt, system, Said(f"Unknown slash command: {prompt[1:].split(' ')[0]}"), turns=0)
    match fault:
        case "not_logged_in":
            return _failed(options, model, None, "Not logged in · Please run /login")
        case "hang" | "silence" | "stall" | "ignores_sigterm":
            if fault == "ignores_sigterm":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600 if seconds is None else seconds)
        case "malformed":
            return _say('{"type":"result","subtype":"success","is_err')
        case "leaves_child":
            # It inherits standard output, so whoever reads to the end waits for it.
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
        case "error_exit_0":
            _failed(options, model, 529, _STATUS["overload"][1])
            return 0
        case _ if fault in _STATUS:
            status, told = _STATUS[fault]
            return _failed(options, model, status, text or told)
        case _:
            pass
    said = _said(options, model, prompt, system, schema)
    replacements = {"empty": "", "refusal": "", "error_text": text or "API Error: 502 Bad Gateway"}
    if fault == "refusal":
        return _result(options, model, prompt, system, Said("", finish="refusal"))
    said = Said(replacements[fault]) if fault in replacements else said
    cap = int(os.environ.get("CLAUDE_CODE_MAX_OUTPUT_TOKENS") or 32_000)
    if fault == "truncated" or estimate(said.text) > cap:
        told = f"API Error: Claude's response exceeded the {cap} output token maximum. To configure this behavior, set the CLAUDE_CODE_MAX_OUTPUT_TOKENS environment variable."
        return _failed(options, model, None, told, _usage(options, prompt, system, cap, calls=4))
    structured = json.loads(said.text) if schema and fault not in ("no_structured_output", "empty") else None
    return _result(options, model, prompt, system, said, structured)


def _said(options: Options, model: str, prompt: str, system: str, schema: dict[str, Any] | None) -> Said:
    ask = Ask(model=model, user=prompt, system=system, schema=schema)
    if path := _script_path(options):
        from understudy.rehearsal.script import load_script

        script = load_script(path)
        scripted = script.model(model)
        for reply in (*(scripted.replies if scripted else ()), *script.replies):
            if (text := reply.match(prompt)) is not None:
                return Said(text)
    return answer(ask)


def _result(
    options: Options, model: str, prompt: str, system: str, said: Said, structured: Any = None, *, turns: int = 1
) -> int:
    used = _usage(options, prompt, system, estimate(said.text)) if turns else _Used(0, 0)
    stop = {"stop": "end_turn", "refusal": "refusal"}.get(said.finish, said.finish)
    extra = {"structured_output": structured} if structured is not None else {}
    _print(options, model, used, {"is_error": False, "result": said.text, "stop_reason": stop, "num_turns": turns, **extra})
    return 0


def _failed(options: Options, model: str, status: int | None, told: str, used: _Used | None = None) -> int:
    reason = "prompt_too_long" if told == "Prompt is too long" else "api_error"
    body = {"is_error": True, "result": told, "stop_reason": "stop_sequence", "num_turns": 1, "api_error_status": status}
    _print(options, model, used or _Used(0, 0), {**body, "terminal_reason": reason})
    return 1


@dataclass(frozen=True)
class _Used:
    input: int
    output: int


def _usage(options: Options, prompt: str, system: str, output: int, calls: int = 1) -> _Used:
    """What the real one sends besides the prompt, in tokens, depends on its switches (measured on 2.1.328)."""
    if "--system-prompt" not in options.values and "--system-prompt-file" not in options.values:
        own = 2_200 if options.lists.get("--tools") == [""] else 12_300
    elif options.lists.get("--tools") != [""]:
        own = 3_500
    else:
        own = 230 if "--bare" in options.flags else 465
    return _Used((own + estimate(prompt) + estimate(system)) * calls, output * calls)


def _print(options: Options, model: str, used: _Used, fields: dict[str, Any]) -> None:
    family = next((f for f in _PRICES if f in model), "opus")  # unknown models are priced as Opus, as the real one does
    cost = (used.input * _PRICES[family][0] + used.output * _PRICES[family][1]) / 1e6
    line: dict[str, Any] = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 40,
        "duration_api_ms": 30,
        "ttft_ms": 10,
        "num_turns": 1,
        "result": "",
        "stop_reason": "end_turn",
        "terminal_reason": "completed",
        "session_id": options.get("--session-id") or str(uuid.uuid5(uuid.NAMESPACE_URL, "rehearsal")),
        "total_cost_usd": cost,
        "usage": {
            "input_tokens": used.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": used.output,
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "service_tier": "standard",
        },
        "modelUsage": {},
        "permission_denials": [],
        "api_error_status": None,
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, "rehearsal-line")),
        **fields,
    }
    if used.input:
        line["modelUsage"] = {
            model: {
                "inputTokens": used.input,
                "outputTokens": used.output,
                "cacheReadInputTokens": 0,
                "cacheCreationInputTokens": 0,
                "webSearchRequests": 0,
                "costUSD": cost,
                "contextWindow": 200_000,
                "maxOutputTokens": 32_000,
            }
        }
    form = options.get("--output-format", "text")
    if form == "text":
        _say(str(line["result"]))
    elif form == "stream-json":
        _say(json.dumps({"type": "system", "subtype": "init", "model": model, "tools": [], "session_id": line["session_id"]}))
        _say(json.dumps(line, ensure_ascii=False))
    else:
        _say(json.dumps([line] if "--verbose" in options.flags else line, ensure_ascii=False))


def _parsed(arguments: list[str]) -> Options:
    """The real parser's rules: lists eat every word up to the next switch. An unknown switch ends with exit code 1."""
    options, place = Options(), 0
    while place < len(arguments):
        word = arguments[place]
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        place += 1
        if name in _LISTS:
            found = [value] if equals else []
            while not equals and place < len(arguments) and not arguments[place].startswith("-"):
                found.append(arguments[place])
                place += 1
            options.lists[name] = found
        elif name in _VALUES:
            if not equals and place >= len(arguments):
                _refuse(f"error: option '{name} <value>' argument missing")
            options.values[name] = value if equals else arguments[place]
            place += 0 if equals else 1
        elif name in _FLAGS:
            options.flags.add(name)
        elif word.startswith("-") and word != "-":
            _refuse(f"error: unknown option '{word}'")
        else:
            options.words.append(word)
    return options


def _prompt(options: Options) -> str:
    """Standard input to its end, and the words of the command line. @path takes a file in, unless --bare."""
    given = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "replace")
    prompt = "\n".join(part for part in (" ".join(options.words), given) if part)
    if "--bare" not in options.flags:
        for word in prompt.split():
            path = Path(word[1:])
            with contextlib.suppress(OSError, ValueError):
                if word.startswith("@") and len(word) > 1 and path.is_file():
                    prompt += f"\n{path.read_text(encoding='utf-8', errors='replace')[:20_000]}"
    return prompt


def _schema(given: str) -> dict[str, Any] | None:
    if not given:
        return None
    try:
        schema = json.loads(given)
    except ValueError:
        _refuse("Error: --json-schema is not valid JSON")
    if not isinstance(schema, dict) or schema.get("type") != "object":  # pyright: ignore[reportUnknownMemberType]
        _refuse("Error: --json-schema must have an object at its root")
    return schema  # pyright: ignore[reportUnknownVariableType]


def _read(path: str, what: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        _refuse(f"Error: {what} file not found: {path}")


def _script_path(options: Options) -> Path | None:
    named = options.get("--rehearsal-script") or os.environ.get(FAULT_VARIABLE, "")
    return Path(named) if named.endswith(".toml") else None


def _fault(options: Options, model: str, prompt: str) -> tuple[str, str, float | None]:
    """(kind, text, seconds) of the fault that strikes now; "" when none does."""
    path = _script_path(options)
    if path is None:
        return os.environ.get(FAULT_VARIABLE, ""), "", None
    from understudy.errors import ConfigError
    from understudy.rehearsal.script import load_script

    try:
        script = load_script(path)
    except ConfigError as error:
        _refuse(f"Error: {error}")
    scripted = script.model(model)
    with open(f"{path}.state", "a+", encoding="utf-8") as state:
        fcntl.flock(state, fcntl.LOCK_EX)  # several calls may run at once
        state.seek(0)
        counts: dict[str, list[int]] = json.loads(state.read() or "{}")
        struck = None
        for place, fault in enumerate(scripted.faults if scripted else ()):
            if struck or fault.matching.lower() not in prompt.lower():
                continue
            seen = counts.setdefault(f"{model}/{place}", [0, 0])
            struck = fault if fault.strikes(*seen) else None
            seen[0] += 1
            seen[1] += struck is not None
        state.truncate(0)
        state.write(json.dumps(counts))
    if scripted and scripted.latency:
        time.sleep(scripted.latency)
    return (struck.kind, struck.text, struck.seconds) if struck else ("", "", None)


def _record(options: Options, given: list[str], prompt: str, system: str) -> None:
    if path := options.get("--rehearsal-record"):
        line = {"arguments": given, "prompt": prompt, "system": system, "environment": sorted(os.environ)}
        with open(path, "a", encoding="utf-8") as record:
            record.write(json.dumps(line) + "\n")


def _say(line: str) -> int:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return 0


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(message + "\n")
    raise SystemExit(1)


def _leave(code: int) -> NoReturn:
    os._exit(code)  # at once, wherever it hangs


if __name__ == "__main__":
    raise SystemExit(main())
