"""Secrets that people say and tables hold: "the password is ...", user/password pairs, columns, recovery phrases."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.classifiers.detectors.credentials import is_code, is_placeholder
from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

# A password of one's own may be a plain word behind these.
_WORD = Needles(
    *listed(
        "password|passwd|passphrase|passcode|passwort|passwörter|kennwort|contraseña|contrasena|clave|mot de passe|mdp|"
        "senha|palavra-passe|wachtwoord|hasło|haslo|parola|şifre|sifre|heslo|jelszó|lösenord|adgangskode|passord|"
        "salasana|пароль|пароля|пароли|κωδικός|كلمة المرور|كلمة السر|الرقم السري|पासवर्ड|密码|密碼|口令|パスワード|"
        "暗証番号|비밀번호|암호|סיסמה|รหัสผ่าน|mật khẩu|kata sandi|pwd|pw|pass|login code|access code|door code|"
        "zugangscode|api key|api-key|secret key|access key|access token|api token|wifi key|wlan-schlüssel|"
        "netzwerkschlüssel|security code|auth code|2fa code|backup code|recovery code"
    )
)
_PIN = Needles(
    *listed(
        "pin|pin code|pin-code|pin number|código pin|code pin|пин-код|pin-код|passcode|door code|alarm code|"
        "code to the safe|code for the safe|code to the door|code of the safe|safe code|safe combination|"
        "gate code|otp|verification code|security code|tan|暗証番号|暗码"
    )
)
# What may stand between the word and the value: a few words, then a sign or a verb that gives it.
_GIVEN = re.compile(
    r"(?:[\"'`*_)\]}>]{0,3})(?:[ \t]{1,3}(?=[^\s\d]{0,24}\d)"
    r"|(?:[ \t]{1,3}(?!is\b|are\b|=)[^\W\d_][\w'’\-]{0,14}){0,6}?"
    r"(?:[ \t]{0,3}(?:->|=>|[:=]|：|\()|[ \t]{1,3}(?:is|was|are|ist|lautet|war|est|es|era|sera|è|é|e|to|jest|är|er|on|"
    r"olan|это|есть|hai|है|هي|هو|как)\b[: ]?|[ \t]{0,2}(?:是|は|为|為|が|은|는)))"
    r"[\s\"'`*_:]{0,6}(?P<value>[^\s\"'`,;<>\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3]{4,64})"
)
_AS = re.compile(
    r"(?P<value>[^\s\"'`,;:<>]{6,64})[\"'`]?,? (?:as|is|was|für|als|como|comme|come|jako)"
    r"(?: (?:the|my|your|our|his|her|das|mein|ma|la|el|le|a|new|admin|root|wifi))*[ \"'`]{0,3}$",
    re.IGNORECASE,
)
_AS_ENDS = listed(
    " as| is| was| für| als| como| comme| come| jako| the| my| your| our| his| her| das| mein| ma| la| el| le|"
    " a| new| admin| root| wifi"
)
_PIN_GIVEN = re.compile(
    r"[\"']?(?: (?:for|of|to|für|de|del|di|code|number|is|my|the|card|phone|door|alarm|karte)){0,5}?"
    r"(?:\s?[:=#]|\s(?:is|ist|es|est|lautet|è|é|to|jest)|[是は])?[\s\"']{0,3}(?P<value>\d{4,8})(?![\d.,:/\-]\d|\d|\w)"
)
_PIN_SAID = re.compile(r"[:=]|\b(?:is|ist|es|est|lautet|to|jest)\b|[èé是は]")
_OWNED = re.compile(
    r"\b(?:my|your|his|her|our|the|card|sim|atm|phone|door|mein\w?|mi|mon|mio|meu|mój) [\w\-]{2,12}(?: code| number)?$"
)
_TERMS = re.compile(
    r"(?:sha-?\d|md[45]|base\d\d|oauth|utf-?\d|bcrypt|argon|pbkdf|aes-?\d|rsa-?\d|tls|ssl|ipv[46]|h26\d|http|web\d|"
    r"ed25519|x509|x\.509|win(?:dows)?\d|python\d|java\d|es\d|v\d|mp[34]|i18n|l10n|k8s|s3|ec2|b2b|p2p|3d|2fa|mfa|u2f|"
    r"fido2|ldap|saml|scram|kdf\d|chap|layer\d|level\d|step\d|field\d|test\d|user\d|example\d?|foo\d|bar\d)",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[a-z]+(?:[_\-.][a-z0-9]+)*\d{0,2}|[A-Z]+(?:[_\-][A-Z0-9]+)*|[A-Z][a-z]+(?:[A-Z][a-z]+)*\d?")
_DATED = re.compile(r"[\d.,:/\-]+(?:st|nd|rd|th|[a-z]{1,2}|%|[ap]m)?")
_ADDRESS = re.compile(
    r"(?:https?:|ftp:|/|\./|\.\./|[A-Z]:\\|~/|[\w.\-]+@[\w\-]+\.)|[\w\-]+(?:\.[a-z]{2,6}){1,3}(?:/|$)"
)
_CODE = re.compile(
    r"[\w.\]]+\(|[$%#]?[\[{(<]|\$\w|%\w|@\w+@|\w+\[|.*(?:=>|::|\+\+|&&|\|\||==|!=|\);|\{\})|-{1,2}[a-z]|\*{3}|"
    r"\.{3}|x{4}|\\"
)


def looks_password(value: str) -> bool:
    """Letters with digits or signs, as people write in passwords: no word, name of code, version, date or address."""
    value = value.rstrip(".!?)]}|:")
    if is_placeholder(value) or is_code(value) or value.startswith(("0x", "file:", "env:", "pass:", "<", "[")):
        return False
    if not 5 <= len(value) <= 128 or len(set(value)) < 4:
        return False
    if _PLAIN.fullmatch(value) or _DATED.fullmatch(value) or _TERMS.match(value):
        return False
    if _ADDRESS.match(value) or _CODE.match(value) or "xxx" in value.lower() or "****" in value:
        return False
    digits = sum(c.isdigit() for c in value)
    letters = sum(c.isalpha() for c in value)
    signs = sum(c in "!#$%&@^*?+=~_" for c in value.strip("_*"))
    return letters >= 2 and (digits >= 1 or (signs >= 1 and len(value) >= 7)) and digits + letters >= len(value) / 2


def find_given(scan: Scan) -> Iterator[Span]:
    """The password is ..., in the words of many languages; also behind its value: "... as the password"."""
    for start, end in scan.at(_WORD):
        match = _GIVEN.match(scan.text, end)
        if match and looks_password(match["value"]):
            value = match["value"].rstrip(".!?)]}|:")
            yield Span(match.start("value"), match.start("value") + len(value), "password")
            continue
        front = scan.text[max(0, start - 90) : start]
        if front.rstrip(" \"'`").endswith(_AS_ENDS) and (match := _AS.search(front)) and looks_password(match["value"]):
            place = start - len(front) + match.start("value")
            yield Span(place, place + len(match["value"]), "password")
    for _, end in scan.at(_PIN):
        if match := _PIN_GIVEN.match(scan.low, end):
            value = match["value"]
            said = _PIN_SAID.search(match.group()[: -len(value)]) is not None
            if said or (_OWNED.search(scan.before(end, 24)) and not (len(value) == 4 and value[:2] in ("19", "20"))):
                yield Span(*match.span("value"), "password")


_LOGIN = Needles(
    *listed(
        "login|logins|log in|log-in|credentials|creds|zugang|zugangsdaten|anmeldung|identifiants|credenciales|"
        "credenziali|credenciais|inloggegevens|dane logowania|логин|доступы|账号|帳號|sign in|username|user|account"
    )
)
_PAIR = re.compile(
    r"[^\w\n]{1,4}(?:is |are |with |as |for [\w.\-]{1,40}[: ]{1,2}|data[: ]{1,2}|daten[: ]{1,2})?[\"'`]?"
    r"[\w.@+\-]{2,64}[\"'`]?\s?(?:/|\||:|,| and | und | et | y | e |\s-\s)\s?[\"'`]?(?P<value>[^\s\"'`,;<>/]{5,64})"
)
_PAIR_FIRST = re.compile(
    r"(?<![\w/.:])[\w.\-]{2,40}/(?P<value>[^\s\"'`,;<>/]{6,64}) (?:is|as|for|are|ist|es) (?:the |my |a |our )?$"
)
_PAIR_ENDS = listed(" is | as | for | are | ist | es | the | my | a | our ")
_CALLS = Needles(
    *listed("auth=(|auth = (|.login(|login(|basicauth(|basic_auth(|credentials(|credential(|authenticate(|connect(|"
            "auth(|setcredentials(|.auth("), inside=True
)  # fmt: skip
_ARGUMENTS = re.compile(
    r"(?:[^()\"'\n]{0,60}[\"'][^\"'\n]{0,80}[\"']\s{0,3},){1,3}\s{0,3}[\w ]{0,16}[=:]?\s{0,2}[\"']"
    r"(?P<value>[^\"'\n]{5,80})[\"']"
)
_PORTS = Needles(
    ":5432:", ":3306:", ":1433:", ":27017:", ":6379:", ":1521:", ":3389:", ":22:", ":21:", ":8080:", inside=True
)
_PGPASS = re.compile(r"(?:[\w.\-*]{1,40}:){1,2}(?P<value>[^\s:]{5,64})(?:\s|$)")


def find_pairs(scan: Scan) -> Iterator[Span]:
    """admin / s3cret: pairs behind a word for logging in, the arguments of a call, lines of .pgpass."""
    for start, end in scan.at(_LOGIN):
        match = _PAIR.match(scan.text, end)
        if match and looks_password(match["value"]) and any(c in "!#$%&@^*?_" or c.isdigit() for c in match["value"]):
            yield Span(*match.span("value"), "password")
            continue
        front = scan.text[max(0, start - 120) : start]
        if front.endswith(_PAIR_ENDS) and (match := _PAIR_FIRST.search(front)) and looks_password(match["value"]):
            place = start - len(front) + match.start("value")
            yield Span(place, place + len(match["value"]), "password")
    for _, end in scan.at(_CALLS):
        match = _ARGUMENTS.match(scan.text, end)
        if match and looks_password(match["value"]):
            yield Span(*match.span("value"), "password")
    for _, end in scan.at(_PORTS):
        match = _PGPASS.match(scan.text, end)
        if match and looks_password(match["value"]):
            yield Span(*match.span("value"), "password")


# A value in quotes, or of an attribute, not right behind the name: with a type, an arrow, a default between.
_NAMES = Needles(
    *listed("password|passwd|passphrase|s3cr3t|passw0rd|p4ssw|_auth|_pass|pwd|secret|apikey|api_key|api-key|"
            "token|psk|credential|private_key|"
            "privatekey|accesskey|access_key|authkey|auth_key|community"), inside=True
)  # fmt: skip
_FAR = re.compile(
    r"[\w\-.]{0,24}[\"'\]\)]{0,2}(?:[^\S\n]{1,4}(?:value|default|content|string|text)\s{0,3}=\s{0,3}|"
    r"[^\S\n]{0,4}<-[^\S\n]{0,4}"
    r"|\s{0,4}:\s{0,3}[\w&\[\]<>.' ]{1,32}?=\s{0,4}|[^\S\n]{1,4}[\w\[\]*]{1,16}[^\S\n]{0,4}:?=\s{0,4}"
    r"|\s{0,3}\{\s{1,40}(?:type\s{0,12}=\s{0,3}\w{1,12}\s{1,40})?(?:default|value)\s{0,12}=\s{0,3}"
    r"|(?:\s{1,3}[\w:\-]{1,24}=[\"'][^\"'\n]{0,80}[\"']){0,3}\s{0,2}>|[^\S\n]{1,12}(?=[\"'`])|"
    r"\s{0,4}:\s{0,3}(?:[>|][\-+]?|!\w{1,12})?\s{0,12})"
    r"(?P<open>[bru]?[\"'`]?)(?P<value>[^\s\"'`<>,;]{5,128})"
)


def find_far(scan: Scan) -> Iterator[Span]:
    """<property name="password" value="..."/>, password: &str = "...", #define WIFI_PASS "..."."""
    done = 0
    for start, end in scan.at(_NAMES):
        if start < done:
            continue
        match = _FAR.match(scan.text, end)
        if match and looks_password(match["value"]):
            done = match.end()
            yield Span(*match.span("value"), "password")


