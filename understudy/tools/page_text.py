"""Readable text out of the bytes of a page, in linear time whatever the markup.

No tree is built. A parser in C was measured (selectolax 1.0 with lexbor): 200 kB of nested <div> hold the interpreter
for 4 s, and the time is quadratic, so a hostile page of 2 MB would stop every other task for minutes.
"""

from __future__ import annotations

import codecs
import html
import re

# Elements whose content is no text of the page; those of RAW hold no markup at all up to their own end tag.
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_SILENT = frozenset({"script", "style", "template", "svg", "math", "noscript", "iframe", "object", "canvas", "select"})
_BREAKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "caption",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    }
)
_OPEN_ENDED = frozenset({"p", "li", "dd", "dt", "td", "th", "tr", "option"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]{0,60})")
_HIDDEN = re.compile(r"\shidden(?=[\s=/>]|\Z)|display\s{0,3}:\s{0,3}none|aria-hidden\s{0,3}=\s{0,3}[\"']?true", re.I)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s{0,3}=\s{0,3}[\"']?([A-Za-z0-9_:.-]{1,40})", re.I)
_XML_ENCODING = re.compile(rb"\A\s{0,10}<\?xml[^>]{0,100}?encoding\s{0,3}=\s{0,3}[\"']([A-Za-z0-9_.-]{1,40})", re.I)
# Python's codecs hold more than character sets (zlib, rot13, unicode_escape, punycode), so those that are are named.
_CHARSETS = re.compile(
    r"(?:ascii|utf-?(?:8(?:-sig)?|16(?:-?[lb]e)?|32(?:-?[lb]e)?)|iso8859-\d+|latin-?1|cp\d+|windows-\d+|koi8-[rtu]|"
    r"mac-[a-z]+|gb2312|gbk|gb18030|hz|big5(?:hkscs)?|shift_jis(?:x0213|_2004)?|euc_[a-z]+(?:_?2004|x0213)?|"
    r"iso2022_[a-z0-9_]+|johab|tis-620|ptcp154|kz1048)\Z"
)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode(body: bytes, declared: str | None) -> str:
    """Text of the bytes. A byte-order mark beats the header, the header beats the page's own word, else UTF-8 or 1252.

    Never raises: what does not decode becomes U+FFFD.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body.decode(name, "replace")
    name = _codec(declared)
    if name is None:
        head = body[:2048]
        found = _XML_ENCODING.search(head) or _META_CHARSET.search(head)
        name = _codec(found.group(1).decode("ascii") if found else None)
        if name is not None and name.startswith(("utf-16", "utf-32")):
            name = "utf-8"  # a page that could be read up to its meta element is not in UTF-16 (WHATWG says the same)
    if name is None:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(body)  # a character cut at the limit is no sign of 1252
            name = "utf-8"
        except UnicodeDecodeError:
            name = "cp1252"
    return body.decode("cp1252" if name in ("ascii", "iso8859-1") else name, "replace")


def _codec(label: str | None) -> str | None:
    if not label:
        return None
    try:
        name = codecs.lookup(label.strip(" \"'")).name
    except (LookupError, ValueError):
        return None
    return name if _CHARSETS.match(name) else None


def extract(markup: str) -> tuple[str, str]:
    """(title, text) of an HTML page: scripts, styles and hidden parts left out, one line a block."""
    reading = _Reading(markup)
    reading.run()
    return " ".join(html.unescape(reading.title).split())[:300], tidy(html.unescape("".join(reading.out)))


class _Reading:
    """One pass over a page, each position looked at a bounded number of times."""

    def __init__(self, markup: str) -> None:
        self.markup = markup
        self.lowered = markup.translate({c: c + 32 for c in range(65, 91)})  # str.lower can move positions
        self.out: list[str] = []
        self.title = ""
        self.silent = ""  # the element that is being left out
        self.depth = 0  # elements of that name open inside it, itself included
        self.missing: set[str] = set()  # marks known not to come any more: searched once, or the search is quadratic

    def run(self) -> None:
        at, end = 0, len(self.markup)
        while at < end:
            opening = self.markup.find("<", at)
            stop = end if opening < 0 else opening
            if not self.silent:
                self.out.append(self.markup[at:stop])
            if opening < 0:
                return
            match = _TAG.match(self.markup, opening)
            at = self._no_tag(opening) if match is None else self._tag(match)

    def _no_tag(self, opening: int) -> int:
        """A comment, a declaration, or a bare "<"; returns where to go on."""
        if self.markup.startswith("<!--", opening):
            return self._after("-->", opening + 4)
        if self.markup.startswith(("<!", "<?", "</"), opening):
            return self._after(">", opening + 2)
        if not self.silent:
            self.out.append("<")
        return opening + 1

    def _tag(self, match: re.Match[str]) -> int:
        name = match.group(1).lower()
        closing = match.group().startswith("</")
        end = _tag_end(self.markup, match.end())
        attributes = self.markup[match.end() : end]
        empty = name in _VOID or attributes.endswith("/>")
        if self.silent in _OPEN_ENDED and name in _BREAKS:
            self.silent = ""  # its end tag may be left out, so the next block ends it
        if self.silent:
            if name == self.silent and not empty:
                self.depth += -1 if closing else 1
                if self.depth <= 0:
                    self.silent = ""
        elif closing:
            self.out.append("\n" if name in _BREAKS else "")
        elif name in _RAW:
            return self._raw(name, end)
        elif (name in _SILENT or _HIDDEN.search(attributes[:2000])) and not empty:
            self.silent, self.depth = name, 1
        else:
            self.out.append(_mark(name))
        return end

    def _raw(self, name: str, start: int) -> int:
        """An element without markup in it, up to its own end tag or the end of the page."""
        stop = -1 if name in self.missing else self.lowered.find(f"</{name}", start)
        if stop < 0:
            self.missing.add(name)
            stop = len(self.markup)
        if name == "title":
            self.title = self.title or self.markup[start:stop]
        elif name == "textarea":
            self.out.append(self.markup[start:stop])
        return _tag_end(self.markup, stop)

    def _after(self, mark: str, at: int) -> int:
        found = -1 if mark in self.missing else self.markup.find(mark, at)
        if found < 0:
            self.missing.add(mark)
            return len(self.markup)
        return found + len(mark)


def _mark(name: str) -> str:
    if name == "li":
        return "\n- "
    if name in ("td", "th"):
        return " | "
    return "\n" if name in _BREAKS else ""


def _tag_end(markup: str, at: int) -> int:
    """Where the tag that is open at `at` ends. Quotes may hold a ">"; a tag longer than 20,000 characters is cut."""
    limit = min(len(markup), at + 20_000)
    while at < limit:
        char = markup[at]
        if char == ">":
            return at + 1
        if char in "\"'" and markup[at - 1] in "= \n\t":
            close = markup.find(char, at + 1, limit)
            if close < 0:
                plain = markup.find(">", at, limit)
                return plain + 1 if plain >= 0 else limit
            at = close
        at += 1
    return limit


def tidy(text: str) -> str:
    """Lines without outer spaces, runs of spaces made one, at most one empty line, no control characters."""
    kept: list[str] = []
    for raw in text.splitlines():
        line = " ".join("".join(c for c in raw if c.isprintable() or c in "\t ").split()).removeprefix("| ")
        if line in ("-", "|"):
            continue
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()
