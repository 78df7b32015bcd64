"""Is the answer in the language asked for, or that of the task? Says no only when it is sure."""

from __future__ import annotations

import re
import string

from understudy.director.validators.text import fences, spoken
from understudy.director.validators.tongues import MIXED, NAMES, ORDER, SCRIPT_OF, SCRIPTS, STOPWORDS, TRANSLATION
from understudy.types import Answer, Task

# What may stand in any text in another language: code, addresses, quotations.
_FOREIGN = re.compile(
    r"`[^`\n]*`|https?://\S+|\"[^\"\n]{1,400}\"|[“„][^”“\n]{1,400}[”“]|«[^»\n]{1,400}»|»[^«\n]{1,400}«|"
    r"(?<!\w)'[^'\n]{1,400}'(?!\w)|「[^」]{1,400}」"
)
_ASCII_LETTERS = string.ascii_letters.encode()
_MARKS = ".,;:!?…()[]{}*_#-–—'’|/\\>"
# The languages by word: one look-up for a word of the text instead of one for each language.
_SPEAKERS: dict[str, tuple[str, ...]] = {
    word: tuple(code for code, words in STOPWORDS.items() if word in words)
    for word in frozenset[str]().union(*STOPWORDS.values())
}
_ENOUGH = 12  # function words: a paragraph of three lines; shorter answers are not judged by their words


def language(answer: Answer, task: Task) -> str:
    """No only when the answer is long enough, its language beyond doubt, and another than the one asked for."""
    _, prose = fences(spoken(answer.text))
    prose = _FOREIGN.sub(" ", prose)
    if task.schema is not None or prose.lstrip()[:1] in ("{", "["):
        return ""
    script = _script(prose)
    if not script:
        return ""
    wanted, certain = _wanted(task)
    if not wanted:
        return ""
    needed = SCRIPT_OF.get(wanted, "latin")
    if script != needed and {script, needed} != {"han", "kana"}:
        return f"the answer is in {script} script, not in {wanted}"
    if needed == "latin" and script == "latin":
        found = _by_words(prose, strict=not certain)
        if found and found != wanted:
            return f"the answer is in {found}, not in {wanted}"
    return ""


def _wanted(task: Task) -> tuple[str, bool]:
    """(language, whether it was said): an order, else a translation's target, else the task's own if sure."""
    own = task.text if len(task.text) <= 3000 else f"{task.text[:1500]}\n{task.text[-1500:]}"
    low = own.lower()
    if orders := {_code(m.group("name") or m.group("alone")) for m in ORDER.finditer(low)}:
        return (orders.pop(), True) if len(orders) == 1 else ("", False)
    translation = TRANSLATION.search(low)
    if translation:
        return (_code(translation.group("name")), True) if translation.group("name") else ("", False)
    if MIXED.search(low) or task.files or task.history:
        return "", False  # an earlier turn, a file or a word about languages may have set another
    prose = _FOREIGN.sub(" ", fences(own)[1])
    script = _script(prose)
    if script and script not in ("latin", "han"):
        by_script = [code for code, s in SCRIPT_OF.items() if s == script]
        return (by_script[0], False) if len(by_script) == 1 or script == "cyrillic" else ("", False)
    if script == "han":
        return "zh", False
    return _by_words(prose, strict=False, enough=4), False


def _code(name: str) -> str:
    return next(code for code, pattern in NAMES.items() if re.fullmatch(pattern, name.strip(), re.I))


def _script(text: str) -> str:
    """The script of at least four fifths of the letters, if there are 20 or more; Japanese counts as kana."""
    text = text[:20_000]
    if text.isascii():
        raw = text.encode()
        return "latin" if len(raw) - len(raw.translate(None, _ASCII_LETTERS)) >= 40 else ""
    counts = {name: len(p.findall(text)) for name, p in SCRIPTS.items()}
    if counts["kana"] * 5 > counts["han"] and counts["kana"]:
        counts["kana"] += counts.pop("han")
    total = sum(counts.values())
    # Letters of Asian scripts say more each: a sentence has about a dozen.
    if total < (40 if counts["latin"] * 2 > total else 12):
        return ""
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 0.8 * total else ""


def _by_words(text: str, *, strict: bool, enough: int = _ENOUGH) -> str:
    """The language of a Latin text by its function words, if one is far ahead of all others; else the empty string."""
    found = [bare for word in text[:20_000].lower().split() if (bare := word.strip(_MARKS))]
    counts = dict.fromkeys(STOPWORDS, 0)
    for word in found:
        for code in _SPEAKERS.get(word, ()):
            counts[code] += 1
    (best, code), (second, _) = sorted(((count, code) for code, count in counts.items()), reverse=True)[:2]
    share = best / max(1, len(found))
    if best < enough or share < (0.25 if strict else 0.2) or best < (2.0 if strict else 1.6) * max(second, 1):
        return ""
    return code