_PHRASE = Needles(
    *listed("seed phrase|seed words|seed|mnemonic|recovery phrase|backup phrase|secret phrase|wallet phrase|bip39|"
            "wiederherstellungsphrase|frase semilla|phrase de récupération|助记词|сид-фраза|recovery words|"
            "24 words|12 words")
)  # fmt: skip
_PHRASE_WORDS = re.compile(
    r"[\w ]{0,12}[\s\"'\[:=\-]{1,6}(?:is |are |"
    r"to my \w{1,12} ?[:=]?\s?)?(?P<words>(?:(?:\d{1,2}[.)] ?)?[\"']?[a-z]{3,8}[\"']?[ ,\n]{1,3}){11,23}[a-z]{3,8})\b"
)
_STOP = re.compile(r"\b(?:the|and|for|with|that|this|from|you|your|are|was|have|will|can|must|should|when|which)\b")


def find_phrases(scan: Scan) -> Iterator[Span]:
    """Twelve to twenty-four words that open a wallet."""
    for _, end in scan.at(_PHRASE):
        match = _PHRASE_WORDS.match(scan.low, end)
        if match and not _STOP.search(match["words"]):
            yield Span(*match.span("words"), "recovery_phrase")


_SECRET_COLUMN = re.compile(
    r"password|passwort|passwd|pwd|secret|api.?key|token|contraseña|mot de passe|senha|hasło|пароль|密码"
)


