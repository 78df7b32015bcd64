"""IP and hardware addresses. Loopback, version numbers and documentation ranges are nobody's."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Scan, listed
from understudy.types import Span

_V4 = re.compile(r"(?<![\w.\-])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d|-\w)", re.ASCII)
_FOUR = re.compile(rb"00{0,2}\.0{1,3}\.0{1,3}\.0{1,3}")
_V6 = re.compile(rb"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
_COLONS = re.compile(rb":(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:])")
_PAIRS = re.compile(rb"[:\-](?=[0-9A-Fa-f]{2}[:\-][0-9A-Fa-f]{2}[:\-][0-9A-Fa-f]{2}[:\-])")
_MAC = re.compile(rb"(?<![\w:\-])[0-9a-f]{2}([:\-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:\-])", re.IGNORECASE)
_VERSION = re.compile(
    r"(?:version|\bv|release|firmware|build|==|>=|<=|~=|\^|upgrade(?:d? to)?|driver|rev)[\s:=\"'.]{0,3}(?:is |to )?$"
)
_OWNER_WORDS = listed(
    "my ip|ip is|ip address|her ip|his ip|their ip|our ip|client_ip|remote_addr|server|login from|"
    "logged in from|ssh |@|host|customer|user|visitor|block"
)
# RFC 5737, RFC 3849: addresses for documentation.
_DOCUMENTATION = tuple(
    ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)


# Resolvers and such that everybody knows: naming them says nothing about anyone.
_WELL_KNOWN = frozenset(("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "255.255.255.0", "169.254.169.254"))


def find_addresses(scan: Scan) -> Iterator[Span]:
    text = scan.text
    for dotted in _FOUR.finditer(scan.shape):
        start = dotted.start()
        if (match := _V4.match(text, start)) and not _VERSION.search(scan.before(start, 16)):
            yield from _judge(scan, match.group(), start)
    flat, done = scan.flat, 0
    for match in _COLONS.finditer(flat):
        # An address of six groups begins at most four digits before the first of its colons.
        begin = max(done, match.start() - 4)
        if (six := _V6.search(flat, begin, match.end() + 42)) and six.start() <= match.start() < six.end():
            done = six.end()
            found = text[six.start() : done]
            if found.count(":") >= 3 and sum(map(str.isdigit, found)) >= 2:
                yield from _judge(scan, found, six.start())
    for match in _PAIRS.finditer(flat):
        mac = _MAC.match(flat, max(0, match.start() - 2))
        if mac and len(set(mac.group().lower())) > 3:
            yield Span(mac.start(), mac.end(), "mac")


def _judge(scan: Scan, found: str, start: int) -> Iterator[Span]:
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return
    if address.is_loopback or address.is_unspecified or address.is_multicast or found in _WELL_KNOWN:
        return
    end, packed = start + len(found), address.packed
    if address.version == 4 and (packed[0] in (0, 255) or packed[3] == 0 or _is_range(scan, end)):
        return
    documented = any(address in net for net in _DOCUMENTATION if net.version == address.version)
    # A private range or a documentation address says nothing by itself; said to be somebody's, it does.
    if (documented or address.is_private) and not any(w in scan.before(start, 32) for w in _OWNER_WORDS):
        return
    yield Span(start, end, "ip")


def _is_range(scan: Scan, end: int) -> bool:
    """10.1.0.0/16 is a network, nobody's machine."""
    return scan.text[end : end + 1] == "/" and scan.text[end + 1 : end + 3].isdigit()
