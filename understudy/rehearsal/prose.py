"""Reading a prompt by simple rules: what kind of task it is, its parts, arithmetic, an extractive summary."""

from __future__ import annotations

import ast
import operator
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from understudy.rehearsal.corpus import AGENT_OF, CAPITALS, INTENT_WORDS

INTENTS = tuple(AGENT_OF)
_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "from",
        "by",
        "with",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "do",
        "does",
        "did",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "i",
        "you",
        "we",
        "they",
        "he",
        "she",
        "me",
        "my",
        "your",
        "our",
        "what",
        "which",
        "who",
        "when",
        "where",
        "how",
        "why",
        "can",
        "could",
        "would",
        "should",
        "will",
        "please",
        "not",
        "no",
        "if",
        "then",
        "than",
        "so",
        "about",
        "into",
        "over",
        "there",
        "their",
        "has",
        "have",
        "had",
    ]
)
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b,
    ast.Mod: operator.mod,
}
_SPOKEN = (
    (r"\bplus\b", "+"),
    (r"\bminus\b", "-"),
    (r"\btimes\b|\bmultiplied by\b|[×·]", "*"),
    (r"\bdivided by\b|÷", "/"),
)
_TASK_MARK = re.compile(
    r"(?:^|\n)\s*(?:the )?(?:task|text|message|request|question|user|prompt|input)(?: says)?\s*:\s*", re.I
)
_TAGGED = re.compile(r"<(task|text|message|request|input|document|prompt)>(.*?)</\1>", re.S | re.I)


def head(text: str, chars: int) -> str:
    """The first characters, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= chars else flat[: chars - 3].rstrip() + "..."


def words(text: str) -> set[str]:
    """The content words, lower-cased, a plural s taken off."""
    found = re.findall(r"[^\W\d_]{2,}", text.lower())
    return {w[:-1] if len(w) > 3 and w.endswith("s") else w for w in found if w not in _STOP}


def task_part(text: str) -> str:
    """The task inside a prompt that frames one: in tags, or after "Task:" and the like; else the whole."""
    if tagged := _TAGGED.search(text):
        return tagged[2].strip()
    found = list(_TASK_MARK.finditer(text))
    return (text[found[0].end() :].strip() or text) if found else text


def intent_of(text: str) -> str:
    """The task type by key words; quick_qa when nothing speaks for another."""
    for intent, pattern in INTENT_WORDS:
        if re.search(pattern, text, re.IGNORECASE):
            return intent
    return "quick_qa"


def pick(options: list[Any], task: str, whole: str) -> Any:
    """The option that fits: a task type, a specialist, a verdict, or a word of the text. None: nothing speaks."""
    named = {str(o).lower(): o for o in options if isinstance(o, str)}
    intent = intent_of(task)
    for name in (intent, intent.replace("_", "-"), intent.replace("_", " "), *AGENT_OF[intent]):
        if name in named:
            return named[name]
    for good, bad in (("accept", "reject"), ("pass", "fail"), ("yes", "no"), ("valid", "invalid"), ("good", "bad")):
        if good in named and bad in named:
            return named[good if looks_answered(whole) else bad]
    return next((o for name, o in named.items() if re.search(rf"\b{re.escape(name)}\b", task, re.IGNORECASE)), None)


def looks_answered(text: str) -> bool:
    """A judge's rule: the answer part is there, and is neither a refusal nor an error message."""
    parts = re.split(
        r"(?:^|\n)\s*(?:the )?(?:answer|reply|response|result|output|candidate)\b[^\n:]{0,30}:", text, flags=re.I
    )
    judged = parts[-1] if len(parts) > 1 else text
    refused = r"i (?:can(?:no|')t|am unable|'m sorry)|as an ai\b"
    wrong = r"internal server error|rate limit|traceback|\berror\b.{0,20}\d{3}"
    return bool(judged.strip()) and not re.search(f"{refused}|{wrong}", judged, re.IGNORECASE)


def is_code_request(text: str) -> bool:
    asked = (
        r"\b(?:write|implement|create|code|build|give|show|need|define)\b.{0,80}"
        r"\b(?:function|code|script|class|program|method|snippet|algorithm)\b"
    )
    return bool(
        re.search(asked, text, re.I | re.S) or re.search(r"\bpython (?:function|code|script|program)\b", text, re.I)
    )


def only_code(text: str) -> bool:
    """Whether nothing but code is wanted, fences included."""
    return bool(
        re.search(r"\b(?:only|just|nothing but)\b.{0,30}\bcode\b|\bno (?:fences?|markdown|explanation)", text, re.I)
    )


