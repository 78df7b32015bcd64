"""What errors and refusals look like: tables of patterns, one a line, for `sound.py`."""
# ruff: noqa: E501

from __future__ import annotations

import re

FILLER = re.compile(
    r"\A(?:null|none|undefined|nan|\[object object\]|n/?a|\.{2,}|…|\(?no (?:response|content|output)\)?)\.?\Z", re.I
)

_STATUS = r"(?:4(?:0[0-9]|1[0-9]|2[0-9]|51)|5(?:0[0-9]|1[01]|2[0-9]|30))"
# A short answer that begins like this is an error message, not an answer about one. Written for whole messages as
# servers, proxies and SDKs print them; each needs the shape of a message, not merely its words.
MESSAGES = tuple(
    re.compile(p, re.I | re.S)
    for p in (
        rf"\A(?:(?:api|http|server|client|upstream|internal|openai|anthropic|groq|gemini|claude|provider|request) ?)*"
        rf"(?:error|exception|failure)(?: code)?\s*[:\-(]*\s*{_STATUS}\b",
        rf"\A(?:HTTP(?:/\d(?:\.\d)?)?\s+)?{_STATUS}\s*[:\-]?\s*(?:bad request|unauthorized|payment required|forbidden|not found|"
        r"method not allowed|request timeout|conflict|payload too large|unprocessable|too many requests|internal server error|"
        r"bad gateway|service unavailable|gateway time-?out|overloaded|client error|server error|\{)",
        r"\A(?:api |fatal |internal |unexpected |upstream )?error:\s.{0,80}(?:rate.?limit|quota|api.?key|credit|billing|timed? ?out|"
        r"connection|unauthori[sz]ed|overloaded|unavailable|bad gateway|model|token|request|response|fetch|server)",
        r"\A(?:bad gateway|gateway time-?out|service (?:temporarily )?unavailable|internal server error|too many requests|"
        r"upstream (?:connect error|request time-?out|server (?:error|time-?out))|no healthy upstream|origin (?:dns|is unreachable)|fault filter abort|"
        r"connection (?:refused|reset|timed out|error)|(?:the |your |this )?request (?:has )?timed out(?! of )|overloaded(?:_error)?\b|stream (?:error|disconnected))",
        r"(?:you(?:'ve| have)?|your (?:account|organi[sz]ation|plan|project|team|workspace)|account|the user|this request)"
        r"(?: \w+)?(?: (?:has|is|are|would))? "
        r"(?:exceed(?:ed|s)?|reached|hit|run out of|ran out of|used up|out of|have insufficient|insufficient|over)"
        r"[^.\n]{0,60}\b(?:credits?|quota|(?:rate|usage|spend(?:ing)?|token|request|message|context|session|weekly|5-hour)[ -]?limits?"
        r"|limit reached|balance|tokens per|requests per|billing)",
        r"\A(?:your|this|the) (?:account|organi[sz]ation|project|workspace|api key)(?: has been| was| is)(?: temporarily| currently)? "
        r"(?:suspended|deactivated|disabled|blocked|restricted|locked|revoked)\b",
        r"\A(?:claude (?:ai )?)?(?:usage|rate|session|weekly|5-hour|daily|request|message)[ -]?limit (?:reached|exceeded|hit)\b(?! (?:for most|by|in|among)\b)",
        r"\A(?:rate[_ -]limit(?:ed|_exceeded|_error)?|resource_exhausted|insufficient_quota|quota exceeded|credit balance is too low|"
        r"out of credits|insufficient credits?|billing_hard_limit_reached)\b",
        r"\A(?:invalid|incorrect|missing|expired|no) (?:x-)?api[ -]?key\b",
        r"\Anot logged in\b|\Aplease run /?(?:claude )?/?login\b|\Ainvalid authentication|\Aauthentication[_ ](?:error|failed)",
        r"\A(?:your |the )?credit balance is too low",
        r"\Arate limit reached for (?:model|[\w./-]+)",
        r"\A(?:no models? (?:is |are )?loaded|model .{1,80} (?:not found|does not exist|is not loaded|is overloaded)|loading model)",
        r"\Aprompt is too long|\Acontext length exceeded|\Athis model's maximum context length is \d",
        r"\A(?:an? )?(?:unexpected |internal |unknown )?error (?:has )?occurred (?:while|during|in|when) "
        r"(?:processing|generating|handling|calling|the request|your request)",
    )
)
HTML = re.compile(
    r"\A\s*(?:<\?xml[^>]{0,100}>\s*|<!--.{0,300}?-->\s*){0,3}(?:<!doctype html|<html[\s>]|<head[\s>]|<center>\s*<h1>|<title>)",
    re.I | re.S,
)
HTML_ERROR = re.compile(
    rf"<(?:title|h1)[^>]{{0,200}}>[^<]{{0,100}}(?:\b{_STATUS}\b|error|bad gateway|forbidden|not found|unavailable|time-?out|denied|"
    r"just a moment|attention required|captcha|sign in|log ?in)",
    re.I,
)
PROXY_MARKS = re.compile(
    r"cf-ray|cloudflare|nginx/|<hr><center>|openresty|varnish|squid|envoy|akamai|x-amz|haproxy", re.I
)
TRACE = re.compile(
    r"\A\s*(?:Traceback \(most recent call last\):|(?:[\w.$]+)?(?:Exception|Error): .{0,300}\n\s+at |"
    r"(?:[\w.]+\.)?(?:litellm|openai|httpx|httpcore|anthropic|groq|aiohttp|requests|urllib3)(?:\.[\w.]+)?(?:Error|Exception|Limit\w*)\b)",
    re.S,
)
ERROR_TYPES = re.compile(
    r"error|exhausted|unavailable|invalid_argument|unauthenticated|permission_denied|not_found|internal|deadline|quota|"
    r"rate_limit|overloaded|exceeded",
    re.I,
)
# For a task in lower case.
ABOUT_ERRORS = re.compile(
    r"\b(?:error|exception|traceback|stack ?trace|status code|http (?:code|status|response)|response (?:body|code)|rate.?limit|quota"
    r"|fehler|erreur|40\d|429|50\d|529|nginx|envoy|haproxy|cloudflare|proxy|gateway|outage|time-?out|timed out|no money|insufficient)\b"
    r"|\b(?:translat|übersetz|tradui|traduc|balance is|ran out|run out)",
)
# Whose answer may be one as well, if it is about the same.
ABOUT_TEXTS = re.compile(
    r"\b(?:log(?:s| line)?|message|mensaje|html|xml|web ?page|web ?site|template)\b|\b(?:notice|announce|extract)"
)

