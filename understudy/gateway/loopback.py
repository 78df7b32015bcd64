"""Whether a request without a key is from a program on this machine, and not from a page that a browser shows on it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

HERE = frozenset({"127.0.0.1", "::1"})
NAMES = HERE | {"localhost"}


def is_here(client: str, headers: Mapping[str, str]) -> bool:
    """A page can send from here too, to a name that leads here. So the address, the name and the page must be ours."""
    host = headers.get("host", "")
    if client not in HERE or _name("//" + host) not in NAMES:
        return False
    page = headers.get("origin")
    return page is None or page == f"http://{host}"


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
