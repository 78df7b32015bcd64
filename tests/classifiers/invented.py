"""Invented values, with the checksums and shapes of real ones: nobody's, and no two runs of a seed differ."""

from __future__ import annotations

import base64
import string
from random import Random

LETTERS, UPPER, DIGITS = string.ascii_letters, string.ascii_uppercase, string.digits
BASE64 = LETTERS + DIGITS + "+/"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def some(rng: Random, alphabet: str, size: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(size))


def number(rng: Random, size: int) -> str:
    return rng.choice("123456789") + some(rng, DIGITS, size - 1)


def mixed(rng: Random, size: int, alphabet: str = LETTERS + DIGITS) -> str:
    """Of the alphabet, with at least two digits, two capitals and two small letters."""
    while True:
        found = some(rng, alphabet, size)
        if min(sum(map(f, found)) for f in (str.isdigit, str.isupper, str.islower)) >= 2:
            return found


def password(rng: Random) -> str:
    word = rng.choice(("Falke", "sommer", "Kirsche", "tango", "Vulkan", "river", "Bison", "mango"))
    form = rng.randrange(4)
    if form == 0:
        return word + rng.choice("!#$&*?") + number(rng, rng.randint(2, 5))
    if form == 1:
        return mixed(rng, rng.randint(8, 16))
    if form == 2:
        return some(rng, LETTERS, 4) + number(rng, 3) + rng.choice("!#%&@^*") + some(rng, LETTERS, 3)
    return word.replace("a", "4").replace("o", "0").replace("i", "1") + rng.choice("!_-#") + number(rng, 3)


