"""`nanobot init`: understudy in nanobot's config.json, shown first, the old file kept beside the new one."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from understudy.cli.terminal import harmless, hint, is_terminal, say
from understudy.config.plain import TooLarge, read_plain
from understudy.errors import ConfigError, UsageError
from understudy.gateway.nanobot.settings import KEY, Mcp, Table, merged
from understudy.telemetry.redact import is_private_name, masked

LARGEST = 4_000_000  # bytes
HIDDEN = "********"
_REFERENCE = re.compile(r"\$\{\w+\}")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
# What stands below these is sent along or started with, and may be a key under any name.
_INNER = frozenset(
    {"env", "args", "headers", "extraHeaders", "extra_headers", "extraBody", "extra_body", "extraQuery", "extra_query"}
)
_HARMLESS = frozenset({"main", "dream", "private", "mcp", "-m", "understudy"})
_PLACES = frozenset({"UNDERSTUDY_CONFIG", "UNDERSTUDY_HOME"})


@dataclass(frozen=True, slots=True)
class Found:
    """A config.json as it is: b"" and no status where there is none yet."""

    path: Path
    content: bytes
    table: Table
    status: os.stat_result | None

    def written(self, table: Table) -> str:
        """As nanobot writes it, with the indentation and the escapes of what was there."""
        text = self.content.decode()
        found = re.search(r"\{\r?\n([ \t]+)", text)
        indent: str | int = found.group(1) if found else 2
        try:
            told = json.dumps(table, indent=indent, ensure_ascii=bool(text) and text.isascii())
            told.encode()
        except UnicodeEncodeError:  # half a character, which only an escape can write
            told = json.dumps(table, indent=indent)
        told += "\n" if not text or text.endswith("\n") else ""
        return told.replace("\n", "\r\n") if "\r\n" in text else told


def init(path: str | None, *, api_base: str, mcp: bool, yes: bool, as_json: bool, config: str | None) -> int:
    """Show what changes, ask, keep the old file, write. path: nanobot's; config: understudy's own, for mcp.

    The exit code is 2 when something is to be written and nobody could be asked. Raises ConfigError and UsageError.
    """
    place = _place(path)
    base = _checked(api_base)
    found = read(place)
    wanted = merged(found.table, api_base=base, mcp=_server(config) if mcp else None)
    changed = wanted != found.table
    diff = difference(found, wanted) if changed else ""
    if not changed:
        return _tell(as_json, place, f"{place} has understudy in it already: nothing to do.")
    if not as_json:
        say(diff, end="")
        if found.table and _fallbacks(found.table) and not _fallbacks(wanted):
            hint("The fallback models go: they would be sent private texts when understudy refuses or is down.")
    if not yes:
        if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)) or as_json:
            _tell(as_json, place, "", changed=True, diff=diff)
            hint(f"Nothing is written yet. --yes writes {place}.")
            return UsageError.exit_code
        if not _agreed(place):
            say("Nothing is written.")
            return 0
    backup = write(found, found.written(wanted))
    kept = f" The old one is {backup}." if backup else ""
    _tell(as_json, place, f"Wrote {place}.{kept}", changed=True, diff=diff, written=True, backup=backup)
    if not as_json:
        say(f"nanobot wants the key in its environment: export {KEY.strip('${}')}=$(understudy key add nanobot)")
    return 0


def read(path: Path) -> Found:
    """Raises ConfigError for what is there and is no plain file with one JSON object that nanobot would take."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return Found(path, b"", {}, None)
    except OSError as error:
        raise _unreadable(path, error) from None
    if stat.S_ISLNK(status.st_mode):
        raise ConfigError(f"{path} is a link.", remedy="Name the file it leads to: --config PATH.")
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise ConfigError(f"{path} is {kind}.", remedy="Name nanobot's config.json: --config PATH.")
    try:
        content = read_plain(path, LARGEST)
    except TooLarge:
        raise ConfigError(f"{path} is larger than {LARGEST // 1_000_000} MB.", remedy="Name another file.") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    return Found(path, content, _parsed(path, content), status)


def write(found: Found, text: str) -> Path | None:
    """Whole or not at all, with the mode it had; returns where the old file is kept. Raises ConfigError."""
    path = found.path
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if read(path).content != found.content or path.exists() != (found.status is not None):
            raise ConfigError(f"{path} has changed meanwhile.", remedy="Try again.")
        backup = _keep(found) if found.status is not None else None
        _replace(found, text.encode())
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"{path} cannot be written ({why}).", remedy="Choose another: --config PATH.") from None
    return backup


def difference(found: Found, wanted: Table) -> str:
    """A unified diff without the secrets of either side."""
    old = found.written(_shown(found.table)).splitlines(keepends=True) if found.status is not None else []
    new = found.written(_shown(wanted)).splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, str(found.path), f"{found.path} (new)")
    return harmless("".join(line if line.endswith("\n") else f"{line}\n" for line in lines))


