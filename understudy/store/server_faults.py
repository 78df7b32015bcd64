"""What a database server does wrong, in the words of the error tree. An address is shown without its password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from understudy.errors import ConfigError, StoreError, install


def masked(url: str) -> str:
    """The address as it may be shown: no password, and no parameters, among which there may be one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(an address that cannot be read)"
    user = f"{parts.username}:***@" if parts.password and parts.username else "***@" if parts.password else ""
    if not user and parts.username:
        user = f"{parts.username}@"
    host = f"[{host}]" if ":" in host else host
    path = parts.path if re.fullmatch(r"/[\w./-]*", parts.path) else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", path, "", ""))


def away(url: str, why: str) -> StoreError:
    return StoreError(
        f"The quota book's server {masked(url)} does not answer ({why}).",
        remedy="Start it, or correct the address: url of [book] in the configuration. Without url the book is a file.",
    )


def locked_out(url: str) -> StoreError:
    return StoreError(
        f"The quota book's server {masked(url)} does not accept the user or the password.",
        remedy="Correct them in the address: url of [book], or the variable it names (env:NAME).",
    )


def outdated(url: str, found: str, wanted: str) -> StoreError:
    return StoreError(
        f"The quota book's server {masked(url)} is of version {found}; {wanted} or newer is needed.",
        remedy="Upgrade the server, or choose another: url of [book] in the configuration.",
    )


def refused(url: str, what: str) -> StoreError:
    return StoreError(
        f"The quota book's server {masked(url)} refused ({what}).",
        remedy="Its own log says why: often it is full, read-only, or the user lacks the right to write.",
    )


def missing(extra: str, url: str) -> ConfigError:
    return ConfigError(
        f"The quota book at {masked(url)} needs a package that is not installed.",
        remedy=f"Install it: {install(extra)}",
    )
