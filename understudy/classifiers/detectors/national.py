"""National identity, tax and insurance numbers, with their checksums where they have one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

_SSN = re.compile(r"(?<![\d\-])(\d{3})[- ](\d{2})[- ](\d{4})(?![\d\-])", re.ASCII)
_SSN_SHAPE = re.compile(rb"000[- ]00[- ]0000")
_BARE_SSN = re.compile(r"[^\d\n]{1,24}(\d{9})(?!\d)", re.ASCII)
_SSN_NEEDLES = Needles("ssn", "social security")
_SSN_WORDS = ("ssn", "social security", "social sec", "itin", "taxpayer")
_ID_WORDS = listed(
    "id|nino|national insurance|dni|nie|nif|codice fiscale|steuer|tin|cpf|aadhaar|aadhar|uidai|pan|insee|nir|"
    "sécurité sociale|securite sociale|bsn|burgerservice|pesel|personnummer|cpr|hetu|ahv|avs|sin|"
    "social insurance|medicare|tfn|tax file|curp|rut|cedula|cédula|身份证|身份證|マイナンバー|주민|инн|снилс|ssn|"
    "number|"
    "numéro|número"
)
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?P<nino>[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D])"
    r"|(?P<dni>(?:[XYZ][ \-]?\d{7}|\d{8})[ \-]?[A-HJ-NP-TV-Z])"
    r"|(?P<cf>[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z])"
    r"|(?P<cpf>\d{3}\.\d{3}\.\d{3}-\d{2})"
    r"|(?P<pan>[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z])"
    r"|(?P<nir>[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d)"
    r"|(?P<china>[1-9]\d{5}(?:19|20)\d{9}[\dXx])"
    r"|(?P<curp>[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d)"
    r"|(?P<rut>\d{1,2}\.\d{3}\.\d{3}-[\dkK])"
    r"|(?P<hetu>\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y])"
    r"|(?P<pnr>(?:19|20)?\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])[-+]\d{4})"
    r"|(?P<cnpj>\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2})"
    r"|(?P<snils>\d{3}-\d{3}-\d{3} \d\d)"
    r"|(?P<korea>\d{6}-[1-4]\d{6})"
    r"|(?P<aadhaar>[2-9]\d{3}[ \-]\d{4}[ \-]\d{4})"
    r"|(?P<avs>756\.\d{4}\.\d{4}\.\d\d)"
    r"|(?P<sin>\d{3}[ \-]\d{3}[ \-]\d{3})"
    r"|(?P<digits>\d{8,12}))(?![A-Za-z0-9]|-\d)",
    re.ASCII,
)
_ALWAYS = frozenset(
    (
        "nino",
        "dni",
        "cf",
        "cpf",
        "nir",
        "china",
        "curp",
        "rut",
        "hetu",
        "korea",
        "aadhaar",
        "avs",
        "pnr",
        "cnpj",
        "snils",
    )
)


def find_ssns(scan: Scan) -> Iterator[Span]:
    for place in _SSN_SHAPE.finditer(scan.shape):
        if not (match := _SSN.match(scan.text, place.start())):
            continue
        area, group, serial = match.groups()
        if area == "000" or group == "00" or serial == "0000" or area == "666":
            continue
        if "-" in match.group() or scan.around(*match.span(), _SSN_WORDS):
            yield Span(match.start(), match.end(), "national_id")
    for _, place in scan.at(_SSN_NEEDLES):
        window = _BARE_SSN.match(scan.text, place)
        if window:
            yield Span(*window.span(1), "national_id")


# Where one of the shapes may begin, in a text whose digits are 0 and whose letters are a and A.
_LETTERS_FIRST = re.compile(rb"A(?<![A0a]A)A{0,5}[ \-]?00")
_DIGITS_FIRST = re.compile(
    rb"0(?:0{7}[ \-]?A|00\.000\.000-00| ?00 ?00 ?0[0A] ?000 ?000 ?00|0{16}[0A]|0?\.000\.000-[0aA]|0{5}[\-+A]000[0A]"
    rb"|0{5}(?:00)?[\-+]0000|0{5}-0{7}|000[ \-]0000[ \-]0000|00\.0000\.0000\.00|00[ \-]000[ \-]000|0\.000\.000/0000-00"
    rb"|0{7,11}(?!0))"
)


def find_national_ids(scan: Scan) -> Iterator[Span]:
    shape = scan.shape
    for place in _LETTERS_FIRST.finditer(shape):
        yield from _identified(scan, place.start())
    for start, end in scan.runs:
        place = start
        while 0 <= place < end - 4:
            if _DIGITS_FIRST.match(shape, place) and (not place or shape[place - 1] not in _GLUED):
                yield from _identified(scan, place)
            place = shape.find(b" ", place, end) + 1 or -1


_GLUED = b"0aA"


def _identified(scan: Scan, start: int) -> Iterator[Span]:
    if match := _SHAPES.match(scan.text, start):
        kind = match.lastgroup or ""
        number = re.sub(r"[ .\-]", "", match.group()).upper()
        if _CHECKS[kind](number) and (kind in _ALWAYS or _is_named(scan, start)):
            yield Span(match.start(), match.end(), "national_id")


def _is_named(scan: Scan, start: int) -> bool:
    front = scan.before(start, 40)
    return any(re.search(rf"(?<![^\W_]){re.escape(w)}(?![^\W_])", front) for w in _ID_WORDS if w in front)


def _always(_: str) -> bool:
    return True


def dni_valid(number: str) -> bool:
    """Spanish DNI and NIE: the letter is the number modulo 23."""
    digits = {"X": "0", "Y": "1", "Z": "2"}.get(number[0], number[0]) + number[1:-1]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == number[-1]


_CF_TABLE = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_CF_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (*_CF_TABLE[:10], *_CF_TABLE), strict=True))


def codice_fiscale_valid(number: str) -> bool:
    """Italian codice fiscale: odd places by table, even places by value, modulo 26."""
    total = sum(
        _CF_ODD[c] if place % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65)
        for place, c in enumerate(number[:15])
    )
    return chr(65 + total % 26) == number[15]


def cpf_valid(number: str) -> bool:
    """Brazilian CPF: two check digits modulo 11."""
    if len(set(number)) == 1:
        return False
    for size in (9, 10):
        total = sum(int(c) * (size + 1 - place) for place, c in enumerate(number[:size]))
        if (total * 10 % 11) % 10 != int(number[size]):
            return False
    return True


def nir_valid(number: str) -> bool:
    """French NIR: key = 97 - (number modulo 97); Corsica counts 2A as 19 and 2B as 18."""
    body = number[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(number[13:])


def china_valid(number: str) -> bool:
    """Chinese resident identity card, GB 11643: ISO 7064 mod 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(c) * w for c, w in zip(number, weights, strict=False)) % 11] == number[17]


