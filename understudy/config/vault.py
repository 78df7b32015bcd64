"""vault:PATH#FIELD: a key out of HashiCorp Vault's key-value engine, version 2 or 1, by the usual VAULT_ variables.

hvac is imported when the first such key is read. Every read has one limit for all of it, and every error names the
source and a remedy; what Vault said in words is never repeated.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from understudy.config.locality import is_local_host
from understudy.config.plain import read_plain
from understudy.errors import ConfigError, install

if TYPE_CHECKING:
    from understudy.config.vault_wire import Wire

INSTALL = install("secrets")
SECONDS = 5.0  # for one key, everything included
CONNECT_SECONDS = 2.0
LARGEST_TOKEN = 64 * 1024  # bytes of ~/.vault-token
# hvac's exception for a status -> what it means, and what to do.
_REFUSALS = {
    "InvalidRequest": ("takes the request for invalid", "Check the path and VAULT_NAMESPACE."),  # 400
    "Unauthorized": ("does not accept the token", "Log in: vault login"),  # 401
    "RateLimitExceeded": ("is asked too often", "Wait a minute."),  # 429
    "InternalServerError": ("failed", "Look into Vault's own log."),  # 500
    "VaultNotInitialized": ("is not initialized", "Initialize it: vault operator init"),  # 501
    "VaultDown": ("is sealed or down", "Unseal it: vault operator unseal"),  # 503
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in Vault a key is: the mount is the first part of the path."""

    mount: str
    path: str
    field: str

    @classmethod
    def parse(cls, name: str) -> Place:
        """Of PATH#FIELD. Raises ValueError, which does not repeat it: it may be a key in the wrong place."""
        path, _, field = name.partition("#")
        mount, _, rest = path.strip("/").partition("/")
        if not mount or not rest or not field or ".." in rest.split("/") or not name.isprintable():
            raise ValueError("write vault:MOUNT/PATH#FIELD, such as vault:secret/llm/groq#key")
        return cls(mount, rest, field)


@dataclass(frozen=True, slots=True)
class Door:
    """How Vault is reached."""

    address: str
    token: str = field(repr=False)
    namespace: str | None = None


def door(source: str) -> Door:
    """From the environment and ~/.vault-token, without any request. Raises ConfigError."""
    if importlib.util.find_spec("hvac") is None:
        raise ConfigError(f"{source} needs hvac, which is not installed.", remedy=f"Install it: {INSTALL}")
    address = os.environ.get("VAULT_ADDR", "").strip()
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise ConfigError(
            f"{source} needs the address of Vault.", remedy="Set it: export VAULT_ADDR=https://vault.example:8200"
        )
    token = os.environ.get("VAULT_TOKEN", "").strip() or _token_file(source)
    if not token.isascii() or not token.isprintable():
        raise ConfigError(f"{source}: Vault's token holds characters no token has.", remedy="Log in: vault login")
    return Door(address, token, os.environ.get("VAULT_NAMESPACE", "").strip() or None)


def read_vault(source: str) -> tuple[str, float | None]:
    """The field's text, and since when Vault has had this version of it (version 1 does not say). Raises ConfigError.

    Blocks for SECONDS at the most: a thread of its own does the waiting, since a server that sends a byte now and then
    outlives any limit on a single read. Then its connection is cut, which ends it, too.
    """
    place, entry = Place.parse(source.partition(":")[2]), door(source)
    wire = _wire()
    outcome: list[tuple[str, float | None] | ConfigError] = []

    def read() -> None:
        try:
            outcome.append(_read(source, place, entry, wire))
        except ConfigError as error:
            outcome.append(error)
        except Exception as error:  # noqa: BLE001  requests and hvac raise what they like; their texts stay here
            outcome.append(_unreachable(source, type(error).__name__))

    reading = threading.Thread(target=read, name="understudy-vault", daemon=True)
    reading.start()
    reading.join(SECONDS)
    if not outcome:
        wire.cut()
        raise _unreachable(source, f"silent for {SECONDS:g} s")
    if isinstance(outcome[0], ConfigError):
        raise outcome[0]
    return outcome[0]


def _wire() -> Wire:
    from understudy.config.vault_wire import Wire

    return Wire()


