"""Read one public web page as text: what a researcher's agent may do with the network, and no more.

Only http and https, only public addresses (judged after resolving, see pinned.py), only text, all within limits.
No cookies, no credentials, no proxy of the environment. The text is a stranger's: it is data, never an instruction.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from understudy.errors import ToolFailed
from understudy.tools.addresses import check_url
from understudy.tools.page_text import decode, extract, tidy

if TYPE_CHECKING:
    import ssl

    import httpcore

    from understudy.tools.pinned import Allow, Resolver

USER_AGENT = "understudy/0.1 (+https://pypi.org/project/understudy/)"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PLAIN = frozenset(
    {"application/json", "application/xml", "application/javascript", "application/yaml", "application/x-yaml"}
)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """seconds: everything, redirects too. wire_bytes: received. page_bytes: after decompression. chars: of the text."""

    seconds: float = 15.0
    connect_seconds: float = 5.0
    wire_bytes: int = 2_000_000
    page_bytes: int = 2_000_000
    chars: int = 60_000
    redirects: int = 5
    ports: frozenset[int] = field(default=frozenset({80, 443, 8080, 8443}))


@dataclass(frozen=True, slots=True)
class Page:
    """What was read. url: where it was found, after redirects. truncated: a limit cut the page or its text."""

    url: str
    status: int
    title: str
    text: str = field(repr=False)
    truncated: bool = False


async def fetch(
    url: str,
    *,
    limits: FetchLimits | None = None,
    resolver: Resolver | None = None,
    allow: Allow | None = None,
    tls: ssl.SSLContext | None = None,
) -> Page:
    """The page at `url` as text. Raises ToolFailed, with the reason and a remedy, for everything that is not one.

    resolver: (host, port) -> addresses, instead of the system's. allow: (address, port) -> bool permits one place
    that is not public; for tests and for a documentation server of one's own. An error status is a failure too:
    the text of an error page must not pass for the page.
    """
    limits = limits or FetchLimits()
    try:
        async with asyncio.timeout(limits.seconds):
            return await _follow(url, limits, resolver, allow, tls)
    except TimeoutError:
        raise ToolFailed(f"The page took longer than {limits.seconds:g} s.", remedy="Try another source.") from None


async def _follow(
    url: str, limits: FetchLimits, resolver: Resolver | None, allow: Allow | None, tls: ssl.SSLContext | None
) -> Page:
    import httpcore

    from understudy.tools.pinned import PinnedBackend, resolve

    backend = PinnedBackend(resolver or resolve, limits.ports, allow)
    async with httpcore.AsyncConnectionPool(network_backend=backend, ssl_context=tls, max_connections=1) as pool:
        for _ in range(limits.redirects + 1):
            parts, host = check_url(url)
            url = parts.geturl()
            try:
                found = await _get(pool, url, host, limits)
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
                raise ToolFailed(
                    f"{host} could not be read ({type(error).__name__}).", remedy="Try again later or another source."
                ) from None
            if isinstance(found, Page):
                return found
            url = found
    raise ToolFailed(f"There were more than {limits.redirects} redirects.", remedy="Give the final address.")


async def _get(pool: httpcore.AsyncConnectionPool, url: str, host: str, limits: FetchLimits) -> Page | str:
    """The page, or where it redirects to."""
    headers: dict[bytes | str, bytes | str] = {
        "user-agent": USER_AGENT,
        "accept": "text/html, text/*, application/json;q=0.9, application/xml;q=0.8",
        "accept-encoding": "gzip, deflate",
        "accept-language": "en, *;q=0.5",
    }
    patience = {
        "connect": limits.connect_seconds,
        "read": limits.seconds,
        "write": limits.seconds,
        "pool": limits.seconds,
    }
    async with pool.stream("GET", url, headers=headers, extensions={"timeout": patience}) as response:
        fields = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
        if response.status in _REDIRECTS and fields.get("location"):
            try:
                return urljoin(url, fields["location"].strip())
            except ValueError:
                raise ToolFailed(f"{host} redirects to no URL.", remedy="Try another source.") from None
        if not 200 <= response.status < 300:
            raise ToolFailed(f"{host} answered {response.status}.", remedy="Check the address or try another source.")
        kind, charset = _content_type(fields.get("content-type", ""), host)
        body, cut = await _read(response.aiter_stream(), fields.get("content-encoding", ""), host, limits)
    if not kind:
        kind = "text/html" if body.lstrip()[:1] == b"<" else "text/plain"
    if b"\0" in body[:1024] and not body.startswith((b"\xff\xfe", b"\xfe\xff")) and "16" not in (charset or ""):
        raise ToolFailed(f"{host} sent a binary file.", remedy="Ask for a page or a text file.")
    # In a thread: a page at the limit takes a second or two of pure Python, and other tasks go on meanwhile.
    title, text = await asyncio.to_thread(_text_of, body, charset, kind)
    return Page(url, response.status, title, text[: limits.chars], cut or len(text) > limits.chars)


def _text_of(body: bytes, charset: str | None, kind: str) -> tuple[str, str]:
    words = decode(body, charset)
    return extract(words) if kind in _HTML else ("", tidy(words))


def _content_type(value: str, host: str) -> tuple[str, str | None]:
    """(type, charset) of the header; raises ToolFailed for a type that is no text."""
    kind, _, rest = value.partition(";")
    kind = kind.strip().lower()
    named = kind == "" or kind.startswith("text/") or kind in _HTML or kind in _PLAIN
    if not named and not kind.endswith(("+json", "+xml")):
        raise ToolFailed(f"{host} sent {kind[:60]}, which is no text.", remedy="Ask for a page or a text file.")
    charset = None
    for parameter in rest.split(";"):
        key, _, word = parameter.partition("=")
        if key.strip().lower() == "charset":
            charset = word.strip().strip("\"'") or None
    return kind, charset


async def _read(chunks: AsyncIterator[bytes], encoding: str, host: str, limits: FetchLimits) -> tuple[bytes, bool]:
    """The body decompressed, and whether a limit cut it. No more than a chunk above the limit is ever in memory."""
    named = encoding.strip().lower()
    if named not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise ToolFailed(
            f"{host} sent the encoding {named[:40]}, which was not asked for.", remedy="Try another source."
        )
    squeezed = None if named in ("", "identity") else zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
    body = bytearray()
    received = 0
    try:
        async for chunk in chunks:
            received += len(chunk)
            if squeezed is None:
                body += chunk
            else:
                if named == "deflate" and received == len(chunk) and chunk[:1] and chunk[0] & 15 != 8:
                    squeezed = zlib.decompressobj(wbits=-15)  # servers that say deflate and mean raw deflate
                body += squeezed.decompress(chunk, limits.page_bytes + 1 - len(body))
            if len(body) > limits.page_bytes or received > limits.wire_bytes:
                return bytes(body[: limits.page_bytes]), True
            if squeezed is not None and squeezed.eof:
                break
    except zlib.error:
        raise ToolFailed(f"{host} sent a body that does not decompress.", remedy="Try another source.") from None
    if squeezed is not None and received and not squeezed.eof:
        return bytes(body), True
    return bytes(body), False
