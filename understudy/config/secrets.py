"""Where keys come from. A key is read when it is needed, and lives in no settings object, repr or argument."""

from __future__ import annotations

import os
from pathlib import Path

from understudy.config.plain import read_plain
from understudy.errors import ConfigError

LARGEST = 64 * 1024  # bytes of a key file


class Secret:
    """A key that does not print."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    __str__ = __repr__


def read_key(source: str) -> Secret:
    """The key behind env:NAME, keyring:NAME or file:PATH. Raises ConfigError that names the source, never a value."""
    scheme, _, name = source.partition(":")
    value = ""
    if scheme == "env":
        value = os.environ.get(name, "")
        remedy = f"Set it: export {name}=..."
    elif scheme == "file":
        path = Path(name).expanduser()
        remedy = f"Write the key into {path} and make it readable by you alone."
        try:
            value = read_plain(path, LARGEST).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.args[0] if isinstance(error, OSError) and error.errno is None else type(error).__name__
            raise ConfigError(f"The key file {path} cannot be read ({why}).", remedy=remedy) from None
    elif scheme == "keyring":
        remedy = f"Store it: keyring set understudy {name}"
        try:
            import keyring

            value = keyring.get_password("understudy", name) or ""
        except Exception as error:  # noqa: BLE001  keyring back ends raise what they like
            raise ConfigError(f"The keyring cannot be read ({type(error).__name__}).", remedy=remedy) from None
    else:
        raise ConfigError("A key must come from env:NAME, keyring:NAME or file:PATH.", remedy="Move the key there.")
    if not value.strip():
        raise ConfigError(f"There is no key at {source}.", remedy=remedy)
    value = value.strip()
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"The key at {source} holds characters no key has.", remedy="Copy it again.")
    return Secret(value, source)
