"""Whether a task has several steps: a cheap local test that prefers to say no."""

from __future__ import annotations

import re

READ = 4000  # characters; instructions do not hide behind more

_VERBS = (
    "write|create|make|build|implement|add|remove|delete|update|fix|refactor|rename|test|run|"
    "deploy|install|configure|set up|find|search|look up|"
    "research|read|fetch|get|download|collect|gather|analy[sz]e|compare|summari[sz]e|"
    "translate|draft|send|book|order|schedule|call|email|mail|post|publish|plan|design|"
    "calculate|compute|plot|draw|list|extract|convert|check|verify|review|explain|describe|"
    "suggest|propose|choose|pick|rank|prepare|generate|"
    "schreibe|schreib|erstelle|finde|suche|vergleiche|fasse|übersetze|prüfe|lies|escribe|"
    "crea|busca|compara|resume|traduce|envía|"
    "écris|crée|cherche|compare|résume|traduis|envoie|scrivi|crea|cerca|confronta|riassumi|"
    "traduci|напиши|найди|сравни|переведи|отправь"
)
_LINKS = (
    r"then|after that|afterwards|next|finally|lastly|and then|once (?:that|this|it)(?: is|'s) "
    r"done|when (?:that|this)(?: is|'s) done|"
    r"danach|dann|anschließend|schließlich|zum schluss|luego|después|finalmente|por último|"
    r"ensuite|puis|enfin|poi|infine|затем|потом|наконец"
)
# All of them for a text in lower case: ignoring the case while matching takes several times as long.
_NUMBERED = re.compile(rf"^[ \t]{{0,6}}(?:\d{{1,2}}[.)]|step \d{{1,2}}[:.)]|[-*•]) {{1,3}}(?:{_VERBS})\b", re.MULTILINE)
_LINKED = re.compile(rf"\b(?:second|secondly|step 2|{_LINKS})\b")  # without one the next two need not be tried
_JOINED = re.compile(
    rf"\b(?:{_VERBS})\b[^?\n]{{3,200}}?(?:[,;.] ?|\band )(?:{_LINKS}),? (?:also |please |me )?(?:{_VERBS})\b"
)
_FIRST = re.compile(
    rf"\b(?:first|firstly|step 1|zuerst|zunächst|primero|d'abord|prima|сначала)\b,? "
    rf"?:?(?:please )?[^?]{{0,30}}?\b(?:{_VERBS})\b[^?]{{3,400}}?"
    rf"\b(?:second|secondly|{_LINKS}|step 2)\b[^?]{{0,30}}?\b(?:{_VERBS})\b"
)
_SENTENCE = re.compile(rf"(?:^|[.!;\n] {{0,2}})(?:please |also |now |and |bitte )?(?:{_VERBS})\b")
_FENCE = re.compile(r"```.{0,100000}?(?:```|\Z)", re.DOTALL)
_QUOTE = re.compile(r"\"\"\".{0,100000}?(?:\"\"\"|\Z)|^>.*$", re.DOTALL | re.MULTILINE)
_ENDS = re.compile(r"[.!?？;](?:\s|$)|\n")
_DATA = re.compile(
    r"\b(?:summari[sz]e|tl;?dr|translate|recipe|ingredients|proofread|fasse|resume|résume|"
    r"riassumi|review|rewrite|rephrase)\b"
)


def has_several_steps(text: str) -> bool:
    """True for a list of instructions, "first ... then ...", or imperatives joined by "then".

    Code, quotations and what stands below an instruction such as "summarize this:" are data and do not count.
    """
    view = _QUOTE.sub(" ", _FENCE.sub(" ", text[:READ].lower()))
    if view.rstrip().endswith(("?", "？")) and len(_ENDS.findall(view)) <= 1:
        return False  # one question, however long
    head, _, rest = view.partition("\n\n")
    opening = head.split("\n", 1)[0]
    if (rest and _DATA.search(opening) and len(_SENTENCE.findall(opening)) < 2) or (
        opening.rstrip().endswith(":") and _DATA.search(opening)
    ):
        view = opening
    if len(_NUMBERED.findall(view)) >= 2:
        return True
    if _LINKED.search(view) and (_FIRST.search(view) or _JOINED.search(view)):
        return True
    return len(_SENTENCE.findall(head)) >= 3 and "?" not in head
