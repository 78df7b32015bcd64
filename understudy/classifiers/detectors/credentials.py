"""Secrets by what stands in front of them: password=, --token, IDENTIFIED BY, scheme://user:password@host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.keys import entropy
from understudy.classifiers.detectors.scan import Scan
from understudy.types import Span

_WORDS = (
    *("password", "passwort", "passwd", "passphrase", "passcode", "contraseña", "mot de passe", "wachtwoord", "senha"),
    *("пароль", "密码", "密碼", "パスワード", "비밀번호", "hasło", "lösenord", "parola", "clave", "kennwort"),
    *("pwd", "pw", "pass", "secret", "token", "apikey", "api key", "api_key", "api-key", "access key", "access_key"),
    *("accesskey", "accesskeyid", "access-key", "auth_key", "authkey", "private_key", "privatekey", "client_key"),
    *("encryption_key", "signing_key", "account_key", "accountkey", "sharedaccesskey", "credential", "credentials"),
    *("nonce", "salt", "pin code", "otp", "auth"),
)
_STRONG = re.compile(r"pass|pwd|pw$|secret|key|пароль|密|パス|비밀|contrase|senha|wachtwoord|hasło|lösen|parola|clave|kennwort")
_TAIL = re.compile(
    r"(?P<name>(?:[_\-. ]?(?i:id|key|value|string|str|hash|code|text|is|for|plain|default|tmp|old|new|\d{1,3})){0,3})"
    r"(?P<close>(?:\\?[\"'`\]]|&quot;|</\w{1,20}>|\)|\([^()\n]{0,24}\))?)"
    r"(?P<sep>\s{0,4}(?:=>|:=|->|===?|[:=：]|,(?= ?['\"])|(?<=is)(?= ))\s{0,4})"
    r"(?P<open>(?:[rbfu]?\\?[\"'`]|&quot;|&amp;quot;|<\w{1,20}>|@)?)"
    r"(?P<value>[^\s\"'`<>,;]{4,256})"
)
_SAID = re.compile(r"\s{1,3}(?:is|was|ist|est|es|será|è|:|=)\s{1,3}[\"'`]?(?P<value>[^\s\"'`,;]{4,64})")
_FLAG = re.compile(r"(?:\s{1,3}|=)[\"']?(?P<value>[^\s\"'`,;$<{]{4,256})")
_SQL = re.compile(r"\s{1,4}(?:(?:with\s{1,4}\w{1,40}\s{1,4})?(?:by|as)\s{1,4})?(?:=\s{0,4})?[\"'`]?(?P<value>[^\s\"'`,;)]{4,128})", re.IGNORECASE)
_URL = re.compile(r"(?P<user>[^\s:/@\"'<>]{0,64}):(?P<value>[^\s@/\"'<>]{3,128})@[\w.\-\[]")
_HEADER = re.compile(r"\s{1,3}(?P<value>[A-Za-z0-9+/=_\-.~]{8,2000})")
_PLACEHOLDER = re.compile(
    r"^(?:x{3,}|\*{2,}|\.{2,}|-{2,}|_{2,}|#{2,}|\$[\w({]|%[\w(]+%?$|\{\{?|<|\[|\(|@\w+@|process\.env|os\.|env[.:\[(]|getenv|config\b"
    r"|none|null|nil|true|false|undefined|empty|string|str\b|text|varchar|char|int\b|bool|optional|any\b|bytes|object|self\.|this\."
    r"|your|my_?pass|my-?secret|enter|insert|change_?me|changeme|replace|placeholder|redacted|hidden|secret$|password|passwd|pwd$|token$|test$"
    r"|todo|tbd|n/a|example|sample|dummy|default|required|required|request\.|req\.|args\.|params|input|field|form\.|data\[|user\.|row\[|kwargs"
    r"|incorrect|wrong|invalid|correct|valid|expired|missing|needed|not$|the$|set$|and$|was$|too$|must$|should$|protected|encrypted|stored|hashed)",
    re.IGNORECASE,
)
_CODE = re.compile(r"\w\(|\)\s*$|\]\.|^\w+\[|^[a-z_]\w*\.[a-z_]\w*(?:\.|\(|$)|=>|==|\+\+|::")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def secretive(value: str, *, strong: bool, quoted: bool) -> bool:
    """Whether a value behind such a word is a secret and not code, a type, a placeholder or a word of prose."""
    value = value.rstrip(").]}:!?\\") if not quoted else value
    if len(value) < 5 or _PLACEHOLDER.search(value) or "example" in value.lower() or len(set(value)) < 4:
        return False
    if not quoted and _CODE.search(value):
        return False
    digits = sum(c.isdigit() for c in value)
    letters = sum(c.isalpha() for c in value)
    others = len(value) - digits - letters
    mixed = any(c.islower() for c in value) and any(c.isupper() for c in value[1:])
    if value.startswith(("http://", "https://", "/", "./", "0x")) or (digits == len(value) and not strong):
        return False
    if _UUID.fullmatch(value):
        return strong or quoted
    if digits and letters:
        return len(value) >= 6 and (strong or entropy(value) >= 2.9)
    if digits == len(value):
        return 5 <= len(value) <= 12 and len(set(value)) > 3
    if others and letters:
        marks = {c for c in value if not c.isalnum()} - set("_-.:/()[]")
        return bool(marks) and len(value) >= 6
    # letters only: random-looking, or in quotes right behind a strong word
    return (mixed and len(value) >= 8 and _jumbled(value)) or (strong and quoted and len(value) >= 8 and _jumbled(value))


def _jumbled(value: str) -> bool:
    """Not camelCase of a name: case changes inside more often than words begin, or few vowels."""
    changes = sum(a.islower() and b.isupper() for a, b in zip(value, value[1:], strict=False))
    vowels = sum(c in "aeiouyAEIOUY" for c in value)
    return changes > len(value) / 6 or vowels < len(value) / 5


def find_assignments(scan: Scan) -> Iterator[Span]:
    text = scan.text
    for word in _WORDS:
        for place in scan.at(word):
            begin = place - len(word)
            if begin and text[begin - 1].isalpha() and len(word) <= 4 and not _begins(text, begin, word):
                continue
            match = _TAIL.match(text, place)
            if match is None:
                continue
            value = match["value"]
            quoted = match["open"] != ""
            strong = _STRONG.search(word) is not None
            if word in ("auth", "nonce", "salt", "otp", "credential", "credentials") and not (quoted or len(value) > 11):
                continue
            if secretive(_unescape(value), strong=strong, quoted=quoted):
                yield Span(match.start("value"), match.end("value"), "password" if strong else "token")


def _begins(text: str, begin: int, word: str) -> bool:
    """dbPass, DBPASS, USER_PW, ANYpw begin a word; compass, bypass, tpw do not."""
    first, front = text[begin], text[begin - 1]
    return (first.isupper() and front.islower()) or (first.islower() and front.isupper() and word != "pw")


def _unescape(value: str) -> str:
    return value.split("&quot;")[0].split("&amp;quot;")[0].split("\\n")[0].split("&lt;")[0] or value


def find_spoken(scan: Scan) -> Iterator[Span]:
    """ "My password is swordfish": said of oneself or of somebody, a plain word is a secret too."""
    for place in scan.at("password", "passphrase", "passcode", "passwort", "contraseña", "mot de passe", "senha", "pin"):
        front = scan.before(place, 28)
        if not any(w in front for w in ("my ", "his ", "her ", "their ", "our ", "the wifi", "mein ", "mi ", "mon ", "minha ")):
            continue
        match = _SAID.match(scan.text, place)
        if match and not _PLACEHOLDER.search(match["value"]) and not _CODE.search(match["value"]):
            value = match["value"].rstrip(".!?)")
            said_of = value.lower() in _PROSE or (value.isalpha() and value.islower() and len(value) < 6)
            if len(value) >= 4 and not said_of and (value.isdigit() or "pin" not in scan.before(place, 3)):
                yield Span(match.start("value"), match.start("value") + len(value), "password")


_PROSE = frozenset(
    "incorrect wrong not being never always forgotten lost stolen leaked compromised blocked locked weak strong safe "
    "secure accepted rejected still correct visible known required asked shown saved working refused".split()
)


def find_flags(scan: Scan) -> Iterator[Span]:
    """Command lines: --password x, -p x behind a client, curl -u user:password, sshpass."""
    if " -" not in scan.text and not scan.text.startswith("-"):
        return
    flags = ("--password", "--pass", "--passwd", "--pwd", "--token", "--secret", "--api-key", "--apikey", "--access-key")
    for place in scan.at(*flags, "--client-secret", "--secret-key", "--auth-token", "-password", "-token", "-secret"):
        match = _FLAG.match(scan.text, place)
        if match and secretive(match["value"], strong=True, quoted=False):
            yield Span(match.start("value"), match.end("value"), "password")
    for place in scan.at("sshpass -p", "mysql -u", "mysqldump -u", "curl -u", "curl --user", "docker login -u"):
        window = scan.text[place : place + 120]
        match = re.search(r"(?:(?<= )-p ?|^\s?[\"']?[\w.@\-]{1,64}:)(?P<value>[^\s\"'$]{4,64})", window)
        if match and not _PLACEHOLDER.search(match["value"]):
            yield Span(place + match.start("value"), place + match.end("value"), "password")
    for place in scan.at("securestring"):
        for match in re.finditer(r"(?<=\s)[\"']?([^\s\"'\-$(][^\s\"'$]{5,63})", scan.text[place : place + 120]):
            if secretive(match[1], strong=True, quoted=True):
                yield Span(place + match.start(1), place + match.end(1), "password")


def find_sql(scan: Scan) -> Iterator[Span]:
    for place in scan.at("identified"):
        match = _SQL.match(scan.text, place)
        if match and not _PLACEHOLDER.search(match["value"]) and match["value"].lower() not in ("with", "as", "via"):
            yield Span(match.start("value"), match.end("value"), "password")
    low = scan.low
    if not any(w in low for w in ("create ", "alter ", "grant ", "set password", "login ")):
        return
    for place in scan.at("password"):
        if not any(w in scan.before(place, 200) for w in ("create ", "alter ", "grant ", "login ", "role ", "set ")):
            continue
        match = _SQL.match(scan.text, place)
        if match and secretive(match["value"], strong=True, quoted=scan.text[match.start("value") - 1] in "'\""):
            yield Span(match.start("value"), match.end("value"), "password")


def find_urls(scan: Scan) -> Iterator[Span]:
    """A password in a connection string or a URL."""
    for place in scan.at("://"):
        match = _URL.match(scan.text, place)
        if match and not _PLACEHOLDER.search(match["value"]) and match["value"].lower() not in ("pass", "pw", "secret"):
            yield Span(match.start("value"), match.end("value"), "password")


def find_headers(scan: Scan) -> Iterator[Span]:
    """Bearer and basic authorization."""
    for place in scan.at("bearer", "basic", "x-api-key:", "authorization: token", "private-token:", "authorization:"):
        match = _HEADER.match(scan.text, place)
        if match and len(match["value"]) >= 12 and not _PLACEHOLDER.search(match["value"]):
            value = match["value"]
            if any(c.isdigit() for c in value) and entropy(value) >= 3.0 and any(c.isalpha() for c in value):
                yield Span(match.start("value"), match.end("value"), "token")
            elif value.endswith("=") and entropy(value) >= 3.0:
                yield Span(match.start("value"), match.end("value"), "token")