def _read(source: str, place: Place, entry: Door, wire: Wire) -> tuple[str, float | None]:
    client = _client(entry, wire)
    try:
        found, created = _secret(source, place, client)
    finally:
        client.session.close()
    value = found.get(place.field)
    if not isinstance(value, str):
        what = "no such field" if value is None else "no text in that field"
        raise ConfigError(f"There is a secret for {source}, but {what}.", remedy="Check what stands after the #.")
    return value, created


def _secret(source: str, place: Place, client: Any) -> tuple[Mapping[str, Any], float | None]:
    """Version 2 first; a mount of version 1 answers 404 there, or 403 where the policy knows its own paths only."""
    errors: Any = import_module("hvac.exceptions")
    engine, forbidden = client.secrets.kv, False
    try:
        table = _table(
            engine.v2.read_secret_version(place.path, mount_point=place.mount, raise_on_deleted_version=True)
        )
        return _table(table.get("data")), _moment(_table(table.get("metadata")).get("created_time"))
    except errors.Forbidden:
        forbidden = True
    except errors.InvalidPath as missing:
        if "metadata" in _table(missing.json, strict=False):
            raise ConfigError(f"The newest version of {source} is deleted.", remedy=_write(place)) from None
    except errors.VaultError as error:
        raise _refused(source, error) from None
    try:
        return _table(engine.v1.read_secret(place.path, mount_point=place.mount)), None
    except errors.InvalidPath:
        if not forbidden:
            raise ConfigError(f"There is no secret at {source}.", remedy=_write(place)) from None
    except errors.Forbidden:
        pass
    except errors.VaultError as error:
        raise _refused(source, error) from None
    raise ConfigError(
        f"Vault's token may not read {source}, or is no longer valid.", remedy="Log in: vault login; check its policy."
    )


def _table(reply: Any, *, strict: bool = True) -> Mapping[str, Any]:
    """What is under data in a reply of Vault; a reply of another form is no answer of Vault's."""
    if isinstance(reply, dict):
        table = cast("Mapping[str, Any]", reply)
        inner = table.get("data") if "request_id" in table or "lease_id" in table else table
        if isinstance(inner, dict):
            return cast("Mapping[str, Any]", inner)
    if strict:
        raise TypeError
    return {}


def _client(entry: Door, wire: Wire) -> Any:
    hvac: Any = import_module("hvac")
    session: Any = wire.session()
    # To this machine no proxy of the environment is used; elsewhere the user's network is the user's business.
    session.trust_env = not is_local_host(urlsplit(entry.address).hostname or "", ())
    session.verify = os.environ.get("VAULT_CACERT") or os.environ.get("VAULT_CAPATH") or True
    if certificate := os.environ.get("VAULT_CLIENT_CERT"):
        session.cert = (certificate, os.environ.get("VAULT_CLIENT_KEY"))
    return hvac.Client(
        url=entry.address,
        token=entry.token,
        namespace=entry.namespace,
        session=session,
        timeout=(CONNECT_SECONDS, SECONDS),
        allow_redirects=False,  # requests would send the token along to wherever it is redirected
    )


def _token_file(source: str) -> str:
    path = Path("~/.vault-token").expanduser()
    try:
        token = read_plain(path, LARGEST_TOKEN).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        raise ConfigError(f"{source} needs Vault's token.", remedy="Log in: vault login; or export VAULT_TOKEN=...")
    return token


def _refused(source: str, error: Any) -> ConfigError:
    told = _REFUSALS.get(type(error).__name__)
    if told is None:
        return _unreachable(source, type(error).__name__)
    return ConfigError(f"{source} cannot be read: Vault {told[0]}.", remedy=told[1])


def _unreachable(source: str, why: str) -> ConfigError:
    return ConfigError(f"{source} cannot be read: no answer of Vault's ({why}).", remedy="Check VAULT_ADDR.")


def _write(place: Place) -> str:
    return f"Write it: vault kv put {place.mount}/{place.path} {place.field}=-"


def _moment(written: Any) -> float | None:
    """2018-03-22T02:24:06.945319214Z in seconds since the epoch."""
    try:
        return datetime.fromisoformat(str(written)).timestamp()
    except (ValueError, OverflowError):
        return None
