"""Secrets that show what they are: key formats of vendors, private keys, tokens, long random strings."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from understudy.classifiers.detectors.scan import Scan
from understudy.types import Span

# Formats as the vendors document them, or as their own secret scanning programs list them.
_FORMATS = (
    r"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA|ANPA)[A-Z2-7][A-Z0-9]{15}\b",  # AWS
    r"amzn\.mws\.[0-9a-f-]{36}",
    r"ABSK[A-Za-z0-9+/]{100}",  # AWS Bedrock
    r"gh[pousr]_[A-Za-z0-9]{30,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,255}",
    r"gl(?:pat|dt|ptt|rt|cbt|ft|soat|agent|imt)-[A-Za-z0-9_\-]{20,64}",  # GitLab
    r"xox[abeoprs](?:\.[a-z]+)?-[A-Za-z0-9\-]{10,250}",  # Slack
    r"xapp-\d-[A-Za-z0-9\-]{20,200}",
    r"(?:https://)?hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,100}",
    r"sk-ant-[A-Za-z0-9_\-]{20,200}",  # Anthropic
    r"sk-(?:proj|svcacct|admin|or-v1|lf|None)-[A-Za-z0-9_\-]{16,250}",  # OpenAI, OpenRouter, Langfuse
    r"sk-[A-Za-z0-9]{20,64}\b",  # OpenAI, DeepSeek and others
    r"pk-lf-[0-9a-f-]{36}",
    r"(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9_]{16,255}",  # Stripe and those that copied it
    r"whsec_[A-Za-z0-9+/=]{24,80}",
    r"AIza[A-Za-z0-9_\-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_\-]{20,300}",
    r"GOCSPX-[A-Za-z0-9_\-]{20,40}",
    r"1//0[A-Za-z0-9_\-]{40,200}",
    r"\d{8,14}-[a-z0-9]{32}\.apps\.googleusercontent\.com",
    r"hf_[A-Za-z0-9]{30,40}",  # Hugging Face
    r"api_org_[A-Za-z]{34}",
    r"gsk_[A-Za-z0-9]{40,60}",  # Groq
    r"pplx-[A-Za-z0-9]{40,60}",
    r"xai-[A-Za-z0-9]{70,90}",
    r"r8_[A-Za-z0-9]{36,40}",  # Replicate
    r"nvapi-[A-Za-z0-9_\-]{60,70}",
    r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{20,40}",
    r"csk-[a-z0-9]{40,60}",
    r"jina_[A-Za-z0-9]{50,70}",
    r"fw_[A-Za-z0-9]{22,30}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_\-]{50,250}",
    r"rubygems_[0-9a-f]{48}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{20,40}",
    r"do[opr]_v1_[0-9a-f]{64}",  # DigitalOcean
    r"dapi[0-9a-f]{32}(?:-\d)?",  # Databricks
    r"shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}",  # Shopify
    r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64}",  # SendGrid
    r"(?:SK|AC)[0-9a-f]{32}\b",  # Twilio
    r"key-[0-9a-f]{32}\b",  # Mailgun
    r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}",
    r"us-[0-9a-f]{12}-[0-9a-f]{64}(?![0-9a-f])",  # our own
    r"[0-9a-f]{32}-us\d{1,2}\b",  # Mailchimp
    r"sq0(?:atp|csp)-[A-Za-z0-9_\-]{22,43}",  # Square
    r"EAAA[A-Za-z0-9_\-]{56,64}",
    r"EAACEdEose0cBA[A-Za-z0-9]{20,200}",  # Facebook
    r"access_token\$production\$[0-9a-z]{16}\$[0-9a-f]{32}",
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}|PMAT-[0-9A-Z]{26}",  # Postman
    r"NRAK-[A-Z0-9]{20,40}|NRII-[A-Za-z0-9_\-]{20,40}|NRJS-[0-9a-f]{19}|NRBR-[0-9a-f]{16,40}|"
    r"NRAA-[0-9a-f]{27}",  # New Relic
    r"[0-9a-z]{30,40}NRAL\b",
    r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}",
    r"(?:ntn|secret)_[A-Za-z0-9]{40,50}\b",  # Notion
    r"fig[dour]_[A-Za-z0-9_\-]{36,60}",
    r"AT(?:ATT|CTT|BB)[A-Za-z0-9_\-=\\%]{20,250}",  # Atlassian
    r"BBDC-[A-Za-z0-9+/]{40,50}",
    r"CFPAT-[A-Za-z0-9_\-]{40,50}",
    r"cf(?:at|k|ut)_[A-Za-z0-9]{40,60}",  # Cloudflare
    r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}",
    r"ph[cxsr]_[A-Za-z0-9]{40,60}",  # PostHog
    r"vc[piark]_[A-Za-z0-9]{20,60}",  # Vercel
    r"sntrys_[A-Za-z0-9+/=_\-]{40,300}|sntryu_[0-9a-f]{64}",
    r"gl(?:sa|c)_[A-Za-z0-9+/=_]{30,400}",  # Grafana
    r"ops_eyJ[A-Za-z0-9_\-]{50,1000}",  # 1Password
    r"A3-[A-Z0-9]{6}-[A-Z0-9]{6}(?:-[A-Z0-9]{5}){3,4}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"HRKU-[A-Za-z0-9_\-]{36,70}",
    r"dnkey-[A-Za-z0-9=_\-]{20,100}",
    r"(?:wgp?_|cosmo_)[0-9a-f]{32}",
    r"sl\.(?:u\.)?[A-Za-z0-9_\-]{100,1500}",  # Dropbox
    r"A{20,22}[A-Za-z0-9%]{40,120}",  # X
    r"\d{8,10}:AA[A-Za-z0-9_\-]{32,34}",  # Telegram
    r"[MNO][A-Za-z0-9_\-]{22,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,40}",  # Discord
    r"(?:https://)?(?:\w{1,10}\.)?discord(?:app)?\.com/api/webhooks/\d{15,20}/[A-Za-z0-9_\-]{50,80}",
    r"https://[a-z0-9\-]{1,60}\.webhook\.office\.com/webhookb2/[^\s\"']{40,300}",
    r"LTAI[A-Za-z0-9]{12,24}\b|AKID[A-Za-z0-9]{32}",  # Alibaba, Tencent
    r"wx[0-9a-f]{16}\b",
    r"hv[sbr]\.[A-Za-z0-9_\-]{20,300}",  # Vault
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{60,80}",
    r"pul-[0-9a-f]{40}",
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._\-]{40,60}",
    r"fm\d_[A-Za-z0-9+/=,_]{100,500}",
    r"sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_\-]{20,50}",
    r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.\-]{32,64}",
    r"nf[poc]_[A-Za-z0-9]{36,40}",
    r"rnd_[A-Za-z0-9]{24,40}",
    r"[sp]k\.eyJ[A-Za-z0-9_\-]{20,200}\.[A-Za-z0-9_\-]{20,40}",  # Mapbox
    r"(?:EZAK|EZTK)[A-Za-z0-9]{54}",
    r"shippo_(?:live|test)_[0-9a-f]{40}",
    r"FLWSECK(?:_TEST)?-[A-Za-z0-9\-]{12,60}",
    r"rdme_[a-z0-9]{70}",
    r"AKCp\d[A-Za-z0-9]{60,80}|cmVmdGtu[A-Za-z0-9]{56}",  # JFrog
    r"oy2[a-z0-9]{43}",  # NuGet
    r"CLOJARS_[a-z0-9]{60}",
    r"cio[A-Za-z0-9]{32}\b",
    r"dd[apw]_[A-Za-z0-9]{32,40}",
    r"(?:y[0-3]_|t1\.|AQVN)[A-Za-z0-9_\-]{35,300}",  # Yandex
    r"TlRMTVNTUAAD[A-Za-z0-9+/=]{40,800}",  # NTLM
    r"eyJrIjoi[A-Za-z0-9+/=]{40,200}",
    r"ey[JI][A-Za-z0-9_\-]{10,2000}+\.ey[JI][A-Za-z0-9_\-]{8,4000}+\.[A-Za-z0-9_\-]{0,1000}",  # JWT
)
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=&quot;))"
_KEY = re.compile(_START + "(?:" + "|".join(f"(?:{f})" for f in _FORMATS) + ")")
_PEM = re.compile(
    r"-{4,5} {0,1}BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY|OPENSSH|PGP MESSAGE)|-----END [A-Z0-9 "
    r"]{0,30}PRIVATE KEY"
)
_JWK = re.compile(
    r'"(?:k|d|p|q|dp|dq|qi)" {0,4}: {0,4}"[A-Za-z0-9_\-]{20,1000}"|"kty" {0,4}: {0,4}"(?:oct|'
    r'RSA|EC|OKP)"'
)
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{32,512}={0,2}(?![A-Za-z0-9+/_\-=])")
_HARMLESS = re.compile(
    r"sha(?:1|256|384|512)[-:]|data:|base64,|://|/commit/|checksum|digest|integrity|uuid|"
    r"image/",
    re.IGNORECASE,
)
_SAMPLE = re.compile(
    r"example|sample|placeholder|your[_\-]?|xxxx|\*\*\*|\.\.\.|redacted|dummy|0123456|1234567|"
    r"abcdef0|not-?real",
    re.IGNORECASE,
)


def entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values()) if size else 0.0


def looks_sample(value: str) -> bool:
    """A key from documentation: it says so itself, or repeats one character."""
    return _SAMPLE.search(value) is not None or re.search(r"([^A])\1{7}", value[24:]) is not None


def find_keys(scan: Scan) -> Iterator[Span]:
    for token in scan.long_tokens:
        for match in _KEY.finditer(token):
            if not looks_sample(match.group()):
                for start in scan.places(token):
                    yield Span(start + match.start(), start + match.end(), "api_key")


def find_private_keys(scan: Scan) -> Iterator[Span]:
    if "--" in scan.vocabulary and ("PRIVATE KEY" in scan.text or "BEGIN " in scan.text):
        for match in _PEM.finditer(scan.text):
            yield Span(match.start(), match.end(), "private_key")
    if '"' in scan.vocabulary and ('"k' in scan.text or '"d' in scan.text or '": "' in scan.text):
        for match in _JWK.finditer(scan.text):
            yield Span(match.start(), match.end(), "private_key")


_WIDTH = {48: True, 60: True, 64: True, 72: True, 76: True}


def is_random(blob: str) -> bool:
    """Mixed case and digits in the proportion of random base64, not words, paths or hex digests."""
    body = blob.rstrip("=")
    size = len(body)
    digits = sum(c.isdigit() for c in body)
    upper = sum(c.isupper() for c in body)
    lower = sum(c.islower() for c in body)
    if body.count("/") > size // 10 or "--" in body or "__" in body:
        return False
    if not digits and body.isalnum() and not _WIDTH.get(size):
        return False  # a long name in camelCase; bodies of keys come in lines of these widths
    if size >= 48 and min(upper, lower) >= size // 8:
        changes = sum(a.islower() != b.islower() for a, b in pairwise(body))
        if changes > size // 4 and entropy(body) >= 4.0:
            return True
    if min(digits, upper, lower) < 2:
        return False
    # 4.3 bits: random base64 of 32 characters has 4.6 on average, English words joined by case about 4.0
    return entropy(body) >= 4.3


def find_random_strings(scan: Scan) -> Iterator[Span]:
    """Long random base64: the body of a key, or a key of a vendor nobody listed."""
    for token in scan.long_tokens:
        if len(token) < 32 or _HARMLESS.search(token):
            continue
        for match in _BLOB.finditer(token):
            if is_random(match.group()) and not looks_sample(match.group()):
                for start in scan.places(token):
                    if not _HARMLESS.search(scan.before(start, 24)):
                        yield Span(start + match.start(), start + match.end(), "random_string")
