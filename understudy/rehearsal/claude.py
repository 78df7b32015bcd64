# ruff: noqa: E501  the texts are the CLI's own, one a line
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from understudy.rehearsal.claude_line import Options, parsed, refuse, split
from understudy.rehearsal.engine import Ask, Said, answer
from understudy.tokens import estimate

VERSION = "2.1.328"
FAULT_VARIABLE = "UNDERSTUDY_REHEARSAL_CLAUDE"
_PRICES = {"opus": (4.0, 20.0), "sonnet": (2.0, 10.0), "haiku": (0.1, 0.5)}  # USD per million tokens, as 2.1.328 counts
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
    "not_logged_in": (None, "Not logged in · Please run /login"),
    "bad_request": (400, "API Error: 400 invalid_request_error"),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """The exit code, after one JSON line on standard output."""
    given, own = split(sys.argv[1:] if arguments is None else arguments)
    if "--version" in given or "-v" in given:
        return _say(f"{VERSION} (Claude Code)")
    if "--help" in given or "-h" in given:
        return _say("Usage: claude [options] [command] [prompt]\n\nA simulated claude, for rehearsals.")
    if given[:2] == ["auth", "status"]:
        logged_in = os.environ.get(FAULT_VARIABLE) != "not_logged_in"
        return _say(json.dumps({"loggedIn": logged_in, "authMethod": "simulated", "subscriptionType": "rehearsal"}))
    options = parsed([*own, *given])
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _leave(143))
    signal.signal(signal.SIGINT, lambda _signal, _frame: _leave(0))
    if not options.flags & {"-p", "--print"}:
        refuse("Error: the simulated claude answers with -p only.")
    system = options.get("--system-prompt") + _read(options.get("--system-prompt-file"), "System prompt")
    system += options.get("--append-system-prompt")
    system += _read(options.get("--append-system-prompt-file"), "Append system prompt")
    schema = _schema(options.get("--json-schema"))
    asked = _Asked(options, options.get("--model", "opus"), _prompt(options), system, schema)
    _record(asked, given)
    if not asked.prompt.strip():
        refuse("Error: Input must be provided either through stdin or as a prompt argument when using --print")
    if asked.prompt.startswith("/"):
        return _result(asked, Said(f"Unknown slash command: {asked.prompt[1:].split(' ', maxsplit=1)[0]}"), turns=0)
    return _run(asked, _fault(asked))


@dataclass(frozen=True)
class _Asked:
    options: Options
    model: str
    prompt: str
    system: str
    schema: dict[str, Any] | None


@dataclass(frozen=True)
class _Struck:
    """What goes wrong in this call; kind "": nothing."""

    kind: str = ""
    text: str = ""
    seconds: float | None = None
    retry_after: float | None = None


def _run(asked: _Asked, fault: _Struck) -> int:
    """The exit code."""
    if fault.kind == "leaves_child":
        # It inherits standard output, so whoever reads to the end waits for it.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    elif fault.kind in ("hang", "silence", "stall", "ignores_sigterm"):
        if fault.kind == "ignores_sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600 if fault.seconds is None else fault.seconds)
    elif fault.kind == "malformed":
        return _say('{"type":"result","subtype":"success","is_err')
    elif fault.kind == "error_exit_0":
        _failed(asked, *_STATUS["overload"])
        return 0
    elif fault.kind in _STATUS:
        status, told = _STATUS[fault.kind]
        return _failed(asked, status, fault.text or told, retry_after=fault.retry_after)
    return _answered(asked, fault)


