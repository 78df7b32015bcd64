"""For the strict point only: names of people, places and organisations, dates and ages, alone. Mostly public ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

# Two letters or more, the first one a capital: of any script that has capitals. [^\W\d_] is a letter.
_CAPITALISED = re.compile(r"(?<![\w'’@#$&/\\.\-])(?![a-zß-öø-ÿ])[^\W\d_][\w'’\-]{1,40}")
_BEFORE = re.compile(r"(?:^|[.!?:;\n\r>*#|•]|[.!?]['\"”)])[\s\"'“(\[*_\-–—]{0,6}$")
# Words that begin sentences of tasks, and what is written with a capital though it names nobody.
_COMMON = frozenset(
    listed(
        "a|an|and|are|as|at|be|but|by|can|could|did|do|does|for|from|had|has|have|he|her|here|his|how|i|if|in|"
        "is|it|its|just|let|may|me|might|more|most|must|my|no|not|now|of|on|one|or|our|out|please|shall|she|"
        "should|so|some|such|than|that|the|their|them|then|there|these|they|this|those|to|too|two|under|until|"
        "up|us|very|was|we|well|were|what|whats|what's|when|where|wheres|where's|which|while|who|whom|whose|"
        "whos|who's|why|will|with|would|yes|yet|you|your|youre|you're|i'm|i've|i'll|i'd|it's|that's|let's|"
        "don't|doesn't|isn't|can't|he's|she's|they're|we're|there's|here's|how's|also|although|always|another|"
        "any|anyone|anything|because|been|before|being|below|between|both|during|each|either|else|even|every|"
        "everyone|everything|few|finally|first|second|third|fourth|fifth|last|next|previous|given|however|"
        "indeed|instead|later|less|like|many|maybe|meanwhile|much|never|neither|none|nor|nothing|often|once|"
        "only|other|others|over|perhaps|rather|same|several|since|someone|something|sometimes|soon|still|"
        "suppose|therefore|though|three|four|five|six|seven|eight|nine|ten|through|thus|together|toward|"
        "unless|unlike|upon|usually|whatever|whenever|whether|within|without|above|about|across|after|again|"
        "against|ago|all|almost|along|already|among|around|away|back|down|far|high|low|near|off|onto|past|per|"
        "plus|towards|via|add|answer|ask|assume|break|build|bring|call|change|check|choose|classify|clean|"
        "come|compare|complete|compute|consider|continue|convert|copy|correct|count|create|debug|define|"
        "delete|describe|design|determine|develop|discuss|divide|draw|edit|estimate|evaluate|examine|expand|"
        "explain|extract|fill|filter|find|fix|follow|format|generate|get|give|go|group|help|hello|hi|hey|dear|"
        "thanks|thank|regards|sincerely|identify|ignore|imagine|implement|improve|include|insert|install|join|"
        "keep|know|learn|leave|list|look|make|match|measure|merge|mix|move|multiply|name|need|note|open|"
        "optimize|order|organize|outline|parse|pick|plan|play|predict|prepare|print|produce|propose|prove|"
        "provide|put|rank|read|recommend|reduce|refactor|remember|remove|rename|repeat|replace|reply|report|"
        "research|return|review|rewrite|round|run|save|say|search|see|select|send|separate|set|share|show|"
        "simplify|solve|sort|start|state|stop|store|study|sum|suggest|summarize|support|switch|take|talk|tell|"
        "test|think|track|train|transform|translate|try|turn|type|understand|update|use|using|verify|visit|"
        "wait|walk|want|watch|work|write|analyze|analyse|argue|arrange|brainstorm|calculate|categorize|apple|"
        "apples|bake|boil|cook|data|day|days|example|examples|example's|everyone's|figure|file|files|fun|"
        "function|class|classes|code|people|person|problem|question|questions|questions:|rain|results|room|"
        "school|story|student|students|table|task|tasks|text|time|times|today|tomorrow|tonight|yesterday|user|"
        "users|value|values|water|week|weeks|year|years|money|food|book|books|house|home|family|friend|"
        "friends|man|men|woman|women|child|children|boy|girl|mother|father|mom|dad|brother|sister|son|"
        "daughter|doctor|nurse|teacher|boss|customer|company|team|error|warning|info|todo|fixme|input|output|"
        "instructions|context|summary|title|chapter|section|page|part|step|option|options|total|average|"
        "number|numbers|names|email|phone|address|date|price|cost|new|old|good|great|best|big|small|long|"
        "short|full|free|main|real|true|false|null|morning|evening|night|afternoon|happy|sorry|ok|okay|oh|wow|"
        "sure|right|left|import|public|private|static|void|def|const|var|int|float|string|bool|json|xml|html|"
        "css|sql|http|https|url|api|id|pdf|csv|ascii|utf|usa"
    )
)
_ACRONYM = re.compile(r"[A-Z]{1,2}\d*|[A-Z0-9_]{2,40}")
_SHOUTED = re.compile(r"[A-ZÀ-Þ]{4,}")
_IN_CODE = re.compile(r"[a-z][A-Z]|_|\d")


def find_names(scan: Scan) -> Iterator[Span]:
    """Capitalised words that no sentence asks for, and those that begin a sentence and are no common word."""
    text = scan.text
    for match in _CAPITALISED.finditer(text):
        start, end = match.span()
        word = match.group()
        if not word[0].isupper():
            continue
        if _ACRONYM.fullmatch(word):
            if not _SHOUTED.fullmatch(word) or text[end : end + 1] in "_(=[" or word.lower() in _COMMON:
                continue
        elif _IN_CODE.search(word) or text[end : end + 1] in ("(", "[", "=", "_", "<"):
            continue
        plain = word.lower().rstrip("'’")
        if plain in _COMMON or plain.removesuffix("'s").removesuffix("’s") in _COMMON:
            continue
        yield Span(start, end, "name")


# In small letters: what people write about themselves.
_PLACES = Needles(
    *listed(
        "afghanistan|argentina|australia|austria|bangladesh|belgium|brazil|britain|england|scotland|wales|"
        "bulgaria|canada|"
        "chile|china|colombia|croatia|cuba|cyprus|czech|denmark|egypt|estonia|ethiopia|finland|france|germany|"
        "ghana|greece|"
        "hungary|iceland|india|indonesia|iran|iraq|ireland|israel|italy|japan|kenya|korea|latvia|lebanon|lithuania|"
        "luxembourg|malaysia|mexico|morocco|nepal|netherlands|new zealand|nigeria|norway|pakistan|peru|"
        "philippines|poland|"
        "portugal|romania|russia|saudi|serbia|singapore|slovakia|slovenia|south africa|spain|sweden|switzerland|syria|"
        "taiwan|thailand|tunisia|turkey|uganda|ukraine|united states|united kingdom|uruguay|venezuela|vietnam|"
        "london|paris|"
        "berlin|madrid|rome|new york|tokyo|moscow|vienna|amsterdam|dublin|lisbon|warsaw|prague|budapest|copenhagen|"
        "stockholm|oslo|helsinki|istanbul|beijing|shanghai|mumbai|delhi|sydney|toronto|chicago|boston|los angeles|"
        "african|american|arab|asian|australian|austrian|belgian|brazilian|british|bulgarian|canadian|chinese|croatian|"
        "danish|dutch|egyptian|english|estonian|european|finnish|french|german|greek|hungarian|icelander|"
        "icelandic|indian|"
        "iranian|irish|israeli|italian|japanese|korean|latvian|lithuanian|mexican|norwegian|pakistani|polish|"
        "portuguese|"
        "romanian|russian|scottish|serbian|slovak|slovene|spanish|swedish|swiss|syrian|thai|turkish|ukrainian|"
        "vietnamese|"
        "christian|muslim|jewish|hindu|buddhist|catholic|protestant|republican|democrat|greenland|lives in|live in|"
        "living in|moved to|moved here from|born in|grew up in|i work at|i work for|works at|works for|"
        "employed by|my name is|"
        "name's|called me|my boss|my husband|my wife|maiden name|last name|first name|full name|surname|"
        "nickname|zip|zip code|"
        "postcode|postal code|plz|code postal|www.|http://|https://|mr |mrs |ms |dr |prof |my website|my blog"
    ),
    strict=True,
)
_FORENAMES = Needles(
    *listed(
        "james|john|robert|michael|william|david|richard|joseph|thomas|charles|christopher|daniel|matthew|anthony|mark|"
        "donald|steven|paul|andrew|joshua|kenneth|kevin|brian|george|edward|ronald|timothy|jason|jeffrey|ryan|"
        "jacob|gary|"
        "nicholas|eric|jonathan|stephen|larry|justin|scott|brandon|benjamin|samuel|gregory|frank|alexander|"
        "raymond|patrick|"
        "jack|dennis|jerry|mary|patricia|jennifer|linda|elizabeth|barbara|susan|jessica|sarah|karen|lisa|nancy|betty|"
        "margaret|sandra|ashley|kimberly|emily|donna|michelle|carol|amanda|dorothy|melissa|deborah|stephanie|rebecca|"
        "sharon|laura|cynthia|kathleen|amy|angela|shirley|anna|brenda|pamela|emma|nicole|helen|samantha|"
        "katherine|christine|"
        "debra|rachel|carolyn|janet|catherine|maria|heather|diane|ruth|julie|olivia|joyce|virginia|victoria|"
        "kelly|lauren|"
        "christina|joan|evelyn|judith|megan|andrea|cheryl|hannah|jacqueline|martha|gloria|teresa|ann|sara|"
        "madison|frances|"
        "kathryn|janice|jean|abigail|alice|julia|judy|sophia|grace|denise|amber|doris|marilyn|danielle|beverly|"
        "isabella|"
        "theresa|diana|natalie|brittany|charlotte|marie|kayla|alexis|lori|hans|peter|klaus|jürgen|wolfgang|"
        "ursula|monika|"
        "petra|sabine|stefan|andreas|martin|pierre|jacques|françois|luis|carlos|juan|jose|josé|miguel|antonio|"
        "francisco|"
        "pedro|ana|carmen|luca|marco|giovanni|giulia|francesca|jan|piotr|anna|katarzyna|ivan|sergei|olga|natasha|ahmed|"
        "mohammed|muhammad|ali|fatima|aisha|mehmet|ayşe|mustafa|wei|li na|hiroshi|yuki|kenji|min-jun|raj|priya|"
        "amit|anita"
    ),
    strict=True,
)
_LOOSE_TAIL = re.compile(r"[a-zà-ÿ]")
_TIMES = Needles(
    *listed(
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday|montag|dienstag|mittwoch|donnerstag|freitag|"
        "samstag|sonntag|"
        "lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lunes|martes|miércoles|jueves|viernes|sábado|"
        "domingo|christmas|"
        "easter|halloween|thanksgiving|ramadan|new year|january|february|april|june|july|august|september|"
        "october|november|"
        "december|januar|februar|märz|juni|juli|oktober|dezember|janvier|février|avril|juin|juillet|août|"
        "septembre|octobre|"
        "décembre|enero|febrero|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|января|"
        "февраля|марта|"
        "апреля|июня|июля|августа|сентября|октября|ноября|декабря"
    ),
    strict=True,
)
# Months that are words or pieces of words too, with a number beside them.
_SHORT = Needles(*listed("jan|feb|mar|march|apr|may|mai|jun|jul|aug|sep|sept|oct|nov|dec|okt|dez"), strict=True)
_BESIDE = re.compile(
    r"\b\d{1,2}(?:st|nd|rd|th)?\.? (?:of )?\w{3,5}\.?(?:[\s,]|$)|\w{3,5}\.?,? \d{1,4}\b|\b(?:in|of|by|since|"
    r"until|last|next|this) \w{3,5}\b"
)
_YEARS = re.compile(rb"0(?<![0aAU._\-]0)000(?![0aAU_]|\.0)")
_DATES = re.compile(rb"0(?<!00)0{0,3}(?:[./\-]00?[./\-]00{0,3}|U00?U)")
_AGES = Needles(
    *listed(
        "years old|year old|years-old|year-old|yrs old|yr old|y/o|yo |years of age|year of age|months old|aged|"
        "age |age:|turn |"
        "turned|turns|i am |i'm |he is |he's |she is |she's |just turned|under the age|jahre|ans|años|anni|anos|"
        "jaar|lat|лет|"
        "yaşında|歳|岁|세|살|in my |in his |in her "
    ),
    strict=True,
)
_AGE = re.compile(
    r"\b\d{1,3}[ \-]?(?:years?|yrs?|y/?o|months?|jahre|ans|años|anni|anos|jaar|lat|лет|yaşında|歳|岁|세|살)|"
    r"(?:age[ds]?|turn(?:ed|s|ing)?|"
    r"i am|i'm|he is|he's|she is|she's|age of|just|in my|in his|in her)(?: the age of)?[: ]{1,2}\d{1,3}(?:\b|s\b)"
)


def find_places_and_peoples(scan: Scan) -> Iterator[Span]:
    """Countries, cities, peoples and common forenames in small letters, and words that announce a name or a place."""
    for needles in (_PLACES, _FORENAMES):
        for start, end in scan.at(needles):
            behind = scan.low[end : end + 1]
            if needles is _PLACES or not behind.isalnum():
                if scan.low[end - 1].isalnum() and _LOOSE_TAIL.match(behind) and not scan.low.startswith("s", end):
                    continue
                yield Span(start, end, "name" if needles is _FORENAMES else "place")


def find_times(scan: Scan) -> Iterator[Span]:
    """Dates, years, week days and ages."""
    for start, end in scan.at(_TIMES):
        yield Span(start, end, "date")
    for start, end in scan.at(_SHORT):
        if _BESIDE.search(scan.low, max(0, start - 14), end + 6) and not scan.low[end : end + 1].isalpha():
            yield Span(start, end, "date")
    for match in _YEARS.finditer(scan.shape):
        if "1500" <= scan.text[match.start() : match.end()] <= "2099":
            yield Span(match.start(), match.end(), "date")
    for match in _DATES.finditer(scan.shape):
        yield Span(match.start(), match.end(), "date")
    for start, end in scan.at(_AGES):
        if match := _AGE.search(scan.low, max(0, start - 5), end + 12):
            yield Span(match.start(), match.end(), "age")
