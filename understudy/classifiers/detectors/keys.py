"""Secrets that show what they are: key formats of vendors, private keys, tokens, long random strings."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from understudy.classifiers.detectors.readings import decoded
from understudy.classifiers.detectors.scan import Needles, Scan, listed
from understudy.types import Span

# Formats as the vendors document them, or as their own secret scanning programs list them: how they begin, in lower
# case, and what follows.
_FORMATS = (
    ("akia|asia|abia|acca|agpa|aida|aroa|anpa|anva|apka", r"A[A-Z]{3}[A-Z2-7][A-Z0-9]{15}(?![A-Za-z0-9])"),  # AWS
    ("amzn.mws.|amzn1.", r"amzn\.mws\.[0-9a-f-]{36}|amzn1\.(?:oa2-cs\.v1|application)\S{20,80}"),
    ("absk", r"ABSK[A-Za-z0-9+/]{60,132}"),  # AWS Bedrock
    ("ghp_|gho_|ghu_|ghs_|ghr_", r"gh[pousr]_[A-Za-z0-9]{30,255}"),  # GitHub
    ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    (
        "glpat-|gldt-|glptt-|glrt-|glcbt-|glft-|glsoat-|glagent-|glimt-|glffct-|gr1348941",
        r"gl[a-z]{2,6}-[A-Za-z0-9_\-.]{20,64}|GR1348941[A-Za-z0-9_\-]{20,30}",
    ),
    ("xox", r"xox[abceoprs](?:\.[a-z]{1,9})?-[A-Za-z0-9\-]{10,250}"),  # Slack
    ("xapp-", r"xapp-\d-[A-Za-z0-9\-]{20,200}"),
    ("hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,100}"),
    ("sk-", r"sk-(?:ant|proj|svcacct|admin|or-v1|lf|None)-[A-Za-z0-9_\-]{16,250}|sk-[A-Za-z0-9]{20,64}(?![A-Za-z0-9])"),
    ("pk-lf-", r"pk-lf-[0-9a-f-]{36}"),
    (
        "sk_live|rk_live|pk_live|sk_test|rk_test|pk_test|sk_prod|rk_prod|pk_prod",
        r"[srp]k_(?:live|test|prod)_[A-Za-z0-9_]{16,255}",  # Stripe and those that copied it
    ),
    ("whsec_", r"whsec_[A-Za-z0-9+/=]{24,80}"),
    ("aiza", r"AIza[A-Za-z0-9_\-]{35}"),  # Google
    ("ya29.", r"ya29\.[A-Za-z0-9_\-]{20,300}"),
    ("gocspx-", r"GOCSPX-[A-Za-z0-9_\-]{20,40}"),
    ("1//0", r"1//0[A-Za-z0-9_\-]{40,200}"),
    ("hf_", r"hf_[A-Za-z0-9]{30,40}"),  # Hugging Face
    ("api_org_", r"api_org_[A-Za-z]{34}"),
    ("gsk_", r"gsk_[A-Za-z0-9]{40,60}"),  # Groq
    ("pplx-", r"pplx-[A-Za-z0-9]{40,60}"),
    ("xai-", r"xai-[A-Za-z0-9]{70,90}"),
    ("r8_", r"r8_[A-Za-z0-9]{36,40}"),  # Replicate
    ("nvapi-", r"nvapi-[A-Za-z0-9_\-]{60,70}"),
    ("tvly-", r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{20,40}"),
    ("csk-", r"csk-[a-z0-9]{40,60}"),
    ("jina_", r"jina_[A-Za-z0-9]{50,70}"),
    ("fw_", r"fw_[A-Za-z0-9]{22,30}"),
    ("esecret_", r"esecret_[a-z0-9]{26,40}"),  # Anyscale
    ("npm_", r"npm_[A-Za-z0-9]{36}"),
    ("pypi-", r"pypi-[A-Za-z0-9_\-]{50,250}"),
    ("rubygems_", r"rubygems_[0-9a-f]{48}"),
    ("crates_|cio", r"cio[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{20,40}"),
    ("doo_v1|dop_v1|dor_v1", r"do[opr]_v1_[0-9a-f]{64}"),  # DigitalOcean
    ("dapi", r"dapi[0-9a-f]{32}(?:-\d)?"),  # Databricks
    ("shpat_|shpss_|shpca_|shppa_", r"shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}"),  # Shopify
    ("sg.", r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64}"),  # SendGrid
    ("key-", r"key-[0-9a-f]{32}(?![A-Za-z0-9])"),  # Mailgun
    ("xkeysib-|xsmtpsib-", r"x(?:key|smtp)sib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    ("us-", r"us-[0-9a-f]{12}-[0-9a-f]{64}(?![0-9a-f])"),  # our own
    ("sq0", r"sq0[a-z]{3}-[A-Za-z0-9_\-]{22,43}"),  # Square
    ("eaa", r"EAAA[A-Za-z0-9_\-]{56,64}|EAA[A-Za-z0-9]{40,250}"),  # Square, Facebook
    ("access_token$", r"access_token\$production\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    ("pmak-|pmat-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}|PMAT-[0-9A-Z]{26}"),  # Postman
    ("nrak-|nrii-|nrjs-|nrbr-|nraa-|nrra-|nriq-|nrsp-", r"NR[A-Z]{2}-[A-Za-z0-9_\-]{16,40}"),  # New Relic
    ("lin_api|lin_oauth", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    ("ntn_|secret_", r"(?:ntn|secret)_[A-Za-z0-9]{40,50}(?![A-Za-z0-9])"),  # Notion
    ("figd_|figo_|figu_|figr_", r"fig[dour]_[A-Za-z0-9_\-]{36,60}"),
    ("atatt|atctt|atbb", r"AT(?:ATT|CTT|BB)[A-Za-z0-9_\-=\\%]{20,250}"),  # Atlassian
    ("bbdc-", r"BBDC-[A-Za-z0-9+/]{40,50}"),
    ("cfpat-", r"CFPAT-[A-Za-z0-9_\-]{40,50}"),
    ("cfat_|cfk_|cfut_", r"cf(?:at|k|ut)_[A-Za-z0-9]{40,60}"),  # Cloudflare
    ("v1.0-", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    ("phc_|phx_|phs_|phr_", r"ph[cxsr]_[A-Za-z0-9]{40,60}"),  # PostHog
    ("vcp_|vci_|vca_|vcr_|vck_", r"vc[piark]_[A-Za-z0-9]{20,60}"),  # Vercel
    ("sntrys_|sntryu_", r"sntrys_[A-Za-z0-9+/=_\-]{40,300}|sntryu_[0-9a-f]{64}"),
    ("glsa_|glc_", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{30,400}"),  # Grafana
    ("ops_eyj", r"ops_eyJ[A-Za-z0-9_\-]{50,1000}"),  # 1Password
    ("a3-", r"A3-[A-Z0-9]{6}-[A-Z0-9]{6}(?:-[A-Z0-9]{5}){3,4}"),
    ("age-secret-key-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("hrku-", r"HRKU-[A-Za-z0-9_\-]{36,70}"),
    ("dnkey-", r"dnkey-[A-Za-z0-9=_\-]{20,100}"),
    ("wg_|wgp_|cosmo_", r"(?:wgp?|cosmo)_[0-9a-f]{32}"),
    ("sl.", r"sl\.(?:u\.)?[A-Za-z0-9_\-]{60,1500}"),  # Dropbox
    ("aaaaaaaaaaaaaaaaaaaa", r"A{20,22}[A-Za-z0-9%]{40,160}"),  # X
    ("ltai|akid", r"LTAI[A-Za-z0-9]{12,24}(?![A-Za-z0-9])|AKID[A-Za-z0-9]{13,40}"),  # Alibaba, Tencent
    ("wx", r"wx[0-9a-f]{16}(?![A-Za-z0-9])"),
    ("hvs.|hvb.|hvr.", r"hv[sbr]\.[A-Za-z0-9_\-]{20,300}"),  # Vault
    ("pul-", r"pul-[0-9a-f]{40}"),
    ("dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._\-]{40,60}"),
    ("fm1_|fm2_|fo1_", r"fm\d_[A-Za-z0-9+/=,_]{100,500}|fo1_[A-Za-z0-9_\-]{40,50}"),
    ("sbp_|sb_secret_", r"sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_\-]{20,50}"),
    ("pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.\-]{32,64}"),
    ("nfp_|nfo_|nfc_", r"nf[poc]_[A-Za-z0-9]{36,40}"),
    ("rnd_", r"rnd_[A-Za-z0-9]{24,40}"),
    ("sk.eyj|pk.eyj", r"[sp]k\.eyJ[A-Za-z0-9_\-]{20,200}\.[A-Za-z0-9_\-]{20,40}"),  # Mapbox
    ("ezak|eztk", r"(?:EZAK|EZTK)[A-Za-z0-9]{54}"),
    ("shippo_", r"shippo_(?:live|test)_[0-9a-f]{40}"),
    ("flwseck", r"FLWSECK(?:_TEST)?-[A-Za-z0-9\-]{12,60}"),
    ("rdme_", r"rdme_[a-z0-9]{70}"),
    ("akcp|cmvmdgtuojaxo", r"AKCp[A-Za-z0-9]{69}(?![A-Za-z0-9])|cmVmdGtuOjAxO[A-Za-z0-9]{48,60}"),  # JFrog
    ("oy2", r"oy2[a-z0-9]{43}"),  # NuGet
    ("clojars_", r"CLOJARS_[a-z0-9]{60}"),
    ("dda_|ddp_|ddw_|ddog", r"dd[apw]_[A-Za-z0-9]{32,40}"),
    ("y0_|y1_|y2_|y3_|t1.|aqvn", r"(?:y[0-3]_|t1\.|AQVN)[A-Za-z0-9_\-]{35,300}"),  # Yandex
    ("tlrmtvntuaad", r"TlRMTVNTUAAD[A-Za-z0-9+/=]{40,800}"),  # NTLM
    ("eyjrijoi", r"eyJrIjoi[A-Za-z0-9+/=]{40,200}"),
    ("eyj|eyi", r"ey[JI][A-Za-z0-9_\-]{10,2000}+\.ey[JI][A-Za-z0-9_\-]{8,4000}+(?:\.[A-Za-z0-9_\-]{0,1000})?"),  # JWT
    ("duffel_", r"duffel_(?:test|live)_[A-Za-z0-9_\-=]{43}"),
    ("dt0c01.|dt0s01.", r"dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),  # Dynatrace
    ("patsk|pat", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),  # Airtable
    ("pnu_", r"pnu_[A-Za-z0-9]{36}"),  # Prefect
    ("ico-", r"ico-[A-Za-z0-9]{32}"),
    ("sha256~", r"sha256~[A-Za-z0-9_\-]{43}"),  # OpenShift
    ("shed_|tk-us-|xprv|yprv|zprv|tprv", r"tk-us-[A-Za-z0-9_\-]{48}|[xyzt]prv[1-9A-HJ-NP-Za-km-z]{70,112}"),
    ("lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),  # LangSmith
    ("pcsk_", r"pcsk_[A-Za-z0-9]{5,8}_[A-Za-z0-9]{50,70}"),  # Pinecone
    ("e2b_|voy-|pa-|sgp_|gm_|rpa_", r"(?:e2b|sgp|gm|rpa)_[A-Za-z0-9_]{32,90}|pa-[A-Za-z0-9_\-]{40,50}"),
    ("bkua_|dvc_server_token|ctp_|okta|00d", r"bkua_[a-z0-9]{40}|00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,120}"),
    ("$2a$|$2b$|$2y$", r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"),  # bcrypt
    ("$1$|$5$|$6$|$y$|$7$|$apr1$", r"\$(?:1|5|6|7|y|apr1)\$(?:rounds=\d{1,9}\$)?[^\s$:]{1,32}\$[./A-Za-z0-9$]{20,100}"),
    (
        "$argon2|pbkdf2|scrypt:",
        r"\$argon2(?:id?|d)\$[^\s]{30,200}|pbkdf2[_:]sha\d{1,3}[$:]\d{2,9}\$[^\s$]{1,64}\$\S{20,128}",
    ),
    ("aad3b435b51404ee", r"aad3b435b51404eeaad3b435b51404ee:[0-9a-f]{32}"),  # NTLM hashes as they are dumped
)
# Those that are known by what stands inside: the needle, how far in front the key begins, the key.
_INNER = (
    (":aa", 10, r"\d{8,10}:AA[A-Za-z0-9_\-]{32,34}"),  # Telegram
    (".apps.googleusercontent.com", 48, r"\d{8,14}-[a-z0-9]{32}\.apps\.googleusercontent\.com"),
    (".atlasv1.", 14, r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{60,80}"),
    ("/api/webhooks/", 24, r"discord(?:app)?\.com/api/webhooks/\d{15,20}/[A-Za-z0-9_\-]{50,80}"),
    (".webhook.office.com/", 68, r"https://[a-z0-9\-]{1,60}\.webhook\.office\.com/webhookb2/[^\s\"']{40,300}"),
    ("/api/hook", 60, r"logic\.azure\.com\S{20,200}sig=[\w%\-]{20,60}"),
    ("nral", 40, r"[0-9a-z]{30,40}NRAL(?![A-Za-z0-9])"),
    ("sig=", 1, r"[?&]sig=[A-Za-z0-9%+/]{40,70}(?:=|%3D)"),  # Azure
    (":ntlm:", 8, r":ntlm:[0-9a-f]{32}"),
    (":::", 100, r"[\w.\-\\$]{1,40}:\d{3,6}:[0-9a-fA-F]{32}:[0-9a-fA-F]{32}:::"),
)
# Those that are known by their form alone, within a long run.
_LONG_FORMS = re.compile(
    r"(?:SK|AC)[0-9a-f]{32}(?![A-Za-z0-9])|[0-9a-f]{32}-us\d{1,2}(?!\w)"  # Twilio, Mailchimp
)
_DISCORD = re.compile(r"[MNO][A-Za-z0-9_\-]{22,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,40}")
_WIF = re.compile(r"(?:5[HJK][1-9A-HJ-NP-Za-km-z]{49}|[KL][1-9A-HJ-NP-Za-km-z]{51})")
_BEGINNINGS = {Needles(*listed(needles)): form for needles, form in _FORMATS}
_INSIDES = tuple((Needles(needle, inside=True), back, re.compile(form)) for needle, back, form in _INNER)
_PEM = Needles(*listed("begin rsa private|begin private|begin ec private|begin dsa private|begin openssh|"
                      "begin encrypted private|begin pgp private|begin pgp message|begin ssh2 enc|begin any private|"
                      "private key-----|private key block|privatekeyinfo|putty-user-key-file|private-lines:|"
                      "private-mac:|begin age encrypted|begin openvpn static"), inside=True)  # fmt: skip
_PEM_FORM = re.compile(
    r"[A-Z0-9 \-]{0,40}(?:PRIVATE KEY|OPENSSH|PGP MESSAGE|KEY-FILE|-LINES|-MAC|SSH2|AGE ENC|STATIC)", re.IGNORECASE
)
_KTY = Needles('"kty"', '"d"', '"k"', '"dp"', '"dq"', '"qi"', "'kty'", "kty:", inside=True)
_JWK = re.compile(
    r"\\?[\"'](?:k|d|dp|dq|qi)\\?[\"'] {0,4}: {0,4}\\?[\"'][A-Za-z0-9_\-]{20,1000}"
    r"|\\?[\"']?kty\\?[\"']? {0,4}: {0,4}\\?[\"']?\[?(?:oct|RSA|EC|OKP)\b"
)
_HARMLESS = re.compile(
    r"sha-?(?:1|224|256|384|512)\b|sha\d{0,3}[-:]|data:|base64,|://|commit|checksum|digest|integrity|uuid|image/|"
    r"md5|etag|\bsri\b|/blob/|/tree/|font/|signature|fingerprint|nonce-",
    re.IGNORECASE,
)
_BINARY = ("iVBOR", "/9j/", "R0lGOD", "UklGR", "PHN2Zy", "d09GM", "AAABAA", "JVBERi0", "UEsDB", "H4sI", "AAEAAA")
_NAMED = re.compile(r"(?:token|key|secret|password|auth|access|api)s?[=/]$", re.IGNORECASE)
_SAMPLE = re.compile(
    r"example|sample|placeholder|your[_\-]?|xxxx|\*\*\*|\.\.\.|redacted|dummy|012345|1234567|"
    r"abcdef0|not-?real|abcdefghij|00010203|deadbeef|cafebabe|01020304|112233445566",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"([^A])\1{7}")


def entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values()) if size else 0.0


def looks_sample(value: str) -> bool:
    """A key from documentation: it says so itself, or repeats one character."""
    return _SAMPLE.search(value) is not None or _REPEATED.search(value, 24) is not None


@cache
def _compiled(form: str) -> re.Pattern[str]:
    """When its beginning is seen for the first time: all of them take 20 ms."""
    return re.compile(form)


def find_keys(scan: Scan) -> Iterator[Span]:
    text = scan.text
    for needles in scan.found & _BEGINNINGS.keys():
        form = _compiled(_BEGINNINGS[needles])
        for start, _ in scan.at(needles):
            match = form.match(text, start)
            if match and not looks_sample(match.group()):
                yield Span(start, match.end(), "api_key")
    for needles, back, form in _INSIDES:
        done = 0
        for start, end in scan.at(needles):
            match = form.search(text, max(done, start - back), end + 300) if start >= done else None
            if match and not looks_sample(match.group()):
                done = match.end()
                yield Span(match.start(), match.end(), "api_key")


def find_private_keys(scan: Scan) -> Iterator[Span]:
    for start, end in scan.at(_PEM):
        front = scan.text[max(0, start - 4) : start]
        behind = scan.text[end : end + 2]
        if "-" in front or "-" in behind or ":" in behind or scan.text[end - 1] in "-:":
            yield Span(start, end, "private_key")
    for start, _ in scan.at(_KTY):
        if match := _JWK.match(scan.text, start):
            yield Span(match.start(), match.end(), "private_key")


_KINDS = (string.digits.encode(), string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_WIDTHS = frozenset((48, 60, 64, 72, 76))


def is_random(blob: str) -> bool:
    """Mixed case and digits in the proportion of random base64, not words, paths or hex digests."""
    body = blob.rstrip("=")
    size = len(body)
    coded = body.encode("ascii", "replace")
    digits, upper, lower = (size - len(coded.translate(None, kind)) for kind in _KINDS)
    if body.count("/") > size // 10 + 1 or "--" in body or "__" in body:
        return False
    if not digits and body.isalnum() and size not in _WIDTHS:
        return False  # a long name in camelCase; bodies of keys come in lines of these widths
    if size >= 48 and min(upper, lower) >= size // 8:
        changes = sum(a.islower() != b.islower() for a, b in pairwise(body))
        if changes > size // 4 and entropy(body) >= 4.0:
            return True
    if min(digits, upper, lower) < 2:
        return False
    if size < 32:
        # Shorter ones must be mixed all through: three signs in four have a neighbour of another class.
        changes = sum(_kind(a) != _kind(b) for a, b in pairwise(body))
        return min(digits, upper, lower) >= 3 and body.isalnum() and changes >= size // 2 and entropy(body) >= 3.9
    # 4.3 bits: random base64 of 32 characters has 4.6 on average, English words joined by case about 4.0
    return entropy(body) >= 4.3


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.isupper() else 2


# The last line of a key that somebody put into code, and parts of addresses that say what they are.
_TAILS = Needles("=\\n", "=\\\\n", inside=True)
_TAIL = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{6,76}={0,1}$")
_PART = re.compile(r"(?:token|key|secret|apikey|auth)s?/([A-Za-z0-9_\-]{20,200})")


def find_tails(scan: Scan) -> Iterator[Span]:
    for start, _ in scan.at(_TAILS):
        match = _TAIL.search(scan.text[max(0, start - 80) : start])
        if match and match.group() != match.group().lower() and match.group() != match.group().upper():
            yield Span(start - len(match.group()), start + 1, "private_key")
    for start, end in scan.long_runs:
        for match in _PART.finditer(scan.text, start, end):
            if is_random(match[1]) and not looks_sample(match[1]):
                yield Span(*match.span(1), "token")


def find_random_strings(scan: Scan) -> Iterator[Span]:
    """Long random base64: the body of a key, or a key of a vendor nobody listed."""
    text = scan.text
    for start, end in scan.long_runs:
        run = text[start:end]
        if run.islower() and run.isalpha():
            continue
        if (match := _LONG_FORMS.search(run)) or (
            run[0] in "MNO" and text[end : end + 1] == "." and (match := _DISCORD.match(text[start : end + 60]))
        ):
            yield Span(start + match.start(), start + match.end(), "api_key")
        elif (len(run) in (51, 52) and _WIF.fullmatch(run)) or (
            len(run) <= 512
            and is_random(run)
            and not looks_sample(run)
            and not _is_harmless(scan, start)
            and decoded(run) is None  # of text in base64, the text is judged
        ):
            yield Span(start, end, "random_string")


def _is_harmless(scan: Scan, start: int) -> bool:
    """A digest, a picture, or part of an address of the web or of a path."""
    text = scan.text
    front = text[max(0, start - 28) : start]
    if _HARMLESS.search(front) or text.startswith(_BINARY, start):
        return True
    if front[-1:] in ("/", ".", "~"):
        way = text[max(0, start - 200) : start].split()[-1:]
        return bool(way) and ("/" in way[0]) and not _NAMED.search(front)
    return False
