"""What the local scorer sees of a text: hashed words and pairs of words, and the shape of the text.

Pure Python without numpy. The same function serves training and use, so the two cannot drift apart. At most HEAD + TAIL
characters are read, whatever the length: instructions stand in front of a document or behind it.
"""

from __future__ import annotations

import re
from itertools import pairwise
from zlib import crc32

from understudy.classifiers.lexicon import LEXICON

HEAD, TAIL = 900, 450  # characters that are looked at for their form
FIRST, LAST = 400, 300  # of them, characters that are read word by word: the middle of a document tells its subject
EDGE = 32  # words: of a longer text only the first and the last this many are hashed, a document's own words say little
BUCKETS = 1 << 15
VERSION = 6  # raised whenever a feature changes its meaning: old weights are refused then

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

_NAMES = tuple(LEXICON)
# The lexicons by word: one look-up for a word of the text instead of one for each lexicon.
_PLACES: dict[str, tuple[int, ...]] = {
    word: tuple(place for place, words in enumerate(LEXICON.values()) if word in words)
    for word in frozenset[str]().union(*LEXICON.values())
}
_EXTRA = (
    *(
        "bias",
        "short",
        "lines",
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
    *("choices", "choices_numbers", "latex", "yes_no", "yes_no_only", "docstring", "signature", "hunks"),
    *("schema", "first_line_short", "last_line_short", "long_paragraph", "asked_last", "code_only", "body_code"),
    *("news_question", "lower_case", "said_me", "names_no_time", "fragment", "ends_colon"),
    *("asks_sum", "asks_facts", "facts_no_sum", "long_no_sum", "turns_facts", "turns_sum", "health_numbers"),
)
DENSE = (*_NAMES, *(f"start_{n}" for n in _NAMES), *(f"end_{n}" for n in _NAMES), *_EXTRA)
_YES_NO = frozenset(
    ["is", "are", "was", "were", "do", "does", "did", "can", "could", "would", "will", "should", "has", "have", "had"]
)
_CHOICES = tuple(
    tuple(mark.format(c) for c in letters)
    for mark, letters in (
        *(("{}.", "ABC"), ("{})", "ABC"), ("{}:", "ABC"), ("'{}'", "ABC")),
        *(("{})", "abc"), (" {}. ", "abc"), ("{})", "123"), ("[{}]", "123")),
    )
)
_HUNK = re.compile(r"^(?:@@ -|diff --git |\+\+\+ |--- |Index: )", re.MULTILINE)
_SUMMARY = ("summar", "tl", "recap", "gist", "condens", "zusammenfass", "resum", "résum", "riassu", "synops", "minutes")
_DOCSTRING = ('"""', "'''", ">>>", "/**", "assert ")
_SCHEMA = ('"parameters"', '"properties"', '"description"', '"arguments"', "-> ", "API", "tools", "functions")
_PAST = frozenset(["did", "was", "were", "has", "had", "have", "does", "is"])


def window(text: str) -> str:
    """The part of a text that is read."""
    return text if len(text) <= HEAD + TAIL else text[:HEAD] + "\n" + text[-TAIL:]


def extract(text: str) -> tuple[list[float], list[int]]:
    """(one number for each of DENSE, the buckets of the hashed words and pairs that occur)."""
    view = window(text)
    pieces = (view if len(view) <= FIRST + LAST else f"{view[:FIRST]}\n{view[-LAST:]}").split()
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
    if len(shaped) > 2 * EDGE:
        shaped = [*shaped[:EDGE], "<cut>", *shaped[-EDGE:]]
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


def _at_lines(pattern: re.Pattern[str], view: str, begins: list[int], firsts: str = "") -> int:
    """Matches of a pattern that begins with ^, which re would try at every character; `firsts`: what it begins with."""
    found = done = 0
    for begin in begins:
        if firsts and view[begin : begin + 1] not in firsts:
            continue
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
    asks = starts in LEXICON["question"]
    values += [
        1.0,
        1.0 if count <= 8 else 0.0,
        min(lines / 20, 1.0),
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
        min(_at_lines(_DIFF, view, begins, "@d+-") / 6, 1.0),
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
        1.0 if starts in LEXICON["act"] and not asks else 0.0,
        1.0 if asks and count <= 14 and not numbers else 0.0,
        min((view.count("=") + view.count("+") + view.count("^") + view.count("/")) / 8, 1.0) if code == 0 else 0.0,
        1.0 if "http" in view or "www." in view else 0.0,
        1.0 if not view.isascii() else 0.0,
        1.0 if numbers >= 2 and distinct & LEXICON["amount"] else 0.0,
        1.0 if caps == 1 and asks and first & _PAST and count < 25 and not numbers else 0.0,
    ]
    amounts = numbers - len([y for y in years if 1000 < y < 2040])
    single = lines == 1 and sentences <= 1
    question = ends != "" and ends in "?？"
    spec = _at_lines(_SPEC, view, begins, "EIOC")
    complaint = bool(distinct & LEXICON["code_see"])
    fresh = bool(distinct & LEXICON["fresh"])
    values += [
        min(sentences / 6, 1.0),
        1.0 if single else 0.0,
        1.0 if single and question else 0.0,
        1.0 if lines <= 2 and sentences >= 2 and amounts >= 2 and question else 0.0,
        1.0 if single and question and amounts < 2 else 0.0,
        min(spec / 2, 1.0),
        1.0 if spec and code <= 1 else 0.0,
        1.0 if code > 2 and complaint else 0.0,
        1.0 if len(view) > 900 and lines > 2 and not code else 0.0,
        1.0 if turns > 3 and len(view) > 900 else 0.0,
        1.0 if distinct & LEXICON["me"] and sentences >= 2 and amounts < 3 and lines <= 2 else 0.0,
        1.0 if fresh and question and single else 0.0,
        1.0 if single and question and not fresh and not distinct & LEXICON["me"] else 0.0,
    ]
    chosen = any(a in view and b in view and c in view for a, b, c in _CHOICES)
    latex = view.count("$") + 2 * view.count("\\")
    yes_no, me = starts in _YES_NO, bool(distinct & LEXICON["me"])
    heads = view[: begins[1]] if lines > 1 else view
    tails = view[begins[-1] :]
    paragraph = max([b - a for a, b in pairwise([*begins, len(view)])])
    hunks = _at_lines(_HUNK, view, begins, "@d+-I")
    signature = code > 0 and any(t in view for t in _DOCSTRING)
    values += [
        1.0 if chosen else 0.0,
        1.0 if chosen and numbers > 5 else 0.0,
        min(latex / 6, 1.0),
        1.0 if yes_no else 0.0,
        1.0 if yes_no and single and question and not me else 0.0,
        1.0 if any(t in view for t in _DOCSTRING) else 0.0,
        1.0 if signature and not complaint else 0.0,
        min(hunks / 2, 1.0),
        min(len([t for t in _SCHEMA if t in view]) / 3, 1.0),
        1.0 if lines > 2 and len(heads) < 160 else 0.0,
        1.0 if lines > 2 and len(tails) < 160 else 0.0,
        min(paragraph / 500, 1.0),
        1.0 if lines > 2 and question and not code else 0.0,
        1.0 if code > 2 and code * 3 > lines else 0.0,
        min(code / lines, 1.0) if lines > 2 else 0.0,
        1.0 if question and single and distinct & LEXICON["news"] else 0.0,
        1.0 if not capitals and count > 2 else 0.0,
        1.0 if me and question and distinct & LEXICON["recall"] else 0.0,
        1.0 if single and question and caps and not numbers and not fresh else 0.0,
        1.0 if single and not question and count <= 7 and not asks and starts not in LEXICON["act"] else 0.0,
        1.0 if ends == ":" else 0.0,
    ]
    edges = set(words[:EDGE] + words[-EDGE:])
    asks_sum = any(w.startswith(_SUMMARY) for w in edges)
    asks_facts = bool(edges & LEXICON["facts"])
    values += [
        1.0 if asks_sum else 0.0,
        1.0 if asks_facts else 0.0,
        1.0 if asks_facts and not asks_sum else 0.0,
        1.0 if len(view) > 900 and not asks_sum else 0.0,
        1.0 if turns > 3 and asks_facts else 0.0,
        1.0 if turns > 3 and asks_sum else 0.0,
        1.0 if numbers and len(distinct & LEXICON["health"]) > 1 and lines <= 2 else 0.0,
    ]
    return values