def find_columns(scan: Scan) -> Iterator[Span]:
    """Tables whose heading says password: the column below it."""
    done = 0
    for start, end in scan.at(_HEADING):
        if start < done:
            continue
        begin = scan.text.rfind("\n", max(0, start - 300), start) + 1
        until = scan.text.find("\n", end, end + 300)
        done = until
        sign = next((s for s in ("|", "\t", ";", ",") if s in scan.text[begin:until]), "") if until > 0 else ""
        if not sign:
            continue
        heads = scan.low[begin:until].split(sign)
        columns = [i for i, head in enumerate(heads) if len(head) < 30 and _SECRET_COLUMN.search(head)]
        place = until + 1
        for _ in range(20):
            stop = scan.text.find("\n", place, place + 600)
            stop = min(len(scan.text), place + 600) if stop < 0 else stop
            cells = scan.text[place:stop].split(sign)
            if len(cells) != len(heads):
                break
            for column in columns:
                value = cells[column].strip(" \"'`")
                if looks_password(value):
                    where = scan.text.index(value, place + sum(len(c) + 1 for c in cells[:column]))
                    yield Span(where, where + len(value), "password")
            place = stop + 1


_HEADING = Needles(
    *listed("password|passwort|passwd|pwd|secret|api_key|apikey|token|contraseña|senha|hasło|пароль|密码")
)