def _answered(asked: _Asked, fault: _Struck) -> int:
    replaced = {
        "empty": Said(""),
        "refusal": Said("", finish="refusal"),
        "error_text": Said(fault.text or "API Error: 502 Bad Gateway"),
    }
    said = replaced[fault.kind] if fault.kind in replaced else _said(asked)
    cap = int(os.environ.get("CLAUDE_CODE_MAX_OUTPUT_TOKENS") or 32_000)
    if fault.kind == "truncated":
        cap = min(cap, max(1, estimate(said.text) // 2))
    cut = said.capped(cap)
    if cut.finish == "length" and "--max-budget-usd" not in asked.options.values:
        # It asks three times more for the rest, and then gives up; a money budget stops it before.
        told = f"API Error: Claude's response exceeded the {cap} output token maximum. To configure this behavior, set the CLAUDE_CODE_MAX_OUTPUT_TOKENS environment variable."
        return _failed(asked, None, told, used=_usage(asked, cap, calls=4))
    structured = None
    if asked.schema and cut.text and cut.finish == "stop" and fault.kind not in ("no_structured_output", *replaced):
        structured = json.loads(cut.text)
    return _result(asked, cut, structured)


def _said(asked: _Asked) -> Said:
    if path := _script_path(asked.options):
        from understudy.rehearsal.script import load_script

        script = load_script(path)
        scripted = script.model(asked.model)
        for reply in (*(scripted.replies if scripted else ()), *script.replies):
            if (text := reply.match(asked.prompt)) is not None:
                return Said(text)
    return answer(Ask(model=asked.model, user=asked.prompt, system=asked.system, schema=asked.schema))


def _result(asked: _Asked, said: Said, structured: Any = None, *, turns: int = 1) -> int:
    used = _usage(asked, estimate(said.text)) if turns else _Used(0, 0)
    stop = {"stop": "end_turn", "length": "max_tokens"}.get(said.finish, said.finish)
    if turns:
        tool = {"type": "tool_use", "id": "toolu_rehearsal", "name": "StructuredOutput", "input": structured}
        _stream(asked, tool if structured is not None else {"type": "text", "text": said.text})
    budget = asked.options.get("--max-budget-usd")
    if budget and turns and _cost(asked, used) >= float(budget):
        # Looked at after the answer, which only the events before this line have told.
        errors = [f"Reached maximum budget (${budget})"]
        fields = {"subtype": "error_max_budget_usd", "is_error": True, "stop_reason": stop, "errors": errors}
        _print(asked, used, {**fields, "terminal_reason": "max_budget"})
        return 1
    extra = {"structured_output": structured} if structured is not None else {}
    _print(asked, used, {"result": said.text, "stop_reason": stop, "num_turns": turns, **extra})
    return 0


def _failed(
    asked: _Asked, status: int | None, told: str, *, used: _Used | None = None, retry_after: float | None = None
) -> int:
    if retry_after is not None and status == 429:
        info = {"status": "rejected", "rateLimitType": "five_hour", "resetsAt": int(time.time() + retry_after)}
        _event(asked, {"type": "rate_limit_event", "rate_limit_info": info})
    _stream(asked, {"type": "text", "text": told}, api_error=True)
    reason = "prompt_too_long" if told == "Prompt is too long" else "api_error"
    fields = {"is_error": True, "result": told, "stop_reason": "stop_sequence", "api_error_status": status}
    _print(asked, used or _Used(0, 0), {**fields, "terminal_reason": reason})
    return 1


def _stream(asked: _Asked, block: dict[str, Any], *, api_error: bool = False) -> None:
    """The events of one message, which only stream-json shows."""
    _event(asked, {"type": "system", "subtype": "init", "model": asked.model, "tools": []})
    if "--include-partial-messages" in asked.options.flags and not api_error:
        delta: dict[str, Any] = {"type": "text_delta", "text": block.get("text")}
        if block["type"] == "tool_use":
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        _event(asked, {"type": "stream_event", "event": {"type": "content_block_delta", "index": 0, "delta": delta}})
    message = {"role": "assistant", "model": "<synthetic>" if api_error else asked.model, "content": [block]}
    error = {"is_api_error_message": True} if api_error else {}
    _event(asked, {"type": "assistant", "message": message, "parent_tool_use_id": None, **error})


def _event(asked: _Asked, event: dict[str, Any]) -> None:
    if asked.options.get("--output-format") == "stream-json":
        _say(json.dumps({**event, "session_id": _session(asked)}, ensure_ascii=False))


def _session(asked: _Asked) -> str:
    return asked.options.get("--session-id") or str(uuid.uuid5(uuid.NAMESPACE_URL, "rehearsal"))


@dataclass(frozen=True)
class _Used:
    input: int
    output: int


def _usage(asked: _Asked, output: int, calls: int = 1) -> _Used:
    """What the real one sends besides the prompt, in tokens, depends on its switches (measured on 2.1.328)."""
    options = asked.options
    if "--system-prompt" not in options.values and "--system-prompt-file" not in options.values:
        own = 2_200 if options.lists.get("--tools") == [""] else 12_300
    elif options.lists.get("--tools") != [""]:
        own = 3_500
    else:
        own = 20 if "--bare" in options.flags else 400
    if asked.schema:
        own += 40 + estimate(json.dumps(asked.schema))
    return _Used((own + estimate(asked.prompt) + estimate(asked.system)) * calls, output * calls)


def _cost(asked: _Asked, used: _Used) -> float:
    """USD. Unknown models are priced as Opus, as the real one does."""
    prices = _PRICES[next((f for f in _PRICES if f in asked.model), "opus")]
    return (used.input * prices[0] + used.output * prices[1]) / 1e6


def _print(asked: _Asked, used: _Used, fields: dict[str, Any]) -> None:
    options, model, cost = asked.options, asked.model, _cost(asked, used)
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
        "session_id": _session(asked),
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
    if "errors" in fields:
        del line["result"]
    form = options.get("--output-format", "text")
    if form == "text":
        _say(str(line.get("result", "")))
    else:
        listed = form == "json" and "--verbose" in options.flags
        _say(json.dumps([line] if listed else line, ensure_ascii=False))


def _prompt(options: Options) -> str:
    """Standard input to its end, and the words of the command line. @path takes a file in, unless switched off."""
    given = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "replace")
    prompt = "\n".join(part for part in (" ".join(options.words), given) if part)
    if "--bare" not in options.flags and not os.environ.get("CLAUDE_CODE_DISABLE_FILE_MENTIONS"):
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
        refuse("Error: --json-schema is not valid JSON")
    if not isinstance(schema, dict) or schema.get("type") != "object":  # pyright: ignore[reportUnknownMemberType]
        refuse("Error: --json-schema must have an object at its root")
    return schema  # pyright: ignore[reportUnknownVariableType]


def _read(path: str, what: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        refuse(f"Error: {what} file not found: {path}")


def _script_path(options: Options) -> Path | None:
    named = options.get("--rehearsal-script") or os.environ.get(FAULT_VARIABLE, "")
    return Path(named) if named.endswith(".toml") else None


def _fault(asked: _Asked) -> _Struck:
    """The fault that strikes now."""
    path = _script_path(asked.options)
    if path is None:
        return _Struck(os.environ.get(FAULT_VARIABLE, ""))
    from understudy.errors import ConfigError
    from understudy.rehearsal.script import load_script

    try:
        script = load_script(path)
    except ConfigError as error:
        refuse(f"Error: {error}")
    scripted = script.model(asked.model)
    with open(f"{path}.state", "a+", encoding="utf-8") as state:
        fcntl.flock(state, fcntl.LOCK_EX)  # several calls may run at once
        state.seek(0)
        counts: dict[str, list[int]] = json.loads(state.read() or "{}")
        struck = None
        for place, fault in enumerate(scripted.faults if scripted else ()):
            if struck or fault.matching.lower() not in asked.prompt.lower():
                continue
            seen = counts.setdefault(f"{asked.model}/{place}", [0, 0])
            struck = fault if fault.strikes(*seen) else None
            seen[0] += 1
            seen[1] += struck is not None
        state.truncate(0)
        state.write(json.dumps(counts))
    if scripted and scripted.latency:
        time.sleep(scripted.latency)
    return _Struck(struck.kind, struck.text, struck.seconds, struck.retry_after) if struck else _Struck()


def _record(asked: _Asked, given: list[str]) -> None:
    if path := asked.options.get("--rehearsal-record"):
        told = {"prompt": asked.prompt, "system": asked.system, "environment": sorted(os.environ)}
        line = {"arguments": given, **told}
        with open(path, "a", encoding="utf-8") as record:
            record.write(json.dumps(line) + "\n")


def _say(line: str) -> int:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return 0


def _leave(code: int) -> NoReturn:
    os._exit(code)  # at once, wherever it hangs


if __name__ == "__main__":
    raise SystemExit(main())