REFUSALS = tuple(
    re.compile(p, re.I)
    for p in (
        r"\A(?:i'?m|i am|we are|we're)?\s*(?:very |really |so |truly )?(?:sorry|apologi[sz]e|afraid)\b[^.!?\n]{0,40}?\b(?:but |that )?(?:i|we) "
        r"(?:can(?:no|')?t|cannot|can not|am (?:not able|unable)|'m (?:not able|unable)|won'?t|will not|must decline|have to decline|(?:do|am) not (?:able|allowed|permitted))",
        r"\A(?:unfortunately,? |sorry,? (?:but )?|i apologi[sz]e,? (?:but )?|no,? )?(?:i|we)(?:'m| am| are)? (?:can(?:no|')?t|cannot|can not|not able to|unable to|won'?t|will not|"
        r"must decline to|have to decline|decline to|refuse to|not comfortable|not allowed to|not permitted to|do(?:n't| not) feel comfortable)\s+"
        r"(?:\w+ )?(?:help|assist|provid|compl|creat|generat|writ|support|fulfil|do that|do this|answer|discuss|engage|continue|share|process|with|offer|participate|produce|respond)",
        r"\Aas an? (?:ai|artificial intelligence|(?:large )?language model|assistant)\b[^.\n]{0,80}\b(?:can(?:no|')?t|cannot|unable|not able|won'?t|do not|don'?t)\b",
        r"\A(?:sorry|apologies)[,.!]? (?:but )?(?:that|this) (?:request )?(?:is|goes|violates|isn'?t)",
        r"\A(?:this|your|the) (?:request|prompt|content|message) (?:violates|goes against|is against|was (?:blocked|flagged)|has been (?:blocked|flagged)|cannot be)",
        r"\A(?:i must|i have to|i need to) (?:respectfully )?(?:decline|refuse)",
        r"\A(?:es tut mir (?:sehr )?leid|tut mir leid|entschuldigung|leider)\b[^.!?\n]{0,60}\b(?:kann|darf|werde|bin) (?:ich|ihnen|dir|dabei|nicht)\b[^.!?\n]{0,100}\b(?:nicht|keine?n?|unmöglich|ablehnen)?",
        r"\A(?:ich (?:kann|darf|werde) (?:ihnen |dir |dabei |das |diese[rns]? \w+ )*(?:leider )?(?:nicht|keine))",
        r"\A(?:je suis (?:vraiment )?désolée?|désolée?|malheureusement)\b[^.!?\n]{0,60}\bje (?:ne (?:peux|puis|suis|pourrai)|n'?(?:ai|arrive))",
        r"\Aje ne (?:peux|puis) pas (?:vous |t')?(?:aider|répondre|fournir|générer|créer|accéder|satisfaire|traiter)",
        r"\A(?:lo siento|lo lamento|disculpa|perdón|desafortunadamente|lamentablemente)\b[^.!?\n]{0,60}\bno (?:puedo|podré|me es posible|estoy)",
        r"\Ano puedo (?:ayudar|proporcionar|cumplir|generar|crear|asistir|responder|continuar)",
        r"\A(?:desculpe|sinto muito|lamento|infelizmente)\b[^.!?\n]{0,60}\bnão (?:posso|consigo|poderei|é possível)",
        r"\A(?:mi dispiace|spiacente|purtroppo)\b[^.!?\n]{0,60}\bnon (?:posso|riesco|sono in grado)",
        r"\A(?:het spijt me|sorry|helaas)\b[^.!?\n]{0,60}\bik (?:kan|mag|ben)\b[^.!?\n]{0,60}\b(?:niet|geen)",
        r"\A(?:przepraszam|przykro mi|niestety)\b[^.!?\n]{0,60}\bnie (?:mogę|jestem w stanie)",
        r"\A(?:извините|простите|к сожалению|мне жаль)\b[^.!?\n]{0,60}\bне (?:могу|имею|в состоянии)",
        r"\A(?:üzgünüm|maalesef)\b[^.!?\n]{0,120}(?:amam|emem|amıyorum|emiyorum|yapamam)",
        r"\A(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい)[^\n]{0,80}(?:できません|できかねます|お答えできません|お手伝いできません|致しかねます)",
        r"\A(?:很?抱歉|对不起|對不起|不好意思)[^\n]{0,40}(?:我)?(?:不能|无法|無法|不会|不可以|没法)",
        r"\A我(?:不能|无法|無法)(?:提供|协助|協助|帮助|幫助|满足|滿足|回答|完成|生成)",
        r"\A(?:죄송(?:합니다|하지만)|미안)[^\n]{0,80}(?:수 없|못합니다|어렵습니다|불가능)",
        r"\A(?:عذر[اًا]+|آسف|أعتذر|للأسف)[^\n]{0,80}(?:لا (?:أستطيع|يمكنني)|لن)",
        r"\A(?:क्षमा|माफ़? ?क)[^\n]{0,80}(?:नहीं)",
    )
)
REFUSAL_LENGTH = 500  # characters: refusals with an offer of something else run to about 350
# For a task in lower case.
ABOUT_REFUSALS = re.compile(
    r"\b(?:refus|declin|reject|apolog|sorry|translat|übersetz|tradui|traduc|excuse|rewrite|rephras|paraphras|repl(?:y|ies) to|respond to|"
    r"letter|e-?mail|message|dialogue|role ?play|quote|classif|sentence|phrase|say\b|write a)",
)