def luhn(body: str) -> str:
    total = 0
    for place, c in enumerate(reversed(body)):
        value = int(c) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def card(rng: Random) -> str:
    prefix, size = rng.choice((("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16), ("2221", 16), ("36", 14)))
    return luhn(prefix + some(rng, DIGITS, size - len(prefix) - 1))


def spaced(digits: str, gap: str = " ") -> str:
    if len(digits) == 15:
        return gap.join((digits[:4], digits[4:10], digits[10:]))
    return gap.join(digits[i : i + 4] for i in range(0, len(digits), 4))


def iban(rng: Random) -> str:
    country, shape = rng.choice(
        (
            ("DE", "0" * 18),
            ("FR", "0" * 10 + "X" * 11 + "00"),
            ("GB", "AAAA" + "0" * 14),
            ("NL", "AAAA" + "0" * 10),
            ("ES", "0" * 20),
            ("PL", "0" * 24),
            ("IT", "A" + "0" * 22),
            ("PT", "0" * 21),
            ("TR", "0" * 22),
            ("CH", "0" * 17),
            ("SE", "0" * 20),
            ("NO", "0" * 11),
            ("MT", "AAAA" + "0" * 23),
        )
    )
    body = "".join(rng.choice({"0": DIGITS, "A": UPPER, "X": DIGITS + UPPER}[c]) for c in shape)
    check = 98 - int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
    return f"{country}{check:02d}{body}"


def cpf(rng: Random) -> str:
    body = some(rng, DIGITS, 9)
    for size in (10, 11):
        total = sum(int(c) * (size - i) for i, c in enumerate(body))
        body += str(total * 10 % 11 % 10)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"


def cnpj(rng: Random) -> str:
    body = some(rng, DIGITS, 8) + "0001"
    for weights in ("543298765432", "6543298765432"):
        total = sum(int(c) * int(w) for c, w in zip(body, weights, strict=True))
        body += str(0 if total % 11 < 2 else 11 - total % 11)
    return f"{body[:2]}.{body[2:5]}.{body[5:8]}/{body[8:12]}-{body[12:]}"


def dni(rng: Random) -> str:
    body = some(rng, DIGITS, 8)
    return body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def nie(rng: Random) -> str:
    first, body = rng.choice("XYZ"), some(rng, DIGITS, 7)
    return first + body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(str("XYZ".index(first)) + body) % 23]


def pesel(rng: Random) -> str:
    body = f"{rng.randrange(100):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}" + some(rng, DIGITS, 4)
    return body + str(-sum(int(c) * int(w) for c, w in zip(body, "1379137913", strict=True)) % 10)


def bsn(rng: Random) -> str:
    while True:
        body = number(rng, 8)
        check = sum(int(c) * (9 - i) for i, c in enumerate(body)) % 11
        if check < 10:
            return body + str(check)


def sin(rng: Random) -> str:
    found = luhn(rng.choice("1234567") + some(rng, DIGITS, 7))
    return f"{found[:3]} {found[3:6]} {found[6:]}"


def tfn(rng: Random) -> str:
    weights = (1, 4, 3, 7, 5, 8, 6, 9, 10)
    while True:
        found = number(rng, 9)
        if sum(int(c) * w for c, w in zip(found, weights, strict=True)) % 11 == 0:
            return f"{found[:3]} {found[3:6]} {found[6:]}"


def personnummer(rng: Random) -> str:
    body = f"{rng.randrange(30, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}" + some(rng, DIGITS, 3)
    found = luhn(body)
    return f"{found[:6]}-{found[6:]}"


def hetu(rng: Random) -> str:
    body = f"{rng.randint(1, 28):02d}{rng.randint(1, 12):02d}{rng.randrange(30, 99):02d}"
    tail = f"{rng.randint(2, 899):03d}"
    return f"{body}-{tail}" + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(body + tail) % 31]


def nhs(rng: Random) -> str:
    while True:
        body = number(rng, 9)
        check = 11 - sum(int(c) * (10 - i) for i, c in enumerate(body)) % 11
        if check != 10:
            found = body + str(check % 11)
            return f"{found[:3]} {found[3:6]} {found[6:]}"


def nir(rng: Random) -> str:
    body = f"{rng.choice('12')}{rng.randrange(30, 99)}{rng.randint(1, 12):02d}75{some(rng, DIGITS, 6)}"
    return body + f"{97 - int(body) % 97:02d}"


def steuer_id(rng: Random) -> str:
    digits = rng.sample(DIGITS, 9)
    while True:
        body = [*digits, rng.choice(digits)]
        rng.shuffle(body)
        if body[0] != "0":
            break
    product = 10
    for c in body:
        total = (int(c) + product) % 10 or 10
        product = total * 2 % 11
    return "".join(body) + str((11 - product) % 10)


def china(rng: Random) -> str:
    body = f"110105{rng.randint(1950, 2005)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{some(rng, DIGITS, 3)}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11]


def korea(rng: Random) -> str:
    birth = f"{rng.randrange(40, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    return f"{birth}-{rng.choice('12')}{some(rng, DIGITS, 6)}"


def inn(rng: Random) -> str:
    body = number(rng, 10)
    for weights in ((7, 2, 4, 10, 3, 5, 9, 4, 6, 8), (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)):
        body += str(sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11 % 10)
    return body


def snils(rng: Random) -> str:
    body = some(rng, DIGITS, 9)
    check = sum(int(c) * (9 - i) for i, c in enumerate(body)) % 101 % 100
    return f"{body[:3]}-{body[3:6]}-{body[6:]} {check:02d}"


def tckn(rng: Random) -> str:
    body = [int(c) for c in number(rng, 9)]
    tenth = (sum(body[0::2]) * 7 - sum(body[1::2])) % 10
    return "".join(map(str, [*body, tenth, (sum(body) + tenth) % 10]))


_VERHOEFF_D = (
    "0123456789 1234067895 2340178956 3401289567 4012395678 5987604321 6598710432 7659821043 8765932104 9876543210"
)
_VERHOEFF_P = "0123456789 1576283094 5803796142 8916043527 9453126870 4286573901 2793806415 7046913258"


def aadhaar(rng: Random) -> str:
    table, turn = _VERHOEFF_D.split(), _VERHOEFF_P.split()
    body = rng.choice("23456789") + some(rng, DIGITS, 10)
    for last in DIGITS:
        state = 0
        for i, c in enumerate(reversed(body + last)):
            state = int(table[state][int(turn[i % 8][int(c)])])
        if state == 0:
            return spaced(body + last)
    raise AssertionError


def imei(rng: Random) -> str:
    return luhn("35" + some(rng, DIGITS, 12))


def ip(rng: Random) -> str:
    return ".".join(map(str, (rng.choice((84, 91, 46, 188, 77, 151)), *(rng.randint(1, 254) for _ in range(3)))))


def ip6(rng: Random) -> str:
    return "2a02:" + ":".join(f"{rng.randrange(1, 65536):x}" for _ in range(7))


def mac(rng: Random, gap: str = ":") -> str:
    return gap.join(f"{rng.randrange(256):02x}" for _ in range(6))


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FIRST = [
    "Lena",
    "Mateusz",
    "Aylin",
    "Kenji",
    "Priya",
    "Giulia",
    "Thabo",
    "Ingrid",
    "Rafael",
    "Chloé",
    "Dmitri",
    "Noor",
    "Elif",
    "Sanne",
    "Björn",
    "Marta",
    "Hiroko",
    "Carmen",
    "Piotr",
    "Fatima",
    "Luca",
    "Anaïs",
    "Olga",
    "Diego",
    "Yuki",
]
LAST = [
    "Vogt",
    "Kowalski",
    "Yıldız",
    "Tanaka",
    "Raman",
    "Bianchi",
    "Mokoena",
    "Nyström",
    "Oliveira",
    "Moreau",
    "Sokolov",
    "Haddad",
    "Demir",
    "Visser",
    "Lindqvist",
    "García",
    "Suzuki",
    "Fontaine",
    "Petrov",
    "Rossi",
    "Baumgartner",
    "Silva",
]


def person(rng: Random) -> str:
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def email(rng: Random) -> str:
    name = f"{rng.choice(FIRST)}.{rng.choice(LAST)}".lower().encode("ascii", "ignore").decode()
    host = rng.choice(
        ["posteo.de", "gmail.com", "wp.pl", "orange.fr", "libero.it", "ziggo.nl", "mail.ru", "proton.me", "uol.com.br"]
    )
    return f"{name}{rng.choice(('', str(rng.randint(1, 99))))}@{host}"


def date(rng: Random) -> tuple[int, int, int]:
    return rng.randint(1940, 2008), rng.randint(1, 12), rng.randint(1, 28)
