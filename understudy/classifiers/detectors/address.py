"""Postal addresses, in the forms of several countries, and numbers behind words that announce an address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

_NAME = r"[^\W\d_][\w'’.\-]{0,30}"
_CAP = r"[^\W\d_a-z][\w'’.\-]{0,30}"
# English: number, up to four words, and a word for a way.
_WAYS = (
    r"(?:street|str|st|avenue|ave|av|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|way|"
    r"place|pl|square|sq|terrace|ter"
    r"|highway|hwy|parkway|pkwy|circle|cir|trail|trl|crescent|cres|close|grove|mews|row|alley|"
    r"plaza|loop|pike|route|point"
    r"|rise|ridge|run|bypass|esplanade|parade|quay|heights|gardens|green|hill|walk)"
)
_ENGLISH = re.compile(
    rf"(?<![\w.,$€£-])\d{{1,6}}[A-Za-z]?(?:[ \-/]\d{{1,5}})?,? (?:{_NAME} "
    rf"){{1,4}}?{_WAYS}\b(?!')\.?",
    re.IGNORECASE,
)
# A word for a way first, then the name, then the number; or the number first ("12 rue de la Paix").
_FIRST = Needles(
    *listed(
        "rue |avenue |boulevard |calle |c/ |avenida |avda|paseo |plaza |via |viale |piazza |corso |vicolo |"
        "largo |rua |travessa |praça |ul. |ulica |al. |place |chemin |allée |impasse |quai |rúa |carrer |"
        "strada |ulitsa |улица |ул. |проспект |пр. |λεωφόρος |οδός |jalan |jl. |carretera |camino |cours |"
        "route de |piazzetta |av. |شارع |طريق |улицы |улице |переулок |шоссе |набережная |бульвар |вулиця |"
        "вул. |ulicy |aleja |"
        "os. |plac |pl. |strada |str. |calea |bulevardul |bd. |lungomare |largo |alameda |av |rúa |ronda |passeig |"
        "passage |sentier |ruelle |faubourg |jl |jalan |đường |phố |soi |thanon "
    )
)
_OTHERWISE = frozenset(("place ", "cours ", "via ", "route de ", "largo ", "camino ", "plaza ", "str. ", "os. "))
_NAMED = re.compile(rf"(?:{_NAME},? ){{1,6}}(?:nº? ?|no\. ?|n° ?)?\d{{1,5}}\b")
_NUMBERED = re.compile(r"(?<![\w.])\d{1,5}(?: ?(?:bis|ter|[a-d]))?,? $")
# Germanic, Nordic, Slavic and Hungarian: the word for a way ends the name, or stands behind it; then the number.
_LAST = listed(
    "straße|strasse|str.|gasse|weg|platz|allee|ufer|damm|gatan|gatans|vägen|veien|vegen|vej|gade|gata|katu|"
    "kuja|polku|tie|laan|straat|plein|gracht|kade|dreef|hof|hove|hoven|utca| út| u.|útja|kapu|stræde|allé|"
    "allén|stien|bakken|steig|chaussee|markt|tänav|ulice|náměstí|caddesi|sokak|cad.|sok.|brücke|tee|iela|"
    "gatvė"
)
_UNIT_WORDS = Needles(
    *listed(
        "apt|apartment|suite|ste.|flat|p.o. box|po box|p.o box|post office box|psc|unit|appt|whg|apo |fpo |"
        "dpo |uss |usns |usnv |uscgc "
    )
)
_UNITS = re.compile(
    r"(?:apt\.?|apartment|suite|ste\.|flat|p\.? ?o\.? box|post office box|psc|unit \d{2,5},? "
    r"box|box \d{1,5},? ?\s?(?:[fad]po)|appt\.?|piso|whg\.?)"
    r" ?#?(?:no\.? ?)?\d{1,5}\b",
    re.IGNORECASE,
)
_MILITARY = re.compile(
    r"(?:[AFD]PO,? ?(?:A[AEP] \d{5}|AP \d{5})|PSC \d{2,5},? Box \d{1,5}|Unit \d{2,5},? Box "
    r"\d{1,5}|(?:USS|USNS|USNV|USCGC) [A-Z][\w-]+)",
    re.IGNORECASE,
)
_UK = re.compile(
    r"\b(?:A[BL]|B[ABDHLNRST]?|C[ABFHMORTVW]|D[ADEGHLNTY]|E[CHNX]?|F[KY]|G[LUY]?|H[ADGPRSUX]|"
    r"I[GMPV]|JE|K[ATWY]|L[ADELNSU]?"
    r"|M[EKL]?|N[EGNPRW]?|O[LX]|P[AEHLOR]|R[GHM]|S[AEGKLMNOPRSTWY]?|T[ADFNQRSW]|UB|"
    r"W[ACDFNRSV]?|YO|ZE)\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b"
)
_CANADA = re.compile(r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b")
_ZIP = re.compile(
    r"\b[A-Z][a-z]+,? (?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|"
    r"N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]"
    r"|W[AIVY]) \d{5}\b"
)
_ANNOUNCED = Needles(
    *listed(
        "live at|lives at|live on|lives on|living at|located at|address is|address to|address:|address :|"
        "ship it to|ship to|deliver to|delivered to|deliver it to|moved to|taxi to|meet me at|meet you at|"
        "arrived at|offices are located at|office is at|restaurant is at|located on|residing at|resides at|"
        "home at|house at|send it to|sent to|mailed to|corner of|drop me off at|pick me up at|wohne in|"
        "wohnt in|adresse:|anschrift:|dirección:|vivo en|vive en|habite au|habite à|indirizzo:|abito in|"
        "endereço:|moro na|адрес:|живу|地址|住所|address|stop at|off at|here they are:|is located in|it's in|"
        "street is|enter on|office at|based at"
    )
)
_HOUSE = re.compile(
    rf"[\s:,'\"\-]{{0,12}}(?:is |to |the |it is |will be |of |at |now ){{0,3}}(?:[\s:]{{0,10}})"
    rf"(?P<place>(?:\d{{1,5}}[A-Za-z]?(?:[ /\-]\d{{1,5}})?,?\s{{1,2}}(?:{_NAME} ){{0,2}}{_CAP}|"
    rf"\d{{2,6}} (?:{_NAME} ){{1,3}}\d{{1,4}}|\d{{1,5}} \d{{1,5}} (?:{_NAME} ?){{1,2}}|(?:{_CAP}[ ,]{{1,2}}|de |"
    rf"la |der |van |den |af "
    rf"){{1,5}}\d{{1,5}})\b)"
)
# "9791 Markt 84", "5570 Kaarikatu 32": a number on both sides of a name in capitals.
_TWICE = re.compile(
    rf"(?<![\w.,:/\-])\d{{2,6}} (?:{_CAP} ){{0,3}}[^\W\d_a-z][\w'’.\-]{{3,30}} "
    rf"\d{{1,4}}(?![\w%:/]|\.\d)"
)
# A name and a house number behind a word for where: "is on Pod Lipami 1677", "side of Joaquín Suárez 2906".
_NAME_NUMBER = re.compile(
    r"(?<![\w.])(?:on|of|at|to|near|is|and|opposite|behind|outside|along|in der|am|an der|en|sur|auf)"
    rf" (?:the )?(?P<place>(?:\d{{2,6}} )?(?:(?:{_CAP}|de|la|del|der|van|den|af|na|pod|di|da|"
    rf"do) ){{0,3}}(?P<last>[^\W\d_a-z][\w'’\-]{{4,30}}) "
    rf"(?P<number>\d{{2,4}}[a-d]?)(?: St\b)?)(?=[.,;!?)\"]|\n|$| (?:in|and|to|for|which|because|where|by|near|at)\b)"
)
_COUNTED = re.compile(
    r"(?i:jan|feb|mar(?:ch|s)|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|okt|dez|apollo|boeing|airbus|channel|"
    r"route|windows|"
    r"chapter|psalm|formula|section|article|python|version|grade|table|figure|volume|episode|season|bowl|olympi|"
    r"euro|class|"
    r"level|block|gate|room|highway|interstate|area|studio|station|terminal|platform|pages?|part|group|unit|"
    r"phase|type|model|"
    r"ryzen|snapdragon|geforce|radeon|xbox|playstation|galaxy|iphone|pentium|title|regulation|directive|"
    r"resolution|exodus|"
    r"genesis|isaiah|corinthians|step|number|line|question|problem|exercise|example|equation|theorem|lemma|"
    r"answer|option|"
    r"world|cup|expo|summer|winter|spring|fall|war|act|scene|opus|symphony|sonata|concerto|catch|fahrenheit|"
    r"ferrari|porsche|"
    r"mercedes|audi|peugeot|renault|toyota|nasdaq|fortune|forbes|russell|nikkei|django|angular|ubuntu|debian|"
    r"fedora|office|"
    r"photoshop|internet|covid|agenda|vision|century|district|bundesliga|serie|legion|regiment|division|"
    r"battalion|flight|"
    r"train|mission|voyager|soyuz|space|sputnik|grand|prix|tour|issue|ticket|pull|request|january|february|"
    r"december|mach|"
    r"mark|mk|pro|max|ultra|lumia|pixel|core|celsius|kelvin|psalms|hymn|canon|rule|order|proposition|amendment|"
    r"union|local)"
)
_DIGIT = re.compile(r"\d")
_MONTHS = re.compile(
    r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|okt|dez|minutes|hours|days|chapter|"
    r"page|version|python|apollo|boeing|airbus|act |scene|world|war|series|model|windows|"
    r"iphone|max ",
    re.IGNORECASE,
)


# Where one of the forms may stand, in a text whose digits are 0 and whose letters are a and A.
_NUMBER_FIRST = re.compile(rb"0(?:[aA]?[ ,/\-]{1,2}(?:0{1,6}[ ,]{1,2})?[aAU]|\s{1,2}[aAU]|A(?=[A0 ]))")
_NUMBER_LAST = tuple(
    re.compile(form + rb"00{0,4}(?!0|[.,]0)") for form in (rb" ", rb"\.", rb":", rb"U")
)  # "Weg 12", "Str.12", and scripts that put no space before
_GAPS = b" .:,)0"
_STATE = re.compile(rb"AA 00000(?!0)")


def find_street_addresses(scan: Scan) -> Iterator[Span]:
    shape = scan.shape
    for match in _NUMBER_FIRST.finditer(shape):
        end = match.start() + 1
        start = end - 1
        while start and shape[start - 1] == 48 and end - start <= 6:
            start -= 1
        if end - start <= 6:
            yield from _at_number(scan, start, end)
    for match in _STATE.finditer(shape):
        if found := _ZIP.search(scan.text, max(0, match.start() - 40), match.end()):
            yield Span(found.start(), found.end(), "address")
    for form in _NUMBER_LAST:
        for match in form.finditer(shape):
            start, end = match.start() + 1, match.end()
            if shape[max(0, start - 3) : start].strip(_GAPS):
                yield from _numbered_way(scan, start, end)
                yield from _named_place(scan, start, end)
    yield from _units(scan)
    yield from _ways_first(scan)


def _at_number(scan: Scan, start: int, end: int) -> Iterator[Span]:
    """Forms that begin with the number, and postcodes in which it stands."""
    text = scan.text
    after = text[end : end + 2]
    if after[:1].isspace() or after[1:].isspace() or after[:1] in ("-", "/", ","):
        if (match := _ENGLISH.match(text, start)) and _is_way(match.group()):
            yield Span(start, match.end(), "address")
        if (
            (match := _TWICE.match(text, start))
            and not match.group().split()[-2][0].islower()
            and not _MONTHS.search(match.group())
        ):
            yield Span(start, match.end(), "address")
    elif after[:1].isupper():
        for pattern in (_UK, _CANADA):
            if match := pattern.search(text, max(0, start - 5), start + 8):
                yield Span(match.start(), match.end(), "address")


def _ways_first(scan: Scan) -> Iterator[Span]:
    text = scan.text
    for begin, place in scan.at(_FIRST):
        if house := _NUMBERED.search(text[max(0, begin - 9) : begin]):
            if text[place : place + 12].strip()[:1].isalpha():
                yield Span(begin - len(house.group()), place, "address")
        elif (named := _NAMED.match(text, place)) and (
            named.group()[0].isupper() or not (text[begin].islower() or scan.low[begin:place] in _OTHERWISE)
        ):
            yield Span(begin, named.end(), "address")


def _numbered_way(scan: Scan, start: int, end: int) -> Iterator[Span]:
    front = scan.before(start, 40)
    if front.rstrip(" .:").endswith(_NUMBER_WORDS):
        front = _HOUSE_NUMBER.sub("", front)
    begins = start - len(scan.before(start, 40))
    name = front.rstrip(" ")
    if name and (name[-1] > "\u2e7f" or "\u0900" <= name[-1] <= "\u0dff"):
        if match := _EASTERN.search(scan.text, max(0, start - 18), end + 8):
            yield Span(match.start(), match.end(), "address")
        return
    if len(front) - len(name) in (0, 1, 2) and name.endswith(_LAST):
        cut = name.rfind(" ") + 1
        if len(name) - cut < 5 or not scan.text[begins + cut : begins + cut + 1].isupper():
            cut = name.rfind(" ", 0, max(0, cut - 1)) + 1  # "kapu" or "út" behind the name
        words = name[cut:]
        numbered_before = name[:cut].rstrip()[-1:].isdigit()
        named = scan.text[begins + cut : begins + cut + 1].isupper() and len(words) > 3
        if named or numbered_before or (words.endswith(_PLAINLY) and len(words) > 7):
            yield Span(begins + cut, end, "address")


# Of these, a name in small letters is one too.
_PLAINLY = listed(
    "straße|strasse|gasse|gracht|straat|chaussee|brücke|caddesi|sokak|ulice|utca| út|gatan|vägen|allee|platz|plein"
)
_NUMBER_WORDS = listed(",|no|nr|n°|nº|num|nummer|número|numéro|д|дом")
_HOUSE_NUMBER = re.compile(r"(?:,? ?\b(?:no|nr|n°|nº|num|nummer|número|numéro|д|дом)[.:]? ?|, ?)$")
_EASTERN = re.compile(
    r"[\u4e00-\u9fff]{2,10}(?:路|街|道|巷|弄|段|里)\d{1,5}(?:号|號|弄|之|-|巷|栋)|[\u4e00-\u9fff]{2,8}(?:村|小区|大厦|"
    r"花园)\d{1,4}(?:号|号楼|栋|室)"
    r"|[都道府県市区町村郡][\u3040-\u30ff\u4e00-\u9fff]{0,10}\d{1,4}(?:丁目|番地|番|-\d{1,4})|"
    r"〒?\d{3}-\d{4}[ \n]?[\u4e00-\u9fff]"
    r"|[\uac00-\ud7a3]{2,10}(?:로|길|동|가)\s?\d{1,4}(?:-\d{1,4})?(?:번길|번지|호)?(?![\d.,]|[월일년시분개명원])"
    r"|(?:मकान नंबर|मकान नं\.?|घर नंबर|गली नंबर|फ्लैट)\s?\d{1,5}"
)


def _units(scan: Scan) -> Iterator[Span]:
    for start, _ in scan.at(_UNIT_WORDS):
        match = _UNITS.match(scan.text, start) or _MILITARY.match(scan.text, start)
        if match:
            yield Span(start, match.end(), "address")


_COMMON = frozenset(
    [
        "way",
        "point",
        "place",
        "run",
        "row",
        "close",
        "court",
        "drive",
        "hill",
        "green",
        "walk",
        "loop",
        "rise",
        "route",
        "square",
        "parade",
        "ridge",
        "heights",
        "terrace",
        "pike",
        "st",
        "dr",
        "ct",
        "pl",
        "ter",
        "ave",
        "circle",
        "plaza",
        "alley",
        "trail",
        "bypass",
        "grove",
        "street",
        "road",
        "lane",
    ]
)


def _is_way(found: str) -> bool:
    """ "3 times the way" is none: words for a way that mean other things want a capitalised name in front."""
    words = found.split()
    way = words[-1].rstrip(".").lower()
    name = [w for w in words[1:-1] if not w[0].isdigit()]
    if not name or any(w.lower() in _NOT_NAMES for w in name):
        return False
    return name[-1][0].isupper() or (way not in _COMMON and name[-1][0].isupper())


_NOT_NAMES = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "in",
        "to",
        "and",
        "or",
        "is",
        "are",
        "was",
        "were",
        "per",
        "each",
        "every",
        "any",
        "all",
        "that",
        "this",
        "from",
        "for",
        "with",
        "on",
        "at",
        "times",
    ]
)


def _named_place(scan: Scan, start: int, end: int) -> Iterator[Span]:
    """A capitalised name with a house number, behind a word for where."""
    if not 2 <= end - start <= 4 or "1700" <= scan.text[start:end] <= "2035" or scan.text[start - 1] != " ":
        return
    word = scan.text.rfind(" ", max(0, start - 34), start - 1) + 1
    if not scan.text[word : word + 1].isupper() or start - word < 6:
        return
    match = _NAME_NUMBER.search(scan.text, max(0, start - 72), min(len(scan.text), end + 10))
    if match and match.start("number") == start and not _COUNTED.search(match["place"]):
        yield Span(*match.span("place"), "address")


def find_announced_addresses(scan: Scan) -> Iterator[Span]:
    for _, place in scan.at(_ANNOUNCED):
        if not _DIGIT.search(scan.text, place, place + 70):
            continue
        if match := _HOUSE.match(scan.text, place):
            found = match["place"]
            if not _MONTHS.search(found) and "0x" not in found:
                yield Span(match.start("place"), match.end("place"), "address")
