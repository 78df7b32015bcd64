"""What the local scorer sees of a text: hashed words and pairs of words, and the shape of the text.

Pure Python without numpy. The same function serves training and use, so the two cannot drift apart. At most HEAD + TAIL
characters are read, whatever the length: instructions stand in front of a document or behind it.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from zlib import crc32

HEAD, TAIL = 900, 450  # characters
BUCKETS = 1 << 15
VERSION = 5  # raised whenever a feature changes its meaning: old weights are refused then

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][a-z]{1,2})?|\d+|[^\w\s]")
_CODE_LINE = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|return\b|for ?\(|if ?\(|while ?\(|public |"
    r"private |static |const |let |var |function\b"
    r"|#include|package |using |fn |func |SELECT |INSERT |UPDATE |CREATE |\}|\{|else|elif |"
    r"try:|except|@\w+|console\.|print\()",
    re.MULTILINE,
)
# Plain searches where a pattern would begin anywhere: these are the dearest of all otherwise.
_TRACES = (
    *(
        "Traceback (most recent",
        "Error: ",
        "Exception",
        "\n    at ",
        "panic:",
        "egfault",
        "egmentation fault",
        'File "',
    ),
    *("undefined reference", "error[E", "npm ERR!", "error TS", "exit code", "stack trace", "Stack trace"),
)
_DIFF = re.compile(r"^(?:@@ .{1,60}@@|diff --git |[+-]{3} [ab]/|[+-](?![+-])\s*\S.{0,200}$)", re.MULTILINE)
_TURN = re.compile(
    r"^(?:[^\W\d_][\w .'()]{0,40}: |[^\W\d_][\w .]{0,30} (?:said|wrote|says|asked)[,:] ?|"
    r"\[?\d{1,2}:\d\d)",
    re.MULTILINE,
)
_STAMP = re.compile(r"\d(?:\d?:\d\d ?[ap]m\b|\d? [A-Z][a-z]{2,8},? (?:19|20)\d\d|\d{3}-\d\d-\d\d)")
_TOOLS = ('"name"', '"parameters"', '"arguments"', "available tools", "functions:", "tools:", " api", "endpoint")
_CALLS = ("(", "_", "==", "!=", "=>", "->", "::", ";\n")
_LISTED = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s", re.MULTILINE)
_SPEC = re.compile(r"^(?:Example|Input|Output|Constraints|Explanation)\b", re.MULTILINE)
_ENDS = frozenset(".!?。？！")
_OPENERS = frozenset('.?!:"“”')
_SPACES = re.compile(r"\n\s*\n")

_LEXICON: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "question": "what which who whom whose when where how why was wer wann wo wie warum welche que qué "
        "quién cuándo dónde cómo "
        "cuál quel quelle qui quand où comment pourquoi combien che chi quando dove come perché "
        "qual quem onde что кто когда где как почему",
        "who_what": "who what which whose name called known capital author invented discovered wrote located "
        "definition mean means",
        "amount": "many much total altogether left remaining each per every twice half double times more "
        "fewer less sum average "
        "difference cost costs percent ratio how wieviel viele cuántos cuántas combien quanti",
        "logic": "if then clue clues prove proof therefore implies exactly neither either must "
        "probability puzzle logic step steps "
        "deduce infer true false suppose assume given knights knaves argument consistent minimum "
        "maximum optimal tradeoff",
        "code_make": "write implement create function program script code class method python java javascript "
        "sql regex api html css "
        "rust golang typescript algorithm component bash refactor build generate schreibe "
        "escribe écris funktion función fonction array "
        "string integer list nums input output returns constraints example",
        "code_see": "fix bug review debug debugging wrong error fails failing failed crash crashes broken "
        "faulty incorrect problem issue "
        "exception traceback expected actual test tests pr diff patch lint leak security smell "
        "critique optimise optimize fehler revisa",
        "sum_up": "summarize summarise summary summaries tldr tl dr recap condense shorten abstract gist "
        "bullet bullets overview key "
        "points takeaways minutes zusammenfassen zusammenfassung fasse resume resumen resumir "
        "résume résumé riassumi riassunto boil "
        "compress highlights synopsis outline digest concise brief",
        "recall": "remember recall remind earlier previously mentioned told said discussed last "
        "conversation conversations memory "
        "memories facts fact speaker speakers session sessions persona profile preferences "
        "before ago talked remembered forget store "
        "note insights reflect reflection observations observation merke erinnerst recuerdas souviens forgot",
        "fresh": "today tonight yesterday tomorrow current currently latest recent recently newest now "
        "this week month year breaking "
        "news live update updates upcoming released announced price prices stock score weather "
        "forecast happening trending heute aktuell "
        "neueste hoy actual últimas aujourd'hui actuel dernières oggi hoje agora сегодня сейчас "
        "новости so far still as",
        "seek": "search find look google web online source sources cite citations links link website "
        "internet research compare url "
        "article articles report reports browse",
        "act": "set turn play book call send schedule order remind add delete create open close start "
        "stop pause cancel text email "
        "message transfer pay buy reserve dim lock unlock switch change increase decrease raise "
        "lower mute skip post upload convert "
        "check get fetch retrieve show give list update subscribe register generate track put "
        "make calendar alarm timer reminder "
        "playlist lights thermostat volume flight hotel appointment meeting account stelle "
        "schalte pon enciende allume mets",
        "device": "alarm timer lights light volume thermostat calendar reminder playlist song music tv "
        "speaker phone car room kitchen "
        "list todo shopping inbox bluetooth wifi camera door garage",
        "me": "i me my mine we our us i'm i've i'd ich mein meine mi mis je mon ma",
        "you": "you your yours du dein tu ton usted",
        "polite": "please could can would bitte por favor pouvez kannst puedes help need want like",
        "person": "he she his her him they their them john mary maria james",
        "talk": "said hey hi hello wow thanks yeah okay oh great lol haha um uh",
        "explain": "explain why because describe difference between difference mean work works",
    }.items()
}
_NAMES = tuple(_LEXICON)
# The lexicons by word: one look-up for a word of the text instead of one for each lexicon.
_PLACES: dict[str, tuple[int, ...]] = {
    word: tuple(place for place, words in enumerate(_LEXICON.values()) if word in words)
    for word in frozenset[str]().union(*_LEXICON.values())
}
_EXTRA = (
    *(
        "bias",
        "log_chars",
        "short",
        "lines",
        "long_lines",
        "question_end",
        "question_start",
        "has_question",
        "numbers",
        "years_old",
    ),
    *(
        "years_new",
        "caps",
        "one_name",
        "two_names",
        "code_lines",
        "fence",
        "trace",
        "diff",
        "turns",
        "stamps",
        "tools",
        "calls",
        "lists",
    ),
    *(
        "quotes",
        "braces",
        "indent",
        "paragraphs",
        "windowed",
        "code_then_ask",
        "turns_dense",
        "imperative_start",
        "ask_words_only",
    ),
    *("math", "url", "non_ascii", "amount_numbers", "name_past"),
    *(
        "sentences",
        "one_sentence",
        "one_question",
        "story_question",
        "no_amount_question",
        "spec",
        "spec_no_code",
        "code_complaint",
    ),
    *("text_given", "turns_long", "i_need", "fresh_question", "old_question"),
)
DENSE = (*_NAMES, *(f"start_{n}" for n in _NAMES), *(f"end_{n}" for n in _NAMES), *_EXTRA)
_PAST = frozenset(["did", "was", "were", "has", "had", "have", "does", "is"])


def window(text: str) -> str:
    """The part of a text that is read."""
    return text if len(text) <= HEAD + TAIL else text[:HEAD] + "\n" + text[-TAIL:]


def extract(text: str) -> tuple[list[float], list[int]]:
    """(one number for each of DENSE, the buckets of the hashed words and pairs that occur)."""
    view = window(text)
    pieces = view.split()
    raw: list[str] = []
    for piece in pieces:
        # A token never crosses white space, and most pieces are words.
        if piece.isalpha():
            raw.append(piece)
        else:
            raw += _TOKEN.findall(piece)
    words = [t.lower() for t in raw]
    capitals = [i for i, t in enumerate(raw) if t[0].isupper()]
    digits = [i for i, t in enumerate(raw) if t[0].isdigit()]
    sentences = len([p for p in pieces if p[-1] in _ENDS])
    dense = _dense(text, view, raw, words, capitals=capitals, digits=digits, sentences=sentences)
    return dense, _hashed(raw, words, capitals, digits)


def is_fresh(text: str) -> bool:
    """Whether a word of the text asks for the present: today, latest, price, or a year from 2021 on."""
    words = {t.lower() for t in _TOKEN.findall(window(text))}
    return bool(words & _LEXICON["fresh"]) or any(len(w) == 4 and "2021" <= w < "2040" for w in words)


def _hashed(raw: list[str], words: list[str], capitals: list[int], digits: list[int]) -> list[int]:
    """Buckets of single words, pairs, and the words an instruction begins and ends with.

    Names and numbers count as kinds, not as themselves: which name it is belongs to the source, not to the intent.
    """
    shaped = words.copy()
    for place in capitals:
        if place and len(raw[place]) > 1 and words[place - 1] not in _OPENERS:
            shaped[place] = "<NAME>" if raw[place].isupper() else "<Name>"
    for place in digits:
        word = words[place]
        shaped[place] = "<year>" if len(word) == 4 and word[:2] in ("19", "20") else f"<{min(len(word), 4)}>"
    coded = {word: word.encode("utf-8", "surrogatepass") for word in shaped}
    # A checksum goes on where another ended, so a pair costs no text of its own.
    begun = {word: crc32(code + b" ") for word, code in coded.items()}
    sums = {crc32(code) for code in coded.values()}
    sums.update([crc32(coded[b], begun[a]) for a, b in set(pairwise(shaped))])
    sums.update([crc32(b"^" + coded[a]) for a in shaped[:6]])
    sums.update([crc32(coded[a] + b"$") for a in shaped[-6:]])
    if len(shaped) > 1:
        sums.add(crc32(b"^^" + coded[shaped[0]] + b" " + coded[shaped[1]]))
    foreign = [w for w in coded if not w.isascii()]
    if foreign and not is_spaced(foreign):
        parts = {w[i : i + 2] for w in foreign for i in range(len(w) - 1)}
        sums.update([crc32(part.encode("utf-8", "surrogatepass")) for part in parts])
    return [found & (BUCKETS - 1) for found in sums]


def is_spaced(words: list[str]) -> bool:
    """Whether the script puts spaces between words; where it does not, pairs of characters stand for words."""
    return all(len(w) <= 24 and not "\u3040" <= w[0] <= "\u9fff" for w in words)


def _shares(words: set[str], full: int) -> list[float]:
    """For each lexicon, how many of its words are here: 1.0 from `full` on."""
    counts = [0] * len(_NAMES)
    for word in words:
        for place in _PLACES.get(word, ()):
            counts[place] += 1
    return [min(count / full, 1.0) for count in counts]


def _at_lines(pattern: re.Pattern[str], view: str, begins: list[int]) -> int:
    """Matches of a pattern that begins with ^, which re would try at every character."""
    found = done = 0
    for begin in begins:
        if begin >= done and (match := pattern.match(view, begin)):
            found, done = found + 1, match.end()
    return found


def _line_begins(view: str) -> list[int]:
    begins = [0]
    place = view.find("\n")
    while place >= 0:
        begins.append(place + 1)
        place = view.find("\n", place + 1)
    return begins


def _dense(
    text: str,
    view: str,
    raw: list[str],
    words: list[str],
    *,
    capitals: list[int],
    digits: list[int],
    sentences: int,
) -> list[float]:
    count = max(len(words), 1)
    distinct, first, last = set(words), set(words[:10]), set(words[-14:])
    values = _shares(distinct, 3) + _shares(first, 2)
    values += _shares(last, 2) if count > 30 else [0.0] * len(_NAMES)
    lower = view.lower()
    begins = _line_begins(view)
    lines, numbers = len(begins), len(digits)
    years = [int(w) for w in (words[i] for i in digits) if len(w) == 4 and w[0] in "12" and w.isdigit() and w.isascii()]
    caps = len([i for i in capitals if i and len(raw[i]) > 1 and raw[i - 1] not in '.?!:"“\n'])
    upper = set(capitals)
    doubled = len([i for i in capitals if i and i + 1 in upper])
    turns, code = _at_lines(_TURN, view, begins), _at_lines(_CODE_LINE, view, begins)
    starts = words[0] if words else ""
    ends = view.rstrip()[-1:]
    asks = starts in _LEXICON["question"]
    values += [
        1.0,
        math.log1p(len(text)) / 10,
        1.0 if count <= 8 else 0.0,
        min(lines / 20, 1.0),
        min(len(view) / lines / 200, 1.0),
        1.0 if ends in "?？" and ends else 0.0,
        1.0 if asks else 0.0,
        1.0 if "?" in view else 0.0,
        min(numbers / 8, 1.0),
        1.0 if any(1000 < y < 2021 for y in years) else 0.0,
        1.0 if any(2021 <= y < 2040 for y in years) else 0.0,
        min(caps / count * 4, 1.0),
        1.0 if caps and not doubled and not numbers and count < 30 else 0.0,
        1.0 if doubled and count < 60 else 0.0,
        min(code / 6, 1.0),
        1.0 if "```" in view else 0.0,
        1.0 if any(t in view for t in _TRACES) else 0.0,
        min(_at_lines(_DIFF, view, begins) / 6, 1.0),
        min(turns / 6, 1.0),
        min(len(_STAMP.findall(view)) / 2, 1.0) if numbers else 0.0,
        min(sum(lower.count(t) for t in _TOOLS) / 2, 1.0),
        min(sum(view.count(c) for c in _CALLS) / 12, 1.0),
        min(_at_lines(_LISTED, view, begins) / 5, 1.0),
        min((view.count('"') + view.count("“")) / 10, 1.0),
        min((view.count("{") + view.count("}") + view.count(";")) / 12, 1.0),
        min((view.count("\n    ") + view.count("\n\t")) / 10, 1.0),
        min(len(_SPACES.findall(view)) / 4, 1.0),
        1.0 if len(text) > HEAD + TAIL else 0.0,
        1.0 if code > 1 and "?" in view else 0.0,
        min(turns / lines, 1.0) if lines > 3 else 0.0,
        1.0 if starts in _LEXICON["act"] and not asks else 0.0,
        1.0 if asks and count <= 14 and not numbers else 0.0,
        min((view.count("=") + view.count("+") + view.count("^") + view.count("/")) / 8, 1.0) if code == 0 else 0.0,
        1.0 if "http" in view or "www." in view else 0.0,
        1.0 if not view.isascii() else 0.0,
        1.0 if numbers >= 2 and distinct & _LEXICON["amount"] else 0.0,
        1.0 if caps == 1 and asks and first & _PAST and count < 25 and not numbers else 0.0,
    ]
    amounts = numbers - len([y for y in years if 1000 < y < 2040])
    single = lines == 1 and sentences <= 1
    question = ends != "" and ends in "?？"
    spec = _at_lines(_SPEC, view, begins)
    complaint = bool(distinct & _LEXICON["code_see"])
    fresh = bool(distinct & _LEXICON["fresh"])
    values += [
        min(sentences / 6, 1.0),
        1.0 if single else 0.0,
        1.0 if single and question else 0.0,
        1.0 if lines <= 2 and sentences >= 2 and amounts >= 2 and question else 0.0,
        1.0 if single and question and amounts < 2 else 0.0,
        min(spec / 2, 1.0),
        1.0 if spec and code <= 1 else 0.0,
        1.0 if code > 2 and complaint else 0.0,
        1.0 if count > 150 and lines > 2 and not code else 0.0,
        1.0 if turns > 3 and count > 150 else 0.0,
        1.0 if distinct & _LEXICON["me"] and sentences >= 2 and amounts < 3 and lines <= 2 else 0.0,
        1.0 if fresh and question and single else 0.0,
        1.0 if single and question and not fresh and not distinct & _LEXICON["me"] else 0.0,
    ]
    return values
