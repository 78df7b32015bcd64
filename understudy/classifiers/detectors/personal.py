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
        "befund|embaraz|enceinte|maladie|cáncer|enfermedad|malattia|диагноз|беремен|診断|诊断|癌症|肺癌|乳癌|"
        "胃癌|がんと|doctor told|"
        "doctor says|side effects|anxiety|panic attack|leukemi|leukaemi|lymphoma|melanoma|multiple sclerosis|"
        "arthritis|heart attack|heart failure|crohn|anorexi|bulimi|ptsd|infertil|endometrio|dialysis|herpes|"
        "leukämie|schlaganfall|herzinfarkt|lupus|sclerosi|sclerosis|sclérose|esclerosis|esclerose|multiple sklerose|"
        "kanker|borstkanker|zwanger|depressie|rak |raka|nowotw|cukrzyc|depresj|ciąż|kanser|şeker hasta|hasta|hamile|"
        "depresyon|диабет|рак |рака|депресси|вич|болезн|инсульт|инфаркт|糖尿病|抑郁|高血压|艾滋|怀孕|うつ病|"
        "妊娠|鬱病|憂鬱|"
        "당뇨|암 |우울증|임신|مرض|سرطان|السكري|حامل|اكتئاب|मधुमेह|कैंसर|गर्भवती|अवसाद|depresión|depressão|depressione|"
        "diabète|diabete|cancro|câncer|tumeur|tumore|vih|sida|grossesse|incinta|grávida|sertralin|fluoxetin|metformin|"
        "methotrexat|antirétroviral|warfarin|lithium carbonate|prozac|xanax|chemo|stroke last|seizure|transplant|"
        "celiac|coeliac|copd|anemia|thyroid|ulcerative|fibromyalgia|eating disorder|alcoholi|addict|icd-10|allergic to|"
        "blood type|blood pressure is|hiv-positive|hiv positive|burnout|psychose|zwangsstörung|panikattack"
    )
)
_SALARY = Needles(
    *listed(
        "salary|salaries|payslip|pay slip|payroll|wage|bonus|net worth|bank balance|debt|income|i earn|earns|"
        "makes $|make $|gehalt|lohn|salaire|sueldo|stipendio|salário|зарплат|年収|工资|severance|compensation|"
        "credit score|bankrupt|mortgage|alimony|pay me|pays me|paid me|get paid|verdiene|verdien|gano|guadagno|ganho|"
        "zarabiam|zarabia|pensja|maaş|maaşı|зарплат|зарабатыва|оклад|月薪|薪水|工资|給料|月給|연봉|월급|راتب|"
        "वेतन|salario|"
        "loon|lön|løn|palkka|remuneration|revenus|ingresos|reddito|renda|dochód|kontostand|schulden|dettes|deudas"
    )
)
_MINE = re.compile(
    r"\b(?:my|our|i|i'm|i've|me|mine|his|her|patient(?:'s)?|employee(?:'s)?|colleague(?:'s)?|"
    r"mr|mrs|ms|wife(?:'s)?|husband(?:'s)?|son(?:'s)?|daughter(?:'s)?"
    r"|mother(?:'s)?|father(?:'s)?|mom(?:'s)?|dad(?:'s)?|mein\w{0,2}|ich|mi|mis|yo|mon|ma|mes|"
    r"je|mio|mia|meu|minha|мой|моя|у меня)\b|[我私]"
)
_FAMILY = re.compile(
    r"\b(?:my|our|mein\w{0,2}|unser\w{0,2}|mi|mis|mon|ma|mes|mio|mia|mijn|meu|minha|i have|i've|i was|i am|i'm|"
    r"i take|i earn|"
    r"i make|i get|i had|i suffer|(?:pays?|paid) me|ich|patient\w{0,3}|employee|j'ai|je|tengo|padezco|gano|yo|"
    r"ho|sono|soffro|"
    r"guadagno|tenho|ganho|sofro|estou|ik|mam|jestem|zarabiam|mój|moja|moje|у меня|мой|моя|мне|я|bende|benim|"
    r"bana|maaşım|"
    r"jag|jeg|minä|minulla|عندي|لدي|أنا|मुझे|मेर[ाीे])\b|[我私僕저제내]|maaşım"
)
_MONEY = re.compile(
    # From the beginning of a number on, and whole: a long one is not tried again from each of its digits.
    r"[$€£¥₹]\s?\d|(?<![\d,.])[,.]*+\d[\d,.]{2,}+\s?(?:k\b|usd|eur|gbp|dollars|euros?|pounds|zł|pln|руб|tl\b|"
    r"lira|元|円|원|kr\b|per (?:year|month|"
    r"annum)|a (?:year|month)|\$|€|£)|\d{4,}"
)
_ASKING = listed("what is|what are|define|explain|how does|how do you|write a function|write a program")
_SENTENCE_ENDS = ".!?\n;"

