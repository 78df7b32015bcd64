"""Exceptions of the SDKs, of pydantic-ai and of the network, as CallFailed with its class.

A CallFailed made here is raised outside the `except` block, so that no traceback drags a body with the prompt along.
"""

from __future__ import annotations

import time

from understudy.agents.dialects import classify
from understudy.agents.disguised import ErrorInBody
from understudy.agents.readings import readings
from understudy.errors import CallFailed
from understudy.types import Candidate, Failure, Usage

_UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"})
# aiohttp's for a connection that was there; httpx-aiohttp takes them for one that could not be made.
_LOST = frozenset({"ServerDisconnectedError", "ClientOSError", "ClientConnectionResetError", "ClientConnectionError"})
_ON_THE_WIRE = frozenset(
    {
        "ReadError",
        "WriteError",
        "CloseError",
        "ReadTimeout",
        "WriteTimeout",
        "RemoteProtocolError",
        "LocalProtocolError",
        "ProxyError",
        "StreamError",
        "StreamClosed",
        "APIConnectionError",
        "APITimeoutError",
        "TimeoutException",
        "TransportError",
        "NetworkError",
        "DecodingError",
    }
)


def failed(error: BaseException, candidate: Candidate, now: float | None = None) -> CallFailed:
    """The CallFailed for any exception a call can end with. Never raises; a CallFailed comes back as it is."""
    if ours := next((link for link in _chain(error) if isinstance(link, CallFailed)), None):
        return ours  # also where an SDK has wrapped what our own client raised
    from pydantic_ai import exceptions as pai

    moment = time.time() if now is None else now
    if said := next((link for link in _chain(error) if isinstance(link, ErrorInBody)), None):
        # Status 200 says that the request was taken: it counts as sent.
        return _refused(said.status, said.headers, said.body, candidate, moment, in_stream=True)
    if isinstance(error, pai.ModelHTTPError):
        return _refused(error.status_code, error.headers, error.body, candidate, moment, in_stream=error.in_stream)
    if (network := _network(error, candidate)) is not None:
        return network
    redirected = any(300 <= _status_of(link) < 400 for link in _chain(error))
    if isinstance(error, pai.ModelAPIError) and error.body is not None and not redirected:
        return _refused(None, None, error.body, candidate, moment, in_stream=True)
    return _mapped(error, candidate, moment)


def refused(
    status: int | None,
    headers: dict[str, str] | None,
    body: object,
    candidate: Candidate,
    now: float | None = None,
    *,
    in_stream: bool = False,
) -> CallFailed:
    """The CallFailed for an HTTP reply we read ourselves. in_stream: its status was 200, and tokens may have flowed."""
    return _refused(status, headers, body, candidate, time.time() if now is None else now, in_stream=in_stream)


def malformed(candidate: Candidate, what: str) -> CallFailed:
    return CallFailed(Failure.MALFORMED, f"{candidate.name}: {what}.")


def too_long(candidate: Candidate, characters: int, output_cap: int, input_tokens: int) -> CallFailed:
    """A text that no output_cap tokens can make: the server did not keep to the cap, whatever it counts."""
    failure = malformed(candidate, f"it wrote {characters:,} characters, and was asked for {output_cap:,} tokens")
    failure.usage = Usage(input_tokens, max(output_cap, -(-characters // 4)))
    return failure


def content_filtered(candidate: Candidate) -> CallFailed:
    return CallFailed(Failure.CONTENT_FILTER, f"{candidate.name}: the provider's filter refused it.")


def cut_off(candidate: Candidate) -> CallFailed:
    return CallFailed(Failure.TRANSPORT, f"{candidate.name}: the stream broke off before its end.")


def timed_out(candidate: Candidate, seconds: float, *, sent: bool = True) -> CallFailed:
    return CallFailed(Failure.TRANSPORT, f"{candidate.name}: no answer within {seconds:.3g} s.", charged=sent)


def unavailable(candidate: Candidate, what: str, remedy: str) -> CallFailed:
    return CallFailed(Failure.UNAVAILABLE, f"{candidate.name}: {what}.", remedy=remedy, charged=False)


def _mapped(error: BaseException, candidate: Candidate, now: float) -> CallFailed:
    from pydantic_ai import exceptions as pai

    if isinstance(error, pai.ContentFilterError):
        return content_filtered(candidate)
    if isinstance(error, pai.UsageLimitExceeded):
        return malformed(candidate, "it went on calling tools without answering")
    for link in _chain(error):  # a redirect, or an error of the SDK that did not pass through pydantic-ai
        if status := _status_of(link):
            headers = dict(getattr(getattr(link, "response", None), "headers", None) or {})
            body = getattr(link, "body", getattr(link, "details", None))
            return _refused(status, headers, body, candidate, now, in_stream=False)
    return malformed(candidate, "the reply could not be read")


def _refused(
    status: int | None,
    headers: dict[str, str] | None,
    body: object,
    candidate: Candidate,
    now: float,
    *,
    in_stream: bool,
) -> CallFailed:
    found = classify(status, headers, body, candidate, now)
    code = f" (HTTP {status})" if status is not None else ""
    return CallFailed(
        found.failure,
        f"{candidate.name}: {found.what}{code}.",
        remedy=found.remedy,
        retry_after=found.retry_after,
        status=status,
        charged=found.charged or in_stream,  # a stream that had begun has produced tokens
        readings=readings(candidate.kind, headers, body, now, status),
    )


def _network(error: BaseException, candidate: Candidate) -> CallFailed | None:
    """A connection that failed. Names are compared because three HTTP libraries share them."""
    chain = _chain(error)
    if any(type(link).__name__ in _LOST for link in chain):  # which the transport's name for it does not tell
        return CallFailed(Failure.TRANSPORT, f"{candidate.name}: the connection broke.")
    names = [kind.__name__ for link in chain for kind in type(link).__mro__]
    remedy = "Start the server, or remove the provider." if candidate.local else "Check the network and base_url."
    if _UNSENT.intersection(names):
        return CallFailed(
            Failure.TRANSPORT, f"{candidate.name}: no connection could be made.", remedy=remedy, charged=False
        )
    if any(name.endswith(("Timeout", "TimeoutError", "TimeoutException", "RequestTimeout")) for name in names):
        return CallFailed(Failure.TRANSPORT, f"{candidate.name}: no answer in time.")
    if _ON_THE_WIRE.intersection(names) or isinstance(error, OSError):
        return CallFailed(Failure.TRANSPORT, f"{candidate.name}: the connection broke.")
    return None


def _status_of(error: BaseException) -> int:
    """The HTTP status an SDK's error carries (google-genai calls it code), or 0."""
    status = getattr(error, "status_code", getattr(error, "code", None))
    return status if isinstance(status, int) else 0


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links and len(links) < 10:
        links.append(link)
        link = link.__cause__
    return links