def rut_valid(number: str) -> bool:
    """Chilean RUT: modulo 11 with weights 2 to 7."""
    total = sum(int(c) * (2 + place % 6) for place, c in enumerate(reversed(number[:-1])))
    return "0K987654321"[total % 11] == number[-1]


def hetu_valid(number: str) -> bool:
    """Finnish personal identity code: modulo 31."""
    digits = number[:6] + number[-4:-1]
    return digits.isdigit() and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == number[-1]


_D = listed(
    "0123456789|1234067895|2340178956|3401289567|4012395678|5987604321|6598710432|7659821043|8765932104|9876543210"
)
_P = listed("0123456789|1576283094|5803796142|8916043527|9453126870|4286573901|2793806415|7046913258")


def verhoeff(number: str) -> bool:
    """The check of Aadhaar numbers."""
    state = 0
    for place, c in enumerate(reversed(number)):
        state = int(_D[state][int(_P[place % 8][int(c)])])
    return state == 0


def steuer_id_valid(number: str) -> bool:
    """German Steuer-ID: ISO 7064 mod 11,10; one digit twice or thrice among the first ten."""
    if len(number) != 11 or number[0] == "0" or max(number[:10].count(c) for c in number[:10]) not in (2, 3):
        return False
    product = 10
    for c in number[:10]:
        total = (int(c) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[10])


def pesel_valid(number: str) -> bool:
    """Polish PESEL."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    return len(number) == 11 and (10 - sum(int(c) * w for c, w in zip(number, weights, strict=False))) % 10 == int(
        number[10]
    )


def bsn_valid(number: str) -> bool:
    """Dutch BSN: the eleven test."""
    if len(number) != 9 or int(number) == 0:
        return False
    return (sum(int(c) * (9 - place) for place, c in enumerate(number[:8])) - int(number[8])) % 11 == 0


def sin_valid(number: str) -> bool:
    """Canadian SIN: Luhn."""
    from understudy.classifiers.detectors.banking import luhn

    return number[0] not in "08" and luhn(number)


def personnummer_valid(number: str) -> bool:
    """Swedish personnummer: Luhn over ten digits."""
    from understudy.classifiers.detectors.banking import luhn

    digits = number.replace("+", "")[-10:]
    return digits.isdigit() and luhn(digits)


def _hetu_or_personnummer(number: str) -> bool:
    """Both are written as six digits, a sign and four more; the last of a hetu may be a letter."""
    return hetu_valid(number) or personnummer_valid(number)


def cnpj_valid(number: str) -> bool:
    """Brazilian CNPJ: two check digits modulo 11."""
    number = number.replace("/", "")
    for size in (12, 13):
        total = sum(int(c) * (2 + place % 8) for place, c in enumerate(reversed(number[:size])))
        if (0 if total % 11 < 2 else 11 - total % 11) != int(number[size]):
            return False
    return len(set(number)) > 1


def snils_valid(number: str) -> bool:
    """Russian SNILS: weighted sum modulo 101."""
    return sum(int(c) * (9 - place) for place, c in enumerate(number[:9])) % 101 % 100 == int(number[9:])


def _digits_valid(number: str) -> bool:
    """Bare digits after a word that names an identity number: any of the checksums, or Aadhaar, CPF, SIN."""
    size = len(number)
    return (
        (size == 11 and (steuer_id_valid(number) or pesel_valid(number) or cpf_valid(number)))
        or (size == 9 and (bsn_valid(number) or sin_valid(number)))
        or (size == 12 and verhoeff(number))
    )


_CHECKS: dict[str, Callable[[str], bool]] = {
    "nino": _always,
    "dni": dni_valid,
    "cf": codice_fiscale_valid,
    "cpf": cpf_valid,
    "pan": _always,
    "nir": nir_valid,
    "china": china_valid,
    "curp": _always,
    "rut": rut_valid,
    "hetu": _hetu_or_personnummer,
    "korea": _always,
    "pnr": personnummer_valid,
    "cnpj": cnpj_valid,
    "snils": snils_valid,
    "aadhaar": verhoeff,
    "avs": _always,
    "sin": sin_valid,
    "digits": _digits_valid,
}
