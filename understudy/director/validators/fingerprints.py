"""What only machines write: the messages of proxies, clouds, sockets and billing, for `sound.py`.

A task about errors may get one as its answer, and so may one about messages or logs. These are told from that more
narrowly: each kind passes only for a task that names something of its own, since "Write a message to Ann" is no
reason to believe Envoy.
"""
# ruff: noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 600  # characters; the longest of these messages is shorter


@dataclass(frozen=True, slots=True)
class Kind:
    """said: in an answer; asked: in a task, in lower case, for which it may be one."""

    said: re.Pattern[str]
    asked: re.Pattern[str]


def _kind(said: str, asked: str) -> Kind:
    return Kind(re.compile(said, re.I | re.S), re.compile(asked))


KINDS = (
    _kind(
        r"upstream connect error or disconnect/reset|disconnect/reset before headers|no healthy upstream|upstream request timeout"
        r"|upstream (?:prematurely closed|timed out \(|sent (?:too big|invalid) header)|\bno cluster match\b|\bRBAC: access denied|local_rate_limited"
        r"|invalid response was received from the upstream|no Route matched with those values|peer from the ring-balancer"
        r"|reset reason: |Backend fetch failed|Guru Meditation|\Afault filter abort|\AJwt (?:is|verification|issuer)\b",
        r"envoy|istio|proxy|upstream|nginx|kong|varnish|gateway|mesh|sidecar|connect|backend|kubernetes|\bk8s\b|jwt|50[234]",
    ),
    _kind(
        r"\Aerror code: 1?\d{3}\Z|cloudflare ray id|\bcf-ray\b|you have been blocked\.?\Z|Fastly error:|\bAkamai Reference"
        r"|the request could not be satisfied\.?\Z|FUNCTION_INVOCATION_(?:TIMEOUT|FAILED)|\AApplication error\Z",
        r"cloudflare|cloudfront|fastly|akamai|vercel|heroku|cdn|block|error code|\b[45]\d\d\b",
    ),
    _kind(
        r"\b(?:Throttling|ServiceUnavailable|ModelTimeout|ModelNotReady|ModelError|ServiceQuotaExceeded|AccessDenied|InternalServer|ResourceNotFound"
        r"|Validation|ExpiredToken|UnrecognizedClient|TooManyRequests)Exception\b(?=\W|\Z)(?:\)|:|\Z)|\Abedrock is unable to process|not authorized to perform: bedrock:|security token included in the request"
        r"|\Ayou don't have access to the model with|\Aendpoint request timed out\W*\Z|\Aan error occurred \(\w+\) when calling the \w+ operation"
        r"|\Atoo many tokens, please wait",
        r"aws|amazon|bedrock|lambda|boto|throttl|exception|arn:|iam\b|sts\b",
    ),
    _kind(
        r"Operation under Azure OpenAI|Azure OpenAI's content management policy|\bOpenAI S0 pricing tier|invalid subscription key or wrong API endpoint"
        r"|denied due to Virtual Network/Firewall|\Athe operation was timeout|\Athe server had an error while processing your request"
        r"|model is currently overloaded with other requests|\ARate limit is exceeded\. Try again in",
        r"azure|openai|subscription|overload|rate limit|firewall",
    ),
    _kind(
        r"resource (?:has been )?exhausted\b.{0,20}(?:quota|try again)|\A(?:\d+ )?deadline[ _]exceeded\W*\Z|the server encountered a temporary error and could not"
        r"|\A(?:the|this|that) (?:service|model) is (?:currently )?(?:unavailable|overloaded)(?:\W*\Z|\W+(?:please|try|retry)\b)|\brpc error: code = |\A\d{1,2} (?:UNAVAILABLE|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED|INTERNAL|UNAUTHENTICATED|PERMISSION_DENIED):",
        r"google|gemini|vertex|grpc|\brpc\b|quota|deadline|unavailable|overload|outage|50[34]|429",
    ),
    _kind(
        r"\bECONN(?:REFUSED|RESET|ABORTED)\b|\bE(?:TIMEDOUT|HOSTUNREACH|AI_AGAIN|NOTFOUND)\b|getaddrinfo (?:ENOTFOUND|failed)|\A(?:error: )?socket hang up\Z|\bfetch failed\W*\Z"
        r"|Max retries exceeded with url|Connection aborted\.|Remote end closed connection|\[Errno \d+\]|\Acurl: \(\d+\)|certificate verify failed"
        r"|\bRequest failed with status code \d|\AClientConnect\w*Error|net::ERR_",
        r"econn|errno|socket|connect|network|curl|node|python|fetch|axios|requests|tls|ssl|certificat|dns|refus|reset|time",
    ),
    _kind(r'\A[^{\n]{0,60}\{\s*"type":\s*"error",\s*"error":\s*\{', r"anthropic|json|error|\bapi\b|overload"),
    _kind(
        r"llama runner process has terminated|CUDA (?:error|out of memory)|\bggml_|failed to (?:load|allocate) .{0,40}(?:model|buffer|KV cache)",
        r"cuda|gpu|vram|memory|llama|ollama|ggml|gguf",
    ),
    _kind(
        r"\A(?:provider returned error|all (?:providers|models|deployments) (?:have )?failed|no endpoints (?:found|available) |no allowed providers are available|no deployments available)"
        r"|openrouter\.ai/settings|free-models-per-day|\Akey limit exceeded|\A(?:free|trial) tier .{0,20}(?:limit|exceeded)|\Adaily limit reached for this"
        r"|\Ayour (?:free )?trial (?:has|is) (?:ended|expired|over)\b.{0,40}(?:upgrade|subscri|plan)|upgrade to (?:pro|plus|a paid plan) to continue"
        r"|\Ayour account has insufficient|add a payment method to|please (?:top up|recharge)\b|\Aout of credits\b|run out of credits\b",
        r"credit|billing|balance|trial|subscri|upgrade|\bplan\b|\bpay|quota|limit|openrouter|notice|top.?up|customer|error|provider|funds?\b",
    ),
)  # fmt: skip
# The whole answer and nothing else: too few words to be told apart in a longer one.
WHOLE = re.compile(
    r"\A(?:\[?(?:api |http |server |fatal )?error\]?\s*[:\-]?\s*)?(?:[45]\d\d\s*[:\-]?\s*)?"
    r"(?:rate exceeded|(?:api )?rate limit(?: is)? exceeded|too many requests|payment required|insufficient (?:balance|funds|credits?|quota)"
    r"|(?:internal )?server error|bad gateway|gateway time-?out|service (?:temporarily )?unavailable|stream (?:time-?out|error)|deadline exceeded"
    r"|request (?:time-?out|timed out)|connection (?:refused|reset(?: by peer)?|timed out|closed)|(?:request )?forbidden|unauthori[sz]ed|not authenticated|access denied|not found"
    r"|resource exhausted|no healthy upstream|rate_?limited|model (?:is )?overloaded|overloaded|network error|timeout|task timed out after [\d.]+ seconds|unknown error|something went wrong)"
    r"\W*(?:(?:please )?(?:try again|retry)[\w ]{0,40}\W*)?\Z",
    re.I,
)  # fmt: skip
# A page that a proxy sends whatever was asked; also where a page was asked for.
STATUS_PAGE = re.compile(
    r"<(?:title|h1)[^>]{0,200}>\s*(?:[^<|]{0,60}\| )?(?:(?:error:? )?(?:4(?:0[0-9]|1[0-9]|2[0-9])|5\d\d)\b|bad gateway|gateway time-?out|service (?:temporarily )?unavailable"
    r"|just a moment|attention required|access denied|error: the request|our services aren't available|too many requests|web server is down)",
    re.I,
)  # fmt: skip
ABOUT_PAGES = re.compile(
    r"error|fehler|erreur|\b[45]\d\d\b|nginx|cloudflare|proxy|gateway|maintenance|wartung|unavailable|not found|sign.?in|log.?in|captcha|denied"
    r"|forbidden|outage|status|time-?out|offline|landing.{0,20}down"
)
ABOUT_BODIES = re.compile(r"\b(?:error|fail\w*|fehler|erreur|invalid|reject\w*|40\d|429|50\d)\b[^\n]{0,80}\b(?:json|body|payload|response|reply|example|format|shape)|\b(?:json|body|payload|response|example|sample)\b[^\n]{0,80}\b(?:error|fail\w*|fehler|erreur|40\d|429|50\d)\b")  # fmt: skip
