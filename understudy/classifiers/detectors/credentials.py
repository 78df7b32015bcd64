"""Secrets by what stands in front of them: password=, --token, IDENTIFIED BY, scheme://user:password@host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from understudy.classifiers.detectors.keys import entropy, looks_sample
from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

# Found inside of words too: dbPassword, ANY_pwd, apikey.
_WORDS = listed(
    "pass|pwd|pw|secret|token|key|auth|cred|salt|nonce|contraseña|wachtwoord|senha|пароль|密码|密碼|パスワード|"
    "비밀번호|"
    "hasło|lösenord|kennwort|passwort|mot de passe|şifre|parola|clave|heslo|口令|암호|पासवर्ड|كلمة المرور|psk"
)
_WORD_NEEDLES = tuple((word, Needles(word, inside=True)) for word in _WORDS)
_FOREIGN = frozenset(_WORDS[10:])
# What may follow the stem and still be the word: pass-word, but not pass-enger; and where it may begin.
_REST = {
    "pass": re.compile(r"(?:word|wort|wd|phrase|code|wrd)?s?"),
    "pwd": re.compile(""),
    "pw": re.compile(r"(?!d|r|m)"),
    "secret": re.compile(r"s?"),
    "token": re.compile(r"s?(?!iz|_count|_limit)"),
    "key": re.compile(r"s?(?!w|b|n|p)"),
    "auth": re.compile(r"(?:orization|entication)?(?!or)"),
    "cred": re.compile(r"(?:ential)?s?(?!it)"),
    "salt": re.compile(""),
    "nonce": re.compile(""),
}
_KEY_OF = re.compile(
    r"(?:api|access|secret|private|auth\w{0,12}|client|encryption|signing|account|shared|"
    r"master|session|ssh|license|any)?[_\-. ]?$"
)
_WEAK = frozenset(("auth", "cred", "salt", "nonce"))
_TAIL = re.compile(
    r"(?P<name>(?:[_\-. ]?(?i:id|key|value|string|str|hash|code|text|plain|tmp|old|new|any|"
    r"\d{1,3})){0,3}|[_\-., ]\w{1,12}(?: \w{1,12})?)"
    r"(?P<close>(?:\\?[\"'`\]]|&quot;|>(?=[^<\s])|</\w{1,20}>|\)|\([^()\n]{0,24}\))?)"
    r"(?P<sep>(?<=>)|[是は는은]|\s{0,4}(?:=>|:=|->|<-|===?|[:=：]|,(?= ?['\"])|(?<=is)(?= ))\s{0,4})"
    r"(?P<open>(?:[rbfu]?\\?[\"'`]|&quot;|&amp;quot;|<\w{1,20}>|@)?)"
    r"(?P<value>[^\s\"'`<>,;\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3]{4,256})"
)
# "token 4b9a6d8b...": no sign between, but nothing else looks like it
_BARE = re.compile(
    r"[ "
    r"\t]{1,4}[\"']?(?P<value>(?=[A-Za-z0-9+/_\-]{0,200}\d)(?=[0-9+/_\-]{0,200}[A-Za-z])[A-Za-z0-9+/_\-]{20,256})"
)
_SAID = re.compile(r"\s{1,3}(?:is|was|ist|est|es|será|è|:|=)\s{1,3}[\"'`]?(?P<value>[^\s\"'`,;]{4,64})")
_FLAG = re.compile(r"(?:\s{1,3}|=)[\"']?(?P<value>[^\s\"'`,;$<{]{4,256})")
_SQL = re.compile(
    r"\s{1,4}(?:(?:\w{1,40}|'\w{1,40}')\s{1,4}(?:by|"
    r"as)\s{1,4})?(?:=\s{0,4})?[\"'`]?(?P<value>[^\s\"'`,;)]{4,128})",
    re.IGNORECASE,
)
_URL = re.compile(r"(?P<user>[^\s:/@\"'<>]{0,64}):(?P<value>[^\s@/\"'<>]{3,128})@[\w.\-\[]")
_HEADER = re.compile(r"\s{1,3}(?P<value>[A-Za-z0-9+/=_\-.~]{8,2000})")
_PLACEHOLDER = re.compile(  # at the beginning of a value
    r"(?:x{3,}|\*{2,}|\.{2,}|-{2,}|_{2,}|#{2,}|\$[\w({]|%[\w(]+%?$|\{\{?|<|\[|\(|@\w+@|"
    r"process\.env|os\.|env[.:\[(]|getenv|config\b"
    r"|none|null|nil|true|false|undefined|empty|string|str\b|text|varchar|char|int\b|bool|"
    r"optional|any\b|bytes|object|self\.|this\."
    r"|your|my_?pass|my-?secret|enter|insert|change_?me|changeme|replace|placeholder|redacted|"
    r"hidden|secret$|password|passwd|pwd$|token$|test$"
    r"|todo|tbd|n/a|example|sample|dummy|default|required|required|request\.|req\.|args\.|"
    r"params|input|field|form\.|data\[|user\.|row\[|kwargs"
    r"|incorrect|wrong|invalid|correct|valid|expired|missing|needed|not$|the$|set$|and$|was$|"
    r"too$|must$|should$|protected|encrypted|stored|hashed)",
    re.IGNORECASE,
)
_CODE_BEGINS = re.compile(r"\w++\[|[a-z_]\w*+\.[a-z_]\w*+(?:[.(]|$)")
_CALL = re.compile(r"\w\(")
_CODE_SIGNS = ("].", "=>", "==", "++", "::")
_DIGITS = b"0123456789"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_placeholder(value: str) -> bool:
    return "****" in value or _PLACEHOLDER.match(value) is not None


def is_code(value: str) -> bool:
    return (
        value.endswith(")")
        or any(sign in value.rstrip("=") for sign in _CODE_SIGNS)
        or ("(" in value and _CALL.search(value) is not None)
        or _CODE_BEGINS.match(value) is not None
    )


def _count(value: str) -> tuple[int, int]:
    """Digits and letters."""
    if not value.isascii():
        return sum(map(str.isdigit, value)), sum(map(str.isalpha, value))
    bare = value.encode()
    return len(bare) - len(bare.translate(None, _DIGITS)), len(bare) - len(bare.translate(None, _LETTERS))


def secretive(value: str, *, strong: bool, quoted: bool) -> bool:
    """Whether a value behind such a word is a secret and not code, a type, a placeholder or a word of prose."""
    value = value.rstrip(").]}:!?\\") if not quoted else value
    if len(value) < 5 or is_placeholder(value) or "example" in value.lower() or len(set(value)) < 4:
        return False
    if (not quoted and is_code(value)) or (len(value) >= 24 and looks_sample(value)):
        return False
    digits, letters = _count(value)
    others = len(value) - digits - letters
    if value.startswith(("http://", "https://", "/", "./", "0x")) or (digits == len(value) and not strong):
        return False
    if _UUID.fullmatch(value):
        return strong or quoted
    if digits and letters:
        return len(value) >= 6 and (strong or entropy(value) >= 2.9)
    if digits == len(value):
        return 5 <= len(value) <= 12 and len(set(value)) > 3
    if others and letters:
        marks = {c for c in set(value) if not c.isalnum()} - set("_-.:/()[]")
        return bool(marks) and len(value) >= 6
    mixed = any(c.islower() for c in value) and any(c.isupper() for c in value[1:])
    # letters only: random-looking, or in quotes right behind a strong word
    return (mixed and len(value) >= 8 and _jumbled(value)) or (
        strong and quoted and len(value) >= 8 and _jumbled(value)
    )


def _jumbled(value: str) -> bool:
    """Not camelCase of a name: case changes inside more often than words begin, or few vowels."""
    changes = sum(a.islower() and b.isupper() for a, b in pairwise(value))
    vowels = sum(c in "aeiouyAEIOUY" for c in value)
    return changes > len(value) / 6 or vowels < len(value) / 5


def find_assignments(scan: Scan) -> Iterator[Span]:
    for word, needles in _WORD_NEEDLES:
        done = 0  # a value may hold the word again, and that one's value too: what was found is not judged once more
        for begin, behind in scan.at(needles):
            if begin >= done and (span := _assigned(scan, word, begin, behind)):
                done = span.end
                yield span


def _assigned(scan: Scan, word: str, begin: int, behind: int) -> Span | None:
    """The secret behind a word that stands at begin."""
    place = behind
    if (rest := _REST.get(word)) is not None:
        ending = rest.match(scan.low, place)
        if ending is None or not _begins(scan, begin, word):
            return None
        place = ending.end()
    match = _TAIL.match(scan.text, place)
    if match is None:
        bare = _BARE.match(scan.text, place)
        if bare and entropy(bare["value"]) >= 3.0 and not is_code(bare["value"]):
            return Span(*bare.span("value"), "token")
        return None
    value, quoted = match["value"], match["open"] != ""
    strong = word in ("pass", "pwd", "pw", "secret", "key") or word in _FOREIGN
    if word in _WEAK and not quoted and len(value) < 12:
        return None
    if secretive(_unescape(value), strong=strong, quoted=quoted):
        return Span(*match.span("value"), "password" if strong else "token")
    return None


def _begins(scan: Scan, begin: int, word: str) -> bool:
    """dbPass, DBPASS, user_pw, ANYpw hold the word; compass, bypass, monkey do not."""
    if not begin:
        return True
    first, front = scan.text[begin], scan.text[begin - 1]
    if word == "key" and not _KEY_OF.search(scan.before(begin, 24)):
        return False
    if not front.isalpha():
        return True
    if word in ("pass", "pw", "key", "cred", "salt", "auth"):
        longer = scan.low.startswith(("password", "passwd", "passphrase"), begin)
        changes = first.isupper() != front.isupper()
        return longer or changes or (word == "key" and scan.low.endswith(("api", "access", "secret", "auth"), 0, begin))
    return True


def _unescape(value: str) -> str:
    value = re.split(r"&\w{1,40}=", value, maxsplit=1)[0]
    return value.split("&quot;")[0].split("&amp;quot;")[0].split("\\n")[0].split("&lt;")[0] or value


def find_spoken(scan: Scan) -> Iterator[Span]:
    """ "My password is swordfish": said of oneself or of somebody, a plain word is a secret too."""
    for _, place in scan.at(_SPOKEN):
        front = scan.before(place, 28)
        if not any(
            w in front for w in ("my ", "his ", "her ", "their ", "our ", "the wifi", "mein ", "mi ", "mon ", "minha ")
        ):
            continue
        match = _SAID.match(scan.text, place)
        if match and not is_placeholder(match["value"]) and not is_code(match["value"]):
            value = match["value"].rstrip(".!?)")
            said_of = value.lower() in _PROSE or (value.isalpha() and value.islower() and len(value) < 6)
            if len(value) >= 4 and not said_of and (value.isdigit() or "pin" not in scan.before(place, 3)):
                yield Span(match.start("value"), match.start("value") + len(value), "password")


_SPOKEN = Needles(*listed("password|passphrase|passcode|passwort|contraseña|mot de passe|senha|pin|пароль"))
_FLAGS = Needles(
    *listed("password|pass|passwd|pwd|token|secret|api-key|apikey|access-key|client-secret|secret-key|auth-token")
)
_CLIENTS = Needles(
    *listed("sshpass -p|mysql |mysqldump |mariadb |curl |docker login|sqlcmd |net use |wpa_passphrase |htpasswd |"
            "smbclient |ldapsearch |xfreerdp |psexec |sqlplus |isql |osql |bcp |unzip |7z |openssl |redis-cli |mongo |"
            "mongosh |rdesktop |kinit |az login|helm |snmpwalk |ipmitool ")
)  # fmt: skip
_CLIENT = re.compile(
    r"(?:(?<= )-[pPwa] ?|(?<= )/p:|share |passphrase \S{1,40} |-b \S{1,60} \S{1,40} |"
    r"(?<=-u )[\"']?[\w.@\-]{1,64}:|(?<=--user )[\"']?[\w.@\-]{1,64}:|"
    r"(?<=sshpass -p) )(?P<value>(?!\$)[^\s\"']{4,64})"
)
_SECURE = Needles("convertto-securestring")
_SECURED = re.compile(r"(?<=\s)\\?[\"']?([^\s\"'\-$(\\][^\s\"'$\\]{5,63})")
_IDENTIFIED = Needles("identified by", "identified with")
_PASSWORD = Needles("password")
_STATEMENTS = Needles(
    *listed(
        "create user|create role|create login|alter user|alter role|alter login|grant |set password|"
        "create database|create server"
    )
)
_SCHEMES = Needles("://")
_HEADERS = Needles(*listed("bearer|basic|x-api-key:|authorization: token|private-token:|authorization:|ntlm|negotiate"))
_PROSE = frozenset(
    [
        "incorrect",
        "wrong",
        "not",
        "being",
        "never",
        "always",
        "forgotten",
        "lost",
        "stolen",
        "leaked",
        "compromised",
        "blocked",
        "locked",
        "weak",
        "strong",
        "safe",
        "secure",
        "accepted",
        "rejected",
        "still",
        "correct",
        "visible",
        "known",
        "required",
        "asked",
        "shown",
        "saved",
        "working",
        "refused",
    ]
)


def find_flags(scan: Scan) -> Iterator[Span]:
    """Command lines: --password x, -p x behind a client, curl -u user:password, sshpass."""
    for start, place in scan.at(_FLAGS):
        if not start or scan.text[start - 1] != "-":
            continue
        match = _FLAG.match(scan.text, place)
        if match and secretive(match["value"], strong=True, quoted=False):
            yield Span(match.start("value"), match.end("value"), "password")
    for start, place in scan.at(_CLIENTS):
        match = _CLIENT.search(scan.text, start, place + 160)
        if match and not is_placeholder(match["value"]) and not match["value"].strip("-").isalpha():
            yield Span(match.start("value"), match.end("value"), "password")
    for _, place in scan.at(_SECURE):
        for match in _SECURED.finditer(scan.text, place, place + 120):
            if secretive(match[1], strong=True, quoted=True):
                yield Span(match.start(1), match.end(1), "password")


def find_sql(scan: Scan) -> Iterator[Span]:
    if not any(True for _ in scan.at(_STATEMENTS)):
        return
    for _, place in scan.at(_IDENTIFIED):
        match = _SQL.match(scan.text, place)
        if match and not is_placeholder(match["value"]):
            yield Span(match.start("value"), match.end("value"), "password")
    for _, place in scan.at(_PASSWORD):
        match = _SQL.match(scan.text, place)
        if match and secretive(match["value"], strong=True, quoted=scan.text[match.start("value") - 1] in "'\""):
            yield Span(match.start("value"), match.end("value"), "password")


def find_urls(scan: Scan) -> Iterator[Span]:
    """A password in a connection string or a URL."""
    for _, place in scan.at(_SCHEMES):
        match = _URL.match(scan.text, place)
        if match and not is_placeholder(match["value"]) and match["value"].lower() not in ("pass", "pw", "secret"):
            yield Span(match.start("value"), match.end("value"), "password")


def find_headers(scan: Scan) -> Iterator[Span]:
    """Bearer, basic and other authorization."""
    for _, place in scan.at(_HEADERS):
        match = _HEADER.match(scan.text, place)
        if match and len(match["value"]) >= 12 and not is_placeholder(match["value"]):
            value = match["value"]
            mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
            if (mixed or value.endswith("=")) and entropy(value) >= 3.0:
                yield Span(match.start("value"), match.end("value"), "token")
