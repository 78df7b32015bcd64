"""The form that was plainly asked for: a list, a table, JSON, one word, so many sentences, so many words.

Only what stands in the task as an order to the answer counts, and only when the answer plainly has another form.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from understudy.director.validators.schema import parse_json
from understudy.director.validators.text import fences, spoken, words
from understudy.director.validators.wishes import (
    ABBREVIATIONS,
    BULLET,
    BULLET_COUNT,
    BULLETS,
    JSON,
    LEAST,
    MOST,
    NUMBERS,
    ONE_WORD,
    PROGRAM,
    QUOTED,
    SENTENCES,
    TABLE,
    WORD_ORDER,
    WORDS,
    YES_NO,
)
from understudy.tokens import estimate
from understudy.types import Answer, Task


def _wishes(task: Task) -> str:
    """What the task says in its own voice, in lower case, at its head and its end; what is between asks for nothing."""
    own = QUOTED.sub(" ", task.text).lower()
    return own if len(own) <= 2500 else f"{own[:1000]}\n{own[-1000:]}"


def format_asked(answer: Answer, task: Task) -> str:
    """The answer has the form asked for, as far as that can be told without doubt."""
    if task.schema is not None:
        return ""
    text, wish = spoken(answer.text), _wishes(task)
    asked = [check for words, pattern, check in _FORMS if any(w in wish for w in words) and pattern.search(wish)]
    # None, or several that speak of different parts: nothing is plain then.
    return asked[0](text, wish) if len(asked) == 1 else ""


def _no_one_word(text: str, _wish: str) -> str:
    return "" if len(text.split()) <= 4 else "one word was asked for"


def _no_yes_or_no(text: str, _wish: str) -> str:
    return "" if len(text.split()) <= 4 else "yes or no was asked for"


def _no_json(text: str, wish: str) -> str:
    if PROGRAM.search(wish):
        return ""  # a program that writes JSON
    try:
        parse_json(text)
    except ValueError as error:
        return f"JSON was asked for: {error}"
    return ""


def _no_table(text: str, wish: str) -> str:
    return "" if PROGRAM.search(wish) or _has_table(text) else "a table was asked for"


def _has_table(text: str) -> bool:
    lines = text.splitlines()
    rows = sum(line.count("|") >= 1 and bool(line.strip("| -:")) for line in lines)
    tabs = sum("\t" in line for line in lines)
    boxes = sum(c in "│┃║" for c in text)
    separated = sum(line.count(",") >= 1 or line.count(";") >= 1 for line in lines)
    return rows >= 2 or tabs >= 2 or boxes >= 2 or "<tr" in text.lower() or separated == len(lines) > 1


def _no_bullets(text: str, wish: str) -> str:
    found, outside = fences(text)
    bullets = len(BULLET.findall(outside or text))
    if not bullets and not found and "<li" not in text.lower():
        lines = [line for line in text.splitlines() if line.strip()]
        return "" if len(lines) >= 2 and all(len(line) < 200 for line in lines) else "a list was asked for"
    match = BULLET_COUNT.search(wish)
    if match and not found:
        asked = _number(match.group("n"))
        top = re.findall(r"^(?:[-*+•–▪◦‣·]|\d{1,3}[.)])\s+\S", outside, re.M)
        if asked > 1 and top and abs(len(top) - asked) > max(1, asked // 4) and bullets != asked:
            return f"{asked} points were asked for, there are {len(top)}"
    return ""


def _wrong_sentences(text: str, wish: str) -> str:
    match = SENTENCES.search(wish)
    asked = _number(match.group("n")) if match else 0
    found, _ = fences(text)
    if not asked or asked > 10 or found or BULLET.search(text):
        return ""
    plain = ABBREVIATIONS.sub("x", re.sub(r"\d\.\d", "0", text))
    count = len(re.findall(r"[.!?。！？…]+[\"')\]”’»*_]*(?=\s|\Z)|[。！？]", plain)) or 1
    # A colon, a heading or an abbreviation nobody listed must not throw an answer away: one more is let pass.
    if count > asked + max(1, asked // 3):
        return f"{asked} {'sentence was' if asked == 1 else 'sentences were'} asked for, there are {count}"
    return ""


def _number(word: str) -> int:
    return int(word) if word.isdigit() else NUMBERS.get(word.lower(), 0)


# Each with words of which it needs one: looking for those costs next to nothing.
_FORMS: tuple[tuple[tuple[str, ...], re.Pattern[str], Callable[[str, str], str]], ...] = (
    (("json",), JSON, _no_json),
    (("table",), TABLE, _no_table),
    (("bullet", "list"), BULLETS, _no_bullets),
    (("word",), ONE_WORD, _no_one_word),
    (("sentence",), SENTENCES, _wrong_sentences),
    ((" or ",), YES_NO, _no_yes_or_no),
)


def length(answer: Answer, task: Task) -> str:
    """Within max_tokens, and within the number of words asked for (a third more or less is let pass)."""
    if task.max_tokens is not None:
        used = answer.usage.output_tokens if answer.usage.measured and answer.usage.output_tokens else 0
        # Reasoning is counted by servers but is no part of the text, so the text has to be long too.
        if used > task.max_tokens * 1.05 + 8 and estimate(spoken(answer.text)) > task.max_tokens * 1.3 + 16:
            return f"the answer has {used} tokens, {task.max_tokens} were allowed"
        if not used and estimate(spoken(answer.text)) > task.max_tokens * 1.6 + 32:
            return f"the answer is far longer than {task.max_tokens} tokens"
    if task.schema is not None:
        return ""
    wish = _wishes(task)
    matches = list(WORDS.finditer(wish)) if "word" in wish else []
    if len(matches) != 1 or not WORD_ORDER.search(wish) or PROGRAM.search(wish[: matches[0].start()][-40:]):
        return ""
    return _wrong_word_count(spoken(answer.text), matches[0])


def _wrong_word_count(text: str, match: re.Match[str]) -> str:
    asked = int(match.group("n").replace(",", ""))
    upper = int(match.group("m")) if match.group("m") else asked
    how = (match.group("how") or "").lower()
    count = len(words(text))
    if asked < 5 or upper < asked or sum(ord(c) > 0x2E7F for c in text) > len(text) // 3:
        return ""  # scripts without spaces have no words to count
    too_many = how not in LEAST and count > upper + upper // 3 + 10
    too_few = how not in MOST and how != "" and count < asked - asked // 3 - 10
    if too_many or too_few:
        return f"about {asked} words were asked for, there are {count}"
    return ""
