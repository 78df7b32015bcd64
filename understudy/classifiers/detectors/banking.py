"""Payment cards (Luhn and issuer ranges) and IBANs (length by country and checksum)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Scan, listed
from understudy.types import Span

_CARD_WORDS = listed(
    "card|visa|mastercard|amex|maestro|diners|discover|jcb|unionpay|credit|debit|karte|carte|tarjeta|carta|"
    "cartao|cartão|kaart|карт|カード|卡"
)
_GROUPED = re.compile(r"\d{4}([ \-])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ \-])\d{6}\2\d{4,5}|\d{12,19}")

# ISO 13616 registry, release 99: country and total length.
_IBAN_LENGTHS = dict(
    pair.split(":")
    for pair in [
        "AD:24",
        "AE:23",
        "AL:28",
        "AT:20",
        "AZ:28",
        "BA:20",
        "BE:16",
        "BG:22",
        "BH:22",
        "BI:27",
        "BR:29",
        "BY:28",
        "CH:21",
        "CR:22",
        "CY:28",
        "CZ:24",
        "DE:22",
        "DJ:27",
        "DK:18",
        "DO:28",
        "EE:20",
        "EG:29",
        "ES:24",
        "FI:18",
        "FK:18",
        "FO:18",
        "FR:27",
        "GB:22",
        "GE:22",
        "GI:23",
        "GL:18",
        "GR:27",
        "GT:28",
        "HN:28",
        "HR:21",
        "HU:28",
        "IE:22",
        "IL:23",
        "IQ:23",
        "IS:26",
        "IT:27",
        "JO:30",
        "KW:30",
        "KZ:20",
        "LB:28",
        "LC:32",
        "LI:21",
        "LT:20",
        "LU:20",
        "LV:21",
        "LY:25",
        "MC:27",
        "MD:24",
        "ME:22",
        "MK:19",
        "MN:20",
        "MR:27",
        "MT:31",
        "MU:30",
        "NI:28",
        "NL:18",
        "NO:15",
        "OM:23",
        "PK:24",
        "PL:28",
        "PS:29",
        "PT:25",
        "QA:29",
        "RO:24",
        "RS:22",
        "RU:33",
        "SA:24",
        "SC:31",
        "SD:18",
        "SE:24",
        "SI:19",
        "SK:24",
        "SM:27",
        "SO:23",
        "ST:25",
        "SV:28",
        "TL:23",
        "TN:24",
        "TR:26",
        "UA:29",
        "VA:22",
        "VG:24",
        "XK:20",
        "YE:30",
    ]
)
_COUNTRY = re.compile(rb"0(?<=[aA][aA]0)0[ \-0aA]")
_IBAN = re.compile(r"([A-Z]{2})(\d\d)((?:[ \-]?[A-Z0-9]){11,36})", re.ASCII | re.IGNORECASE)
_FRACTION = re.compile(r"\d\.\d{0,3}$")
_OVER_LINES = re.compile(rb"0000\s{1,2}0000\s{1,2}0000\s{1,2}0000")
_AMONG = re.compile(rb"0\s?$")
_NEXT = re.compile(rb"\s{0,2}0")


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def issued(digits: str) -> bool:
    """Whether a card network issues numbers of this prefix and length."""
    size, two, four = len(digits), int(digits[:2]), int(digits[:4])
    return (
        (digits[0] == "4" and size in (13, 16, 19))
        or (size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720))
        or (size == 15 and (two in (34, 37) or four in (1800, 2131)))
        or (size == 14 and (300 <= int(digits[:3]) <= 305 or two in (36, 38, 39)))
        or (16 <= size <= 19 and (four == 6011 or 644 <= int(digits[:3]) <= 649 or two == 65))
        or (16 <= size <= 19 and (3528 <= four <= 3589 or two == 62))
    )


def find_cards(scan: Scan) -> Iterator[Span]:
    # Four groups over several lines, and nothing numeric around them: a column of a table has more.
    for match in _OVER_LINES.finditer(scan.shape):
        start, end = match.span()
        if (
            10 in match.group()
            and not _AMONG.search(scan.shape, max(0, start - 2), start)
            and not _NEXT.match(scan.shape, end)
        ):
            digits = "".join(scan.text[start:end].split())
            if issued(digits) and luhn(digits):
                yield Span(start, end, "card")
    for start, end in scan.runs:
        if end - start < 12:
            continue
        for match in _GROUPED.finditer(scan.text, start, end):
            here, there = match.span()
            if (there < len(scan.text) and scan.text[there].isdigit()) or _FRACTION.search(
                scan.text[max(0, here - 4) : here]
            ):
                continue
            digits = "".join(c for c in match.group() if c.isdigit())
            if not 12 <= len(digits) <= 19 or len(set(digits)) == 1 or not luhn(digits):
                continue
            if issued(digits) or (digits[0] in "3456" and scan.around(here, there, _CARD_WORDS)):
                yield Span(here, there, "card")


def iban_valid(iban: str) -> bool:
    """ISO 7064 mod 97-10 over the rearranged number, and the country's own length."""
    if str(len(iban)) != _IBAN_LENGTHS.get(iban[:2]):
        return False
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def find_ibans(scan: Scan) -> Iterator[Span]:
    text = scan.text
    for place in _COUNTRY.finditer(scan.shape):
        start = place.start()
        if start > 2 and text[start - 3].isalnum():
            continue
        if (match := _IBAN.match(text, start - 2)) is None:
            continue
        length = int(_IBAN_LENGTHS.get(match.group(1).upper(), "0"))
        if not length:
            continue
        taken, end = "", match.start()
        for c in match.group():
            end += 1
            if c not in " -":
                taken += c.upper()
            if len(taken) == length:
                break
        if iban_valid(taken):
            yield Span(match.start(), end, "iban")
