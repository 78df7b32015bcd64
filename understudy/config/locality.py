"""What "local" means: in this process, or at a loopback or allow-listed address; never a -cloud model."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from understudy.config.settings import Provider

_CLOUD = re.compile(r"[-:]cloud(?=$|[\s:@/])")  # a digest, a tag or a blank behind it changes nothing


def is_local_host(host: str, allowed: tuple[str, ...] = ()) -> bool:
    """Loopback, or in `allowed` (host names or CIDR ranges). Names are compared, never resolved.

    Resolving would let a DNS answer decide what is private.
    """
    host = host.strip("[]").lower()
    if host.removesuffix(".") in ("localhost", *(a.lower() for a in allowed)):
        return True
    if "%" in host:  # a zone: which machine that is, the network decides
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    for entry in allowed:
        try:
            if address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def is_cloud_alias(model: str) -> bool:
    """Ollama serves models named like gpt-oss:120b-cloud from elsewhere, through the local server."""
    return _CLOUD.search(model.lower()) is not None


def is_local(provider: Provider, model: str, allowed: tuple[str, ...] = ()) -> bool:
    """Whether a private task may go to this model of this provider."""
    if is_cloud_alias(model):
        return False
    if provider.kind == "llama_cpp":
        return True
    if provider.kind == "rehearsal":
        return provider.plays == "local"
    if provider.kind == "openai_compatible":
        return provider.local is not False and is_local_host(urlsplit(provider.base_url or "").hostname or "", allowed)
    return False


def explain_refusal(provider: Provider, allowed: tuple[str, ...] = ()) -> str:
    """Why this provider table cannot stand as it is, or the empty string."""
    if provider.kind == "openai_compatible":
        if not provider.base_url:
            return "openai_compatible needs a base_url such as http://127.0.0.1:11434/v1"
        host = urlsplit(provider.base_url).hostname or ""
        if provider.local and not is_local_host(host, allowed):
            return f"local = true, but {host} is neither loopback nor in local_hosts; list it there if it is yours"
    elif provider.local is not None and provider.local != (provider.kind in ("llama_cpp", "rehearsal")):
        return f"local cannot be changed for kind {provider.kind}"
    if provider.kind == "llama_cpp":
        for model in provider.models:
            if model.path is None:
                return f"model {model.id} needs a path to its GGUF file"
    return ""