def _place(path: str | None) -> Path:
    try:
        return Path(path).expanduser() if path else Path.home() / ".nanobot" / "config.json"
    except RuntimeError:
        raise UsageError("Nobody's home is that path.", remedy="Name nanobot's config.json: --config PATH.") from None


def _checked(api_base: str) -> str:
    try:
        parts = urlsplit(api_base)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong, parts = True, urlsplit("")
    if wrong or parts.query or parts.fragment or api_base.split() != [api_base]:
        remedy = "Give one such as http://127.0.0.1:8791/v1."
        raise UsageError("--api-base is no address of a server.", remedy=remedy)
    if parts.username or parts.password:
        raise UsageError("--api-base has a name or a password in it.", remedy=f"The key is {KEY}.")
    return api_base.rstrip("/")


def _server(config: str | None) -> Mcp:
    """This understudy; what its keys and places need of the environment goes along, keys by reference.

    By its whole path: what starts nanobot may look for programs elsewhere. Raises ConfigError.
    """
    from understudy.config.load import load

    beside = Path(sys.executable).with_name("understudy")
    program = str(beside) if beside.exists() else shutil.which("understudy")
    settings, _ = load(config)
    sources = [key for p in settings.providers.values() for account in p.accounts for key in account.keys]
    usual = ("GROQ_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY") if not settings.providers else ()
    names = [*(str(key).removeprefix("env:") for key in sources if str(key).startswith("env:")), *usual]
    environ = {name: f"${{{name}}}" for name in names if os.environ.get(name)}
    if config or os.environ.get("UNDERSTUDY_CONFIG"):
        environ["UNDERSTUDY_CONFIG"] = str(Path(config or os.environ["UNDERSTUDY_CONFIG"]).expanduser().absolute())
    if home := os.environ.get("UNDERSTUDY_HOME"):
        environ["UNDERSTUDY_HOME"] = str(Path(home).expanduser().absolute())
    if program is None:
        return Mcp(sys.executable, ("-m", "understudy", "mcp"), tuple(environ.items()))
    return Mcp(program, environ=tuple(environ.items()))


def _parsed(path: Path, content: bytes) -> Table:
    def unique(pairs: list[tuple[str, Any]]) -> Table:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return table

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    try:
        table = json.loads(content.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{path} is not JSON: {where}.", remedy="Mend that place.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start:,}).", remedy="Save it as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise ConfigError(f"{path} is not JSON that can be kept as it is: {why}.", remedy="Mend it.") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} holds no object.", remedy="nanobot's configuration is one object: { ... }.")
    return cast(Table, table)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    why = os.strerror(error.errno) if error.errno else "it is no plain file"
    return ConfigError(f"{path} cannot be read ({why}).", remedy="Check its permissions, or name another file.")


def _keep(found: Found) -> Path:
    """A copy only its owner may read: the file holds keys."""
    for number in range(1000):
        backup = found.path.with_name(f"{found.path.name}.bak{f'.{number}' if number else ''}")
        with suppress(FileExistsError):
            handle = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(found.content)
                os.fsync(handle)
            return backup
    raise ConfigError(f"There are 1,000 backups of {found.path}.", remedy="Remove some.")


def _replace(found: Found, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=found.path.parent, prefix=f".{found.path.name}-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if found.status is not None:
                with suppress(PermissionError):  # only root gives a file away
                    os.fchown(handle, found.status.st_uid, found.status.st_gid)
                os.fchmod(handle, stat.S_IMODE(found.status.st_mode))
            os.fsync(handle)
        os.replace(name, found.path)
    except BaseException:
        os.unlink(name)
        raise


def _agreed(path: Path) -> bool:
    try:
        return input(f"Write {path}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        say()
        return False


def _fallbacks(table: Table) -> bool:
    defaults = table.get("agents", {}).get("defaults", {})
    return any(defaults.get(name) for name in ("fallbackModels", "fallback_models"))


def _shown(value: Any, name: str = "", *, inner: bool = False) -> Any:
    """A copy whose secrets are hidden: what has a key's name or form, and whatever goes along with requests."""
    inner = inner or name in _INNER
    if isinstance(value, dict):
        return {k: _shown(v, k, inner=inner) for k, v in cast(Table, value).items()}
    if isinstance(value, list):
        return [_shown(one, name, inner=inner) for one in cast("list[Any]", value)]
    if not isinstance(value, str) or not value or value in _HARMLESS or _REFERENCE.fullmatch(value):
        return value
    if name not in _PLACES and (inner or is_private_name(name)):
        return HIDDEN
    return _CREDENTIALS.sub(HIDDEN, masked(value))


def _tell(
    as_json: bool,
    path: Path,
    words: str,
    *,
    changed: bool = False,
    written: bool = False,
    backup: Path | None = None,
    diff: str = "",
) -> int:
    if as_json:
        kept = str(backup) if backup else None
        told = {"path": str(path), "changed": changed, "written": written, "backup": kept, "diff": diff}
        say(json.dumps(told))
    elif words:
        say(words)
    return 0