_BORN = Needles(
    *listed(
        "date of birth|dob|d.o.b|birth date|birthdate|birthday|born on|geboren am|geburtsdatum|née le|né le|"
        "date de naissance|fecha de nacimiento|nacido el|nacida el|data di nascita|nato il|nata il|"
        "data de nascimento|дата рождения|生年月日|出生日期|生日|date_of_birth|dateofbirth|birth_date|birthday:|"
        "bday|geb.|"
        "geboren op|geboren|geb. am|geburtsdatum|né(e) le|naissance|nacimiento|nascita|nascimento|nascido em|"
        "nascida em|"
        "geboortedatum|data urodzenia|urodzony|urodzona|ur.|doğum tarihi|doğum|تاريخ الميلاد|مواليد|जन्म तिथि|जन्मतिथि|"
        "जन्म|생년월일|fødselsdato|født|födelsedatum|född|syntymäaika|datum narození|narozen|születési idő|született|"
        "ημερομηνία γέννησης|дата народження|родился|родилась|г.р.|d.n.|dob:|born|birth"
    )
)
_WHEN = re.compile(
    r"\D{0,24}(?P<date>\d{1,4}[./\-年]\s?\d{1,2}[./\-月]\s?\d{1,4}|\d{1,2}(?:st|nd|rd|th)?\.? "
    r"(?:of )?[^\W\d_]{3,9},? \d{2,4}|[A-Za-z]{3,9}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{2,4}|"
    r"(?:19|20)\d{6})"
)
_NUMERIC = re.compile(r"(?:19[2-9]|20[0-2])\d[./\-]\d\d?[./\-]\d\d?|\d\d?[./\-]\d\d?[./\-](?:19[2-9]|20[0-2])\d")
_STARRED = Needles("(*", "(* ")
_STARRED_DATE = re.compile(r"\s?\d{1,2}\.\s?(?:\d{1,2}\.|[^\W\d_]{3,9})\s?(?:19[2-9]|20[0-2])\d\)")
_CODE_WORDS = listed("def |class |function|return |int |const |var |import ")


def find_dates_of_birth(scan: Scan) -> Iterator[Span]:
    for _, place in scan.at(_BORN):
        if (match := _WHEN.match(scan.text, place)) and _is_birth(scan, place):
            yield Span(match.start("date"), match.end("date"), "date_of_birth")
    for _, place in scan.at(_STARRED):
        if match := _STARRED_DATE.match(scan.text, place):
            yield Span(match.start(), match.end() - 1, "date_of_birth")


def _is_birth(scan: Scan, place: int) -> bool:
    """ "Born on 4 July 1804" in a question about a public figure is history; a form field or "my" is a person."""
    front = scan.before(place, 60)
    if front.endswith((" born", "birth", "geboren", "doğum", "родился", "родилась", "född", "født", "née le", "né le")):
        match = _WHEN.match(scan.text, place)
        numeric = (
            match is not None and _NUMERIC.fullmatch(match["date"]) is not None and match.start("date") - place < 6
        )
        return numeric or (_MINE.search(front) is not None and "who " not in front and "which " not in front)
    if front.endswith(("born on", "birthday")):
        return _MINE.search(front) is not None and "who " not in front and "which " not in front
    return True


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