def kind_of(user: str, system: str) -> str:
    """code, tests, review, summary or plain: by the request, else by the role its instructions open with."""
    asks = task_part(user)
    opening, role = asks[:400] + "\n" + asks[-200:], system[:200].lower()
    has_code = bool(re.search(r"```|^\s*(?:def|class|import|from) \w+", asks, re.MULTILINE))
    if re.search(
        r"\b(?:write|add|create|generate|give)\b.{0,60}\btests?\b|\bunit tests?\b|\bpytest\b", opening, re.I | re.S
    ):
        return "tests"
    if re.search(r"\breview|\bbugs?\b|\bdebug|wrong with|\bfindings\b", opening, re.I) and (
        has_code or "review" in role
    ):
        return "review"
    if re.search(r"\bsummar|\btl;?dr\b|\bcondense|\bshorten\b|key points|\bcompact\b", opening, re.I):
        return "summary"
    if is_code_request(opening):
        return "code"
    for word, kind in (("tester", "tests"), ("reviewer", "review"), ("summar", "summary"), ("coder", "code")):
        if word in role and (kind not in ("tests", "review") or has_code):
            return kind
    return "plain"


def arithmetic(text: str) -> float | int | None:
    """The value of the first sum in a text ("what is 12*7", "12 plus 7"), or None."""
    for pattern, sign in _SPOKEN:
        text = re.sub(pattern, sign, text, flags=re.IGNORECASE)
    for found in re.finditer(r"(?<![\w.-])\(*\s*\d[\d\s().+*/%-]*[\d)](?!\w|\.\d)", text):
        expression = found[0].strip()
        if not re.search(r"\d[\s)]*[+*/%-]", expression) or re.fullmatch(r"\d+(?:[-/]\d+){2}", expression):
            continue  # a bare number, or a date
        try:
            value = _value(ast.parse(expression, mode="eval").body)
        except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
            continue
        return int(value) if float(value).is_integer() else value
    return None


def _value(node: ast.expr) -> float | int:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and abs(node.value) < 1e15:
        return node.value
    raise ValueError("not plain arithmetic")


def summary(text: str, most: int = 3) -> str:
    """The sentences that carry the text's most frequent words, verbatim and in their order."""
    body = task_part(text)
    first, _, rest = body.partition("\n")
    if re.search(r"\bsummar|condense|tl;?dr|shorten|key points|compact", first, re.I):
        colon = re.match(r"[^:.]{0,160}:\s*(?=\S)", first)
        body = (first[colon.end() :] if colon else "") + "\n" + rest if rest.strip() or colon else body
    sentences = [head(s, 300) for s in re.split(r"(?<=[.!?])\s+|\n+", body) if len(s.split()) > 2]
    if len(sentences) <= most:
        return " ".join(sentences) or head(body, 300)
    counts = Counter(w for s in sentences for w in words(s))
    scored = sorted(
        range(len(sentences)),
        key=lambda i: -sum(counts[w] for w in words(sentences[i])) / (len(words(sentences[i])) + 3),
    )
    return " ".join(sentences[i] for i in sorted(scored[:most]))


def steps(text: str) -> list[str]:
    """The parts of a task of several steps: numbered lines, else what "then" and full stops divide; at least one."""
    numbered = re.findall(r"(?:^|\n)\s*(?:\d+[.)]|[-*])\s+(.+)", text)
    parts = numbered or re.split(
        r"[;,.]?\s*\b(?:and then|then|after that|finally|afterwards)\b,?\s*|(?<=[.;!?])\s+", text
    )
    kept = [p.strip(" .;,\n") for p in parts if len(p.strip(" .;,\n")) > 2]
    return kept[:8] or [head(text, 200) or "answer"]


def plain(text: str, earlier: tuple[str, ...] = ()) -> str:
    """An answer to a question: a sum, a capital, what was said before, else plainly a stand-in."""
    task = task_part(text)
    if (total := arithmetic(task)) is not None:
        return f"{total}"
    if found := re.search(r"capital (?:city )?of (?:the )?([A-Za-z ]+)", task):
        country = found[1].strip().lower()
        for name, capital in CAPITALS.items():
            if country.startswith(name):
                return f"The capital of {name.title()} is {capital}."
    if found := re.search(r"\bmy (\w+)\b", task) if re.match(r"(?i)\s*(?:what|who|where|when)\b", task) else None:
        for said in reversed(earlier):
            if told := re.search(rf"\bmy {re.escape(found[1])} is ([^.\n]+)", said, re.IGNORECASE):
                return f"You said that your {found[1]} is {told[1].strip()}."
    matter = sorted(words(task), key=lambda w: (-len(w), w))[:5]
    about = f" What matters in it: {', '.join(matter)}." if matter else ""
    return f"A stand-in for the answer to: {head(task, 160)}{about}"
