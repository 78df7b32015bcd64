"""Where keys come from. A key is read when it is needed, and lives in no settings object, repr or argument."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from understudy.config.pasted import shown
from understudy.config.plain import read_plain
from understudy.errors import ConfigError

LARGEST = 64 * 1024  # bytes of a key, wherever it is
FORMS = "env:NAME, keyring:NAME, file:PATH or vault:PATH#FIELD"


class Secret:
    """A key that does not print. since: when it was written, where the source tells, in seconds since the epoch."""

    __slots__ = ("_value", "exposed", "since", "source")

    def __init__(self, value: str, source: str, since: float | None = None, *, exposed: bool = False) -> None:
        """exposed: other users of this machine may read the file it is in."""
        self._value = value
        self.source = source
        self.since = since
        self.exposed = exposed

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    __str__ = __repr__


def no_key(sources: Sequence[str], errors: Sequence[ConfigError]) -> ConfigError:
    """One error for an account none of whose keys can be had."""
    if len(errors) == 1:
        return ConfigError(errors[0].message, remedy=errors[0].remedy)
    remedies = dict.fromkeys(error.remedy for error in errors if error.remedy)
    return ConfigError(f"There is no key at {', '.join(sources)}.", remedy=" Or: ".join(remedies))


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return os.strerror(error.errno).lower() if error.errno else str(error.args[0])
    return type(error).__name__


def check_key(source: str) -> None:
    """Whether there is a key, as far as it can be known without a network. Raises ConfigError as read_key does."""
    if source.startswith("vault:"):
        from understudy.config.vault import door

        door(source)
    else:
        read_key(source)


def read_key(source: str) -> Secret:
    """The key behind a source of FORMS; vault: blocks, for seconds at the most.

    Raises ConfigError that names the source, never a value.
    """
    scheme, _, name = source.partition(":")
    value, since, exposed = "", None, False
    if scheme == "env":
        value = os.environ.get(name, "")
        remedy = f"Set it: export {name}=..."
    elif scheme == "file":
        remedy = f"Write the key into {shown(name)} and make it readable by you alone."
        try:
            value = read_plain(Path(name).expanduser(), LARGEST).decode("utf-8").strip()
            found = Path(name).expanduser().stat()
            since, exposed = found.st_mtime, bool(found.st_mode & (stat.S_IRGRP | stat.S_IROTH))
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~name, and nobody is called so
            why = _why(error)
            raise ConfigError(f"The key file {shown(name)} cannot be read ({why}).", remedy=remedy) from None
    elif scheme == "keyring":
        remedy = f"Store it: keyring set understudy {name}"
        try:
            import keyring

            value = keyring.get_password("understudy", name) or ""
        except Exception as error:  # noqa: BLE001  keyring back ends raise what they like
            raise ConfigError(f"The keyring cannot be read ({type(error).__name__}).", remedy=remedy) from None
    elif scheme == "vault":
        from understudy.config.vault import read_vault

        remedy = "Write it there: vault kv put"
        value, since = read_vault(source)
    else:
        raise ConfigError(f"A key must come from {FORMS}.", remedy="Move the key there.")
    if not value.strip():
        raise ConfigError(f"There is no key at {source}.", remedy=remedy)
    value = value.strip()
    if len(value) > LARGEST:
        raise ConfigError(f"What is at {source} is longer than any key ({len(value):,} characters).", remedy=remedy)
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"The key at {source} holds characters no key has.", remedy="Copy it again.")
    return Secret(value, source, since, exposed=exposed)
