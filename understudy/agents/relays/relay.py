"""One request handed on over one connection: reserved before, capped, settled after, read and classified."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from understudy.agents import failures
from understudy.agents.disguised import status_in
from understudy.agents.flood import LARGEST, LEAST, TOKEN
from understudy.agents.readings import readings
from understudy.agents.relays.openai import OpenAISpeech
from understudy.agents.relays.reading import Body, table, tables
from understudy.agents.relays.speech import Speech
from understudy.agents.relays.translation import anthropic_message, openai_choice, untranslatable
from understudy.agents.seam import measured, reserve, to_the_end
from understudy.agents.wire import CONNECT_SECONDS, POOL, is_at_home, tls
from understudy.config.secrets import Secret
from understudy.errors import CallFailed
from understudy.tokens import lower_bound
from understudy.types import Answer, Call, Candidate, Chat, Failure, Guard, Hold, Reading, Usage, cap_of

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

LONGEST_ERROR = 100_000  # bytes of an error's body that are looked at
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Relay:
    """To one server, with one key. The connection is made at the first request, and kept."""

    base_url: str
    key: Secret | None = field(repr=False)
    speech: Speech = field(default_factory=OpenAISpeech)
    local_hosts: tuple[str, ...] = ()
    _session: ClientSession | None = None

    async def hand_on(
        self, candidate: Candidate, call: Call, chat: Chat, guard: Guard, progress: Callable[[int], None] | None
    ) -> Answer:
        """The answer within call.timeout, or CallFailed. Whatever the guard raises passes through."""
        asked = min(call.output_cap, candidate.output_cap)
        hold = await reserve(guard, chat.most, asked)
        failure: CallFailed
        sent = _Sent(candidate, cap_of(hold, asked))
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                answer = await self._ask(sent, chat, progress)
        except CallFailed as error:
            failure = error
        except asyncio.CancelledError:
            await _settle(guard, hold, None)
            raise
        except Exception as error:  # noqa: BLE001  a server may answer anything
            failure = _failed(error, sent, call, late=isinstance(error, TimeoutError) and limit.expired())
        else:
            usage = sent.usage_of(answer)
            if lower_bound(len(answer.text)) > sent.cap:
                failure = failures.too_long(candidate, len(answer.text), sent.cap, chat.most)
            else:
                await _settle(guard, hold, usage)
                return self._told(sent, chat, answer, usage)
        if failure.charged:
            await _settle(guard, hold, failure.usage)
        else:
            await to_the_end(guard.unsent(hold))
        failure.readings = failure.readings or sent.readings()
        raise failure

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, sent: _Sent, chat: Chat, progress: Callable[[int], None] | None) -> Answer:
        if chat.dialect == "embeddings" and not isinstance(self.speech, OpenAISpeech):
            raise untranslatable("texts to embed")
        stream = chat.dialect != "embeddings" and (chat.live is not None or progress is not None)
        body = self.speech.request(chat, sent.candidate.model, sent.cap, stream=stream)
        address = self.base_url + self.speech.address(chat, sent.candidate.model, stream=stream)
        headers = {**self.speech.headers(self.key.reveal() if self.key else ""), "content-type": "application/json"}
        posting = self._open().post(address, data=_encode(body), headers=headers, allow_redirects=False)
        async with posting as response:
            sent.took(response)
            if response.status != 200:
                told = await _head(response, LONGEST_ERROR)
                raise failures.refused(response.status, sent.headers, told, sent.candidate)
            if "content-encoding" in response.headers:
                raise failures.malformed(sent.candidate, "it sent a compression nobody asked for")
            if stream and "json" not in response.headers.get("content-type", ""):
                return await self._listen(sent, response, chat, progress)
            answer = self._whole(sent, await _body(response, sent))
            if chat.dialect == "embeddings" and len((answer.message or {}).get("data", ())) != len(chat.body["input"]):
                raise failures.malformed(sent.candidate, "it gave another number of vectors than there were texts")
            return answer

    def _whole(self, sent: _Sent, raw: bytes) -> Answer:
        try:
            found = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _no_answer(raw, sent) from None
        body = table(found)
        _look_inside(body, sent)
        try:
            return self.speech.whole(body)
        except ValueError:
            raise _no_answer(found, sent) from None

    async def _listen(
        self, sent: _Sent, response: ClientResponse, chat: Chat, progress: Callable[[int], None] | None
    ) -> Answer:
        listener, written, chars = self.speech.listen(), 0, 0
        async for data in _events(response, sent):
            if data == b"[DONE]":
                break
            event = table(_decode(data))
            _look_inside(event, sent)
            piece = listener.hear(event)
            if piece is None:
                continue
            written, chars = written + len(piece.text), chars + len(piece.text) + len(piece.thought)
            if lower_bound(written) > sent.cap:
                raise failures.too_long(sent.candidate, written, sent.cap, chat.most)
            if progress is not None:
                progress(chars)
            if chat.live is not None:
                chat.live(piece)
        answer = listener.answer()
        if answer is None:
            raise failures.cut_off(sent.candidate)
        return answer

    def _told(self, sent: _Sent, chat: Chat, answer: Answer, usage: Usage | None) -> Answer:
        if answer.finish == "content_filter":
            raise failures.content_filtered(sent.candidate)
        message = answer.message
        if chat.dialect not in (self.speech.native, "embeddings") and message is not None:
            turn = anthropic_message if chat.dialect == "anthropic" else openai_choice
            message = turn(dict(message), answer.finish)
        return replace(
            answer,
            usage=usage or Usage(measured=False),
            model=answer.model or sent.candidate.model,
            message=message,
            readings=sent.readings(),
        )

    def _open(self) -> ClientSession:
        if self._session is None or self._session.closed:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=POOL, ssl=tls()),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=not is_at_home(self.base_url, self.local_hosts),
                auto_decompress=False,
                headers={"accept-encoding": "identity"},
            )
        return self._session


@dataclass(slots=True)
class _Sent:
    """What is known of one request on its way."""

    candidate: Candidate
    cap: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    at: float = 0.0  # when its headers came; 0: not yet

    @property
    def most(self) -> int:
        """Bytes its answer may take."""
        return min(LARGEST, LEAST + TOKEN * self.cap)

    def took(self, response: ClientResponse) -> None:
        self.headers, self.at = {name.lower(): value for name, value in response.headers.items()}, time.time()

    def readings(self) -> tuple[Reading, ...]:
        if not any("ratelimit" in name for name in self.headers):
            return ()
        return readings(self.candidate.kind, self.headers, None, self.at, None)

    def usage_of(self, answer: Answer) -> Usage | None:
        said = answer.usage
        written = len(answer.text) + sum(len(call.arguments) for call in answer.calls)
        if not said.measured:
            return None
        return measured(
            said.input_tokens,
            said.output_tokens,
            said.cached_tokens,
            written=written,
            said=bool(written or answer.calls),
        )


async def _settle(guard: Guard, hold: Hold | None, usage: Usage | None) -> None:
    await to_the_end(guard.after(hold, usage))


def _look_inside(body: Body, sent: _Sent) -> None:
    """An error that comes with status 200, also in the place of a choice."""
    choices = tables(body.get("choices"))
    error = body.get("error") or next((choice["error"] for choice in choices if choice.get("error")), None)
    if (
        error
        and not any(map(_says_something, choices))
        and not any(body.get(k) for k in ("candidates", "content", "data"))
    ):
        raise _no_answer({"error": error}, sent)


def _says_something(choice: Body) -> bool:
    said = table(choice.get("message") or choice.get("delta"))
    return any(said.get(key) for key in ("content", "tool_calls", "reasoning", "reasoning_content", "refusal"))


def _no_answer(body: object, sent: _Sent) -> CallFailed:
    """For what came with status 200 and is none: what it says of itself, if anything."""
    first = next(iter(tables(body)), body)  # Google's stream wraps its error in a list
    return failures.refused(status_in(table(first)), sent.headers, first, sent.candidate, in_stream=True)


def _failed(error: Exception, sent: _Sent, call: Call, *, late: bool) -> CallFailed:
    import aiohttp

    candidate = sent.candidate
    if late:
        return failures.timed_out(candidate, call.timeout)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL | aiohttp.ConnectionTimeoutError):
        remedy = "Start the server, or remove the provider." if candidate.local else "Check the network and base_url."
        what = f"{candidate.name}: no connection could be made."
        return CallFailed(Failure.TRANSPORT, what, remedy=remedy, charged=False)
    if isinstance(error, aiohttp.ClientError | OSError | TimeoutError):
        return CallFailed(Failure.TRANSPORT, f"{candidate.name}: the connection broke.")
    return failures.malformed(candidate, "the reply could not be read")


async def _head(response: ClientResponse, most: int) -> bytes:
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) >= most:
            break
    return body[:most]


async def _body(response: ClientResponse, sent: _Sent) -> bytes:
    pieces: list[bytes] = []
    total = 0
    async for piece in response.content.iter_any():
        total += len(piece)
        if total > sent.most:
            raise _flood(sent)
        pieces.append(piece)
    return b"".join(pieces)


async def _events(response: ClientResponse, sent: _Sent) -> AsyncIterator[bytes]:
    """The data of server-sent events, one line each, as every provider writes them."""
    rest: list[bytes] = []  # of a line whose end is not there yet; joined once, however many pieces it comes in
    total = 0
    async for piece in response.content.iter_any():
        total += len(piece)
        if total > sent.most:
            raise _flood(sent)
        begun, *lines = piece.split(b"\n")
        rest.append(begun)
        for line in lines:
            if (whole := b"".join(rest)).startswith(b"data:"):
                yield whole[5:].strip()
            rest = [line]
    if (whole := b"".join(rest)).startswith(b"data:"):
        yield whole[5:].strip()


def _flood(sent: _Sent) -> CallFailed:
    return failures.malformed(sent.candidate, f"it sent more than {sent.most // 1_000_000} MB")
