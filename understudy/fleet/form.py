"""How the book's pages and entries are packed: msgpack of plain dataclasses behind a version and a checksum."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from understudy.fleet.depth import Depth
from understudy.fleet.page import Close, Entry, Page, Reserve, Wait
from understudy.telemetry.log import log

VERSION = b"2"  # of the form; a page of another version is begun anew, which only costs what it had learned

_pages = msgspec.msgpack.Decoder(Page)
_encode = msgspec.msgpack.Encoder().encode
_LETTERS: dict[type[Entry], bytes] = {Reserve: b"R", Close: b"C", Depth: b"D"}
_kinds: dict[bytes, msgspec.msgpack.Decoder[Any]] = {
    b"R": msgspec.msgpack.Decoder(Reserve),
    b"C": msgspec.msgpack.Decoder(Close),
    b"D": msgspec.msgpack.Decoder(Depth),
}


class PageForm:
    """store.pages.Form."""

    def blank(self) -> Page:
        return Page()

    def apply(self, page: Page, entry: Entry, now: float) -> tuple[Any, bool]:
        asked = page.asked
        outcome = page.apply(entry, now)
        return outcome, not isinstance(outcome, Wait) or page.asked != asked

    def asks(self, entry: Entry) -> bool:
        return isinstance(entry, Reserve)

    def passes(self, entry: Entry) -> bool:
        return isinstance(entry, Depth)

    def pack(self, page: Page) -> bytes:
        packed = _encode(page)
        return VERSION + zlib.crc32(packed).to_bytes(4) + packed

    def unpack(self, body: bytes) -> Page:
        if body[:1] != VERSION:
            return Page()
        packed = body[5:]
        if zlib.crc32(packed) == int.from_bytes(body[1:5]):
            try:
                return _pages.decode(packed)
            except (msgspec.MsgspecError, ValueError):
                pass
        log().warning("page_damaged")  # what it had learned is lost, and headers teach it again
        return Page()

    def pack_entry(self, entry: Entry) -> bytes:
        return _LETTERS[type(entry)] + _encode(entry)

    def unpack_entry(self, body: bytes) -> Entry:
        return _kinds[body[:1]].decode(body[1:])
