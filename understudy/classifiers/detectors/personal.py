"""Facts about a person that words give away: health, pay, date of birth, travel and driving papers, in context."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

_HEALTH = Needles(
    *listed(
        "diagnos|cancer|tumor|tumour|hiv|diabet|depress|bipolar|schizophren|chemotherapy|pregnan|miscarriage|"
        "abortion|epilep|asthma|biopsy|prescri|antidepress|insulin|blood test|test results|mri |"
        "medical record|medical history|psychiatr|therapist|in rehab|overdose|suicid|std test|hepatitis|"
        "dementia|alzheimer|parkinson|surgery|symptom|medication|adhd|autis|krebs|depression|schwanger|"
        "befund|embaraz|enceinte|maladie|cáncer|enfermedad|malattia|диагноз|беремен|診断|诊断|癌|doctor told|"
        "doctor says|side effects|anxiety|panic attack|leukemi|leukaemi|lymphoma|melanoma|multiple sclerosis|"
        "arthritis|heart attack|heart failure|crohn|anorexi|bulimi|ptsd|infertil|endometrio|dialysis|herpes|"
        "leukämie|schlaganfall|herzinfarkt"
    )
)
_SALARY = Needles(
    *listed(
        "salary|salaries|payslip|pay slip|payroll|wage|bonus|net worth|bank balance|debt|income|i earn|earns|"
        "makes $|make $|gehalt|lohn|salaire|sueldo|stipendio|salário|зарплат|年収|工资|severance|compensation|"
        "credit score|bankrupt|mortgage|alimony|pay me|pays me|paid me|get paid|verdiene"
    )
)
_MINE = re.compile(
    r"\b(?:my|our|i|i'm|i've|me|mine|his|her|patient(?:'s)?|employee(?:'s)?|colleague(?:'s)?|"
    r"mr|mrs|ms|wife(?:'s)?|husband(?:'s)?|son(?:'s)?|daughter(?:'s)?"
    r"|mother(?:'s)?|father(?:'s)?|mom(?:'s)?|dad(?:'s)?|mein\w{0,2}|ich|mi|mis|yo|mon|ma|mes|"
    r"je|mio|mia|meu|minha|мой|моя|у меня)\b|[我私]"
)
_FAMILY = re.compile(
    r"\b(?:my|our|mein\w{0,2}|mi|mis|mon|ma|mes|mio|mia|meu|minha|i have|i've|i was|i am|i'm|"
    r"i take|i earn|i make|i get|(?:pays?|paid) me|ich|patient|employee)\b|[我私]"
)
_MONEY = re.compile(
    # From the beginning of a number on, and whole: a long one is not tried again from each of its digits.
    r"[$€£¥₹]\s?\d|(?<![\d,.])[,.]*+\d[\d,.]{2,}+\s?(?:k\b|usd|eur|gbp|dollars|euros?|pounds|per (?:year|month|"
    r"annum)|a (?:year|month)|\$|€|£)|\d{4,}"
)
_ASKING = listed("what is|what are|define|explain|how does|how do you|write a function|write a program")
_SENTENCE_ENDS = ".!?\n;"

_BORN = Needles(
    *listed(
        "date of birth|dob|d.o.b|birth date|birthdate|birthday|born on|geboren am|geburtsdatum|née le|né le|"
        "date de naissance|fecha de nacimiento|nacido el|nacida el|data di nascita|nato il|nata il|"
        "data de nascimento|дата рождения|生年月日|出生日期|生日"
    )
)
_WHEN = re.compile(
    r"\D{0,24}(?P<date>\d{1,4}[./\-年]\s?\d{1,2}[./\-月]\s?\d{1,4}|\d{1,2}(?:st|nd|rd|th)?\.? "
    r"(?:of )?[^\W\d_]{3,9},? \d{2,4}|[A-Za-z]{3,9}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{2,4}|"
    r"(?:19|20)\d{6})"
)
_PAPERS = Needles(
    *listed(
        "passport|reisepass|passeport|pasaporte|passaporto|passaporte|паспорт|護照|护照|パスポート|driver's license|"
        "drivers license|driver license|driver's licence|driving licence|driving license|driver’s license|"
        "führerschein|permis de conduire|licencia de conducir|patente di guida|cnh|dl#|dl:|licence number|"
        "license number|identity card|id card|personalausweis|carte d'identité|visa number|green card|"
        "voter id|health insurance|medical record|mrn|policy number|account number|routing number|member id|"
        "student id|employee id|tax id|license plate|kontonummer|sort code|vin"
    )
)
_PAPER = re.compile(
    r"[^\w\n]{0,4}(?:[^\W\d_]{1,10}[^\w\n]{1,3}){0,4}(?P<number>(?=[A-Z0-9\-]{0,10}\d)[A-Z0-9][A-Z0-9\-]{4,19})\b(?![.,]\d)"
)
_CODE_WORDS = listed("def |class |function|return |int |const |var |import ")


def find_dates_of_birth(scan: Scan) -> Iterator[Span]:
    for _, place in scan.at(_BORN):
        if (match := _WHEN.match(scan.text, place)) and _is_birth(scan, place):
            yield Span(match.start("date"), match.end("date"), "date_of_birth")


def _is_birth(scan: Scan, place: int) -> bool:
    """ "Born on 4 July 1804" in a question about a public figure is history; a form field or "my" is a person."""
    front = scan.before(place, 60)
    if front.endswith(("born on", "birthday")):
        return _MINE.search(front) is not None and "who " not in front and "which " not in front
    return True


def find_papers(scan: Scan) -> Iterator[Span]:
    for _, place in scan.at(_PAPERS):
        match = _PAPER.match(scan.text, place)
        if match and sum(c.isdigit() for c in match["number"]) >= 4:
            yield Span(match.start("number"), match.end("number"), "identity_paper")


def find_health(scan: Scan) -> Iterator[Span]:
    for begin, place in scan.at(_HEALTH):
        start, end = _sentence(scan, place)
        sentence = scan.low[start:end]
        if _FAMILY.search(sentence) and not sentence.lstrip().startswith(_ASKING):
            yield Span(begin, place, "health")


def find_pay(scan: Scan) -> Iterator[Span]:
    for begin, place in scan.at(_SALARY):
        start, end = _sentence(scan, place)
        sentence = scan.low[start:end]
        if _MONEY.search(sentence) and _FAMILY.search(sentence) and not any(w in sentence for w in _CODE_WORDS):
            yield Span(begin, place, "pay")


def _sentence(scan: Scan, place: int) -> tuple[int, int]:
    """The sentence around an offset, at most 160 characters to each side."""
    low = scan.low
    start = max((low.rfind(c, max(0, place - 160), place) for c in _SENTENCE_ENDS), default=-1)
    ends = [e for e in (low.find(c, place, place + 160) for c in ".!?\n") if e >= 0]
    return (start + 1 if start >= 0 else max(0, place - 160)), (min(ends) if ends else min(len(low), place + 160))


_HONORIFIC = re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Señor|Señora|Mme|M)\.? [A-ZÀ-Þ][\w'’\-]{1,30}")
_NAMED = re.compile(
    r"\b(?:[Mm]y name is|I am|I'm|[Tt]his is|[Nn]ame:|[Cc]all me|[Ii]ch heiße|[Mm]e llamo|"
    r"[Jj]e m'appelle|[Mm]i chiamo)\s{1,4}[A-ZÀ-Þ][\w'’\-]{1,30}"
)
_TWO_NAMES = re.compile(r"(?<![.!?:] )(?<!^)\b[A-ZÀ-Þ][a-zß-ÿ'’\-]{2,20} (?:[A-Z]\.? )?[A-ZÀ-Þ][a-zß-ÿ'’\-]{2,20}\b")


def find_names(scan: Scan) -> Iterator[Span]:
    """For the strict point only: names, which in a public question are mostly those of public figures."""
    for pattern in (_HONORIFIC, _NAMED, _TWO_NAMES):
        for match in pattern.finditer(scan.text):
            yield Span(match.start(), match.end(), "name")


def find_any_date_of_birth(scan: Scan) -> Iterator[Span]:
    """For the strict point: whatever date stands behind a word for birth."""
    for _, place in scan.at(_BORN):
        if match := _WHEN.match(scan.text, place):
            yield Span(match.start("date"), match.end("date"), "date_of_birth")
