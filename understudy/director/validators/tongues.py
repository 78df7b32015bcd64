"""Languages by their function words, scripts and names, and how one is asked for: tables for `language.py`."""
# ruff: noqa: E501

from __future__ import annotations

import re

# The commonest function words. Those that two of these languages share weigh for both and so decide nothing.
STOPWORDS: dict[str, frozenset[str]] = {
    code: frozenset(text.split())
    for code, text in {
        "en": "the of and to is in that it for was with as are be this have from or by you not but they which at we an were their "
        "has its can will would there what if when more so about into than them these how your our she he his her been also do does",
        "de": "der die das und ist nicht ein eine zu den mit von für auf des im dem sich auch als an es wird oder sind werden bei nach "
        "aus einer einem einen wie aber durch kann wenn wir ich sie er hat haben dass über zum zur nur noch mehr sowie diese dieser",
        "fr": "le la les des et est une un pour dans que qui sur pas au plus par avec ce cette sont il elle nous vous ne se aux ou mais "
        "comme être leur été fait ces ses peut entre aussi tout sans même où dont du de en c'est l'on d'un d'une qu'il",
        "es": "el la los las de que y en un una es por para con no se del al lo como más pero sus le ya o este sí porque esta entre cuando "
        "muy sin sobre también me hasta hay donde quien desde todo nos durante son está ser puede han fue",
        "it": "il la le gli di che e un una è per non con del della dei nel alla sono come più ma anche si da al dal ha questo questa delle "
        "degli nella essere o se tra cui suo sua loro può molto quando lo i",
        "pt": "o a os as de que e do da em um uma é para com não no na por mais dos das se como mas ao foi ele ela são ou seu sua quando muito "
        "nos já está também só pelo pela até isso entre era depois sem mesmo aos ter você",
        "nl": "de het een en van is dat op te in voor met die niet zijn aan er ook als maar om dan bij nog uit naar door over wordt worden deze "
        "heeft kan hebben je wij ik hij zij meer of tot",
        "pl": "i w na z że się nie do jest to o jak po za od przez ale co są dla czy tym tego jego jej który która które oraz może być tylko już "
        "także bardzo ich ten",
        "sv": "och att det som en på är av för med den till inte om ett han men var jag från vi så kan när år ska hade eller också de sig har",
        "tr": "ve bir bu için ile da de çok olarak daha gibi olan ne kadar en sonra ama ya var değil o ki mi her ise veya",
    }.items()
}
NAMES: dict[str, str] = {
    "en": r"english|englisch|anglais|inglés|inglese|inglês|ingles",
    "de": r"german|deutsch|allemand|alemán|tedesco|alemão",
    "fr": r"french|französisch|français|francés|francese|francês",
    "es": r"spanish|spanisch|espagnol|español|castellano|spagnolo|espanhol",
    "it": r"italian|italienisch|italien|italiano",
    "pt": r"portuguese|portugiesisch|portugais|portugués|português|portoghese",
    "nl": r"dutch|niederländisch|néerlandais|holandés|nederlands",
    "pl": r"polish|polnisch|polonais|polaco|polski|po polsku",
    "sv": r"swedish|schwedisch|suédois|sueco|svenska",
    "tr": r"turkish|türkisch|turc|turco|türkçe",
    "ru": r"russian|russisch|russe|ruso|русском|по-русски",
    "uk": r"ukrainian|ukrainisch|українською",
    "zh": r"chinese|mandarin|chinesisch|chinois|chino|中文",
    "ja": r"japanese|japanisch|japonais|japonés|日本語",
    "ko": r"korean|koreanisch|coréen|coreano|한국어",
    "ar": r"arabic|arabisch|arabe|árabe|العربية",
    "he": r"hebrew|hebräisch|hébreu|hebreo|עברית",
    "hi": r"hindi|हिन्दी|हिंदी",
    "el": r"greek|griechisch|grec|griego|ελληνικά",
    "th": r"thai|ไทย",
}
SCRIPTS: dict[str, re.Pattern[str]] = {
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "kana": re.compile(r"[\u3040-\u30ff]"),
    "han": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]"),
    "hangul": re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
    "greek": re.compile(r"[\u0370-\u03ff]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
}
SCRIPT_OF = {
    "ru": "cyrillic",
    "uk": "cyrillic",
    "zh": "han",
    "ja": "kana",
    "ko": "hangul",
    "ar": "arabic",
    "he": "hebrew",
    "hi": "devanagari",
    "el": "greek",
    "th": "thai",
}
# For a task in lower case: ignoring the case while matching takes several times as long.
_ANY_NAME = "|".join(NAMES.values())
ORDER = re.compile(
    rf"\b(?:answer|respond|reply|write|explain|summari[sz]e|describe|speak|antworte|schreibe?|erkläre|réponds?|répondez|écris|responde|escribe|rispondi|responda|antwoord|ответь)"
    rf"\b[^.!?\n]{{0,60}}?\b(?:in|auf|en|em|po|på|op|на)\s+(?:\w+ )?(?P<name>{_ANY_NAME})\b"
    rf"|\b(?:auf|in|en) (?P<alone>{_ANY_NAME})\s*(?:bitte|please|s'il (?:te|vous) pla[iî]t|por favor|only|!|\.|$)",
    re.M,
)
TRANSLATION = re.compile(
    rf"\b(?:translat\w*|übersetz\w*|tradui\w*|traduc\w*|traduz\w*|vertaal\w*|przetłumacz\w*|перевед\w*|翻译|翻訳)\b"
    rf"(?:.{{0,2000}}?\b(?:to|into|in|ins|auf|en|al|naar|na|на)\s+(?:\w+ )?(?P<name>{_ANY_NAME})\b)?",
    re.S,
)
MIXED = re.compile(
    rf"\b(?:{_ANY_NAME}|language|sprache|langue|idioma|lingua|translat\w*|bilingual|vocabular\w*|grammar|say\b|word for|lyrics|quote|poem|code|regex|json|proverb|name)\b",
)
