"""E-mail addresses and telephone numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

_LOCAL = re.compile(r"[\w.+\-'%]{1,64}$")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w\-]{0,62}\.)){1,8}[^\W\d_]{2,24}|\[?\d{1,3}(?:\.\d{1,3}){3}\]?")
# Local parts that stand for nobody, and domains reserved for examples (RFC 2606) or used so by habit.
_NOBODY = frozenset(
    [
        "user",
        "username",
        "you",
        "your",
        "yourname",
        "your.email",
        "youremail",
        "name",
        "me",
        "foo",
        "bar",
        "baz",
        "test",
        "tests",
        "example",
        "email",
        "mail",
        "someone",
        "somebody",
        "nobody",
        "noreply",
        "no-reply",
        "donotreply",
        "admin",
        "info",
        "support",
        "contact",
        "hello",
        "git",
        "root",
        "localhost",
        "abc",
        "xyz",
        "a",
        "b",
        "x",
        "y",
    ]
)
_EXAMPLES = listed("example.com|example.org|example.net|.example|.test|.invalid|localhost")
_HABIT = listed("domain.com|email.com|test.com|mail.com|foo.com|bar.com|yourdomain.com|company.com")
_BOT = ("noreply", "no-reply", "donotreply", "git")

_PHONE_WORDS = Needles(
    *listed(
        "phone|tel|mobile|cell|call |call:|calling|text me|whatsapp|fax|dial|ring me|sms|reach me|reach him|"
        "reach her|contact number|answering at|desk:|direct line|hotline|telefon|handy|mobil|rufnummer|teléfono|"
        "telefono|móvil|llám|llama|portable|appel|cellulare|celular|telemóvel|puhelin|telefoon|телефон|звон|电话|"
        "手机|電話|携帯|전화|هاتف|फोन|τηλέφωνο|my number|number is|his number|her number|pager|signal|messages to|"
        "my registered|reach |contact|ruf|anruf|erreichbar|numer|kom.|kontakt|nummer|bel |ring |nomor|hp |tlf|gsm|"
        "telefonu|numara|ara:|jawwal|جوال|موبايل|رقم|मोबाइल|नंबर|फ़ोन|번호|휴대|연락처|携帯|番号|联系|聯絡|微信|"
        "тел|моб|ник"
    ),
    inside=True,
)
_PHONE_AFTER = listed(" office| fax| mobile| cell| home| work| (cell| (mobile| (home| (work")
_NANP = re.compile(
    r"(?:(?:001|1)[ .\-]?)?(?:\([2-9]\d\d\)[ \-.]?[2-9]?\d\d[ \-.]\d{4}|[2-9]\d\d([ \-.])[2-9]\d\d\1\d{4}"
    r"|[2-9]\d\d-\d{3}-\d{4}|(?:001|1)-\d{3}-\d{3}-\d{4})"
)
_NATIONAL = re.compile(
    r"\(?0\d{1,4}\)?(?:[ \-./]\d{2,4}){2,4}"  # 020 7946 0958, 06 12 34 56 78, 0412 345 678, (08) 8747 6301
    r"|0\d{2,4}[/ \-]\d{5,8}"  # 030/1234567
    r"|0[1-9](?:[ .\-]?\d\d){4}"  # 0612345678
    r"|07\d{3} ?\d{6}"
)
# Numbers that films and manuals use: nobody has them.
_FICTION = re.compile(r"(?<!\d)555[ .\-]?01\d\d$")
_DATE = re.compile(
    r"(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d)[-/. ](?:19|20)?\d\d"
)


def find_emails(scan: Scan) -> Iterator[Span]:
    text = scan.text
    place = text.find("@")
    while place >= 0:
        domain = _DOMAIN.match(text, place + 1)
        local = _LOCAL.search(text[max(0, place - 64) : place]) if domain else None
        if domain and local and _is_somebody(local.group().lower(), domain.group().lower()):
            # git@host:path and user:password@host are addresses of machines; the second is a secret's business
            yield Span(place - len(local.group()), domain.end(), "email")
        place = text.find("@", place + 1)


def _is_somebody(local: str, domain: str) -> bool:
    local = local.strip(".'")
    if not local or local in _BOT:
        return False
    if domain.lstrip("[")[0].isdigit() and domain.rstrip("]")[-1].isdigit():
        return local not in _NOBODY
    stands_for_nobody = local in _NOBODY or local.rstrip("0123456789") in _NOBODY
    return not (stands_for_nobody and (domain.endswith(_EXAMPLES) or domain in _HABIT))


_DOTS = Needles(
    *listed("dot|[dot]|(dot)|{dot}|<dot>|punkt|[punkt]|(punkt)|punto|(punto)|[punto]|point|(point)|ponto|"
            "(ponto)|kropka|"
            "(kropka)|punt|точка|(точка)"), inside=False
)  # fmt: skip
_NAME = (
    r"(?<![\w.])[\w+\-]{1,40}"
    r"(?:(?:\.| ?[\[({<]?(?:dot|punkt|punto|point|ponto|kropka|точка)[\])}>]? ?)[\w+\-]{1,30}){0,3}"
)
_SAID_MAIL = re.compile(
    rf"{_NAME}(?:\s?[\[({{<]\s?(?:at|@|ät|arroba|chez|małpa|apenstaartje|собака|chiocciola|"
    rf"klammeraffe)\s?[\])}}>]\s?|\s?@\s?)"
    r"[\w\-]{2,30}(?:\s?[\[({<]?\s?(?:dot|punkt|punto|point|ponto|kropka|точка)\s?[\])}>]?\s?[a-z]{2,12}){1,3}\b"
    rf"|{_NAME}\sat\s[\w\-]{{2,30}}(?:\s(?:dot|punkt)\s[a-z]{{2,12}}){{1,3}}\b"
    rf"|{_NAME}\s(?:ät|arroba|chez|małpa|apenstaartje|собака|chiocciola|klammeraffe)\s[\w\-]{{2,30}}"
    r"(?:\s?(?:\.|\s(?:dot|punkt|punto|point|ponto|kropka|punt|точка)\s)\s?[a-z]{2,12}){1,3}\b",
    re.IGNORECASE,
)
_AT = Needles(*listed("[at]|(at)|{at}|<at>|[@]|(@)|[ät]|(ät)|(arroba)|[arroba]|(małpa)|(собака)"))
_AT_DOMAIN = re.compile(
    r"\s?[\w\-]{2,30}(?:\s?[\[({]?(?:dot|punkt|punto|point|ponto)[\])}]?\s?|\.)[a-z]{2,12}\b", re.IGNORECASE
)
_BROKEN = re.compile(
    r"[\w.+\-]{2,40}\s{0,2}(?:@\s{1,12}|\s{1,12}@\s{0,2})[a-z0-9\-]{2,30}\.(?:[a-z]{2,12}\.)?[a-z]{2,6}\b"
)


_SIGNS = listed("@| at |at]|at)|at}|at>| ät |ät]|ät)|arroba| chez |małpa|apenstaartje|собака|chiocciola|klammeraffe")


def find_said_emails(scan: Scan) -> Iterator[Span]:
    """name [at] host [dot] org, and addresses with white space around their sign."""
    for start, _ in scan.at(_DOTS):
        front = max(0, start - 90)
        if not any(sign in scan.low[front : start + 8] for sign in _SIGNS):
            continue
        for match in _SAID_MAIL.finditer(scan.text, front, min(len(scan.text), start + 40)):
            if match.end() > start:
                yield Span(match.start(), match.end(), "email")
    for start, end in scan.at(_AT):
        match = _AT_DOMAIN.match(scan.text, end)
        local = _LOCAL.search(scan.text[max(0, start - 64) : start].rstrip())
        if match and local:
            yield Span(start - len(scan.text[max(0, start - 64) : start]) + local.start(), match.end(), "email")
    place = scan.text.find("@")
    while place >= 0:
        if scan.text[place + 1 : place + 2].isspace() or scan.text[place - 1 : place].isspace():
            match = _BROKEN.search(scan.text, max(0, place - 44), place + 60)
            if match and match.start() < place < match.end():
                yield Span(match.start(), match.end(), "email")
        place = scan.text.find("@", place + 1)


_SAID_DIGITS = Needles(
    *listed("zero|seven|eight|nine|null|sieben|acht|neun|sept|huit|neuf|siete|ocho|nueve|sette|otto|nove|sete|"
            "oito|zéro|"
            "cero|siedem|osiem|siedem|double|triple|семь|восемь|девять|ноль|yedi|sekiz|dokuz|sıfır|zeven|negen|"
            "nul|five|six")
)  # fmt: skip
_DIGIT_WORDS = (
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|null|eins|zwo|zwei|drei|vier|fünf|"
    r"sechs|sieben|"
    r"acht|neun|zéro|un|deux|trois|quatre|cinq|sept|huit|neuf|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|"
    r"nueve|due|tre|"
    r"quattro|cinque|sei|sette|otto|nove|um|dois|três|quatro|sete|oito|jeden|dwa|trzy|cztery|pięć|sześć|siedem|osiem|"
    r"dziewięć|nul|een|twee|drie|vijf|zes|zeven|negen|ноль|один|два|три|четыре|пять|шесть|семь|восемь|девять|"
    r"sıfır|bir|iki|"
    r"üç|dört|beş|altı|yedi|sekiz|dokuz|\d)"
)
_MORE = re.compile(rf"{_DIGIT_WORDS}[\s,.\-]{{1,3}}{_DIGIT_WORDS}[\s,.\-]")
_SAID_NUMBER = re.compile(rf"(?:{_DIGIT_WORDS}[\s,.\-]{{1,3}}){{5,20}}{_DIGIT_WORDS}\b")


def find_said_phones(scan: Scan) -> Iterator[Span]:
    """A number spoken digit by digit: seven digits or more."""
    done, starts = 0, sorted([start for start, _ in scan.at(_SAID_DIGITS)])
    for start, after in pairwise([*starts, len(scan.text) + 99]):
        if start < done or (after - start > 32 and not _MORE.match(scan.low, start)):
            continue
        # The words in front may belong to it, though nobody looked for them.
        begin = max(done, start - 40)
        match = _SAID_NUMBER.search(scan.low, begin, start + 220)
        if match and match.start() <= start < match.end() and sum(w.isalpha() for w in match.group().split()) >= 5:
            done = match.end()
            yield Span(match.start(), match.end(), "phone")


_DECIMAL = re.compile(rb"0+(?:\.0+)?|0{1,5}\.0{1,5}[ \-]0{1,5}\.0{1,5}")


def find_phones(scan: Scan) -> Iterator[Span]:
    text, shape = scan.text, scan.shape
    announced = bool(scan.at(_PHONE_WORDS))
    for first, end in scan.runs:
        start = first
        if (
            not announced
            and text[start] != "0"
            and _DECIMAL.fullmatch(shape, start, end)
            and text[start - 1 : start] != "+"
        ):
            continue
        raw = text[start:end]
        count = shape.count(b"0", start, end)
        if not 6 <= count <= 16:
            continue
        if start and text[start - 1] == "(" and ")" in raw:
            start, raw = start - 1, "(" + raw
        left = text[start - 1] if start else " "
        right = text[end] if end < len(text) else " "
        if (
            (left.isascii() and left.isalpha())
            or left in "_#$€£=@&%"
            or (right.isascii() and right.isalpha() and right not in "xe")
            or right in "_%€"
        ):
            continue
        if left == "+" and start > 1 and text[start - 2].isdigit():
            continue
        if (left == "+" and 7 <= count <= 15 and raw[0] != "0") or (left == "+" and raw.startswith("(")):
            yield Span(start - 1, end, "phone")
        elif _FICTION.search(raw) or (left in "-.,/" and start > 1 and text[start - 2].isdigit()) or _is_date(raw):
            continue
        elif (
            _NANP.fullmatch(raw)
            or (_NATIONAL.fullmatch(raw) and 8 <= count <= 12)
            or (count >= 7 and _phone_context(scan, start, end) and not _is_measure(raw))
        ):
            yield Span(start, end, "phone")


def _is_date(raw: str) -> bool:
    return _DATE.match(raw) is not None and sum(c.isdigit() for c in raw) in (6, 7, 8, 12, 14)


def _is_measure(raw: str) -> bool:
    """1.234.567 or 12.5: a number, not somebody's."""
    parts = raw.split(".")
    return len(parts) == 2 and not any(c in raw for c in " -()/")


def _phone_context(scan: Scan, start: int, end: int) -> bool:
    if scan.shape[end - 2] != 48:  # 231-791-2: no group of a number is a single digit at its end
        return False
    return scan.follows(_PHONE_WORDS, start, 24) or scan.after(end, 9).startswith(_PHONE_AFTER)
