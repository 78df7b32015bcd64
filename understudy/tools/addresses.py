"""Which hosts a fetch may reach: names are judged by their form, addresses by the tables of IANA.

A name is never trusted for what it says; the address it resolves to is what counts (see pinned.py).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, quote, urlsplit

from understudy.errors import ToolFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 8192  # characters; longer ones are refused by most servers (nginx: 8 KiB a line)

# IANA IPv4 Special-Purpose Address Registry (and multicast, class E), and the one public-looking address that is a
# cloud's own: Azure's wire server. 169.254.169.254 and 100.100.100.200, the metadata services, are inside the ranges.
_FORBIDDEN_V4 = tuple(
    ipaddress.IPv4Network(n)
    for n in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
    )
)
# Only global unicast is reachable at all; of it, not the protocol assignments (Teredo is in them), documentation, 6to4.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    ipaddress.IPv6Network(n) for n in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa", ".onion")
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet. IPv4 inside IPv6 (mapped, NAT64) is judged as IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _GLOBAL_V6 and not any(address in n for n in _FORBIDDEN_V6)
    return not any(address in n for n in _FORBIDDEN_V4)


def parse_address(text: str) -> Address | None:
    """The address that `text` spells in canonical form, else None. A zone (fe80::1%eth0) is no canonical form."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def check_url(url: str) -> tuple[SplitResult, str]:
    """The URL in ASCII and its host. Raises ToolFailed unless it is plain http(s) to a public-looking host."""
    if len(url) > MAX_URL:
        raise _refused(f"The URL is {len(url):,} characters long; {MAX_URL:,} is the limit", "Ask for a shorter one.")
    if any(c <= " " or c in '\\\x7f"<>^`{|}' for c in url.strip()):
        raise _refused("The URL holds a space, a control character or a mark no URL has", "Percent-encode it.")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        name = parts.hostname or ""
    except ValueError:
        raise _refused("That is not a URL", "Give it as https://host/path.") from None
    if port == 0:  # an HTTP client takes it for none given
        raise _refused("There is no port 0", "Leave the port out.")
    if parts.scheme not in ("http", "https"):
        raise _refused(f"The scheme {parts.scheme[:20] or '(none)'} is not fetched", "Only http and https URLs are.")
    if "@" in parts.netloc:
        raise _refused("The URL holds a user name or password", "Give the URL without it.")
    host = _host(name, bracketed=parts.netloc.startswith("["))
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    return SplitResult(parts.scheme, netloc, path, query, ""), host


def _host(name: str, *, bracketed: bool) -> str:
    """One spelling of the host: lower-case ASCII without a final dot, or a canonical address."""
    if not name:
        raise _refused("The URL names no host", "Give it as https://host/path.")
    if bracketed:
        address = parse_address(name)
        if address is None:
            raise _refused("The host is no IPv6 address", "Give the host by its name.")
        return str(address)
    if "%" in name:
        raise _refused("The host is percent-encoded", "Give the host by its name.")
    if not name.isascii():
        name = _ascii(name)
    name = name.removesuffix(".").lower()
    labels = name.split(".")
    if _NUMERIC.match(labels[-1]):
        # 2130706433, 0x7f.1, 0177.0.0.1, 127.1: browsers read them all as addresses, so they are none or canonical.
        address = parse_address(name)
        if address is None:
            raise _refused(f"The host {name[:60]} is an address in disguise", "Give the host by its name.")
        return str(address)
    if len(name) > 253 or not all(_LABEL.match(label) for label in labels):
        raise _refused("The host is no host name", "Check its spelling.")
    if len(labels) == 1 or name.endswith(_LOCAL_SUFFIXES):
        raise _refused(f"The host {name[:60]} is a name inside a private network", "Only public hosts are fetched.")
    return name


def _ascii(name: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _refused("The host is no host name", "Check its spelling.") from None


def _refused(what: str, remedy: str) -> ToolFailed:
    return ToolFailed(f"{what}.", remedy=remedy)
