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
_ENDS = re.compile(r"[.!?。？！](?:\s|$)")
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
    raw = _TOKEN.findall(view)
    words = [t.lower() for t in raw]
    return _dense(text, view, raw, words), _hashed(raw, words)


def _hashed(raw: list[str], words: list[str]) -> list[int]:
    """Buckets of single words, pairs, and the words an instruction begins and ends with.

    Names and numbers count as kinds, not as themselves: which name it is belongs to the source, not to the intent.
    """
    shaped: list[str] = []
    opening = True
    for token, word in zip(raw, words, strict=True):
        if word[0].isdigit():
            shaped.append("<year>" if len(word) == 4 and word[:2] in ("19", "20") else f"<{min(len(word), 4)}>")
        elif not opening and token[0].isupper() and len(token) > 1:
            shaped.append("<Name>" if not token.isupper() else "<NAME>")
        else:
            shaped.append(word)
        opening = word in '.?!:"“”\n'
    terms = set(shaped)
    terms.update([f"{a} {b}" for a, b in pairwise(shaped)])
    terms.update([f"^{a}" for a in shaped[:6]])
    terms.update([f"{a}$" for a in shaped[-6:]])
    if len(shaped) > 1:
        terms.add(f"^^{shaped[0]} {shaped[1]}")
    if not view_is_spaced(shaped):
        terms.update([w[i : i + 2] for w in shaped if not w.isascii() for i in range(len(w) - 1)])
    return [crc32(term.encode("utf-8", "surrogatepass")) & (BUCKETS - 1) for term in terms]


def view_is_spaced(words: list[str]) -> bool:
    """Whether the script puts spaces between words; where it does not, pairs of characters stand for words."""
    return all(len(w) <= 24 for w in words) and not any("\u3040" <= w[0] <= "\u9fff" for w in words)


def _dense(text: str, view: str, raw: list[str], words: list[str]) -> list[float]:
    count = max(len(words), 1)
    distinct, first, last = set(words), set(words[:10]), set(words[-14:])
    values = [min(len(lexicon & distinct) / 3, 1.0) for lexicon in _LEXICON.values()]
    values += [min(len(lexicon & first) / 2, 1.0) for lexicon in _LEXICON.values()]
    values += [min(len(lexicon & last) / 2, 1.0) if count > 30 else 0.0 for lexicon in _LEXICON.values()]
    lower = view.lower()
    lines = view.count("\n") + 1
    numbers = sum(w[0].isdigit() for w in words)
    years = [int(w) for w in words if len(w) == 4 and w[0] in "12" and w.isdigit() and w.isascii()]
    inner = [
        raw[i] for i in range(1, len(raw)) if raw[i][0].isupper() and len(raw[i]) > 1 and raw[i - 1] not in '.?!:"“\n'
    ]
    caps = len(inner)
    doubled = sum(raw[i][0].isupper() and raw[i + 1][0].isupper() for i in range(1, len(raw) - 1))
    turns, code = len(_TURN.findall(view)), len(_CODE_LINE.findall(view))
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
        min(len(_DIFF.findall(view)) / 6, 1.0),
        min(turns / 6, 1.0),
        min(len(_STAMP.findall(view)) / 2, 1.0),
        min(sum(lower.count(t) for t in _TOOLS) / 2, 1.0),
        min(sum(view.count(c) for c in _CALLS) / 12, 1.0),
        min(len(_LISTED.findall(view)) / 5, 1.0),
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
    sentences = len(_ENDS.findall(view))
    amounts = numbers - len([y for y in years if 1000 < y < 2040])
    single = lines == 1 and sentences <= 1
    question = ends != "" and ends in "?？"
    spec = len(_SPEC.findall(view))
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
