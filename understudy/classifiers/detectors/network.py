"""IP and hardware addresses. Loopback, version numbers and documentation ranges are nobody's."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Scan
from understudy.types import Span

_V4 = re.compile(r"(?<![\w.\-])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d|-\w)", re.ASCII)
_V6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.ASCII | re.IGNORECASE)
_MAC = re.compile(r"(?<![\w:\-])[0-9a-f]{2}([:\-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:\-])", re.ASCII | re.IGNORECASE)
_VERSION_WORDS = ("version", " v", "release", "firmware", "build", "==", ">=", "<=", "~=", "^", "upgrade", "driver")
_OWNER_WORDS = (
    *("my ip", "ip is", "ip address", "her ip", "his ip", "their ip", "our ip", "client_ip", "remote_addr", "server"),
    *("login from", "logged in from", "ssh ", "@", "host", "customer", "user", "visitor", "block"),
)
# RFC 5737, RFC 3849: addresses for documentation.
_DOCUMENTATION = tuple(
    ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)


# Resolvers and such that everybody knows: naming them says nothing about anyone.
_WELL_KNOWN = frozenset(("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "255.255.255.0", "169.254.169.254"))


def find_addresses(scan: Scan) -> Iterator[Span]:
    text = scan.text
    if text.count(".") >= 3:
        for match in scan.within(_V4):
            if any(w in scan.before(match.start(), 12) for w in _VERSION_WORDS):
                continue
            yield from _judge(scan, match)
    if text.count(":") >= 2:
        for match in _V6.finditer(text):
            if sum(c.isdigit() for c in match.group()) >= 2 and match.group().count(":") >= 3:
                yield from _judge(scan, match)
        for match in _MAC.finditer(text):
            if len(set(match.group().lower())) > 3:
                yield Span(match.start(), match.end(), "mac")
    elif "-" in text:
        for match in _MAC.finditer(text):
            yield Span(match.start(), match.end(), "mac")


def _judge(scan: Scan, match: re.Match[str]) -> Iterator[Span]:
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return
    if address.is_loopback or address.is_unspecified or address.is_multicast or match.group() in _WELL_KNOWN:
        return
    packed = address.packed
    if address.version == 4 and (packed[0] in (0, 255) or packed[3] == 0 or _is_mask_or_range(scan, match)):
        return
    documented = any(address in net for net in _DOCUMENTATION if net.version == address.version)
    private = address.is_private and not documented
    # A private range or a documentation address says nothing by itself; said to be somebody's, it does.
    if (documented or private) and not any(w in scan.before(match.start(), 32) for w in _OWNER_WORDS):
        return
    yield Span(match.start(), match.end(), "ip")


def _is_mask_or_range(scan: Scan, match: re.Match[str]) -> bool:
    return scan.text[match.end() : match.end() + 1] == "/" and scan.text[match.end() + 1 : match.end() + 3].isdigit()
