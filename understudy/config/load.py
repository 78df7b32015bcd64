"""Find the configuration, read it, and say clearly what is wrong with it."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from understudy.config import quota
from understudy.config import settings as shape
from understudy.config.pasted import shown
from understudy.config.places import config_path
from understudy.config.plain import read_plain
from understudy.errors import ConfigError

LARGEST = 1_000_000  # bytes of a configuration


def load(chosen: str | Path | None = None) -> tuple[shape.Settings, Path | None]:
    """The settings and the file they came from; no file: the defaults and None. Raises ConfigError."""
    path = config_path(chosen)
    text = _read(path)
    if text is None:
        if chosen or os.environ.get("UNDERSTUDY_CONFIG"):
            raise ConfigError(f"There is no configuration at {path}.", remedy="understudy init writes one.")
        return parse({}, "the environment"), None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {_masked(str(error))}.", remedy="Mend that line.") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets in brackets without end
        what = "nested too deeply" if isinstance(error, RecursionError) else "a number in it is too long"
        raise ConfigError(f"{path} cannot be read ({what}).", remedy="Mend it.") from None
    return parse(_placed(table, path), str(path)), path


def _placed(table: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """A policy of one's own lies where the configuration says, seen from there."""
    placed = dict(table)
    shadow = table.get("shadow")
    if isinstance(shadow, dict):
        placed["shadow"] = _placed(cast("dict[str, Any]", shadow), path)
    policy = table.get("policy")
    if isinstance(policy, str) and ("/" in policy or policy.endswith((".py", ".toml"))):
        placed["policy"] = str(path.parent / Path(policy).expanduser())
    return placed


def _read(path: Path) -> str | None:
    """The text of the file; None: there is none. Raises ConfigError."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # no permission on the way there, a name that is too long
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no path"
        raise ConfigError(f"The configuration {shown(path)} cannot be read ({why}).", remedy="Name another.") from None
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for without end
        raise ConfigError(f"{path} is not a file.", remedy="Name a TOML file.")
    try:
        return read_plain(path, LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.args[0] if isinstance(error, OSError) and error.errno is None else type(error).__name__
        raise ConfigError(f"{path} cannot be read ({why}).", remedy="Check the file.") from None


def parse(table: Mapping[str, Any], where: str) -> shape.Settings:
    """Settings from a table. Raises ConfigError naming the key, the nearest known one, and the remedy."""
    _check_variables()
    try:
        return shape.Settings(**table)
    except ValidationError as error:
        slips = error.errors(include_input=False, include_url=False)
        source = "the environment" if all(_variable(slip["loc"]) for slip in slips) else where
        raise ConfigError(
            f"{source}: " + "; ".join(_explain(slip) for slip in slips),
            remedy="understudy init prints a commented example.",
        ) from None
    except SettingsError as error:  # a variable that should hold JSON; its message names the field, never the value
        field = re.search(r'field "([^"]+)"', str(error))
        name = f"UNDERSTUDY_{field.group(1).upper()}" if field else "an UNDERSTUDY_ variable"
        raise ConfigError(f"{name} cannot be read.", remedy="Lists and tables are written as JSON there.") from None
    except RecursionError:
        raise ConfigError(f"{where}, or an UNDERSTUDY_ variable, is nested too deeply.", remedy="Mend it.") from None


def _check_variables() -> None:
    """A variable that is nearly one of ours is a slip, and would be passed over in silence. Raises ConfigError."""
    known = {f"UNDERSTUDY_{name}".upper() for name in (*shape.Settings.model_fields, "home", "config")}
    for variable in os.environ:
        name = variable.upper().partition("__")[0]
        if not name.startswith("UNDERSTUDY_") or name in known:
            continue
        if near := difflib.get_close_matches(name, known, n=1, cutoff=0.85):
            raise ConfigError(f"The variable {variable} is not known, did you mean {near[0]}?", remedy="Rename it.")


def _explain(error: Any) -> str:
    place = _variable(error["loc"]) or ".".join(shown(p) for p in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f", did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(known))}"
        return f"unknown key {place}{hint}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"


def _variable(loc: tuple[Any, ...]) -> str:
    """The variable that set this key (a list is set as a whole), or the empty string."""
    keys = [str(p) for p in takewhile(lambda p: not isinstance(p, int), loc)]
    name = f"UNDERSTUDY_{'__'.join(keys)}".upper()
    return name if name in {variable.upper() for variable in os.environ} else ""


def _known_keys(parents: tuple[Any, ...]) -> list[str]:
    """The keys of the table at this place of the shape."""
    by_parent: dict[str, type[BaseModel]] = {
        "director": shape.DirectorSettings,
        "classifier": shape.ClassifierSettings,
        "money": shape.MoneySettings,
        "keys": shape.KeySettings,
        "providers": shape.Provider,
        "accounts": shape.Account,
        "models": shape.Model,
        "limits": quota.LimitTable,
        "windows": quota.WindowTable,
        "ratings": quota.Ratings,
    }
    names = [p for p in parents if isinstance(p, str) and p in by_parent]
    return list((by_parent[names[-1]] if names else shape.Settings).model_fields)


def _masked(message: str) -> str:
    """tomllib's messages carry positions, and the names of keys that stand there twice: keep the first line."""
    return shown(message.splitlines()[0])
