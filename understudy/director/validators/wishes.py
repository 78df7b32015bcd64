"""How a form is asked for: tables of patterns for `form.py`. Each must be an order to the answer, not a mention.

Those that are looked for in the task expect it in lower case: ignoring the case while matching takes several times as
long.
"""
# ruff: noqa: E501

from __future__ import annotations

import re

NUMBERS = {
    word: n
    for n, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())  # noqa: SIM905
} | {"a single": 1, "single": 1, "ein": 1, "einem": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5}
_N = r"(?P<n>\d{1,4}|" + "|".join(sorted(NUMBERS, key=len, reverse=True)) + r")"
_ORDER = r"\b(?:answer|respond|reply|write|give|return|output|list|provide|summari[sz]e|describe|explain|present|format|show|name|compare|outline|tell me)\b"
BULLET = re.compile(r"^\s{0,8}(?:[-*+•–▪◦‣·]|\d{1,3}[.)]|[a-z][.)])\s+\S", re.M)
ABBREVIATIONS = re.compile(
    r"\b(?:e\.g|i\.e|etc|vs|mr|mrs|ms|dr|prof|st|no|fig|approx|inc|ltd|jr|sr|u\.s|a\.m|p\.m|z\.b|d\.h|bzw|ca|cf)\.",
    re.I,
)

ONE_WORD = re.compile(
    r"\b(?:(?:answer|respond|reply)(?: with| in| using)?(?: only| just| exactly)?|in|with|using|return|output|give(?: me)?)"
    r"(?: only| just| exactly)? (?:one|a single|1) word\b(?! or)(?! \w+ (?:sentence|answer)s)"
    r"|\bone[- ]word (?:answer|reply|response)\b"
)
YES_NO = re.compile(
    r"\b(?:answer|respond|reply)(?: with)?(?: only| just| simply)?:? [\"'“]?(yes|true)[\"'”]? or [\"'“]?(no|false)[\"'”]?(?: only)?\s*[.!]?\s*(?:\Z|\n)"
)
SENTENCES = re.compile(
    rf"\bin (?:exactly |only |just |at most |no more than |up to )?{_N}(?: \w+)? sentences?\b(?! or)"
)
BULLETS = re.compile(
    rf"{_ORDER}[^.\n?]{{0,80}}\b(?:bullet(?:ed)?[- ]points?(?: list)?|bullet(?:ed)?[- ]lists?|(?:in|as|with|using)(?: \w+){{0,2}} bullets)\b"
    r"|\b(?:use|using|with|in|as)(?: only| just| short)? (?:a )?(?:bullet(?:ed)?[- ]points|bullet(?:ed)?[- ]list)\b"
    r"|\bas (?:a |an )?(?:bulleted |bullet |numbered |unordered |ordered )(?:point )?list\b"
)
BULLET_COUNT = re.compile(
    rf"\b(?:exactly |in |with |as |give me |write |list )(?:exactly )?{_N} (?:short |brief |concise )?bullets?(?: points?)?\b"
)
TABLE = re.compile(
    r"\b(?:in|as|with|into|using|make|create|give(?: me)?|output|return|produce|draw) (?:a |an |the form of a )?(?:markdown |comparison |small |short |simple )*table\b"
    r"(?! (?:in|called|named|for|schema|lamp|of contents|with columns? \w+ in sql))"
)
JSON = re.compile(
    r"\b(?:return|respond|reply|answer|output|give|format|produce|provide|write)\b[^.\n?]{0,60}\b(?:as|in|with|only|valid|a|raw|the)\b[^.\n?]{0,20}\bjson\b(?! ?(?:schema|web|file|parser|lines|api|path|library))"
    r"|\b(?:json only|only json|as json|in json format|valid json)\b"
)
PROGRAM = re.compile(
    r"\b(?:code|function|script|program|class|method|python|javascript|typescript|rust|java|sql|regex|parse[rs]?|endpoint|html|explain|how (?:do|to|can)|what is|why)\b"
)
WORDS = re.compile(
    r"\b(?P<how>exactly|at most|no more than|under|below|less than|fewer than|within|max(?:imum)?(?: of)?|up to|at least|more than|over|minimum(?: of)?|about|around|approximately|roughly|in|a)?\s*"
    r"(?:~\s*)?(?P<n>\d{1,2},\d{3}|\d{1,5})(?:\s*(?:-|–|to)\s*(?P<m>\d{1,5}))?[- ]words?\b(?! (?:list|document|count of|vocabulary|per|a minute|problems?))"
)
WORD_ORDER = re.compile(
    r"\b(?:write|summari[sz]e|describe|explain|answer|respond|reply|draft|compose|give|make|keep|limit|use|in|essay|summary|story|poem|paragraph|article|description|bio|abstract)\b"
)
MOST = (
    "at most",
    "no more than",
    "under",
    "below",
    "less than",
    "fewer than",
    "within",
    "max",
    "maximum",
    "max of",
    "maximum of",
    "up to",
)
LEAST = ("at least", "more than", "over", "minimum", "minimum of")
QUOTED = re.compile(r"```.*?```|\"[^\"\n]{1,400}\"|“[^”\n]{1,400}”|^>.*$", re.S | re.M)
