"""What an id may look like: it is shown in terminals, typed by people and matched as a prefix."""

from __future__ import annotations

import re

from understudy.errors import UsageError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}")


def check_id(value: str, what: str) -> str:
    """The id itself, or UsageError."""
    if not isinstance(value, str) or not _ID.fullmatch(value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"That is not the id of a {what}.",
            remedy="An id has 1 to 128 letters, digits or _ . : @ + - and begins with a letter or digit.",
        )
    return value
